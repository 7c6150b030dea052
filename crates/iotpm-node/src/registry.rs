//! Names to numbers: every signal once, in the order of first appearance, with its unit and its shard.

use std::sync::Arc;

use iotpm_codec::{
    CodecError, Decoded, name,
    unit::{self, Conversion},
};
use iotpm_core::{AnomalyKind, AnomalyRevision, Contribution, SampleScale, SignalId, Template, Templates};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::{NodeError, error::Result, tables::Contributor};

/// Most conversions remembered for a signal; more are worked out anew.
const MAX_CONVERSIONS: usize = 4;
/// Most units of waveforms remembered; more are worked out anew.
const MAX_SCALES: usize = 16;
/// Most names remembered for an asset; more are put together anew.
const MAX_NAMES: usize = 64;

/// Where a message's readings belong, as far as its subject tells.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// The subject names a signal that is known.
    Signal(SignalId),
    /// It names a signal that is not known yet, by this full name.
    NewSignal(Arc<str>),
    /// It names an asset.
    Asset(Arc<Asset>),
}

/// An asset of a subject.
#[derive(Debug)]
pub(crate) struct Asset {
    site: Box<str>,
    name: Box<str>,
    /// Its place among the assets whose readings' names are remembered.
    number: usize,
}

/// How the readings of one asset name their signals, in the order of first use: batches go round in the same order, so
/// that the next name is mostly the one behind the last.
#[derive(Debug, Default)]
struct KnownNames {
    names: Vec<KnownName>,
    next: usize,
}

#[derive(Debug)]
struct KnownName {
    signal: Option<Box<str>>,
    sensor_id: Option<Box<str>>,
    metric: Option<Box<str>>,
    id: SignalId,
}

impl KnownName {
    fn new(reading: &Decoded<'_>, id: SignalId) -> Self {
        let kept = |text: Option<&str>| text.map(Box::from);
        Self { signal: kept(reading.signal), sensor_id: kept(reading.sensor_id), metric: kept(reading.metric), id }
    }

    fn is_of(&self, reading: &Decoded<'_>) -> bool {
        self.metric.as_deref() == reading.metric
            && self.sensor_id.as_deref() == reading.sensor_id
            && self.signal.as_deref() == reading.signal
    }
}

impl KnownNames {
    fn recall(&mut self, reading: &Decoded<'_>) -> Option<SignalId> {
        let at = if self.next < self.names.len() { self.next } else { 0 };
        let known = self.names.get(at).filter(|known| known.is_of(reading))?;
        self.next = at + 1;
        Some(known.id)
    }

    /// Goes on behind a name that was out of turn, or adds it.
    fn note(&mut self, reading: &Decoded<'_>, id: SignalId) {
        let found = self.names.iter().position(|known| known.id == id && known.is_of(reading));
        if found.is_none() && self.names.len() < MAX_NAMES {
            self.names.push(KnownName::new(reading, id));
        }
        self.next = found.map_or(self.names.len(), |at| at + 1);
    }
}

/// Why a reading was refused before it reached an engine.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Its name or unit cannot be used.
    Codec(CodecError),
    /// The table of signals is full.
    TooManySignals {
        /// The limit.
        max: usize,
    },
}

impl From<CodecError> for Refusal {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

/// What the registry keeps of a signal; the rest follows from the templates.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedSignal {
    /// `site/asset/signal`.
    pub name: Arc<str>,
    /// The first unit that its readings stated, and the sequence that did.
    pub stated_unit: Option<(Arc<str>, u64)>,
}

/// A known signal.
#[derive(Debug)]
pub(crate) struct Signal {
    pub saved: SavedSignal,
    pub shard: u32,
    template: u32,
    conversions: Vec<(Box<str>, Conversion)>,
}

/// A row of the table `signals`, as things stood when the signal appeared.
#[derive(Clone, Debug)]
pub(crate) struct SignalRow {
    pub id: SignalId,
    pub name: Arc<str>,
    pub unit: Option<Arc<str>>,
    pub kind: Option<Arc<str>>,
    pub sequence: u64,
}

/// The names of a store and what belongs to each.
pub(crate) struct Registry {
    templates: Arc<Templates>,
    signals: Vec<Signal>,
    by_name: FxHashMap<Arc<str>, SignalId>,
    by_subject: FxHashMap<Box<str>, Place>,
    assets: Vec<KnownNames>,
    /// Units of waveforms and what a sample in them means.
    scales: Vec<(Arc<str>, SampleScale)>,
    max_signals: usize,
    shards: u32,
    part: String,
    full: String,
}

impl Registry {
    pub fn new(templates: Arc<Templates>, max_signals: usize, shards: usize) -> Self {
        Self {
            templates,
            signals: Vec::new(),
            by_name: FxHashMap::default(),
            by_subject: FxHashMap::default(),
            assets: Vec::new(),
            scales: Vec::new(),
            max_signals,
            shards: shards as u32,
            part: String::new(),
            full: String::new(),
        }
    }

    pub fn restore(&mut self, saved: Vec<SavedSignal>) -> Result<()> {
        for signal in saved {
            if self.by_name.contains_key(&signal.name) || name::split_full_name(&signal.name).is_none() {
                return Err(NodeError::InvalidSnapshot { reason: format!("signal '{}' is out of place", signal.name) });
            }
            self.insert(signal);
        }
        Ok(())
    }

    pub fn save(&self) -> Vec<SavedSignal> {
        self.signals.iter().map(|signal| signal.saved.clone()).collect()
    }

    pub fn get(&self, id: SignalId) -> Option<&Signal> {
        self.signals.get(id.0 as usize)
    }

    pub fn name(&self, id: SignalId) -> &str {
        self.get(id).map_or("", |signal| &signal.saved.name)
    }

    pub fn shard(&self, id: SignalId) -> usize {
        self.signals[id.0 as usize].shard as usize
    }

    pub fn len(&self) -> usize {
        self.signals.len()
    }

    /// The unit of a signal's stored values as of a sequence: the template's, else the first one stated.
    pub fn unit(&self, id: SignalId, sequence: u64) -> Option<Arc<str>> {
        let signal = self.get(id)?;
        let template = self.template(signal).unit.as_deref().map(Arc::from);
        template
            .or_else(|| signal.saved.stated_unit.clone().filter(|(_, since)| *since <= sequence).map(|(unit, _)| unit))
    }

    /// What a sample of a waveform in the signal's unit means.
    pub fn sample_scale(&mut self, id: SignalId, sequence: u64) -> SampleScale {
        let Some(unit) = self.unit(id, sequence) else { return SampleScale::Unknown };
        if let Some((_, known)) = self.scales.iter().find(|(name, _)| *name == unit) {
            return *known;
        }
        let scale = scale_of(&unit);
        if self.scales.len() < MAX_SCALES {
            self.scales.push((unit, scale));
        }
        scale
    }

    /// What a revision hints at, as the template says; silence and a stuck value hint at the sensor instead.
    pub fn failure_mode(&self, revision: &AnomalyRevision) -> Option<Arc<str>> {
        if matches!(revision.kind, AnomalyKind::Gap | AnomalyKind::Stuck) {
            return None;
        }
        let template = self.template(self.get(revision.signal)?);
        template.failure_mode.as_deref().map(Arc::from)
    }

    /// The signals with the greatest shares in an anomaly of their asset, by name.
    pub fn contributors(&self, revision: &AnomalyRevision) -> Vec<Contributor> {
        let named = |one: &Contribution| Contributor {
            signal: Arc::from(self.name(one.signal)),
            share: one.share,
            expected: one.expected,
            actual: one.actual,
            direction: one.direction,
        };
        revision.contributions.iter().map(named).collect()
    }

    pub fn row(&self, id: SignalId, sequence: u64) -> SignalRow {
        let signal = &self.signals[id.0 as usize];
        SignalRow {
            id,
            name: Arc::clone(&signal.saved.name),
            unit: self.unit(id, sequence),
            kind: self.template(signal).kind.as_deref().map(Arc::from),
            sequence,
        }
    }

    fn template(&self, signal: &Signal) -> &Template {
        self.templates.get(signal.template as usize)
    }

    /// New templates act from here on; what followed from the old ones is forgotten.
    pub fn configure(&mut self, templates: Arc<Templates>) {
        for signal in &mut self.signals {
            signal.template = templates.find(&signal.saved.name).0 as u32;
            signal.conversions.clear();
        }
        self.templates = templates;
    }

    /// Where the readings of a subject belong.
    pub fn place(&mut self, prefix: &str, subject: &str) -> std::result::Result<Place, CodecError> {
        if let Some(place) = self.by_subject.get(subject) {
            return Ok(place.clone());
        }
        let parsed = name::Subject::parse(prefix, subject)?;
        let place = match &parsed.signal {
            Some(signal) => self.named_place(&parsed.site, &parsed.asset, signal)?,
            None => Place::Asset(Arc::new(Asset {
                site: (*parsed.site).into(),
                name: (*parsed.asset).into(),
                number: self.assets.len(),
            })),
        };
        self.remember(subject, &place);
        Ok(place)
    }

    fn named_place(&mut self, site: &str, asset: &str, signal: &str) -> std::result::Result<Place, CodecError> {
        name::full_name(site, asset, signal, &mut self.full)?;
        let known = self.by_name.get(self.full.as_str());
        Ok(known.map_or_else(|| Place::NewSignal(self.full.as_str().into()), |id| Place::Signal(*id)))
    }

    /// Subjects are remembered within a bound; beyond it they are taken apart every time.
    fn remember(&mut self, subject: &str, place: &Place) {
        if self.by_subject.len() < 2 * self.max_signals && !matches!(place, Place::NewSignal(_)) {
            self.by_subject.insert(subject.into(), place.clone());
            if matches!(place, Place::Asset(_)) {
                self.assets.push(KnownNames::default());
            }
        }
    }

    /// The signal of a reading, if it is known.
    pub fn find(&mut self, place: &Place, reading: &Decoded<'_>) -> std::result::Result<Option<SignalId>, CodecError> {
        match place {
            Place::Signal(id) => Ok(Some(*id)),
            Place::NewSignal(name) => Ok(self.by_name.get(name).copied()),
            Place::Asset(asset) => self.find_of_asset(asset, reading),
        }
    }

    fn find_of_asset(
        &mut self,
        asset: &Asset,
        reading: &Decoded<'_>,
    ) -> std::result::Result<Option<SignalId>, CodecError> {
        // Beyond the bound an asset has the number of one that is not there.
        if let Some(id) = self.assets.get_mut(asset.number).and_then(|known| known.recall(reading)) {
            return Ok(Some(id));
        }
        let Asset { site, name: asset, number } = asset;
        name::signal_name(asset, reading.signal, reading.sensor_id, reading.metric, &mut self.part)?;
        name::full_name(site, asset, &self.part, &mut self.full)?;
        let found = self.by_name.get(self.full.as_str()).copied();
        if let (Some(id), Some(known)) = (found, self.assets.get_mut(*number)) {
            known.note(reading, id);
        }
        Ok(found)
    }

    /// Numbers the signal that [`Registry::find`] has just not found.
    pub fn add(&mut self, place: &Place, unit: Option<&str>, sequence: u64) -> std::result::Result<SignalId, Refusal> {
        let name: Arc<str> = match place {
            Place::NewSignal(name) => Arc::clone(name),
            _ => self.full.as_str().into(),
        };
        self.add_named(name, unit, sequence)
    }

    fn add_named(&mut self, name: Arc<str>, unit: Option<&str>, seq: u64) -> std::result::Result<SignalId, Refusal> {
        if self.signals.len() >= self.max_signals {
            return Err(Refusal::TooManySignals { max: self.max_signals });
        }
        if let (Some(stated), Some(wanted)) = (unit, self.templates.find(&name).1.unit.as_deref()) {
            unit::conversion(stated, wanted)?;
        }
        Ok(self.insert(SavedSignal { name, stated_unit: unit.map(|unit| (unit.into(), seq)) }))
    }

    fn insert(&mut self, saved: SavedSignal) -> SignalId {
        let id = SignalId(self.signals.len() as u32);
        let template = self.templates.find(&saved.name).0 as u32;
        self.by_name.insert(Arc::clone(&saved.name), id);
        let shard = shard_of(&saved.name, self.shards);
        self.signals.push(Signal { saved, shard, template, conversions: Vec::new() });
        id
    }

    /// The number of a full name; `true` if it is new.
    pub fn id_of_name(&mut self, full: &str, sequence: u64) -> Result<(SignalId, bool)> {
        if let Some(id) = self.by_name.get(full) {
            return Ok((*id, false));
        }
        let bad =
            || NodeError::InvalidSignalName { name: full.chars().take(80).collect(), max_bytes: name::MAX_NAME_BYTES };
        let parts = name::split_full_name(full).filter(|parts| parts.iter().all(|part| !part.is_empty()));
        let [site, asset, signal] = parts.ok_or_else(bad)?;
        name::full_name(&site, &asset, &signal, &mut self.full).map_err(|_| bad())?;
        if let Some(id) = self.by_name.get(self.full.as_str()) {
            return Ok((*id, false));
        }
        let added = self.add_named(self.full.as_str().into(), None, sequence);
        let full_up = |_| NodeError::TooManySignals { name: full.to_owned(), max: self.max_signals };
        added.map(|id| (id, true)).map_err(full_up)
    }

    /// How a value in a stated unit becomes one in the signal's unit.
    pub fn conversion(
        &mut self,
        id: SignalId,
        stated: Option<&str>,
        sequence: u64,
    ) -> std::result::Result<Conversion, CodecError> {
        let Some(stated) = stated else { return Ok(Conversion::IDENTITY) };
        let signal = &mut self.signals[id.0 as usize];
        if let Some((_, known)) = signal.conversions.iter().find(|(unit, _)| &**unit == stated) {
            return Ok(*known);
        }
        let first_stated = signal.saved.stated_unit.as_ref().map(|(unit, _)| &**unit);
        let wanted = self.templates.get(signal.template as usize).unit.as_deref().or(first_stated);
        let conversion = unit::conversion(stated, wanted.unwrap_or(stated))?;
        signal.saved.stated_unit.get_or_insert_with(|| (stated.into(), sequence));
        if signal.conversions.len() < MAX_CONVERSIONS {
            signal.conversions.push((stated.into(), conversion));
        }
        Ok(conversion)
    }
}

/// A unit of vibration by its quantity; any other, and one with an offset, is unknown.
fn scale_of(stated: &str) -> SampleScale {
    let factor = |si: &str| unit::conversion(stated, si).ok().filter(|known| known.offset == 0.0).map(|c| c.factor);
    if let Some(factor) = factor("m/s2") {
        SampleScale::Acceleration(factor)
    } else if let Some(factor) = factor("m/s") {
        SampleScale::Velocity(factor)
    } else {
        factor("m").map_or(SampleScale::Unknown, SampleScale::Displacement)
    }
}

/// An asset never splits: its signals share a shard.
fn shard_of(name: &str, shards: u32) -> u32 {
    let asset = name.rfind('/').map_or(name, |end| &name[..end]);
    (xxh3_64(asset.as_bytes()) % u64::from(shards)) as u32
}
