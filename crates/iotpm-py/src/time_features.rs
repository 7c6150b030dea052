//! Features of waveforms in time: (rows, samples), any stride, f32 or f64.

use iotpm_core::vibration::WaveformFeatures;
use numpy::PyArray2;
use pyo3::prelude::*;

use crate::{crossings, rows::Rows};

/// Names of the features, in the order of the columns of [`waveform_features`].
#[pyfunction]
pub fn waveform_feature_names() -> [&'static str; 18] {
    crossings::count();
    WaveformFeatures::NAMES
}

/// The features of each row of `x`: an array (rows, 18), NaN where undefined.
#[pyfunction]
pub fn waveform_features<'py>(py: Python<'py>, x: Rows<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
    crossings::count();
    x.map(py, WaveformFeatures::NAMES.len(), |x, row| {
        row.extend(WaveformFeatures::of(x).to_array());
        Ok(())
    })
}
