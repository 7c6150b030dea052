//! The load generator for Python.

use std::sync::{Mutex, PoisonError};

use iotpm_node::{ConnectionOptions, LoadGenerator as Inner, LoadOptions, NodeError, StreamError, Until};
use pyo3::prelude::*;

use crate::{crossings, errors::raise, plane::loads};

/// Publishes realistic readings at a rate, or as fast as the broker confirms them.
#[pyclass(frozen, module = "iotpm._core")]
pub struct LoadGenerator {
    generator: Mutex<Inner>,
}

fn raised(error: StreamError) -> PyErr {
    raise(NodeError::from(error))
}

#[pymethods]
impl LoadGenerator {
    #[new]
    #[pyo3(signature = (connection_json, options_json="{}"))]
    fn new(connection_json: &str, options_json: &str) -> PyResult<Self> {
        crossings::count();
        let connection = ConnectionOptions::from_json(connection_json).map_err(raised)?;
        let options = LoadOptions::from_json(options_json).map_err(raised)?;
        Ok(Self { generator: Mutex::new(Inner::new(connection, options).map_err(raised)?) })
    }

    #[pyo3(signature = (seconds=None, messages=None))]
    fn run<'py>(&self, py: Python<'py>, seconds: Option<f64>, messages: Option<u64>) -> PyResult<Bound<'py, PyAny>> {
        crossings::count();
        let until = Until { seconds, messages };
        let run = || self.generator.lock().unwrap_or_else(PoisonError::into_inner).run(until);
        let report = py.detach(run).map_err(raised)?;
        loads(py, &serde_json::to_string(&report).unwrap_or_default())
    }
}
