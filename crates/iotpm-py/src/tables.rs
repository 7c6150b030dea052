//! Arrow tables for Python.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StructArray};
use arrow_schema::Field;
use pyo3::{prelude::*, types::PyCapsule};
use pyo3_arrow::{
    error::PyArrowResult,
    ffi::{ArrayIterator, to_stream_pycapsule},
};

use crate::crossings;

/// Rows as Arrow; read them with anything that takes the Arrow C stream, without a copy.
#[pyclass(frozen, module = "iotpm._core")]
pub struct Table {
    rows: RecordBatch,
}

impl Table {
    pub fn new(rows: RecordBatch) -> Self {
        Self { rows }
    }
}

#[pymethods]
impl Table {
    /// A fresh stream of all rows at every call.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyArrowResult<Bound<'py, PyCapsule>> {
        crossings::count();
        let field = Field::new_struct("", self.rows.schema_ref().fields().clone(), false);
        let rows: ArrayRef = Arc::new(StructArray::from(self.rows.clone()));
        to_stream_pycapsule(py, Box::new(ArrayIterator::new([Ok(rows)], field.into())), requested_schema)
    }

    fn __len__(&self) -> usize {
        self.rows.num_rows()
    }

    fn __repr__(&self) -> String {
        format!("Table({} rows: {})", self.rows.num_rows(), self.column_names().join(", "))
    }

    /// Names of the columns, in order.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.rows.schema_ref().fields().iter().map(|field| field.name().clone()).collect()
    }
}
