//! Results depend on the messages alone: not on where chunks are cut, not on the number of shards, not on restarts.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use iotpm_codec::{
    Limits,
    waveform::{self, Frame, Samples},
};
use iotpm_node::{CapturedState, Chunk, Pipeline, PipelineOptions, RawMessage, SnapshotSpan};
use proptest::{prelude::*, sample::Index, strategy::ValueTree};

const START_US: i64 = 1_700_000_000_000_000;
const SECOND_US: i64 = 1_000_000;

/// What a producer, the node's clock or an operator puts into the stream.
#[derive(Clone, Debug)]
enum Step {
    Reading { signal: u8, event_s: i64, value: f64, fahrenheit: bool, source: Option<(u8, u64)> },
    Array { asset: u8, values: Vec<(u8, i64, f64)> },
    Waveform { signal: u8, event_s: i64, samples: Vec<f32> },
    Tick,
    Silence { seconds: i64 },
    Configuration { hi: f64, unit: bool },
    WrongConfiguration,
    Label { id: u8, signal: u8, label: u8, detector: u8, direction: i8, seconds: i64 },
    Withdraw { id: u8 },
    End,
    Garbage,
    UnknownSubject,
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![8 => (0u32..100).prop_map(|v| 20.0 + f64::from(v) / 100.0), 1 => Just(90.0), 1 => Just(f64::NAN)]
}

/// Seconds between event time and stream time: mostly none, at times late, or from the future.
fn event_s() -> impl Strategy<Value = i64> {
    prop_oneof![8 => Just(0i64), 2 => -4i64..0, 1 => -60i64..-4, 1 => Just(3600i64)]
}

/// Mostly quiet frames, some loud, some with a sample that is no number.
fn samples() -> impl Strategy<Value = Vec<f32>> {
    let scale = prop_oneof![8 => Just(1f32), 2 => Just(50f32), 1 => Just(f32::NAN)];
    (prop::collection::vec(-1f32..1f32, 1..40), scale)
        .prop_map(|(samples, scale)| samples.into_iter().map(|sample| sample * scale).collect())
}

fn step() -> impl Strategy<Value = Step> {
    let source = proptest::option::of((0u8..3, 0u64..40));
    prop_oneof![
        24 => (0u8..8, event_s(), value(), prop::bool::weighted(0.1), source).prop_map(
            |(signal, event_s, value, fahrenheit, source)| Step::Reading { signal, event_s, value, fahrenheit, source }
        ),
        4 => (0u8..3, prop::collection::vec((0u8..3, event_s(), value()), 0..12))
            .prop_map(|(asset, values)| Step::Array { asset, values }),
        4 => (0u8..8, event_s(), samples())
            .prop_map(|(signal, event_s, samples)| Step::Waveform { signal, event_s, samples }),
        4 => Just(Step::Tick),
        2 => (1i64..90).prop_map(|seconds| Step::Silence { seconds }),
        1 => (25f64..95f64, any::<bool>()).prop_map(|(hi, unit)| Step::Configuration { hi, unit }),
        1 => Just(Step::WrongConfiguration),
        4 => (0u8..24, 0u8..8, 0u8..6, 0u8..6, -1i8..=1, -5i64..60).prop_map(
            |(id, signal, label, detector, direction, seconds)| {
                Step::Label { id, signal, label, detector, direction, seconds }
            }
        ),
        1 => (0u8..24).prop_map(|id| Step::Withdraw { id }),
        1 => Just(Step::End),
        1 => Just(Step::Garbage),
        1 => Just(Step::UnknownSubject),
    ]
}

fn templates(hi: f64, unit: bool) -> String {
    let unit = if unit { r#""unit":"Cel","# } else { "" };
    format!(
        r#"[{{"match":"s/*",{unit}"window_s":10,"hop_s":5,"lateness_s":3,"idle_timeout_s":20,"limits":{{"hi":{hi}}},
        "state":{{"signal":"t1","off_below":20.2,"running_above":20.3,"load_signal":"t2","regimes":[20.6]}},
        "waveform":{{"keep_every":3,"keep_around_anomaly":2,"features":["rms","peak"],"limits_on":"peak"}},
        "failure_mode":"VIB","modified_z_window":8,"begin_count":1,"begin_of":2,"end_count":2,"max_reorder":8,"max_ring":64}}]"#
    )
}

fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { "null".into() }
}

/// The messages of the steps: half a second apart, sequences with gaps.
fn messages(steps: &[Step]) -> Vec<RawMessage> {
    let mut time_us = START_US;
    let mut messages = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        time_us += match step {
            Step::Silence { seconds } => seconds * SECOND_US,
            _ => SECOND_US / 2,
        };
        let (subject, payload) = wire(step, time_us);
        let mut message = RawMessage::new(subject, payload, 10 + at as u64 + at as u64 / 7, time_us);
        if let Step::Reading { source: Some((source, sequence)), .. } = step {
            message.message_id = Some(format!("gate{source}:1:{sequence}").into());
        }
        messages.push(message);
    }
    messages
}

fn wire(step: &Step, time_us: i64) -> (String, Vec<u8>) {
    let event_us = |seconds: &i64| time_us + seconds * SECOND_US;
    match step {
        Step::Reading { signal, event_s, value, fahrenheit, .. } => {
            let unit = if *fahrenheit { r#","meta":{"unit":"[degF]"}"# } else { "" };
            let json = format!(r#"{{"timestamp":{},"value":{}{unit}}}"#, event_us(event_s), number(*value));
            (format!("iotpm.raw.s.a{}.t{signal}", signal / 3), json.into())
        }
        Step::Array { asset, values } => {
            let reading = |(metric, event_s, value): &(u8, i64, f64)| {
                format!(r#"{{"metric":"t{metric}","timestamp":{},"value":{}}}"#, event_us(event_s), number(*value))
            };
            let json: Vec<_> = values.iter().map(reading).collect();
            (format!("iotpm.raw.s.a{asset}"), format!("[{}]", json.join(",")).into())
        }
        Step::Waveform { signal, event_s, samples } => {
            (format!("iotpm.raw.s.a{}.w{signal}", signal / 3), frame(event_us(event_s), samples))
        }
        Step::Tick | Step::Silence { .. } => ("iotpm.tick.0".into(), Vec::new()),
        Step::Configuration { hi, unit } => ("iotpm.ctl.0.configuration".into(), templates(*hi, *unit).into()),
        Step::WrongConfiguration => ("iotpm.ctl.0.configuration".into(), br#"[{"match":"*","windw_s":1}]"#.to_vec()),
        Step::Label { .. } | Step::Withdraw { .. } => ("iotpm.ctl.0.feedback".into(), feedback(step, time_us)),
        Step::End => ("iotpm.ctl.0.end".into(), Vec::new()),
        Step::Garbage => ("iotpm.raw.s.a0".into(), b"{\"value\":".to_vec()),
        Step::UnknownSubject => ("iotpm.other".into(), b"x".to_vec()),
    }
}

/// An operator's message: of an anomaly that may have been, of maintenance, or taking one back.
fn feedback(step: &Step, time_us: i64) -> Vec<u8> {
    let text = match step {
        Step::Label { id, signal, label: 5, seconds, .. } => format!(
            r#"{{"action":"label","id":"{id}","author":"ana","label":"maintenance","name":"s/a{}","start_us":{},"end_us":{}}}"#,
            signal / 3,
            time_us,
            time_us + seconds * SECOND_US
        ),
        Step::Label { id, signal, label, detector, direction, seconds } => {
            let detector =
                ["modified_z", "modified_z.rms", "ema_baseline", "limits", "limits", "limits"][usize::from(*detector)];
            let (name, kind, direction) = match detector {
                "limits" => ("t", "limit", 0),
                "modified_z.rms" => ("w", "noise", *direction),
                "ema_baseline" => ("t", "drift", *direction),
                _ => ("t", "noise", *direction),
            };
            format!(
                r#"{{"action":"label","id":"{id}","author":"ana","label":"{}","name":"s/a{}/{name}{signal}","detector":"{detector}",
                "kind":"{kind}","direction":{direction},"peak_score":{},"start_us":{},"end_us":{time_us}}}"#,
                *label == 4,
                signal / 3,
                1 + seconds.abs() * 20,
                time_us - seconds * SECOND_US
            )
        }
        Step::Withdraw { id } => format!(r#"{{"action":"withdraw","id":"{id}","author":"bob","note":"a mistake"}}"#),
        _ => String::new(),
    };
    text.into()
}

fn frame(start_us: i64, samples: &[f32]) -> Vec<u8> {
    let frame = Frame {
        signal: "",
        unit: "",
        start_us,
        rate_hz: 100.0,
        scale: 1.0,
        offset: 0.0,
        samples: Samples::F32(samples),
    };
    waveform::encode(&frame, &Limits::default()).unwrap()
}

fn options(shards: usize) -> PipelineOptions {
    PipelineOptions {
        templates: serde_json::from_str(&templates(80.0, false)).unwrap(),
        shards,
        max_signals: 12,
        max_sources: 2,
        emit_scores: true,
        ..PipelineOptions::default()
    }
}

fn pipeline(shards: usize) -> Pipeline {
    Pipeline::new(options(shards), None).unwrap()
}

/// All rows as text, by table; sources by name, for only the last mark of a source counts.
#[derive(Debug, Default, PartialEq)]
struct Rows {
    tables: BTreeMap<&'static str, Vec<String>>,
    sources: BTreeMap<String, String>,
}

impl Rows {
    fn add(&mut self, chunk: &Chunk) {
        for (name, batch) in chunk.tables.named() {
            if name == "sources" {
                let marks = rows(batch);
                self.sources.extend(marks.into_iter().map(|row| (row.split('|').next().unwrap().to_owned(), row)));
            } else {
                self.tables.entry(name).or_default().extend(rows(batch));
            }
        }
    }

    /// What was caused after a sequence.
    fn after(mut self, sequence: u64, all: &[Chunk]) -> Self {
        for (name, kept) in &mut self.tables {
            let seqs: Vec<u64> = all.iter().flat_map(|chunk| sequences(name, chunk)).collect();
            let mut seqs = seqs.into_iter();
            kept.retain(|_| seqs.next().unwrap() > sequence);
        }
        self
    }
}

fn sequences(table: &str, chunk: &Chunk) -> Vec<u64> {
    let named = chunk.tables.named();
    let batch = named.iter().find(|(name, _)| *name == table).unwrap().1;
    let column = batch.column_by_name("seq").unwrap();
    column.as_any().downcast_ref::<arrow_array::UInt64Array>().unwrap().values().to_vec()
}

fn rows(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
    let row = |at| columns.iter().map(|column| column.value(at).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(row).collect()
}

/// Runs messages cut at the given places.
fn run(pipeline: &mut Pipeline, messages: &[RawMessage], cuts: &[Index]) -> Vec<Chunk> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(messages.len() + 1)).collect();
    ends.push(messages.len());
    ends.sort_unstable();
    let mut from = 0;
    let mut chunks = Vec::new();
    for to in ends {
        chunks.push(pipeline.run(&messages[from..to]).unwrap());
        from = to;
    }
    chunks
}

fn all_rows(chunks: &[Chunk]) -> Rows {
    let mut rows = Rows::default();
    for chunk in chunks {
        rows.add(chunk);
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn cuts_and_shards_change_nothing(
        steps in prop::collection::vec(step(), 1..200), cuts in prop::collection::vec(any::<Index>(), 0..12),
        shards in 1usize..=4
    ) {
        let messages = messages(&steps);
        let (mut whole, mut cut) = (pipeline(1), pipeline(shards));
        let wanted = all_rows(&run(&mut whole, &messages, &[]));
        let got = all_rows(&run(&mut cut, &messages, &cuts));
        prop_assert_eq!(got, wanted);
        prop_assert_eq!(cut.counters(), whole.counters());
        prop_assert_eq!(
            whole.snapshot().unwrap().encode().unwrap(), cut.snapshot().unwrap().encode().unwrap()
        );
    }

    #[test]
    fn a_restart_from_a_snapshot_goes_on_as_if_nothing_had_happened(
        steps in prop::collection::vec(step(), 1..200), cuts in prop::collection::vec(any::<Index>(), 0..8),
        snapshot_at in any::<Index>(), stored_at in any::<Index>(), shards in (1usize..=3, 1usize..=3)
    ) {
        let messages = messages(&steps);
        let taken = snapshot_at.index(messages.len() + 1);
        let stored = taken + stored_at.index(messages.len() + 1 - taken);
        let mut before = pipeline(shards.0);
        run(&mut before, &messages[..taken], &cuts);
        goes_on_from(&before.snapshot().unwrap(), &messages, stored, shards.1, &cuts)?;
    }
}

/// A pipeline that begins with a state, for a store that has the rows of the first `stored` messages, makes the rows and
/// comes to the state of one that never stopped.
fn goes_on_from(
    state: &CapturedState,
    messages: &[RawMessage],
    stored: usize,
    shards: usize,
    cuts: &[Index],
) -> Result<(), TestCaseError> {
    let mut uninterrupted = pipeline(1);
    let chunks = [uninterrupted.run(&messages[..stored]).unwrap(), uninterrupted.run(&messages[stored..]).unwrap()];
    let stored_seq = chunks[0].last_seq;
    let next_outbox_seq = Some(1 + chunks[0].outbox.len() as u64);
    let options = PipelineOptions { discard_through: Some(stored_seq), next_outbox_seq, ..options(shards) };
    let mut restarted = Pipeline::new(options, Some(&state.encode().unwrap())).unwrap();
    let again = messages.partition_point(|message| message.sequence <= state.span().sequence);
    let got = all_rows(&run(&mut restarted, &messages[again..], cuts));

    let mut wanted = all_rows(&chunks).after(stored_seq, &chunks);
    wanted.sources = all_rows(&chunks[1..]).sources;
    prop_assert_eq!(got, wanted);
    prop_assert_eq!(restarted.counters(), uninterrupted.counters());
    let states = [restarted, uninterrupted].map(|pipeline| pipeline.snapshot().unwrap().encode().unwrap());
    prop_assert_eq!(&states[0], &states[1]);
    Ok(())
}

/// Runs messages and captures the state from the beginning of the `begin`th chunk on, `signals` after each chunk.
fn run_capturing(
    pipeline: &mut Pipeline,
    messages: &[RawMessage],
    cuts: &[Index],
    begin: usize,
    signals: usize,
) -> Option<(CapturedState, usize)> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(messages.len() + 1)).collect();
    ends.sort_unstable();
    let mut from = 0;
    for (number, to) in ends.into_iter().enumerate() {
        if number == begin {
            pipeline.begin_capture().unwrap();
        }
        pipeline.run(&messages[from..to]).unwrap();
        from = to;
        if let Some(state) = pipeline.capture(signals).unwrap() {
            return Some((state, to));
        }
    }
    None
}

/// Steps of which half have no control message, before which a capture ends at once.
fn steps_to_capture() -> impl Strategy<Value = Vec<Step>> {
    let is_control = |step: &Step| {
        matches!(step, Step::Configuration { .. } | Step::Label { .. } | Step::Withdraw { .. } | Step::End)
            || matches!(step, Step::WrongConfiguration)
    };
    (prop::collection::vec(step(), 1..200), any::<bool>()).prop_map(move |(mut steps, controls)| {
        steps.retain(|step| controls || !is_control(step));
        steps
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_state_captured_while_the_stream_goes_on_is_gone_on_from_all_the_same(
        steps in steps_to_capture(), cuts in prop::collection::vec(any::<Index>(), 2..30),
        again_cuts in prop::collection::vec(any::<Index>(), 0..8), begin in 0usize..8, signals in 1usize..4,
        stored_at in any::<Index>(), shards in (1usize..=3, 1usize..=3)
    ) {
        let messages = messages(&steps);
        let mut before = pipeline(shards.0);
        let captured = run_capturing(&mut before, &messages, &cuts, begin, signals);
        prop_assume!(captured.is_some());
        let (state, ran) = captured.unwrap();
        let stored = ran + stored_at.index(messages.len() + 1 - ran);
        let SnapshotSpan { sequence, through } = state.span();
        prop_assert!(sequence <= through && messages[..stored].last().is_none_or(|last| through <= last.sequence));
        goes_on_from(&state, &messages, stored, shards.1, &again_cuts)?;
    }
}

/// The properties above would hold for a pipeline that produces nothing; this one does not.
#[test]
fn the_generated_messages_reach_every_table() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = prop::collection::vec(step(), 2000..2001);
    let steps = strategy.new_tree(&mut runner).unwrap().current();
    let mut pipeline = pipeline(1);
    let chunks = run(&mut pipeline, &messages(&steps), &[]);
    for (name, batch) in chunks[0].tables.named() {
        assert!(batch.num_rows() > 0, "no rows in {name}");
    }
    let counters = pipeline.counters().entries();
    for name in [
        "late",
        "duplicates",
        "transient",
        "future",
        "idle",
        "source_duplicates",
        "sources_evicted",
        "too_many_signals",
        "unit_conversions",
        "waveforms_kept",
        "waveforms_dropped",
        "anomalies",
        "muted",
        "maintenance",
        "controls",
    ] {
        assert!(!counters.contains(&(name, 0)), "{name} is 0");
    }
}

/// The property of states captured in steps says more than the one of snapshots only where chunks ran in between.
#[test]
fn the_generated_captures_are_spread_over_chunks() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = (steps_to_capture(), prop::collection::vec(any::<Index>(), 30));
    let mut spread = || {
        let (steps, cuts) = strategy.new_tree(&mut runner).unwrap().current();
        let captured = run_capturing(&mut pipeline(2), &messages(&steps), &cuts, 6, 2);
        captured.is_some_and(|(state, _)| state.span().through > state.span().sequence)
    };
    assert!((0..40).filter(|_| spread()).count() >= 10);
}
