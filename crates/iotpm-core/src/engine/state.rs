//! The state of an engine: captured at once, or asset by asset between batches, and taken over again.
//!
//! Assets do not see each other, so each may be captured after a message of its own: a stream that comes again from the
//! message after which the first was captured finds the others ahead, and [`Known`] passes over what they know.

use std::{collections::HashMap, sync::Arc};

use super::{Engine, SignalSnapshot, invalid};
use crate::{Barrier, BarrierKind, Batch, Result, SignalId, asset::asset_of, signal::SignalState};

/// Which messages the signals of a snapshot know although they come again.
#[derive(Default)]
pub(super) struct Known {
    /// First message that each does not know, by place; 0 if it knows none that comes again.
    new_from: Vec<u64>,
    /// Greatest of them.
    all_new_from: u64,
}

impl Known {
    fn note(&mut self, place: usize, through: u64) {
        let new_from = if through == 0 { 0 } else { through + 1 };
        self.new_from.resize(place, 0);
        self.new_from.push(new_from);
        self.all_new_from = self.all_new_from.max(new_from);
    }

    /// Whether the signal at a place knows a message already.
    pub fn holds(&self, place: u32, sequence: u64) -> bool {
        sequence < self.all_new_from && sequence < self.new_from(place)
    }

    fn through(&self, place: u32) -> u64 {
        self.new_from(place).saturating_sub(1)
    }

    fn new_from(&self, place: u32) -> u64 {
        self.new_from.get(place as usize).copied().unwrap_or(0)
    }

    fn may_hold(&self, batch: &Batch) -> bool {
        let first = [batch.readings.first().map(|r| r.sequence), batch.barriers.first().map(|b| b.sequence)];
        first.into_iter().flatten().any(|sequence| sequence < self.all_new_from)
    }
}

impl Engine {
    /// The state of every signal, in id order; `sequence` is that of the last message that ran.
    ///
    /// # Errors
    /// [`crate::CoreError::InvalidSnapshot`] if a state cannot be encoded.
    pub fn snapshot(&self, sequence: u64) -> Result<Vec<SignalSnapshot>> {
        let (mut states, mut scratch) = (Vec::with_capacity(self.signals.len()), Vec::new());
        let through = |place| Some(self.known.through(place)).filter(|through| *through > sequence).unwrap_or(0);
        for places in self.places_by_asset() {
            self.encode_asset(&places, through, &mut scratch, &mut states)?;
        }
        states.sort_unstable_by_key(|state| state.id);
        Ok(states)
    }

    /// Begins to capture the state in steps: of the signals there are now, but as each is when its step comes. Until
    /// the last step no batch may bring a new signal, or a barrier that is neither a tick nor a waveform.
    pub fn begin_capture(&mut self) {
        self.waiting = self.places_by_asset();
    }

    /// The states of the next assets, whole ones, until `signals` signals are among them; none once all were captured.
    /// `sequence` is that of the last message that ran.
    ///
    /// # Errors
    /// [`crate::CoreError::InvalidSnapshot`] if a state cannot be encoded.
    pub fn capture(&mut self, signals: usize, sequence: u64) -> Result<Vec<SignalSnapshot>> {
        let (mut states, mut scratch) = (Vec::new(), std::mem::take(&mut self.encoded));
        while states.len() < signals
            && let Some(places) = self.waiting.pop()
        {
            self.encode_asset(&places, |place| self.known.through(place).max(sequence), &mut scratch, &mut states)?;
        }
        self.encoded = scratch;
        Ok(states)
    }

    fn places_by_asset(&self) -> Vec<Vec<u32>> {
        let (mut numbers, mut places) = (HashMap::new(), Vec::new());
        for (place, signal) in self.signals.iter().enumerate() {
            let number = *numbers.entry(asset_of(signal.name())).or_insert(places.len());
            if number == places.len() {
                places.push(Vec::new());
            }
            places[number].push(place as u32);
        }
        places
    }

    fn encode_asset(
        &self,
        places: &[u32],
        through: impl Fn(u32) -> u64,
        scratch: &mut Vec<u8>,
        states: &mut Vec<SignalSnapshot>,
    ) -> Result<()> {
        let asset = self.assets.as_ref().map_or(Ok(None), |assets| assets.state_of(places, scratch))?;
        let (first, mut asset) = asset.unwrap_or((SignalId(u32::MAX), Vec::new()));
        for &place in places {
            let signal = &self.signals[place as usize];
            let asset = if signal.id() == first { std::mem::take(&mut asset) } else { Vec::new() };
            states.push(encode(signal, through(place), asset, scratch)?);
        }
        Ok(())
    }

    /// Takes over the state of signals from a snapshot. What a state knows is passed over when it comes again.
    ///
    /// # Errors
    /// [`crate::CoreError::InvalidSnapshot`] if a state cannot be decoded.
    pub fn restore(&mut self, signals: Vec<SignalSnapshot>) -> Result<()> {
        let mut assets = Vec::new();
        for stored in signals {
            assets.push(stored.asset);
            let mut state: SignalState = postcard::from_bytes(&stored.state)
                .map_err(|error| invalid(&format!("state of signal '{}': {error}", stored.name)))?;
            let (index, _) = self.templates.find(&stored.name);
            state.set_name(stored.name);
            state.fit_operating(&self.settings[index]);
            state.fit_series(&self.settings[index]);
            self.known.note(self.signals.len(), stored.sequence);
            self.insert(state, index);
        }
        self.restore_assets(assets.iter())
    }

    /// What of a batch the states do not hold yet; `None` if that is all of it.
    pub(super) fn unknown_of(&self, batch: &Batch) -> Result<Option<Batch>> {
        if !self.known.may_hold(batch) {
            return Ok(None);
        }
        let mut kept = Vec::new();
        for (index, reading) in batch.readings.iter().enumerate() {
            if !self.known.holds(self.place(reading.signal)?, reading.sequence) {
                kept.push(index);
            }
        }
        let place_kept = |barrier: &Barrier| kept.partition_point(|index| *index < barrier.before);
        let barriers = batch.barriers.iter().filter(|barrier| !self.holds_frame(barrier));
        Ok(Some(Batch {
            new_signals: Vec::new(),
            readings: kept.iter().map(|index| batch.readings[*index]).collect(),
            barriers: barriers.map(|barrier| Barrier { before: place_kept(barrier), ..barrier.clone() }).collect(),
        }))
    }

    fn holds_frame(&self, barrier: &Barrier) -> bool {
        let BarrierKind::Waveform(frame) = &barrier.kind else { return false };
        self.place(frame.signal).is_ok_and(|place| self.known.holds(place, barrier.sequence))
    }
}

/// By way of memory that stays warm: to touch new memory costs more than to copy.
fn encode(signal: &SignalState, sequence: u64, asset: Vec<u8>, scratch: &mut Vec<u8>) -> Result<SignalSnapshot> {
    scratch.clear();
    postcard::to_io(signal, &mut *scratch).map_err(|error| invalid(&error.to_string()))?;
    let (id, name) = (signal.id(), Arc::clone(signal.name()));
    Ok(SignalSnapshot { id, name, sequence, state: scratch.as_slice().into(), asset })
}
