//! The vibration features of one frame.

use super::{FrameSettings, SampleScale, VibrationFeatures};
use crate::{
    Waveform,
    features::time::{central_moments, sums},
    spectrum::{Scaling, SpectrumPlanner, Window},
    vibration::{BandFeatures, FrequencyBand, WaveformFeatures, envelope, envelope_spectrum, velocity_rms},
};

/// A line may lie this share of its frequency away: bearings slip by a percent or two (Randall and Antoni 2011, section 3).
const SLIP: f64 = 0.02;

/// Periods of the envelope's band that the ends of a block disturb.
const END_PERIODS: f64 = 4.0;

/// Millimetres a second in a metre a second.
const MM_PER_M: f64 = 1e3;

/// Plans and buffers that frames share and no result depends on.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    planner: SpectrumPlanner,
    envelope: Vec<f64>,
    lines: Vec<f64>,
}

impl Analysis {
    /// Features of a frame whose samples are `x`, finite.
    pub fn of_frame(&mut self, x: &[f64], frame: &Waveform, settings: &FrameSettings) -> VibrationFeatures {
        let time = WaveformFeatures::of(x);
        let seconds = x.len() as f64 / frame.rate_hz;
        let velocity_rms = self.velocity_rms_mm_s(x, frame);
        let bands = self.bands(x, frame.rate_hz, settings);
        let [rms, peak, kurtosis] = self.envelope(x, frame.rate_hz, settings);
        let [shaft, bpfo, bpfi, bsf, ftf] = self.shaft_lines(frame.rate_hz, settings);
        let values = [
            time.peak,
            time.shape_factor,
            time.impulse_factor,
            time.clearance_factor,
            time.zero_crossings / seconds,
            time.mobility,
            time.complexity,
            velocity_rms,
            rms,
            peak,
            kurtosis,
            shaft,
            bpfo,
            bpfi,
            bsf,
            ftf,
        ];
        VibrationFeatures { values: values.map(|value| if value.is_finite() { value } else { f64::NAN }), bands }
    }

    /// Undefined without a unit of acceleration or velocity, or where rate and length do not reach the band.
    fn velocity_rms_mm_s(&mut self, x: &[f64], frame: &Waveform) -> f64 {
        match frame.scale {
            SampleScale::Acceleration(to_m_s2) => velocity_rms(&mut self.planner, x, frame.rate_hz, FrequencyBand::ISO)
                .map_or(f64::NAN, |velocity| velocity * to_m_s2 * MM_PER_M),
            SampleScale::Velocity(to_m_s) => {
                let spectrum = self.spectrum(x, frame.rate_hz);
                self.band_rms(spectrum, frame.rate_hz, FrequencyBand::ISO) * to_m_s * MM_PER_M
            }
            SampleScale::Unknown | SampleScale::Displacement(_) => f64::NAN,
        }
    }

    fn bands(&mut self, x: &[f64], rate_hz: f64, settings: &FrameSettings) -> Vec<f64> {
        let bands = &settings.template.bands_hz;
        if bands.is_empty() {
            return Vec::new();
        }
        let spacing_hz = self.spectrum(x, rate_hz);
        let rms = |&(low_hz, high_hz)| self.band_rms(spacing_hz, rate_hz, FrequencyBand { low_hz, high_hz });
        bands.iter().map(rms).collect()
    }

    /// Power density of the samples into `lines`; their spacing, 0 if there is none.
    fn spectrum(&mut self, x: &[f64], rate_hz: f64) -> f64 {
        match self.planner.psd(x, rate_hz, Window::Hann, Scaling::Density, &mut self.lines) {
            Ok(()) => rate_hz / x.len() as f64,
            Err(_) => 0.0,
        }
    }

    /// Root mean square within a band of the density in `lines`; undefined where the rate does not reach.
    fn band_rms(&self, spacing_hz: f64, rate_hz: f64, band: FrequencyBand) -> f64 {
        if spacing_hz <= 0.0 || band.high_hz > rate_hz / 2.0 {
            return f64::NAN;
        }
        BandFeatures::of(&self.lines, spacing_hz, spacing_hz, band, 1.0).map_or(f64::NAN, |band| band.rms())
    }

    /// Root mean square, peak and excess kurtosis of the envelope of the configured band; leaves the envelope's spectrum
    /// in `lines`, none if there is no envelope.
    fn envelope(&mut self, x: &[f64], rate_hz: f64, settings: &FrameSettings) -> [f64; 3] {
        let band = settings.envelope_band(rate_hz);
        let taken = envelope(&mut self.planner, x, rate_hz, band, &mut self.envelope);
        let spectrum =
            taken.and_then(|()| envelope_spectrum(&mut self.planner, &self.envelope, Window::Hann, &mut self.lines));
        if spectrum.is_err() {
            self.lines.clear();
            return [f64::NAN; 3];
        }
        let inner = undisturbed(&self.envelope, rate_hz, band);
        let sums = sums(inner);
        [sums.rms(), sums.max, central_moments(inner, sums.mean()).kurtosis()]
    }

    /// Amplitudes of the envelope's spectrum in `lines` at the speed of the shaft and the bearing's frequencies.
    fn shaft_lines(&self, rate_hz: f64, settings: &FrameSettings) -> [f64; 5] {
        settings.lines_hz().map(|line_hz| line_hz.map_or(f64::NAN, |line_hz| self.amplitude(line_hz, rate_hz)))
    }

    /// The greatest line within the slip of a frequency; undefined below the third line and beyond the last.
    fn amplitude(&self, frequency_hz: f64, rate_hz: f64) -> f64 {
        let spacing_hz = rate_hz / self.envelope.len() as f64;
        let (low, high) = (frequency_hz * (1.0 - SLIP) / spacing_hz, frequency_hz * (1.0 + SLIP) / spacing_hz);
        let (first, last) = (low.round() as usize, high.round() as usize);
        match self.lines.get(first..=last) {
            Some(lines) if first > 2 => lines.iter().copied().fold(0.0, f64::max),
            _ => f64::NAN,
        }
    }
}

/// An envelope without the periods of the band's width at either end that the ends of the block disturb.
fn undisturbed(envelope: &[f64], rate_hz: f64, band: FrequencyBand) -> &[f64] {
    let ends = (END_PERIODS * rate_hz / (band.high_hz - band.low_hz)).ceil() as usize;
    envelope.get(ends..envelope.len().saturating_sub(ends)).filter(|inner| !inner.is_empty()).unwrap_or(envelope)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;
    use crate::{NO_STREAM_TIME, SignalId, Template, WaveformTemplate, settings::Settings};

    const RATE_HZ: f64 = 10_000.0;

    fn features(template: WaveformTemplate, scale: SampleScale, sample: impl Fn(f64) -> f64) -> VibrationFeatures {
        let settings = Settings::of(&Template { waveform: template, ..Template::default() });
        let x: Vec<f64> = (0..10_000).map(|i| sample(f64::from(i) / RATE_HZ)).collect();
        let frame = Waveform {
            signal: SignalId(0),
            start_us: 0,
            rate_hz: RATE_HZ,
            samples: x.iter().map(|x| *x as f32).collect(),
            scale,
            sequence: 1,
            position: 0,
            stream_time_us: NO_STREAM_TIME,
        };
        Analysis::default().of_frame(&x, &frame, settings.frames.as_deref().unwrap())
    }

    fn of(features: &VibrationFeatures, name: &str) -> f64 {
        features.get(name).unwrap()
    }

    #[test]
    fn a_sine_of_acceleration_has_its_velocity_and_its_band() {
        let template = || WaveformTemplate { bands_hz: vec![(50.0, 150.0), (200.0, 300.0)], ..Default::default() };
        let sine = |t: f64| 10.0 * (TAU * 100.0 * t).sin();
        let found = features(template(), SampleScale::Acceleration(1.0), sine);
        let wanted = 10.0 / (TAU * 100.0) / 2f64.sqrt() * 1e3;
        assert!((of(&found, "velocity_rms") / wanted - 1.0).abs() < 1e-3, "{}", of(&found, "velocity_rms"));
        assert!((found.bands[0] / 50f64.sqrt() - 1.0).abs() < 1e-9 && found.bands[1] < 1e-6, "{:?}", found.bands);
        assert!((of(&found, "zero_crossing_rate") - 200.0).abs() <= 1.0);
        assert!((of(&found, "peak") - 10.0).abs() < 1e-9);
        let of_velocity = features(template(), SampleScale::Velocity(1e-3), sine);
        assert!((of(&of_velocity, "velocity_rms") / 50f64.sqrt() - 1.0).abs() < 1e-9);
        assert!(of(&features(template(), SampleScale::Unknown, sine), "velocity_rms").is_nan());
    }

    #[test]
    fn a_modulated_resonance_has_its_line() {
        let template =
            WaveformTemplate { speed_hz: Some(25.0), bpfo: Some(3.6), bpfi: Some(5.4), ..Default::default() };
        let modulated = |t: f64| (1.0 + 0.5 * (TAU * 90.0 * 1.005 * t).cos()) * (TAU * 3000.0 * t).sin();
        let found = features(template, SampleScale::Unknown, modulated);
        assert!((of(&found, "bpfo") / 0.5 - 1.0).abs() < 0.2, "{}", of(&found, "bpfo"));
        assert!(of(&found, "bpfi") < 0.01 && of(&found, "shaft") < 0.01);
        assert!(
            of(&found, "ftf").is_nan() && of(&found, "bsf").is_nan(),
            "the cage's and the ball's are not configured"
        );
        assert!((of(&found, "envelope_peak") - 1.5).abs() < 0.05);
    }
}
