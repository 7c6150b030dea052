//! The data plane for Python.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use iotpm_node::{
    ConnectionOptions, DataPlane as Plane, NodeError, OutboxEvent, PlaneChunk, PlaneOptions, drain_only as drain,
    snapshot_span as span_of,
};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};

use crate::{crossings, errors::raise, tables::Table};

/// Reads one stream, runs the pipeline, publishes the outbox; one chunk at a time goes through Python.
#[pyclass(frozen, module = "iotpm._core")]
pub struct DataPlane {
    plane: Plane,
}

/// Rows of one chunk, to be stored in one transaction.
#[pyclass(frozen, module = "iotpm._core")]
pub struct Chunk {
    chunk: Mutex<PlaneChunk>,
}

/// An older row of the outbox: `outbox_seq`, subject, payload, cause time in microseconds.
type OutboxRow = (u64, String, String, i64);

impl DataPlane {
    fn with<T: Send>(&self, py: Python<'_>, act: impl FnOnce(&Plane) -> Result<T, NodeError> + Send) -> PyResult<T> {
        crossings::count();
        py.detach(|| act(&self.plane)).map_err(raise)
    }
}

#[pymethods]
impl DataPlane {
    #[new]
    #[pyo3(signature = (options_json, snapshot=None))]
    fn new(py: Python<'_>, options_json: &str, snapshot: Option<&[u8]>) -> PyResult<Self> {
        crossings::count();
        let plane = py.detach(|| Plane::new(PlaneOptions::from_json(options_json)?, snapshot));
        Ok(Self { plane: plane.map_err(raise)? })
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, Plane::start)
    }

    fn next_chunk(&self, py: Python<'_>, timeout_ms: u64) -> PyResult<Option<Chunk>> {
        let chunk = self.with(py, |plane| plane.next_chunk(Duration::from_millis(timeout_ms)))?;
        Ok(chunk.map(|chunk| Chunk { chunk: Mutex::new(chunk) }))
    }

    fn committed(&self, py: Python<'_>, chunk: &Bound<'_, Chunk>) -> PyResult<()> {
        let chunk = chunk.get();
        // The chunk is unlocked again before anything blocks: its getters hold the GIL, which `stop` needs.
        self.with(py, |plane| {
            let events = plane.take_committed(&mut chunk.lock());
            plane.publish_outbox(events)
        })
    }

    fn request_snapshot(&self) {
        crossings::count();
        self.plane.request_snapshot();
    }

    fn snapshot_now<'py>(&self, py: Python<'py>) -> PyResult<(u64, Bound<'py, PyBytes>)> {
        let (sequence, bytes) = self.with(py, Plane::snapshot_now)?;
        Ok((sequence, PyBytes::new(py, &bytes)))
    }

    fn signal_stats(&self, py: Python<'_>) -> PyResult<Table> {
        self.with(py, |plane| plane.with_pipeline(iotpm_node::Pipeline::signal_stats)?).map(Table::new)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        crossings::count();
        let json = py.detach(|| serde_json::to_string(&self.plane.stats()));
        loads(py, &json.unwrap_or_default())
    }

    /// Messages of the stream that are not committed yet.
    #[getter]
    fn lag(&self) -> u64 {
        crossings::count();
        self.plane.lag()
    }

    /// Pipeline counters since the start, by name.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = self.with(py, |plane| plane.with_pipeline(iotpm_node::Pipeline::counters))?;
        let dict = PyDict::new(py);
        for (name, count) in counters.entries() {
            dict.set_item(name, count)?;
        }
        Ok(dict)
    }

    fn last_published_outbox_seq(&self) -> u64 {
        crossings::count();
        self.plane.last_published_outbox_seq()
    }

    fn publish_outbox(&self, py: Python<'_>, rows: Vec<OutboxRow>) -> PyResult<()> {
        self.with(py, |plane| plane.publish_outbox(rows.into_iter().map(event).collect()))
    }

    fn flush_outbox(&self, py: Python<'_>, timeout_ms: u64) -> PyResult<bool> {
        self.with(py, |plane| plane.flush_outbox(Duration::from_millis(timeout_ms)))
    }

    fn drain(&self, py: Python<'_>) {
        crossings::count();
        py.detach(|| self.plane.drain());
    }

    fn stop(&self, py: Python<'_>) {
        crossings::count();
        py.detach(|| self.plane.stop());
    }

    #[getter]
    fn finished(&self) -> bool {
        self.plane.is_finished()
    }
}

fn event((outbox_seq, subject, payload, cause_time_us): OutboxRow) -> OutboxEvent {
    OutboxEvent { outbox_seq, seq: 0, subject: subject.into(), payload: Bytes::from(payload), cause_time_us }
}

/// JSON as Python objects.
pub fn loads<'py>(py: Python<'py>, json: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (json,))
}

impl Chunk {
    fn lock(&self) -> MutexGuard<'_, PlaneChunk> {
        self.chunk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

macro_rules! chunk {
    (numbers: $($number:ident: $type:ty),+; tables: $($table:ident),+) => {
        #[pymethods]
        impl Chunk {
            $(
                #[getter]
                fn $number(&self) -> $type {
                    self.lock().chunk.$number
                }
            )+

            $(
                #[getter]
                fn $table(&self) -> Table {
                    Table::new(self.lock().chunk.tables.$table.clone())
                }
            )+

            #[getter]
            fn crossings(&self) -> u64 {
                crossings::total()
            }

            #[getter]
            fn snapshot_span(&self) -> Option<(u64, u64)> {
                self.lock().snapshot.as_ref().map(|state| (state.span().sequence, state.span().through))
            }

            fn write_snapshot(&self, py: Python<'_>, path: PathBuf) -> PyResult<Option<u64>> {
                crossings::count();
                // Not under the chunk's lock: others look at the chunk while this takes its time.
                let Some(state) = self.lock().snapshot.clone() else { return Ok(None) };
                py.detach(|| state.write_at_leisure(&path)).map(Some).map_err(raise)
            }

            #[getter]
            fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
                let counters = PyDict::new(py);
                for (name, count) in self.lock().chunk.counters.entries() {
                    counters.set_item(name, count)?;
                }
                Ok(counters)
            }

            fn __repr__(&self) -> String {
                let chunk = &self.lock().chunk;
                format!("Chunk({}..{}: {} messages)", chunk.first_seq, chunk.last_seq, chunk.messages)
            }
        }
    };
}

chunk! {
    numbers: first_seq: u64, last_seq: u64, last_time_us: i64, last_hash: u64, messages: u64, readings_count: u64;
    tables: signals, readings, late_readings, windows, vibration, waveforms, anomaly_log, outbox, dead_letters, feedback, sources,
        scores
}

/// `(sequence, through)` of a snapshot, whose format and checksum are checked: the stream must come again from the message
/// after `sequence`, and rows up to message `through` are not made again.
#[pyfunction]
pub fn snapshot_span(py: Python<'_>, snapshot: &[u8]) -> PyResult<(u64, u64)> {
    crossings::count();
    py.detach(|| span_of(snapshot)).map(|span| (span.sequence, span.through)).map_err(raise)
}

/// Pulls messages of a stream with the data plane's reader and throws them away; for comparison.
#[pyfunction]
#[pyo3(signature = (connection_json, stream, messages, timeout_s=600.0))]
pub fn drain_only<'py>(
    py: Python<'py>,
    connection_json: &str,
    stream: &str,
    messages: u64,
    timeout_s: f64,
) -> PyResult<Bound<'py, PyDict>> {
    crossings::count();
    let limit = Duration::try_from_secs_f64(timeout_s).unwrap_or(Duration::MAX);
    let drained = py.detach(|| drain(&ConnectionOptions::from_json(connection_json)?, stream, messages, limit));
    let drained = drained.map_err(|error| raise(NodeError::from(error)))?;
    let dict = PyDict::new(py);
    dict.set_item("messages", drained.messages)?;
    dict.set_item("bytes", drained.bytes)?;
    dict.set_item("seconds", drained.seconds)?;
    dict.set_item("messages_per_s", drained.messages as f64 / drained.seconds)?;
    dict.set_item("consumers_recreated", drained.consumers_recreated)?;
    Ok(dict)
}
