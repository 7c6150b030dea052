//! What one run of the pipeline hands over, to be stored in one transaction.

use arrow_array::RecordBatch;
use async_nats::Subject;
use bytes::Bytes;

use crate::PipelineCounters;

/// The rows of one chunk; columns as in `docs/interfaces.md`. A table without rows still has its columns.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Signals first seen in this chunk.
    pub signals: RecordBatch,
    /// Accepted readings, by (seq, signal, arrival).
    pub readings: RecordBatch,
    /// Readings below the watermark, by (seq, signal, arrival).
    pub late_readings: RecordBatch,
    /// Closed windows, by (seq, position, signal, start).
    pub windows: RecordBatch,
    /// Vibration features of waveform frames, by (seq, position, signal, start).
    pub vibration: RecordBatch,
    /// Kept waveform frames, by (seq, position, signal, start).
    pub waveforms: RecordBatch,
    /// Anomaly revisions, by (seq, position, name, detector, revision).
    pub anomaly_log: RecordBatch,
    /// Events to publish, numbered densely in the order of `anomaly_log`.
    pub outbox: RecordBatch,
    /// What could not be used, by (seq, position).
    pub dead_letters: RecordBatch,
    /// What operators said, by seq.
    pub feedback: RecordBatch,
    /// High water of the producers that advanced.
    pub sources: RecordBatch,
    /// Scores by (seq, signal, arrival); empty unless asked for.
    pub scores: RecordBatch,
}

impl Tables {
    /// Every table with its name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &RecordBatch); 12] {
        [
            ("signals", &self.signals),
            ("readings", &self.readings),
            ("late_readings", &self.late_readings),
            ("windows", &self.windows),
            ("vibration", &self.vibration),
            ("waveforms", &self.waveforms),
            ("anomaly_log", &self.anomaly_log),
            ("outbox", &self.outbox),
            ("dead_letters", &self.dead_letters),
            ("feedback", &self.feedback),
            ("sources", &self.sources),
            ("scores", &self.scores),
        ]
    }
}

/// An event to publish once its chunk is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEvent {
    /// Its number, dense.
    pub outbox_seq: u64,
    /// The RAW sequence that caused it.
    pub seq: u64,
    /// Where it goes.
    pub subject: Subject,
    /// `CloudEvents` 1.0 JSON.
    pub payload: Bytes,
    /// When the broker stored the message that caused it, microseconds.
    pub cause_time_us: i64,
}

/// One chunk, ready to be stored.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Sequence of its first message; 0 when it has none.
    pub first_seq: u64,
    /// Sequence of its last message; the previous chunk's when it has none.
    pub last_seq: u64,
    /// When the broker stored message `last_seq`, microseconds.
    pub last_time_us: i64,
    /// [`crate::message_hash`] of message `last_seq`; 0 when readings came as columns.
    pub last_hash: u64,
    /// Messages in it.
    pub messages: u64,
    /// Rows of `readings`.
    pub readings_count: u64,
    /// Its rows.
    pub tables: Tables,
    /// The rows of `tables.outbox`, ready to be published.
    pub outbox: Vec<OutboxEvent>,
    /// What happened in this chunk, discarded outputs included.
    pub counters: PipelineCounters,
}
