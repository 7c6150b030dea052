//! Condition monitoring on plain arrays: (rows, samples), any stride, f32 or f64; one row at a time, without the GIL.

use std::cell::Cell;

use iotpm_codec::unit::conversion;
use iotpm_core::{
    CoreError,
    spectrum::{SAMPLES_MAX, Scaling, SpectrumPlanner, Window},
    vibration::{
        self, Average, BandFeatures, ChannelAnalyser, ChannelFeatures, ChannelOptions, Detrend, FrequencyBand,
        HighPass, Interpolation, Kurtogram, PeakOptions, Welch,
    },
};
use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    ndarray::{ArrayView2, ArrayViewMut2, Axis},
};
use pyo3::prelude::*;

use crate::{
    crossings,
    errors::{input, raise},
    rows::{Rows, invalid},
};

type Array2<'py, T> = Bound<'py, PyArray2<T>>;
type Array1<'py, T> = Bound<'py, PyArray1<T>>;

thread_local! {
    /// Planning a transform takes several times as long as doing it: each thread keeps what it planned.
    static PLANNER: Cell<Option<SpectrumPlanner>> = const { Cell::new(None) };
}

/// Samples of all plans above which a thread keeps none of them: some 100 MB.
const PLANNED_MAX: usize = 1 << 20;

/// Calls `work` with this thread's plans.
pub fn with_planner<T>(work: impl FnOnce(&mut SpectrumPlanner) -> T) -> T {
    let mut planner = PLANNER.take().unwrap_or_default();
    let done = work(&mut planner);
    if planner.planned_samples() <= PLANNED_MAX {
        PLANNER.set(Some(planner));
    }
    done
}

/// Rows of `width` that `work` makes of the rows of `x`.
fn mapped<'py>(
    py: Python<'py>,
    x: &Rows<'py>,
    width: usize,
    mut work: impl FnMut(&mut SpectrumPlanner, &[f64], &mut Vec<f64>) -> Result<(), CoreError> + Send,
) -> PyResult<Array2<'py, f64>> {
    with_planner(|planner| x.map(py, width, |x, row| work(planner, x, row)))
}

/// Welch's one-sided power spectrum of each row: an array (rows, `fft_length` / 2 + 1).
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "keywords of the Python function")]
pub fn welch<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    rate_hz: f64,
    window: &str,
    segment: usize,
    overlap: usize,
    fft_length: usize,
    detrend: &str,
    scaling: &str,
    average: &str,
) -> PyResult<Array2<'py, f64>> {
    crossings::count();
    let options = Welch {
        window: Window::named(window).map_err(raise)?,
        segment,
        overlap,
        fft_length,
        detrend: Detrend::named(detrend).map_err(raise)?,
        scaling: Scaling::named(scaling).map_err(raise)?,
        average: Average::named(average).map_err(raise)?,
    };
    let width = fft_length.min(SAMPLES_MAX) / 2 + 1;
    mapped(py, &x, width, move |planner, x, lines| vibration::welch(planner, x, rate_hz, &options, lines))
}

/// Amplitude spectrum of each row: an array (rows, n / 2 + 1).
#[pyfunction]
pub fn amplitude_spectrum<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    window: &str,
    detrend: &str,
) -> PyResult<Array2<'py, f64>> {
    crossings::count();
    let (window, detrend) = (Window::named(window).map_err(raise)?, Detrend::named(detrend).map_err(raise)?);
    let width = x.shape().1 / 2 + 1;
    mapped(py, &x, width, move |planner, x, lines| vibration::amplitude(planner, x, window, detrend, lines))
}

/// Envelope of a band of each row, of the shape of `x`; `bands` are (low, high) in hertz, one for each row.
#[pyfunction]
pub fn envelope<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    rate_hz: f64,
    bands: Vec<(f64, f64)>,
) -> PyResult<Array2<'py, f64>> {
    crossings::count();
    let (rows, width) = x.shape();
    if bands.len() != rows {
        return Err(raise(invalid("bands", &bands.len(), "one for each row")));
    }
    let mut bands = bands.into_iter();
    mapped(py, &x, width, move |planner, x, envelope| {
        let (low_hz, high_hz) = bands.next().unwrap_or_default();
        vibration::envelope(planner, x, rate_hz, FrequencyBand { low_hz, high_hz }, envelope)
    })
}

/// Kurtogram of each row: an array (cells, 3) of level, lower and upper limit in hertz, and kurtosis (rows, cells).
#[pyfunction]
pub fn kurtogram<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    rate_hz: f64,
    levels: Option<usize>,
) -> PyResult<(Array2<'py, f64>, Array2<'py, f64>)> {
    crossings::count();
    let (mut kurtosis, mut last) = (Vec::new(), None);
    with_planner(|planner| {
        x.for_each(py, |x| {
            let found = vibration::kurtogram(planner, x, rate_hz, levels)?;
            kurtosis.extend(found.cells.iter().map(|cell| cell.kurtosis));
            last = Some(found);
            Ok(())
        })
    })?;
    let cells = grid(last);
    let count = cells.len() / 3;
    Ok((cells.into_pyarray(py).reshape([count, 3])?, kurtosis.into_pyarray(py).reshape([x.shape().0, count])?))
}

fn grid(kurtogram: Option<Kurtogram>) -> Vec<f64> {
    let cells = kurtogram.into_iter().flat_map(|kurtogram| kurtogram.cells);
    cells.flat_map(|cell| [cell.level, cell.low_hz, cell.high_hz]).collect()
}

/// Peaks of a spectrum: line, frequency in hertz, value and prominence of each, by frequency.
#[pyfunction]
#[allow(clippy::type_complexity, reason = "four columns")]
pub fn spectrum_peaks<'py>(
    py: Python<'py>,
    lines: PyReadonlyArray1<'py, f64>,
    spacing_hz: f64,
    interpolation: &str,
    squared: bool,
    prominence_min: f64,
    count: Option<usize>,
) -> PyResult<(Array1<'py, u64>, Array1<'py, f64>, Array1<'py, f64>, Array1<'py, f64>)> {
    crossings::count();
    let options = PeakOptions { interpolation: interpolation_of(interpolation)?, squared, prominence_min, count };
    let lines = lines.as_array().to_vec();
    let peaks = py.detach(|| vibration::peaks(&lines, spacing_hz, &options)).map_err(raise)?;
    let column = |of: fn(&vibration::Peak) -> f64| peaks.iter().map(of).collect::<Vec<_>>().into_pyarray(py);
    let line = peaks.iter().map(|peak| peak.line as u64).collect::<Vec<_>>().into_pyarray(py);
    Ok((line, column(|peak| peak.frequency_hz), column(|peak| peak.value), column(|peak| peak.prominence)))
}

fn interpolation_of(name: &str) -> PyResult<Interpolation> {
    match name {
        "parabola" => Ok(Interpolation::Parabola),
        "hann" => Ok(Interpolation::Hann),
        "boxcar" => Ok(Interpolation::Boxcar),
        _ => Err(raise(invalid("interpolation", &name, "parabola, hann or boxcar"))),
    }
}

/// What a band of each row of powers holds: (rows, 5) of power, centroid, roll-off, entropy, flatness.
#[pyfunction]
pub fn spectrum_band<'py>(
    py: Python<'py>,
    lines: Rows<'py>,
    spacing_hz: f64,
    unit_power: f64,
    low_hz: f64,
    high_hz: f64,
    roll_off: f64,
) -> PyResult<Array2<'py, f64>> {
    crossings::count();
    let band = FrequencyBand { low_hz, high_hz };
    mapped(py, &lines, 5, move |_, lines, row| {
        let found = BandFeatures::of(lines, spacing_hz, unit_power, band, roll_off)?;
        row.clear();
        row.extend([found.power, found.centroid_hz, found.roll_off_hz, found.entropy, found.flatness]);
        Ok(())
    })
}

/// Velocity of each row of acceleration, mm/s, of the shape of `x`.
#[pyfunction]
pub fn velocity<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    rate_hz: f64,
    unit: &str,
    high_pass_hz: f64,
    order: u32,
) -> PyResult<Array2<'py, f64>> {
    crossings::count();
    let (factor, width) = (to_mm_per_s2(unit)?, x.shape().1);
    let high_pass = HighPass { cutoff_hz: high_pass_hz, order };
    mapped(py, &x, width, move |planner, x, v| {
        vibration::velocity(planner, x, rate_hz, high_pass, v)?;
        v.iter_mut().for_each(|v| *v *= factor);
        Ok(())
    })
}

/// Velocity RMS in a band of each row of acceleration, mm/s.
#[pyfunction]
pub fn velocity_rms<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    rate_hz: f64,
    unit: &str,
    low_hz: f64,
    high_hz: f64,
) -> PyResult<Array2<'py, f64>> {
    crossings::count();
    let (factor, band) = (to_mm_per_s2(unit)?, FrequencyBand { low_hz, high_hz });
    mapped(py, &x, 1, move |planner, x, row| {
        row.clear();
        row.push(vibration::velocity_rms(planner, x, rate_hz, band)? * factor);
        Ok(())
    })
}

/// An unstated unit would be a silent factor.
fn to_mm_per_s2(unit: &str) -> PyResult<f64> {
    if unit.trim().is_empty() {
        return Err(raise(invalid("unit", &"''", "that of the acceleration: m/s2, mm/s2 or [g]")));
    }
    let hint = if unit == "g" { "; g is gram in UCUM, acceleration of gravity is [g]" } else { "" };
    let conversion = conversion(unit, "mm/s2").map_err(|error| input(format!("unit: {error}{hint}")))?;
    Ok(conversion.factor)
}

/// Names of the columns of [`channels`]'s figures.
#[pyfunction]
pub fn channel_feature_names() -> [&'static str; 6] {
    crossings::count();
    ChannelFeatures::NAMES
}

/// Everything that is watched on channels, each row a block of one: figures (rows, 6), and the spectra of amplitude and of
/// the envelope, (rows, n / 2 + 1) each.
#[pyfunction]
#[allow(clippy::type_complexity, reason = "three arrays")]
pub fn channels<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f32>,
    rate_hz: f64,
    velocity_band: (f64, f64),
    envelope_band: (f64, f64),
) -> PyResult<(Array2<'py, f64>, Array2<'py, f32>, Array2<'py, f32>)> {
    crossings::count();
    let band = |(low_hz, high_hz)| FrequencyBand { low_hz, high_hz };
    let (rows, samples) = x.as_array().dim();
    let (velocity_band, envelope_band) = (band(velocity_band), band(envelope_band));
    let options = ChannelOptions { rate_hz, samples, velocity_band, envelope_band };
    let mut channels = Channels::new(&options, rows).map_err(raise)?;
    let mut block = vec![0.0; (BLOCK / samples).clamp(1, rows.max(1)) * samples];
    for view in x.as_array().axis_chunks_iter(Axis(0), (block.len() / samples).max(1)) {
        let block = &mut block[..view.len()];
        copy(&view, block)?;
        py.detach(|| channels.add(block)).map_err(raise)?;
    }
    let width = samples / 2 + 1;
    Ok((
        channels.features.into_pyarray(py).reshape([rows, ChannelFeatures::NAMES.len()])?,
        channels.amplitude.into_pyarray(py).reshape([rows, width])?,
        channels.envelope.into_pyarray(py).reshape([rows, width])?,
    ))
}

/// Samples copied in at once: what stays in the cache.
const BLOCK: usize = 1 << 17;

fn copy(view: &ArrayView2<'_, f32>, block: &mut [f32]) -> PyResult<()> {
    let mut to = ArrayViewMut2::from_shape(view.dim(), block).map_err(|error| input(format!("x: {error}")))?;
    to.assign(view);
    Ok(())
}

/// Results of the channels so far.
struct Channels {
    analyser: ChannelAnalyser,
    features: Vec<f64>,
    amplitude: Vec<f32>,
    envelope: Vec<f32>,
}

impl Channels {
    fn new(options: &ChannelOptions, rows: usize) -> Result<Self, CoreError> {
        let analyser = ChannelAnalyser::new(options)?;
        let lines = rows * analyser.lines();
        let room = || Vec::with_capacity(lines);
        Ok(Self { analyser, features: Vec::new(), amplitude: room(), envelope: room() })
    }

    fn add(&mut self, block: &[f32]) -> Result<(), CoreError> {
        for x in block.chunks_exact(self.analyser.samples()) {
            let start = self.amplitude.len();
            self.amplitude.resize(start + self.analyser.lines(), 0.0);
            self.envelope.resize(start + self.analyser.lines(), 0.0);
            let (amplitude, envelope) = (&mut self.amplitude[start..], &mut self.envelope[start..]);
            self.features.extend(self.analyser.analyse(x, amplitude, envelope)?.to_array());
        }
        Ok(())
    }
}
