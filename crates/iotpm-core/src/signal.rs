//! One signal: a reading's way from arrival to score, window and anomaly; a waveform's is in `frames`.

mod frames;
mod seed;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    AnomalyRevision, LateReading, Maturity, NO_STREAM_TIME, Output, Quality, Reading, ReadingRow, RejectReason,
    Rejected, ScoreRow, SignalId, WindowRow,
    alarm::{Alarm, Context, Doubt, LatestWindow, Scored, Step},
    asset::asset_of,
    detect::{BasicDetectors, Fused, Judged, SeriesScorer, WARM_UP_READINGS},
    features::{FeatureScratch, WindowFeatures, sampling_rate_hz},
    feedback::Told,
    operating::{Conditions, Fact, Operating, Role},
    reorder::{Arrival, Reorder, Waiting},
    ring::{Ring, Slot},
    settings::Settings,
    waveform::{Analysis, Frames},
    window::Windows,
};

/// Intervals whose median is the typical one.
const TYPICAL_INTERVALS: usize = 32;

/// Buffers that signals share and no result depends on.
#[derive(Default)]
pub(crate) struct Scratch {
    released: Vec<Waiting>,
    times_us: Vec<i64>,
    values: Vec<f64>,
    features: FeatureScratch,
    analysis: Analysis,
}

/// Where a run puts its rows, and the message that caused them.
pub(crate) struct Run<'a> {
    pub settings: &'a Settings,
    /// What operators said of the signal.
    pub told: Option<Told<'a>>,
    pub scratch: &'a mut Scratch,
    pub output: &'a mut Output,
    pub emit_scores: bool,
    /// Whether the asset's model speaks for the detectors that need statistics.
    pub asset_judges: bool,
    pub sequence: u64,
    pub position: u32,
}

impl Run<'_> {
    /// Whether someone works on the machine at that time.
    pub fn in_maintenance(&self, time_us: i64) -> bool {
        self.told.is_some_and(|told| told.labels.in_maintenance(time_us))
    }
}

/// What is counted for each signal.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub readings: u64,
    pub late: u64,
    pub duplicates: u64,
    pub bad: u64,
    pub windows: u64,
    pub anomalies: u64,
}

/// Everything one signal remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SignalState {
    id: SignalId,
    pub counts: Counts,
    pub idle: bool,
    pub typical_us: Option<i64>,
    /// Greatest interval among the first ones, while the typical one is unknown.
    greatest_interval_us: i64,
    last_stream_us: i64,
    segment: u32,
    reorder: Reorder,
    ring: Ring,
    windows: Option<Windows>,
    pub detectors: BasicDetectors,
    /// Where the template adds detectors to the set `basic`.
    series: Option<Box<SeriesScorer>>,
    alarm: Alarm,
    /// Event time of the last scored reading.
    usable_us: i64,
    /// Readings to come whose neighbours are in doubt.
    unsettled: u8,
    latest_window: Option<LatestWindow>,
    /// Only of a signal that has waveforms.
    frames: Option<Box<Frames>>,
    /// Where the template tells operating states.
    operating: Option<Box<Operating>>,
    #[serde(skip)]
    name: Arc<str>,
    #[serde(skip)]
    phase_seed: u64,
}

impl SignalState {
    pub fn new(id: SignalId, name: Arc<str>, settings: &Settings) -> Self {
        let mut state = Self {
            id,
            counts: Counts::default(),
            idle: false,
            typical_us: None,
            greatest_interval_us: 0,
            last_stream_us: NO_STREAM_TIME,
            segment: 0,
            reorder: Reorder::default(),
            ring: Ring::default(),
            windows: None,
            detectors: BasicDetectors::new(settings),
            series: series_of(settings),
            alarm: Alarm::default(),
            usable_us: NO_STREAM_TIME,
            unsettled: 0,
            latest_window: None,
            frames: None,
            operating: settings.state.is_some().then(Box::default),
            name: "".into(),
            phase_seed: 0,
        };
        state.set_name(name);
        state
    }

    /// Sets what a snapshot keeps beside the state.
    pub fn set_name(&mut self, name: Arc<str>) {
        self.phase_seed = xxh3_64(asset_of(&name).as_bytes());
        self.name = name;
    }

    /// Asks for the place in the ring that the next reading takes.
    pub fn prefetch_ring(&self) {
        self.ring.prefetch();
    }

    /// Asks for what the detectors will need for the next reading.
    pub fn prefetch_detectors(&self) {
        self.detectors.prefetch();
    }

    pub fn id(&self) -> SignalId {
        self.id
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn last_seen_us(&self) -> Option<i64> {
        self.reorder.greatest_us().max(self.frames.as_ref().and_then(|frames| frames.greatest_us()))
    }

    /// Stream time after which the signal is idle; `i64::MAX` if no tick can make it so.
    pub fn idle_deadline_us(&self, settings: &Settings) -> i64 {
        if self.idle || self.last_stream_us == NO_STREAM_TIME {
            return i64::MAX;
        }
        let Some(interval_us) = self.interval_us() else { return i64::MAX };
        self.last_stream_us.saturating_add(settings.idle_timeout_us(interval_us))
    }

    /// Typical interval of what it sends, or the greatest one while that is unknown; `None` before the second.
    fn interval_us(&self) -> Option<i64> {
        if self.ring.len() >= 2 {
            return Some(self.typical_us.unwrap_or(self.greatest_interval_us));
        }
        self.frames.as_ref().and_then(|frames| frames.interval_us())
    }

    /// Takes a reading through the time rules.
    pub fn arrive(&mut self, reading: &Reading, run: &mut Run) {
        if is_future(reading.time_us, reading.stream_time_us, run.settings) {
            return reject(reading, run);
        }
        let known = self.reorder.greatest_us().is_some_and(|greatest| reading.time_us <= greatest);
        if known && self.ring.contains(reading.time_us) {
            return self.count_duplicate(run);
        }
        match self.reorder.arrive(reading.time_us, run.settings.lateness_us) {
            Arrival::Duplicate => self.count_duplicate(run),
            Arrival::Late(watermark_us) => self.keep_late(reading, watermark_us, run),
            Arrival::Accepted => self.accept(reading, run),
            Arrival::ClockStep => {
                self.restart_clock(run);
                self.reorder.arrive(reading.time_us, run.settings.lateness_us);
                self.accept(reading, run);
            }
        }
    }

    fn count_duplicate(&mut self, run: &mut Run) {
        self.counts.duplicates += 1;
        run.output.counters.duplicates += 1;
    }

    fn keep_late(&mut self, reading: &Reading, watermark_us: i64, run: &mut Run) {
        self.counts.late += 1;
        self.last_stream_us = self.last_stream_us.max(reading.stream_time_us);
        self.unsettled = run.settings.begin_of as u8;
        run.output.counters.late += 1;
        run.output.late.push(LateReading { row: row(reading, run.settings), watermark_us });
    }

    fn accept(&mut self, reading: &Reading, run: &mut Run) {
        self.last_stream_us = reading.stream_time_us;
        if self.idle {
            self.wake(reading.time_us, run);
        }
        let row = row(reading, run.settings);
        self.count_quality(row.quality, run);
        run.output.readings.push(row);
        let value = if row.quality.is_usable() { row.value } else { f64::NAN };
        let waiting = Waiting { time_us: row.time_us, value, uncertain: row.quality == Quality::Uncertain };
        if self.reorder.passes_through(run.settings.lateness_us) {
            self.reorder.passed(waiting.time_us);
            self.release(waiting, run);
        } else {
            self.reorder.wait(waiting);
            self.release_due(run);
        }
    }

    fn count_quality(&mut self, quality: Quality, run: &mut Run) {
        let counters = &mut run.output.counters;
        self.counts.readings += 1;
        counters.accepted += 1;
        self.counts.bad += u64::from(!quality.is_usable());
        match quality {
            Quality::Good | Quality::Uncertain => {}
            Quality::Bad => counters.bad += 1,
            Quality::NonFinite => counters.non_finite += 1,
            Quality::OutOfRange => counters.out_of_range += 1,
        }
    }

    fn release_due(&mut self, run: &mut Run) {
        let mut released = std::mem::take(&mut run.scratch.released);
        let settings = run.settings;
        let early = self.reorder.release(settings.lateness_us, settings.max_reorder, &mut released);
        run.output.counters.reorder_overflow += early;
        self.release_each(released, run);
        self.close_due(self.reorder.watermark_us(settings.lateness_us), run);
    }

    fn release_each(&mut self, mut released: Vec<Waiting>, run: &mut Run) {
        for waiting in released.drain(..) {
            self.release(waiting, run);
        }
        run.scratch.released = released;
    }

    /// Takes the next reading in event-time order.
    fn release(&mut self, reading: Waiting, run: &mut Run) {
        self.close_due(reading.time_us, run);
        let score = if reading.value.is_nan() {
            self.alarm.observe_unusable();
            0.0
        } else if run.in_maintenance(reading.time_us) {
            self.alarm.observe_unusable();
            run.output.counters.maintenance += 1;
            0.0
        } else if self.operating.is_some() {
            self.score_in_state(reading, run)
        } else {
            self.score(reading, run.settings, run)
        };
        let needed_from_us = self.windows.map_or(i64::MIN, |windows| windows.needed_from_us());
        let slot = Slot { time_us: reading.time_us, value: reading.value, score: score as f32 };
        let overwritten = self.ring.push(slot, needed_from_us, run.settings.max_ring);
        run.output.counters.ring_overwritten += u64::from(overwritten);
        if self.windows.is_none() || self.typical_us.is_none() {
            self.learn_interval(run);
        }
    }

    /// Whether the operating state lets what was measured then train and be scored.
    pub fn admits(&self, time_us: i64, settings: &Settings) -> bool {
        let both = self.operating.as_ref().zip(settings.state.as_ref());
        both.is_none_or(|(operating, settings)| operating.admits(time_us, settings))
    }

    /// Scores a reading unless the machine is in a transient, with what was learned at that speed.
    fn score_in_state(&mut self, reading: Waiting, run: &mut Run) -> f64 {
        let settings = run.settings;
        if !self.admits(reading.time_us, settings) {
            self.alarm.observe_unusable();
            run.output.counters.transient += 1;
            return 0.0;
        }
        if let Some(operating) = &mut self.operating {
            operating.enter_regime(reading.time_us, settings, &mut self.detectors);
        }
        let learning = settings.learning.as_deref().filter(|_| self.detectors.maturity(settings) < Maturity::Mature);
        self.score(reading, learning.unwrap_or(settings), run)
    }

    /// Learns what another signal, or this one, told of the machine; from the message on in which it first appeared.
    pub fn learn(&mut self, role: Role, fact: &Fact, settings: &Settings) {
        if let Some((operating, settings)) = self.operating.as_mut().zip(settings.state.as_ref())
            && operating.follows
        {
            operating.learn(role, fact, settings);
        }
    }

    /// Whether it has appeared, so that it learns what others tell.
    pub fn follows(&self) -> bool {
        self.operating.as_ref().is_some_and(|operating| operating.follows)
    }

    /// The signal has appeared.
    pub fn follow(&mut self) {
        if let Some(operating) = &mut self.operating {
            operating.follows = true;
        }
    }

    /// Forgets what it knew of the machine, for what tells it has changed.
    pub fn restart_operating(&mut self, settings: &Settings) {
        let appeared = self.reorder.greatest_us().is_some();
        let follows = appeared || self.operating.as_ref().is_some_and(|operating| operating.follows);
        self.operating = settings.state.is_some().then(|| Box::new(Operating::of(follows)));
    }

    /// Other detectors beside the set `basic` begin anew, and those that learn by the calendar if it is another; the same ones
    /// keep what they learned.
    pub fn fit_series(&mut self, settings: &Settings) {
        let current = self.series.iter().flat_map(|series| series.names());
        if !current.eq(settings.series.iter().copied()) {
            self.series = series_of(settings);
        }
        if let Some(series) = &mut self.series {
            series.follow(&settings.calendar);
        }
    }

    /// After a restore under other templates.
    pub fn fit_operating(&mut self, settings: &Settings) {
        if self.operating.is_some() != settings.state.is_some() {
            self.restart_operating(settings);
        }
    }

    fn conditions(&self, start_us: i64, end_us: i64, settings: &Settings) -> Conditions {
        let both = self.operating.as_ref().zip(settings.state.as_ref());
        both.map_or(Conditions::UNKNOWN, |(operating, settings)| operating.of_window(start_us, end_us, settings))
    }

    /// `judging` are the settings that the detectors go by, mostly those of the run.
    #[inline]
    fn score(&mut self, reading: Waiting, judging: &Settings, run: &mut Run) -> f64 {
        let Waiting { time_us, value, .. } = reading;
        let Judged { mut fused, rules } = self.detectors.judge(time_us, value, judging);
        if let Some(series) = &mut self.series {
            fused = fused.or(series.judge(time_us, value));
        }
        run.output.counters.scored += 1;
        if run.emit_scores {
            run.output.scores.push(ScoreRow {
                signal: self.id,
                time_us,
                score: fused.verdict.score,
                detector: fused.detector,
                feature: None,
                expected: fused.verdict.expected,
                maturity: fused.verdict.maturity,
                sequence: run.sequence,
            });
        }
        let repeat_us = run.settings.repeat_us.or(self.windows.map(|w| w.length_us())).unwrap_or(0);
        let doubt = self.doubt(&reading, run.settings);
        let at = context(self.id, &self.name, self.latest_window.as_ref(), run);
        let raising = Fused::either(run.asset_judges, rules, fused);
        let scored = Scored { time_us, value, fused: raising, doubt };
        let step = self.alarm.observe(&at, &scored, &self.ring, run.settings, repeat_us);
        match step {
            Step::Quiet => {}
            Step::Suppressed => run.output.counters.suppressed += 1,
            Step::Muted => run.output.counters.muted += 1,
            Step::Revised(revision) => self.log(*revision, run),
        }
        fused.verdict.score
    }

    /// Whether the reading, or what it is compared with, is to be doubted: so are as many readings behind a gap or a late one as
    /// an anomaly looks at.
    fn doubt(&mut self, reading: &Waiting, settings: &Settings) -> Doubt {
        let silence_us = reading.time_us.saturating_sub(self.usable_us);
        let silent =
            |interval_us| self.usable_us != NO_STREAM_TIME && silence_us > settings.idle_timeout_us(interval_us);
        if self.typical_us.is_some_and(silent) {
            self.unsettled = settings.begin_of as u8;
        }
        self.usable_us = reading.time_us;
        let unsettled = self.unsettled > 0;
        self.unsettled = self.unsettled.saturating_sub(1);
        match (reading.uncertain, unsettled) {
            (true, _) => Doubt::Value,
            (false, true) => Doubt::Neighbours,
            (false, false) => Doubt::None,
        }
    }

    fn log(&mut self, revision: AnomalyRevision, run: &mut Run) {
        let begun = u64::from(revision.revision == 0);
        self.counts.anomalies += begun;
        run.output.counters.anomalies += begun;
        run.output.anomalies.push(revision);
        if let Some(frames) = &mut self.frames {
            frames.keeper.alarm();
        }
    }

    /// Learns the typical interval from the first readings, and opens the windows once their length is known.
    fn learn_interval(&mut self, run: &mut Run) {
        if let (Some(newest), Some(before)) = (self.ring.newest(0), self.ring.newest(1)) {
            self.greatest_interval_us = self.greatest_interval_us.max(newest.time_us - before.time_us);
        }
        if self.typical_us.is_none() && self.ring.len() > TYPICAL_INTERVALS {
            let mut intervals: Vec<i64> =
                (0..TYPICAL_INTERVALS).map(|i| self.ring.get(i + 1).time_us - self.ring.get(i).time_us).collect();
            let (_, median, _) = intervals.select_nth_unstable(TYPICAL_INTERVALS / 2);
            self.typical_us = Some(*median);
        }
        if self.windows.is_none()
            && let Some((length_us, hop_us)) = run.settings.window(self.typical_us)
        {
            self.windows = Some(Windows::new(length_us, hop_us, self.phase_seed, self.ring.get(0).time_us));
        }
    }

    fn close_due(&mut self, watermark_us: i64, run: &mut Run) {
        let Some(last) = self.ring.newest(0) else { return };
        while let Some((start_us, end_us)) =
            self.windows.as_mut().and_then(|windows| windows.next_due(watermark_us, last.time_us))
        {
            self.close_window(start_us, end_us, run);
        }
    }

    /// Releases what waits and closes every window that holds a reading.
    pub fn close_all(&mut self, run: &mut Run) {
        let mut released = std::mem::take(&mut run.scratch.released);
        self.reorder.release_all(&mut released);
        self.release_each(released, run);
        self.release_frames(run);
        let Some(last) = self.ring.newest(0) else { return };
        while let Some((start_us, end_us)) = self.windows.as_mut().and_then(|windows| windows.next_open(last.time_us)) {
            self.close_window(start_us, end_us, run);
        }
    }

    /// The series has ended: closes everything; no silence follows from that.
    pub fn end(&mut self, run: &mut Run) {
        self.close_all(run);
        self.last_stream_us = NO_STREAM_TIME;
    }

    fn close_window(&mut self, start_us: i64, end_us: i64, run: &mut Run) {
        let scratch = &mut *run.scratch;
        scratch.times_us.clear();
        scratch.values.clear();
        let from = self.ring.lower_bound_near(start_us, self.readings_before(start_us));
        let mut score = 0f32;
        for slot in self.ring.since(from).filter(|slot| !slot.value.is_nan()) {
            scratch.times_us.push(slot.time_us);
            scratch.values.push(slot.value);
            score = if slot.score > score { slot.score } else { score };
        }
        if scratch.values.is_empty() {
            return;
        }
        let rate_hz = sampling_rate_hz(&scratch.times_us);
        let features = WindowFeatures::compute(&scratch.values, rate_hz, &mut scratch.features);
        let truncated = u32::from(from == 0 && self.ring.len() >= run.settings.max_ring);
        let count = scratch.values.len() as u32;
        self.keep_window(start_us, end_us, features);
        self.emit_window(start_us, end_us, (count, truncated), f64::from(score), features, run);
    }

    /// How many readings of the ring lie before that time if they come at the typical interval.
    fn readings_before(&self, time_us: i64) -> usize {
        let newest_us = self.ring.newest(0).map_or(time_us, |slot| slot.time_us);
        let since = newest_us.saturating_sub(time_us) / self.typical_us.unwrap_or(1).max(1);
        self.ring.len().saturating_sub(since as usize + 1)
    }

    fn keep_window(&mut self, start_us: i64, end_us: i64, features: WindowFeatures) {
        match &mut self.latest_window {
            Some(latest) => (latest.0, latest.1, *latest.2) = (start_us, end_us, features),
            none => *none = Some((start_us, end_us, Box::new(features))),
        }
    }

    fn emit_window(
        &mut self,
        start_us: i64,
        end_us: i64,
        (count, truncated): (u32, u32),
        score: f64,
        features: WindowFeatures,
        run: &mut Run,
    ) {
        self.counts.windows += 1;
        run.output.counters.windows += 1;
        let conditions = self.conditions(start_us, end_us, run.settings);
        run.output.windows.push(WindowRow {
            signal: self.id,
            start_us,
            end_us,
            segment: self.segment,
            count,
            truncated,
            features,
            score,
            maturity: self.maturity(run.settings),
            state: conditions.state,
            speed: conditions.speed,
            load: conditions.load,
            sequence: run.sequence,
            position: run.position,
        });
    }

    /// Becomes idle at a tick: closes its windows and raises a gap.
    pub fn fall_silent(&mut self, stream_time_us: i64, run: &mut Run) {
        self.close_all(run);
        self.idle = true;
        run.output.counters.idle += 1;
        let interval_us = self.interval_us().unwrap_or(self.greatest_interval_us);
        let timeout_us = run.settings.idle_timeout_us(interval_us).max(1);
        let score = (stream_time_us - self.last_stream_us) as f64 / timeout_us as f64;
        let last_us = self.last_seen_us().unwrap_or(self.last_stream_us);
        let at = context(self.id, &self.name, self.latest_window.as_ref(), run);
        let revision = self.alarm.begin_gap(&at, last_us, stream_time_us, score);
        self.log(revision, run);
        self.keep_saved(run);
    }

    fn wake(&mut self, time_us: i64, run: &mut Run) {
        self.idle = false;
        let at = context(self.id, &self.name, self.latest_window.as_ref(), run);
        if let Some(revision) = self.alarm.end_gap(&at, time_us) {
            self.log(revision, run);
        }
    }

    /// The signal's clock was set back: what was open closes, a new segment begins.
    fn restart_clock(&mut self, run: &mut Run) {
        self.close_all(run);
        self.reorder.restart();
        self.ring.clear();
        self.alarm.forget_crossings();
        self.windows = None;
        self.segment += 1;
        run.output.counters.clock_steps += 1;
    }

    /// New settings act from here on; windows of another length start anew.
    pub fn reconfigure(&mut self, run: &mut Run) {
        self.detectors.reconfigure(run.settings);
        self.fit_series(run.settings);
        self.reconfigure_frames(run);
        if let Some(operating) = &mut self.operating {
            operating.reconfigure(run.settings);
        }
        let wanted = run.settings.window(self.typical_us);
        let current = self.windows.map(|windows| (windows.length_us(), windows.hop_us()));
        if current.is_none() || wanted == current {
            return;
        }
        self.close_all(run);
        let from_us = self.reorder.greatest_us().map_or(i64::MIN, |greatest| greatest.saturating_add(1));
        self.windows = wanted.map(|(length_us, hop_us)| Windows::new(length_us, hop_us, self.phase_seed, from_us));
    }
}

/// The detectors that the template adds to the set `basic`.
fn series_of(settings: &Settings) -> Option<Box<SeriesScorer>> {
    let scorer = SeriesScorer::new(&settings.series, WARM_UP_READINGS, &settings.calendar);
    scorer.ok().filter(|_| !settings.series.is_empty()).map(Box::new)
}

fn context<'a>(signal: SignalId, name: &'a str, window: Option<&'a LatestWindow>, run: &Run<'a>) -> Context<'a> {
    Context { signal, name, window, feature: None, told: run.told, sequence: run.sequence, position: run.position }
}

pub(crate) fn is_future(time_us: i64, stream_time_us: i64, settings: &Settings) -> bool {
    stream_time_us != NO_STREAM_TIME && time_us > stream_time_us.saturating_add(settings.future_tolerance_us)
}

fn reject(reading: &Reading, run: &mut Run) {
    run.output.counters.future += 1;
    run.output.rejected.push(Rejected {
        signal: reading.signal,
        time_us: reading.time_us,
        value: reading.value,
        reason: RejectReason::Future,
        sequence: reading.sequence,
        position: reading.position,
        stream_time_us: reading.stream_time_us,
    });
}

fn row(reading: &Reading, settings: &Settings) -> ReadingRow {
    ReadingRow {
        signal: reading.signal,
        time_us: reading.time_us,
        value: reading.value,
        quality: settings.judge(reading.value, reading.quality),
        sequence: reading.sequence,
        stream_time_us: reading.stream_time_us,
    }
}
