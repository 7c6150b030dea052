//! The state of a pipeline: captured between two chunks or in steps of a few signals, and gone on from.
//!
//! In steps, chunks run between them, and each asset is captured as it is when its turn comes. What is no signal's (names,
//! units, producers, labels) is captured at the first step, for the stream comes again from there; outbox and counters
//! at the last, for rows up to there are not made again.

use std::sync::Arc;

use iotpm_core::{BarrierKind, Labels, SignalId, SignalSnapshot, Templates};

use super::{Pipeline, Position};
use crate::{CapturedState, NodeError, PipelineCounters, PipelineOptions, RawMessage, error::Result, seed};

/// A state of which some signals are still to be captured.
pub(super) struct Capturing {
    state: CapturedState,
    /// Sequence of the last message that ran.
    at: u64,
    /// What had been counted when a signal was last captured.
    counters: PipelineCounters,
    complete: bool,
}

impl Capturing {
    fn into_state(self) -> CapturedState {
        let mut state = self.state;
        state.states.sort_unstable_by_key(|signal| signal.id);
        CapturedState { counters: saved(&self.counters), ..state }
    }
}

impl Pipeline {
    pub(super) fn restored(options: PipelineOptions, state: CapturedState) -> Result<Self> {
        let state = match options.seed_at {
            Some(sequence) => seed::seeded(state, sequence)?,
            None => state,
        };
        check_store_is_not_behind(&options, &state)?;
        let unreadable = |reason: String| NodeError::InvalidSnapshot { reason };
        let list = serde_json::from_str(&state.configuration);
        let list = list.map_err(|error| unreadable(format!("templates: {error}")))?;
        let templates = Templates::new(list).map_err(|error| unreadable(error.to_string()))?;
        let mut pipeline = Self::empty(options, templates, state.configuration)?;
        pipeline.registry.restore(state.signals)?;
        pipeline.sources.restore(state.sources);
        pipeline.restore_engines(state.states)?;
        pipeline.restore_labels(state.labels, state.sequence);
        pipeline.restore_unannounced(&state.unannounced)?;
        pipeline.known_through = state.through;
        pipeline.position = Position { sequence: state.sequence, time_us: state.last_time_us, hash: state.last_hash };
        pipeline.next_outbox_seq = pipeline.options.next_outbox_seq.unwrap_or(state.next_outbox_seq);
        let counts = state.counters.iter().map(|(name, count)| (name.as_str(), *count));
        pipeline.counters = PipelineCounters::from_entries(counts);
        Ok(pipeline)
    }

    fn restore_engines(&mut self, states: Vec<SignalSnapshot>) -> Result<()> {
        let mut by_shard = vec![Vec::new(); self.work.batches.len()];
        for state in states {
            self.check_known(state.id.0)?;
            by_shard[self.registry.shard(state.id)].push(state);
        }
        self.shards.restore(by_shard)
    }

    /// They act before the next message does.
    fn restore_labels(&mut self, labels: Labels, sequence: u64) {
        if !labels.is_empty() {
            self.labels = labels;
            self.work.barrier(sequence, &BarrierKind::Feedback(Arc::new(self.labels.clone())));
        }
    }

    fn restore_unannounced(&mut self, signals: &[u32]) -> Result<()> {
        for id in signals {
            self.check_known(*id)?;
            self.work.register(SignalId(*id), &self.registry);
            self.unannounced.push(SignalId(*id));
        }
        Ok(())
    }

    /// The state between two chunks; encoding it is left to the caller's choice of thread.
    ///
    /// # Errors
    /// [`NodeError::Failed`] after an earlier failure, [`NodeError::ShardStopped`], [`NodeError::Core`].
    pub fn snapshot(&self) -> Result<CapturedState> {
        self.check_usable()?;
        Ok(CapturedState { states: self.shards.snapshot(self.position.sequence)?, ..self.state_without_signals() })
    }

    fn state_without_signals(&self) -> CapturedState {
        CapturedState {
            sequence: self.position.sequence,
            through: self.own_sequence(),
            last_time_us: self.position.time_us,
            last_hash: self.position.hash,
            next_outbox_seq: self.next_outbox_seq,
            configuration: self.configuration.clone(),
            labels: self.labels.clone(),
            signals: self.registry.save(),
            unannounced: self.unannounced.iter().map(|id| id.0).collect(),
            sources: self.sources.save(),
            counters: saved(&self.counters),
            states: Vec::new(),
        }
    }

    /// Begins to capture the state in steps, so that no chunk waits for all of it; one that is under way is given up.
    ///
    /// # Errors
    /// [`NodeError::Failed`] after an earlier failure, [`NodeError::ShardStopped`].
    pub fn begin_capture(&mut self) -> Result<()> {
        self.check_usable()?;
        self.shards.begin_capture()?;
        let state = self.state_without_signals();
        self.capturing = Some(Capturing { at: state.sequence, state, counters: self.counters, complete: false });
        Ok(())
    }

    /// Whether a state is being captured.
    #[must_use]
    pub fn is_capturing(&self) -> bool {
        self.capturing.is_some()
    }

    /// Captures about so many signals more, in whole assets of every shard; the state once there are none left, and
    /// `None` before that or if nothing was begun.
    ///
    /// # Errors
    /// As [`Pipeline::snapshot`].
    pub fn capture(&mut self, signals: usize) -> Result<Option<CapturedState>> {
        self.check_usable()?;
        self.capture_step(signals)?;
        Ok(self.capturing.take_if(|capturing| capturing.complete).map(Capturing::into_state))
    }

    fn capture_step(&mut self, signals: usize) -> Result<()> {
        let Some(Capturing { state, at, counters, complete }) = &mut self.capturing else { return Ok(()) };
        let mut states = if *complete { Vec::new() } else { self.shards.capture(signals, *at)? };
        *complete = states.is_empty();
        if !*complete {
            state.states.append(&mut states);
            (state.through, state.next_outbox_seq) = (self.known_through.max(*at), self.next_outbox_seq);
            *counters = self.counters;
        }
        Ok(())
    }

    fn capture_rest(&mut self) -> Result<()> {
        while self.capturing.as_ref().is_some_and(|capturing| !capturing.complete) {
            self.capture_step(usize::MAX)?;
        }
        Ok(())
    }

    /// A control message reaches all signals, so that none may be captured before it and another one after it.
    pub(super) fn capture_before_controls(&mut self, messages: &[RawMessage]) -> Result<()> {
        let is_control = |message: &RawMessage| message.subject.starts_with(&self.subjects.control);
        if self.is_capturing() && messages.iter().any(is_control) {
            self.capture_rest()?;
        }
        Ok(())
    }

    /// The state has no room for a signal that came after its first step, and the asset's may know of it.
    pub(super) fn capture_before_new_signals(&mut self) -> Result<()> {
        if self.is_capturing() && self.work.batches.iter().any(|batch| !batch.new_signals.is_empty()) {
            self.capture_rest()?;
        }
        Ok(())
    }

    /// A chunk has run: what is captured next knows it.
    pub(super) fn note_captured_at(&mut self) {
        if let Some(capturing) = &mut self.capturing {
            capturing.at = self.position.sequence;
        }
    }
}

fn saved(counters: &PipelineCounters) -> Vec<(String, u64)> {
    counters.entries().into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// Rows above the store's position that the snapshot has already seen would be lost.
fn check_store_is_not_behind(options: &PipelineOptions, state: &CapturedState) -> Result<()> {
    match options.discard_through {
        Some(stored) if stored < state.through => Err(NodeError::InvalidOption {
            name: "discard_through",
            value: stored.to_string(),
            allowed: "at least the last message that the snapshot knows: use an older snapshot",
        }),
        _ => Ok(()),
    }
}
