//! EWMA control chart: small lasting shifts of the mean.

use serde::{Deserialize, Serialize};

use super::series::{Explanation, SeriesDetector};

/// Weight of the newest reading.
const WEIGHT: f64 = 0.1;
/// Width of the control limits in deviations of the statistic.
const LIMIT: f64 = 5.0;
/// Smallest deviation, as a share of the greatest magnitude of the warm-up: rounding is no shift.
const ROUNDING: f64 = 1e-12;

/// Mean and deviation of the warm-up's readings (Welford 1962), then fixed: phase I of a control chart.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct PhaseOne {
    wanted: u64,
    readings: u64,
    mean: f64,
    squares: f64,
    magnitude: f64,
    /// The deviation once the phase is over.
    deviation: f64,
}

impl PhaseOne {
    pub fn new(warm_up: usize) -> Self {
        let wanted = warm_up.max(2) as u64;
        Self { wanted, readings: 0, mean: 0.0, squares: 0.0, magnitude: 0.0, deviation: 0.0 }
    }

    /// The standardised reading z = (x - mean) / deviation, once the phase is over; before, it learns. A signal that was
    /// constant until then has no deviation and gets none of these z: novelty and limits speak for it.
    pub fn standardise(&mut self, x: f64) -> Option<f64> {
        if self.readings >= self.wanted {
            return (self.deviation > ROUNDING * self.magnitude).then(|| (x - self.mean) / self.deviation);
        }
        self.readings += 1;
        let departure = x - self.mean;
        self.mean += departure / self.readings as f64;
        self.squares += departure * (x - self.mean);
        self.magnitude = self.magnitude.max(x.abs());
        self.deviation = (self.squares / (self.readings - 1).max(1) as f64).sqrt();
        None
    }

    pub fn mean(&self) -> f64 {
        self.mean
    }

    pub fn readings(&self) -> u64 {
        self.readings
    }
}

/// Score = |S| / (L sqrt(w / (2 - w) (1 - (1 - w)^2t))) with S = w z + (1 - w) S before, z the reading standardised by the
/// warm-up, t readings since; w = .1, L = 5.
///
/// Source: Roberts, "Control Chart Tests Based on Geometric Moving Averages", Technometrics 1 (1959); exact limits as in
/// Montgomery, "Introduction to Statistical Quality Control", eq. 9.25.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct EwmaChart {
    phase_one: PhaseOne,
    statistic: f64,
    /// (1 - w)^2t.
    fading: f64,
    value: f64,
    score: f64,
}

impl EwmaChart {
    pub fn new(warm_up: usize) -> Self {
        Self { phase_one: PhaseOne::new(warm_up), statistic: 0.0, fading: 1.0, value: f64::NAN, score: 0.0 }
    }
}

impl SeriesDetector for EwmaChart {
    fn update(&mut self, _time_us: i64, value: f64) {
        self.value = value;
        let Some(z) = self.phase_one.standardise(value) else { return };
        self.statistic = WEIGHT * z + (1.0 - WEIGHT) * self.statistic;
        self.fading *= (1.0 - WEIGHT) * (1.0 - WEIGHT);
        let deviation = (WEIGHT / (2.0 - WEIGHT) * (1.0 - self.fading)).sqrt();
        self.score = self.statistic.abs() / (LIMIT * deviation);
    }

    fn score(&self) -> f64 {
        self.score
    }

    fn explain(&self) -> Explanation {
        let direction = super::series::sign(self.statistic);
        let (expected, baseline_readings) = (self.phase_one.mean(), self.phase_one.readings());
        Explanation { aspect: "level", expected, direction, baseline_readings }
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}
