//! One shard: many signals, run in sequence order.

mod state;

use std::sync::Arc;

use crate::{
    AnomalyRevision, Barrier, BarrierKind, Batch, CoreError, Labels, Maturity, NewSignal, Output, Reading, Result,
    SignalId, Templates,
    asset::{Assets, SettingsOf},
    feedback::{Index, SignalLabels, Told},
    grouping::{Grouping, Visit},
    operating::Coupling,
    prefetch::prefetch,
    settings::Settings,
    signal::{Run, Scratch, SignalState, is_future},
};
use state::Known;

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
    /// Sequence of the last message that the state knows, where signals were captured after different ones; else 0.
    pub sequence: u64,
    /// Encoded state.
    #[serde(with = "serde_bytes")]
    pub state: Vec<u8>,
    /// Encoded state of its asset, with the first of the asset's signals; else empty.
    #[serde(with = "serde_bytes")]
    pub asset: Vec<u8>,
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

const NOWHERE: u32 = u32::MAX;
/// How many readings ahead a signal's state, and what it points to, are asked for.
const STATE_AHEAD: usize = 24;
const RING_AHEAD: usize = 15;
const DETECTORS_AHEAD: usize = 10;

/// Signal processing and detection for the signals of one shard.
pub struct Engine {
    templates: Arc<Templates>,
    settings: Vec<Settings>,
    options: EngineOptions,
    /// Place of a signal number in the vectors below; [`NOWHERE`] if it belongs to another shard.
    places: Vec<u32>,
    signals: Vec<SignalState>,
    /// Index of each signal's template.
    template_of: Vec<usize>,
    /// Stream time after which each signal is idle: side by side, so that a tick reads little memory.
    idle_deadlines_us: Vec<i64>,
    labels: Index,
    /// What operators said of each signal; empty while nobody has said anything.
    told: Vec<Option<Box<SignalLabels>>>,
    /// Who tells whom of the machine's state; only where a template asks for it.
    coupling: Option<Box<Coupling>>,
    /// Models of signals together; only where a template asks for them.
    assets: Option<Box<Assets>>,
    /// What of the stream the signals of a snapshot are ahead of.
    known: Known,
    /// Places, asset by asset, that are still to be captured.
    waiting: Vec<Vec<u32>>,
    /// Memory that states are encoded in.
    encoded: Vec<u8>,
    grouping: Grouping,
    scratch: Scratch,
}

impl Engine {
    /// An engine without signals.
    #[must_use]
    pub fn new(templates: Arc<Templates>, options: EngineOptions) -> Self {
        let settings = settings_of(&templates);
        Self {
            coupling: coupling_of(&settings),
            assets: assets_of(&settings),
            settings,
            templates,
            options,
            places: Vec::new(),
            signals: Vec::new(),
            template_of: Vec::new(),
            idle_deadlines_us: Vec::new(),
            labels: Index::default(),
            told: Vec::new(),
            known: Known::default(),
            waiting: Vec::new(),
            encoded: Vec::new(),
            grouping: Grouping::default(),
            scratch: Scratch::default(),
        }
    }

    /// Runs a batch and appends what it produced to `output`.
    ///
    /// # Errors
    /// [`CoreError::UnknownSignal`] for a reading or frame of a signal that no batch registered; nothing has run then.
    pub fn run(&mut self, batch: &Batch, output: &mut Output) -> Result<()> {
        for new in &batch.new_signals {
            self.register(new);
        }
        match self.unknown_of(batch)? {
            Some(unknown) => self.run_registered(&unknown, output),
            None => self.run_registered(batch, output),
        }
    }

    fn run_registered(&mut self, batch: &Batch, output: &mut Output) -> Result<()> {
        let places = self.places_of(batch)?;
        self.check_frames(batch)?;
        let mut from = 0;
        for barrier in &batch.barriers {
            let to = barrier.before.clamp(from, batch.readings.len());
            self.run_span(&batch.readings[from..to], &places[from..to], output);
            self.apply(barrier, output)?;
            from = to;
        }
        self.run_span(&batch.readings[from..], &places[from..], output);
        Ok(())
    }

    fn register(&mut self, new: &NewSignal) {
        if self.place(new.id).is_err() {
            let (index, _) = self.templates.find(&new.name);
            self.insert(SignalState::new(new.id, Arc::clone(&new.name), &self.settings[index]), index);
        }
    }

    fn insert(&mut self, state: SignalState, template: usize) {
        let id = state.id().0 as usize;
        if self.places.len() <= id {
            self.places.resize(id + 1, NOWHERE);
        }
        self.places[id] = self.signals.len() as u32;
        let told = self.labels.of(state.name());
        self.idle_deadlines_us.push(idle_deadline_us(&state, &self.settings[template], told.as_deref()));
        if !self.labels.is_empty() {
            self.told.push(told);
        }
        self.template_of.push(template);
        if let Some(coupling) = &mut self.coupling {
            coupling.add(state.name(), self.settings[template].state.as_deref());
        }
        if let Some(assets) = &mut self.assets {
            assets.add(state.name(), &self.settings[template]);
        }
        self.signals.push(state);
    }

    fn places_of(&self, batch: &Batch) -> Result<Vec<u32>> {
        let place = |reading: &Reading| self.places.get(reading.signal.0 as usize).copied().unwrap_or(NOWHERE);
        let places: Vec<u32> = batch.readings.iter().map(place).collect();
        let unknown = places.iter().position(|place| *place == NOWHERE).map(|index| batch.readings[index].signal.0);
        unknown.map_or(Ok(places), |signal| Err(CoreError::UnknownSignal { signal }))
    }

    fn check_frames(&self, batch: &Batch) -> Result<()> {
        batch.barriers.iter().try_for_each(|barrier| match &barrier.kind {
            BarrierKind::Waveform(frame) => self.place(frame.signal).map(|_| ()),
            _ => Ok(()),
        })
    }

    fn place(&self, id: SignalId) -> Result<u32> {
        let place = self.places.get(id.0 as usize).copied().filter(|place| *place != NOWHERE);
        place.ok_or(CoreError::UnknownSignal { signal: id.0 })
    }

    /// Runs readings between two barriers, grouped by signal: signals do not see each other there, and a signal's state
    /// is then fetched from memory once, however its readings are interleaved with others.
    fn run_span(&mut self, readings: &[Reading], places: &[u32], output: &mut Output) {
        self.judge_assets(readings, places, output);
        if self.coupling.is_some() {
            return self.run_coupled_span(readings, places, output);
        }
        let mut grouping = std::mem::take(&mut self.grouping);
        let order = grouping.order(places, self.signals.len());
        for (at, visit) in order.iter().enumerate() {
            self.prefetch_ahead(&order[at..], readings);
            let (reading, place) = (&readings[visit.index as usize], visit.place as usize);
            self.visit(place, reading.sequence, reading.position, output, |signal, run| signal.arrive(reading, run));
        }
        self.grouping = grouping;
    }

    /// Before the signals themselves: from which message on an asset's model speaks for its signals is known then.
    fn judge_assets(&mut self, readings: &[Reading], places: &[u32], output: &mut Output) {
        let Some(assets) = self.assets.as_mut().filter(|assets| !assets.is_empty()) else { return };
        let (of, before) = (
            SettingsOf { settings: &self.settings, template_of: &self.template_of, told: &self.told },
            output.anomalies.len(),
        );
        for (reading, &place) in readings.iter().zip(places) {
            let settings = of.at(place);
            let usable = settings.judge(reading.value, reading.quality).is_usable();
            if usable && !is_future(reading.time_us, reading.stream_time_us, settings) {
                assets.take(place, || Arc::clone(self.signals[place as usize].name()), reading, &of, output);
            }
        }
        self.count_anomalies(&output.anomalies[before..]);
    }

    /// Counts anomalies of assets with the signals they are told as.
    fn count_anomalies(&mut self, revisions: &[AnomalyRevision]) {
        for begun in revisions.iter().filter(|revision| revision.revision == 0) {
            let place = self.places[begun.signal.0 as usize] as usize;
            self.signals[place].counts.anomalies += 1;
        }
    }

    /// As [`Self::run_span`], where some signals tell others the state of their machine: what they tell is noted first
    /// and handed over in the order of the messages.
    fn run_coupled_span(&mut self, readings: &[Reading], places: &[u32], output: &mut Output) {
        let (mut grouping, mut coupling) =
            (std::mem::take(&mut self.grouping), self.coupling.take().unwrap_or_default());
        self.note_facts(readings, places, &mut coupling);
        for &Visit { index, place } in grouping.order(places, self.signals.len()) {
            let reading = &readings[index as usize];
            self.follow(place, reading.sequence, &mut coupling);
            let act = |signal: &mut SignalState, run: &mut Run| signal.arrive(reading, run);
            self.visit(place as usize, reading.sequence, reading.position, output, act);
        }
        coupling.end_span(|place, role, fact| {
            let place = place as usize;
            self.signals[place].learn(role, fact, &self.settings[self.template_of[place]]);
        });
        (self.grouping, self.coupling) = (grouping, Some(coupling));
    }

    fn note_facts(&self, readings: &[Reading], places: &[u32], coupling: &mut Coupling) {
        for (reading, &place) in readings.iter().zip(places) {
            if coupling.tells(place) {
                let settings = &self.settings[self.template_of[place as usize]];
                let usable = settings.judge(reading.value, reading.quality).is_usable();
                if usable && !is_future(reading.time_us, reading.stream_time_us, settings) {
                    coupling.note(place, reading);
                }
            }
        }
    }

    /// Tells a signal what messages before its own told, if it has appeared before, and then what its own tells.
    fn follow(&mut self, place: u32, sequence: u64, coupling: &mut Coupling) {
        let signal = &mut self.signals[place as usize];
        let settings = &self.settings[self.template_of[place as usize]];
        let since = if signal.follows() { 0 } else { sequence };
        signal.follow();
        coupling.hand_over(place, sequence, |role, fact| {
            if fact.sequence >= since {
                signal.learn(role, fact, settings);
            }
        });
    }

    /// Asks for the next readings and the states of their signals: first the state itself, later what it points to, in
    /// steps, because a processor has few requests to memory open at a time.
    fn prefetch_ahead(&self, order: &[Visit], readings: &[Reading]) {
        let first_of_signal = |ahead: usize| {
            let (before, next) = (order.get(ahead - 1)?, order.get(ahead)?);
            (next.place != before.place).then_some(next.place as usize)
        };
        if let Some(index) = order.get(STATE_AHEAD).map(|visit| visit.index as usize) {
            prefetch(&readings[index..=index]);
        }
        if let Some(next) = first_of_signal(STATE_AHEAD) {
            prefetch(&self.signals[next..=next]);
        }
        if let Some(next) = first_of_signal(RING_AHEAD) {
            self.signals[next].prefetch_ring();
        }
        if let Some(next) = first_of_signal(DETECTORS_AHEAD) {
            self.signals[next].prefetch_detectors();
        }
    }

    fn visit(
        &mut self,
        place: usize,
        sequence: u64,
        position: u32,
        output: &mut Output,
        act: impl FnOnce(&mut SignalState, &mut Run),
    ) {
        let settings = &self.settings[self.template_of[place]];
        let signal = &mut self.signals[place];
        let labels = self.told.get(place).and_then(Option::as_deref);
        let mut run = Run {
            settings,
            told: labels.map(|labels| Told { labels, interval_us: signal.typical_interval_us().unwrap_or(0) }),
            scratch: &mut self.scratch,
            output,
            emit_scores: self.options.emit_scores,
            asset_judges: self.assets.as_ref().is_some_and(|assets| assets.judges(place, sequence)),
            sequence,
            position,
        };
        act(signal, &mut run);
        self.idle_deadlines_us[place] = idle_deadline_us(signal, settings, labels);
    }

    fn apply(&mut self, barrier: &Barrier, output: &mut Output) -> Result<()> {
        match &barrier.kind {
            BarrierKind::Tick { stream_time_us } => self.tick(*stream_time_us, barrier, output),
            BarrierKind::End => self.end(barrier, output),
            BarrierKind::Configure(templates) => self.configure(Arc::clone(templates), barrier, output)?,
            BarrierKind::Feedback(labels) => self.heed(labels),
            BarrierKind::Waveform(frame) => {
                let place = self.place(frame.signal)? as usize;
                self.signals[place].follow();
                self.visit(place, barrier.sequence, barrier.position, output, |s, run| s.take_waveform(frame, run));
            }
        }
        Ok(())
    }

    fn end(&mut self, barrier: &Barrier, output: &mut Output) {
        let before = output.anomalies.len();
        if let Some(assets) = &mut self.assets {
            let of = SettingsOf { settings: &self.settings, template_of: &self.template_of, told: &self.told };
            assets.end(&of, (barrier.sequence, barrier.position), output);
        }
        self.count_anomalies(&output.anomalies[before..]);
        self.visit_all(barrier, output, SignalState::end);
    }

    fn visit_all(&mut self, barrier: &Barrier, output: &mut Output, act: impl Fn(&mut SignalState, &mut Run)) {
        for place in 0..self.signals.len() {
            self.visit(place, barrier.sequence, barrier.position, output, &act);
        }
    }

    fn tick(&mut self, stream_time_us: i64, barrier: &Barrier, output: &mut Output) {
        for place in 0..self.idle_deadlines_us.len() {
            if self.idle_deadlines_us[place] < stream_time_us && !self.known.holds(place as u32, barrier.sequence) {
                self.visit(place, barrier.sequence, barrier.position, output, |signal, run| {
                    signal.fall_silent(stream_time_us, run);
                });
            }
        }
    }

    fn configure(&mut self, templates: Arc<Templates>, barrier: &Barrier, output: &mut Output) -> Result<()> {
        let assets = self.assets.as_ref().map_or(Ok(Vec::new()), |assets| assets.states())?;
        let before = std::mem::replace(&mut self.settings, settings_of(&templates));
        let template_of = self.signals.iter().map(|signal| templates.find(signal.name()).0).collect();
        let template_before = std::mem::replace(&mut self.template_of, template_of);
        self.templates = templates;
        for (place, old) in template_before.into_iter().enumerate() {
            let settings = &self.settings[self.template_of[place]];
            if before[old].state != settings.state {
                self.signals[place].restart_operating(settings);
            }
        }
        self.couple();
        self.assets = assets_of(&self.settings);
        if let Some(known) = &mut self.assets {
            for (signal, template) in self.signals.iter().zip(&self.template_of) {
                known.add(signal.name(), &self.settings[*template]);
            }
        }
        self.restore_assets(assets.iter())?;
        self.visit_all(barrier, output, SignalState::reconfigure);
        Ok(())
    }

    fn restore_assets<'a>(&mut self, states: impl Iterator<Item = &'a Vec<u8>>) -> Result<()> {
        let Some(mut assets) = self.assets.take() else { return Ok(()) };
        let of_signal = |id| {
            let place = self.place(id).ok()?;
            Some((place, Arc::clone(self.signals[place as usize].name())))
        };
        for state in states.filter(|state| !state.is_empty()) {
            assets.restore(state, of_signal)?;
        }
        self.assets = Some(assets);
        Ok(())
    }

    fn heed(&mut self, labels: &Labels) {
        self.labels = labels.index();
        self.told.clear();
        if !self.labels.is_empty() {
            self.told.extend(self.signals.iter().map(|signal| self.labels.of(signal.name())));
        }
        for (place, signal) in self.signals.iter().enumerate() {
            let told = self.told.get(place).and_then(Option::as_deref);
            self.idle_deadlines_us[place] = idle_deadline_us(signal, &self.settings[self.template_of[place]], told);
        }
    }

    fn couple(&mut self) {
        self.coupling = coupling_of(&self.settings);
        if let Some(coupling) = &mut self.coupling {
            for (signal, template) in self.signals.iter().zip(&self.template_of) {
                coupling.add(signal.name(), self.settings[*template].state.as_deref());
            }
        }
    }

    /// What is known about every signal, in id order.
    #[must_use]
    pub fn signal_stats(&self) -> Vec<SignalStats> {
        self.in_id_order().map(|signal| self.stats_of(signal)).collect()
    }

    fn in_id_order(&self) -> impl Iterator<Item = &SignalState> {
        self.places.iter().filter(|place| **place != NOWHERE).map(|place| &self.signals[*place as usize])
    }

    fn stats_of(&self, signal: &SignalState) -> SignalStats {
        let settings = &self.settings[self.templates.find(signal.name()).0];
        let counts = signal.counts;
        SignalStats {
            id: signal.id(),
            name: Arc::clone(signal.name()),
            last_seen_us: signal.last_seen_us(),
            typical_interval_us: signal.typical_interval_us(),
            readings: counts.readings,
            late: counts.late,
            duplicates: counts.duplicates,
            bad: counts.bad,
            windows: counts.windows,
            anomalies: counts.anomalies,
            maturity: signal.maturity(settings),
            idle: signal.idle,
        }
    }
}

/// Silence is no anomaly as long as someone works on the machine.
fn idle_deadline_us(signal: &SignalState, settings: &Settings, told: Option<&SignalLabels>) -> i64 {
    let deadline_us = signal.idle_deadline_us(settings);
    told.map_or(deadline_us, |told| told.after_maintenance(deadline_us))
}

fn settings_of(templates: &Templates) -> Vec<Settings> {
    templates.iter().map(Settings::of).collect()
}

/// `None` where no template tells operating states.
fn coupling_of(settings: &[Settings]) -> Option<Box<Coupling>> {
    settings.iter().any(|settings| settings.state.is_some()).then(Box::default)
}

/// `None` where no template has assets judged.
fn assets_of(settings: &[Settings]) -> Option<Box<Assets>> {
    settings.iter().any(|settings| settings.asset.is_some()).then(Box::default)
}

fn invalid(reason: &str) -> CoreError {
    CoreError::InvalidSnapshot { reason: reason.to_owned() }
}
