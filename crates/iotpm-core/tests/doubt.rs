//! Readings that are to be doubted raise later than good ones, and say so; what several detectors see is told.

#[path = "common/noise.rs"]
mod noise;

use std::sync::Arc;

use iotpm_core::{
    AnomalyRevision, AnomalyState, Batch, Detector, Engine, EngineOptions, Limits, NewSignal, Output, Quality, Reading,
    SignalId, Template, Templates,
};
use noise::noise;
use proptest::prelude::*;

const SECOND: i64 = 1_000_000;
const START_US: i64 = 1_700_000_000 * SECOND;
/// Readings before anything happens.
const USUAL: i64 = 200;

fn reading(second: i64, value: f64, quality: Quality) -> Reading {
    let time_us = START_US + second * SECOND;
    Reading { signal: SignalId(0), time_us, value, quality, sequence: 0, position: 0, stream_time_us: time_us }
}

fn usual(quality: Quality) -> Vec<Reading> {
    (0..USUAL).map(|i| reading(i, 20.0 + noise(i), quality)).collect()
}

fn run(template: Template, mut readings: Vec<Reading>) -> Vec<AnomalyRevision> {
    readings.iter_mut().enumerate().for_each(|(i, reading)| reading.sequence = i as u64);
    let templates = Arc::new(Templates::new(vec![template]).expect("valid"));
    let new_signals = vec![NewSignal { id: SignalId(0), name: "s/a/x".into() }];
    let mut output = Output::default();
    let batch = Batch { new_signals, readings, ..Batch::default() };
    Engine::new(templates, EngineOptions::default()).run(&batch, &mut output).expect("known signal");
    output.anomalies
}

/// Seconds after the usual readings until something begins, if they go on with these.
fn raised_after(template: Template, rest: Vec<Reading>) -> Option<i64> {
    let from_us = START_US + USUAL * SECOND;
    let raised = run(template, usual(Quality::Good).into_iter().chain(rest).collect());
    raised.first().map(|anomaly| (anomaly.time_us - from_us) / SECOND)
}

fn departed(from: i64, value: f64, quality: Quality) -> Vec<Reading> {
    (from..from + 20).map(|i| reading(i, value + noise(i), quality)).collect()
}

fn statistics() -> Template {
    Template { detectors: Some(vec!["modified_z".into()]), ..Template::default() }
}

fn limited() -> Template {
    let limits = Limits { hi: Some(50.0), ..Limits::default() };
    Template { detectors: Some(vec!["limits".into()]), limits, ..Template::default() }
}

#[test]
fn an_uncertain_reading_raises_nothing_at_once() {
    let spike = |quality| vec![reading(USUAL, 90.0, quality), reading(USUAL + 1, 20.0, Quality::Good)];
    assert_eq!(raised_after(statistics(), spike(Quality::Good)), Some(0));
    assert_eq!(raised_after(statistics(), spike(Quality::Uncertain)), None);
    assert_eq!(raised_after(limited(), spike(Quality::Uncertain)), None, "it may not have been there at all");
}

#[test]
fn five_in_a_row_do_and_say_that_they_are_uncertain() {
    let rest = departed(USUAL, 90.0, Quality::Uncertain);
    assert_eq!(raised_after(statistics(), rest.clone()), Some(4));
    let raised = run(statistics(), usual(Quality::Good).into_iter().chain(rest).collect());
    assert_eq!(raised[0].quality, Quality::Uncertain);
}

#[test]
fn a_sensor_that_is_always_uncertain_is_slower_and_not_silent() {
    let all = usual(Quality::Uncertain).into_iter().chain(departed(USUAL, 90.0, Quality::Uncertain)).collect();
    let first = run(statistics(), all).into_iter().next().expect("an anomaly");
    assert_eq!((first.state, first.time_us), (AnomalyState::Begin, START_US + (USUAL + 4) * SECOND));
}

#[test]
fn good_readings_among_them_count_for_more() {
    let mixed = |good: &[i64]| -> Vec<Reading> {
        let quality = |i| if good.contains(&i) { Quality::Good } else { Quality::Uncertain };
        // Just above the boundary, so that none raises at once.
        (0..5).map(|i| reading(USUAL + i, 21.7, quality(i))).collect()
    };
    assert_eq!(raised_after(statistics(), mixed(&[0, 1, 2])), Some(2));
    assert_eq!(raised_after(statistics(), mixed(&[0, 1])), Some(3));
    assert_eq!(raised_after(statistics(), mixed(&[])), Some(4));
}

#[test]
fn after_a_gap_statistics_wait_and_limits_do_not() {
    let after_gap = departed(USUAL + 3600, 90.0, Quality::Good);
    assert_eq!(raised_after(statistics(), after_gap.clone()), Some(3600 + 4));
    assert_eq!(raised_after(limited(), after_gap), Some(3600 + 2), "three of five, as ever");
    let settled = (0..5).map(|i| reading(USUAL + 3600 + i, 20.0 + noise(i), Quality::Good));
    let later = settled.chain(departed(USUAL + 3605, 90.0, Quality::Good)).collect();
    assert_eq!(raised_after(statistics(), later), Some(3605), "five readings later it is believed again");
}

#[test]
fn a_late_reading_puts_its_neighbours_in_doubt() {
    let late_at = |second: i64| {
        let reading = reading(second, 20.0, Quality::Good);
        Reading { time_us: reading.time_us + 1, ..reading }
    };
    let rest = |late: Reading| std::iter::once(late).chain(departed(USUAL, 90.0, Quality::Good)).collect();
    assert_eq!(raised_after(statistics(), rest(late_at(USUAL - 5))), Some(4));
    assert_eq!(raised_after(statistics(), departed(USUAL, 90.0, Quality::Good)), Some(0));
}

#[test]
fn detectors_that_agree_are_named() {
    let template = Template { ema_span: 50, ..Template::default() };
    let raised = run(template, usual(Quality::Good).into_iter().chain(departed(USUAL, 90.0, Quality::Good)).collect());
    let (first, last) = (&raised[0], &raised[raised.len() - 1]);
    assert_eq!(first.agreeing.iter().collect::<Vec<_>>(), [Detector::ModifiedZ, Detector::EmaBaseline]);
    assert_eq!((first.quality, last.quality), (Quality::Good, Quality::Good));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Doubt delays: whatever is uncertain, nothing begins earlier than if all were good.
    #[test]
    fn doubt_never_raises_earlier(
        values in prop::collection::vec(prop::sample::select(vec![20.0, 21.7, 24.0, 90.0]), 30),
        uncertain in prop::collection::vec(any::<bool>(), 30),
    ) {
        let with = |doubt: &dyn Fn(usize) -> bool| -> Option<i64> {
            let quality = |i| if doubt(i) { Quality::Uncertain } else { Quality::Good };
            let rest = values.iter().enumerate().map(|(i, value)| reading(USUAL + i as i64, *value, quality(i)));
            raised_after(statistics(), rest.collect())
        };
        let (good, doubted) = (with(&|_| false), with(&|i| uncertain[i]));
        prop_assert!(doubted.is_none() || good <= doubted);
        prop_assert!(doubted.is_none() || good.is_some());
    }
}
