//! The vibration features of one frame.

use super::{VibrationFeatures, WaveformTemplate};
use crate::{Waveform, features::WindowFeatures};

/// Plans and buffers that frames share and no result depends on.
#[derive(Debug, Default)]
pub(crate) struct Analysis {}

impl Analysis {
    /// Features of a frame whose samples are `values`, finite; `window` are its window features.
    pub fn of_frame(
        &mut self,
        values: &[f64],
        _frame: &Waveform,
        window: &WindowFeatures,
        _template: &WaveformTemplate,
    ) -> VibrationFeatures {
        let mut features = VibrationFeatures::undefined();
        features.values[0] = window.max().max(-window.min());
        let _ = values;
        features
    }
}
