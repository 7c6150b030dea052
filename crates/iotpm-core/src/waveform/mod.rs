//! Waveform frames on the main path: one frame is one window, its features are trends, its samples are kept by policy.
//!
//! ```text
//! frame -> time rules -> window features -> trend of each scored feature -> detectors -> anomalies
//!                    \-> vibration features                                              |
//!                     \-> kept: every Nth, and around every revision of an anomaly <-----+
//! ```

mod analysis;
mod feature;
mod frames;
mod keep;
mod template;
mod trend;

pub(crate) use analysis::Analysis;
pub use feature::{FrameFeature, VibrationFeatures};
pub(crate) use frames::{FrameScore, Frames};
pub(crate) use keep::Decided;
pub use template::WaveformTemplate;
pub(crate) use template::{FrameSettings, check};

use serde::{Deserialize, Serialize};

/// Most samples that one signal holds back, for its reorder buffer and for what an anomaly may still save, each.
pub(crate) const HELD_SAMPLES_MAX: usize = 1 << 20;

/// What one sample means, so that velocity can be told: the factor takes it to the SI unit of its quantity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum SampleScale {
    /// The unit is not known, or no unit of vibration.
    #[default]
    Unknown,
    /// Acceleration: sample times this is in m/s2.
    Acceleration(f64),
    /// Velocity: sample times this is in m/s.
    Velocity(f64),
    /// Displacement: sample times this is in m.
    Displacement(f64),
}
