//! Assets as a specification: what their signals explain together is no anomaly, what they do not is one, named.

use std::sync::Arc;

use iotpm_core::{
    AnomalyRevision, AnomalyState, Barrier, BarrierKind, Batch, Detector, Engine, EngineOptions, Example, Label,
    Labels, Limits, Maturity, NewSignal, Output, Quality, Reading, SignalId, Statement, Template, Templates,
};
use proptest::prelude::*;

const SECOND: i64 = 1_000_000;
const START: i64 = 1_700_000_000 * SECOND;
const SIGNALS: [&str; 5] = ["s/pump/load", "s/pump/current", "s/pump/flow", "s/fan/speed", "s/fan/noise"];
/// Seconds that a model is learned from, at most a quarter more.
const LEARNING: i64 = 2_000;
const LEARNED: i64 = LEARNING + LEARNING / 4;

fn template() -> Template {
    Template { asset_learning_s: LEARNING as f64, ..Template::default() }
}

fn engine(template: &Template) -> Engine {
    let templates = Templates::new(vec![template.clone()]).expect("a valid template");
    Engine::new(Arc::new(templates), EngineOptions { emit_scores: true })
}

fn noise(signal: u32, second: i64) -> f64 {
    let mut x = (second as u64 * 8 + u64::from(signal)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^= x >> 32;
    (x >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
}

/// A load that changes from level to level within 20 s and swings; what hangs on it follows at once.
fn healthy(signal: u32, second: i64) -> f64 {
    let level_of = |step: i64| 50.0 + 8.0 * (step * 7 % 5) as f64;
    let moved = ((second % 400) as f64 / 20.0).min(1.0);
    let level = level_of(second / 400) + moved * (level_of(second / 400 + 1) - level_of(second / 400));
    let load = level + 5.0 * (second as f64 / 40.0).sin() + noise(9, second);
    let of_load = [load, 2.0 * load + 10.0, 0.5 * load, 20.0 * load, 60.0 + 0.2 * load];
    of_load[signal as usize] + [0.2, 0.4, 0.1, 4.0, 0.1][signal as usize] * noise(signal, second)
}

/// Flow sinks by a tenth of the usual from one second to another.
fn leaking(from: i64, to: i64) -> impl Fn(u32, i64) -> f64 {
    move |signal, second| {
        let lost = if signal == 2 && (from..to).contains(&second) { 4.0 } else { 0.0 };
        healthy(signal, second) - lost
    }
}

/// One message a second with a reading of every signal.
fn readings(seconds: std::ops::Range<i64>, value: impl Fn(u32, i64) -> f64) -> Vec<Reading> {
    let of = |second: i64| {
        let value = &value;
        (0..SIGNALS.len() as u32).map(move |signal| Reading {
            signal: SignalId(signal),
            time_us: START + second * SECOND,
            value: value(signal, second),
            quality: Quality::Good,
            sequence: second as u64 + 1,
            position: signal,
            stream_time_us: START + second * SECOND,
        })
    };
    seconds.flat_map(of).collect()
}

fn register(engine: &mut Engine, output: &mut Output) {
    let new = |(id, name): (u32, &&str)| NewSignal { id: SignalId(id), name: (*name).into() };
    let batch = Batch { new_signals: (0..).zip(&SIGNALS).map(new).collect(), ..Batch::default() };
    engine.run(&batch, output).expect("registration");
}

fn run(template: &Template, readings: Vec<Reading>) -> Output {
    let (mut engine, mut output) = (engine(template), Output::default());
    register(&mut engine, &mut output);
    engine.run(&Batch { readings, ..Batch::default() }, &mut output).expect("known signals");
    output
}

fn begins(output: &Output, from: i64) -> Vec<&AnomalyRevision> {
    let after = |r: &&AnomalyRevision| r.time_us >= START + from * SECOND;
    output.anomalies.iter().filter(|r| r.state == AnomalyState::Begin).filter(after).collect()
}

#[test]
fn what_the_other_signals_explain_is_no_anomaly_once_the_asset_is_known() {
    let output = run(&template(), readings(0..8_000, healthy));
    assert!(begins(&output, 0).len() > begins(&output, LEARNED).len(), "changes of load alarm before");
    assert_eq!(begins(&output, LEARNED).len(), 0);
    let basic = Template { detectors: Some(vec!["basic".into()]), ..template() };
    assert!(begins(&run(&basic, readings(0..8_000, healthy)), LEARNED).len() > 10, "and without a model for ever");
}

/// A load that stays at one level for ten times as long as the first model saw.
fn slow(signal: u32, second: i64) -> f64 {
    healthy(signal, if second < 1_200 { second % 400 } else { 800 + second % 400 })
}

#[test]
fn while_an_asset_is_learned_its_signals_are_judged_together_by_what_is_known_so_far() {
    let output = run(&template(), readings(0..LEARNED, slow));
    let after: Vec<_> = begins(&output, 600).iter().map(|r| (r.detector, r.maturity)).collect();
    assert!(after.iter().all(|told| *told == (Detector::AssetModel, Maturity::Learning)), "{after:?}");
    let basic = Template { detectors: Some(vec!["basic".into()]), ..template() };
    assert!(after.len() < begins(&run(&basic, readings(0..LEARNED, slow)), 600).len());
    let open: Vec<_> = output.anomalies.iter().filter(|r| r.time_us >= START + 600 * SECOND).collect();
    let ended = |state| open.iter().filter(|r| r.state == state).count();
    assert_eq!(ended(AnomalyState::Begin), ended(AnomalyState::End), "what the next model knows ends");
}

#[test]
fn what_they_do_not_explain_is_one_anomaly_with_contributors() {
    let output = run(&template(), readings(0..5_000, leaking(4_000, 4_300)));
    let found = begins(&output, LEARNED);
    assert_eq!(found.len(), 1, "{found:?}");
    let first = found[0];
    assert_eq!((first.signal, first.detector, first.direction), (SignalId(2), Detector::AssetModel, -1));
    assert!((START + 4_000 * SECOND..START + 4_030 * SECOND).contains(&first.time_us), "{}", first.time_us);
    let flow = first.contributions[0];
    assert_eq!((flow.signal, flow.direction), (SignalId(2), -1));
    assert!(flow.share > 0.5 && flow.actual < flow.expected, "{flow:?}");
    assert!(first.contributions.windows(2).all(|pair| pair[0].share >= pair[1].share));
    let ends: Vec<_> = output.anomalies.iter().filter(|r| r.id == first.id && r.end_us.is_some()).collect();
    assert!(ends.len() == 1 && ends[0].contributions.len() == first.contributions.len());
}

#[test]
fn rules_speak_for_themselves() {
    let limits = Limits { hi: Some(100.0), ..Limits::default() };
    let spiking =
        |signal, second| if signal == 0 && (6_000..6_005).contains(&second) { 500.0 } else { healthy(signal, second) };
    let output = run(&Template { limits, ..template() }, readings(0..6_010, spiking));
    let named: Vec<_> = begins(&output, 5_900).iter().map(|r| (r.signal, r.detector)).collect();
    assert!(named.contains(&(SignalId(0), Detector::Limits)), "{named:?}");
}

#[test]
fn scores_of_single_signals_go_on() {
    let output = run(&template(), readings(0..6_000, leaking(5_000, 5_300)));
    let statistical = |row: &&iotpm_core::ScoreRow| row.detector == Some(Detector::ModifiedZ) && row.score > 1.0;
    assert!(output.scores.iter().filter(statistical).any(|row| row.time_us > START + LEARNED * SECOND));
}

/// Noise of the fan jumps; before, it sends nothing until a time.
fn fan_noise_from(from: i64) -> Output {
    let value =
        |signal, second| if signal == 4 && second >= 6_500 { 90.0 + noise(4, second) } else { healthy(signal, second) };
    let known = |r: &Reading| r.signal != SignalId(4) || r.sequence > from as u64;
    run(&template(), readings(0..6_600, value).into_iter().filter(known).collect())
}

#[test]
fn a_signal_that_appears_while_others_are_learned_is_learned_with_them() {
    let output = fan_noise_from(1_000);
    let told: Vec<_> = begins(&output, 6_500).iter().map(|r| (r.signal, r.detector)).collect();
    assert_eq!(told, [(SignalId(4), Detector::AssetModel)]);
}

#[test]
fn a_signal_without_others_speaks_for_itself() {
    let alone = |r: &Reading| r.signal == SignalId(4);
    let value = |_, second| if second >= 6_500 { 90.0 + noise(4, second) } else { 60.0 + noise(4, second) };
    let output = run(&template(), readings(0..6_600, value).into_iter().filter(alone).collect());
    let told: Vec<_> = begins(&output, 6_500).iter().map(|r| (r.signal, r.detector)).collect();
    assert_eq!(told, [(SignalId(4), Detector::ModifiedZ)]);
}

#[test]
fn readings_that_may_not_be_used_change_nothing() {
    let mut with_bad = readings(0..4_500, leaking(4_000, 4_300));
    let bad: Vec<_> =
        with_bad.iter().map(|r| Reading { value: 1e9, quality: Quality::Bad, time_us: r.time_us + 1, ..*r }).collect();
    with_bad.extend(bad);
    with_bad.sort_by_key(|r| (r.sequence, r.time_us));
    let asset = |output: &Output| -> Vec<_> {
        let told = output.anomalies.iter().filter(|r| r.detector == Detector::AssetModel);
        told.map(|r| (r.id, r.revision, r.peak_score)).collect()
    };
    let (plain, mixed) = (run(&template(), readings(0..4_500, leaking(4_000, 4_300))), run(&template(), with_bad));
    assert!(!asset(&plain).is_empty());
    assert_eq!(asset(&plain), asset(&mixed));
}

fn ordered(mut output: Output) -> Vec<String> {
    let key = |r: &AnomalyRevision| (r.sequence, r.position, r.signal, r.detector, r.start_us, r.revision);
    output.anomalies.sort_by_key(key);
    output.anomalies.iter().map(|r| format!("{r:?}")).collect()
}

/// Runs the readings cut at places, each piece in an engine restored from the one before.
fn run_cut(readings: &[Reading], mut cuts: Vec<usize>, configure_at: Option<usize>) -> Vec<String> {
    cuts.extend([0, readings.len()]);
    cuts.sort_unstable();
    let (mut engine, mut output) = (engine(&template()), Output::default());
    register(&mut engine, &mut output);
    let mut current = template();
    for pair in cuts.windows(2) {
        let mut batch = Batch { readings: readings[pair[0]..pair[1]].to_vec(), ..Batch::default() };
        if let Some(at) = configure_at.filter(|at| (pair[0]..pair[1]).contains(at)) {
            current = Template { asset_false_alarm_rate: 1e-3, begin_count: 2, ..template() };
            let (kind, sequence) = (BarrierKind::Configure(templates(&current)), readings[at].sequence);
            batch.barriers.push(Barrier { before: at - pair[0], sequence, position: 0, kind });
        }
        engine.run(&batch, &mut output).expect("known signals");
        let stored = engine.snapshot(0).expect("encodes");
        engine = Engine::new(templates(&current), EngineOptions { emit_scores: true });
        engine.restore(stored).expect("decodes");
    }
    ordered(output)
}

fn templates(template: &Template) -> Arc<Templates> {
    Arc::new(Templates::new(vec![template.clone()]).expect("valid"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn neither_cuts_nor_snapshots_matter(cuts in prop::collection::vec(0..18_300_usize, 0..6), configure in prop::option::of(0..18_300_usize)) {
        // A signal that appears when a provisional model is in force.
        let known = |r: &Reading| r.signal != SignalId(4) || r.sequence > 700;
        let all: Vec<_> = readings(0..3_800, leaking(3_300, 3_500)).into_iter().filter(known).collect();
        let whole = run_cut(&all, vec![], configure);
        prop_assert!(whole.iter().any(|row| row.contains("AssetModel")));
        prop_assert_eq!(run_cut(&all, cuts, configure), whole);
    }
}

/// The same leak twice; labels act from the beginning.
fn leaking_twice(labels: &Labels) -> Output {
    let template = template();
    let (mut engine, mut output) = (engine(&template), Output::default());
    register(&mut engine, &mut output);
    let kind = BarrierKind::Feedback(Arc::new(labels.clone()));
    let barriers = vec![Barrier { before: 0, sequence: 1, position: 0, kind }];
    let (first, second) = (leaking(LEARNED + 600, LEARNED + 630), leaking(LEARNED + 1_400, LEARNED + 1_430));
    let lost = |signal, at| first(signal, at) + second(signal, at) - healthy(signal, at);
    let readings = readings(0..LEARNED + 2_000, lost);
    engine.run(&Batch { readings, barriers, ..Batch::default() }, &mut output).expect("known signals");
    output
}

fn label(statement: Statement) -> Labels {
    let mut labels = Labels::default();
    labels.add(Label { id: "one".into(), statement }).expect("room");
    labels
}

#[test]
fn a_label_on_an_assets_anomaly_mutes_its_repeats_and_maintenance_is_of_the_whole_asset() {
    let plain = leaking_twice(&Labels::default());
    let ended = |output: &Output| -> Vec<AnomalyRevision> {
        let learned = |a: &&AnomalyRevision| a.state == AnomalyState::End && a.start_us > START + LEARNED * SECOND;
        output.anomalies.iter().filter(learned).cloned().collect()
    };
    let all = ended(&plain);
    assert!(all.len() == 2 && all.iter().all(|a| a.detector == Detector::AssetModel));
    let told = leaking_twice(&label(Statement::False(Example {
        signal: SIGNALS[2].into(),
        detector: Detector::AssetModel,
        feature: None,
        kind: all[0].kind,
        direction: all[0].direction,
        peak_score: all[0].peak_score,
        duration_us: all[0].end_us.unwrap_or_default() - all[0].start_us,
    })));
    assert_eq!((ended(&told).len(), told.counters.muted), (0, 2));
    let (from_us, to_us) = (START + (LEARNED + 590) * SECOND, START + (LEARNED + 650) * SECOND);
    let worked = leaking_twice(&label(Statement::Maintenance { name: "s/pump".into(), from_us, to_us }));
    let left: Vec<i64> = ended(&worked).iter().map(|a| a.start_us).collect();
    assert_eq!((left, worked.counters.maintenance), (vec![all[1].start_us], 3 * 60));
}
