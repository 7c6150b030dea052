//! Cumulated sums: lasting shifts of the mean, found the sooner the larger they are.

use serde::{Deserialize, Serialize};

use super::{
    ewma::PhaseOne,
    series::{Explanation, SeriesDetector, sign},
};

/// Half the shift to be found, in deviations.
const ALLOWANCE: f64 = 0.5;
/// Decision interval in deviations.
const DECISION: f64 = 12.0;
/// Share of a sum that the next reading keeps, Page-Hinkley.
const KEPT: f64 = 0.9999;
/// Tolerated drift a reading, in deviations, Page-Hinkley.
const TOLERANCE: f64 = 0.1;
/// Decision threshold of Page-Hinkley, deviations.
const THRESHOLD: f64 = 50.0;

/// Score = max(S+, S-) / h with S+ = max(0, S+ + z - k), S- = max(0, S- - z - k), z standardised by the warm-up and clipped
/// to h / 2 so that no single reading decides; k = .5, h = 12. The sums stop at 2 h: what ended must be forgotten in time.
///
/// Source: Page, "Continuous Inspection Schemes", Biometrika 41 (1954), tabular form of Montgomery, eq. 9.2-9.3.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Cusum {
    phase_one: PhaseOne,
    up: f64,
    down: f64,
}

impl Cusum {
    pub fn new(warm_up: usize) -> Self {
        Self { phase_one: PhaseOne::new(warm_up), up: 0.0, down: 0.0 }
    }
}

impl SeriesDetector for Cusum {
    fn update(&mut self, _time_us: i64, value: f64) {
        let Some(z) = self.phase_one.standardise(value) else { return };
        let z = z.clamp(-DECISION / 2.0, DECISION / 2.0);
        self.up = (self.up + z - ALLOWANCE).clamp(0.0, 2.0 * DECISION);
        self.down = (self.down - z - ALLOWANCE).clamp(0.0, 2.0 * DECISION);
    }

    fn score(&self) -> f64 {
        self.up.max(self.down) / DECISION
    }

    fn explain(&self) -> Explanation {
        let (expected, baseline_readings) = (self.phase_one.mean(), self.phase_one.readings());
        Explanation { aspect: "level", expected, direction: sign(self.up - self.down), baseline_readings }
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

/// Score = max(U - min U, max D - D) / threshold with U = a U + (z - mean z) - delta, D = a D + (z - mean z) + delta, mean z
/// the running mean including z; after an alarm it begins anew.
///
/// Source: Page (1954) in the form of river's `drift.PageHinkley`; here on readings standardised by the warm-up, so that
/// threshold (50) and delta (.1) have no unit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct PageHinkley {
    phase_one: PhaseOne,
    readings: u64,
    mean: f64,
    rising: f64,
    least: f64,
    falling: f64,
    greatest: f64,
    score: f64,
    direction: i8,
}

impl PageHinkley {
    pub fn new(warm_up: usize) -> Self {
        Self {
            phase_one: PhaseOne::new(warm_up),
            readings: 0,
            mean: 0.0,
            rising: 0.0,
            least: 0.0,
            falling: 0.0,
            greatest: 0.0,
            score: 0.0,
            direction: 0,
        }
    }

    fn restart(&mut self) {
        (self.readings, self.mean, self.rising, self.least) = (0, 0.0, 0.0, 0.0);
        (self.falling, self.greatest) = (0.0, 0.0);
    }
}

impl SeriesDetector for PageHinkley {
    fn update(&mut self, _time_us: i64, value: f64) {
        let Some(z) = self.phase_one.standardise(value) else { return };
        if self.score >= 1.0 {
            self.restart();
        }
        self.readings += 1;
        self.mean += (z - self.mean) / self.readings as f64;
        self.rising = KEPT * self.rising + (z - self.mean) - TOLERANCE;
        self.falling = KEPT * self.falling + (z - self.mean) + TOLERANCE;
        self.least = self.least.min(self.rising);
        self.greatest = self.greatest.max(self.falling);
        let (up, down) = (self.rising - self.least, self.greatest - self.falling);
        self.score = up.max(down) / THRESHOLD;
        self.direction = sign(up - down);
    }

    fn score(&self) -> f64 {
        self.score
    }

    fn explain(&self) -> Explanation {
        let (expected, baseline_readings) = (self.phase_one.mean(), self.phase_one.readings());
        Explanation { aspect: "level", expected, direction: self.direction, baseline_readings }
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}
