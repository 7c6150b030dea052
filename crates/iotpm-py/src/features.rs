//! Features, spectra and scores of plain arrays.

use iotpm_core::{
    CoreError,
    features::{FeatureScratch, WindowFeatures},
    robust::{RollingWindow, modified_z as z_score},
    spectrum::{Scaling, SpectrumPlanner, Window},
};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;

use crate::{
    crossings,
    errors::raise,
    rows::{Rows, check_finite, check_rate, invalid},
};

/// Names of the features, in the order of the columns of [`window_features`].
#[pyfunction]
pub fn feature_names() -> [&'static str; 17] {
    crossings::count();
    WindowFeatures::NAMES
}

/// Rows copied in, and their length.
fn rows(x: &PyReadonlyArray2<'_, f64>) -> (Vec<f64>, usize, usize) {
    let x = x.as_array();
    (x.iter().copied().collect(), x.nrows(), x.ncols())
}

/// The 17 features of each row of `x` (windows, samples): an array (windows, 17), NaN where undefined. Spectral ones need
/// a rate.
#[pyfunction]
#[pyo3(signature = (x, rate_hz=None))]
pub fn window_features<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    rate_hz: Option<f64>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    crossings::count();
    rate_hz.map_or(Ok(()), check_rate).map_err(raise)?;
    let (windows, width) = (x.shape().0, WindowFeatures::NAMES.len());
    let (mut scratch, mut features) = (FeatureScratch::new(), Vec::with_capacity(windows * width));
    x.for_each(py, |window| {
        features.extend_from_slice(&WindowFeatures::compute(window, rate_hz, &mut scratch).0);
        Ok(())
    })?;
    features.into_pyarray(py).reshape([windows, width])
}

/// One-sided power spectrum of each row of `x` (rows, n): an array (rows, n / 2 + 1).
#[pyfunction]
pub fn psd<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    rate_hz: f64,
    window: &str,
    scaling: &str,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    crossings::count();
    let window = Window::named(window).map_err(raise)?;
    let scaling = Scaling::named(scaling).map_err(raise)?;
    let (values, count, samples) = rows(&x);
    let lines = py.detach(|| spectra(&values, samples, rate_hz, window, scaling)).map_err(raise)?;
    let width = lines.len() / count.max(1);
    lines.into_pyarray(py).reshape([count, width])
}

fn spectra(x: &[f64], samples: usize, rate_hz: f64, window: Window, scaling: Scaling) -> Result<Vec<f64>, CoreError> {
    check_finite(x)?;
    check_rate(rate_hz)?;
    if samples == 0 {
        return Err(invalid("samples", &samples, "at least 1"));
    }
    let (mut planner, mut line, mut lines) = (SpectrumPlanner::new(), Vec::new(), Vec::new());
    for row in x.chunks_exact(samples) {
        planner.psd(row, rate_hz, window, scaling, &mut line)?;
        lines.extend_from_slice(&line);
    }
    Ok(lines)
}

/// Score of each value against the `window` values before it; NaN until there are as many.
#[pyfunction]
pub fn modified_z<'py>(
    py: Python<'py>,
    x: PyReadonlyArray1<'py, f64>,
    window: usize,
    boundary: f64,
    resolution: f64,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    crossings::count();
    let values: Vec<f64> = x.as_array().to_vec();
    let scores = py.detach(|| modified_z_scores(&values, window, boundary, resolution)).map_err(raise)?;
    Ok(scores.into_pyarray(py))
}

fn modified_z_scores(x: &[f64], window: usize, boundary: f64, resolution: f64) -> Result<Vec<f64>, CoreError> {
    check_finite(x)?;
    if !(2..=1_000_000).contains(&window) {
        return Err(invalid("window", &window, "between 2 and 1000000 values"));
    }
    if !(boundary.is_finite() && boundary > 0.0) {
        return Err(invalid("boundary", &boundary, "a positive number"));
    }
    if !(resolution.is_finite() && resolution >= 0.0) {
        return Err(invalid("resolution", &resolution, "0 or a positive number"));
    }
    let mut before = RollingWindow::new(window);
    let score = |x: &f64| {
        let (median, mad) = before.median_and_mad();
        let score = if before.is_full() { z_score(*x, median, mad, resolution).abs() / boundary } else { f64::NAN };
        before.push(*x);
        score
    };
    Ok(x.iter().map(score).collect())
}
