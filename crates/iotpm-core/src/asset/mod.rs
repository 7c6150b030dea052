//! The assets of a shard, each with a model of its signals together.
//!
//! ```text
//! readings of an asset's signals -> rows of event time -> model of a day or more -> score -> anomaly with contributors
//!                                                          provisional ones of parts of the first day
//! ```
//!
//! Once an asset's model is in force its statistical detectors of one signal go on scoring but raise nothing: a change
//! that the other signals explain is none. Rules (limits, rate of change, flatline, gaps) speak for themselves.
//! Everything here depends on the asset's readings in their order and nothing else, so neither cuts nor shards matter.

mod blocks;
mod state;
mod timing;
mod watch;

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    CoreError, Output, Reading, Result, SignalId,
    feedback::SignalLabels,
    operating::{Fact, Operating, Role},
    settings::Settings,
};
use state::{AssetState, At};

const NONE: u32 = u32::MAX;

/// A signal of an asset.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Member {
    pub id: SignalId,
    /// The source of its newest reading doubts it.
    pub uncertain: bool,
    #[serde(skip)]
    pub name: Arc<str>,
    #[serde(skip)]
    pub place: u32,
}

/// Where a signal belongs.
#[derive(Clone, Copy, Debug)]
struct Home {
    asset: u32,
    /// [`NONE`] until the signal appears.
    column: u32,
    /// Whether it tells the state of its machine.
    tells_state: bool,
}

/// An asset and what is known of its machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Asset {
    state: AssetState,
    operating: Option<Box<Operating>>,
    /// The signal that tells the machine's state.
    #[serde(skip)]
    teller: Option<u32>,
}

/// The assets of one shard.
#[derive(Default)]
pub(crate) struct Assets {
    list: Vec<Asset>,
    named: HashMap<Arc<str>, u32>,
    homes: Vec<Home>,
    /// Sequence after which a signal's asset judges it, by place; side by side, for every reading asks.
    judged_since: Vec<u64>,
}

/// Settings of every signal by its place.
pub(crate) struct SettingsOf<'a> {
    pub settings: &'a [Settings],
    pub template_of: &'a [usize],
    /// What operators said of every signal; empty while nobody has said anything.
    pub told: &'a [Option<Box<SignalLabels>>],
}

impl<'a> SettingsOf<'a> {
    pub fn at(&self, place: u32) -> &'a Settings {
        &self.settings[self.template_of[place as usize]]
    }
}

/// `site/asset` of a signal's name.
pub(crate) fn asset_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(asset, _)| asset)
}

impl Assets {
    /// The signal at the next place.
    pub fn add(&mut self, name: &Arc<str>, settings: &Settings) {
        let place = self.homes.len() as u32;
        let mut home = Home { asset: NONE, column: NONE, tells_state: false };
        if settings.asset.is_some() {
            home.asset = self.asset_named(asset_of(name));
            home.tells_state = settings.state.as_ref().is_some_and(|state| {
                let own = name.rsplit_once('/').map_or(&**name, |(_, own)| own);
                state.state_signal() == Some(own)
            });
        }
        if home.tells_state {
            self.list[home.asset as usize].teller = Some(place);
        }
        self.homes.push(home);
        self.judged_since.push(u64::MAX);
    }

    /// Whether no signal is judged with others.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn asset_named(&mut self, name: &str) -> u32 {
        if let Some(known) = self.named.get(name) {
            return *known;
        }
        self.list.push(Asset::default());
        self.named.insert(name.into(), self.list.len() as u32 - 1);
        self.list.len() as u32 - 1
    }

    /// Whether the signal's asset judges it in a run of that sequence.
    pub fn judges(&self, place: usize, sequence: u64) -> bool {
        sequence > self.judged_since[place]
    }

    /// Takes a usable reading, in the order of the messages. The name is asked for when the signal appears: to look it up
    /// for each reading is to fetch a signal's state from memory.
    pub fn take(
        &mut self,
        place: u32,
        name: impl FnOnce() -> Arc<str>,
        reading: &Reading,
        of: &SettingsOf,
        output: &mut Output,
    ) {
        let Home { asset: number, column, tells_state } = self.homes[place as usize];
        let Some(asset) = self.list.get_mut(number as usize) else { return };
        if tells_state {
            asset.learn_state(reading, of.at(place));
        }
        let column = if column == NONE {
            let member = || Member { id: reading.signal, uncertain: false, name: name(), place };
            let Some(column) = asset.state.join(member) else { return };
            self.homes[place as usize].column = column;
            column
        } else {
            column
        };
        let act =
            |state: &mut AssetState, at: &At, output: &mut Output| state.take(column as usize, reading, at, output);
        if asset.act(of, (reading.sequence, reading.position), output, act) {
            self.announce(number as usize);
        }
    }

    /// The series has ended.
    pub fn end(&mut self, of: &SettingsOf, (sequence, position): (u64, u32), output: &mut Output) {
        for number in 0..self.list.len() {
            let act = |state: &mut AssetState, at: &At, output: &mut Output| state.end(at, output);
            if self.list[number].act(of, (sequence, position), output, act) {
                self.announce(number);
            }
        }
    }

    /// Tells the signals of an asset from when on it judges them.
    fn announce(&mut self, asset: usize) {
        let AssetState { members, watch, .. } = &self.list[asset].state;
        let Some(watch) = watch else { return };
        let judged = watch.judged().iter().map(|(column, since)| (members[*column].place as usize, *since));
        for (place, since) in judged.filter(|(place, _)| self.homes[*place].asset != NONE) {
            self.judged_since[place] = since;
        }
    }

    /// The state of every asset that has a signal.
    ///
    /// # Errors
    /// [`CoreError::InvalidSnapshot`] if a state cannot be encoded.
    pub fn states(&self) -> Result<Vec<Vec<u8>>> {
        let (known, mut scratch) = (self.list.iter().filter(|asset| !asset.state.members.is_empty()), Vec::new());
        known.map(|asset| encode(asset, &mut scratch)).collect()
    }

    /// The state of the asset that the signals at `places` belong to, if it has one, with the least number of its
    /// signals; `scratch` is memory to encode in.
    ///
    /// # Errors
    /// [`CoreError::InvalidSnapshot`] if a state cannot be encoded.
    pub fn state_of(&self, places: &[u32], scratch: &mut Vec<u8>) -> Result<Option<(SignalId, Vec<u8>)>> {
        let number = places.iter().map(|place| self.homes[*place as usize].asset).find(|asset| *asset != NONE);
        let Some(asset) = number.map(|number| &self.list[number as usize]) else { return Ok(None) };
        asset.first_signal().map(|id| Ok((id, encode(asset, scratch)?))).transpose()
    }

    /// Takes over the state of an asset whose signals were all added; `of_signal` gives place and name of a number.
    ///
    /// # Errors
    /// [`CoreError::InvalidSnapshot`] for a state that cannot be decoded or of a signal that is not there.
    pub fn restore(&mut self, bytes: &[u8], of_signal: impl Fn(SignalId) -> Option<(u32, Arc<str>)>) -> Result<()> {
        let mut stored: Asset = postcard::from_bytes(bytes).map_err(|error| invalid(&error))?;
        let mut number = None;
        for (column, member) in stored.state.members.iter_mut().enumerate() {
            (member.place, member.name) = of_signal(member.id).ok_or_else(|| invalid(&"a signal is missing"))?;
            let home = &mut self.homes[member.place as usize];
            home.column = column as u32;
            number = number.or((home.asset != NONE).then_some(home.asset as usize));
        }
        let Some(number) = number else { return Ok(()) };
        stored.teller = self.list[number].teller;
        self.list[number] = stored;
        self.announce(number);
        Ok(())
    }
}

impl Asset {
    /// The least number of its signals.
    fn first_signal(&self) -> Option<SignalId> {
        self.state.members.iter().map(|member| member.id).min()
    }

    fn learn_state(&mut self, reading: &Reading, settings: &Settings) {
        if let Some(state) = &settings.state {
            let fact = Fact { sequence: reading.sequence, time_us: reading.time_us, value: reading.value };
            self.operating.get_or_insert_default().learn(Role::State, &fact, state);
        }
    }

    fn act(
        &mut self,
        of: &SettingsOf,
        (sequence, position): (u64, u32),
        output: &mut Output,
        act: impl FnOnce(&mut AssetState, &At, &mut Output) -> bool,
    ) -> bool {
        let Some(first) = self.state.members.first().map(|first| of.at(first.place)) else { return false };
        let Some(asset) = &first.asset else { return false };
        let (operating, teller) = (&self.operating, self.teller.and_then(|place| of.at(place).state.as_deref()));
        let both = operating.as_ref().zip(teller);
        let admits = |time_us| both.is_none_or(|(operating, settings)| operating.admits(time_us, settings));
        act(&mut self.state, &At { sequence, position, settings: first, asset, admits: &admits, told: of.told }, output)
    }
}

/// By way of memory that stays warm, as for signals.
fn encode(asset: &Asset, scratch: &mut Vec<u8>) -> Result<Vec<u8>> {
    scratch.clear();
    postcard::to_io(asset, &mut *scratch).map_err(|error| invalid(&error))?;
    Ok(scratch.as_slice().into())
}

/// What an asset has learned, as the beginning of another stream.
///
/// # Errors
/// [`CoreError::InvalidSnapshot`] for a state that cannot be decoded.
pub(crate) fn seeding(bytes: &[u8]) -> Result<Vec<u8>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut asset: Asset = postcard::from_bytes(bytes).map_err(|error| invalid(&error))?;
    if let Some(watch) = &mut asset.state.watch {
        watch.begin_anew();
    }
    postcard::to_stdvec(&asset).map_err(|error| invalid(&error))
}

fn invalid(reason: &dyn std::fmt::Display) -> CoreError {
    CoreError::InvalidSnapshot { reason: format!("state of an asset: {reason}") }
}
