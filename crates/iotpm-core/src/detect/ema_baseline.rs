//! Exponentially weighted baseline: slow departures that a short rolling window follows and forgives.

use serde::{Deserialize, Serialize};

use super::{ReadingDetector, Sample, Verdict};
use crate::{Maturity, settings::Settings};

/// The fast average's share of the baseline's span.
const FAST_SHARE: f64 = 1.0 / 25.0;
/// The deviation's memory in baseline spans: it must outlast the swings it measures.
const DEVIATION_SPANS: f64 = 2.0;
/// A departure counts at most this many deviations when the deviation learns from it, and beyond that baseline and
/// deviation learn with a fraction of the weight: a fault hardly moves its own boundary, and its end is no departure to
/// the other side, while what stays is learned in the end.
const LEARNED_DEVIATIONS_MAX: f64 = 2.0;
const OUTLYING_WEIGHT: f64 = 1.0 / 8.0;

/// A departure that lasts this share of the span is the new level: it was reported, and is learned at once.
const ACCEPTED_SHARE: f64 = 0.5;

/// Score = |fast - slow| / (boundary x deviation), with `fast` and `slow` exponentially weighted means of the value and
/// `deviation` the exponentially weighted root mean square of their past differences.
///
/// Weights are 2 / (span + 1), and 1 / n while fewer readings than that were seen (Roberts 1959, "Control Chart Tests
/// Based on Geometric Moving Averages").
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct EmaBaseline {
    readings: u64,
    fast: f64,
    slow: f64,
    mean_square: f64,
    /// Readings in a row that departed.
    outlying: u32,
}

/// Weights of the three averages for a span in readings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EmaWeights {
    pub span: f64,
    fast: f64,
    slow: f64,
    deviation: f64,
    /// Readings from which on no weight is 1 / n any more.
    settled: f64,
}

impl EmaWeights {
    pub fn of(span: f64) -> Self {
        let weight = |span: f64| 2.0 / (span + 1.0);
        let deviation = weight(DEVIATION_SPANS * span);
        let fast = weight((span * FAST_SHARE).max(3.0));
        Self { span, fast, slow: weight(span), deviation, settled: 2.0 / fast.min(deviation) }
    }
}

impl EmaBaseline {
    pub fn maturity(&self, settings: &Settings) -> Maturity {
        match self.readings as f64 {
            readings if readings < 0.25 * settings.ema.span => Maturity::Cold,
            readings if readings < settings.ema.span => Maturity::Learning,
            _ => Maturity::Mature,
        }
    }

    /// Usual distance of the fast mean from the baseline, once the baseline's span has been seen.
    pub fn wander(&self, settings: &Settings) -> f64 {
        if self.readings as f64 >= settings.ema.span { self.mean_square.sqrt() } else { 0.0 }
    }

    #[inline]
    fn learn(&mut self, sample: &Sample, weights: &EmaWeights) {
        if self.readings == 0 {
            // From 0 the first departure would be the level itself, and widen the boundary for as long as it is remembered.
            (self.fast, self.slow) = (sample.value, sample.value);
        }
        self.readings += 1;
        let readings = self.readings as f64;
        let least = if readings < weights.settled { 1.0 / readings } else { 0.0 };
        self.fast += weights.fast.max(least) * (sample.value - self.fast);
        let square = (self.fast - self.slow).powi(2);
        let most = LEARNED_DEVIATIONS_MAX.powi(2) * self.mean_square;
        let outlying = readings > weights.span && square > most;
        let (counted, share) = if outlying { (most, OUTLYING_WEIGHT) } else { (square, 1.0) };
        self.slow += share * weights.slow.max(least) * (sample.value - self.slow);
        self.mean_square += share * weights.deviation.max(least) * (counted - self.mean_square);
        self.outlying = if outlying { self.outlying + 1 } else { 0 };
        if f64::from(self.outlying) > ACCEPTED_SHARE * weights.span {
            (self.slow, self.outlying) = (self.fast, 0);
        }
    }
}

impl ReadingDetector for EmaBaseline {
    #[inline]
    fn judge(&mut self, sample: &Sample, settings: &Settings) -> Verdict {
        let (slow, deviation) = (self.slow, self.mean_square.sqrt());
        let maturity = self.maturity(settings);
        self.learn(sample, &settings.ema);
        let Some(boundary) = settings.ema_boundary.filter(|_| maturity > Maturity::Cold) else { return Verdict::COLD };
        let width = if maturity == Maturity::Mature { 1.0 } else { settings.ema.span / self.readings as f64 };
        let scale = boundary * width * deviation.max(sample.resolution);
        let departure = (self.fast - slow).abs();
        let score = if departure > 0.0 && scale > 0.0 { departure / scale } else { 0.0 };
        Verdict { score, expected: slow, maturity }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Template;

    fn scores(values: impl Iterator<Item = f64>) -> Vec<f64> {
        let settings = Settings::of(&Template::default());
        let mut ema = EmaBaseline::default();
        let sample = |value| Sample { time_us: 0, value, resolution: 0.01, wander: 0.0 };
        values.map(|v| ema.judge(&sample(v), &settings).score).collect()
    }

    fn swing(i: i32) -> f64 {
        (f64::from(i) / 15.0).sin() + 0.3 * (f64::from(i) * 1.7).sin()
    }

    #[test]
    fn a_steady_swing_never_alarms() {
        assert!(scores((0..5000).map(swing)).iter().all(|s| *s < 0.7));
    }

    #[test]
    fn the_level_of_a_signal_changes_no_score_however_few_readings_it_has() {
        let stepped = |i: i32| swing(i) + if i < 700 { 0.0 } else { 15.0 };
        let low = scores((0..720).map(stepped));
        let high = scores((0..720).map(|i| stepped(i) + 1024.0));
        assert!(low[700..].iter().any(|score| *score > 2.0));
        assert!(low.iter().zip(&high).all(|(low, high)| (low - high).abs() <= 1e-6 * low.max(1.0)));
    }

    #[test]
    fn a_slow_drift_out_of_the_swing_does() {
        let all = scores((0..3000).map(|i| swing(i) + f64::from((i - 2000).max(0)) * 0.02));
        assert!(all[..2000].iter().all(|s| *s < 1.0));
        assert!(all[2000..2800].iter().any(|s| *s >= 1.0));
    }
}
