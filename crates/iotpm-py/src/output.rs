//! What a call of the engine produced.

use iotpm_node::Chunk;
use pyo3::{prelude::*, types::PyDict};

use crate::tables::Table;

/// Rows that one call of an engine produced.
#[pyclass(frozen, module = "iotpm._core")]
pub struct Output {
    chunk: Chunk,
}

impl Output {
    pub fn new(chunk: Chunk) -> Self {
        Self { chunk }
    }
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $table:ident),+ $(,)?) => {
        #[pymethods]
        impl Output {
            $(
                $(#[$doc])*
                #[getter]
                fn $name(&self) -> Table {
                    Table::new(self.chunk.tables.$table.clone())
                }
            )+

            /// Sequence of the last message that ran.
            #[getter]
            fn last_seq(&self) -> u64 {
                self.chunk.last_seq
            }

            /// What happened, by name.
            #[getter]
            fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
                let counters = PyDict::new(py);
                for (name, count) in self.chunk.counters.entries() {
                    counters.set_item(name, count)?;
                }
                Ok(counters)
            }

            fn __repr__(&self) -> String {
                let rows = self.chunk.tables.named().map(|(name, rows)| format!("{name}={}", rows.num_rows()));
                format!("Output({})", rows.join(", "))
            }
        }
    };
}

tables! {
    /// Signals seen for the first time.
    signals = signals,
    /// Accepted readings.
    readings = readings,
    /// Readings below the watermark.
    late_readings = late_readings,
    /// Closed windows with their features.
    windows = windows,
    /// Vibration features of waveform frames.
    vibration = vibration,
    /// Kept waveform frames.
    waveforms = waveforms,
    /// Anomaly revisions.
    anomalies = anomaly_log,
    /// Events as they would be published.
    outbox = outbox,
    /// What could not be used.
    dead_letters = dead_letters,
    /// What operators said.
    feedback = feedback,
    /// High water of the producers that advanced.
    sources = sources,
    /// Scores, if asked for.
    scores = scores,
}
