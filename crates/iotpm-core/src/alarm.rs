//! From scores to anomalies: persistence before raising, hysteresis before ending, no repeats.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    AnomalyKind, AnomalyRevision, AnomalyState, Detector, DetectorSet, Maturity, Quality, Severity, SignalId,
    detect::{Fused, Verdict},
    features::WindowFeatures,
    feedback::{Seen, Told},
    ring::Ring,
    settings::Settings,
    waveform::FrameFeature,
};

/// Crossings up to which an excursion is a spike.
const SPIKE_CROSSINGS: u32 = 3;

/// The signal's latest closed window: start, end, features.
pub(crate) type LatestWindow = (i64, i64, Box<WindowFeatures>);

/// Who an anomaly belongs to and which message caused the revision.
pub(crate) struct Context<'a> {
    pub signal: SignalId,
    pub name: &'a str,
    pub window: Option<&'a LatestWindow>,
    /// Feature of a frame that is judged; `None` for readings and gaps.
    pub feature: Option<FrameFeature>,
    /// What operators said of the signal.
    pub told: Option<Told<'a>>,
    pub sequence: u64,
    pub position: u32,
}

impl Context<'_> {
    /// The same for a feature of a frame.
    pub fn of_feature(&self, feature: FrameFeature) -> Self {
        Self { feature: Some(feature), ..*self }
    }
}

/// A scored reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scored {
    pub time_us: i64,
    pub value: f64,
    pub fused: Fused,
    pub doubt: Doubt,
}

/// What speaks against a reading that crosses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Doubt {
    #[default]
    None,
    /// It follows a gap, or late data are missing before it: statistics compare it with other than its neighbours.
    Neighbours,
    /// Its source calls it uncertain.
    Value,
}

impl Scored {
    /// Whether its crossing counts for less than another's.
    fn is_doubtful(&self) -> bool {
        match self.doubt {
            Doubt::None => false,
            Doubt::Neighbours => self.fused.detector.is_none_or(|detector| !detector.is_rule()),
            Doubt::Value => true,
        }
    }
}

/// What became of a reading that may raise, worsen or end an anomaly.
#[derive(Debug)]
pub(crate) enum Step {
    Quiet,
    /// An anomaly was due but repeats a recent one.
    Suppressed,
    /// An anomaly ended that was never told, because an operator labelled what it looks like false.
    Muted,
    Revised(Box<AnomalyRevision>),
}

/// Alarm state of one signal: at most one fused anomaly and one gap are open.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Alarm {
    /// One bit a released reading, the newest lowest: did it reach 1.0?
    crossings: u32,
    /// Those of them that are doubtful.
    doubtful: u32,
    open: Option<Box<Open>>,
    gap: Option<Box<Open>>,
    last: Option<Closed>,
    suppressing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Closed {
    detector: Detector,
    end_us: i64,
    peak_score: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    id: u64,
    detector: Detector,
    revision: u32,
    start_us: i64,
    last_crossing_us: i64,
    peak_us: i64,
    peak_score: f64,
    peak_value: f64,
    expected: f64,
    maturity: Maturity,
    above: u32,
    below: u32,
    doubtful: u32,
    agreeing: DetectorSet,
    quiet: u32,
    /// It looks like what was labelled false, so far.
    muted: bool,
}

impl Alarm {
    /// Whether an anomaly is open, gaps aside.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Notes a reading that no detector may judge.
    pub fn observe_unusable(&mut self) {
        self.crossings <<= 1;
        self.doubtful <<= 1;
    }

    /// Forgets which of the last readings crossed (the ring was emptied).
    pub fn forget_crossings(&mut self) {
        (self.crossings, self.doubtful) = (0, 0);
    }

    /// Takes a scored reading that is not yet in the ring.
    #[inline]
    pub fn observe(&mut self, at: &Context, scored: &Scored, ring: &Ring, settings: &Settings, repeat_us: i64) -> Step {
        let crosses = scored.fused.verdict.score >= 1.0;
        let doubtful = crosses && scored.is_doubtful();
        self.crossings = self.crossings << 1 | u32::from(crosses);
        self.doubtful = self.doubtful << 1 | u32::from(doubtful);
        if self.open.is_some() {
            return self.follow(at, scored, settings);
        }
        let recent = self.crossings & (u32::MAX >> (32 - settings.begin_of));
        let at_once = scored.fused.verdict.score >= settings.begin_at_once && !doubtful;
        if !crosses || !(at_once || self.persists(recent, settings)) {
            self.suppressing &= recent != 0;
            return Step::Quiet;
        }
        self.raise(at, scored, ring, (recent, repeat_us), settings)
    }

    /// Whether enough of the last readings crossed. Of doubtful ones it takes all: each counts `begin_count` of `begin_of`.
    fn persists(&self, recent: u32, settings: &Settings) -> bool {
        let doubtful = (recent & self.doubtful).count_ones();
        let good = recent.count_ones() - doubtful;
        good * settings.begin_of + doubtful * settings.begin_count >= settings.begin_count * settings.begin_of
    }

    #[cold]
    fn raise(
        &mut self,
        at: &Context,
        scored: &Scored,
        ring: &Ring,
        (recent, repeat_us): (u32, i64),
        settings: &Settings,
    ) -> Step {
        let Some(detector) = scored.fused.detector else { return Step::Quiet };
        if self.repeats(detector, scored, repeat_us) {
            let first = !std::mem::replace(&mut self.suppressing, true);
            return if first { Step::Suppressed } else { Step::Quiet };
        }
        self.suppressing = false;
        let mut open = Open::begin(at, detector, scored, ring, recent);
        open.doubtful = (recent & self.doubtful).count_ones();
        let open = self.open.insert(Box::new(open));
        open.tell(at, scored, settings)
    }

    fn repeats(&self, detector: Detector, scored: &Scored, repeat_us: i64) -> bool {
        self.last.is_some_and(|last| {
            last.detector == detector
                && scored.time_us <= last.end_us.saturating_add(repeat_us)
                && scored.fused.verdict.score <= last.peak_score
        })
    }

    fn follow(&mut self, at: &Context, scored: &Scored, settings: &Settings) -> Step {
        let Some(open) = self.open.as_mut() else { return Step::Quiet };
        let severity = Severity::of(open.peak_score);
        if scored.fused.verdict.score >= 1.0 {
            open.cross(scored);
            if open.muted {
                return open.tell(at, scored, settings);
            }
            if Severity::of(open.peak_score) > severity {
                return open.revised(at, AnomalyState::Worse, scored);
            }
            return Step::Quiet;
        }
        open.quiet += 1;
        if open.quiet < settings.end_count {
            return Step::Quiet;
        }
        let step = if open.muted { Step::Muted } else { open.revised(at, AnomalyState::End, scored) };
        self.last =
            Some(Closed { detector: open.detector, end_us: open.last_crossing_us, peak_score: open.peak_score });
        self.open = None;
        step
    }

    /// Readings stopped at `last_us`; `score` is the silence in units of the idle timeout.
    pub fn begin_gap(&mut self, at: &Context, last_us: i64, now_us: i64, score: f64) -> AnomalyRevision {
        let scored = Scored { time_us: now_us, value: f64::NAN, fused: gap_verdict(score), doubt: Doubt::None };
        let mut open = Open::first(at, Detector::Gap, last_us, &scored);
        open.peak_us = now_us;
        let revision = open.revise(at, AnomalyState::Begin, &scored);
        self.gap = Some(Box::new(open));
        revision
    }

    /// Readings are back at `time_us`.
    pub fn end_gap(&mut self, at: &Context, time_us: i64) -> Option<AnomalyRevision> {
        let mut open = self.gap.take()?;
        open.last_crossing_us = time_us;
        let scored = Scored { time_us, value: f64::NAN, fused: gap_verdict(0.0), doubt: Doubt::None };
        Some(open.revise(at, AnomalyState::End, &scored))
    }
}

fn gap_verdict(score: f64) -> Fused {
    Fused::by(Detector::Gap, Verdict::by_rule(score))
}

impl Open {
    fn begin(at: &Context, detector: Detector, scored: &Scored, ring: &Ring, recent: u32) -> Self {
        // The current reading is bit 0 and not in the ring yet.
        let earlier = (1..32).filter(|age| recent >> age & 1 == 1).filter_map(|age| ring.newest(age - 1));
        let start_us = earlier.clone().map(|slot| slot.time_us).min().unwrap_or(scored.time_us);
        let mut open = Self::first(at, detector, start_us, scored);
        open.count_side(scored.value, scored.fused.verdict.expected);
        for slot in earlier {
            open.count_side(slot.value, scored.fused.verdict.expected);
            if f64::from(slot.score) > open.peak_score {
                (open.peak_score, open.peak_us, open.peak_value) = (f64::from(slot.score), slot.time_us, slot.value);
            }
        }
        open
    }

    fn first(at: &Context, detector: Detector, start_us: i64, scored: &Scored) -> Self {
        let verdict = scored.fused.verdict;
        Self {
            id: anomaly_id(at, detector, start_us),
            detector,
            revision: 0,
            start_us,
            last_crossing_us: scored.time_us,
            peak_us: scored.time_us,
            peak_score: verdict.score,
            peak_value: scored.value,
            expected: verdict.expected,
            maturity: verdict.maturity,
            above: 0,
            below: 0,
            doubtful: 0,
            agreeing: DetectorSet::of(detector).with(scored.fused.agreeing),
            quiet: 0,
            muted: false,
        }
    }

    fn cross(&mut self, scored: &Scored) {
        let verdict = scored.fused.verdict;
        self.quiet = 0;
        self.last_crossing_us = scored.time_us;
        self.count_side(scored.value, verdict.expected);
        self.doubtful = self.doubtful.saturating_add(u32::from(scored.is_doubtful()));
        self.agreeing = self.agreeing.with(scored.fused.agreeing);
        if verdict.score > self.peak_score {
            self.peak_score = verdict.score;
            (self.peak_us, self.peak_value) = (scored.time_us, scored.value);
            (self.expected, self.maturity) = (verdict.expected, verdict.maturity);
        }
    }

    fn count_side(&mut self, value: f64, expected: f64) {
        let below = value < expected;
        self.above = self.above.saturating_add(u32::from(!below));
        self.below = self.below.saturating_add(u32::from(below));
    }

    fn kind(&self) -> AnomalyKind {
        match self.detector {
            Detector::Limits => AnomalyKind::Limit,
            Detector::RateOfChange => AnomalyKind::Rate,
            Detector::Flatline => AnomalyKind::Stuck,
            Detector::Gap => AnomalyKind::Gap,
            Detector::EmaBaseline | Detector::FrozenBaseline => AnomalyKind::Drift,
            Detector::Ewma | Detector::Cusum | Detector::PageHinkley | Detector::LevelShift => AnomalyKind::LevelShift,
            Detector::ModifiedZ
            | Detector::Novelty
            | Detector::Resonance
            | Detector::Day
            | Detector::Seasonal
            | Detector::Discord
            | Detector::HalfSpaceTrees
            | Detector::AssetModel => self.excursion(),
        }
    }

    /// Both sides of the expected value: noise; a few readings: spike; else the level moved.
    fn excursion(&self) -> AnomalyKind {
        let crossings = self.above + self.below;
        match self.above.min(self.below) {
            minority if crossings > SPIKE_CROSSINGS && minority * 4 >= crossings => AnomalyKind::Noise,
            _ if crossings < SPIKE_CROSSINGS => AnomalyKind::Spike,
            _ => AnomalyKind::LevelShift,
        }
    }

    /// Begins, unless it is no more than what was labelled false. A configured limit is always told.
    fn tell(&mut self, at: &Context, scored: &Scored, settings: &Settings) -> Step {
        let beyond = [scored.value, self.peak_value].iter().any(|value| settings.is_beyond_limits(*value));
        let ruled = beyond && self.detector != Detector::Limits;
        self.muted = !ruled && at.told.is_some_and(|told| told.mutes(&self.seen(at.feature)));
        if self.muted { Step::Quiet } else { self.revised(at, AnomalyState::Begin, scored) }
    }

    fn seen(&self, feature: Option<FrameFeature>) -> Seen {
        Seen {
            detector: self.detector,
            feature,
            kind: self.kind(),
            direction: direction(self.peak_value, self.expected),
            peak_score: self.peak_score,
            duration_us: self.last_crossing_us.saturating_sub(self.start_us),
        }
    }

    /// Doubtful if most of what crossed was.
    fn quality(&self) -> Quality {
        let crossings = self.above.saturating_add(self.below);
        if self.doubtful.saturating_mul(2) > crossings { Quality::Uncertain } else { Quality::Good }
    }

    fn revised(&mut self, at: &Context, state: AnomalyState, scored: &Scored) -> Step {
        Step::Revised(Box::new(self.revise(at, state, scored)))
    }

    fn revise(&mut self, at: &Context, state: AnomalyState, scored: &Scored) -> AnomalyRevision {
        let revision = self.revision;
        self.revision += 1;
        AnomalyRevision {
            id: self.id,
            signal: at.signal,
            detector: self.detector,
            feature: at.feature,
            kind: self.kind(),
            revision,
            state,
            severity: Severity::of(self.peak_score),
            start_us: self.start_us,
            time_us: scored.time_us,
            end_us: (state == AnomalyState::End).then_some(self.last_crossing_us),
            peak_us: self.peak_us,
            peak_score: self.peak_score,
            peak_value: self.peak_value,
            score: scored.fused.verdict.score,
            value: scored.value,
            expected: self.expected,
            direction: direction(self.peak_value, self.expected),
            maturity: self.maturity,
            window: at.window.cloned(),
            quality: self.quality(),
            agreeing: self.agreeing,
            contributions: Box::default(),
            sequence: at.sequence,
            position: at.position,
        }
    }
}

fn direction(value: f64, expected: f64) -> i8 {
    i8::from(value > expected) - i8::from(value < expected)
}

/// Hash of signal name, detector (with its feature) and start.
fn anomaly_id(at: &Context, detector: Detector, start_us: i64) -> u64 {
    let mut key = Vec::with_capacity(at.name.len() + 48);
    key.extend_from_slice(at.name.as_bytes());
    key.push(0);
    key.extend_from_slice(detector.name_of(at.feature).as_bytes());
    key.push(0);
    key.extend_from_slice(&start_us.to_le_bytes());
    xxh3_64(&key)
}
