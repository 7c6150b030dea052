//! Order tracking, synchronous averages, cepstra and gear lines.

use iotpm_core::{
    spectrum::Window,
    vibration::{
        self, Between, Detrend,
        gear::{GearFrequencies, GearPair, MeshSearch, Shaft, mesh_families},
        order,
    },
};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::{
    crossings,
    errors::raise,
    rows::{Rows, check_finite},
    vibration::with_planner,
};

type Array1<'py> = Bound<'py, PyArray1<f64>>;
type Array2<'py> = Bound<'py, PyArray2<f64>>;

/// Positions, in samples, of samples equally spaced in angle, from the speed in Hz at each sample.
#[pyfunction]
pub fn order_positions_from_speed<'py>(
    py: Python<'py>,
    speed_hz: PyReadonlyArray1<'py, f64>,
    rate_hz: f64,
    samples_per_rev: usize,
) -> PyResult<Array1<'py>> {
    crossings::count();
    let speed_hz = speed_hz.as_array().to_vec();
    let found = py.detach(|| order::positions_from_speed(&speed_hz, rate_hz, samples_per_rev));
    Ok(found.map_err(raise)?.into_pyarray(py))
}

/// Positions, in samples, of samples equally spaced in angle, from the times of tacho pulses.
#[pyfunction]
pub fn order_positions_from_pulses<'py>(
    py: Python<'py>,
    pulses_s: PyReadonlyArray1<'py, f64>,
    pulses_per_rev: usize,
    samples: usize,
    rate_hz: f64,
    samples_per_rev: usize,
) -> PyResult<Array1<'py>> {
    crossings::count();
    let pulses_s = pulses_s.as_array().to_vec();
    let work = || order::positions_from_pulses(&pulses_s, pulses_per_rev, samples, rate_hz, samples_per_rev);
    Ok(py.detach(work).map_err(raise)?.into_pyarray(py))
}

/// Times in seconds at which a tacho signal rises through a threshold.
#[pyfunction]
pub fn tacho_pulses<'py>(
    py: Python<'py>,
    tacho: PyReadonlyArray1<'py, f64>,
    rate_hz: f64,
    threshold: f64,
    hysteresis: f64,
) -> PyResult<Array1<'py>> {
    crossings::count();
    let tacho = tacho.as_array().to_vec();
    check_finite(&tacho).map_err(raise)?;
    let found = py.detach(|| order::pulses(&tacho, rate_hz, threshold, hysteresis));
    Ok(found.map_err(raise)?.into_pyarray(py))
}

/// Each row of `x` at positions within it: an array (rows, positions).
#[pyfunction]
pub fn interpolate<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    positions: PyReadonlyArray1<'py, f64>,
    interpolation: &str,
) -> PyResult<Array2<'py>> {
    crossings::count();
    let between = Between::named(interpolation).map_err(raise)?;
    let positions = positions.as_array().to_vec();
    x.map(py, positions.len(), |x, row| {
        *row = vibration::interpolate(x, &positions, between)?;
        Ok(())
    })
}

/// Mean of each row over its whole revolutions: an array (rows, `samples_per_rev`).
#[pyfunction]
pub fn synchronous_average<'py>(py: Python<'py>, x: Rows<'py>, samples_per_rev: usize) -> PyResult<Array2<'py>> {
    crossings::count();
    x.map(py, samples_per_rev, |x, row| {
        *row = vibration::synchronous_average(x, samples_per_rev)?.0;
        Ok(())
    })
}

/// Real cepstrum of each row, of the shape of `x`.
#[pyfunction]
pub fn cepstrum<'py>(py: Python<'py>, x: Rows<'py>, window: &str, detrend: &str) -> PyResult<Array2<'py>> {
    crossings::count();
    let (window, detrend) = (Window::named(window).map_err(raise)?, Detrend::named(detrend).map_err(raise)?);
    let width = x.shape().1;
    with_planner(|planner| x.map(py, width, |x, row| vibration::cepstrum(planner, x, window, detrend, row)))
}

/// The greatest peaks of a cepstrum between two quefrencies: (index, quefrency in seconds, value) of each.
#[pyfunction]
pub fn quefrency_peaks(
    cepstrum: PyReadonlyArray1<'_, f64>,
    rate_hz: f64,
    least_s: f64,
    most_s: f64,
    count: usize,
) -> PyResult<Vec<(usize, f64, f64)>> {
    crossings::count();
    let cepstrum = cepstrum.as_array().to_vec();
    let found = vibration::quefrency_peaks(&cepstrum, rate_hz, [least_s, most_s], count).map_err(raise)?;
    Ok(found.into_iter().map(|peak| (peak.index, peak.quefrency_s, peak.value)).collect())
}

fn frequencies(pinion_teeth: u32, wheel_teeth: u32, pinion_hz: f64) -> PyResult<GearFrequencies> {
    GearPair::new(pinion_teeth, wheel_teeth).and_then(|pair| pair.frequencies(pinion_hz)).map_err(raise)
}

/// Pinion, wheel, mesh, assembly phase and hunting tooth frequency of a pair of gears, Hz.
#[pyfunction]
pub fn gear_frequencies(pinion_teeth: u32, wheel_teeth: u32, pinion_hz: f64) -> PyResult<[f64; 5]> {
    crossings::count();
    let found = frequencies(pinion_teeth, wheel_teeth, pinion_hz)?;
    Ok([found.pinion, found.wheel, found.mesh, found.assembly_phase, found.hunting_tooth])
}

/// Harmonic, shaft, frequencies in Hz, amplitudes and sideband ratio of one family.
type Family = (u32, &'static str, Vec<f64>, Vec<f64>, f64);

/// Mesh harmonics and their sidebands in an amplitude spectrum.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "keywords of the Python function")]
pub fn gear_families(
    lines: PyReadonlyArray1<'_, f64>,
    spacing_hz: f64,
    pinion_teeth: u32,
    wheel_teeth: u32,
    pinion_hz: f64,
    harmonics: u32,
    sidebands: u32,
    tolerance: f64,
) -> PyResult<Vec<Family>> {
    crossings::count();
    let frequencies = frequencies(pinion_teeth, wheel_teeth, pinion_hz)?;
    let lines = lines.as_array().to_vec();
    let search = MeshSearch { harmonics, sidebands, tolerance };
    let found = mesh_families(&lines, spacing_hz, &frequencies, &search).map_err(raise)?;
    let name = |shaft| if shaft == Shaft::Pinion { "pinion" } else { "wheel" };
    Ok(found
        .into_iter()
        .map(|found| (found.harmonic, name(found.shaft), found.frequency_hz, found.amplitude, found.sideband_ratio))
        .collect())
}
