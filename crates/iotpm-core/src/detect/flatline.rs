//! Flatline: a signal that used to move repeats one value.

use serde::{Deserialize, Serialize};

use super::{ReadingDetector, Sample, Verdict};
use crate::{Maturity, settings::Settings};

/// Changes of value before a signal counts as one that moves.
const CHANGES_TO_MOVE: u32 = 8;
/// A run must exceed the longest usual one by this factor.
const HABIT_FACTOR: f64 = 4.0;
/// The longest usual run fades by this factor a run, so that one long standstill is not a habit for ever.
const HABIT_FADE: f64 = 0.995;

/// Score = length of the current run of identical values / max(`flatline_readings`, 4 x longest usual run).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Flatline {
    value: f64,
    run: u32,
    changes: u32,
    habit: f64,
}

impl ReadingDetector for Flatline {
    #[inline]
    fn judge(&mut self, sample: &Sample, settings: &Settings) -> Verdict {
        if self.run == 0 || sample.value != self.value {
            self.begin_run(sample.value);
        } else {
            self.run = self.run.saturating_add(1);
        }
        let Some(readings) = settings.flatline_readings else { return Verdict::COLD };
        if self.changes < CHANGES_TO_MOVE {
            return Verdict::COLD;
        }
        let boundary = f64::from(readings).max(HABIT_FACTOR * self.habit);
        Verdict { score: f64::from(self.run) / boundary, expected: f64::NAN, maturity: Maturity::Mature }
    }
}

impl Flatline {
    fn begin_run(&mut self, value: f64) {
        if self.run > 0 {
            self.changes = self.changes.saturating_add(1);
            self.habit = f64::from(self.run).max(self.habit * HABIT_FADE);
        }
        self.value = value;
        self.run = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Template;

    fn scores(values: impl Iterator<Item = f64>) -> Vec<f64> {
        let settings = Settings::of(&Template::default());
        let mut flatline = Flatline::default();
        let sample = |value| Sample { time_us: 0, value, resolution: 0.0, wander: 0.0 };
        values.map(|v| flatline.judge(&sample(v), &settings).score).collect()
    }

    #[test]
    fn a_moving_signal_that_stops_alarms_after_thirty_readings() {
        let all = scores((0..20).map(f64::from).chain(std::iter::repeat_n(99.0, 40)));
        assert!(all[..49].iter().all(|s| *s < 1.0) && all[49..].iter().all(|s| *s >= 1.0));
    }

    #[test]
    fn a_constant_signal_never_alarms() {
        assert!(scores(std::iter::repeat_n(5.0, 1000)).iter().all(|s| *s == 0.0));
    }

    #[test]
    fn usual_standstills_raise_the_boundary() {
        let quantised = (0..400).map(|i| f64::from(i / 20 % 3));
        assert!(scores(quantised.chain(std::iter::repeat_n(7.0, 79))).iter().all(|s| *s < 1.0));
    }
}
