//! Which signals tell others their state, speed and load, and handing the facts over in the order of the messages.
//!
//! Signals of an asset lie in the same shard. Within a span between two barriers the readings of state, speed and load
//! signals are noted first; before a signal takes a reading of message s, it learns what messages up to and including s
//! told; when the span ends, it learns the rest. So where spans are cut changes nothing, nor does the order of readings
//! within a message.

use std::{collections::HashMap, sync::Arc};

use super::StateSettings;
use crate::Reading;

/// What a signal tells another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The value that the state follows from.
    State,
    /// The speed that windows carry.
    Speed,
    /// The load that windows carry.
    Load,
}

/// A usable reading of a signal that tells others something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fact {
    pub sequence: u64,
    pub time_us: i64,
    pub value: f64,
}

/// A signal that tells others something, and what it told in this span.
#[derive(Debug, Default)]
struct Source {
    facts: Vec<Fact>,
    /// Places of the signals that learn from it, each with how many of the facts it knows.
    listeners: Vec<Listener>,
}

#[derive(Debug)]
struct Listener {
    place: u32,
    role: Role,
    known: usize,
}

/// Who tells whom; signals are known by their places in the engine.
#[derive(Debug, Default)]
pub(crate) struct Coupling {
    places: HashMap<Arc<str>, u32>,
    sources: Vec<Source>,
    source_named: HashMap<Box<str>, u32>,
    /// Source of each place, or [`NONE`].
    source_of: Vec<u32>,
    /// (source, index among its listeners) of each place.
    heard_by: Vec<Vec<(u32, u32)>>,
}

const NONE: u32 = u32::MAX;

impl Coupling {
    /// Takes up the signal at the next place; one that it listens to may come before or after.
    pub fn add(&mut self, name: &Arc<str>, settings: Option<&StateSettings>) {
        let place = self.source_of.len() as u32;
        self.places.insert(Arc::clone(name), place);
        self.source_of.push(self.source_named.get(&**name).copied().unwrap_or(NONE));
        self.heard_by.push(Vec::new());
        let Some(settings) = settings else { return };
        let (asset, own) = name.rsplit_once('/').unwrap_or(("", name));
        for (role, signal) in settings.sources(own) {
            let source = self.source(&format!("{asset}/{signal}"));
            let listeners = &mut self.sources[source as usize].listeners;
            self.heard_by[place as usize].push((source, listeners.len() as u32));
            listeners.push(Listener { place, role, known: 0 });
        }
    }

    fn source(&mut self, name: &str) -> u32 {
        if let Some(known) = self.source_named.get(name) {
            return *known;
        }
        let source = self.sources.len() as u32;
        self.sources.push(Source::default());
        self.source_named.insert(name.into(), source);
        if let Some(place) = self.places.get(name) {
            self.source_of[*place as usize] = source;
        }
        source
    }

    /// Whether the signal at a place tells others something.
    pub fn tells(&self, place: u32) -> bool {
        self.source_of[place as usize] != NONE
    }

    /// Notes a usable reading of a signal that tells others something.
    pub fn note(&mut self, place: u32, reading: &Reading) {
        let fact = Fact { sequence: reading.sequence, time_us: reading.time_us, value: reading.value };
        self.sources[self.source_of[place as usize] as usize].facts.push(fact);
    }

    /// Hands the signal at `place` what messages up to `sequence` told it and it does not know yet.
    pub fn hand_over(&mut self, place: u32, sequence: u64, mut learn: impl FnMut(Role, &Fact)) {
        for &(source, listener) in &self.heard_by[place as usize] {
            let Source { facts, listeners } = &mut self.sources[source as usize];
            let listener = &mut listeners[listener as usize];
            while let Some(fact) = facts.get(listener.known).filter(|fact| fact.sequence <= sequence) {
                learn(listener.role, fact);
                listener.known += 1;
            }
        }
    }

    /// Hands everyone the rest and forgets the span.
    pub fn end_span(&mut self, mut learn: impl FnMut(u32, Role, &Fact)) {
        for source in self.sources.iter_mut().filter(|source| !source.facts.is_empty()) {
            for listener in &mut source.listeners {
                source.facts[listener.known..].iter().for_each(|fact| learn(listener.place, listener.role, fact));
                listener.known = 0;
            }
            source.facts.clear();
        }
    }
}
