//! The state machine.

use serde::{Deserialize, Serialize};

use super::{
    OperatingState, StateSettings,
    track::{Clock, Track, Turn},
};

/// Share of `rate_per_s` below which a rate is settled.
const SETTLED_SHARE: f64 = 0.5;

/// Where the state machine stands.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Tracker {
    clock: Clock,
    /// `None` before the first fact.
    state: Option<OperatingState>,
    since_us: i64,
    time_us: i64,
    smooth: f64,
    /// Since when level and rate are those of running.
    steady_since_us: Option<i64>,
    /// What follows by itself unless a fact comes before.
    due: Option<(i64, OperatingState)>,
}

impl Default for Tracker {
    fn default() -> Self {
        let clock = Clock::default();
        Self { clock, state: None, since_us: 0, time_us: i64::MAX, smooth: 0.0, steady_since_us: None, due: None }
    }
}

impl Tracker {
    /// Event time of the newest fact; `i64::MAX` before the first.
    pub fn time_us(&self) -> i64 {
        self.time_us
    }

    /// The state that is due at or before a time.
    pub fn due_by(&self, time_us: i64) -> Option<OperatingState> {
        self.due.filter(|(due_us, _)| *due_us <= time_us).map(|(_, state)| state)
    }

    /// Takes |x| at an event time and appends the changes of state that follow to `states`.
    pub fn observe(&mut self, time_us: i64, x: f64, settings: &StateSettings, states: &mut Track<OperatingState>) {
        match self.clock.admit(time_us) {
            Turn::Old => return,
            Turn::Restart => {
                *self = Self { clock: self.clock, ..Self::default() };
                states.clear();
            }
            Turn::Next => {}
        }
        self.take_due(time_us, states);
        let rate = self.rate(time_us, x, settings);
        let next = self.state.map_or_else(|| first(x, settings), |state| next(state, x, rate, settings));
        if self.state != Some(next) {
            self.enter(time_us, next, states);
        }
        self.plan(time_us, x, rate, settings);
        self.take_due(time_us, states);
    }

    /// Rate of the smoothed |x|, per second; 0 for the first fact.
    fn rate(&mut self, time_us: i64, x: f64, settings: &StateSettings) -> f64 {
        let seconds = time_us.saturating_sub(std::mem::replace(&mut self.time_us, time_us)) as f64 * 1e-6;
        if self.state.is_none() {
            self.smooth = x;
            return 0.0;
        }
        let weight = -(-seconds / settings.smoothing_s).exp_m1();
        let step = weight * (x - self.smooth);
        self.smooth += step;
        step / seconds
    }

    fn enter(&mut self, time_us: i64, state: OperatingState, states: &mut Track<OperatingState>) {
        (self.state, self.since_us, self.steady_since_us) = (Some(state), time_us, None);
        states.push(time_us, state);
    }

    fn take_due(&mut self, time_us: i64, states: &mut Track<OperatingState>) {
        if let Some((due_us, state)) = self.due.take_if(|(due_us, _)| *due_us <= time_us) {
            self.enter(due_us, state, states);
        }
    }

    /// What follows if nothing new comes.
    fn plan(&mut self, time_us: i64, x: f64, rate: f64, settings: &StateSettings) {
        self.due = None;
        if !matches!(self.state, Some(OperatingState::RunUp | OperatingState::CoastDown)) {
            return;
        }
        let settled = x >= settings.running && rate.abs() <= SETTLED_SHARE * settings.rate_per_s;
        self.steady_since_us = settled.then(|| self.steady_since_us.unwrap_or(time_us));
        if let Some(since_us) = self.steady_since_us {
            self.due = Some((since_us.saturating_add(settings.settle_us), OperatingState::Running));
        } else if x < settings.off {
            let due_us = self.since_us.saturating_add(settings.coast_down_us).max(time_us);
            self.due = Some((due_us, OperatingState::Off));
        }
    }
}

/// Without history the level alone decides; between the levels the machine may turn, but does not run yet.
fn first(x: f64, settings: &StateSettings) -> OperatingState {
    match x {
        x if x < settings.on => OperatingState::Off,
        x if x < settings.running => OperatingState::RunUp,
        _ => OperatingState::Running,
    }
}

fn next(state: OperatingState, x: f64, rate: f64, settings: &StateSettings) -> OperatingState {
    use OperatingState::{CoastDown, Off, RunUp, Running};
    let (turns, fall, rise) = (x >= settings.off, rate <= -settings.rate_per_s, rate >= settings.rate_per_s);
    match state {
        Off if x >= settings.on => RunUp,
        RunUp | Running if !turns || fall => CoastDown,
        Running if x < settings.leave => CoastDown,
        CoastDown | Running if turns && rise => RunUp,
        same => same,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::StateTemplate, *};
    use OperatingState::{CoastDown, Off, RunUp, Running};

    const SECOND: i64 = 1_000_000;

    fn settings(template: &StateTemplate) -> Box<StateSettings> {
        StateSettings::of(&StateTemplate { off_below: Some(50.0), ..template.clone() }).expect("off_below is given")
    }

    /// All changes of state, with times in seconds, of values one second apart.
    fn changes(template: &StateTemplate, values: &[f64]) -> Vec<(i64, OperatingState)> {
        let (settings, mut tracker, mut all) = (settings(template), Tracker::default(), Vec::new());
        for (second, x) in (0..).zip(values) {
            let mut states = Track::default();
            tracker.observe(second * SECOND, *x, &settings, &mut states);
            let newest = states.between(i64::MIN, i64::MAX).map(|state| (second, state));
            all.extend(newest);
        }
        all
    }

    fn ramp(from: f64, to: f64, seconds: usize) -> impl Iterator<Item = f64> {
        (1..=seconds).map(move |i| from + (to - from) * i as f64 / seconds as f64)
    }

    #[test]
    fn a_start_a_change_of_speed_and_a_stop_pass_through_every_state() {
        let template = StateTemplate {
            running_above: Some(600.0),
            rate_per_s: Some(20.0),
            smoothing_s: 2.0,
            settle_s: 5.0,
            ..StateTemplate::default()
        };
        let values: Vec<f64> = std::iter::repeat_n(0.0, 10)
            .chain(ramp(0.0, 1500.0, 30))
            .chain(std::iter::repeat_n(1500.0, 60))
            .chain(ramp(1500.0, 900.0, 20))
            .chain(std::iter::repeat_n(900.0, 60))
            .chain(ramp(900.0, 0.0, 20))
            .chain(std::iter::repeat_n(0.0, 10))
            .collect();
        let found = changes(&template, &values);
        let order: Vec<OperatingState> = found.iter().map(|(_, state)| *state).collect();
        assert_eq!(order, [Off, RunUp, Running, CoastDown, Running, CoastDown, Off]);
        let at = |index: usize| found[index].0;
        assert!((10..15).contains(&at(1)), "the run-up is seen within 5 s: {}", at(1));
        assert!((45..60).contains(&at(2)), "it runs some seconds after it has settled: {}", at(2));
        assert!((100..104).contains(&at(3)) && (125..140).contains(&at(4)), "another speed: {found:?}");
        assert!((180..184).contains(&at(5)) && (198..202).contains(&at(6)), "stop: {found:?}");
    }

    #[test]
    fn a_power_signal_that_drops_at_once_leaves_time_to_coast_down() {
        let template = StateTemplate { coast_down_s: 30.0, ..StateTemplate::default() };
        let values: Vec<f64> = std::iter::repeat_n(200.0, 10).chain(std::iter::repeat_n(0.0, 60)).collect();
        assert_eq!(changes(&template, &values), [(0, Running), (10, CoastDown), (40, Off)]);
    }

    #[test]
    fn a_signal_that_only_reports_changes_still_settles() {
        let template = StateTemplate { settle_s: 20.0, ..StateTemplate::default() };
        let (settings, mut tracker, mut states) = (settings(&template), Tracker::default(), Track::default());
        tracker.observe(0, 0.0, &settings, &mut states);
        tracker.observe(SECOND, 1000.0, &settings, &mut states);
        let state = |second: i64| tracker.due_by(second * SECOND).or_else(|| states.at(second * SECOND));
        assert_eq!([0, 1, 20, 21].map(state), [Some(Off), Some(RunUp), Some(RunUp), Some(Running)]);
    }

    #[test]
    fn reverse_running_is_running() {
        let mut operating = super::super::Operating::of(true);
        let settings = settings(&StateTemplate::default());
        let fact = super::super::Fact { sequence: 1, time_us: 0, value: -1500.0 };
        operating.learn(super::super::Role::State, &fact, &settings);
        assert_eq!(operating.state_at(0, &settings), Some(Running));
    }

    fn follows(before: OperatingState, after: OperatingState) -> bool {
        matches!(
            (before, after),
            (Off | CoastDown | Running, RunUp)
                | (RunUp | CoastDown, Running)
                | (RunUp | Running, CoastDown)
                | (CoastDown, Off)
        )
    }

    fn any_template() -> impl Strategy<Value = StateTemplate> {
        let rate = proptest::option::of(1.0..200.0f64);
        (0.0..0.9f64, proptest::option::of(50.0..900.0f64), rate, 0.0..20.0f64, 0.0..20.0f64, 0.0..20.0f64).prop_map(
            |(hysteresis, running_above, rate_per_s, smoothing_s, settle_s, coast_down_s)| StateTemplate {
                running_above,
                hysteresis,
                rate_per_s,
                smoothing_s,
                settle_s,
                coast_down_s,
                ..StateTemplate::default()
            },
        )
    }

    proptest! {
        /// Whatever the values: a machine starts before it runs and coasts down before it stands.
        #[test]
        fn states_follow_their_order(template in any_template(), values in prop::collection::vec(0.0..1500.0f64, 1..200)) {
            let found = changes(&template, &values);
            prop_assert!(found.windows(2).all(|pair| follows(pair[0].1, pair[1].1)), "{found:?}");
        }

        /// Noise narrower than a hysteresis changes the state at most once for each time that the level is really crossed.
        #[test]
        fn levels_never_chatter(
            template in any_template(), band in 1u32..40, noise in prop::collection::vec(-1.0..1.0f64, 50..300),
        ) {
            let template = StateTemplate { rate_per_s: None, settle_s: 0.0, coast_down_s: 0.0, hysteresis: 0.1, ..template };
            // Around any level between standstill and full speed, with an amplitude below half of the narrower hysteresis.
            let level = f64::from(band) * 40.0;
            let amplitude = 0.49 * 50.0 * 0.1;
            let values: Vec<f64> = noise.iter().map(|n| (level + amplitude * n).max(0.0)).collect();
            let found = changes(&template, &values);
            prop_assert!(found.len() <= 3, "{found:?}");
        }

        /// It stands no more often than the value really went from below `off_below` to the level that ends a standstill.
        #[test]
        fn a_standstill_is_left_only_across_the_whole_hysteresis(
            hysteresis in 0.01..0.9f64, values in prop::collection::vec(30.0..110.0f64, 1..300),
        ) {
            let template = StateTemplate { hysteresis, ..StateTemplate::default() };
            let found = changes(&template, &values);
            let (mut low, mut crossings) = (true, 0);
            for x in &values {
                if low && *x >= 50.0 * (1.0 + hysteresis) {
                    (low, crossings) = (false, crossings + 1);
                } else if !low && *x < 50.0 {
                    low = true;
                }
            }
            let starts = found.windows(2).filter(|pair| pair[0].1 == Off).count();
            prop_assert!(starts <= crossings, "{starts} starts, {crossings} crossings");
            let stands = found.iter().filter(|(_, state)| *state == Off).count();
            prop_assert!(stands <= crossings + 1, "{stands} standstills, {crossings} crossings");
        }

        /// A running machine whose rate stays within half of the boundary stays running, however much it wanders.
        #[test]
        fn slow_wandering_is_no_transient(steps in prop::collection::vec(-1.0..1.0f64, 1..300)) {
            let template = StateTemplate { rate_per_s: Some(20.0), running_above: Some(600.0), ..StateTemplate::default() };
            let mut x: f64 = 1000.0;
            let values: Vec<f64> = steps.iter().map(|step| { x = (x + 9.0 * step).clamp(700.0, 1500.0); x }).collect();
            prop_assert_eq!(changes(&template, &values), [(0, Running)]);
        }

        /// Old and repeated facts change nothing.
        #[test]
        fn facts_out_of_order_change_nothing(
            template in any_template(), values in prop::collection::vec((0.0..1500.0f64, proptest::option::of((0i64..50, 0.0..1500.0f64))), 1..100),
        ) {
            let settings = settings(&template);
            let mut plain = (Tracker::default(), Track::default());
            let mut mixed = (Tracker::default(), Track::default());
            for (second, (x, old)) in (0..).zip(&values) {
                plain.0.observe(second * SECOND, *x, &settings, &mut plain.1);
                mixed.0.observe(second * SECOND, *x, &settings, &mut mixed.1);
                if let Some((age, x)) = old {
                    mixed.0.observe((second - age) * SECOND, *x, &settings, &mut mixed.1);
                }
                let at = |(tracker, states): &(Tracker, Track<OperatingState>), t| tracker.due_by(t).or_else(|| states.at(t));
                prop_assert!((0..=second + 30).all(|s| at(&plain, s * SECOND) == at(&mixed, s * SECOND)));
            }
        }
    }
}
