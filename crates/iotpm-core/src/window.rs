//! Event-time windows of one signal: which are open, which are due.

use serde::{Deserialize, Serialize};

/// Aligned, possibly overlapping windows. When one is closed, every released reading lies before its end, so its
/// readings are all those at or after its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_field_names, reason = "the unit stands last in every name")]
pub(crate) struct Windows {
    length_us: i64,
    hop_us: i64,
    phase_us: i64,
    next_start_us: i64,
}

impl Windows {
    /// Windows from the first aligned start at or after `from_us`; `seed` comes from the asset's name and spreads the
    /// fleet's windows over whole seconds of a hop.
    pub fn new(length_us: i64, hop_us: i64, seed: u64, from_us: i64) -> Self {
        let seconds = (hop_us / 1_000_000).max(1) as u64;
        let phase_us = (seed % seconds) as i64 * 1_000_000;
        let mut windows = Self { length_us, hop_us, phase_us, next_start_us: 0 };
        windows.next_start_us = windows.first_start_from(from_us);
        windows
    }

    pub fn length_us(&self) -> i64 {
        self.length_us
    }

    pub fn hop_us(&self) -> i64 {
        self.hop_us
    }

    /// Readings before this time belong to no open window.
    pub fn needed_from_us(&self) -> i64 {
        self.next_start_us
    }

    /// Takes the next window that ends at or before `watermark_us`. `last_us` is the last released reading: windows
    /// that start after it are empty and skipped.
    pub fn next_due(&mut self, watermark_us: i64, last_us: i64) -> Option<(i64, i64)> {
        let end_us = self.next_start_us.saturating_add(self.length_us);
        if end_us > watermark_us {
            return None;
        }
        if last_us < self.next_start_us {
            let still_open = self.first_start_from(watermark_us.saturating_sub(self.length_us).saturating_add(1));
            self.next_start_us = self.next_start_us.max(still_open);
            return None;
        }
        Some(self.take(end_us))
    }

    /// Takes the next window that holds a reading at or before `last_us`, due or not.
    pub fn next_open(&mut self, last_us: i64) -> Option<(i64, i64)> {
        (self.next_start_us <= last_us).then(|| self.take(self.next_start_us.saturating_add(self.length_us)))
    }

    fn take(&mut self, end_us: i64) -> (i64, i64) {
        let start_us = self.next_start_us;
        self.next_start_us = start_us.saturating_add(self.hop_us);
        (start_us, end_us)
    }

    fn first_start_from(&self, time_us: i64) -> i64 {
        let past = time_us.saturating_sub(self.phase_us);
        let hops = past.div_euclid(self.hop_us) + i64::from(past.rem_euclid(self.hop_us) != 0);
        hops.saturating_mul(self.hop_us).saturating_add(self.phase_us)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000;

    proptest! {
        /// The windows taken while readings come in are exactly the aligned ones, from the first reading on, that end
        /// by the last reading and hold at least one.
        #[test]
        fn equals_the_formula(steps in prop::collection::vec(1i64..40, 2..80), length in 1i64..30, hop in 1i64..30, seed: u64) {
            let mut times = vec![1_000 * SECOND];
            for step in steps {
                times.push(times[times.len() - 1] + step * SECOND);
            }
            let mut windows = Windows::new(length * SECOND, hop * SECOND, seed, times[0]);
            let phase = windows.phase_us;
            let mut taken = Vec::new();
            for i in 1..times.len() {
                while let Some(window) = windows.next_due(times[i], times[i - 1]) {
                    taken.push(window.0);
                }
            }
            let last = times[times.len() - 1];
            let expected: Vec<i64> = (0..)
                .map(|k| k * hop * SECOND + phase)
                .skip_while(|start| *start < times[0])
                .take_while(|start| start + length * SECOND <= last)
                .filter(|start| times.iter().any(|t| (*start..start + length * SECOND).contains(t)))
                .collect();
            prop_assert_eq!(taken, expected);
        }
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let mut windows = Windows::new(30 * SECOND, 10 * SECOND, 7, i64::MAX - 5);
        assert!(windows.next_due(i64::MAX, i64::MAX - 5).is_none() || windows.next_start_us > 0);
    }
}
