//! What a template says is usual for its class: it scores a signal's first readings and fades as its own come in.

use std::sync::Arc;

use iotpm_core::{
    Batch, Detector, Engine, EngineOptions, Maturity, NewSignal, Output, Quality, Reading, ScoreRow, SignalId,
    Template, Templates, Usual,
};
use proptest::prelude::*;

const START_US: i64 = 1_700_000_000_000_000;
/// Readings of the rolling window, after which the signal's own statistics speak alone.
const WINDOW: usize = 100;

fn noise(i: usize) -> f64 {
    let mixed = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let bits = (mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11;
    bits as f64 / (1u64 << 53) as f64 - 0.5
}

/// Temperatures of motors: 60, give or take 4.
fn motors() -> Usual {
    Usual { median: Some(60.0), deviation: Some(4.0) }
}

fn run(usual: Usual, values: &[f64]) -> Output {
    let detectors = Some(vec!["modified_z".into()]);
    let template = Template { usual, detectors, modified_z_window: WINDOW, ..Template::default() };
    let templates = Arc::new(Templates::new(vec![template]).expect("valid"));
    let reading = |(i, value): (usize, &f64)| Reading {
        signal: SignalId(0),
        time_us: START_US + i as i64 * 1_000_000,
        value: *value,
        quality: Quality::Good,
        sequence: i as u64,
        position: 0,
        stream_time_us: START_US + i as i64 * 1_000_000,
    };
    let batch = Batch {
        new_signals: vec![NewSignal { id: SignalId(0), name: "s/a/x".into() }],
        readings: values.iter().enumerate().map(reading).collect(),
        ..Batch::default()
    };
    let mut output = Output::default();
    Engine::new(templates, EngineOptions { emit_scores: true }).run(&batch, &mut output).expect("known signal");
    output
}

fn scores(usual: Usual, values: &[f64]) -> Vec<ScoreRow> {
    run(usual, values).scores
}

#[test]
fn the_first_reading_has_the_classs_score_and_says_so() {
    let row = scores(motors(), &[74.0])[0];
    // 14 / 4 deviations over the boundary of 3.5, which the few readings widen by 8 %.
    assert!((row.score - 1.0 / 1.08).abs() < 1e-12, "{}", row.score);
    assert_eq!((row.expected, row.maturity, row.detector), (60.0, Maturity::Prior, Some(Detector::ModifiedZ)));
    let cold = scores(Usual::default(), &[74.0])[0];
    assert_eq!((cold.score, cold.maturity), (0.0, Maturity::Cold));
}

#[test]
fn a_machine_that_is_wrong_from_the_start_is_told_at_once() {
    let hot: Vec<f64> = (0..30).map(|i| 85.0 + noise(i)).collect();
    let anomaly = run(motors(), &hot).anomalies.into_iter().next().expect("an anomaly");
    assert_eq!((anomaly.start_us, anomaly.maturity), (START_US, Maturity::Prior));
    assert_eq!((anomaly.expected.round(), anomaly.direction), (60.0, 1));
    assert!(run(Usual::default(), &hot).anomalies.is_empty());
}

#[test]
fn a_machine_that_is_somewhat_unlike_its_class_is_not() {
    let values: Vec<f64> = (0..400).map(|i| 68.0 + noise(i)).collect();
    assert!(run(motors(), &values).anomalies.is_empty());
}

#[test]
fn maturity_grows_from_the_class_over_learning() {
    let rows = scores(motors(), &(0..300).map(|i| 60.0 + noise(i)).collect::<Vec<_>>());
    let at = |i: usize| rows[i].maturity;
    assert_eq!(
        [at(0), at(15), at(16), at(WINDOW - 1)],
        [Maturity::Prior, Maturity::Prior, Maturity::Learning, Maturity::Learning]
    );
    assert_eq!(at(WINDOW), Maturity::Mature);
    assert!(Maturity::Cold < Maturity::Prior && Maturity::Prior < Maturity::Learning);
}

#[test]
fn the_class_fades() {
    let values: Vec<f64> = (0..WINDOW).map(|i| 66.0 + noise(i)).chain([66.0]).collect();
    let rows = scores(motors(), &values);
    let expected: Vec<f64> = rows[..WINDOW].iter().map(|row| row.expected).collect();
    assert!(expected.windows(20).all(|some| some[19] > some[0]), "towards its own level");
    assert!((expected[50] - 63.0).abs() < 0.3, "half way in half a window");
}

#[test]
fn half_a_class_is_refused_with_the_key() {
    let refused = |usual: Usual| {
        let templates = Templates::new(vec![Template { usual, ..Template::default() }]);
        templates.expect_err("must be refused").to_string()
    };
    assert!(refused(Usual { median: Some(1.0), deviation: None }).contains("usual.median"));
    assert!(refused(Usual { median: None, deviation: Some(1.0) }).contains("usual.median"));
    assert!(refused(Usual { median: Some(f64::NAN), deviation: Some(1.0) }).contains("usual.median"));
    assert!(refused(Usual { median: Some(1.0), deviation: Some(0.0) }).contains("usual.deviation"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// After a window the scores are those of a signal that never had a class, to the bit.
    #[test]
    fn nothing_is_left_of_it_after_a_window(
        values in prop::collection::vec(-100.0f64..100.0, WINDOW + 1..300),
        median in -1e3f64..1e3,
        deviation in 1e-3f64..1e3,
    ) {
        let bits = |rows: Vec<ScoreRow>| -> Vec<[u64; 2]> {
            rows[WINDOW..].iter().map(|row| [row.score.to_bits(), row.expected.to_bits()]).collect()
        };
        let with = scores(Usual { median: Some(median), deviation: Some(deviation) }, &values);
        prop_assert_eq!(bits(with), bits(scores(Usual::default(), &values)));
    }

    /// Unit and offset do not matter, if the class is told in the same unit.
    #[test]
    fn a_class_is_as_good_in_any_unit(
        values in prop::collection::vec(0.0f64..64.0, 1..150),
        power in -6i32..6,
        offset in -64i32..64,
    ) {
        let scale = f64::from(power).exp2();
        let convert = |x: f64| (x + f64::from(offset)) * scale;
        let usual = |median: f64, deviation: f64| Usual { median: Some(median), deviation: Some(deviation) };
        let plain = scores(usual(30.0, 8.0), &values);
        let converted: Vec<f64> = values.iter().map(|x| convert(*x)).collect();
        for (a, b) in plain.iter().zip(scores(usual(convert(30.0), 8.0 * scale), &converted)) {
            prop_assert!((a.score - b.score).abs() <= 1e-6 * a.score.max(1.0), "{} {}", a.score, b.score);
        }
    }
}
