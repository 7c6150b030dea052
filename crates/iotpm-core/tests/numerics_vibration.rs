//! Condition monitoring against SciPy's values (`tests/core/golden/golden_vibration.json`, made by the script beside it),
//! and against laws that hold for any waveform.

use std::f64::consts::{PI, TAU};

use iotpm_core::{
    CoreError,
    spectrum::{Scaling, SpectrumPlanner, Window, fast_length},
    vibration::{
        self, Average, BandFeatures, ChannelAnalyser, ChannelOptions, Detrend, FrequencyBand, HighPass, Interpolation,
        PeakOptions, Welch,
    },
};
use proptest::{collection::vec, prelude::*};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    name: String,
    rate_hz: f64,
    values: Vec<f64>,
    welch: Vec<GoldenWelch>,
    amplitude: Vec<f64>,
    periodogram: Vec<f64>,
    band: [f64; 5],
    peaks: Vec<usize>,
    prominences: Vec<f64>,
    velocity_rms: f64,
    velocity_hz: (f64, f64),
    envelope: Vec<f64>,
    band_hz: (f64, f64),
    cells: Vec<[f64; 4]>,
    levels: usize,
    channel: Vec<f64>,
    channel_amplitude: Vec<f64>,
    channel_envelope: Vec<f64>,
}

#[derive(Deserialize)]
struct GoldenWelch {
    window: String,
    nperseg: usize,
    noverlap: usize,
    nfft: usize,
    detrend: String,
    scaling: String,
    average: String,
    lines: Vec<f64>,
}

impl GoldenWelch {
    fn options(&self) -> Welch {
        Welch {
            window: Window::named(&self.window).unwrap(),
            segment: self.nperseg,
            overlap: self.noverlap,
            fft_length: self.nfft,
            detrend: Detrend::named(&self.detrend).unwrap(),
            scaling: Scaling::named(&self.scaling).unwrap(),
            average: Average::named(&self.average).unwrap(),
        }
    }
}

fn golden() -> Vec<Golden> {
    let text = include_str!("../../../tests/core/golden/golden_vibration.json");
    let cases: Vec<Golden> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 4);
    cases
}

fn band((low_hz, high_hz): (f64, f64)) -> FrequencyBand {
    FrequencyBand { low_hz, high_hz }
}

/// Each within `relative` of itself, or of a millionth of the greatest: what lies below is the rounding of the greatest.
#[track_caller]
fn assert_close(got: &[f64], expected: &[f64], relative: f64, what: &str) {
    let floor = 1e-6 * expected.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let allowed = relative * expected.abs().max(floor);
        assert!((got - expected).abs() <= allowed, "{what}, {i}: {got:e}, not {expected:e}");
    }
}

fn sine(n: usize, rate_hz: f64, frequency_hz: f64, amplitude: f64, phase: f64) -> Vec<f64> {
    (0..n).map(|i| amplitude * (TAU * frequency_hz * i as f64 / rate_hz + phase).sin()).collect()
}

fn amplitudes(x: &[f64], window: Window) -> Vec<f64> {
    let mut lines = Vec::new();
    vibration::amplitude(&mut SpectrumPlanner::new(), x, window, Detrend::Constant, &mut lines).unwrap();
    lines
}

#[test]
fn spectra_are_scipys() {
    for case in golden() {
        let (mut planner, mut lines) = (SpectrumPlanner::new(), Vec::new());
        for wanted in &case.welch {
            vibration::welch(&mut planner, &case.values, case.rate_hz, &wanted.options(), &mut lines).unwrap();
            assert_close(&lines, &wanted.lines, 1e-9, &format!("{}, {}", case.name, wanted.window));
        }
        vibration::amplitude(&mut planner, &case.values, Window::Hann, Detrend::Linear, &mut lines).unwrap();
        assert_close(&lines, &case.amplitude, 1e-9, &case.name);
    }
}

#[test]
fn bands_and_peaks_are_scipys() {
    for case in golden() {
        let spacing = case.rate_hz / case.values.len() as f64;
        let found = BandFeatures::of(&case.periodogram, spacing, spacing, band(case.band_hz), 0.85).unwrap();
        let found = [found.power, found.centroid_hz, found.roll_off_hz, found.entropy, found.flatness];
        assert_close(&found, &case.band, 1e-9, &case.name);
        let options = PeakOptions { squared: true, ..PeakOptions::default() };
        let peaks = vibration::peaks(&case.periodogram, spacing, &options).unwrap();
        assert_eq!(peaks.iter().map(|peak| peak.line).collect::<Vec<_>>(), case.peaks, "{}", case.name);
        let prominences: Vec<f64> = peaks.iter().map(|peak| peak.prominence).collect();
        assert_close(&prominences, &case.prominences, 1e-12, &case.name);
    }
}

#[test]
fn velocity_and_envelope_are_scipys() {
    for case in golden() {
        let (mut planner, mut envelope) = (SpectrumPlanner::new(), Vec::new());
        let rms = vibration::velocity_rms(&mut planner, &case.values, case.rate_hz, band(case.velocity_hz)).unwrap();
        assert_close(&[rms], &[case.velocity_rms], 1e-9, &case.name);
        vibration::envelope(&mut planner, &case.values, case.rate_hz, band(case.band_hz), &mut envelope).unwrap();
        assert_close(&envelope, &case.envelope, 1e-9, &case.name);
    }
}

#[test]
fn each_cell_of_the_kurtogram_is_that_of_the_analytic_signal_at_the_full_rate() {
    for case in golden() {
        let mut planner = SpectrumPlanner::new();
        let found = vibration::kurtogram(&mut planner, &case.values, case.rate_hz, Some(case.levels)).unwrap();
        let column = |of: fn(&vibration::Cell) -> f64| found.cells.iter().map(of).collect::<Vec<_>>();
        let wanted = |i: usize| case.cells.iter().map(|cell| cell[i]).collect::<Vec<_>>();
        assert_close(&column(|cell| cell.level), &wanted(0), 1e-12, &case.name);
        assert_close(&column(|cell| cell.low_hz), &wanted(1), 1e-12, &case.name);
        assert_close(&column(|cell| cell.high_hz), &wanted(2), 1e-12, &case.name);
        let (got, wanted) = (column(|cell| cell.kurtosis + 2.0), wanted(3).iter().map(|k| k + 2.0).collect::<Vec<_>>());
        assert_close(&got, &wanted, 1e-9, &case.name);
    }
}

fn channel(x: &[f64], rate_hz: f64, velocity: (f64, f64), envelope: (f64, f64)) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let x: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let (velocity_band, envelope_band) = (band(velocity), band(envelope));
    let options = ChannelOptions { rate_hz, samples: x.len(), velocity_band, envelope_band };
    let mut analyser = ChannelAnalyser::new(&options).unwrap();
    let (mut amplitude, mut envelope) = (vec![0.0; analyser.lines()], vec![0.0; analyser.lines()]);
    let features = analyser.analyse(&x, &mut amplitude, &mut envelope).unwrap();
    let double = |x: Vec<f32>| x.into_iter().map(f64::from).collect();
    (features.to_array().to_vec(), double(amplitude), double(envelope))
}

/// Within `relative` of themselves, or of the greatest.
#[track_caller]
fn assert_near(got: &[f64], expected: &[f64], relative: f64, what: &str) {
    let greatest = expected.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
    let worst = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(got.len() == expected.len() && worst <= relative * greatest, "{what}: {worst:e} of {greatest:e}");
}

#[test]
fn a_channel_at_once_is_within_1e_4_of_scipy() {
    for case in golden() {
        let (figures, amplitude, envelope) = channel(&case.values, case.rate_hz, case.velocity_hz, case.band_hz);
        for (got, wanted) in figures.iter().zip(&case.channel) {
            assert!((got - wanted).abs() <= 1e-4 * wanted.abs().max(1e-2), "{}: {got}, not {wanted}", case.name);
        }
        assert_near(&amplitude, &case.channel_amplitude, 1e-5, &case.name);
        assert_near(&envelope, &case.channel_envelope, 1e-5, &case.name);
    }
}

#[test]
fn a_sine_between_two_lines_is_found_to_a_thousandth_of_a_line() {
    let (n, rate_hz) = (4096, 4096.0);
    for (window, interpolation, accuracy) in [
        (Window::Hann, Interpolation::Hann, 1e-3),
        (Window::Boxcar, Interpolation::Boxcar, 5e-3),
        (Window::BlackmanHarris, Interpolation::Parabola, 5e-3),
        (Window::Hann, Interpolation::Parabola, 2e-2),
    ] {
        for step in 0..=10 {
            let frequency_hz = 700.0 + f64::from(step) / 10.0;
            let lines = amplitudes(&sine(n, rate_hz, frequency_hz, 2.5, 0.3), window);
            let options = PeakOptions { interpolation, count: Some(1), ..PeakOptions::default() };
            let peak = vibration::peaks(&lines, 1.0, &options).unwrap()[0];
            assert!((peak.frequency_hz - frequency_hz).abs() < accuracy, "{window:?} {frequency_hz}: {peak:?}");
            assert!((peak.value / 2.5 - 1.0).abs() < 2.0 * accuracy, "{window:?} {frequency_hz}: {peak:?}");
        }
    }
}

#[test]
fn two_tones_a_line_apart_are_two_peaks_without_a_window_and_three_apart_with_hann() {
    let n = 1000;
    let tones = |apart: f64| -> Vec<f64> {
        sine(n, 1000.0, 100.0, 1.0, 0.0)
            .iter()
            .zip(sine(n, 1000.0, 100.0 + apart, 1.0, PI))
            .map(|(a, b)| a + b)
            .collect()
    };
    let peaks = |x: &[f64], window: Window| {
        let options = PeakOptions { prominence_min: 0.2, ..PeakOptions::default() };
        let found = vibration::peaks(&amplitudes(x, window), 1.0, &options).unwrap();
        found.iter().map(|peak| peak.line).collect::<Vec<_>>()
    };
    // A line apart the two fill two neighbouring lines to their whole height, and nothing else.
    let lines = amplitudes(&tones(1.0), Window::Boxcar);
    assert!((lines[100] - 1.0).abs() < 1e-9 && (lines[101] - 1.0).abs() < 1e-9);
    assert!(lines[99] < 1e-9 && lines[102] < 1e-9);
    assert_eq!(peaks(&tones(2.0), Window::Boxcar), [100, 102]);
    assert_eq!(peaks(&tones(3.0), Window::Hann), [100, 103]);
}

#[test]
fn velocity_of_a_sine_is_its_amplitude_over_its_angular_frequency() {
    let rate_hz = 5120.0;
    for frequency_hz in [20.3, 49.7, 333.0, 812.9] {
        let acceleration = sine(5120, rate_hz, frequency_hz, 3.0, 0.4);
        let peak = 3.0 / (TAU * frequency_hz);
        let rms = vibration::velocity_rms(&mut SpectrumPlanner::new(), &acceleration, rate_hz, FrequencyBand::ISO);
        // The block is a second long: the number of the line is the frequency.
        let excess = rms.unwrap() / (peak / 2.0_f64.sqrt()) - 1.0;
        assert!(excess > -1e-5 && excess < 0.6 / frequency_hz.powi(2) + 1e-5, "{frequency_hz} Hz: {excess:e}");
    }
}

#[test]
fn velocity_in_time_is_that_of_the_sine_but_for_the_ends() {
    let (n, rate_hz, high_pass) = (10_240, 5120.0, HighPass { cutoff_hz: 5.0, order: 4 });
    let period = 1024;
    for (frequency_hz, phase) in [(20.3, 0.0), (49.7, 0.7), (333.0, 1.6), (812.9, 3.0)] {
        let peak = 3.0 / (TAU * frequency_hz);
        let acceleration: Vec<f64> = sine(n, rate_hz, frequency_hz, 3.0, phase).iter().map(|a| a + 5.0).collect();
        let wanted = sine(n, rate_hz, frequency_hz, peak, phase - PI / 2.0);
        let mut v = Vec::new();
        vibration::velocity(&mut SpectrumPlanner::new(), &acceleration, rate_hz, high_pass, &mut v).unwrap();
        for (margin, accuracy) in [(0, 0.55), (period, 0.025), (2 * period, 0.002), (3 * period, 2e-4)] {
            let inner = margin..n - margin;
            assert_near(&v[inner.clone()], &wanted[inner], accuracy, &format!("{frequency_hz} Hz, {margin}"));
        }
    }
}

#[test]
fn envelope_of_a_modulated_carrier_is_the_modulation() {
    let (n, rate_hz) = (2000, 2000.0);
    let modulation: Vec<f64> = sine(n, rate_hz, 17.0, 0.5, 0.2).iter().map(|m| 1.0 + m).collect();
    let x: Vec<f64> = sine(n, rate_hz, 600.0, 2.0, 0.0).iter().zip(&modulation).map(|(c, m)| c * m).collect();
    let (mut planner, mut envelope, mut lines) = (SpectrumPlanner::new(), Vec::new(), Vec::new());
    vibration::envelope(&mut planner, &x, rate_hz, band((500.0, 700.0)), &mut envelope).unwrap();
    assert_near(&envelope, &modulation.iter().map(|m| 2.0 * m).collect::<Vec<_>>(), 1e-9, "envelope");
    vibration::envelope_spectrum(&mut planner, &envelope, Window::Hann, &mut lines).unwrap();
    assert!((lines[17] - 1.0).abs() < 1e-9);
}

#[test]
fn the_kurtogram_finds_the_band_in_which_impacts_ring() {
    let (n, rate_hz) = (8192, 8192.0);
    let noise = |i: usize| {
        (((i * 7919 + 13) % 10_007) as f64 / 10_007.0 - 0.5) + (((i * 104_729) % 7927) as f64 / 7927.0 - 0.5)
    };
    let ring = |i: usize| {
        let t = (i % 400) as f64 / rate_hz;
        3.0 * (-500.0 * t).exp() * (TAU * 2600.0 * t).sin()
    };
    let x: Vec<f64> = (0..n).map(|i| noise(i) + ring(i)).collect();
    let found = vibration::kurtogram(&mut SpectrumPlanner::new(), &x, rate_hz, Some(4)).unwrap();
    let best = found.best().unwrap();
    assert!(best.low_hz < 2600.0 && best.high_hz > 2600.0 && best.level > 0.0 && best.kurtosis > 1.0, "{best:?}");
}

#[test]
fn a_constant_has_no_impulsive_band_and_undefined_figures() {
    let x = [3.25; 64];
    assert!(vibration::kurtogram(&mut SpectrumPlanner::new(), &x, 1.0, None).unwrap().best().is_none());
    let (figures, amplitude, envelope) = channel(&x, 1000.0, (20.0, 400.0), (100.0, 300.0));
    assert_eq!(figures[..2], [3.25, 3.25]);
    assert!(figures[2..5].iter().all(|figure| figure.is_nan()));
    assert!(figures[5] == 0.0 && amplitude.iter().chain(&envelope).all(|line| *line == 0.0));
}

#[test]
fn what_cannot_be_computed_is_refused_by_name() {
    let (mut planner, mut out) = (SpectrumPlanner::new(), Vec::new());
    let x = [1.0, -1.0, 2.0, 0.5];
    let refused = |name: &str, result: Result<(), CoreError>| {
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(name), "{text}");
    };
    let mut welch = |options: Welch| vibration::welch(&mut planner, &x, 1.0, &options, &mut out);
    refused("segment", welch(Welch::of(5)));
    refused("overlap", welch(Welch { overlap: 4, ..Welch::of(4) }));
    refused("fft_length", welch(Welch { fft_length: 3, ..Welch::of(4) }));
    refused("fft_length", welch(Welch { fft_length: usize::MAX, ..Welch::of(4) }));
    let mut velocity = |range| vibration::velocity_rms(&mut planner, &x, 1.0, band(range)).map(drop);
    refused("low_hz", velocity((0.0, 0.5)));
    refused("low_hz", velocity((0.3, 0.3)));
    refused("low_hz", velocity((f64::NAN, 0.3)));
    refused("high_hz", velocity((0.1, 0.6)));
    refused("samples", velocity((0.1, 0.2)));
    refused("levels", vibration::kurtogram(&mut planner, &[0.0; 16], 1.0, Some(3)).map(drop));
    refused("samples", vibration::kurtogram(&mut planner, &x, 1.0, None).map(drop));
    refused("samples", vibration::envelope(&mut planner, &[], 1.0, band((0.0, 0.5)), &mut out));
    refused("order", vibration::velocity(&mut planner, &x, 1.0, HighPass { cutoff_hz: 0.1, order: 0 }, &mut out));
    refused("spacing_hz", vibration::peaks(&x, 0.0, &PeakOptions::default()).map(drop));
}

#[test]
fn the_fast_path_names_the_sample_that_is_not_finite() {
    let bands = (band((10.0, 20.0)), band((30.0, 40.0)));
    let options = ChannelOptions { rate_hz: 100.0, samples: 100, velocity_band: bands.0, envelope_band: bands.1 };
    let mut analyser = ChannelAnalyser::new(&options).unwrap();
    let (mut amplitude, mut envelope) = (vec![0.0; 51], vec![0.0; 51]);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = [0.5_f32; 100];
        x[37] = bad;
        let error = analyser.analyse(&x, &mut amplitude, &mut envelope).unwrap_err().to_string();
        assert!(error.contains("sample 37"), "{error}");
    }
    assert!(analyser.analyse(&[0.0; 99], &mut amplitude, &mut envelope).is_err());
    assert!(analyser.analyse(&[0.0; 100], &mut amplitude[1..], &mut envelope).is_err());
}

#[test]
fn fast_lengths_have_no_prime_factor_above_five() {
    let smooth = |mut n: usize| {
        for prime in [2, 3, 5] {
            while n.is_multiple_of(prime) {
                n /= prime;
            }
        }
        n == 1
    };
    let mut next = 1;
    for n in (1..=2000).rev() {
        next = if smooth(n) || n == 2000 { n } else { next };
        assert_eq!(fast_length(n), next, "{n}");
    }
}

fn waveform() -> impl Strategy<Value = Vec<f64>> {
    vec(-100.0..100.0, 32..200)
}

proptest! {
    #[test]
    fn power_in_all_lines_is_the_mean_square(x in waveform()) {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let square = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        let (mut lines, rate_hz) = (Vec::new(), 50.0);
        let options = Welch { window: Window::Boxcar, ..Welch::of(x.len()) };
        vibration::welch(&mut SpectrumPlanner::new(), &x, rate_hz, &options, &mut lines).unwrap();
        let spacing = rate_hz / x.len() as f64;
        let whole = band((0.0, rate_hz / 2.0));
        let found = BandFeatures::of(&lines, spacing, spacing, whole, 0.95).unwrap();
        prop_assert!((found.power - square).abs() <= 1e-9 * square);
    }

    #[test]
    fn a_greater_signal_has_greater_figures_and_the_same_shape(x in waveform(), exponent in -60..60) {
        let factor = 2.0_f64.powi(exponent);
        let larger: Vec<f64> = x.iter().map(|x| f64::from(*x as f32) * factor).collect();
        let of = |x: &[f64]| channel(x, 1000.0, (50.0, 400.0), (100.0, 450.0));
        let ((small, small_lines, small_envelope), (large, large_lines, large_envelope)) = (of(&x), of(&larger));
        for (i, power) in [1.0, 1.0, 0.0, 0.0, 0.0, 1.0].into_iter().enumerate() {
            // Powers of two scale every step exactly.
            prop_assert_eq!(small[i] * factor.powf(power), large[i]);
        }
        prop_assert!(small_lines.iter().zip(&large_lines).all(|(a, b)| a * factor == *b));
        prop_assert!(small_envelope.iter().zip(&large_envelope).all(|(a, b)| a * factor == *b));
    }

    #[test]
    fn an_offset_moves_nothing_but_level(x in waveform(), offset in -1000_i32..1000) {
        let moved: Vec<f64> = x.iter().map(|x| x + f64::from(offset)).collect();
        let of = |x: &[f64]| channel(x, 1000.0, (50.0, 400.0), (100.0, 450.0));
        let ((here, lines, envelope), (there, lines_there, envelope_there)) = (of(&x), of(&moved));
        for i in 3..6 {
            prop_assert!((here[i] - there[i]).abs() <= 1e-3 * here[i].abs().max(1.0), "{i}: {here:?} {there:?}");
        }
        assert_near(&lines_there, &lines, 1e-4, "amplitude");
        assert_near(&envelope_there, &envelope, 1e-4, "envelope");
    }

    #[test]
    fn turning_a_waveform_round_in_time_leaves_its_spectra(x in waveform()) {
        let turned: Vec<f64> = x.iter().rev().copied().collect();
        assert_close(&amplitudes(&turned, Window::Boxcar)[1..], &amplitudes(&x, Window::Boxcar)[1..], 1e-9, "lines");
    }

    #[test]
    fn used_and_fresh_plans_give_equal_results(x in waveform(), y in waveform()) {
        let (mut used, mut lines, mut again) = (SpectrumPlanner::new(), Vec::new(), Vec::new());
        let options = Welch { average: Average::Median, ..Welch::of(16) };
        vibration::welch(&mut used, &y, 1.0, &options, &mut lines).unwrap();
        vibration::kurtogram(&mut used, &y, 1.0, None).unwrap();
        vibration::welch(&mut used, &x, 1.0, &options, &mut lines).unwrap();
        vibration::welch(&mut SpectrumPlanner::new(), &x, 1.0, &options, &mut again).unwrap();
        prop_assert_eq!(&lines, &again);
        let mut fresh = SpectrumPlanner::new();
        let found = |planner: &mut SpectrumPlanner| format!("{:?}", vibration::kurtogram(planner, &x, 1.0, Some(2)));
        prop_assert_eq!(found(&mut used), found(&mut fresh));
    }

    #[test]
    fn every_peak_rises_by_its_prominence(lines in vec(0_u8..20, 3..60)) {
        let lines: Vec<f64> = lines.into_iter().map(f64::from).collect();
        for peak in vibration::peaks(&lines, 1.0, &PeakOptions::default()).unwrap() {
            let (at, line) = (peak.line, lines[peak.line]);
            let lowest = |side: &mut dyn Iterator<Item = f64>| side.take_while(|x| *x <= line).fold(line, f64::min);
            let before = lowest(&mut lines[..at].iter().rev().copied());
            let after = lowest(&mut lines[at + 1..].iter().copied());
            prop_assert_eq!(peak.prominence, line - before.max(after));
        }
    }
}
