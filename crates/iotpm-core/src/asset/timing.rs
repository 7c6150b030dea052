//! The period of an asset's rows, from the first readings of its signals.

use serde::{Deserialize, Serialize};

/// Readings a signal, on the average, that the period is learned from.
const READINGS: u64 = 16;
/// Readings of a signal that counts; one that sends more seldom has its last value stand for it, or is left out.
const READINGS_MIN: u64 = 4;

/// Event times of each signal until the period is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timing {
    columns: Vec<Seen>,
    readings: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Seen {
    first_us: i64,
    last_us: i64,
    count: u64,
}

impl Timing {
    /// Takes an event time of a column; the period once enough readings are known: that of the slowest signal.
    pub fn observe(&mut self, column: usize, time_us: i64) -> Option<i64> {
        if self.columns.len() <= column {
            self.columns.resize(column + 1, Seen::default());
        }
        let seen = &mut self.columns[column];
        if seen.count == 0 {
            (seen.first_us, seen.last_us) = (time_us, time_us);
        }
        seen.last_us = seen.last_us.max(time_us);
        seen.count += 1;
        self.readings += 1;
        if self.readings < READINGS * self.columns.len() as u64 {
            return None;
        }
        self.columns.iter().filter_map(Seen::interval_us).max()
    }
}

impl Seen {
    fn interval_us(&self) -> Option<i64> {
        let span_us = self.last_us - self.first_us;
        (self.count >= READINGS_MIN && span_us > 0).then(|| two_digits(span_us / (self.count as i64 - 1)).max(1))
    }
}

/// The nearest number of two significant digits, so that 9.98 s are 10 s.
fn two_digits(value: i64) -> i64 {
    let mut unit = 1;
    while value / unit >= 100 {
        unit *= 10;
    }
    (value + unit / 2) / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period_of(intervals_us: &[i64]) -> Option<i64> {
        let mut timing = Timing::default();
        let times = |n: i64| intervals_us.iter().enumerate().map(move |(column, us)| (n * us + column as i64, column));
        let mut all: Vec<_> = (0..100).flat_map(times).collect();
        all.sort_unstable();
        all.into_iter().find_map(|(time_us, column)| timing.observe(column, time_us))
    }

    #[test]
    fn it_is_the_interval_of_the_slowest_signal() {
        assert_eq!(period_of(&[1_000_000, 2_000_000, 1_000_000]), Some(2_000_000));
        assert_eq!(period_of(&[9_981_000, 10_004_000]), Some(10_000_000));
    }

    #[test]
    fn it_does_not_matter_which_signal_begins() {
        let mut timing = Timing::default();
        let all = (0..100).flat_map(|n| [(n * 1_000_000, 2), (n * 1_000_000 + 1, 0), (n * 1_000_000 + 2, 1)]);
        assert_eq!(all.into_iter().find_map(|(time_us, column)| timing.observe(column, time_us)), Some(1_000_000));
    }

    #[test]
    fn a_signal_that_hardly_sends_does_not_count() {
        assert_eq!(period_of(&[1_000_000, 1_000_000, 60_000_000]), Some(1_000_000));
    }

    #[test]
    fn readings_of_one_instant_have_no_interval() {
        let mut timing = Timing::default();
        assert!((0..100).all(|_| timing.observe(0, 5).is_none()));
    }
}
