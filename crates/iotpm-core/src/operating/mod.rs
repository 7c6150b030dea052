//! Operating states: off, run-up, running, coast-down, from a speed, power or current signal or from the signal itself.
//!
//! ```text
//!            |x| >= off_below (1 + hysteresis)                  level and rate of running for settle_s
//!      off ------------------------------------> run-up ------------------------------------> running
//!       ^                                        ^    |                                        |    ^
//!       |                      rate >= +rate_per_s    | rate <= -rate_per_s, or |x| < off_below|    | settled
//!       |  |x| < off_below for coast_down_s      |    v                                        |    | at another
//!       +------------------------------------- coast-down <------------------------------------+    | speed
//!                                                |           |x| < running_above (1 - hysteresis),  |
//!                                                +------------- or rate <= -rate_per_s -------------+
//! ```
//! Running goes back to run-up where the rate reaches `rate_per_s`. The rate is that of y, the exponentially smoothed |x|:
//! y += a (|x| - y) with a = 1 - exp(-dt / `smoothing_s`), rate = (change of y) / dt; it is settled below half of
//! `rate_per_s`. What tells the state is called a fact: a usable reading of the state signal, when its message arrives, if
//! it is newer than all before.

mod coupling;
mod template;
mod track;
mod tracker;

use serde::{Deserialize, Serialize};

pub(crate) use coupling::{Coupling, Fact, Role};
pub use template::StateTemplate;
pub(crate) use template::check;
use track::Track;
use tracker::Tracker;

use crate::{
    detect::{BasicDetectors, Learned},
    settings::{Settings, microseconds},
};

/// What a machine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum OperatingState {
    /// It stands still.
    Off = 0,
    /// It starts, or goes up to another speed.
    RunUp = 1,
    /// It runs.
    Running = 2,
    /// It goes down to standstill or to another speed.
    CoastDown = 3,
}

impl OperatingState {
    /// The name used in tables, events and on screens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::RunUp => "run_up",
            Self::Running => "running",
            Self::CoastDown => "coast_down",
        }
    }
}

/// A [`StateTemplate`] resolved to levels and microseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StateSettings {
    off: f64,
    on: f64,
    running: f64,
    leave: f64,
    rate_per_s: f64,
    smoothing_s: f64,
    settle_us: i64,
    coast_down_us: i64,
    guard_us: i64,
    stale_us: i64,
    /// One bit a state.
    scored: u8,
    pub regimes: Vec<f64>,
    template: StateTemplate,
}

impl StateSettings {
    /// `None` where the template tells no states.
    pub fn of(t: &StateTemplate) -> Option<Box<Self>> {
        let off = t.off_below?;
        let on = off * (1.0 + t.hysteresis);
        Some(Box::new(Self {
            off,
            on,
            running: t.running_above.unwrap_or(on),
            leave: t.running_above.map_or(off, |level| level * (1.0 - t.hysteresis)),
            rate_per_s: t.rate_per_s.unwrap_or(f64::INFINITY),
            smoothing_s: t.smoothing_s,
            settle_us: microseconds(t.settle_s),
            coast_down_us: microseconds(t.coast_down_s),
            guard_us: microseconds(t.guard_s),
            stale_us: t.stale_s.map_or(i64::MAX, microseconds),
            scored: t.score_in.iter().fold(0, |mask, state| mask | 1 << *state as u8),
            regimes: t.regimes.clone(),
            template: t.clone(),
        }))
    }

    /// Name of the signal that tells the state, unless each tells its own.
    pub fn state_signal(&self) -> Option<&str> {
        self.template.signal.as_deref()
    }

    /// Names of the signals of the same asset that tell state, speed and load of a signal with this name.
    pub fn sources<'a>(&'a self, own: &'a str) -> impl Iterator<Item = (Role, &'a str)> {
        let t = &self.template;
        let state = t.signal.as_deref().unwrap_or(own);
        [(Role::State, Some(state)), (Role::Speed, t.speed_signal()), (Role::Load, t.load_signal.as_deref())]
            .into_iter()
            .filter_map(|(role, name)| Some((role, name?)))
    }

    fn scores(&self, state: OperatingState) -> bool {
        self.scored >> state as u8 & 1 == 1
    }
}

/// What one signal knows of its machine's state, speed and load.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Operating {
    /// Whether the signal itself has appeared: it learns from that message on, wherever the stream is cut.
    pub follows: bool,
    tracker: Tracker,
    states: Track<OperatingState>,
    speed: Track<f64>,
    load: Track<f64>,
    /// The bin of speed whose detectors are in use, and what the others learned.
    regime: usize,
    shelf: Vec<Option<Box<Learned>>>,
}

impl Operating {
    /// Knows nothing yet; `follows` if the signal has appeared.
    pub fn of(follows: bool) -> Self {
        Self { follows, ..Self::default() }
    }

    /// Takes a fact; one that is not newer than those before changes nothing.
    pub fn learn(&mut self, role: Role, fact: &Fact, settings: &StateSettings) {
        match role {
            Role::State => self.tracker.observe(fact.time_us, fact.value.abs(), settings, &mut self.states),
            Role::Speed => self.speed.push_newest(fact.time_us, fact.value),
            Role::Load => self.load.push_newest(fact.time_us, fact.value),
        }
    }

    /// The state at an event time, as far as is known now.
    pub fn state_at(&self, time_us: i64, settings: &StateSettings) -> Option<OperatingState> {
        if time_us.saturating_sub(self.tracker.time_us()) > settings.stale_us {
            return None;
        }
        self.tracker.due_by(time_us).or_else(|| self.states.at(time_us))
    }

    /// Whether a reading at this event time trains and is scored. While the state is unknown it is: a machine whose state
    /// signal says nothing is still watched.
    pub fn admits(&self, time_us: i64, settings: &StateSettings) -> bool {
        let now = self.state_at(time_us, settings).is_none_or(|state| settings.scores(state));
        let guarded_us = time_us.saturating_add(settings.guard_us);
        now && self.states.between(time_us, guarded_us).all(|state| settings.scores(state))
    }

    /// State, speed and load of a window [start, end): `running` only if nothing else was in it, else the last other
    /// state; speed and load as last known before its end.
    pub fn of_window(&self, start_us: i64, end_us: i64, settings: &StateSettings) -> Conditions {
        let last_us = end_us.saturating_sub(1).max(start_us);
        let ends = [self.state_at(start_us, settings), self.state_at(last_us, settings)];
        let all = [ends[0]].into_iter().flatten().chain(self.states.between(start_us, last_us)).chain(ends[1]);
        let (mut state, mut other) = (None, None);
        for one in all {
            state = Some(one);
            other = if one == OperatingState::Running { other } else { Some(one) };
        }
        Conditions {
            state: other.or(state),
            speed: self.speed.at(last_us).unwrap_or(f64::NAN),
            load: self.load.at(last_us).unwrap_or(f64::NAN),
        }
    }

    /// Puts what was learned at this speed into `detectors`. While the speed is unknown, what is there stays.
    pub fn enter_regime(&mut self, time_us: i64, settings: &Settings, detectors: &mut BasicDetectors) {
        let Some(bounds) = settings.state.as_ref().map(|state| &state.regimes).filter(|list| !list.is_empty()) else {
            return;
        };
        let Some(speed) = self.speed.at(time_us) else { return };
        let regime = bounds.partition_point(|bound| *bound <= speed.abs());
        if regime == self.regime {
            return;
        }
        self.shelf.resize_with(bounds.len() + 1, || None);
        let mut learned = self.shelf[regime].take().unwrap_or_else(|| Box::new(Learned::new(settings)));
        detectors.swap(&mut learned);
        self.shelf[std::mem::replace(&mut self.regime, regime)] = Some(learned);
    }

    /// Adapts what lies on the shelf to changed settings.
    pub fn reconfigure(&mut self, settings: &Settings) {
        self.shelf.iter_mut().flatten().for_each(|learned| learned.reconfigure(settings));
    }
}

/// Under which conditions a window was taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Conditions {
    pub state: Option<OperatingState>,
    /// NaN if unknown.
    pub speed: f64,
    /// NaN if unknown.
    pub load: f64,
}

impl Conditions {
    pub const UNKNOWN: Self = Self { state: None, speed: f64::NAN, load: f64::NAN };
}
