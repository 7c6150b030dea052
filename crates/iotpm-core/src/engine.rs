//! One shard: many signals, run in sequence order.

use std::sync::Arc;

use crate::{Batch, Maturity, Output, Result, SignalId, Templates};

/// Settings of an engine that do not change results.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineOptions {
    /// Emit a [`crate::ScoreRow`] for every released reading.
    pub emit_scores: bool,
}

/// The state of one signal, independent of the shard that holds it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct SignalSnapshot {
    /// Its number.
    pub id: SignalId,
    /// Its name.
    pub name: Arc<str>,
    /// Encoded state.
    pub state: Vec<u8>,
}

/// What is known about one signal.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalStats {
    /// Its number.
    pub id: SignalId,
    /// Its name.
    pub name: Arc<str>,
    /// Greatest event time, microseconds.
    pub last_seen_us: Option<i64>,
    /// Typical sampling interval, microseconds, once 32 readings are known.
    pub typical_interval_us: Option<i64>,
    /// Readings accepted.
    pub readings: u64,
    /// Late readings.
    pub late: u64,
    /// Duplicates.
    pub duplicates: u64,
    /// Readings of bad quality.
    pub bad: u64,
    /// Windows closed.
    pub windows: u64,
    /// Anomalies begun.
    pub anomalies: u64,
    /// Maturity of its detectors.
    pub maturity: Maturity,
    /// Silent for longer than its timeout.
    pub idle: bool,
}

/// Signal processing and detection for the signals of one shard.
pub struct Engine {
    templates: Arc<Templates>,
    options: EngineOptions,
}

impl Engine {
    /// An engine without signals.
    #[must_use]
    pub fn new(templates: Arc<Templates>, options: EngineOptions) -> Self {
        Self { templates, options }
    }

    /// Runs a batch and appends what it produced to `output`.
    ///
    /// # Errors
    /// [`crate::CoreError::UnknownSignal`] for a reading of a signal that no batch registered.
    pub fn run(&mut self, batch: &Batch, output: &mut Output) -> Result<()> {
        let _ = (&self.templates, self.options, batch, output);
        Ok(())
    }

    /// The state of every signal, in id order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<SignalSnapshot> {
        Vec::new()
    }

    /// Takes over the state of signals from a snapshot.
    ///
    /// # Errors
    /// [`crate::CoreError::InvalidSnapshot`] if a state cannot be decoded.
    pub fn restore(&mut self, signals: Vec<SignalSnapshot>) -> Result<()> {
        let _ = signals;
        Ok(())
    }

    /// What is known about every signal, in id order.
    #[must_use]
    pub fn signal_stats(&self) -> Vec<SignalStats> {
        Vec::new()
    }
}
