//! Detectors of many signals, and thresholds for an alarm budget, on plain arrays.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iotpm_core::{
    calibration::{Tail, TailOptions},
    multivariate::{AssetFrame, Method, Model, Scorer, Settings, estimators},
};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::{prelude::*, types::PyBytes};

use crate::{
    crossings,
    errors::{input, raise},
};

type Matrix<'py> = Bound<'py, PyArray2<f64>>;
type Vector<'py> = Bound<'py, PyArray1<f64>>;
/// Channel, score, contributors (column, share, expected, usual, actual, direction), columns that are missing.
type Reasons = (&'static str, f64, Vec<(usize, f64, f64, f64, f64, i8)>, Vec<usize>);

/// Times (n) of rows, their values (n, columns), and how many readings were late, empty and bad.
type Rows<'py> = (Bound<'py, PyArray1<i64>>, Matrix<'py>, (u64, u64, u64));

fn values_of(rows: &PyReadonlyArray2<'_, f64>) -> (Vec<f64>, usize) {
    let rows = rows.as_array();
    (rows.iter().copied().collect(), rows.ncols())
}

fn table(py: Python<'_>, values: Vec<f64>, columns: usize) -> PyResult<Matrix<'_>> {
    let rows = values.len() / columns.max(1);
    values.into_pyarray(py).reshape([rows, columns])
}

/// A fitted model of many signals.
#[pyclass(frozen)]
pub struct MultivariateModel {
    model: Arc<Model>,
}

#[pymethods]
impl MultivariateModel {
    /// Fits to healthy rows (n, columns).
    #[staticmethod]
    #[pyo3(signature = (rows, method, false_alarm_rate, energy, clean, seed, resolution))]
    #[allow(clippy::too_many_arguments, reason = "the Python class names them")]
    fn fit(
        py: Python<'_>,
        rows: PyReadonlyArray2<'_, f64>,
        method: &str,
        false_alarm_rate: f64,
        energy: bool,
        clean: bool,
        seed: u64,
        resolution: Vec<f64>,
    ) -> PyResult<Self> {
        crossings::count();
        let method = Method::from_name(method).map_err(raise)?;
        let settings = Settings { method, false_alarm_rate, energy, clean, seed, resolution, ..Settings::default() };
        let (values, columns) = values_of(&rows);
        let model = py.detach(|| Model::fit(&values, columns, &settings)).map_err(raise)?;
        Ok(Self { model: Arc::new(model) })
    }

    /// A model from its bytes.
    #[staticmethod]
    fn from_bytes(blob: &[u8]) -> PyResult<Self> {
        crossings::count();
        Ok(Self { model: Arc::new(Model::from_bytes(blob).map_err(raise)?) })
    }

    /// The model as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        crossings::count();
        Ok(PyBytes::new(py, &self.model.to_bytes().map_err(raise)?))
    }

    /// Hash of the model, 16 hex digits.
    #[getter]
    fn hash(&self) -> PyResult<String> {
        Ok(format!("{:016x}", self.model.hash().map_err(raise)?))
    }

    /// Columns of a row.
    #[getter]
    fn columns(&self) -> usize {
        self.model.columns()
    }

    /// Names of the channels that count.
    #[getter]
    fn channels(&self) -> Vec<&'static str> {
        self.model.channels().to_vec()
    }

    /// Raw statistic at 1.0.
    #[getter]
    fn limit(&self) -> f64 {
        self.model.limit()
    }

    /// Rows that the estimates are of.
    #[getter]
    fn training_rows(&self) -> u64 {
        self.model.training_rows()
    }

    /// Rows left out of the limit as contaminated.
    #[getter]
    fn cleaned_rows(&self) -> u64 {
        self.model.cleaned_rows()
    }

    /// `learning` or `mature`.
    #[getter]
    fn maturity(&self) -> &'static str {
        self.model.maturity().name()
    }
}

/// A stream of rows scored against a model.
#[pyclass(frozen)]
pub struct MultivariateScorer {
    scorer: Mutex<Scorer>,
}

impl MultivariateScorer {
    fn lock(&self) -> MutexGuard<'_, Scorer> {
        self.scorer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn score_rows(scorer: &mut Scorer, values: &[f64], columns: usize) -> iotpm_core::Result<Vec<f64>> {
    let mut parts = Vec::with_capacity(2 * (values.len() / columns.max(1)));
    for row in values.chunks_exact(columns.max(1)) {
        scorer.score(row)?;
        parts.extend(scorer.parts());
    }
    Ok(parts)
}

#[pymethods]
impl MultivariateScorer {
    /// A new stream, or one where a state left it.
    #[new]
    #[pyo3(signature = (model, state=None))]
    fn new(model: &MultivariateModel, state: Option<&[u8]>) -> PyResult<Self> {
        crossings::count();
        let model = Arc::clone(&model.model);
        let scorer = match state {
            None => Ok(Scorer::new(model)),
            Some(state) => Scorer::restore(model, state),
        };
        Ok(Self { scorer: Mutex::new(scorer.map_err(raise)?) })
    }

    /// Channels (n, 2) of the next rows (n, columns): their squares sum to the square of the score; NaN where too much is
    /// missing.
    fn score<'py>(&self, py: Python<'py>, rows: PyReadonlyArray2<'py, f64>) -> PyResult<Matrix<'py>> {
        crossings::count();
        let (values, columns) = values_of(&rows);
        let parts = py.detach(|| score_rows(&mut self.lock(), &values, columns)).map_err(raise)?;
        table(py, parts, 2)
    }

    /// Why the newest row, which was `row`, has its score.
    fn explain(&self, row: PyReadonlyArray1<'_, f64>) -> Reasons {
        crossings::count();
        let found = self.lock().explain(&row.as_array().to_vec());
        let parts = found.contributors.iter();
        let parts = parts.map(|part| (part.column, part.share, part.expected, part.usual, part.actual, part.direction));
        (found.channel, found.score, parts.collect(), found.missing)
    }

    /// The stream's state.
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        crossings::count();
        Ok(PyBytes::new(py, &self.lock().snapshot().map_err(raise)?))
    }
}

/// Rows of an asset from readings of its signals: times (n) of the rows and their values (n, columns).
#[pyfunction]
pub fn align_frames<'py>(
    py: Python<'py>,
    columns: usize,
    period_us: i64,
    age_max_us: i64,
    lateness_us: i64,
    readings: (PyReadonlyArray1<'py, u32>, PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, f64>),
) -> PyResult<Rows<'py>> {
    crossings::count();
    let (column, time, value) = (readings.0.as_array(), readings.1.as_array(), readings.2.as_array());
    if column.len() != time.len() || time.len() != value.len() {
        return Err(input("columns, times and values: must be of equal length"));
    }
    let mut frame = AssetFrame::new(columns, period_us, age_max_us, lateness_us).map_err(raise)?;
    let mut rows = Vec::new();
    for ((column, time), value) in column.iter().zip(time).zip(value) {
        frame.push(*column as usize, *time, *value, &mut rows).map_err(raise)?;
    }
    frame.finish(&mut rows);
    let times: Vec<i64> = rows.iter().map(|row| row.time_us).collect();
    let values = rows.into_iter().flat_map(|row| row.values).collect();
    let counters = frame.counters();
    Ok((times.into_pyarray(py), table(py, values, columns)?, (counters.late, counters.empty, counters.bad)))
}

/// The tail of a healthy period's scores.
#[pyclass(frozen)]
pub struct HealthyTail {
    tail: Tail,
}

#[pymethods]
impl HealthyTail {
    /// Fits to scores in time order.
    #[new]
    fn new(
        py: Python<'_>,
        healthy: PyReadonlyArray1<'_, f64>,
        tail_share: f64,
        run_gap: usize,
        confidence: f64,
        effect_min: f64,
    ) -> PyResult<Self> {
        crossings::count();
        let options = TailOptions { tail_share, run_gap, confidence, effect_min };
        let scores = healthy.as_array().to_vec();
        Ok(Self { tail: py.detach(|| Tail::fit(&scores, options)).map_err(raise)? })
    }

    /// Value, lower and upper end of its interval, whether it is extrapolated.
    fn threshold(&self, py: Python<'_>, alarms: f64, rows: f64) -> PyResult<(f64, f64, f64, bool)> {
        crossings::count();
        let found = py.detach(|| self.tail.threshold(alarms, rows)).map_err(raise)?;
        Ok((found.value, found.low, found.high, found.extrapolated))
    }

    /// Healthy alarms expected in so many rows at a threshold.
    fn expected_alarms(&self, threshold: f64, rows: f64) -> f64 {
        self.tail.expected_alarms(threshold, rows)
    }

    /// Where the tail begins, its shape and scale, peaks, rows.
    #[getter]
    fn parameters(&self) -> (f64, f64, f64, u64, u64) {
        let pareto = self.tail.pareto();
        (self.tail.beginning(), pareto.shape, pareto.scale, self.tail.peaks(), self.tail.rows())
    }
}

/// Shrunk covariance of zero-mean rows, and the identity's weight.
#[pyfunction]
pub fn ledoit_wolf<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, f64>) -> PyResult<(Matrix<'py>, f64)> {
    crossings::count();
    let (values, columns) = values_of(&rows);
    let (covariance, weight) = py.detach(|| estimators::ledoit_wolf(&values, columns)).map_err(raise)?;
    Ok((table(py, covariance, columns)?, weight))
}

/// Robust distances of rows, and their robust centre.
#[pyfunction]
pub fn robust_distances<'py>(
    py: Python<'py>,
    rows: PyReadonlyArray2<'py, f64>,
    seed: u64,
) -> PyResult<(Vector<'py>, Vector<'py>)> {
    crossings::count();
    let (values, columns) = values_of(&rows);
    let (distances, centre) = py.detach(|| estimators::robust_distances(&values, columns, seed)).map_err(raise)?;
    Ok((distances.into_pyarray(py), centre.into_pyarray(py)))
}

/// Variances and principal axes of zero-mean rows.
#[pyfunction]
pub fn principal_axes<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, f64>) -> PyResult<(Vector<'py>, Matrix<'py>)> {
    crossings::count();
    let (values, columns) = values_of(&rows);
    let (variances, axes) = py.detach(|| estimators::principal_axes(&values, columns)).map_err(raise)?;
    Ok((variances.into_pyarray(py), table(py, axes, columns)?))
}

/// Isolation scores of rows by a forest grown of them.
#[pyfunction]
pub fn isolation_scores<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, f64>, seed: u64) -> PyResult<Vector<'py>> {
    crossings::count();
    let (values, columns) = values_of(&rows);
    Ok(py.detach(|| estimators::isolation_scores(&values, columns, seed)).map_err(raise)?.into_pyarray(py))
}
