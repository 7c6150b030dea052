//! Operating states as a specification: which readings train and score, and that results depend on the messages alone.

#[path = "common/noise.rs"]
mod noise;
#[path = "common/sorted.rs"]
mod sorted;

use std::sync::Arc;

use iotpm_core::{
    AnomalyState, Barrier, BarrierKind, Batch, Engine, EngineOptions, NewSignal, OperatingState, Output, Quality,
    Reading, SignalId, StateTemplate, Template, Templates,
};
use noise::noise;
use proptest::prelude::*;
use sorted::sorted;

const SECOND: i64 = 1_000_000;
const START: i64 = 1_700_000_000 * SECOND;
const SIGNALS: [&str; 6] =
    ["s/pump/vibration", "s/pump/speed", "s/pump/load", "s/fan/vibration", "s/fan/speed", "s/fan/load"];

fn states() -> StateTemplate {
    StateTemplate {
        signal: Some("speed".into()),
        off_below: Some(50.0),
        running_above: Some(600.0),
        load_signal: Some("load".into()),
        ..StateTemplate::default()
    }
}

/// As [`states`], and a change of speed is a transient too.
fn by_rate() -> StateTemplate {
    StateTemplate { rate_per_s: Some(20.0), smoothing_s: 1.0, settle_s: 5.0, ..states() }
}

fn template(state: StateTemplate) -> Template {
    Template { window_s: Some(10.0), hop_s: Some(10.0), state, ..Template::default() }
}

fn engine(template: &Template) -> Engine {
    let templates = Templates::new(vec![template.clone()]).expect("a valid template");
    Engine::new(Arc::new(templates), EngineOptions { emit_scores: true })
}

fn reading(signal: u32, second: i64, value: f64, sequence: u64, position: u32) -> Reading {
    let time_us = START + second * SECOND;
    let stream_time_us = START + sequence as i64 * SECOND;
    Reading { signal: SignalId(signal), time_us, value, quality: Quality::Good, sequence, position, stream_time_us }
}

/// Speed over 900 s: runs, coasts down, stands, runs up, runs; then at 70 %, and back.
fn speed(second: i64) -> f64 {
    let s = second as f64;
    match second {
        300..330 => 1500.0 - 50.0 * (s - 300.0),
        330..400 => 0.0,
        400..430 => 50.0 * (s - 400.0),
        600..700 => 1050.0,
        _ => 1500.0,
    }
}

/// One message a second: vibration, speed, load of the pump, the state's signal behind what it governs.
fn run(template: &Template, seconds: i64) -> Output {
    let (mut engine, mut output) = (engine(template), Output::default());
    let new_signals = (0..3).map(new_signal).collect();
    engine.run(&Batch { new_signals, ..Batch::default() }, &mut output).expect("registration");
    for second in 0..seconds {
        let (sequence, share) = (second as u64 + 1, speed(second) / 1500.0);
        let values = [2.0 * share.powi(2) + 0.2 * noise(second), speed(second), 80.0 * share];
        let readings = (0..).zip(values).map(|(id, value)| reading(id, second, value, sequence, id)).collect();
        engine.run(&Batch { readings, ..Batch::default() }, &mut output).expect("known signals");
    }
    output
}

fn new_signal(id: u32) -> NewSignal {
    NewSignal { id: SignalId(id), name: SIGNALS[id as usize].into() }
}

fn begun(output: &Output, signal: u32) -> usize {
    let begun = |a: &&iotpm_core::AnomalyRevision| a.state == AnomalyState::Begin && a.signal == SignalId(signal);
    output.anomalies.iter().filter(begun).count()
}

#[test]
fn a_stop_is_no_anomaly_where_states_are_told_and_one_where_they_are_not() {
    assert_eq!(begun(&run(&template(by_rate()), 600), 0), 0);
    assert!(begun(&run(&template(StateTemplate::default()), 600), 0) > 0);
}

#[test]
fn transients_neither_train_nor_score_and_are_counted() {
    let output = run(&template(states()), 600);
    let scored: Vec<i64> =
        output.scores.iter().filter(|s| s.signal == SignalId(0)).map(|s| (s.time_us - START) / SECOND).collect();
    // The coast-down begins below 540/min, at 320 s; at 600/min, at 412 s, it runs again.
    assert_eq!(scored, (0..320).chain(412..600).collect::<Vec<_>>());
    assert_eq!(output.counters.transient, 3 * (412 - 320));
    assert_eq!(output.counters.scored + output.counters.transient, output.counters.accepted);
}

#[test]
fn they_do_where_the_template_asks_for_it() {
    use OperatingState::{CoastDown, Off, RunUp, Running};
    let all = StateTemplate { score_in: vec![Off, RunUp, Running, CoastDown], ..states() };
    let output = run(&template(all), 600);
    assert_eq!((output.counters.transient, output.counters.scored), (0, 1800));
    let off_only = StateTemplate { score_in: vec![Off], ..states() };
    assert_eq!(run(&template(off_only), 600).counters.scored, 3 * (401 - 329));
}

#[test]
fn windows_carry_state_speed_and_load() {
    use OperatingState::{Off, RunUp, Running};
    let output = run(&template(states()), 600);
    let windows: Vec<_> = output.windows.iter().filter(|w| w.signal == SignalId(0)).collect();
    let of = |second: i64| {
        let at = START + second * SECOND;
        windows.iter().find(|w| (w.start_us..w.end_us).contains(&at)).expect("a window")
    };
    let state = |second| of(second).state;
    assert_eq!([100, 360, 500].map(state), [Some(Running), Some(Off), Some(Running)]);
    assert!(windows.iter().any(|w| w.state == Some(RunUp)));
    assert_eq!((of(100).speed, of(100).load), (1500.0, 80.0));
    assert_eq!((of(360).speed, of(360).load), (0.0, 0.0));
    let plain = run(&template(StateTemplate::default()), 100);
    assert!(plain.windows.iter().all(|w| w.state.is_none() && w.speed.is_nan() && w.load.is_nan()));
}

#[test]
fn a_signal_can_tell_its_own_state() {
    let own = StateTemplate { signal: None, off_below: Some(0.5), running_above: None, ..StateTemplate::default() };
    let output = run(&template(own), 450);
    let states: Vec<_> = output.windows.iter().filter(|w| w.signal == SignalId(0)).filter_map(|w| w.state).collect();
    assert!(states.contains(&OperatingState::Off) && states.contains(&OperatingState::Running));
}

#[test]
fn without_any_fact_the_signal_is_watched() {
    let absent = StateTemplate { signal: Some("absent".into()), ..states() };
    let output = run(&template(absent), 600);
    assert_eq!(output.counters.transient, 0);
    assert!(begun(&output, 0) > 0);
}

#[test]
fn a_state_that_is_too_old_tells_nothing() {
    let template = template(StateTemplate { stale_s: Some(30.0), ..states() });
    let (mut engine, mut output) = (engine(&template), Output::default());
    let new_signals = (0..3).map(new_signal).collect();
    let mut readings = vec![reading(1, 0, 0.0, 1, 0)];
    readings.extend((0..60).map(|second| reading(0, second, noise(second), second as u64 + 1, 1)));
    engine.run(&Batch { new_signals, readings, ..Batch::default() }, &mut output).expect("known signals");
    let first = output.scores.iter().find(|s| s.signal == SignalId(0)).expect("scores again");
    assert_eq!(first.time_us, START + 31 * SECOND);
}

#[test]
fn with_lateness_and_a_guard_what_comes_before_the_state_is_known_counts_too() {
    // The vibration falls with the shaft; the speed says so two seconds later, in a message of its own.
    let scored = |guard_s: f64| {
        let state = StateTemplate { guard_s, ..states() };
        let template = Template { lateness_s: 5.0, ..template(state) };
        let (mut engine, mut output) = (engine(&template), Output::default());
        let new_signals = (0..3).map(new_signal).collect();
        let readings = (0..60).flat_map(|second| {
            let told = if second < 32 { 1500.0 } else { 0.0 };
            let felt = if second < 30 { 2.0 } else { 0.0 };
            let sequence = 2 * second as u64 + 1;
            [reading(0, second, felt, sequence, 0), reading(1, second, told, sequence + 1, 0)]
        });
        let batch = Batch { new_signals, readings: readings.collect(), ..Batch::default() };
        engine.run(&batch, &mut output).expect("known signals");
        output.scores.iter().filter(|s| s.signal == SignalId(0)).map(|s| (s.time_us - START) / SECOND).max()
    };
    assert_eq!((scored(0.0), scored(2.0)), (Some(31), Some(29)));
}

#[test]
fn every_bin_of_speed_has_a_memory_of_its_own() {
    let binned = StateTemplate { regimes: vec![600.0, 800.0, 1000.0, 1200.0, 1400.0], ..by_rate() };
    assert_eq!(begun(&run(&template(binned), 900), 0), 0);
    assert!(begun(&run(&template(by_rate()), 900), 0) > 0, "70 % of the speed is half of the vibration");
}

#[test]
fn a_fault_while_running_is_still_found() {
    let (mut engine, mut output) = (engine(&template(by_rate())), Output::default());
    let new_signals = (0..3).map(new_signal).collect();
    let readings = (0..700).flat_map(|second| {
        let fault = if second == 550 { 40.0 } else { 0.0 };
        let vibration = 2.0 * (speed(second) / 1500.0).powi(2) + 0.2 * noise(second) + fault;
        [reading(0, second, vibration, second as u64 + 1, 0), reading(1, second, speed(second), second as u64 + 1, 1)]
    });
    let batch = Batch { new_signals, readings: readings.take(2 * 590).collect(), ..Batch::default() };
    engine.run(&batch, &mut output).expect("known signals");
    assert_eq!(begun(&output, 0), 1);
}

/// A message: readings of one asset at one or several times, a tick, an end, or other templates.
#[derive(Clone, Debug)]
enum Message {
    Readings { asset: u32, values: Vec<(u32, i64, f64)> },
    Tick,
    End,
    Configure(u8),
}

fn message() -> impl Strategy<Value = Message> {
    let value = prop_oneof![6 => 0.0..1600.0f64, 2 => Just(1500.0), 2 => Just(0.0), 1 => Just(f64::NAN)];
    let offset_ms = prop_oneof![20 => -500i64..0, 3 => -8_000i64..0, 1 => Just(86_400_000i64)];
    let readings = (0u32..2, prop::collection::vec((0u32..3, offset_ms, value), 1..6));
    prop_oneof![
        60 => readings.prop_map(|(asset, values)| Message::Readings { asset, values }),
        3 => Just(Message::Tick),
        1 => Just(Message::End),
        2 => (0u8..4).prop_map(Message::Configure),
    ]
}

fn variant(number: u8) -> Template {
    let state = match number {
        0 => StateTemplate { rate_per_s: Some(100.0), settle_s: 2.0, ..states() },
        1 => StateTemplate { signal: None, coast_down_s: 3.0, guard_s: 1.0, ..states() },
        2 => StateTemplate { regimes: vec![500.0, 1000.0], stale_s: Some(20.0), ..states() },
        _ => StateTemplate::default(),
    };
    let lateness_s = f64::from(number);
    Template { window_s: Some(5.0), lateness_s, modified_z_window: 20, idle_timeout_s: Some(10.0), ..template(state) }
}

/// Runs messages cut at the given places; signals are registered by the batch in which they first appear.
fn run_cut(messages: &[(i64, Message)], cuts: &[usize], through_snapshots: bool) -> String {
    let (mut current, mut output, mut known) = (variant(0), Output::default(), [false; 6]);
    let mut running = engine(&current);
    let mut at: Vec<usize> = cuts.iter().map(|c| c % (messages.len() + 1)).chain([0, messages.len()]).collect();
    at.sort_unstable();
    for piece in at.windows(2).map(|pair| pair[0]..pair[1]) {
        let mut batch = Batch::default();
        for (number, (now_us, message)) in piece.clone().zip(&messages[piece]) {
            let sequence = number as u64 + 1;
            let before = batch.readings.len();
            let mut barrier = |kind| batch.barriers.push(Barrier { before, sequence, position: 0, kind });
            match message {
                Message::Readings { asset, values } => {
                    for (position, (signal, offset_ms, value)) in (0..).zip(values) {
                        let id = 3 * asset + signal;
                        if !std::mem::replace(&mut known[id as usize], true) {
                            batch.new_signals.push(new_signal(id));
                        }
                        let (time_us, stream_time_us) = (now_us + offset_ms * 1000, *now_us);
                        let reading = reading(id, 0, *value, sequence, position);
                        batch.readings.push(Reading { time_us, stream_time_us, ..reading });
                    }
                }
                Message::Tick => barrier(BarrierKind::Tick { stream_time_us: *now_us }),
                Message::End => barrier(BarrierKind::End),
                Message::Configure(number) => {
                    current = variant(*number);
                    let templates = Templates::new(vec![current.clone()]).expect("valid");
                    barrier(BarrierKind::Configure(Arc::new(templates)));
                }
            }
        }
        running.run(&batch, &mut output).expect("known signals");
        if through_snapshots {
            let stored = running.snapshot(0).expect("encodes");
            running = engine(&current);
            running.restore(stored).expect("decodes");
        }
    }
    // NaN is not equal to itself, so rows are compared as text.
    format!("{:?}", sorted(output))
}

fn timed(steps: Vec<(i64, Message)>) -> Vec<(i64, Message)> {
    let mut now_us = START;
    let next = |(ms, message)| {
        now_us += ms * 1000;
        (now_us, message)
    };
    steps.into_iter().map(next).collect()
}

proptest! {
    /// One signal's readings depend on another's: still, where messages are cut leaves no trace, nor do snapshots.
    #[test]
    fn results_depend_on_the_messages_alone(
        steps in prop::collection::vec((0i64..1500, message()), 1..250),
        cuts in prop::collection::vec(0usize..250, 0..8),
    ) {
        let messages = timed(steps);
        let whole = run_cut(&messages, &[], false);
        prop_assert_eq!(run_cut(&messages, &cuts, false), whole.clone());
        prop_assert_eq!(run_cut(&messages, &cuts, true), whole);
    }

    /// The order of readings within a message tells nothing: the state's signal may stand behind what it governs.
    #[test]
    fn the_order_within_a_message_tells_nothing(
        values in prop::collection::vec((0.0..5.0f64, prop_oneof![Just(0.0), Just(1500.0), 0.0..1600.0f64]), 1..200),
    ) {
        let run = |flip: bool| {
            let (mut engine, mut output) = (engine(&template(states())), Output::default());
            let mut readings = Vec::new();
            for (second, (vibration, speed)) in (0..).zip(&values) {
                let sequence = second as u64 + 1;
                let first = reading(0, second, *vibration, sequence, 0);
                let other = reading(1, second, *speed, sequence, 0);
                readings.extend(if flip { [other, first] } else { [first, other] });
            }
            let new_signals = (0..2).map(new_signal).collect();
            engine.run(&Batch { new_signals, readings, ..Batch::default() }, &mut output).expect("known signals");
            output.windows.sort_by_key(|w| w.signal);
            output.scores.sort_by_key(|s| s.signal);
            format!("{:?}{:?}", output.windows, output.scores)
        };
        prop_assert_eq!(run(false), run(true));
    }
}

/// The properties above would hold for an engine that mutes nothing; this one does not.
#[test]
fn the_generated_messages_reach_every_state() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec((0i64..1500, message()), 1500..1501);
    let steps = strategy.new_tree(&mut runner).expect("a tree").current();
    let rows = run_cut(&timed(steps), &[], false);
    for state in ["Some(Off)", "Some(RunUp)", "Some(Running)", "Some(CoastDown)", "state: None"] {
        assert!(rows.contains(state), "no window with {state}");
    }
    assert!(!rows.contains("transient: 0"));
}
