//! Level shift: the median of the newest readings against that of the ones before.

use serde::{Deserialize, Serialize};

use super::{
    Resolution,
    series::{Explanation, SeriesDetector},
};
use crate::robust::{MAD_TO_DEVIATION, RollingWindow};

/// Readings of the new level.
const RECENT: usize = 32;
/// Readings of the old one.
const REFERENCE: usize = 256;
/// Deviations between the medians at the boundary.
const BOUNDARY: f64 = 5.0;

/// Score = |median of the last 32 - median of the 256 before| / (5 x deviation), deviation = 1.4826 times the greater MAD of the
/// two, at least the sensor's smallest step. A single outlier moves neither median; a slope as steep as its own scatter
/// raises both.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LevelShift {
    recent: RollingWindow,
    reference: RollingWindow,
    resolution: Resolution,
    level: f64,
    expected: f64,
    score: f64,
}

impl Default for LevelShift {
    fn default() -> Self {
        Self {
            recent: RollingWindow::new(RECENT),
            reference: RollingWindow::new(REFERENCE),
            resolution: Resolution::default(),
            level: f64::NAN,
            expected: f64::NAN,
            score: 0.0,
        }
    }
}

impl SeriesDetector for LevelShift {
    fn update(&mut self, _time_us: i64, value: f64) {
        let step = self.resolution.update(value);
        if let Some(left) = self.recent.push(value) {
            self.reference.push(left);
        }
        if !self.reference.is_full() {
            return;
        }
        let ((level, scatter), (expected, usual)) = (self.recent.median_and_mad(), self.reference.median_and_mad());
        let deviation = (MAD_TO_DEVIATION * scatter.max(usual)).max(step);
        let shift = (level - expected).abs();
        (self.level, self.expected) = (level, expected);
        self.score = if shift > 0.0 { shift / (BOUNDARY * deviation.max(f64::MIN_POSITIVE)) } else { 0.0 };
    }

    fn score(&self) -> f64 {
        self.score
    }

    fn explain(&self) -> Explanation {
        Explanation::of("level", self.level, self.expected, self.reference.len() as u64)
    }

    fn heap_bytes(&self) -> usize {
        // Each window holds its values in order of time and of size, and the differences between them are not kept.
        2 * 8 * (RECENT + REFERENCE)
    }
}
