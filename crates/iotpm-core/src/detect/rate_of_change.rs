//! Rate of change against a configured maximum.

use serde::{Deserialize, Serialize};

use super::{ReadingDetector, Sample, Verdict};
use crate::settings::Settings;

/// Score = |x - previous| / (seconds between them) / `max_rate_per_s`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RateOfChange {
    previous: Option<(i64, f64)>,
}

impl ReadingDetector for RateOfChange {
    #[inline]
    fn judge(&mut self, sample: &Sample, settings: &Settings) -> Verdict {
        let previous = self.previous.replace((sample.time_us, sample.value));
        let (Some((time_us, value)), Some(max_rate_per_s)) = (previous, settings.max_rate_per_s) else {
            return Verdict::COLD;
        };
        let seconds = (sample.time_us - time_us) as f64 * 1e-6;
        if seconds <= 0.0 {
            return Verdict::COLD;
        }
        let verdict = Verdict::by_rule((sample.value - value).abs() / seconds / max_rate_per_s);
        Verdict { expected: value, ..verdict }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Template;

    #[test]
    fn scores_the_slope() {
        let settings = Settings::of(&Template { max_rate_per_s: Some(2.0), ..Template::default() });
        let mut rate = RateOfChange::default();
        let mut judge = |time_s: i64, value| {
            rate.judge(&Sample { time_us: time_s * 1_000_000, value, resolution: 0.0, wander: 0.0 }, &settings).score
        };
        assert_eq!([judge(0, 1.0), judge(1, 3.0), judge(3, 3.0), judge(4, -3.0)], [0.0, 1.0, 0.0, 3.0]);
    }
}
