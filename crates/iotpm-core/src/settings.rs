//! A template resolved to the numbers the hot path needs.

use std::sync::Arc;

use crate::{
    Limits, Quality, Template,
    calendar::Calendar,
    detect::{EmaWeights, SERIES_DETECTORS, SeriesScorer},
    operating::StateSettings,
    waveform::FrameSettings,
};

/// Shortest default window and default silence, microseconds.
const DEFAULT_SPAN_US: i64 = 30_000_000;
/// A default window is a multiple of this, and its hop a third.
const DEFAULT_GRID_US: i64 = 3_000_000;
/// Typical intervals in a default window.
const WINDOW_INTERVALS: i64 = 32;
/// Typical intervals of silence before a signal is idle.
const IDLE_INTERVALS: i64 = 10;

/// What an asset's model is learned from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AssetSettings {
    pub learning_us: i64,
    pub false_alarm_rate: f64,
}

impl AssetSettings {
    fn of(t: &Template) -> Self {
        Self { learning_us: microseconds(t.asset_learning_s), false_alarm_rate: t.asset_false_alarm_rate }
    }
}

/// Everything one reading needs to know of its template.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub window_us: Option<i64>,
    pub hop_us: Option<i64>,
    pub lateness_us: i64,
    pub idle_timeout_us: Option<i64>,
    pub future_tolerance_us: i64,
    pub physical: (f64, f64),
    pub resolution: Option<f64>,
    pub limits: Option<Limits>,
    /// Median and deviation that are usual for the signal's class.
    pub prior: Option<(f64, f64)>,
    pub max_rate_per_s: Option<f64>,
    pub flatline_readings: Option<u32>,
    pub modified_z_window: usize,
    pub modified_z_boundary: Option<f64>,
    pub ema: EmaWeights,
    pub ema_boundary: Option<f64>,
    pub begin_count: u32,
    pub begin_of: u32,
    pub begin_at_once: f64,
    pub end_count: u32,
    pub repeat_us: Option<i64>,
    pub max_reorder: usize,
    pub max_ring: usize,
    /// What a waveform frame needs; absent only in the settings of a trend.
    pub frames: Option<Box<FrameSettings>>,
    pub state: Option<Box<StateSettings>>,
    /// Detectors that run beside the set `basic`, in order of fusion.
    pub series: Vec<&'static str>,
    /// What the hours of the day and the days of the week are.
    pub calendar: Arc<Calendar>,
    /// Where the asset's signals are judged together.
    pub asset: Option<AssetSettings>,
    /// These settings for a bin of speed that is not known well yet: detectors learn there, and only rules alarm.
    pub learning: Option<Box<Settings>>,
}

impl Settings {
    pub fn of(t: &Template) -> Self {
        let listed = |name: &str| t.detectors.iter().flatten().any(|listed| listed == name);
        let runs = |name: &str| t.detectors.is_none() || [name, "basic", "default"].into_iter().any(listed);
        let adds = |name: &str| listed(name) || listed("default") && SeriesScorer::DEFAULT.contains(&name);
        let has_limits = [t.limits.lo_lo, t.limits.lo, t.limits.hi, t.limits.hi_hi].iter().any(Option::is_some);
        let mut settings = Self {
            window_us: t.window_s.map(microseconds),
            hop_us: t.hop_s.map(microseconds),
            lateness_us: microseconds(t.lateness_s),
            idle_timeout_us: t.idle_timeout_s.map(microseconds),
            future_tolerance_us: microseconds(t.future_tolerance_s),
            physical: (t.physical_min.unwrap_or(f64::NEG_INFINITY), t.physical_max.unwrap_or(f64::INFINITY)),
            resolution: t.resolution,
            limits: (has_limits && runs("limits")).then_some(t.limits),
            prior: t.usual.median.zip(t.usual.deviation),
            max_rate_per_s: t.max_rate_per_s.filter(|_| runs("rate_of_change")),
            flatline_readings: runs("flatline").then_some(t.flatline_readings as u32),
            modified_z_window: t.modified_z_window,
            modified_z_boundary: runs("modified_z").then_some(t.modified_z_boundary),
            ema: EmaWeights::of(t.ema_span as f64),
            ema_boundary: runs("ema_baseline").then_some(t.ema_boundary),
            begin_count: u32::from(t.begin_count),
            begin_of: u32::from(t.begin_of),
            begin_at_once: t.begin_at_once,
            end_count: u32::from(t.end_count),
            repeat_us: t.repeat_s.map(microseconds),
            max_reorder: t.max_reorder,
            max_ring: t.max_ring,
            frames: None,
            state: None,
            series: SERIES_DETECTORS.iter().copied().filter(|name| adds(name)).collect(),
            calendar: Arc::new(Calendar::of(&t.calendar)),
            asset: (t.detectors.is_none() || listed("default") || listed("asset_model")).then(|| AssetSettings::of(t)),
            learning: None,
        };
        settings.frames = Some(Box::new(FrameSettings::of(t, &settings)));
        settings.state = StateSettings::of(&t.state);
        settings.learning = settings.while_learning().map(Box::new);
        settings
    }

    /// `None` where there is but one bin: detectors widen their boundaries while they learn, which is enough there.
    fn while_learning(&self) -> Option<Self> {
        let never = |boundary: Option<f64>| boundary.map(|_| f64::INFINITY);
        let boundaries = (never(self.modified_z_boundary), never(self.ema_boundary));
        let binned = self.state.as_ref().is_some_and(|state| !state.regimes.is_empty());
        binned.then(|| Self {
            modified_z_boundary: boundaries.0,
            ema_boundary: boundaries.1,
            frames: None,
            state: None,
            ..self.clone()
        })
    }

    /// Quality after the checks that need no history.
    pub fn judge(&self, value: f64, stated: Quality) -> Quality {
        if !value.is_finite() {
            Quality::NonFinite
        } else if stated.is_usable() && !(self.physical.0..=self.physical.1).contains(&value) {
            Quality::OutOfRange
        } else {
            stated
        }
    }

    /// Whether a value is at or beyond a configured limit.
    pub fn is_beyond_limits(&self, value: f64) -> bool {
        self.limits.is_some_and(|limits| {
            let at = |limit: Option<f64>, beyond: fn(&f64, &f64) -> bool| limit.is_some_and(|l| beyond(&value, &l));
            at(limits.hi, f64::ge) || at(limits.hi_hi, f64::ge) || at(limits.lo, f64::le) || at(limits.lo_lo, f64::le)
        })
    }

    /// (length, hop) of the windows, or `None` while the default waits for the typical interval.
    pub fn window(&self, typical_us: Option<i64>) -> Option<(i64, i64)> {
        let default = typical_us.map(default_window_us);
        let length = self.window_us.or(default)?;
        Some((length, self.hop_us.unwrap_or(length / 3).max(1)))
    }

    /// Silence after which a signal is idle. Until the typical interval is known its greatest interval stands for it.
    pub fn idle_timeout_us(&self, typical_us: i64) -> i64 {
        self.idle_timeout_us.unwrap_or_else(|| DEFAULT_SPAN_US.max(typical_us.saturating_mul(IDLE_INTERVALS)))
    }
}

/// The larger of 30 s and 32 intervals, rounded up to a multiple of 3 s, so that starts fall on whole seconds.
fn default_window_us(interval_us: i64) -> i64 {
    let wanted_us = DEFAULT_SPAN_US.max(interval_us.saturating_mul(WINDOW_INTERVALS));
    wanted_us.saturating_add(DEFAULT_GRID_US - 1) / DEFAULT_GRID_US * DEFAULT_GRID_US
}

/// Seconds of a template as whole microseconds.
pub(crate) fn microseconds(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}
