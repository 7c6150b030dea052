//! Features of a frame by name: the 17 of every window, and those of vibration.

use serde::{Deserialize, Serialize};

use crate::features::WindowFeatures;

const WINDOW: usize = WindowFeatures::NAMES.len();

/// Vibration features of one frame; NaN stands for "undefined here" and is stored as null.
#[derive(Clone, Debug, PartialEq)]
pub struct VibrationFeatures {
    /// By the order of [`VibrationFeatures::NAMES`].
    pub values: [f64; 16],
    /// Root mean square of the samples in each configured band, in the signal's unit.
    pub bands: Vec<f64>,
}

impl VibrationFeatures {
    /// Names, in the order of the table `vibration`.
    ///
    /// Peak, factors and Hjorth parameters are those of [`WaveformFeatures`](crate::vibration::WaveformFeatures), zero
    /// crossings are counted per second; `velocity_rms` is [`velocity_rms`](crate::vibration::velocity_rms) in mm/s, 10 to
    /// 1000 Hz; `envelope_*` are root mean square, peak and excess kurtosis of the
    /// [`envelope`](crate::vibration::envelope) of the configured band; `shaft`, `bpfo`, `bpfi`, `bsf`, `ftf` are the
    /// greatest amplitudes of the envelope's spectrum within 2 % of those frequencies (of a ball: of twice its spin).
    pub const NAMES: [&'static str; 16] = [
        "peak",
        "shape_factor",
        "impulse_factor",
        "clearance_factor",
        "zero_crossing_rate",
        "mobility",
        "complexity",
        "velocity_rms",
        "envelope_rms",
        "envelope_peak",
        "envelope_kurtosis",
        "shaft",
        "bpfo",
        "bpfi",
        "bsf",
        "ftf",
    ];

    /// Value of a feature; `None` if there is none of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        Self::NAMES.iter().position(|known| *known == name).map(|at| self.values[at])
    }
}

/// A scored feature of frames: one of [`WindowFeatures::NAMES`] or [`VibrationFeatures::NAMES`]. Stored by name, so that
/// a new feature moves no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FrameFeature(u8);

impl FrameFeature {
    /// The feature of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|feature| feature.name() == name)
    }

    /// Every feature that can be scored.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..(WINDOW + VibrationFeatures::NAMES.len()) as u8).map(Self)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match usize::from(self.0) {
            at if at < WINDOW => WindowFeatures::NAMES[at],
            at => VibrationFeatures::NAMES[at - WINDOW],
        }
    }

    /// Its value in a frame; NaN where undefined.
    #[must_use]
    pub fn of(self, window: &WindowFeatures, vibration: &VibrationFeatures) -> f64 {
        match usize::from(self.0) {
            at if at < WINDOW => window.0[at],
            at => vibration.values[at - WINDOW],
        }
    }
}

impl TryFrom<String> for FrameFeature {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::named(&name).ok_or_else(|| format!("'{name}' is no feature of a frame"))
    }
}

impl From<FrameFeature> for String {
    fn from(feature: FrameFeature) -> Self {
        feature.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_come_back() {
        let names: std::collections::BTreeSet<_> = FrameFeature::all().map(FrameFeature::name).collect();
        assert_eq!(names.len(), WINDOW + VibrationFeatures::NAMES.len());
        assert!(FrameFeature::all().all(|feature| FrameFeature::named(feature.name()) == Some(feature)));
        assert_eq!(FrameFeature::named("loudness"), None);
    }
}
