//! Thresholds for a stated false-alarm budget.

use iotpm_core::calibration::{Pareto, Tail, TailOptions};
use proptest::prelude::*;

/// Numbers in (0, 1), the same on every machine.
fn uniform(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    };
    (0..n).map(|_| next()).collect()
}

fn pareto(shape: f64, scale: f64, n: usize, seed: u64) -> Vec<f64> {
    let tail = Pareto { shape, scale };
    uniform(n, seed).into_iter().map(|u| tail.exceeded_with(u)).collect()
}

fn options() -> TailOptions {
    TailOptions { run_gap: 0, ..TailOptions::default() }
}

#[test]
fn the_fit_finds_shape_and_scale() {
    for (shape, scale) in [(-0.3, 2.0), (0.0, 1.0), (0.2, 0.01), (0.6, 300.0)] {
        let found = Pareto::fit(&pareto(shape, scale, 20_000, 3)).expect("excesses");
        assert!((found.shape - shape).abs() < 0.03, "shape {} of {shape}", found.shape);
        assert!((found.scale / scale - 1.0).abs() < 0.04, "scale {} of {scale}", found.scale);
    }
}

#[test]
fn a_threshold_is_exceeded_as_often_as_the_budget_says() {
    let exponential = |seed| uniform(50_000, seed).into_iter().map(|u| -u.ln()).collect::<Vec<_>>();
    let tail = Tail::fit(&exponential(1), options()).expect("a tail");
    for rate in [1e-2, 1e-3, 1e-4] {
        let found = tail.threshold(rate, 1.0).expect("a budget");
        let exact = -f64::ln(rate);
        assert!(found.low <= exact && exact <= found.high, "{found:?}, exact {exact}");
        assert!((found.value / exact - 1.0).abs() < 0.08, "{found:?}, exact {exact}");
    }
}

/// With 200 peaks somewhat fewer intervals than their confidence of 0.9 says, as always with such fits: 336 of 400.
#[test]
fn most_intervals_hold_the_threshold() {
    let held = (0..100).filter(|seed| {
        let scores: Vec<f64> = uniform(2_000, 100 + seed).into_iter().map(|u| -u.ln()).collect();
        let found = Tail::fit(&scores, options()).expect("a tail").threshold(1e-4, 1.0).expect("a budget");
        (found.low..=found.high).contains(&-f64::ln(1e-4))
    });
    let held = held.count();
    assert!((75..=95).contains(&held), "{held} of 100");
}

#[test]
fn a_rarer_budget_gives_a_higher_threshold_and_a_wider_interval() {
    let tail = Tail::fit(&pareto(0.1, 1.0, 5_000, 5), options()).expect("a tail");
    let [often, seldom] = [10.0, 0.1].map(|alarms| tail.threshold(alarms, 5_000.0).expect("a budget"));
    assert!(seldom.value > often.value && seldom.high - seldom.low > often.high - often.low);
    assert_eq!((often.extrapolated, seldom.extrapolated), (false, true));
}

#[test]
fn a_burst_is_one_alarm() {
    let mut scores = vec![0.0; 10_000];
    for burst in 0..50 {
        for i in 0..10 {
            scores[burst * 200 + 2 * i] = 1.0 + (burst as f64) / 10.0;
        }
    }
    let tail = Tail::fit(&scores, TailOptions { tail_share: 0.2, run_gap: 5, ..TailOptions::default() });
    assert_eq!(tail.expect("50 bursts").peaks(), 50);
}

#[test]
fn an_effect_below_the_sensors_resolution_does_not_count() {
    let scores: Vec<f64> = uniform(5_000, 6).into_iter().map(|u| 20.0 + 0.01 * u).collect();
    let coarse = TailOptions { effect_min: 0.5, ..options() };
    let found = Tail::fit(&scores, coarse).expect("a tail").threshold(1.0, 1_000.0).expect("a budget");
    assert!(found.value >= 20.5, "{found:?}");
}

#[test]
fn what_cannot_be_used_is_refused_with_a_way_out() {
    let error = Tail::fit(&[1.0; 500], options()).expect_err("no peaks").to_string();
    assert!(error.contains("longer healthy period"), "{error}");
    assert!(Tail::fit(&uniform(500, 1), TailOptions { tail_share: 0.9, ..options() }).is_err());
    assert!(Tail::fit(&uniform(500, 1), TailOptions { confidence: 1.0, ..options() }).is_err());
    assert!(Tail::fit(&uniform(500, 1), TailOptions { effect_min: -1.0, ..options() }).is_err());
    assert!(Pareto::fit(&[f64::NAN; 20]).is_err() && Pareto::fit(&[1.0; 3]).is_err());
    let tail = Tail::fit(&uniform(500, 1), options()).expect("a tail");
    assert!(tail.threshold(0.0, 10.0).is_err() && tail.threshold(1.0, f64::NAN).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Thresholds move with offset and unit of the scores; what a threshold costs is the budget it was made for.
    #[test]
    fn thresholds_follow_offset_and_unit(seed in 1_u64..1_000, offset in -100.0..100.0_f64, unit in 0.01..100.0_f64) {
        let scores = pareto(0.1, 1.0, 2_000, seed);
        let moved: Vec<f64> = scores.iter().map(|x| offset + unit * x).collect();
        let (tail, other) = (Tail::fit(&scores, options()).unwrap(), Tail::fit(&moved, options()).unwrap());
        let (found, expected) = (other.threshold(1.0, 3_000.0).unwrap(), tail.threshold(1.0, 3_000.0).unwrap());
        prop_assert!((found.value - (offset + unit * expected.value)).abs() < 1e-4 * unit * expected.value);
        prop_assert!((tail.expected_alarms(expected.value, 3_000.0) - 1.0).abs() < 1e-6);
    }
}
