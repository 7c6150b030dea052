//! The engine without a broker.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use iotpm_node::{Chunk, NodeError, Pipeline, PipelineOptions, RawMessage, Rows, message_hash as hash_of};
use numpy::PyReadonlyArray1;
use pyo3::{
    prelude::*,
    pybacked::PyBackedBytes,
    types::{PyBytes, PyDict},
};

use crate::{
    crossings,
    errors::raise,
    input::{Columns, Signals},
    output::Output,
    tables::Table,
};

/// A pipeline for readings that the caller brings. One call at a time; the GIL is released while it works.
#[pyclass(frozen, module = "iotpm._core")]
pub struct Engine {
    pipeline: Mutex<Pipeline>,
}

fn copied<T: numpy::Element + Copy>(array: Option<PyReadonlyArray1<'_, T>>) -> Option<Vec<T>> {
    array.map(|array| array.as_array().to_vec())
}

impl Engine {
    fn lock(&self) -> Result<MutexGuard<'_, Pipeline>, NodeError> {
        self.pipeline.lock().map_err(|_| NodeError::Failed { first: "a panic, reported where it happened".into() })
    }

    fn with<T: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Pipeline) -> Result<T, NodeError> + Send,
    ) -> PyResult<T> {
        crossings::count();
        py.detach(|| act(&mut *self.lock()?)).map_err(raise)
    }

    fn chunk(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Pipeline) -> Result<Chunk, NodeError> + Send,
    ) -> PyResult<Output> {
        self.with(py, act).map(Output::new)
    }

    fn push_columns(
        &self,
        py: Python<'_>,
        columns: Columns,
        sequences: Option<Vec<u64>>,
        stream_times_us: Option<Vec<i64>>,
    ) -> PyResult<Output> {
        self.chunk(py, move |pipeline| {
            let signals = columns.signals.resolve(pipeline, columns.values.len())?;
            pipeline.push(&Rows {
                signals: &signals,
                times_us: &columns.times_us,
                values: &columns.values,
                quality: columns.quality.as_deref(),
                sequences: sequences.as_deref(),
                stream_times_us: stream_times_us.as_deref(),
            })
        })
    }
}

/// Messages as lists, all of one length.
struct Messages {
    subjects: Vec<String>,
    payloads: Vec<PyBackedBytes>,
    sequences: Vec<u64>,
    stored_us: Vec<i64>,
    content_types: Option<Vec<Option<String>>>,
    message_ids: Option<Vec<Option<String>>>,
    virtual_times_us: Option<Vec<Option<i64>>>,
}

#[pymethods]
impl Engine {
    /// From options in JSON (keys of the data plane's that do not concern the broker) and a snapshot.
    #[new]
    #[pyo3(signature = (options_json="{}", snapshot=None))]
    fn new(py: Python<'_>, options_json: &str, snapshot: Option<&[u8]>) -> PyResult<Self> {
        crossings::count();
        let pipeline = py.detach(|| Pipeline::new(PipelineOptions::from_json(options_json)?, snapshot));
        Ok(Self { pipeline: Mutex::new(pipeline.map_err(raise)?) })
    }

    fn signal_id(&self, py: Python<'_>, name: &str) -> PyResult<u32> {
        self.with(py, |pipeline| pipeline.signal_id(name))
    }

    #[pyo3(signature = (signals, times_us, values, stream_times_us=None, quality=None, sequences=None))]
    #[expect(clippy::too_many_arguments, reason = "the columns of a reading")]
    fn push(
        &self,
        py: Python<'_>,
        signals: &Bound<'_, PyAny>,
        times_us: PyReadonlyArray1<'_, i64>,
        values: PyReadonlyArray1<'_, f64>,
        stream_times_us: Option<PyReadonlyArray1<'_, i64>>,
        quality: Option<PyReadonlyArray1<'_, u8>>,
        sequences: Option<PyReadonlyArray1<'_, u64>>,
    ) -> PyResult<Output> {
        let columns = Columns {
            signals: Signals::extract(signals)?,
            times_us: times_us.as_array().to_vec(),
            values: values.as_array().to_vec(),
            quality: copied(quality),
            first_integer: None,
        };
        self.push_columns(py, columns, copied(sequences), copied(stream_times_us))
    }

    #[pyo3(signature = (stream, stream_times_us=None, check_first=None))]
    fn push_arrow(
        &self,
        py: Python<'_>,
        stream: &Bound<'_, PyAny>,
        stream_times_us: Option<PyReadonlyArray1<'_, i64>>,
        check_first: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Output> {
        let columns = Columns::from_arrow(stream)?;
        if let (Some(check), Some(first)) = (check_first, columns.first_integer) {
            check.call1((first,))?;
        }
        self.push_columns(py, columns, None, copied(stream_times_us))
    }

    #[pyo3(signature = (
        subjects, payloads, sequences, stored_us, content_types=None, message_ids=None, virtual_times_us=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "the parts of a message")]
    fn push_messages(
        &self,
        py: Python<'_>,
        subjects: Vec<String>,
        payloads: Vec<PyBackedBytes>,
        sequences: Vec<u64>,
        stored_us: Vec<i64>,
        content_types: Option<Vec<Option<String>>>,
        message_ids: Option<Vec<Option<String>>>,
        virtual_times_us: Option<Vec<Option<i64>>>,
    ) -> PyResult<Output> {
        let messages =
            Messages { subjects, payloads, sequences, stored_us, content_types, message_ids, virtual_times_us };
        let messages = raw_messages(messages)?;
        self.chunk(py, |pipeline| pipeline.run(&messages))
    }

    #[pyo3(signature = (signal, start_us, rate_hz, samples, stream_time_us=None, unit=None))]
    #[expect(clippy::too_many_arguments, reason = "the parts of a frame")]
    fn push_waveform(
        &self,
        py: Python<'_>,
        signal: &str,
        start_us: i64,
        rate_hz: f64,
        samples: PyReadonlyArray1<'_, f32>,
        stream_time_us: Option<i64>,
        unit: Option<&str>,
    ) -> PyResult<Output> {
        let samples = samples.as_array().to_vec();
        self.chunk(py, |pipeline| {
            let id = pipeline.signal_id(signal)?;
            pipeline.push_waveform(id, start_us, rate_hz, samples, stream_time_us, unit)
        })
    }

    fn tick(&self, py: Python<'_>, stream_time_us: i64) -> PyResult<Output> {
        self.chunk(py, |pipeline| pipeline.tick(stream_time_us))
    }

    fn control(&self, py: Python<'_>, kind: &str, payload: &[u8]) -> PyResult<Output> {
        let payload = payload.to_vec();
        self.chunk(py, |pipeline| pipeline.control(kind, payload.into()))
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.with(py, |pipeline| pipeline.snapshot()?.encode())?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn signal_stats(&self, py: Python<'_>) -> PyResult<Table> {
        self.with(py, |pipeline| pipeline.signal_stats()).map(Table::new)
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let entries = self.with(py, |pipeline| Ok(pipeline.counters().entries()))?;
        let counters = PyDict::new(py);
        entries.into_iter().try_for_each(|(name, count)| counters.set_item(name, count))?;
        Ok(counters)
    }

    fn sequence(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |pipeline| Ok(pipeline.sequence()))
    }
}

fn raw_messages(messages: Messages) -> PyResult<Vec<RawMessage>> {
    let count = messages.subjects.len();
    let lengths = [
        ("payloads", messages.payloads.len()),
        ("sequences", messages.sequences.len()),
        ("stored_us", messages.stored_us.len()),
        ("content_types", messages.content_types.as_ref().map_or(count, Vec::len)),
        ("message_ids", messages.message_ids.as_ref().map_or(count, Vec::len)),
        ("virtual_times_us", messages.virtual_times_us.as_ref().map_or(count, Vec::len)),
    ];
    if let Some((name, got)) = lengths.into_iter().find(|(_, got)| *got != count) {
        return Err(raise(NodeError::LengthMismatch { name, got, expected: count }));
    }
    let mut content_types = messages.content_types.unwrap_or_default().into_iter();
    let mut message_ids = messages.message_ids.unwrap_or_default().into_iter();
    let mut virtual_times = messages.virtual_times_us.unwrap_or_default().into_iter();
    let parts = messages.subjects.into_iter().zip(messages.payloads).zip(messages.sequences).zip(messages.stored_us);
    let message = |(((subject, payload), sequence), stored_us): (((String, PyBackedBytes), u64), i64)| RawMessage {
        subject: subject.into(),
        payload: Bytes::copy_from_slice(&payload),
        content_type: content_types.next().flatten().map(Arc::from),
        message_id: message_ids.next().flatten().map(String::into_boxed_str),
        virtual_time_us: virtual_times.next().flatten().or(Some(stored_us)),
        sequence,
        stored_us,
    };
    Ok(parts.map(message).collect())
}

/// Hash that identifies a message: XXH3 of subject, a zero byte, payload.
#[pyfunction]
pub fn message_hash(subject: &str, payload: &[u8]) -> u64 {
    crossings::count();
    hash_of(subject.as_bytes(), payload)
}
