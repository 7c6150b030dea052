//! Detectors of one signal on arrays.

use std::sync::{Arc, Mutex, MutexGuard};

use iotpm_core::{
    Calendar,
    detect::{RankingLevel, RecordFilter, SERIES_DETECTORS, SeriesScorer as Scorer, Zone},
};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};

use crate::{
    crossings,
    errors::{EngineError, input, raise},
};

/// Names of the detectors of one signal, in order of fusion.
#[pyfunction]
pub fn series_detectors() -> Vec<&'static str> {
    crossings::count();
    SERIES_DETECTORS.to_vec()
}

/// The scores that exceed every one of the last `recent`, 0 elsewhere.
#[pyfunction]
pub fn record_filter<'py>(
    py: Python<'py>,
    scores: PyReadonlyArray1<'py, f64>,
    recent: usize,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    crossings::count();
    if recent == 0 {
        return Err(input("recent = 0: must be at least 1"));
    }
    let scores: Vec<f64> = scores.as_array().to_vec();
    let mut filter = RecordFilter::new(recent);
    Ok(py.detach(|| scores.iter().map(|score| filter.update(*score)).collect::<Vec<_>>()).into_pyarray(py))
}

/// Exponentially weighted level of the scores.
#[pyfunction]
pub fn ranking_level<'py>(py: Python<'py>, scores: PyReadonlyArray1<'py, f64>) -> Bound<'py, PyArray1<f64>> {
    crossings::count();
    let scores: Vec<f64> = scores.as_array().to_vec();
    let mut level = RankingLevel::default();
    py.detach(|| scores.iter().map(|score| level.update(*score)).collect::<Vec<_>>()).into_pyarray(py)
}

/// The detectors of one signal. One call at a time; the GIL is released while it works.
#[pyclass(frozen, module = "iotpm._core")]
pub struct SeriesScorer {
    scorer: Mutex<Scorer>,
}

impl SeriesScorer {
    fn lock(&self) -> PyResult<MutexGuard<'_, Scorer>> {
        self.scorer.lock().map_err(|_| EngineError::new_err("a panic before, reported where it happened"))
    }
}

/// Scores of one reading after the other: one row a reading, one column a detector.
fn scored(scorer: &mut Scorer, values: &[f64], times_us: &[i64]) -> Vec<f64> {
    let mut scores = Vec::with_capacity(values.len() * scorer.parts().count());
    for (value, time_us) in values.iter().zip(times_us) {
        let score = scorer.update(*time_us, *value);
        scores.extend(scorer.parts().map(|part| if score.is_nan() { f64::NAN } else { part }));
    }
    scores
}

#[pymethods]
impl SeriesScorer {
    #[new]
    fn new(detectors: Vec<String>, warm_up: usize, zone: Vec<(i64, i32)>) -> PyResult<Self> {
        crossings::count();
        let calendar = Arc::new(Calendar::from(Zone::new(zone).map_err(raise)?));
        let scorer = Scorer::new(&detectors, warm_up, &calendar).map_err(raise)?;
        Ok(Self { scorer: Mutex::new(scorer) })
    }

    #[staticmethod]
    fn from_bytes(state: &[u8]) -> PyResult<Self> {
        crossings::count();
        Ok(Self { scorer: Mutex::new(Scorer::load(state).map_err(raise)?) })
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        crossings::count();
        Ok(PyBytes::new(py, &self.lock()?.save().map_err(raise)?))
    }

    /// Scores of readings: an array (n, detectors).
    fn update<'py>(
        &self,
        py: Python<'py>,
        values: PyReadonlyArray1<'py, f64>,
        times_us: PyReadonlyArray1<'py, i64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        crossings::count();
        let (values, times_us) = (values.as_array().to_vec(), times_us.as_array().to_vec());
        if values.len() != times_us.len() {
            return Err(input(format!("{} values and {} times: must be as many", values.len(), times_us.len())));
        }
        if let Some(at) = times_us.windows(2).position(|pair| pair[1] < pair[0]) {
            return Err(input(format!("time {} comes after {}: must not fall", times_us[at + 1], times_us[at])));
        }
        let (scores, width) = py.detach(|| {
            let mut scorer = self.lock()?;
            let scores = scored(&mut scorer, &values, &times_us);
            Ok::<_, PyErr>((scores, scorer.parts().count()))
        })?;
        scores.into_pyarray(py).reshape([values.len(), width])
    }

    /// Why the latest reading got its score.
    fn explain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        crossings::count();
        let scorer = self.lock()?;
        let (detector, why) = scorer.explain();
        let explanation = PyDict::new(py);
        explanation.set_item("detector", detector)?;
        explanation.set_item("aspect", why.aspect)?;
        explanation.set_item("score", scorer.score())?;
        explanation.set_item("expected", (!why.expected.is_nan()).then_some(why.expected))?;
        explanation.set_item("direction", why.direction)?;
        explanation.set_item("maturity", scorer.maturity().name())?;
        explanation.set_item("baseline_readings", why.baseline_readings)?;
        explanation.set_item("baseline_from_us", scorer.baseline_from_us())?;
        Ok(explanation)
    }

    #[getter]
    fn detectors(&self) -> PyResult<Vec<&'static str>> {
        crossings::count();
        Ok(self.lock()?.names().collect())
    }

    #[getter]
    fn maturity(&self) -> PyResult<&'static str> {
        crossings::count();
        Ok(self.lock()?.maturity().name())
    }

    #[getter]
    fn memory_bytes(&self) -> PyResult<usize> {
        crossings::count();
        Ok(self.lock()?.memory_bytes())
    }
}
