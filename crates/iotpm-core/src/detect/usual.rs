//! How far a measure of strangeness is above what it usually is.

use serde::{Deserialize, Serialize};

use crate::robust::{MAD_TO_DEVIATION, RollingWindow};

/// Measures that the usual one is taken from.
const MEASURES: usize = 512;
/// Deviations at the boundary.
const BOUNDARY: f64 = 5.0;

/// Score = (measure - median) / (5 x deviation) of the last 512 measures, deviation = 1.4826 MAD, at least `deviation_min`;
/// 0 until there are so many.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Usual {
    measures: RollingWindow,
    deviation_min: f64,
}

impl Usual {
    pub fn new(deviation_min: f64) -> Self {
        Self { measures: RollingWindow::new(MEASURES), deviation_min }
    }

    /// Scores a measure, then learns it.
    pub fn judge(&mut self, measure: f64) -> f64 {
        let mut score = 0.0;
        if self.measures.is_full() {
            let (median, mad) = self.measures.median_and_mad();
            let deviation = (MAD_TO_DEVIATION * mad).max(self.deviation_min);
            score = ((measure - median) / (BOUNDARY * deviation)).max(0.0);
        }
        self.measures.push(measure);
        score
    }

    pub fn heap_bytes() -> usize {
        2 * 8 * MEASURES
    }
}

/// Repeatable noise in -0.5..0.5, for tests.
#[cfg(test)]
pub(super) fn noise(i: usize) -> f64 {
    let mut x = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (x >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
}
