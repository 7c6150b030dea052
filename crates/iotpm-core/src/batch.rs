//! What one shard is given to run: readings, and between them the events that must act in order.

use std::sync::Arc;

use crate::{Labels, Reading, SignalId, Templates, Waveform};

/// A signal seen for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSignal {
    /// Its number.
    pub id: SignalId,
    /// Its name, `site/asset/signal`.
    pub name: Arc<str>,
}

/// Readings of one shard in (sequence, position) order, and the barriers between them.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Signals that first appear in this batch, registered before anything else runs.
    pub new_signals: Vec<NewSignal>,
    /// The readings, in (sequence, position) order.
    pub readings: Vec<Reading>,
    /// Barriers in (sequence, position) order.
    pub barriers: Vec<Barrier>,
}

impl Batch {
    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.new_signals.clear();
        self.readings.clear();
        self.barriers.clear();
    }
}

/// An event that every reading before it precedes and every reading after it follows.
#[derive(Clone, Debug)]
pub struct Barrier {
    /// It acts once this many readings of the batch have run.
    pub before: usize,
    /// Stream sequence of the message that carried it.
    pub sequence: u64,
    /// Position within that message.
    pub position: u32,
    /// What it does.
    pub kind: BarrierKind,
}

/// What a barrier does.
#[derive(Clone, Debug)]
pub enum BarrierKind {
    /// Stream time has advanced: signals that fell silent become idle.
    Tick {
        /// Stream time in microseconds.
        stream_time_us: i64,
    },
    /// The series has ended: reorder buffers empty and open windows close up to their last reading; signals do not become
    /// idle until they speak again.
    End,
    /// New templates act from here on.
    Configure(Arc<Templates>),
    /// These labels of operators are in force from here on.
    Feedback(Arc<Labels>),
    /// A waveform frame, one window of its own.
    Waveform(Arc<Waveform>),
}
