//! Diagnosis of machines from records of vibration: bearings, gears, severity, units.

use iotpm_codec::unit;
use iotpm_core::{
    CoreError,
    spectrum::SpectrumPlanner,
    vibration::{
        FrequencyBand,
        bearing::{self, Bearing, Diagnosis, DiagnosisOptions, Element, Evidence, ModulationBand, Verdict},
        iso20816::{self, Boundaries, Motion},
    },
};
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::{prelude::*, types::PyDict};

use crate::{
    crossings,
    errors::{input, raise},
};

/// Balls, their diameter and that of their circle in mm, contact angle in degrees.
type Geometry = (u32, f64, f64, f64);

fn bearing_of((balls, ball_diameter_mm, pitch_diameter_mm, contact_angle_deg): Geometry) -> Result<Bearing, CoreError> {
    Bearing::new(balls, ball_diameter_mm, pitch_diameter_mm, contact_angle_deg)
}

/// The record, copied in; all samples finite.
fn record(x: &PyReadonlyArray1<'_, f64>) -> PyResult<Vec<f64>> {
    let values: Vec<f64> = x.as_array().to_vec();
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(at) => Err(input(format!("x[{at}] = {}: must be finite; leave bad samples out", values[at]))),
    }
}

/// BPFO, BPFI, BSF and FTF of a bearing as multiples of the shaft's frequency.
#[pyfunction]
pub fn bearing_orders(geometry: Geometry) -> PyResult<(f64, f64, f64, f64)> {
    crossings::count();
    let orders = bearing_of(geometry).map_err(raise)?.orders();
    Ok((orders.bpfo, orders.bpfi, orders.bsf, orders.ftf))
}

/// Diagnoses a bearing: `verdict` (`fault`, `undetermined`, `none`), `element`, `reason`, `evidence`, and the modulation of
/// the band with most to show (`band_hz`, `spacing_hz`, `power`, `floor`).
#[pyfunction]
pub fn bearing_diagnose<'py>(
    py: Python<'py>,
    x: PyReadonlyArray1<'py, f64>,
    rate_hz: f64,
    shaft_hz: f64,
    geometry: Geometry,
    slip: f64,
) -> PyResult<Bound<'py, PyDict>> {
    crossings::count();
    let (values, bearing) = (record(&x)?, bearing_of(geometry).map_err(raise)?);
    let run = || {
        let options = DiagnosisOptions { slip };
        bearing::diagnose(&mut SpectrumPlanner::new(), &values, rate_hz, shaft_hz, &bearing, &options)
    };
    let diagnosis = py.detach(run).map_err(raise)?;
    dict_of(py, &diagnosis)
}

fn dict_of<'py>(py: Python<'py>, diagnosis: &Diagnosis) -> PyResult<Bound<'py, PyDict>> {
    let (verdict, element, reason) = match &diagnosis.verdict {
        Verdict::Fault(element) => ("fault", Some(element.name()), None),
        Verdict::Undetermined(reason) => ("undetermined", None, Some(reason.to_string())),
        Verdict::None => ("none", None, None),
    };
    let dict = PyDict::new(py);
    dict.set_item("verdict", verdict)?;
    dict.set_item("element", element)?;
    dict.set_item("reason", reason)?;
    let evidence = diagnosis.evidence.iter().map(|found| evidence_of(py, diagnosis, found));
    dict.set_item("evidence", evidence.collect::<PyResult<Vec<_>>>()?)?;
    dict.set_item("spacing_hz", diagnosis.modulation.spacing_hz)?;
    let band = diagnosis.strongest().map(|found| &diagnosis.modulation.bands[found.band]);
    set_band(&dict, band)?;
    Ok(dict)
}

fn set_band(dict: &Bound<'_, PyDict>, band: Option<&ModulationBand>) -> PyResult<()> {
    let array = |values: Option<&Vec<f64>>| PyArray1::from_slice(dict.py(), values.map_or(&[][..], Vec::as_slice));
    dict.set_item("band_hz", band.map(|band| (band.band.low_hz, band.band.high_hz)))?;
    dict.set_item("power", array(band.map(|band| &band.power)))?;
    dict.set_item("floor", array(band.map(|band| &band.floor)))
}

fn evidence_of<'py>(py: Python<'py>, diagnosis: &Diagnosis, found: &Evidence) -> PyResult<Bound<'py, PyDict>> {
    let band = diagnosis.modulation.bands[found.band].band;
    let dict = PyDict::new(py);
    dict.set_item("element", found.element.name())?;
    dict.set_item("line", found.element.line())?;
    dict.set_item("nominal_hz", found.nominal_hz)?;
    dict.set_item("slip", found.slip)?;
    dict.set_item("band_hz", (band.low_hz, band.high_hz))?;
    dict.set_item("strength", found.strength)?;
    dict.set_item("depth", found.depth)?;
    let lines = found.lines.iter().map(|line| (line.harmonic, line.frequency_hz, line.ratio));
    dict.set_item("lines", lines.collect::<Vec<_>>())?;
    let sidebands = found.sidebands.iter().map(|side| (side.harmonic, side.side, side.frequency_hz, side.ratio));
    dict.set_item("sidebands", sidebands.collect::<Vec<_>>())?;
    Ok(dict)
}

/// Names of the elements of a bearing and of their lines.
#[pyfunction]
pub fn bearing_elements() -> Vec<(&'static str, &'static str)> {
    crossings::count();
    Element::ALL.map(|element| (element.name(), element.line())).to_vec()
}

/// RMS of the motion `wanted` within a band, from samples of the motion `given`: `displacement`, `velocity`,
/// `acceleration`.
#[pyfunction]
pub fn band_rms(
    py: Python<'_>,
    x: PyReadonlyArray1<'_, f64>,
    rate_hz: f64,
    band_hz: (f64, f64),
    given: &str,
    wanted: &str,
) -> PyResult<f64> {
    crossings::count();
    let values = record(&x)?;
    let (given, wanted) = (motion(given)?, motion(wanted)?);
    let band = FrequencyBand { low_hz: band_hz.0, high_hz: band_hz.1 };
    py.detach(|| iso20816::band_rms(&mut SpectrumPlanner::new(), &values, rate_hz, band, given, wanted)).map_err(raise)
}

fn motion(name: &str) -> PyResult<Motion> {
    match name {
        "displacement" => Ok(Motion::Displacement),
        "velocity" => Ok(Motion::Velocity),
        "acceleration" => Ok(Motion::Acceleration),
        _ => Err(input(format!("motion = {name}: must be displacement, velocity or acceleration"))),
    }
}

/// Zone of a magnitude by the boundaries A/B, B/C and C/D.
#[pyfunction]
pub fn severity_zone(magnitude: f64, boundaries: (f64, f64, f64)) -> PyResult<&'static str> {
    crossings::count();
    let boundaries = Boundaries::new(boundaries.0, boundaries.1, boundaries.2).map_err(raise)?;
    boundaries.zone(magnitude).map(iso20816::Zone::name).map_err(raise)
}

/// Factor and offset from one UCUM unit to another: `value * factor + offset`.
#[pyfunction]
pub fn unit_conversion(from_unit: &str, to_unit: &str) -> PyResult<(f64, f64)> {
    crossings::count();
    let conversion = unit::conversion(from_unit, to_unit).map_err(|error| input(error.to_string()))?;
    Ok((conversion.factor, conversion.offset))
}
