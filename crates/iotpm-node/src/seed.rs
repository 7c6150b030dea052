//! A state that was learned from history as the beginning of a stream.

use std::sync::Arc;

use crate::{CapturedState, error::Result, registry::SavedSignal};

/// What the state has learned stays; what belonged to the history's sequences, producers, alarms and counts goes. The
/// stream's own messages begin after `sequence`.
pub(crate) fn seeded(state: CapturedState, sequence: u64) -> Result<CapturedState> {
    let signals = state.signals.into_iter().map(|signal| before(signal, sequence)).collect();
    let states = state.states.into_iter().map(iotpm_core::SignalSnapshot::seeding);
    Ok(CapturedState {
        states: states.collect::<iotpm_core::Result<_>>()?,
        sequence,
        through: sequence,
        last_time_us: 0,
        last_hash: 0,
        next_outbox_seq: 1,
        signals,
        unannounced: Vec::new(),
        sources: Vec::new(),
        counters: Vec::new(),
        ..state
    })
}

/// A unit that the history stated holds from the stream's first message on.
fn before(signal: SavedSignal, sequence: u64) -> SavedSignal {
    SavedSignal { stated_unit: signal.stated_unit.map(|(unit, _)| (Arc::clone(&unit), sequence)), ..signal }
}
