//! What a template says about waveform frames.

use serde::{Deserialize, Serialize};

use super::FrameFeature;
use crate::{
    Result, Template,
    settings::Settings,
    template::require,
    vibration::{FrequencyBand, bearing::Bearing},
};

/// Waveforms of the signals of a template: what is computed, scored and kept of a frame.
///
/// Deserialised from the JSON that the configuration layer writes; unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WaveformTemplate {
    /// Samples of every this many accepted frames are stored; 0 stores none by count.
    pub keep_every: u32,
    /// And those of this many frames before and after every revision of an anomaly of the signal.
    pub keep_around_anomaly: u32,
    /// Features whose trend is scored: columns of `windows` or `vibration`.
    pub features: Vec<String>,
    /// The feature that the template's limits act on.
    pub limits_on: String,
    /// Lower edge of the band whose envelope is taken, Hz; default: an eighth of the rate.
    pub envelope_low_hz: Option<f64>,
    /// Upper edge of that band, Hz; default: 0.45 of the rate.
    pub envelope_high_hz: Option<f64>,
    /// Bands (low, high) whose root mean square is a column, Hz.
    pub bands_hz: Vec<(f64, f64)>,
    /// Nominal speed of the shaft, revolutions a second; this and the orders below default to those of `machine`.
    pub speed_hz: Option<f64>,
    /// Ball pass frequency of the outer race over the shaft's speed.
    pub bpfo: Option<f64>,
    /// Ball pass frequency of the inner race over the shaft's speed.
    pub bpfi: Option<f64>,
    /// Ball spin frequency over the shaft's speed.
    pub bsf: Option<f64>,
    /// Fundamental train frequency over the shaft's speed.
    pub ftf: Option<f64>,
}

impl Default for WaveformTemplate {
    fn default() -> Self {
        Self {
            keep_every: 10,
            keep_around_anomaly: 2,
            features: ["rms", "kurtosis", "peak", "velocity_rms", "envelope_rms"].map(String::from).into(),
            limits_on: "rms".into(),
            envelope_low_hz: None,
            envelope_high_hz: None,
            bands_hz: Vec::new(),
            speed_hz: None,
            bpfo: None,
            bpfi: None,
            bsf: None,
            ftf: None,
        }
    }
}

/// Most bands of a template.
const BANDS_MAX: usize = 32;
/// Most scored features: each is a series of its own.
const FEATURES_MAX: usize = 16;

/// Checks the waveform part of a template.
pub(crate) fn check(t: &Template) -> Result<()> {
    let w = &t.waveform;
    let around = w.keep_around_anomaly;
    require(t, "waveform.keep_around_anomaly", around, around <= 64, "between 0 and 64")?;
    check_features(t, w)?;
    let positive = |value: Option<f64>| value.is_none_or(|v| v.is_finite() && v > 0.0);
    for (name, value) in [
        ("waveform.envelope_low_hz", w.envelope_low_hz),
        ("waveform.envelope_high_hz", w.envelope_high_hz),
        ("waveform.speed_hz", w.speed_hz),
        ("waveform.bpfo", w.bpfo),
        ("waveform.bpfi", w.bpfi),
        ("waveform.bsf", w.bsf),
        ("waveform.ftf", w.ftf),
    ] {
        require(t, name, value, positive(value), "a positive number")?;
    }
    let ordered = w.envelope_low_hz.zip(w.envelope_high_hz).is_none_or(|(low, high)| low < high);
    require(t, "waveform.envelope_low_hz", w.envelope_low_hz, ordered, "below envelope_high_hz")?;
    let band = |(low, high): &(f64, f64)| low.is_finite() && high.is_finite() && *low >= 0.0 && low < high;
    let usable = w.bands_hz.len() <= BANDS_MAX && w.bands_hz.iter().all(band);
    require(t, "waveform.bands_hz", &w.bands_hz, usable, "at most 32 pairs of hertz, low below high")
}

fn check_features(t: &Template, w: &WaveformTemplate) -> Result<()> {
    let known = |name: &str| FrameFeature::named(name).is_some();
    let unknown = w.features.iter().find(|name| !known(name));
    let columns = "names of feature columns of windows or vibration";
    require(t, "waveform.features", unknown, unknown.is_none(), columns)?;
    let mut sorted: Vec<_> = w.features.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    let distinct = sorted.len() == w.features.len() && sorted.len() <= FEATURES_MAX;
    require(t, "waveform.features", &w.features, distinct, "at most 16 names, each once")?;
    require(t, "waveform.limits_on", &w.limits_on, known(&w.limits_on), columns)
}

/// What the template says of frames; speed and orders that it leaves open follow from its machine, where that is known.
fn with_machine(t: &Template) -> WaveformTemplate {
    let (own, facts) = (&t.waveform, &t.machine.bearing);
    let geometry = facts.elements.zip(facts.element_diameter_mm).zip(facts.pitch_diameter_mm);
    let bearing = geometry.and_then(|((elements, element_mm), pitch_mm)| {
        Bearing::new(elements, element_mm, pitch_mm, facts.contact_angle_deg).ok()
    });
    let orders = bearing.map(|bearing| bearing.orders());
    WaveformTemplate {
        speed_hz: own.speed_hz.or(t.machine.speed_rpm.map(|rpm| rpm / 60.0)),
        bpfo: own.bpfo.or(orders.map(|orders| orders.bpfo)),
        bpfi: own.bpfi.or(orders.map(|orders| orders.bpfi)),
        bsf: own.bsf.or(orders.map(|orders| orders.bsf)),
        ftf: own.ftf.or(orders.map(|orders| orders.ftf)),
        ..own.clone()
    }
}

/// Everything one frame needs to know of its template.
#[derive(Clone, Debug)]
pub(crate) struct FrameSettings {
    pub template: WaveformTemplate,
    pub features: Vec<FrameFeature>,
    limited: Option<FrameFeature>,
    /// Settings of a derived series, with the template's limits and without.
    with_limits: Settings,
    without_limits: Settings,
}

impl FrameSettings {
    /// `settings` are those of the signal's readings: a trend keeps their detectors and alarm rules.
    pub fn of(t: &Template, settings: &Settings) -> Self {
        let template = with_machine(t);
        let with_limits = Settings {
            physical: (f64::NEG_INFINITY, f64::INFINITY),
            resolution: None,
            prior: None,
            max_rate_per_s: None,
            frames: None,
            ..settings.clone()
        };
        Self {
            features: template.features.iter().filter_map(|name| FrameFeature::named(name)).collect(),
            limited: FrameFeature::named(&template.limits_on),
            template,
            without_limits: Settings { limits: None, ..with_limits.clone() },
            with_limits,
        }
    }

    /// The band whose envelope is taken at a sample rate.
    pub fn envelope_band(&self, rate_hz: f64) -> FrequencyBand {
        let low_hz = self.template.envelope_low_hz.unwrap_or(rate_hz / 8.0);
        FrequencyBand { low_hz, high_hz: self.template.envelope_high_hz.unwrap_or(0.45 * rate_hz) }
    }

    /// Frequencies of the shaft, the outer and the inner race, a ball's strikes (twice its spin) and the cage, where the
    /// template tells them.
    pub fn lines_hz(&self) -> [Option<f64>; 5] {
        let t = &self.template;
        let orders = [Some(1.0), t.bpfo, t.bpfi, t.bsf.map(|bsf| 2.0 * bsf), t.ftf];
        orders.map(|order| t.speed_hz.zip(order).map(|(speed_hz, order)| speed_hz * order))
    }

    /// Settings of the series of a feature.
    pub fn trend(&self, feature: FrameFeature) -> &Settings {
        if self.limited == Some(feature) { &self.with_limits } else { &self.without_limits }
    }
}
