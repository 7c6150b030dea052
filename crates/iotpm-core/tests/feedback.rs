//! What operators say of anomalies: repeats of a false one are muted, a true one is told, a withdrawn label leaves no trace.

#[path = "common/noise.rs"]
mod noise;

use std::{collections::BTreeMap, sync::Arc};

use iotpm_core::{
    AnomalyKind, AnomalyRevision, AnomalyState, Barrier, BarrierKind, Batch, Detector, Engine, EngineOptions, Example,
    LABELS_OF_ONE_MAX, Label, LabelRefused, Labels, Limits, NewSignal, Output, Quality, Reading, SignalId, Statement,
    Template, Templates,
};
use noise::noise;
use proptest::prelude::*;

const SECOND: i64 = 1_000_000;
const START: i64 = 1_700_000_000 * SECOND;
const NAME: &str = "site/pump/flow";
/// Readings before the first excursion, and between two.
const QUIET: usize = 200;

/// A reading a second around 20, with steps of (height, readings) in between.
fn series(excursions: &[(f64, usize)]) -> Vec<f64> {
    let mut heights = vec![0.0; 2 * QUIET];
    for (height, readings) in excursions {
        heights.extend(std::iter::repeat_n(*height, *readings));
        heights.extend(std::iter::repeat_n(0.0, QUIET));
    }
    (0..).zip(heights).map(|(i, height)| 20.0 + noise(i) + height).collect()
}

fn template() -> Template {
    Template {
        detectors: Some(vec!["modified_z".into(), "limits".into()]),
        begin_count: 2,
        begin_of: 4,
        end_count: 5,
        repeat_s: Some(0.0),
        ..Template::default()
    }
}

struct Plant {
    engine: Engine,
    output: Output,
    sequence: u64,
}

impl Plant {
    fn new(template: Template) -> Self {
        let templates = Templates::new(vec![template]).expect("a valid template");
        let mut engine = Engine::new(Arc::new(templates), EngineOptions { emit_scores: true });
        let mut output = Output::default();
        let new_signals = vec![NewSignal { id: SignalId(0), name: NAME.into() }];
        engine.run(&Batch { new_signals, ..Batch::default() }, &mut output).expect("registration");
        Self { engine, output, sequence: 0 }
    }

    fn barrier(&mut self, kind: BarrierKind) {
        self.sequence += 1;
        let barrier = Barrier { before: 0, sequence: self.sequence, position: 0, kind };
        let batch = Batch { barriers: vec![barrier], ..Batch::default() };
        self.engine.run(&batch, &mut self.output).expect("known signals");
    }

    fn label(&mut self, labels: &Labels) {
        self.barrier(BarrierKind::Feedback(Arc::new(labels.clone())));
    }

    fn read(&mut self, from: usize, values: &[f64]) {
        for (at, value) in (from..).zip(values) {
            self.sequence += 1;
            let time_us = START + at as i64 * SECOND;
            let reading = Reading {
                signal: SignalId(0),
                time_us,
                value: *value,
                quality: Quality::Good,
                sequence: self.sequence,
                position: 0,
                stream_time_us: time_us,
            };
            let batch = Batch { readings: vec![reading], ..Batch::default() };
            self.engine.run(&batch, &mut self.output).expect("known signals");
        }
    }

    fn told(&self) -> usize {
        self.output.anomalies.iter().filter(|a| a.state == AnomalyState::Begin).count()
    }
}

fn run(values: &[f64], labels: &Labels) -> Plant {
    let mut plant = Plant::new(template());
    plant.label(labels);
    plant.read(0, values);
    plant
}

/// The last revision of every anomaly, by its start.
fn anomalies(output: &Output) -> Vec<AnomalyRevision> {
    let mut latest = BTreeMap::new();
    for revision in &output.anomalies {
        latest.insert((revision.start_us, revision.id), revision.clone());
    }
    latest.into_values().collect()
}

fn example(anomaly: &AnomalyRevision) -> Example {
    Example {
        signal: NAME.into(),
        detector: anomaly.detector,
        feature: anomaly.feature,
        kind: anomaly.kind,
        direction: anomaly.direction,
        peak_score: anomaly.peak_score,
        duration_us: anomaly.end_us.unwrap_or(anomaly.time_us) - anomaly.start_us,
    }
}

fn labels(statements: impl IntoIterator<Item = Statement>) -> Labels {
    let mut labels = Labels::default();
    for (number, statement) in statements.into_iter().enumerate() {
        labels.add(Label { id: number.to_string().into(), statement }).expect("room for a label");
    }
    labels
}

#[test]
fn a_repeat_of_a_false_one_is_muted_and_counted_and_anything_worse_is_told() {
    let values = series(&[(6.0, 8), (6.0, 8), (12.0, 8), (6.0, 30), (-6.0, 8)]);
    let before = run(&values, &Labels::default());
    let all = anomalies(&before.output);
    assert_eq!((all.len(), before.output.counters.muted), (5, 0));

    let plant = run(&values, &labels([Statement::False(example(&all[0]))]));
    let told = anomalies(&plant.output);
    let ids = |list: &[AnomalyRevision]| list.iter().map(|a| (a.id, a.start_us, a.end_us)).collect::<Vec<_>>();
    // The greater, the longer and the one on the other side keep number, beginning and end.
    assert_eq!(ids(&told), ids(&all[2..]));
    assert_eq!(plant.output.counters.muted, 2);
    let scores = |output: &Output| output.scores.iter().map(|row| row.score).collect::<Vec<_>>();
    assert_eq!(scores(&plant.output), scores(&before.output));
}

#[test]
fn a_muted_anomaly_begins_once_it_outgrows_the_label() {
    let values = series(&[(6.0, 8), (6.0, 30)]);
    let all = anomalies(&run(&values, &Labels::default()).output);
    let plant = run(&values, &labels([Statement::False(example(&all[0]))]));
    let begin = plant.output.anomalies.iter().find(|a| a.state == AnomalyState::Begin).expect("one is told");
    assert_eq!((begin.id, begin.start_us, begin.revision), (all[1].id, all[1].start_us, 0));
    assert!(begin.time_us - begin.start_us > 8 * SECOND, "told at once");
    assert_eq!(plant.output.counters.anomalies, 1);
}

#[test]
fn a_configured_limit_is_told_whatever_was_labelled() {
    let values = series(&[(6.0, 8), (6.0, 8)]);
    let all = anomalies(&run(&values, &Labels::default()).output);
    let mut plant = Plant::new(Template { limits: Limits { hi: Some(25.0), ..Limits::default() }, ..template() });
    plant.label(&labels([Statement::False(example(&all[0]))]));
    plant.read(0, &values);
    assert_eq!((plant.told(), plant.output.counters.muted), (2, 0));
}

#[test]
fn a_label_on_a_limit_never_mutes_the_critical_one() {
    let limits = Limits { hi: Some(25.0), hi_hi: Some(30.0), ..Limits::default() };
    let only_limits = Template { limits, detectors: Some(vec!["limits".into()]), ..template() };
    let values = series(&[(9.0, 8), (9.0, 8), (11.0, 8)]);
    let mut plant = Plant::new(only_limits);
    plant.label(&labels([Statement::False(Example {
        signal: NAME.into(),
        detector: Detector::Limits,
        feature: None,
        kind: AnomalyKind::Limit,
        direction: 0,
        peak_score: 1.95,
        duration_us: 8 * SECOND,
    })]));
    plant.read(0, &values);
    let peaks: Vec<f64> = anomalies(&plant.output).iter().map(|a| a.peak_score).collect();
    assert!(peaks.len() == 1 && peaks[0] >= 2.0, "{peaks:?}");
    assert_eq!(plant.output.counters.muted, 2);
}

#[test]
fn under_maintenance_nothing_is_judged_and_nothing_learned() {
    let values = series(&[(50.0, 40)]);
    let span = Statement::Maintenance {
        name: "site/pump".into(),
        from_us: START + 2 * QUIET as i64 * SECOND,
        to_us: START + (2 * QUIET as i64 + 40) * SECOND,
    };
    let plant = run(&values, &labels([span]));
    assert_eq!((plant.told(), plant.output.counters.maintenance), (0, 40));
    assert_eq!(plant.output.readings.len(), values.len());

    // What follows is judged as if those readings had not come.
    let mut without = Plant::new(template());
    without.label(&Labels::default());
    without.read(0, &values[..2 * QUIET]);
    without.sequence += 40;
    without.read(2 * QUIET + 40, &values[2 * QUIET + 40..]);
    assert_eq!(format!("{:?}", plant.output.scores), format!("{:?}", without.output.scores));
}

#[test]
fn silence_is_told_only_once_maintenance_is_over() {
    let end = START + 2 * QUIET as i64 * SECOND;
    let hour = 3600 * SECOND;
    let mut plant = Plant::new(template());
    plant.label(&labels([
        Statement::Maintenance { name: NAME.into(), from_us: end, to_us: end + hour },
        Statement::Maintenance { name: "site/pump".into(), from_us: end + hour / 2, to_us: end + 2 * hour },
        Statement::Maintenance { name: "site/other".into(), from_us: end, to_us: end + 9 * hour },
    ]));
    plant.read(0, &series(&[]));
    let tick = |plant: &mut Plant, after_us: i64| {
        plant.barrier(BarrierKind::Tick { stream_time_us: end + after_us });
        plant.told()
    };
    assert_eq!([hour / 2, hour + 1, 2 * hour, 2 * hour + 1].map(|after_us| tick(&mut plant, after_us)), [0, 0, 0, 1]);
}

#[test]
fn labels_are_bounded_and_their_numbers_are_unique() {
    let span = |name: &str| Statement::Maintenance { name: name.into(), from_us: 0, to_us: 1 };
    let mut all = labels((0..LABELS_OF_ONE_MAX).map(|_| span("site/pump")));
    let refused = all.add(Label { id: "more".into(), statement: span("site/pump") }).unwrap_err();
    assert_eq!(refused, LabelRefused::TooMany { name: "site/pump".into(), max: LABELS_OF_ONE_MAX });
    let known = all.add(Label { id: "7".into(), statement: span("site/fan") }).unwrap_err();
    assert_eq!(known, LabelRefused::Known { id: "7".into() });
    assert_eq!(all.withdraw("7").expect("in force").statement, span("site/pump"));
    assert_eq!(all.withdraw("7").unwrap_err(), LabelRefused::Unknown { id: "7".into() });
    all.add(Label { id: "7".into(), statement: span("site/pump") }).expect("room again");
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Nothing,
    False,
    True,
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![1 => Just(Said::Nothing), 2 => Just(Said::False), 1 => Just(Said::True)]
}

fn excursion() -> impl Strategy<Value = (f64, usize)> {
    (prop_oneof![4f64..16.0, -16f64..-4.0], 1usize..40)
}

fn of_said(all: &[AnomalyRevision], said: &[Said]) -> Labels {
    labels(all.iter().zip(said).filter_map(|(anomaly, said)| match said {
        Said::Nothing => None,
        Said::False => Some(Statement::False(example(anomaly))),
        Said::True => Some(Statement::True(example(anomaly))),
    }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever else was labelled false, an anomaly labelled true is told again, the same to its end; and every other
    /// one is told as it was, or muted and counted.
    #[test]
    fn what_was_labelled_true_is_never_missed(
        excursions in prop::collection::vec(excursion(), 1..10), said in prop::collection::vec(said(), 12)
    ) {
        let values = series(&excursions);
        let all = anomalies(&run(&values, &Labels::default()).output);
        let plant = run(&values, &of_said(&all, &said));
        let told = anomalies(&plant.output);
        for anomaly in all.iter().zip(&said).filter(|(_, said)| matches!(said, Said::True)).map(|(a, _)| a) {
            prop_assert!(told.iter().any(|one| one.id == anomaly.id), "missed {anomaly:?}");
        }
        let figures = |a: &AnomalyRevision| (a.id, a.start_us, a.end_us, a.peak_us, a.peak_score.to_bits(), a.direction);
        let known: Vec<_> = all.iter().map(figures).collect();
        prop_assert!(told.iter().all(|one| known.contains(&figures(one))));
        prop_assert_eq!(told.len() as u64 + plant.output.counters.muted, all.len() as u64);
        let false_ones = said.iter().zip(&all).filter(|(said, _)| matches!(said, Said::False)).count() as u64;
        prop_assert!(plant.output.counters.muted == 0 || false_ones > 0);
    }

    /// Labels that are withdrawn leave no trace in anything that begins later.
    #[test]
    fn withdrawing_restores_the_boundary(
        excursions in prop::collection::vec(excursion(), 2..8), said in prop::collection::vec(said(), 12),
        after in 0usize..8
    ) {
        let values = series(&excursions);
        let plain = run(&values, &Labels::default());
        let all = anomalies(&plain.output);
        let mut in_force = of_said(&all, &said);
        let mut plant = Plant::new(template());
        plant.label(&in_force);
        // In the quiet behind some of the excursions, so that none is open.
        let passed = excursions.iter().take(after).map(|(_, readings)| readings + QUIET);
        let at = 2 * QUIET + passed.sum::<usize>() - QUIET / 2;
        plant.read(0, &values[..at]);
        for number in 0..said.len() {
            // Those of which nothing was said have no label.
            let _ = in_force.withdraw(&number.to_string());
        }
        prop_assert!(in_force.is_empty());
        plant.barrier(BarrierKind::Feedback(Arc::new(in_force)));
        plant.sequence -= 1;
        plant.read(at, &values[at..]);
        let later = |output: &Output| {
            let rows = output.anomalies.iter().filter(|a| a.start_us >= START + at as i64 * SECOND).cloned();
            format!("{:?}", rows.collect::<Vec<_>>())
        };
        prop_assert_eq!(later(&plant.output), later(&plain.output));
    }
}
