//! Rows of a chunk as Arrow tables, columns as in `docs/interfaces.md`.
//!
//! The order of rows depends on the messages alone, not on the number of shards, and tables of neighbouring chunks put
//! one after the other are the table of one larger chunk.

use std::sync::Arc;

use arrow_array::RecordBatch;
use async_nats::Subject;
use bytes::Bytes;
use iotpm_codec::name;
use iotpm_core::{
    AnomalyRevision, LateReading, OperatingState, ReadingRow, ScoreRow, SignalStats, VibrationFeatures, VibrationRow,
    WaveformRow, WindowRow, features::WindowFeatures,
};
use serde::Serialize;

use crate::{OutboxEvent, columns::Columns, error::Result, event, registry::SignalRow, sources::HighWater};

/// Sequences of a chunk's messages, ascending, and when the broker stored each.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    sequences: Vec<u64>,
    stored_us: Vec<i64>,
}

impl Journal {
    pub fn push(&mut self, sequence: u64, stored_us: i64) {
        if self.sequences.last() != Some(&sequence) {
            self.sequences.push(sequence);
            self.stored_us.push(stored_us);
        }
    }

    pub fn len(&self) -> usize {
        self.sequences.len()
    }

    pub fn first(&self) -> Option<u64> {
        self.sequences.first().copied()
    }

    /// Place of a sequence; every row of a chunk was caused by one of its messages.
    pub fn place(&self, sequence: u64) -> usize {
        let dense = sequence.wrapping_sub(self.sequences.first().copied().unwrap_or(0)) as usize;
        match self.sequences.get(dense) {
            Some(found) if *found == sequence => dense,
            _ => self.sequences.partition_point(|other| *other < sequence).min(self.len().saturating_sub(1)),
        }
    }

    pub fn stored_us(&self, sequence: u64) -> i64 {
        self.stored_us.get(self.place(sequence)).copied().unwrap_or(iotpm_core::NO_STREAM_TIME)
    }
}

/// Order by (sequence, signal, arrival): one pass over the places, for rows come grouped by signal. What is sorted are
/// numbers, signal above place: to look at each row again, out of order, would fetch it from memory again.
#[allow(clippy::stable_sort_primitive, reason = "it merges the ascending runs of the shards")]
fn order<T>(rows: &[T], journal: &Journal, sequence: impl Fn(&T) -> u64, signal: impl Fn(&T) -> u32) -> Vec<u32> {
    let key = |row: &T| (sequence(row), signal(row));
    if rows.is_sorted_by_key(key) {
        return (0..rows.len() as u32).collect();
    }
    let mut ends = vec![0_u32; journal.len() + 1];
    for row in rows {
        ends[journal.place(sequence(row)) + 1] += 1;
    }
    for place in 1..ends.len() {
        ends[place] += ends[place - 1];
    }
    let mut order = vec![0_u64; rows.len()];
    for (at, row) in rows.iter().enumerate() {
        let end = &mut ends[journal.place(sequence(row))];
        order[*end as usize] = u64::from(signal(row)) << 32 | at as u64;
        *end += 1;
    }
    let mut start = 0;
    for end in &ends[..journal.len()] {
        order[start..*end as usize].sort();
        start = *end as usize;
    }
    order.into_iter().map(|row| row as u32).collect()
}

fn pick<T, V>(rows: &[T], order: &[u32], value: impl Fn(&T) -> V) -> Vec<V> {
    order.iter().map(|at| value(&rows[*at as usize])).collect()
}

pub(crate) fn signals(rows: &[SignalRow]) -> Result<RecordBatch> {
    let parts: Vec<_> = rows.iter().map(|row| name::split_full_name(&row.name).unwrap_or_default()).collect();
    Columns::new("signals")
        .u32s("id", rows.iter().map(|row| row.id.0).collect())
        .texts("name", rows.iter().map(|row| &*row.name))?
        .texts("site", parts.iter().map(|parts| &*parts[0]))?
        .texts("asset", parts.iter().map(|parts| &*parts[1]))?
        .texts("signal", parts.iter().map(|parts| &*parts[2]))?
        .optional_texts("unit", rows.iter().map(|row| row.unit.as_deref()))?
        .optional_texts("kind", rows.iter().map(|row| row.kind.as_deref()))?
        .u64s("seq", rows.iter().map(|row| row.sequence).collect())
        .finish()
}

pub(crate) fn readings(rows: &[ReadingRow], journal: &Journal) -> Result<RecordBatch> {
    let order = order(rows, journal, |row| row.sequence, |row| row.signal.0);
    reading_columns("readings", rows, &order, journal, |row| row).finish()
}

pub(crate) fn late_readings(rows: &[LateReading], journal: &Journal) -> Result<RecordBatch> {
    let order = order(rows, journal, |late| late.row.sequence, |late| late.row.signal.0);
    reading_columns("late_readings", rows, &order, journal, |late| &late.row)
        .times("watermark", pick(rows, &order, |late| late.watermark_us))
        .finish()
}

/// The columns of a table of readings.
type Readings = (Vec<u32>, Vec<i64>, Vec<f64>, Vec<u8>, Vec<u64>, Vec<i64>);

fn reading_columns<T>(
    table: &'static str,
    rows: &[T],
    order: &[u32],
    journal: &Journal,
    row: impl Fn(&T) -> &ReadingRow,
) -> Columns {
    // All columns in one go: rows are far apart in this order, so each is fetched once.
    let columns = order.iter().map(|at| {
        let row = row(&rows[*at as usize]);
        let stored_us = journal.stored_us(row.sequence);
        (row.signal.0, row.time_us, row.value, row.quality as u8, row.sequence, stored_us)
    });
    let (signals, times, values, qualities, sequences, stored): Readings = columns.collect();
    Columns::new(table)
        .u32s("signal", signals)
        .times("ts", times)
        .finite_f64s("value", values)
        .u8s("quality", qualities)
        .u64s("seq", sequences)
        .known_times("stored_at", stored)
}

pub(crate) fn windows(rows: &mut [WindowRow]) -> Result<RecordBatch> {
    rows.sort_by_key(|row| (row.sequence, row.position, row.signal, row.segment, row.start_us));
    let mut columns = Columns::new("windows")
        .u32s("signal", rows.iter().map(|row| row.signal.0).collect())
        .times("start", rows.iter().map(|row| row.start_us).collect())
        .times("end", rows.iter().map(|row| row.end_us).collect())
        .u32s("segment", rows.iter().map(|row| row.segment).collect())
        .u32s("n", rows.iter().map(|row| row.count).collect())
        .u32s("truncated", rows.iter().map(|row| row.truncated).collect());
    for (index, name) in WindowFeatures::NAMES.iter().enumerate() {
        columns = columns.finite_f64s(name, rows.iter().map(|row| row.features.0[index]).collect());
    }
    columns
        .f64s("score", rows.iter().map(|row| row.score).collect())
        .u8s("maturity", rows.iter().map(|row| row.maturity as u8).collect())
        .optional_texts("state", rows.iter().map(|row| row.state.map(OperatingState::name)))?
        .finite_f64s("speed", rows.iter().map(|row| row.speed).collect())
        .finite_f64s("load", rows.iter().map(|row| row.load).collect())
        .u64s("seq", rows.iter().map(|row| row.sequence).collect())
        .finish()
}

pub(crate) fn vibration(rows: &mut [VibrationRow]) -> Result<RecordBatch> {
    rows.sort_by_key(|row| (row.sequence, row.position, row.signal, row.start_us));
    let mut columns = Columns::new("vibration")
        .u32s("signal", rows.iter().map(|row| row.signal.0).collect())
        .times("start", rows.iter().map(|row| row.start_us).collect())
        .f64s("rate_hz", rows.iter().map(|row| row.rate_hz).collect())
        .u32s("n", rows.iter().map(|row| row.count).collect());
    for (index, name) in VibrationFeatures::NAMES.iter().enumerate() {
        columns = columns.finite_f64s(name, rows.iter().map(|row| row.features.values[index]).collect());
    }
    columns
        .f64_lists("bands", rows.iter().map(|row| &*row.features.bands))?
        .u64s("seq", rows.iter().map(|row| row.sequence).collect())
        .finish()
}

/// Samples are in the signal's unit already, so the scale is 1.
pub(crate) fn waveforms(rows: &mut [WaveformRow]) -> Result<RecordBatch> {
    rows.sort_by_key(|row| (row.sequence, row.position, row.waveform.signal, row.waveform.start_us));
    let frames = rows.iter().map(|row| &*row.waveform);
    Columns::new("waveforms")
        .u32s("signal", frames.clone().map(|frame| frame.signal.0).collect())
        .times("start", frames.clone().map(|frame| frame.start_us).collect())
        .f64s("rate_hz", frames.clone().map(|frame| frame.rate_hz).collect())
        .f64s("scale", vec![1.0; rows.len()])
        .f32_lists("samples", frames.map(|frame| &*frame.samples))?
        .u64s("seq", rows.iter().map(|row| row.sequence).collect())
        .finish()
}

/// A revision with what the tables say about its signal.
#[derive(Debug)]
pub(crate) struct LoggedAnomaly {
    pub revision: AnomalyRevision,
    pub name: Arc<str>,
    /// Unit of the signal when the revision was caused.
    pub unit: Option<Arc<str>>,
    /// What it hints at, as its template says.
    pub failure_mode: Option<Arc<str>>,
    /// Of an anomaly of an asset: the signals with the greatest shares.
    pub contributors: Vec<Contributor>,
}

/// A signal's part in an anomaly of its asset.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Contributor {
    pub signal: Arc<str>,
    pub share: f64,
    pub expected: f64,
    pub actual: f64,
    pub direction: i8,
}

impl LoggedAnomaly {
    /// The contributors as JSON, if there are any.
    fn contributors_json(&self) -> Option<String> {
        (!self.contributors.is_empty()).then(|| serde_json::to_string(&self.contributors).unwrap_or_default())
    }
}

pub(crate) fn sort_anomalies(rows: &mut [LoggedAnomaly]) {
    rows.sort_by(|a, b| {
        let key = |row: &LoggedAnomaly| (row.revision.sequence, row.revision.position);
        let rest = |row: &LoggedAnomaly| {
            (row.revision.detector, row.revision.feature, row.revision.start_us, row.revision.revision)
        };
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name)).then_with(|| rest(a).cmp(&rest(b)))
    });
}

pub(crate) fn anomaly_log(rows: &[LoggedAnomaly]) -> Result<RecordBatch> {
    let ids: Vec<_> = rows.iter().map(|row| format!("{:016x}", row.revision.id)).collect();
    let contributors: Vec<_> = rows.iter().map(LoggedAnomaly::contributors_json).collect();
    let detectors: Vec<_> = rows.iter().map(|row| row.revision.detector.name_of(row.revision.feature)).collect();
    let parts: Vec<_> = rows.iter().map(|row| name::split_full_name(&row.name).unwrap_or_default()).collect();
    let each = || rows.iter().map(|row| &row.revision);
    let agreeing: Vec<_> = each().map(|revision| event::agreeing(revision).join(",")).collect();
    Columns::new("anomaly_log")
        .texts("id", ids.iter().map(String::as_str))?
        .u32s("signal", each().map(|r| r.signal.0).collect())
        .texts("site", parts.iter().map(|parts| &*parts[0]))?
        .texts("asset", parts.iter().map(|parts| &*parts[1]))?
        .texts("name", rows.iter().map(|row| &*row.name))?
        .texts("detector", detectors.iter().map(|name| &**name))?
        .texts("kind", each().map(|r| r.kind.name()))?
        .u32s("revision", each().map(|r| r.revision).collect())
        .texts("state", each().map(|r| r.state.name()))?
        .texts("severity", each().map(|r| r.severity.name()))?
        .times("start", each().map(|r| r.start_us).collect())
        .times("time", each().map(|r| r.time_us).collect())
        .known_times("end", each().map(|r| r.end_us.unwrap_or(iotpm_core::NO_STREAM_TIME)).collect())
        .times("peak_time", each().map(|r| r.peak_us).collect())
        .f64s("peak_score", each().map(|r| r.peak_score).collect())
        .finite_f64s("peak_value", each().map(|r| r.peak_value).collect())
        .f64s("score", each().map(|r| r.score).collect())
        .finite_f64s("value", each().map(|r| r.value).collect())
        .finite_f64s("expected", each().map(|r| r.expected).collect())
        .i8s("direction", each().map(|r| r.direction).collect())
        .texts("maturity", each().map(|r| r.maturity.name()))?
        .optional_texts("failure_mode", rows.iter().map(|row| row.failure_mode.as_deref()))?
        .optional_texts("contributors", contributors.iter().map(Option::as_deref))?
        .texts("quality", each().map(|r| r.quality.name()))?
        .texts("agreeing", agreeing.iter().map(String::as_str))?
        .u64s("seq", each().map(|r| r.sequence).collect())
        .u32s("position", each().map(|r| r.position).collect())
        .finish()
}

pub(crate) fn outbox(events: &[OutboxEvent]) -> Result<RecordBatch> {
    let payloads: Vec<_> = events.iter().map(|event| String::from_utf8_lossy(&event.payload)).collect();
    Columns::new("outbox")
        .u64s("outbox_seq", events.iter().map(|event| event.outbox_seq).collect())
        .u64s("seq", events.iter().map(|event| event.seq).collect())
        .texts("subject", events.iter().map(|event| event.subject.as_str()))?
        .texts("payload", payloads.iter().map(|text| &**text))?
        .known_times("cause_time", events.iter().map(|event| event.cause_time_us).collect())
        .finish()
}

/// What could not be used.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetter {
    pub sequence: u64,
    pub position: u32,
    pub subject: Subject,
    pub reason: &'static str,
    pub detail: String,
    pub payload: Bytes,
}

pub(crate) fn dead_letters(rows: &mut [DeadLetter], journal: &Journal) -> Result<RecordBatch> {
    rows.sort_by_key(|row| (row.sequence, row.position));
    Columns::new("dead_letters")
        .u64s("seq", rows.iter().map(|row| row.sequence).collect())
        .u32s("position", rows.iter().map(|row| row.position).collect())
        .texts("subject", rows.iter().map(|row| row.subject.as_str()))?
        .texts("reason", rows.iter().map(|row| row.reason))?
        .texts("detail", rows.iter().map(|row| row.detail.as_str()))?
        .bytes("payload", rows.iter().map(|row| &*row.payload))?
        .known_times("stored_at", rows.iter().map(|row| journal.stored_us(row.sequence)).collect())
        .finish()
}

pub(crate) fn sources(rows: &[HighWater]) -> Result<RecordBatch> {
    Columns::new("sources")
        .texts("source", rows.iter().map(|row| &*row.source))?
        .u64s("epoch", rows.iter().map(|row| row.epoch).collect())
        .u64s("source_seq", rows.iter().map(|row| row.source_seq).collect())
        .u64s("seq", rows.iter().map(|row| row.sequence).collect())
        .finish()
}

pub(crate) fn scores(rows: &[ScoreRow], journal: &Journal) -> Result<RecordBatch> {
    let order = order(rows, journal, |row| row.sequence, |row| row.signal.0);
    let detector = |row: &ScoreRow| row.detector.map(|detector| detector.name_of(row.feature));
    let detectors = pick(rows, &order, detector);
    Columns::new("scores")
        .u32s("signal", pick(rows, &order, |row| row.signal.0))
        .times("ts", pick(rows, &order, |row| row.time_us))
        .f64s("score", pick(rows, &order, |row| row.score))
        .optional_texts("detector", detectors.iter().map(Option::as_deref))?
        .finite_f64s("expected", pick(rows, &order, |row| row.expected))
        .u8s("maturity", pick(rows, &order, |row| row.maturity as u8))
        .u64s("seq", pick(rows, &order, |row| row.sequence))
        .finish()
}

pub(crate) fn signal_stats(rows: &[SignalStats]) -> Result<RecordBatch> {
    let rate_hz = |row: &SignalStats| row.typical_interval_us.map_or(f64::NAN, |interval_us| 1e6 / interval_us as f64);
    let last_seen = |row: &SignalStats| row.last_seen_us.unwrap_or(iotpm_core::NO_STREAM_TIME);
    Columns::new("signal_stats")
        .u32s("id", rows.iter().map(|row| row.id.0).collect())
        .texts("name", rows.iter().map(|row| &*row.name))?
        .known_times("last_seen", rows.iter().map(last_seen).collect())
        .finite_f64s("rate_hz", rows.iter().map(rate_hz).collect())
        .u64s("readings", rows.iter().map(|row| row.readings).collect())
        .u64s("late", rows.iter().map(|row| row.late).collect())
        .u64s("duplicates", rows.iter().map(|row| row.duplicates).collect())
        .u64s("bad", rows.iter().map(|row| row.bad).collect())
        .u64s("windows", rows.iter().map(|row| row.windows).collect())
        .u64s("anomalies", rows.iter().map(|row| row.anomalies).collect())
        .texts("maturity", rows.iter().map(|row| row.maturity.name()))?
        .bools("idle", rows.iter().map(|row| row.idle).collect())
        .finish()
}
