//! Detectors that a template adds to the set `basic`, in the engine: same scores, anomalies, snapshots.

use std::sync::Arc;

use iotpm_core::{
    Batch, Detector, Engine, EngineOptions, NewSignal, Output, Quality, Reading, SignalId, Template, Templates,
    detect::{SeriesScorer, WARM_UP_READINGS},
};

const START_US: i64 = 1_700_000_000_000_000;

fn noise(i: usize) -> f64 {
    let mixed = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let bits = (mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

fn templates(detectors: &[&str]) -> Arc<Templates> {
    let detectors = Some(detectors.iter().map(|name| (*name).to_owned()).collect());
    Arc::new(Templates::new(vec![Template { detectors, ..Template::default() }]).expect("valid"))
}

fn engine(detectors: &[&str]) -> Engine {
    Engine::new(templates(detectors), EngineOptions { emit_scores: true })
}

/// Readings a second apart, of one signal that is new with the first one.
fn batch(first: usize, values: &[f64]) -> Batch {
    let time_us = |i: usize| START_US + (first + i) as i64 * 1_000_000;
    let reading = |(i, value): (usize, &f64)| Reading {
        signal: SignalId(0),
        time_us: time_us(i),
        value: *value,
        quality: Quality::Good,
        sequence: (first + i) as u64,
        position: 0,
        stream_time_us: time_us(i),
    };
    let new_signals = if first == 0 { vec![NewSignal { id: SignalId(0), name: "s/a/x".into() }] } else { Vec::new() };
    Batch { new_signals, readings: values.iter().enumerate().map(reading).collect(), ..Batch::default() }
}

fn run(engine: &mut Engine, first: usize, values: &[f64]) -> Output {
    let mut output = Output::default();
    engine.run(&batch(first, values), &mut output).expect("known signal");
    output
}

/// Two levels in turn, with a third between them from reading 2000 on: within all limits and never far from usual.
fn values() -> Vec<f64> {
    (0..2200).map(|i| if i >= 2000 { 5.0 } else { f64::from(u8::from(i % 2 == 0)) * 10.0 } + 0.1 * noise(i)).collect()
}

#[test]
fn the_engine_gives_the_scores_of_the_series() {
    let names = ["novelty", "resonance"];
    let output = run(&mut engine(&names), 0, &values());
    let mut scorer = SeriesScorer::new(&names, WARM_UP_READINGS, &Arc::default()).expect("known names");
    let scored = output.scores.iter().zip(values());
    assert!(scored.clone().count() == 2200);
    for (row, value) in scored {
        assert_eq!(row.score.to_bits(), scorer.update(row.time_us, value).to_bits());
    }
}

#[test]
fn a_value_between_the_usual_ones_is_an_anomaly_only_with_the_set_default() {
    let basic = run(&mut engine(&["basic"]), 0, &values());
    assert!(basic.anomalies.is_empty(), "{:?}", basic.anomalies);
    let default = run(&mut engine(&["default"]), 0, &values());
    let first = default.anomalies.first().expect("an anomaly");
    assert_eq!((first.detector, first.detector.name()), (Detector::Novelty, "novelty"));
    assert_eq!(first.start_us, START_US + 2_000_000_000);
}

#[test]
fn a_restored_engine_goes_on_to_the_bit_and_other_detectors_begin_anew() {
    let all = values();
    let mut whole = engine(&["default"]);
    run(&mut whole, 0, &all[..1900]);
    let snapshots = whole.snapshot(0).expect("a state");
    let expected = run(&mut whole, 1900, &all[1900..]);
    let restore = |names: &[&str]| {
        let mut restored = engine(names);
        restored.restore(snapshots.clone()).expect("its state");
        run(&mut restored, 1900, &all[1900..])
    };
    let same = restore(&["default"]);
    let scores = |output: &Output| -> Vec<u64> { output.scores.iter().map(|row| row.score.to_bits()).collect() };
    let anomalies =
        |output: &Output| -> Vec<_> { output.anomalies.iter().map(|a| (a.id, a.revision, a.time_us)).collect() };
    assert_eq!((scores(&same), anomalies(&same)), (scores(&expected), anomalies(&expected)));
    assert!(!expected.anomalies.is_empty());
    assert!(restore(&["novelty"]).scores.iter().all(|row| row.score == 0.0));
}
