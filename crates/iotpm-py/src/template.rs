//! The engine's idea of a template, for whoever writes configurations.

use iotpm_core::Template;
use pyo3::{PyResult, pyfunction};

use crate::{crossings, errors::input};

/// The template of signals that no other one matches, as JSON with every key that a template may have.
#[pyfunction]
pub fn default_template() -> PyResult<String> {
    crossings::count();
    serde_json::to_string(&Template::default()).map_err(|error| input(error.to_string()))
}
