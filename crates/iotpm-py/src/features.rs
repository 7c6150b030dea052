//! Features, spectra and scores of plain arrays.

use iotpm_core::{
    CoreError,
    features::{FeatureScratch, WindowFeatures},
    robust::{RollingWindow, modified_z as z_score},
    spectrum::{Scaling, SpectrumPlanner, Window},
};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;

use crate::{crossings, errors::raise};

/// Names of the features, in the order of the columns of [`window_features`].
#[pyfunction]
pub fn feature_names() -> [&'static str; 17] {
    crossings::count();
    WindowFeatures::NAMES
}

fn invalid(name: &'static str, value: &dyn ToString, allowed: &'static str) -> CoreError {
    CoreError::InvalidParameter { name, value: value.to_string(), allowed }
}

fn check_finite(values: &[f64]) -> Result<(), CoreError> {
    match values.iter().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) => Err(invalid("x", &value, "finite; leave bad samples out")),
    }
}

fn check_rate(rate_hz: f64) -> Result<(), CoreError> {
    if rate_hz.is_finite() && rate_hz > 0.0 {
        Ok(())
    } else {
        Err(invalid("rate_hz", &rate_hz, "a positive number of hertz"))
    }
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
    x: PyReadonlyArray2<'py, f64>,
    rate_hz: Option<f64>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    crossings::count();
    let (values, windows, samples) = rows(&x);
    let features = py.detach(|| features_of(&values, windows, samples, rate_hz)).map_err(raise)?;
    features.into_pyarray(py).reshape([windows, WindowFeatures::NAMES.len()])
}

fn features_of(x: &[f64], windows: usize, samples: usize, rate_hz: Option<f64>) -> Result<Vec<f64>, CoreError> {
    check_finite(x)?;
    rate_hz.map_or(Ok(()), check_rate)?;
    let mut scratch = FeatureScratch::new();
    let window = |row: usize| &x[row * samples..(row + 1) * samples];
    Ok((0..windows).flat_map(|row| WindowFeatures::compute(window(row), rate_hz, &mut scratch).0).collect())
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
    let (window, scaling) = (window_of(window).map_err(raise)?, scaling_of(scaling).map_err(raise)?);
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

fn window_of(name: &str) -> Result<Window, CoreError> {
    match name {
        "hann" => Ok(Window::Hann),
        "boxcar" => Ok(Window::Boxcar),
        _ => Err(invalid("window", &name, "hann or boxcar")),
    }
}

fn scaling_of(name: &str) -> Result<Scaling, CoreError> {
    match name {
        "density" => Ok(Scaling::Density),
        "spectrum" => Ok(Scaling::Spectrum),
        _ => Err(invalid("scaling", &name, "density or spectrum")),
    }
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
