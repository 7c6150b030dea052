//! What one shard hands back: rows for the store, each with the stream sequence that caused it.

use std::{ops::AddAssign, sync::Arc};

use crate::{
    AnomalyRevision, Detector, FrameFeature, Maturity, OperatingState, Quality, SignalId, VibrationFeatures, Waveform,
    features::WindowFeatures,
};

/// An accepted reading, emitted when it is accepted (not when it leaves the reorder buffer).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReadingRow {
    /// The signal.
    pub signal: SignalId,
    /// Event time, microseconds.
    pub time_us: i64,
    /// The value; non-finite exactly when the quality is [`Quality::NonFinite`].
    pub value: f64,
    /// Quality after the checks.
    pub quality: Quality,
    /// Its message.
    pub sequence: u64,
    /// Stream time of its message.
    pub stream_time_us: i64,
}

/// A reading below its signal's watermark: stored apart, never scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LateReading {
    /// The row as it would have been.
    pub row: ReadingRow,
    /// The watermark it missed, microseconds.
    pub watermark_us: i64,
}

/// Why a reading was refused; it becomes a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// Event time further ahead of stream time than the template's `future_tolerance`.
    Future,
}

impl RejectReason {
    /// The reason as stored with the dead letter.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Future => "future_timestamp",
        }
    }
}

/// A refused reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rejected {
    /// The signal.
    pub signal: SignalId,
    /// Event time it claimed.
    pub time_us: i64,
    /// Its value.
    pub value: f64,
    /// Why.
    pub reason: RejectReason,
    /// Its message.
    pub sequence: u64,
    /// Position within that message.
    pub position: u32,
    /// Stream time of its message.
    pub stream_time_us: i64,
}

/// The fused score of one released reading (only when the engine is told to emit scores).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRow {
    /// The signal.
    pub signal: SignalId,
    /// Event time, microseconds.
    pub time_us: i64,
    /// Fused score, >= 0, 1.0 is the alarm boundary.
    pub score: f64,
    /// The detector with the greatest score, if any gave one.
    pub detector: Option<Detector>,
    /// The feature it judged, if the row is of a waveform frame.
    pub feature: Option<FrameFeature>,
    /// What it expected (NaN if nothing).
    pub expected: f64,
    /// History behind the score.
    pub maturity: Maturity,
    /// The message that released it.
    pub sequence: u64,
}

/// A closed window with at least one usable reading.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowRow {
    /// The signal.
    pub signal: SignalId,
    /// Start, inclusive, event time in microseconds.
    pub start_us: i64,
    /// End, exclusive.
    pub end_us: i64,
    /// Grows by one each time the signal's clock stepped back, so that no window key repeats.
    pub segment: u32,
    /// Usable readings in it.
    pub count: u32,
    /// 1 if the bounded ring no longer held all its readings, so that its features cover the newest ones only; else 0.
    pub truncated: u32,
    /// Its features.
    pub features: WindowFeatures,
    /// Greatest fused score of its readings.
    pub score: f64,
    /// Maturity at its end.
    pub maturity: Maturity,
    /// What the machine did, if that is known: `running` only if it did nothing else, else the last other state.
    pub state: Option<OperatingState>,
    /// Its speed as last known before the window's end; NaN if unknown.
    pub speed: f64,
    /// Its load, likewise.
    pub load: f64,
    /// The message that closed it.
    pub sequence: u64,
    /// Position within that message.
    pub position: u32,
}

/// Vibration features of a waveform frame.
#[derive(Clone, Debug, PartialEq)]
pub struct VibrationRow {
    /// The signal.
    pub signal: SignalId,
    /// Start of the frame, event time in microseconds.
    pub start_us: i64,
    /// Its sample rate.
    pub rate_hz: f64,
    /// Its samples.
    pub count: u32,
    /// Its features.
    pub features: VibrationFeatures,
    /// The message that released it.
    pub sequence: u64,
    /// Position within that message.
    pub position: u32,
}

/// A waveform frame whose samples are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct WaveformRow {
    /// The frame.
    pub waveform: Arc<Waveform>,
    /// The message that made it so: its own, or that of an anomaly after it.
    pub sequence: u64,
    /// Position within that message.
    pub position: u32,
}

/// How often each thing happened; every drop has its counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Readings accepted.
    pub accepted: u64,
    /// Readings scored.
    pub scored: u64,
    /// Usable readings that neither trained nor were scored because of the machine's operating state.
    pub transient: u64,
    /// Duplicates of a reading still in reorder buffer or ring.
    pub duplicates: u64,
    /// Readings below the watermark.
    pub late: u64,
    /// Readings refused as too far in the future.
    pub future: u64,
    /// Non-finite values.
    pub non_finite: u64,
    /// Values outside the physical range.
    pub out_of_range: u64,
    /// Readings that the source called bad.
    pub bad: u64,
    /// Readings released early because a reorder buffer was full.
    pub reorder_overflow: u64,
    /// Readings overwritten in a full ring before their windows closed.
    pub ring_overwritten: u64,
    /// Watermark restarts after a clock step.
    pub clock_steps: u64,
    /// Signals that became idle.
    pub idle: u64,
    /// Windows closed.
    pub windows: u64,
    /// Anomalies begun.
    pub anomalies: u64,
    /// Anomalies not raised because they repeat a recent one.
    pub suppressed: u64,
    /// Anomalies not told because an operator labelled what they look like false.
    pub muted: u64,
    /// Usable readings and frames neither learned nor scored because of maintenance.
    pub maintenance: u64,
    /// Waveform frames whose samples are kept.
    pub waveforms_kept: u64,
    /// Waveform frames whose samples the policy let go.
    pub waveforms_dropped: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.scored += other.scored;
        self.transient += other.transient;
        self.duplicates += other.duplicates;
        self.late += other.late;
        self.future += other.future;
        self.non_finite += other.non_finite;
        self.out_of_range += other.out_of_range;
        self.bad += other.bad;
        self.reorder_overflow += other.reorder_overflow;
        self.ring_overwritten += other.ring_overwritten;
        self.clock_steps += other.clock_steps;
        self.idle += other.idle;
        self.windows += other.windows;
        self.anomalies += other.anomalies;
        self.suppressed += other.suppressed;
        self.muted += other.muted;
        self.maintenance += other.maintenance;
        self.waveforms_kept += other.waveforms_kept;
        self.waveforms_dropped += other.waveforms_dropped;
    }
}

/// Everything that one run of a batch produced. Rows of one signal are in order; rows of different signals are grouped
/// by signal, so sort by (sequence, position) where a total order matters.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Accepted readings.
    pub readings: Vec<ReadingRow>,
    /// Late readings.
    pub late: Vec<LateReading>,
    /// Refused readings.
    pub rejected: Vec<Rejected>,
    /// Scores, if asked for.
    pub scores: Vec<ScoreRow>,
    /// Closed windows.
    pub windows: Vec<WindowRow>,
    /// Vibration features of waveform frames.
    pub vibration: Vec<VibrationRow>,
    /// Waveform frames that are kept.
    pub waveforms: Vec<WaveformRow>,
    /// Anomaly revisions.
    pub anomalies: Vec<AnomalyRevision>,
    /// What happened during this run.
    pub counters: Counters,
}

impl Output {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.readings.clear();
        self.late.clear();
        self.rejected.clear();
        self.scores.clear();
        self.windows.clear();
        self.vibration.clear();
        self.waveforms.clear();
        self.anomalies.clear();
        self.counters = Counters::default();
    }
}
