//! The 17 features and the spectrum against SciPy's values (`tests/core/golden_features.json`), and against laws that
//! hold for any window.

use std::{collections::HashMap, f64::consts::TAU};

use iotpm_core::{
    features::{FeatureScratch, WindowFeatures, sampling_rate_hz, time},
    spectrum::{PLANS_MAX, Scaling, SpectrumPlanner, Window, frequencies, psd},
};
use proptest::{collection::vec, prelude::*};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Golden {
    name: String,
    rate_hz: Option<f64>,
    #[serde(deserialize_with = "exact")]
    values: Vec<f64>,
    #[serde(deserialize_with = "exact")]
    features: Vec<f64>,
    #[serde(default)]
    spectra: HashMap<String, Vec<f64>>,
}

/// Numbers to their last bit, which `serde_json` gives only with its feature `float_roundtrip`; null is NaN.
fn exact<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let texts = Vec::<Box<RawValue>>::deserialize(deserializer)?;
    texts.iter().map(|text| text.get().replace("null", "NaN").parse().map_err(D::Error::custom)).collect()
}

fn golden() -> Vec<Golden> {
    let cases: Vec<Golden> = serde_json::from_str(include_str!("../../../tests/core/golden_features.json")).unwrap();
    assert!(cases.len() > 20);
    cases
}

fn compute(values: &[f64], rate_hz: Option<f64>) -> WindowFeatures {
    WindowFeatures::compute(values, rate_hz, &mut FeatureScratch::new())
}

/// Equal to `relative` of the greater, or of `scale` where the value itself is a difference of such.
fn close(a: f64, b: f64, scale: f64, relative: f64) -> bool {
    (a.is_nan() && b.is_nan()) || (a - b).abs() <= relative * a.abs().max(b.abs()).max(scale)
}

/// Magnitude of what each feature is a difference of: only these may differ by more than their own last digits.
fn scales(values: &[f64]) -> [f64; 17] {
    let greatest = values.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let mut scales = [0.0; 17];
    for feature in [0, 1, 5, 16] {
        scales[feature] = greatest * 1e-6; // mean near 0, spread near 0: 1e-15 of the values
    }
    (scales[6], scales[7]) = (1.0, 1.0); // both are 0 for a normal distribution
    scales
}

fn assert_features(name: &str, values: &[f64], got: &WindowFeatures, expected: &[f64], relative: f64) {
    let scales = scales(values);
    for (i, feature) in WindowFeatures::NAMES.iter().enumerate() {
        let (a, b) = (got.0[i], expected[i]);
        assert!(close(a, b, scales[i], relative), "{name}: {feature} = {a:e}, expected {b:e}");
    }
}

#[test]
fn features_equal_scipy() {
    for case in golden() {
        assert_features(&case.name, &case.values, &compute(&case.values, case.rate_hz), &case.features, 1e-9);
    }
}

#[test]
fn order_statistics_equal_numpy_bit_for_bit() {
    for case in golden() {
        let features = compute(&case.values, case.rate_hz);
        for i in [2, 3, 5, 13, 14, 15, 16] {
            assert_eq!(features.0[i], case.features[i], "{}: {}", case.name, WindowFeatures::NAMES[i]);
        }
    }
}

#[test]
fn spectra_equal_scipy() {
    let kinds = [("boxcar", Window::Boxcar), ("hann", Window::Hann)];
    let scalings = [("density", Scaling::Density), ("spectrum", Scaling::Spectrum)];
    let mut compared = 0;
    for case in golden().iter().filter(|case| !case.spectra.is_empty()) {
        for ((window_name, window), (scaling_name, scaling)) in
            kinds.iter().flat_map(|kind| scalings.iter().map(move |scaling| (kind, scaling)))
        {
            let got = psd(&case.values, case.rate_hz.unwrap(), *window, *scaling).unwrap();
            let expected = &case.spectra[&format!("{window_name} {scaling_name}")];
            assert_eq!(got.len(), expected.len());
            // A line that is 0 but for rounding is the square of about 1e-16 of the greatest amplitude, or of the
            // offset.
            let offset = case.values.iter().fold(0.0f64, |m, x| m.max(x.abs())).powi(2) * 1e-18;
            let scale = expected.iter().fold(0.0f64, |m, &x| m.max(x)) * 1e-6 + offset;
            for (k, (a, b)) in got.iter().zip(expected).enumerate() {
                assert!(close(*a, *b, scale, 1e-9), "{} {window_name} {scaling_name} line {k}: {a:e} {b:e}", case.name);
            }
            compared += 1;
        }
    }
    assert!(compared >= 40);
}

#[test]
fn names_are_those_of_the_table() {
    let contract = include_str!("../../../docs/interfaces.md");
    let listed: Vec<&str> = contract
        .lines()
        .skip_while(|line| !line.starts_with("`mean std "))
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(listed.join(" ").trim_matches('`'), WindowFeatures::NAMES.join(" "));
    let features = WindowFeatures(std::array::from_fn(|i| i as f64));
    assert_eq!((features.mean(), features.crest_factor(), features.iqr()), (0.0, 8.0, 16.0));
}

/// Multiples of 1/1024 in ±1: any offset up to 1e9 leaves them exact.
fn dyadic() -> impl Strategy<Value = f64> {
    (-1024..1024i32).prop_map(|k| f64::from(k) / 1024.0)
}

proptest! {
    #[test]
    fn an_offset_of_a_billion_costs_nothing(values in vec(dyadic(), 16..400)) {
        let plain = compute(&values, Some(10.0));
        let moved: Vec<f64> = values.iter().map(|x| x + 1e9).collect();
        let moved = compute(&moved, Some(10.0));
        for i in [1, 5, 6, 7, 9, 10, 11, 12, 16] {
            let scale = if matches!(i, 6 | 7) { 1.0 } else { 1e-6 };
            prop_assert!(
                close(plain.0[i], moved.0[i], scale, 1e-9),
                "{}: {:e} {:e}", WindowFeatures::NAMES[i], plain.0[i], moved.0[i]
            );
        }
    }

    #[test]
    fn moments_about_any_point_become_central(values in vec(-10.0..10.0f64, 2..100), about in -3.0..3.0f64) {
        let mean = time::sums(&values).mean();
        let (near, far) = (time::central_moments(&values, mean), time::central_moments(&values, mean + about));
        for (a, b) in [
            (near.mean, far.mean), (near.second, far.second), (near.third, far.third), (near.fourth, far.fourth),
        ] {
            prop_assert!(close(a, b, 1e3, 1e-12), "{} {}", a, b);
        }
    }

    #[test]
    fn features_follow_a_scale(values in vec(-10.0..10.0f64, 16..300), k in 0.01..100.0f64) {
        prop_assume!(compute(&values, None).std() > 0.1);
        let (plain, scaled) = (compute(&values, Some(5.0)), values.iter().map(|x| k * x).collect::<Vec<_>>());
        let scaled = compute(&scaled, Some(5.0));
        let expected: [f64; 17] = std::array::from_fn(|i| match i {
            6 | 7 | 8 | 9 | 11 | 12 => plain.0[i],
            _ => k * plain.0[i],
        });
        assert_features("scaled", &values.iter().map(|x| k * x).collect::<Vec<_>>(), &scaled, &expected, 1e-9);
    }

    #[test]
    fn used_scratch_changes_nothing(windows in vec(vec(-10.0..10.0f64, 0..90), 1..20)) {
        let mut used = FeatureScratch::new();
        for values in windows.iter().chain(windows.iter().rev()) {
            let (a, b) = (WindowFeatures::compute(values, Some(1.0), &mut used), compute(values, Some(1.0)));
            prop_assert_eq!(a.0.map(f64::to_bits), b.0.map(f64::to_bits));
        }
    }

    #[test]
    fn any_numbers_are_safe(values in vec(proptest::num::f64::ANY, 0..200), rate in proptest::num::f64::ANY) {
        let features = compute(&values, Some(rate));
        prop_assert!(features.0.iter().all(|x| x.is_finite() || x.is_nan()));
    }

    #[test]
    fn quartiles_equal_a_sort(
        values in prop_oneof![
            vec(-10.0..10.0f64, 1..700),
            vec((-3..3i8).prop_map(f64::from), 1..700),
            vec(prop_oneof![9 => -1.0..1.0f64, 1 => -1e300..1e300f64], 1..700),
            vec(proptest::num::f64::POSITIVE | proptest::num::f64::NEGATIVE | proptest::num::f64::SUBNORMAL, 1..50),
        ]
    ) {
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let features = compute(&values, None);
        for (q, got) in [(0.25, features.q25()), (0.5, features.median()), (0.75, features.q75())] {
            let position = q * (sorted.len() - 1) as f64;
            let (a, b) = (sorted[position as usize], sorted[position.ceil() as usize]);
            let t = position.fract();
            let expected = if t >= 0.5 { b - (b - a) * (1.0 - t) } else { a + (b - a) * t };
            prop_assert!(got == expected || (got.is_nan() && !expected.is_finite()), "{} {}", got, expected);
        }
    }

    #[test]
    fn power_is_conserved(values in vec(-10.0..10.0f64, 2..300), rate_hz in 0.1..1e5f64) {
        let density = psd(&values, rate_hz, Window::Boxcar, Scaling::Density).unwrap();
        let power = density.iter().sum::<f64>() * rate_hz / values.len() as f64;
        let variance = compute(&values, None).std().powi(2);
        prop_assert!(close(power, variance, 1e-9, 1e-9), "Parseval: {} {}", power, variance);
    }

    #[test]
    fn a_sine_on_a_line_is_found(n in 32..600usize, line in 1..300usize, amplitude in 0.01..1e3f64, phase in 0.0..TAU) {
        let line = 1 + line % ((n - 1) / 2 - 1);
        let rate_hz = 50.0;
        let values: Vec<f64> =
            (0..n).map(|i| 7.0 + amplitude * (TAU * (line * i % n) as f64 / n as f64 + phase).sin()).collect();
        let features = compute(&values, Some(rate_hz));
        let frequency_hz = line as f64 * rate_hz / n as f64;
        prop_assert!(close(features.dominant_frequency(), frequency_hz, 0.0, 1e-12));
        prop_assert!(close(features.dominant_amplitude(), amplitude, 0.0, 1e-9));
        prop_assert!(close(features.spectral_centroid(), frequency_hz, 0.0, 1e-9));
        prop_assert!(features.spectral_entropy() >= 0.0 && features.spectral_entropy() < 1e-9);
        prop_assert!(close(features.std(), amplitude / 2f64.sqrt(), 0.0, 1e-9));
        let hann = psd(&values, rate_hz, Window::Hann, Scaling::Spectrum).unwrap();
        if line > 1 && line + 1 < n / 2 {
            prop_assert!(close(hann[line], amplitude * amplitude / 2.0, 0.0, 1e-9));
        }
    }

    #[test]
    fn the_rate_is_that_of_even_readings(
        n in 16..200usize,
        interval_us in 1_000..10_000_000i64,
        start in -1i64 << 50..1i64 << 50,
    ) {
        let times: Vec<i64> = (0..n as i64).map(|i| start + i * interval_us).collect();
        prop_assert_eq!(sampling_rate_hz(&times), Some(1e6 / interval_us as f64));
        prop_assert_eq!(sampling_rate_hz(&times[..15]), None);
    }
}

#[test]
fn the_flattest_spectrum_has_entropy_one() {
    let mut values = vec![0.0; 65];
    values[11] = 1.0;
    let features = compute(&values, Some(65.0));
    assert!(close(features.spectral_entropy(), 1.0, 0.0, 1e-12), "{}", features.spectral_entropy());
    assert!(close(features.spectral_centroid(), 16.5, 0.0, 1e-12));
}

#[test]
fn the_nyquist_line_has_its_own_amplitude() {
    let values: Vec<f64> = (0..64).map(|i| if i % 2 == 0 { 3.5 } else { -2.5 }).collect();
    let features = compute(&values, Some(64.0));
    assert_eq!(features.dominant_frequency(), 32.0);
    assert!(close(features.dominant_amplitude(), 3.0, 0.0, 1e-12));
}

#[test]
fn undefined_features_are_nan() {
    let undefined = |features: &WindowFeatures| -> Vec<&str> {
        (0..17).filter(|&i| features.0[i].is_nan()).map(|i| WindowFeatures::NAMES[i]).collect()
    };
    let spectral = ["dominant_frequency", "dominant_amplitude", "spectral_entropy", "spectral_centroid"];
    let ramp: Vec<f64> = (0..40).map(f64::from).collect();
    assert!(undefined(&compute(&ramp, Some(1.0))).is_empty());
    assert_eq!(undefined(&compute(&ramp, None)), spectral);
    assert_eq!(undefined(&compute(&ramp[..15], Some(1.0))), spectral);
    assert_eq!(undefined(&compute(&ramp, Some(0.0))), spectral);
    assert_eq!(undefined(&compute(&ramp, Some(f64::NAN))), spectral);
    let constant = [&["skewness", "kurtosis", "crest_factor"][..], &spectral].concat();
    for value in [0.0, 0.1, -1e9] {
        assert_eq!(undefined(&compute(&[value; 300], Some(1.0))), constant);
    }
    assert_eq!(undefined(&compute(&[], Some(1.0))).len(), 17);
}

#[test]
fn uneven_readings_have_no_rate() {
    let uneven = |jitter_us: i64| -> Vec<i64> { (0..101).map(|i| i * 1000 + (i % 2) * jitter_us).collect() };
    // Intervals alternate between 1000 + j and 1000 - j: their standard deviation is j.
    assert_eq!(sampling_rate_hz(&uneven(10)), Some(1000.0));
    assert_eq!(sampling_rate_hz(&uneven(11)), None);
    assert_eq!(sampling_rate_hz(&[5; 20]), None);
    assert_eq!(sampling_rate_hz(&[]), None);
    let mut missing = uneven(0);
    missing.remove(50);
    assert_eq!(sampling_rate_hz(&missing), None, "one gap of two intervals in a hundred is a jitter of 10 %");
    let mut extremes = vec![i64::MIN; 10];
    extremes.extend([i64::MAX; 10]);
    assert_eq!(sampling_rate_hz(&extremes), None);
}

#[test]
fn plans_are_bounded_and_results_do_not_depend_on_them() {
    let values: Vec<f64> = (0..400).map(|i| f64::from(i * i % 89)).collect();
    let (mut planner, mut lines) = (SpectrumPlanner::new(), Vec::new());
    for n in (2..400).chain((2..400).rev()) {
        planner.psd(&values[..n], 8.0, Window::Hann, Scaling::Density, &mut lines).unwrap();
        assert_eq!(lines, psd(&values[..n], 8.0, Window::Hann, Scaling::Density).unwrap(), "n = {n}");
        assert!(planner.planned() <= PLANS_MAX);
    }
    assert_eq!(planner.planned(), PLANS_MAX);
}

#[test]
fn a_spectrum_of_nothing_is_refused() {
    for (x, rate_hz) in [(&[][..], 1.0), (&[1.0, 2.0], 0.0), (&[1.0, 2.0], -1.0), (&[1.0, 2.0], f64::NAN)] {
        let error = psd(x, rate_hz, Window::Boxcar, Scaling::Density).unwrap_err().to_string();
        assert!(error.contains("must be"), "{error}");
    }
}

#[test]
fn lines_lie_at_multiples_of_the_resolution() {
    assert_eq!(frequencies(4, 8.0).collect::<Vec<_>>(), [0.0, 2.0, 4.0]);
    assert_eq!(frequencies(5, 10.0).collect::<Vec<_>>(), [0.0, 2.0, 4.0]);
    assert_eq!(psd(&[3.0], 1.0, Window::Hann, Scaling::Spectrum).unwrap(), [0.0]);
}
