//! Limits: lo-lo, lo, hi, hi-hi with deadband.

use serde::{Deserialize, Serialize};

use super::{ReadingDetector, Sample, Verdict};
use crate::{Limits, settings::Settings};

/// Which side is crossed; it clears only once the value is back by the deadband.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Crossed {
    #[default]
    None,
    Low,
    High,
}

/// Score 0 inside the limits, 1 at `hi` (`lo`), 2 at `hi_hi` (`lo_lo`), linear between and beyond. With one limit of a
/// pair only: 2 at the critical one, 1 at the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LimitCheck {
    crossed: Crossed,
}

impl ReadingDetector for LimitCheck {
    #[inline]
    fn judge(&mut self, sample: &Sample, settings: &Settings) -> Verdict {
        let Some(limits) = settings.limits else { return Verdict::COLD };
        let high = excess(sample.value, limits.hi, limits.hi_hi);
        let low = excess(-sample.value, limits.lo.map(|v| -v), limits.lo_lo.map(|v| -v));
        let held = if self.is_held(sample.value, &limits) { 1.0 } else { 0.0 };
        self.crossed = match (high >= 1.0, low >= 1.0, held >= 1.0) {
            (true, ..) => Crossed::High,
            (_, true, _) => Crossed::Low,
            (_, _, true) => self.crossed,
            _ => Crossed::None,
        };
        Verdict::by_rule(high.max(low).max(held))
    }
}

impl LimitCheck {
    /// Whether a crossed limit still stands because of the deadband.
    fn is_held(self, value: f64, limits: &Limits) -> bool {
        match self.crossed {
            Crossed::None => false,
            Crossed::High => limits.hi.or(limits.hi_hi).is_some_and(|hi| value > hi - limits.deadband),
            Crossed::Low => limits.lo.or(limits.lo_lo).is_some_and(|lo| value < lo + limits.deadband),
        }
    }
}

fn excess(value: f64, warning: Option<f64>, critical: Option<f64>) -> f64 {
    match (warning, critical) {
        (Some(w), Some(c)) if value >= w => 1.0 + if c > w { (value - w) / (c - w) } else { 1.0 },
        (Some(w), None) if value >= w => 1.0,
        (None, Some(c)) if value >= c => 2.0,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Template, Templates};

    fn scores(limits: Limits, values: &[f64]) -> Vec<f64> {
        let templates = Templates::new(vec![Template { limits, ..Template::default() }]).unwrap_or_default();
        let settings = Settings::of(templates.get(0));
        let mut check = LimitCheck::default();
        let sample = |value| Sample { time_us: 0, value, resolution: 0.0, wander: 0.0 };
        values.iter().map(|v| check.judge(&sample(*v), &settings).score).collect()
    }

    #[test]
    fn one_at_the_limit_two_at_the_critical_one() {
        let limits = Limits { lo_lo: Some(0.0), lo: Some(10.0), hi: Some(80.0), hi_hi: Some(100.0), deadband: 0.0 };
        assert_eq!(scores(limits, &[50.0, 80.0, 90.0, 100.0, 120.0, 10.0, 0.0]), [0.0, 1.0, 1.5, 2.0, 3.0, 1.0, 2.0]);
    }

    #[test]
    fn a_crossed_limit_stands_until_the_value_is_back_by_the_deadband() {
        let limits = Limits { hi: Some(80.0), deadband: 5.0, ..Limits::default() };
        assert_eq!(scores(limits, &[79.0, 81.0, 77.0, 75.0, 77.0]), [0.0, 1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn a_critical_limit_alone_scores_two() {
        let limits = Limits { hi_hi: Some(80.0), ..Limits::default() };
        assert_eq!(scores(limits, &[79.0, 81.0]), [0.0, 2.0]);
    }
}
