//! The engine as a specification: time rules, windows, anomalies, and results that do not depend on how messages are cut.

#[path = "common/noise.rs"]
mod noise;
#[path = "common/sorted.rs"]
mod sorted;

use std::sync::Arc;

use iotpm_core::{
    AnomalyKind, AnomalyState, Barrier, BarrierKind, Batch, CoreError, Detector, Engine, EngineOptions, NewSignal,
    Output, Quality, Reading, SampleScale, SignalId, Template, Templates, Waveform,
};
use noise::noise;
use proptest::prelude::*;
use sorted::sorted;

const SECOND: i64 = 1_000_000;
const START: i64 = 1_700_000_000 * SECOND;

/// Feeds one message at a time.
struct Plant {
    engine: Engine,
    output: Output,
    sequence: u64,
}

impl Plant {
    fn new(template: Template, signals: u32) -> Self {
        let templates = Arc::new(Templates::new(vec![template]).expect("a valid template"));
        let mut engine = Engine::new(templates, EngineOptions { emit_scores: true });
        let new_signals = (0..signals).map(new_signal).collect();
        let mut output = Output::default();
        engine.run(&Batch { new_signals, ..Batch::default() }, &mut output).expect("registration");
        Self { engine, output, sequence: 0 }
    }

    fn run(&mut self, batch: &Batch) {
        self.engine.run(batch, &mut self.output).expect("known signals");
    }

    fn read(&mut self, time_us: i64, value: f64) {
        self.read_at(time_us, value, time_us);
    }

    fn read_at(&mut self, time_us: i64, value: f64, stream_time_us: i64) {
        self.sequence += 1;
        let reading = reading(0, time_us, value, self.sequence, stream_time_us);
        self.run(&Batch { readings: vec![reading], ..Batch::default() });
    }

    fn barrier(&mut self, kind: BarrierKind) {
        self.sequence += 1;
        let barrier = Barrier { before: 0, sequence: self.sequence, position: 0, kind };
        self.run(&Batch { barriers: vec![barrier], ..Batch::default() });
    }

    fn kinds(&self) -> Vec<(AnomalyState, AnomalyKind)> {
        self.output.anomalies.iter().map(|a| (a.state, a.kind)).collect()
    }
}

fn new_signal(id: u32) -> NewSignal {
    NewSignal { id: SignalId(id), name: format!("site/asset{}/signal{id}", id / 3).into() }
}

fn reading(signal: u32, time_us: i64, value: f64, sequence: u64, stream_time_us: i64) -> Reading {
    Reading { signal: SignalId(signal), time_us, value, quality: Quality::Good, sequence, position: 0, stream_time_us }
}

fn warmed(template: Template, readings: i64) -> Plant {
    let mut plant = Plant::new(template, 1);
    (0..readings).for_each(|i| plant.read(START + i * SECOND, 20.0 + noise(i)));
    plant
}

#[test]
fn windows_are_what_the_formula_gives() {
    let plant = warmed(Template { window_s: Some(30.0), hop_s: Some(10.0), ..Template::default() }, 301);
    let windows = &plant.output.windows;
    let phase = windows[0].start_us.rem_euclid(10 * SECOND);
    assert_eq!(phase % SECOND, 0);
    let first = START + (phase - START.rem_euclid(10 * SECOND)).rem_euclid(10 * SECOND);
    let expected: Vec<i64> =
        (0..30).map(|k| first + k * 10 * SECOND).filter(|s| s + 30 * SECOND <= START + 300 * SECOND).collect();
    assert_eq!(windows.iter().map(|w| w.start_us).collect::<Vec<_>>(), expected);
    assert!(windows.iter().all(|w| w.count == 30 && w.end_us == w.start_us + 30 * SECOND && w.truncated == 0));
}

#[test]
fn default_windows_follow_the_typical_interval() {
    let mut plant = Plant::new(Template::default(), 1);
    (0..200).for_each(|i| plant.read(START + i * 5 * SECOND, noise(i)));
    let window = &plant.output.windows[0];
    assert_eq!(window.end_us - window.start_us, 162 * SECOND);
    assert_eq!(window.start_us % SECOND, 0);
    assert!((32..=33).contains(&window.count));
}

#[test]
fn a_duplicate_is_counted_and_the_first_wins() {
    let mut plant = Plant::new(Template::default(), 1);
    plant.read(START, 1.0);
    plant.read(START, 2.0);
    assert_eq!(plant.output.readings.len(), 1);
    assert_eq!((plant.output.counters.duplicates, plant.output.readings[0].value), (1, 1.0));
}

#[test]
fn a_late_reading_is_kept_apart_and_never_scored() {
    let mut plant = Plant::new(Template::default(), 1);
    plant.read(START + SECOND, 1.0);
    plant.read(START, 99.0);
    assert_eq!((plant.output.late.len(), plant.output.scores.len()), (1, 1));
    assert_eq!(plant.output.late[0].watermark_us, START + SECOND);
}

#[test]
fn within_the_lateness_readings_are_scored_in_event_time_order() {
    let mut plant = Plant::new(Template { lateness_s: 5.0, ..Template::default() }, 1);
    [3, 1, 2, 9].iter().for_each(|s| plant.read(START + s * SECOND, *s as f64));
    let scored: Vec<i64> = plant.output.scores.iter().map(|s| (s.time_us - START) / SECOND).collect();
    assert_eq!(scored, [1, 2, 3]);
    assert_eq!(plant.output.readings.len(), 4);
}

#[test]
fn a_reading_from_the_future_is_refused_and_moves_nothing() {
    let mut plant = Plant::new(Template::default(), 1);
    plant.read_at(START, 1.0, START);
    plant.read_at(START + 365 * 86_400 * SECOND, 2.0, START + SECOND);
    plant.read_at(START + SECOND, 3.0, START + SECOND);
    assert_eq!((plant.output.rejected.len(), plant.output.readings.len(), plant.output.late.len()), (1, 2, 0));
}

#[test]
fn unusable_values_are_stored_counted_and_never_scored() {
    let mut plant = Plant::new(Template { physical_max: Some(100.0), ..Template::default() }, 1);
    [f64::NAN, f64::INFINITY, 101.0, 1.0].iter().zip(0..).for_each(|(v, i)| plant.read(START + i * SECOND, *v));
    let qualities: Vec<Quality> = plant.output.readings.iter().map(|r| r.quality).collect();
    assert_eq!(qualities, [Quality::NonFinite, Quality::NonFinite, Quality::OutOfRange, Quality::Good]);
    assert_eq!(
        (plant.output.scores.len(), plant.output.counters.non_finite, plant.output.counters.out_of_range),
        (1, 2, 1)
    );
}

#[test]
fn a_clock_set_back_begins_a_new_segment() {
    let mut plant = warmed(Template { window_s: Some(10.0), ..Template::default() }, 100);
    (0..200).for_each(|i| plant.read(START - 86_400 * SECOND + i * SECOND, 20.0 + noise(i)));
    assert_eq!((plant.output.counters.clock_steps, plant.output.late.len()), (1, 63));
    let segments: Vec<u32> = plant.output.windows.iter().map(|w| w.segment).collect();
    assert!(segments.is_sorted() && segments.last() == Some(&1));
}

#[test]
fn silence_closes_windows_and_raises_a_gap_at_a_tick_only() {
    let mut plant = warmed(Template { window_s: Some(20.0), hop_s: Some(20.0), ..Template::default() }, 100);
    let (last, before) = (START + 99 * SECOND, plant.output.windows.len());
    plant.barrier(BarrierKind::Tick { stream_time_us: last + 30 * SECOND });
    assert!(plant.output.anomalies.is_empty());
    plant.barrier(BarrierKind::Tick { stream_time_us: last + 31 * SECOND });
    assert_eq!(plant.output.windows.len(), before + 1);
    plant.barrier(BarrierKind::Tick { stream_time_us: last + 99 * SECOND });
    plant.read(last + 100 * SECOND, 20.0);
    assert_eq!(plant.kinds(), [(AnomalyState::Begin, AnomalyKind::Gap), (AnomalyState::End, AnomalyKind::Gap)]);
    assert_eq!(plant.output.anomalies[0].start_us, last);
    assert_eq!(plant.output.anomalies[1].end_us, Some(last + 100 * SECOND));
}

#[test]
fn one_extreme_reading_is_a_spike() {
    let mut plant = warmed(Template::default(), 200);
    plant.read(START + 200 * SECOND, 50.0);
    (201..230).for_each(|i| plant.read(START + i * SECOND, 20.0 + noise(i)));
    assert_eq!(plant.kinds()[0], (AnomalyState::Begin, AnomalyKind::Spike));
    let last = plant.output.anomalies.last().expect("an end");
    assert_eq!(
        (last.state, last.kind, last.end_us),
        (AnomalyState::End, AnomalyKind::Spike, Some(START + 200 * SECOND))
    );
    assert_eq!((last.detector, last.direction, last.peak_value), (Detector::ModifiedZ, 1, 50.0));
    assert!(last.window.is_some());
}

#[test]
fn three_of_five_moderate_crossings_begin_at_the_first_of_them() {
    let mut plant = warmed(Template { begin_at_once: 1e9, ..Template::default() }, 200);
    for (i, value) in [22.5, 20.0, 22.5, 22.5].iter().enumerate() {
        assert!(plant.output.anomalies.is_empty());
        plant.read(START + (200 + i as i64) * SECOND, *value);
    }
    assert_eq!(plant.kinds(), [(AnomalyState::Begin, AnomalyKind::LevelShift)]);
    assert_eq!(plant.output.anomalies[0].start_us, START + 200 * SECOND);
}

#[test]
fn a_repeat_is_suppressed_unless_it_is_worse() {
    let mut plant = warmed(Template { repeat_s: Some(600.0), ..Template::default() }, 200);
    for (burst, value) in [(0, 60.0), (1, 50.0), (2, 90.0)] {
        let from = 200 + burst * 20;
        plant.read(START + from * SECOND, value);
        (from + 1..from + 20).for_each(|i| plant.read(START + i * SECOND, 20.0 + noise(i)));
    }
    let begun = plant.output.anomalies.iter().filter(|a| a.state == AnomalyState::Begin).count();
    assert_eq!((begun, plant.output.counters.suppressed), (2, 1));
}

#[test]
fn one_tiny_step_of_a_constant_signal_is_no_anomaly() {
    let mut plant = Plant::new(Template::default(), 1);
    (0..300).for_each(|i| plant.read(START + i * SECOND, if i < 200 { 20.0 } else { 20.1 }));
    assert_eq!(plant.kinds(), []);
}

#[test]
fn a_large_step_of_a_constant_signal_is_one() {
    let mut plant = Plant::new(Template::default(), 1);
    (0..300).for_each(|i| plant.read(START + i * SECOND, if i < 200 { 20.0 } else { 90.0 }));
    assert_eq!(plant.output.anomalies[0].start_us, START + 200 * SECOND);
}

#[test]
fn alternating_excursions_are_noise_and_a_stopped_signal_is_stuck() {
    let mut plant = warmed(Template::default(), 200);
    (200..240).for_each(|i| plant.read(START + i * SECOND, 20.0 + 20.0 * noise(i)));
    (240..300).for_each(|i| plant.read(START + i * SECOND, 20.0 + noise(i)));
    assert_eq!(plant.kinds().last(), Some(&(AnomalyState::End, AnomalyKind::Noise)));
    (300..340).for_each(|i| plant.read(START + i * SECOND, 20.25));
    assert_eq!(plant.kinds().last(), Some(&(AnomalyState::Begin, AnomalyKind::Stuck)));
}

#[test]
fn new_templates_act_from_their_place_in_the_stream() {
    let mut plant = warmed(Template { window_s: Some(10.0), hop_s: Some(10.0), ..Template::default() }, 100);
    let longer = Template { window_s: Some(50.0), hop_s: Some(50.0), ..Template::default() };
    plant.barrier(BarrierKind::Configure(Arc::new(Templates::new(vec![longer]).expect("valid"))));
    (100..300).for_each(|i| plant.read(START + i * SECOND, 20.0 + noise(i)));
    let lengths: Vec<i64> = plant.output.windows.iter().map(|w| (w.end_us - w.start_us) / SECOND).collect();
    assert!(lengths.is_sorted() && lengths.contains(&10) && lengths.contains(&50));
}

#[test]
fn a_waveform_is_a_window_of_its_own() {
    let mut plant = Plant::new(Template::default(), 1);
    let samples = (0..256).map(|i| (std::f32::consts::TAU * 8.0 * i as f32 / 256.0).sin()).collect();
    let frame = |start_us| {
        Arc::new(Waveform {
            signal: SignalId(0),
            start_us,
            rate_hz: 256.0,
            samples: Vec::clone(&samples),
            scale: SampleScale::Unknown,
            sequence: 1,
            position: 0,
            stream_time_us: START + SECOND,
        })
    };
    for start_us in [START, START, START - SECOND, START + 20 * SECOND] {
        plant.barrier(BarrierKind::Waveform(frame(start_us)));
    }
    let Output { windows, vibration, waveforms, late, rejected, counters, .. } = &plant.output;
    assert_eq!((windows.len(), vibration.len(), waveforms.len()), (1, 1, 1));
    assert_eq!((counters.duplicates, late.len(), rejected.len()), (1, 1, 1));
    let features = plant.output.windows[0].features;
    assert!((features.dominant_frequency() - 8.0).abs() < 1e-9 && (features.dominant_amplitude() - 1.0).abs() < 1e-6);
}

#[test]
fn an_unregistered_signal_is_an_error_and_nothing_runs() {
    let mut plant = Plant::new(Template::default(), 1);
    let batch = Batch {
        readings: vec![reading(0, START, 1.0, 1, START), reading(7, START, 1.0, 1, START)],
        ..Batch::default()
    };
    assert_eq!(plant.engine.run(&batch, &mut plant.output), Err(CoreError::UnknownSignal { signal: 7 }));
    assert!(plant.output.readings.is_empty());
}

#[test]
fn a_broken_snapshot_is_an_error() {
    let plant = warmed(Template::default(), 10);
    let mut stored = plant.engine.snapshot(0).expect("encodes");
    stored[0].state.truncate(5);
    let mut engine = Engine::new(Arc::new(Templates::default()), EngineOptions::default());
    assert!(matches!(engine.restore(stored), Err(CoreError::InvalidSnapshot { .. })));
}

/// A message of a random plant: a reading, a tick, an end or a change of templates.
#[derive(Clone, Debug)]
enum Message {
    Reading { signal: u32, offset_ms: i64, value: f64 },
    Tick,
    End,
    Configure(u8),
}

fn message() -> impl Strategy<Value = Message> {
    let value = prop_oneof![20 => -1.0..1.0f64, 1 => Just(f64::NAN), 2 => -50.0..50.0f64, 3 => Just(0.5)];
    let offset_ms = prop_oneof![20 => -500i64..0, 2 => -20_000i64..0, 1 => Just(86_400_000i64)];
    prop_oneof![
        80 => (0u32..5, offset_ms, value).prop_map(|(signal, offset_ms, value)| Message::Reading { signal, offset_ms, value }),
        4 => Just(Message::Tick),
        1 => Just(Message::End),
        1 => (0u8..3).prop_map(Message::Configure),
    ]
}

fn template(variant: u8) -> Template {
    let variant = f64::from(variant);
    Template {
        window_s: Some(5.0 + variant),
        lateness_s: variant,
        idle_timeout_s: Some(10.0),
        modified_z_window: 20 + 5 * variant as usize,
        ..Template::default()
    }
}

fn engine() -> Engine {
    Engine::new(Arc::new(Templates::new(vec![template(1)]).expect("valid")), EngineOptions { emit_scores: true })
}

/// Runs the messages cut at the given places, snapshotting and restoring at each cut if asked to.
fn run_cut(messages: &[(i64, Message)], cuts: &[usize], through_snapshots: bool) -> Output {
    let (mut engine, mut output) = (engine(), Output::default());
    let new_signals = (0..5).map(new_signal).collect();
    engine.run(&Batch { new_signals, ..Batch::default() }, &mut output).expect("registration");
    let mut templates = template(1);
    for piece in cut(messages.len(), cuts) {
        let mut batch = Batch::default();
        for (now_us, message) in &messages[piece] {
            let sequence = now_us.unsigned_abs();
            let before = batch.readings.len();
            let mut barrier = |kind| batch.barriers.push(Barrier { before, sequence, position: 0, kind });
            match message {
                Message::Reading { signal, offset_ms, value } => {
                    batch.readings.push(reading(*signal, now_us + offset_ms * 1000, *value, sequence, *now_us));
                }
                Message::Tick => barrier(BarrierKind::Tick { stream_time_us: *now_us }),
                Message::End => barrier(BarrierKind::End),
                Message::Configure(variant) => {
                    templates = template(*variant);
                    let new = Templates::new(vec![templates.clone()]).expect("valid");
                    barrier(BarrierKind::Configure(Arc::new(new)));
                }
            }
        }
        engine.run(&batch, &mut output).expect("known signals");
        if through_snapshots {
            let stored = engine.snapshot(0).expect("encodes");
            let current = Arc::new(Templates::new(vec![templates.clone()]).expect("valid"));
            engine = Engine::new(current, EngineOptions { emit_scores: true });
            engine.restore(stored).expect("decodes");
        }
    }
    sorted(output)
}

fn cut(len: usize, cuts: &[usize]) -> Vec<std::ops::Range<usize>> {
    let mut at: Vec<usize> = cuts.iter().map(|c| c % (len + 1)).chain([0, len]).collect();
    at.sort_unstable();
    at.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

proptest! {
    /// Where messages are cut, and whether the state went through snapshots, leaves no trace in any row.
    #[test]
    fn results_depend_on_the_messages_alone(
        steps in prop::collection::vec((0i64..1500, message()), 1..400),
        cuts in prop::collection::vec(0usize..400, 0..8),
    ) {
        let mut now_us = START;
        let messages: Vec<(i64, Message)> = steps.into_iter().map(|(ms, message)| { now_us += ms * 1000 + 1; (now_us, message) }).collect();
        let whole = run_cut(&messages, &[], false);
        // NaN is not equal to itself, so rows are compared as text.
        let text = |output: &Output| format!("{output:?}");
        prop_assert_eq!(text(&run_cut(&messages, &cuts, false)), text(&whole));
        prop_assert_eq!(text(&run_cut(&messages, &cuts, true)), text(&whole));
    }

    /// Every reading goes somewhere: accepted, late, duplicate or refused.
    #[test]
    fn nothing_is_lost(steps in prop::collection::vec((0i64..1500, message()), 1..300)) {
        let mut now_us = START;
        let messages: Vec<(i64, Message)> = steps.into_iter().map(|(ms, message)| { now_us += ms * 1000 + 1; (now_us, message) }).collect();
        let sent = messages.iter().filter(|(_, m)| matches!(m, Message::Reading { .. })).count() as u64;
        let counters = run_cut(&messages, &[], false).counters;
        prop_assert_eq!(counters.accepted + counters.late + counters.duplicates + counters.future, sent);
    }
}
