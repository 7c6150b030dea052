//! Configuration of all signals that match a pattern.

use serde::{Deserialize, Serialize};

use crate::{
    CalendarTemplate, CoreError, Machine, Result, StateTemplate, WaveformTemplate, calendar, detect::SERIES_DETECTORS,
    machine, operating, waveform,
};

/// Limits in the template's unit; each is optional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Critical low.
    pub lo_lo: Option<f64>,
    /// Low.
    pub lo: Option<f64>,
    /// High.
    pub hi: Option<f64>,
    /// Critical high.
    pub hi_hi: Option<f64>,
    /// How far the value must come back before a crossed limit clears.
    pub deadband: f64,
}

/// What is usual for the class of a signal, known before its first reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Usual {
    /// Its median, in the template's unit.
    pub median: Option<f64>,
    /// Its standard deviation, in the template's unit: how far readings of any signal of the class lie from the median.
    pub deviation: Option<f64>,
}

/// Configuration of all signals whose name matches `pattern`; the first matching template wins.
///
/// Deserialised from the JSON that the configuration layer writes; unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Template {
    /// Pattern on `site/asset/signal`; `*` stands for any run of characters, also across `/`.
    #[serde(rename = "match")]
    pub pattern: String,
    /// UCUM unit of the stored values.
    pub unit: Option<String>,
    /// What is measured, such as `temperature` or `vibration`; free text.
    pub kind: Option<String>,
    /// Window length in seconds; default: the larger of 30 s and 32 typical sampling intervals, rounded up to a multiple
    /// of 3 s.
    pub window_s: Option<f64>,
    /// Hop between window starts in seconds; default: a third of the window.
    pub hop_s: Option<f64>,
    /// How far behind the greatest event time a reading may arrive and still count, seconds.
    pub lateness_s: f64,
    /// Silence after which a signal is idle, seconds; default: the larger of 30 s and 10 typical intervals.
    pub idle_timeout_s: Option<f64>,
    /// How far event time may run ahead of stream time, seconds.
    pub future_tolerance_s: f64,
    /// Smallest physically possible value.
    pub physical_min: Option<f64>,
    /// Greatest physically possible value.
    pub physical_max: Option<f64>,
    /// Smallest step of the sensor; default: learned from the values.
    pub resolution: Option<f64>,
    /// Alarm limits.
    pub limits: Limits,
    /// What is usual for signals like these: it stands in for a signal's own statistics until there are any.
    pub usual: Usual,
    /// Greatest allowed rate of change per second; default: no such check.
    pub max_rate_per_s: Option<f64>,
    /// Readings of the modified z-score's rolling window.
    pub modified_z_window: usize,
    /// Boundary of the modified z-score.
    pub modified_z_boundary: f64,
    /// Readings of the exponentially weighted baseline's memory (its weight is 2 / (n + 1)).
    pub ema_span: usize,
    /// Boundary of the baseline in its standard deviations.
    pub ema_boundary: f64,
    /// Identical readings in a row that make a moving signal stuck; the learned habit of the signal can only raise it.
    pub flatline_readings: usize,
    /// Names of the detectors that run; default: the set `basic` and `asset_model`. `basic` stands for that set of
    /// detectors of one signal, `default` for it, `asset_model` and
    /// [`SeriesScorer::DEFAULT`](crate::detect::SeriesScorer::DEFAULT); any of
    /// [`SERIES_DETECTORS`](crate::detect::SERIES_DETECTORS) may be added.
    pub detectors: Option<Vec<String>>,
    /// Event time after which an asset's first model is fitted to its signals, seconds: long enough for everything that
    /// is normal to have happened, such as all shifts of a day.
    pub asset_learning_s: f64,
    /// Share of an asset's healthy rows that may score above 1.0; an anomaly needs several of them.
    pub asset_false_alarm_rate: f64,
    /// An anomaly begins when this many ...
    pub begin_count: u8,
    /// ... of this many readings reach 1.0 ...
    pub begin_of: u8,
    /// ... or one reading reaches this score.
    pub begin_at_once: f64,
    /// It ends after this many readings in a row below 1.0.
    pub end_count: u8,
    /// Seconds after the end of an anomaly in which the same detector raises no new one unless it exceeds the old peak;
    /// default: one window.
    pub repeat_s: Option<f64>,
    /// Bound of the reorder buffer, readings.
    pub max_reorder: usize,
    /// Bound of the ring, readings.
    pub max_ring: usize,
    /// What is computed, scored and kept of waveform frames.
    pub waveform: WaveformTemplate,
    /// How the machine's operating state is told, and in which states readings train and score.
    pub state: StateTemplate,
    /// Time zone, shifts and days of work, for detectors that learn what is usual at an hour.
    pub calendar: CalendarTemplate,
    /// The machine behind these signals.
    pub machine: Machine,
    /// What an anomaly of these signals hints at: a failure mode of ISO 14224, such as `VIB` or `OHE`.
    pub failure_mode: Option<String>,
}

impl Default for Template {
    fn default() -> Self {
        Self {
            pattern: "*".into(),
            unit: None,
            kind: None,
            window_s: None,
            hop_s: None,
            lateness_s: 0.0,
            idle_timeout_s: None,
            future_tolerance_s: 10.0,
            physical_min: None,
            physical_max: None,
            resolution: None,
            limits: Limits::default(),
            usual: Usual::default(),
            max_rate_per_s: None,
            modified_z_window: 100,
            modified_z_boundary: 3.5,
            ema_span: 500,
            ema_boundary: 5.0,
            flatline_readings: 30,
            detectors: None,
            asset_learning_s: 86_400.0,
            asset_false_alarm_rate: 1e-4,
            begin_count: 3,
            begin_of: 5,
            begin_at_once: 2.0,
            end_count: 10,
            repeat_s: None,
            max_reorder: 1024,
            max_ring: 8192,
            waveform: WaveformTemplate::default(),
            state: StateTemplate::default(),
            calendar: CalendarTemplate::default(),
            machine: Machine::default(),
            failure_mode: None,
        }
    }
}

/// The templates of a configuration, checked, in order; the built-in default stands at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Templates {
    list: Vec<Template>,
}

impl Default for Templates {
    fn default() -> Self {
        Self { list: vec![Template::default()] }
    }
}

impl Templates {
    /// Checks the templates and appends the built-in default.
    ///
    /// # Errors
    /// [`CoreError::InvalidTemplate`] names the template, the key, the value and what is allowed.
    pub fn new(mut list: Vec<Template>) -> Result<Self> {
        list.iter().try_for_each(check)?;
        list.push(Template::default());
        Ok(Self { list })
    }

    /// The template of a signal name and its index.
    #[must_use]
    pub fn find(&self, name: &str) -> (usize, &Template) {
        let index = self.list.iter().position(|t| matches_pattern(&t.pattern, name));
        let index = index.unwrap_or(self.list.len() - 1);
        (index, &self.list[index])
    }

    /// All templates, in order, the built-in default last.
    pub fn iter(&self) -> impl Iterator<Item = &Template> {
        self.list.iter()
    }

    /// The template at an index that [`Templates::find`] returned.
    #[must_use]
    pub fn get(&self, index: usize) -> &Template {
        &self.list[index]
    }
}

/// Names a template may list in `detectors`.
pub(crate) const BASIC_DETECTORS: [&str; 5] = ["limits", "rate_of_change", "flatline", "modified_z", "ema_baseline"];

fn check(template: &Template) -> Result<()> {
    let t = template;
    let positive = |name, value: Option<f64>| {
        require(t, name, value, value.is_none_or(|v| v.is_finite() && v > 0.0), "a positive number of seconds")
    };
    positive("window_s", t.window_s)?;
    positive("hop_s", t.hop_s)?;
    positive("idle_timeout_s", t.idle_timeout_s)?;
    let range = |name, value: f64, low: f64, high: f64, allowed| {
        require(t, name, value, (low..=high).contains(&value), allowed)
    };
    range("lateness_s", t.lateness_s, 0.0, 86_400.0, "between 0 and 86400")?;
    range("future_tolerance_s", t.future_tolerance_s, 0.0, 86_400.0, "between 0 and 86400")?;
    physical(t)?;
    limits(t)?;
    range("modified_z_window", t.modified_z_window as f64, 8.0, 100_000.0, "between 8 and 100000")?;
    range("modified_z_boundary", t.modified_z_boundary, 0.1, 1e6, "between 0.1 and 1000000")?;
    usual(t)?;
    range("ema_span", t.ema_span as f64, 8.0, 1e7, "between 8 and 10000000")?;
    range("ema_boundary", t.ema_boundary, 0.1, 1e6, "between 0.1 and 1000000")?;
    range("flatline_readings", t.flatline_readings as f64, 3.0, 1e6, "between 3 and 1000000")?;
    range("asset_learning_s", t.asset_learning_s, 60.0, 31_622_400.0, "between 60 and 31622400")?;
    range("asset_false_alarm_rate", t.asset_false_alarm_rate, 1e-6, 0.1, "between 0.000001 and 0.1")?;
    range("begin_of", f64::from(t.begin_of), 1.0, 16.0, "between 1 and 16")?;
    range("begin_count", f64::from(t.begin_count), 1.0, f64::from(t.begin_of), "between 1 and begin_of")?;
    range("begin_at_once", t.begin_at_once, 1.0, 1e9, "at least 1")?;
    range("end_count", f64::from(t.end_count), 1.0, 255.0, "between 1 and 255")?;
    range("max_reorder", t.max_reorder as f64, 1.0, 1e6, "between 1 and 1000000")?;
    range("max_ring", t.max_ring as f64, 64.0, 1e7, "between 64 and 10000000")?;
    waveform::check(t)?;
    operating::check(t, &t.state)?;
    machine::check(t, &t.machine)?;
    calendar::check(t)?;
    let code = t.failure_mode.as_deref();
    require(t, "failure_mode", code, code.is_none_or(is_code), "a code of 2 to 8 capital letters, such as VIB")?;
    let unknown = t.detectors.iter().flatten().find(|name| !is_detector(name));
    require(
        t,
        "detectors",
        unknown,
        unknown.is_none(),
        "names among basic, default, asset_model, limits, rate_of_change, flatline, modified_z, ema_baseline, novelty, resonance, day, \
         ewma, cusum, page_hinkley, level_shift, seasonal, frozen_baseline, discord, half_space_trees",
    )
}

fn physical(t: &Template) -> Result<()> {
    let holds = t.physical_min.zip(t.physical_max).is_none_or(|(low, high)| low < high);
    require(t, "physical_min", t.physical_min, holds, "below physical_max")
}

/// Limits that are given must not fall from one to the next.
fn limits(t: &Template) -> Result<()> {
    let Limits { lo_lo, lo, hi, hi_hi, deadband } = t.limits;
    let named = [
        ("limits.lo_lo", lo_lo, "a finite number, at most lo, hi and hi_hi"),
        ("limits.lo", lo, "a finite number, at most hi and hi_hi"),
        ("limits.hi", hi, "a finite number, at most hi_hi"),
        ("limits.hi_hi", hi_hi, "a finite number"),
    ];
    for (place, &(name, value, allowed)) in named.iter().enumerate() {
        let next = named[place + 1..].iter().find_map(|(_, value, _)| *value);
        let holds = value.is_none_or(|value| value.is_finite() && next.is_none_or(|next| value <= next));
        require(t, name, value, holds, allowed)?;
    }
    require(t, "limits.deadband", deadband, deadband.is_finite() && deadband >= 0.0, "a number from 0")
}

fn usual(t: &Template) -> Result<()> {
    let Usual { median, deviation } = t.usual;
    let holds = median.is_some() == deviation.is_some() && median.is_none_or(f64::is_finite);
    require(t, "usual.median", median, holds, "a finite number, beside usual.deviation")?;
    let holds = deviation.is_none_or(|deviation| deviation.is_finite() && deviation > 0.0);
    require(t, "usual.deviation", deviation, holds, "a positive number, beside usual.median")
}

fn is_detector(name: &str) -> bool {
    ["basic", "default", "asset_model"]
        .iter()
        .chain(&BASIC_DETECTORS)
        .chain(SERIES_DETECTORS)
        .any(|known| *known == name)
}

fn is_code(text: &str) -> bool {
    (2..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase())
}

pub(crate) fn require(
    t: &Template,
    name: &'static str,
    value: impl std::fmt::Debug,
    holds: bool,
    allowed: &'static str,
) -> Result<()> {
    if holds {
        return Ok(());
    }
    let value = shown(&format!("{value:?}"));
    Err(CoreError::InvalidTemplate { template: t.pattern.clone(), name, value, allowed })
}

/// A value as it is written in a configuration: optional ones without Rust's word for it.
fn shown(value: &str) -> String {
    let inner = value.strip_prefix("Some(").and_then(|rest| rest.strip_suffix(')'));
    inner.unwrap_or(if value == "None" { "absent" } else { value }).to_owned()
}

/// `*` stands for any run of characters; everything else for itself.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(template: Template) -> String {
        Templates::new(vec![template]).map_or_else(|error| error.to_string(), |_| "nothing".into())
    }

    fn with_limits(limits: Limits) -> String {
        refusal(Template { limits, ..Template::default() })
    }

    #[test]
    fn limits_must_not_fall_and_may_be_equal_or_absent() {
        let told = with_limits(Limits { hi: Some(90.0), hi_hi: Some(80.0), ..Limits::default() });
        assert_eq!(told, "template '*': limits.hi = 90.0: must be a finite number, at most hi_hi");
        let told = with_limits(Limits { lo_lo: Some(5.0), hi_hi: Some(4.0), ..Limits::default() });
        assert_eq!(told, "template '*': limits.lo_lo = 5.0: must be a finite number, at most lo, hi and hi_hi");
        let told = with_limits(Limits { lo: Some(f64::NAN), ..Limits::default() });
        assert_eq!(told, "template '*': limits.lo = NaN: must be a finite number, at most hi and hi_hi");
        let told = with_limits(Limits { deadband: -1.0, ..Limits::default() });
        assert_eq!(told, "template '*': limits.deadband = -1.0: must be a number from 0");
        let equal = Limits { lo_lo: Some(1.0), lo: Some(1.0), hi: None, hi_hi: Some(1.0), deadband: 0.0 };
        assert_eq!(with_limits(equal), "nothing");
    }

    #[test]
    fn the_physical_range_is_not_empty() {
        let range = |min, max| Template { physical_min: Some(min), physical_max: Some(max), ..Template::default() };
        assert_eq!(refusal(range(1.0, 1.0)), "template '*': physical_min = 1.0: must be below physical_max");
        assert_eq!(refusal(range(0.0, 1.0)), "nothing");
    }

    #[test]
    fn values_are_told_as_they_are_written() {
        let told = refusal(Template { window_s: Some(-5.0), ..Template::default() });
        assert_eq!(told, "template '*': window_s = -5.0: must be a positive number of seconds");
        let usual = Usual { median: None, deviation: Some(1.0) };
        assert!(refusal(Template { usual, ..Template::default() }).contains("usual.median = absent"));
    }
}
