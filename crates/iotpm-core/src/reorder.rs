//! Event-time order for one signal: watermark, reorder buffer, duplicates, late readings, clock steps.

use serde::{Deserialize, Serialize};

/// Late readings in a row, each later than the one before, that mean the signal's clock was set back.
const CLOCK_STEP_READINGS: u32 = 64;

/// A reading waiting for its turn; an unusable one waits with the value NaN.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub time_us: i64,
    pub value: f64,
    /// Its source doubts it.
    pub uncertain: bool,
}

/// What the time rules say of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// In order or early enough: accepted.
    Accepted,
    /// Same event time as one in the reorder buffer.
    Duplicate,
    /// Below the watermark (given).
    Late(i64),
    /// The last of a run of late readings: the clock was set back, begin anew from this one.
    ClockStep,
}

/// Watermark and reorder buffer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reorder {
    greatest_us: Option<i64>,
    released_us: Option<i64>,
    waiting: Vec<Waiting>,
    late_run: u32,
    last_late_us: i64,
}

impl Reorder {
    pub fn greatest_us(&self) -> Option<i64> {
        self.greatest_us
    }

    /// Every reading below this time has been released or is late.
    pub fn watermark_us(&self, lateness_us: i64) -> i64 {
        let by_time = self.greatest_us.map_or(i64::MIN, |greatest| greatest.saturating_sub(lateness_us));
        by_time.max(self.released_us.unwrap_or(i64::MIN))
    }

    /// Applies the time rules to a reading that is no duplicate of a released one.
    pub fn arrive(&mut self, time_us: i64, lateness_us: i64) -> Arrival {
        if self.greatest_us.is_none_or(|greatest| time_us > greatest) {
            self.greatest_us = Some(time_us);
            self.late_run = 0;
            return Arrival::Accepted;
        }
        if self.find(time_us).is_ok() {
            return Arrival::Duplicate;
        }
        let watermark_us = self.watermark_us(lateness_us);
        if time_us < watermark_us {
            return self.arrive_late(time_us, watermark_us);
        }
        self.late_run = 0;
        Arrival::Accepted
    }

    fn arrive_late(&mut self, time_us: i64, watermark_us: i64) -> Arrival {
        let ordered = self.late_run > 0 && time_us > self.last_late_us;
        self.late_run = if ordered { self.late_run + 1 } else { 1 };
        self.last_late_us = time_us;
        if self.late_run >= CLOCK_STEP_READINGS { Arrival::ClockStep } else { Arrival::Late(watermark_us) }
    }

    /// Forgets the old clock; the next reading starts a new one.
    pub fn restart(&mut self) {
        *self = Self { waiting: std::mem::take(&mut self.waiting), ..Self::default() };
        self.waiting.clear();
    }

    /// Whether nothing waits and nothing needs to: readings can be released as they come.
    pub fn passes_through(&self, lateness_us: i64) -> bool {
        lateness_us == 0 && self.waiting.is_empty()
    }

    /// Notes that a reading was released without waiting.
    pub fn passed(&mut self, time_us: i64) {
        self.released_us = Some(time_us);
    }

    /// Puts an accepted reading into the buffer.
    pub fn wait(&mut self, reading: Waiting) {
        if let Err(at) = self.find(reading.time_us) {
            self.waiting.insert(at, reading);
        }
    }

    /// Takes out, in order, what lies at or below the watermark, and what exceeds the bound. Returns how many left
    /// early because of the bound.
    pub fn release(&mut self, lateness_us: i64, bound: usize, out: &mut Vec<Waiting>) -> u64 {
        let watermark_us = self.watermark_us(lateness_us);
        let due = self.waiting.partition_point(|w| w.time_us <= watermark_us);
        let excess = self.waiting.len().saturating_sub(bound);
        self.take(due.max(excess), out);
        excess.saturating_sub(due) as u64
    }

    /// Takes out everything, in order.
    pub fn release_all(&mut self, out: &mut Vec<Waiting>) {
        self.take(self.waiting.len(), out);
        self.released_us = self.released_us.max(self.greatest_us);
    }

    fn take(&mut self, count: usize, out: &mut Vec<Waiting>) {
        if let Some(last) = count.checked_sub(1).and_then(|i| self.waiting.get(i)) {
            self.released_us = Some(last.time_us);
        }
        out.extend(self.waiting.drain(..count));
    }

    fn find(&self, time_us: i64) -> Result<usize, usize> {
        self.waiting.binary_search_by_key(&time_us, |w| w.time_us)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn feed(times: &[i64], lateness_us: i64, bound: usize) -> (Vec<i64>, usize, usize) {
        let (mut reorder, mut out, mut late, mut duplicates) = (Reorder::default(), Vec::new(), 0, 0);
        for &time_us in times {
            // The ring knows what was released; it stands before the buffer.
            if out.iter().any(|w: &Waiting| w.time_us == time_us) {
                duplicates += 1;
                continue;
            }
            match reorder.arrive(time_us, lateness_us) {
                Arrival::Accepted => reorder.wait(Waiting { time_us, value: 0.0, uncertain: false }),
                Arrival::Duplicate => duplicates += 1,
                Arrival::Late(watermark) => {
                    assert!(time_us < watermark);
                    late += 1;
                }
                Arrival::ClockStep => reorder.restart(),
            }
            reorder.release(lateness_us, bound, &mut out);
        }
        reorder.release_all(&mut out);
        (out.iter().map(|w| w.time_us).collect(), late, duplicates)
    }

    proptest! {
        /// Whatever the order, releases ascend strictly, and every reading is released, late or a duplicate.
        #[test]
        fn releases_in_order(times in prop::collection::vec(0i64..300, 1..60), lateness in 0i64..100, bound in 1usize..40) {
            let (released, late, duplicates) = feed(&times, lateness, bound);
            prop_assert!(released.windows(2).all(|pair| pair[0] < pair[1]));
            let released_twice = duplicates + late;
            prop_assert_eq!(released.len() + released_twice, times.len());
        }

        /// Within the lateness and the bound nothing is lost: the result is the sorted set.
        #[test]
        fn sorts_within_lateness(mut times in prop::collection::hash_set(0i64..1000, 1..60).prop_map(|s| s.into_iter().collect::<Vec<_>>())) {
            let (released, late, duplicates) = feed(&times, 1000, 100);
            times.sort_unstable();
            prop_assert_eq!(released, times);
            prop_assert_eq!((late, duplicates), (0, 0));
        }
    }

    #[test]
    fn a_full_buffer_releases_the_oldest_early() {
        let mut reorder = Reorder::default();
        let mut out = Vec::new();
        let mut early = 0;
        for time_us in [10, 20, 30] {
            assert_eq!(reorder.arrive(time_us, 1000), Arrival::Accepted);
            reorder.wait(Waiting { time_us, value: 0.0, uncertain: false });
            early += reorder.release(1000, 2, &mut out);
        }
        assert_eq!((early, out.len(), out[0].time_us), (1, 1, 10));
        assert_eq!(reorder.arrive(5, 1000), Arrival::Late(10));
    }

    #[test]
    fn a_run_of_ordered_late_readings_is_a_clock_step() {
        let mut reorder = Reorder::default();
        reorder.arrive(10_000, 0);
        reorder.passed(10_000);
        for time_us in 1..64 {
            assert_eq!(reorder.arrive(time_us, 0), Arrival::Late(10_000));
        }
        assert_eq!(reorder.arrive(64, 0), Arrival::ClockStep);
        reorder.restart();
        assert_eq!(reorder.arrive(64, 0), Arrival::Accepted);
    }

    #[test]
    fn scattered_late_readings_are_no_clock_step() {
        let mut reorder = Reorder::default();
        reorder.arrive(10_000, 0);
        for time_us in (0..1000).rev() {
            assert_eq!(reorder.arrive(time_us, 0), Arrival::Late(10_000));
        }
    }
}
