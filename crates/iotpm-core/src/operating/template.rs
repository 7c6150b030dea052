//! `[template.state]`: what tells the state of a machine, and where its limits lie.

use serde::{Deserialize, Serialize};

use super::OperatingState;
use crate::{Result, Template, template::require};

/// Most bins of speed with a memory of their own.
const REGIMES_MAX: usize = 16;

/// How the operating state of a signal's machine is told, and in which states the signal trains and scores.
///
/// Without `off_below` there are no states: every reading trains and scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateTemplate {
    /// Signal of the same asset whose value x tells the state, such as `speed`; default: this signal itself.
    pub signal: Option<String>,
    /// The machine stands still while |x| is below this, in that signal's unit.
    pub off_below: Option<f64>,
    /// It may count as running from this |x| on; default: as soon as it turns.
    pub running_above: Option<f64>,
    /// Width of both levels' hysteresis, as a share of the level.
    pub hysteresis: f64,
    /// A rate of |x| per second from which a change is a run-up or a coast-down; default: levels alone decide.
    pub rate_per_s: Option<f64>,
    /// Time constant of the smoothing that the rate is taken after, seconds.
    pub smoothing_s: f64,
    /// How long level and rate must be those of running before it counts as running, seconds.
    pub settle_s: f64,
    /// Shortest coast-down, seconds: for power and current, which are gone long before the shaft stands.
    pub coast_down_s: f64,
    /// A reading counts as transient if a transient begins at most this long after it and is known in time, seconds.
    pub guard_s: f64,
    /// Age from which the state signal's newest reading tells nothing, seconds; default: it tells until the next one.
    pub stale_s: Option<f64>,
    /// States in which readings train and score.
    pub score_in: Vec<OperatingState>,
    /// Signal of the same asset that windows carry as `speed`; default: `signal`, where that is not this signal itself.
    pub speed_signal: Option<String>,
    /// Signal of the same asset that windows carry as `load`.
    pub load_signal: Option<String>,
    /// Ascending bounds of the speed's bins; each bin has detectors that learn of their own, and until they are mature only
    /// rules alarm there. Default: one bin for all speeds.
    pub regimes: Vec<f64>,
}

impl Default for StateTemplate {
    fn default() -> Self {
        Self {
            signal: None,
            off_below: None,
            running_above: None,
            hysteresis: 0.1,
            rate_per_s: None,
            smoothing_s: 5.0,
            settle_s: 0.0,
            coast_down_s: 0.0,
            guard_s: 0.0,
            stale_s: None,
            score_in: vec![OperatingState::Running],
            speed_signal: None,
            load_signal: None,
            regimes: Vec::new(),
        }
    }
}

impl StateTemplate {
    /// Name of the signal whose value windows carry as `speed`.
    #[must_use]
    pub fn speed_signal(&self) -> Option<&str> {
        self.speed_signal.as_deref().or(self.signal.as_deref())
    }
}

/// Whether every key is possible.
pub(crate) fn check(t: &Template, state: &StateTemplate) -> Result<()> {
    let positive = |name, value: Option<f64>| {
        require(t, name, value, value.is_none_or(|v| v.is_finite() && v > 0.0), "a positive number")
    };
    positive("state.off_below", state.off_below)?;
    positive("state.running_above", state.running_above)?;
    positive("state.rate_per_s", state.rate_per_s)?;
    positive("state.stale_s", state.stale_s)?;
    let ordered = state.running_above.zip(state.off_below).is_none_or(|(running, off)| running >= off);
    require(t, "state.running_above", state.running_above, ordered, "at least off_below")?;
    require(t, "state.hysteresis", state.hysteresis, (0.0..=0.9).contains(&state.hysteresis), "between 0 and 0.9")?;
    let seconds = |name, value: f64| require(t, name, value, (0.0..=86_400.0).contains(&value), "between 0 and 86400");
    seconds("state.smoothing_s", state.smoothing_s)?;
    seconds("state.settle_s", state.settle_s)?;
    seconds("state.coast_down_s", state.coast_down_s)?;
    seconds("state.guard_s", state.guard_s)?;
    require(t, "state.score_in", &state.score_in, !state.score_in.is_empty(), "at least one state")?;
    let names = [&state.signal, &state.speed_signal, &state.load_signal];
    let named = names.iter().all(|name| name.as_deref().is_none_or(|n| !n.is_empty() && !n.contains('/')));
    require(t, "state.signal", names, named, "names of signals of the same asset, without '/'")?;
    let ascending = state.regimes.iter().all(|v| v.is_finite()) && state.regimes.is_sorted_by(|a, b| a < b);
    let few = state.regimes.len() < REGIMES_MAX;
    require(t, "state.regimes", &state.regimes, ascending && few, "at most 15 numbers, ascending")
}
