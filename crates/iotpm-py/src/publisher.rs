//! The publisher for Python.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use iotpm_node::{ConnectionOptions, NodeError, Outgoing, Publisher as Inner, StreamResult, outgoing};
use pyo3::{prelude::*, pybacked::PyBackedBytes, types::PyDict};

use crate::{
    crossings,
    errors::{input, raise},
};

/// Publishes from a thread of its own and keeps every message until the broker has confirmed it.
#[pyclass(frozen, module = "iotpm._core")]
pub struct Publisher {
    publisher: Mutex<Inner>,
}

impl Publisher {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.publisher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T: Send>(&self, py: Python<'_>, act: impl FnOnce(&mut Inner) -> StreamResult<T> + Send) -> PyResult<T> {
        crossings::count();
        py.detach(|| act(&mut self.lock())).map_err(|error| raise(NodeError::from(error)))
    }
}

#[pymethods]
impl Publisher {
    #[new]
    #[pyo3(signature = (connection_json, window=8, ack_every=500, atomic=false))]
    fn new(py: Python<'_>, connection_json: &str, window: u64, ack_every: u64, atomic: bool) -> PyResult<Self> {
        crossings::count();
        let connect = || Inner::connect(ConnectionOptions::from_json(connection_json)?, window, ack_every, atomic);
        let publisher = py.detach(connect).map_err(|error| raise(NodeError::from(error)))?;
        Ok(Self { publisher: Mutex::new(publisher) })
    }

    #[pyo3(signature = (subjects, payloads, content_type=None, stream_times_us=None, msg_ids=None))]
    fn publish_many(
        &self,
        py: Python<'_>,
        subjects: Vec<String>,
        payloads: Vec<PyBackedBytes>,
        content_type: Option<&str>,
        stream_times_us: Option<Vec<i64>>,
        msg_ids: Option<Vec<String>>,
    ) -> PyResult<()> {
        same_length("payloads", payloads.len(), subjects.len())?;
        same_length("stream_times_us", stream_times_us.as_ref().map_or(subjects.len(), Vec::len), subjects.len())?;
        same_length("msg_ids", msg_ids.as_ref().map_or(subjects.len(), Vec::len), subjects.len())?;
        let message = |(at, (subject, payload)): (usize, (&String, PyBackedBytes))| -> Outgoing {
            let time_us = stream_times_us.as_ref().map(|times| times[at]);
            let id = msg_ids.as_ref().map(|ids| ids[at].as_str());
            outgoing(subject, Bytes::from_owner(payload), content_type, time_us, id)
        };
        let messages = subjects.iter().zip(payloads).enumerate().map(message).collect();
        self.with(py, |publisher| publisher.publish(messages))
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |publisher| publisher.flush())
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, Inner::close)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = self.with(py, |publisher| Ok(publisher.counters()))?;
        let dict = PyDict::new(py);
        dict.set_item("acknowledged", counters.acknowledged)?;
        dict.set_item("refused", counters.refused)?;
        dict.set_item("resent", counters.resent)?;
        dict.set_item("gaps", counters.gaps)?;
        Ok(dict)
    }
}

fn same_length(name: &str, got: usize, expected: usize) -> PyResult<()> {
    if got == expected {
        Ok(())
    } else {
        Err(input(format!("{name} has {got} values: must have {expected}, as subjects")))
    }
}
