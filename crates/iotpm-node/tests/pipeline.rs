//! What becomes of each kind of message.

use arrow_array::{
    RecordBatch,
    cast::AsArray,
    types::{Float64Type, UInt32Type, UInt64Type},
};
use bytes::Bytes;
use iotpm_core::CoreError;
use iotpm_node::{Chunk, NodeError, Pipeline, PipelineCounters, PipelineOptions, RawMessage, Rows, message_hash};

const TIME_US: i64 = 1_700_000_000_000_000;

fn pipeline(templates: &str) -> Pipeline {
    let options = PipelineOptions { templates: serde_json::from_str(templates).unwrap(), ..PipelineOptions::default() };
    Pipeline::new(options, None).unwrap()
}

fn message(sequence: u64, subject: &str, payload: &str) -> RawMessage {
    let stored_us = TIME_US + sequence as i64 * 1_000_000;
    RawMessage::new(subject.to_owned(), payload.to_owned(), sequence, stored_us)
}

/// Runs messages given as (subject, payload), numbered from 1.
fn run(pipeline: &mut Pipeline, messages: &[(&str, &str)]) -> Chunk {
    let first = pipeline.sequence() + 1;
    let messages: Vec<_> = (first..).zip(messages).map(|(at, (subject, text))| message(at, subject, text)).collect();
    pipeline.run(&messages).unwrap()
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<String> {
    let column = batch.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().map(|text| text.unwrap_or("null").to_owned()).collect()
}

fn f64s(batch: &RecordBatch, column: &str) -> Vec<Option<f64>> {
    batch.column_by_name(column).unwrap().as_primitive::<Float64Type>().iter().collect()
}

fn u64s(batch: &RecordBatch, column: &str) -> Vec<u64> {
    batch.column_by_name(column).unwrap().as_primitive::<UInt64Type>().values().to_vec()
}

fn u32s(batch: &RecordBatch, column: &str) -> Vec<u32> {
    batch.column_by_name(column).unwrap().as_primitive::<UInt32Type>().values().to_vec()
}

/// Reasons and positions of the dead letters.
fn reasons(chunk: &Chunk) -> Vec<(String, u32)> {
    let letters = &chunk.tables.dead_letters;
    texts(letters, "reason").into_iter().zip(u32s(letters, "position")).collect()
}

#[test]
fn names_come_from_subject_and_reading_and_are_numbered_in_order() {
    let mut pipeline = pipeline("[]");
    let chunk = run(
        &mut pipeline,
        &[
            ("iotpm.raw.s.pump%201.speed", r#"{"sensor_id":"x","metric":"y","value":1}"#),
            ("iotpm.raw.s.a", r#"[{"metric":"t","value":1},{"sensor_id":"a","metric":"t","value":2,"timestamp":5}]"#),
            ("iotpm.raw.s.a", r#"[{"sensor_id":"b","metric":"t","value":1},{"sensor_id":"b","value":1},{"value":1}]"#),
            ("iotpm.raw.s.a.t", r#"{"value":1}"#),
        ],
    );
    let signals = &chunk.tables.signals;
    assert_eq!(texts(signals, "name"), ["s/pump 1/speed", "s/a/t", "s/a/b.t", "s/a/b"]);
    assert_eq!((u32s(signals, "id"), u64s(signals, "seq")), (vec![0, 1, 2, 3], vec![1, 2, 3, 3]));
    assert_eq!(texts(signals, "asset"), ["pump 1", "a", "a", "a"]);
    assert_eq!(reasons(&chunk), [("no_signal_name".to_owned(), 2)]);
    assert!(run(&mut pipeline, &[("iotpm.raw.s.a.t", r#"{"value":1}"#)]).tables.signals.num_rows() == 0);
}

#[test]
fn a_reading_without_a_time_has_the_stream_time_of_its_message() {
    let chunk = run(&mut pipeline("[]"), &[("iotpm.raw.s.a.t", r#"{"value":1}"#)]);
    let readings = &chunk.tables.readings;
    assert_eq!(readings.column_by_name("ts").unwrap(), readings.column_by_name("stored_at").unwrap());
}

#[test]
fn values_that_are_not_finite_are_null() {
    let chunk = run(&mut pipeline("[]"), &[("iotpm.raw.s.a.t", r#"[{"value":null},{"value":1.5,"timestamp":1}]"#)]);
    assert_eq!(f64s(&chunk.tables.readings, "value"), [None]);
    assert_eq!(f64s(&chunk.tables.late_readings, "value"), [Some(1.5)]);
}

#[test]
fn units_are_converted_to_the_template_or_refused() {
    let reading = |unit| format!(r#"{{"value":212,"meta":{{"unit":"{unit}"}}}}"#);
    let (fahrenheit, celsius, bar) = (reading("[degF]"), reading("Cel"), reading("bar"));
    let subject = "iotpm.raw.s.a.t";
    let mut pipeline = pipeline(r#"[{"match":"*","unit":"Cel","kind":"temperature"}]"#);
    let messages = [(subject, &*bar), (subject, &*fahrenheit), (subject, &*celsius), (subject, r#"{"value":7}"#)];
    let chunk = run(&mut pipeline, &messages);
    let values = f64s(&chunk.tables.readings, "value");
    assert!((values[0].unwrap() - 100.0).abs() < 1e-9, "{values:?}");
    assert_eq!(values[1..], [Some(212.0), Some(7.0)]);
    assert_eq!(reasons(&chunk), [("incommensurable_units".to_owned(), 0)]);
    assert_eq!(u64s(&chunk.tables.signals, "seq"), [2], "a refused reading makes no signal");
    assert_eq!(texts(&chunk.tables.signals, "unit"), ["Cel"]);
    assert_eq!(chunk.counters.unit_conversions, 1);
}

#[test]
fn without_a_template_the_first_stated_unit_counts() {
    let reading = |value: f64, unit| format!(r#"{{"value":{value},"meta":{{"unit":"{unit}"}}}}"#);
    let (metres, millimetres, seconds) = (reading(2.0, "m"), reading(2.0, "mm"), reading(2.0, "s"));
    let subject = "iotpm.raw.s.a.t";
    let messages = [(subject, &*metres), (subject, &*millimetres), (subject, &*seconds)];
    let chunk = run(&mut pipeline("[]"), &messages);
    assert_eq!(f64s(&chunk.tables.readings, "value"), [Some(2.0), Some(0.002)]);
    assert_eq!(reasons(&chunk), [("incommensurable_units".to_owned(), 0)]);
}

#[test]
fn a_configuration_acts_from_its_own_sequence() {
    let hot = |unit: &str| format!(r#"[{{"match":"*","unit":"{unit}","limits":{{"hi":50}},"begin_at_once":1}}]"#);
    let mut pipeline = pipeline("[]");
    let (cel, kelvin) = (hot("Cel"), hot("K"));
    let reading = r#"{"value":60,"meta":{"unit":"Cel"}}"#;
    let chunk = run(
        &mut pipeline,
        &[
            ("iotpm.raw.s.a.t", reading),
            ("iotpm.ctl.0.configuration", &cel),
            ("iotpm.raw.s.a.t", reading),
            ("iotpm.ctl.0.configuration", &kelvin),
            ("iotpm.raw.s.a.t", reading),
        ],
    );
    assert_eq!(f64s(&chunk.tables.readings, "value"), [Some(60.0), Some(60.0), Some(333.15)]);
    assert_eq!(chunk.tables.anomaly_log.column_by_name("seq").unwrap().as_primitive::<UInt64Type>().value(0), 3);
    let event: serde_json::Value = serde_json::from_slice(&chunk.outbox[0].payload).unwrap();
    assert_eq!(event["data"]["unit"], "Cel", "the unit of the time, not of the end of the chunk");
    assert_eq!((event["data"]["sensor_id"].as_str(), chunk.counters.controls), (Some("s/a/t"), 2));
}

#[test]
fn what_cannot_be_used_is_a_dead_letter_with_its_reason() {
    let chunk = run(
        &mut pipeline("[]"),
        &[
            ("iotpm.raw.s.a", "{\"value\":"),
            ("iotpm.raw.s", r#"{"value":1}"#),
            ("iotpm.raw.s.a.t.u", r#"{"value":1}"#),
            ("iotpm.raw.s.%zz", r#"{"value":1}"#),
            ("iotpm.tick.1", ""),
            ("iotpm.ctl.0.opinion", "{}"),
            ("iotpm.ctl.0.configuration", r#"[{"windw_s":1}]"#),
            ("iotpm.ctl.0.configuration", r#"[{"window_s":-1}]"#),
            ("iotpm.raw.s.a.t", r#"{"value":1,"timestamp":"2999-01-01T00:00:00Z"}"#),
        ],
    );
    let wanted = [
        "invalid_json",
        "invalid_subject",
        "invalid_subject",
        "invalid_subject",
        "unknown_subject",
        "unknown_control",
        "invalid_configuration",
        "invalid_configuration",
        "future_timestamp",
    ];
    assert_eq!(texts(&chunk.tables.dead_letters, "reason"), wanted);
    assert_eq!(u64s(&chunk.tables.dead_letters, "seq"), (1..=9).collect::<Vec<_>>());
    assert_eq!(chunk.counters.dead_letters, 9);
    let payloads = chunk.tables.dead_letters.column_by_name("payload").unwrap().as_binary::<i32>();
    assert_eq!(payloads.value(0), b"{\"value\":");
    assert_eq!(payloads.value(8), br#"{"signal":"s/a/t","time_us":32472144000000000,"value":1.0}"#);
    assert!(texts(&chunk.tables.dead_letters, "detail")[6].contains("windw_s"));
}

#[test]
fn a_message_of_many_bad_readings_keeps_its_payload_once() {
    let chunk = run(&mut pipeline("[]"), &[("iotpm.raw.s.a.t", r#"[{"value":"x"},{"value":1},{"value":"y"}]"#)]);
    assert_eq!(reasons(&chunk), [("not_numeric".to_owned(), 0), ("not_numeric".to_owned(), 2)]);
    let payloads = chunk.tables.dead_letters.column_by_name("payload").unwrap().as_binary::<i32>();
    assert_eq!((payloads.value(0).len(), payloads.value(1).len()), (41, 0));
    assert_eq!(chunk.readings_count, 1);
}

#[test]
fn signals_beyond_the_limit_are_dead_letters() {
    let options = PipelineOptions { max_signals: 1, ..PipelineOptions::default() };
    let mut pipeline = Pipeline::new(options, None).unwrap();
    let reading = r#"{"value":1}"#;
    let chunk =
        run(&mut pipeline, &[("iotpm.raw.s.a.t", reading), ("iotpm.raw.s.a.u", reading), ("iotpm.raw.s.a.t", reading)]);
    assert_eq!((reasons(&chunk), chunk.readings_count), (vec![("too_many_signals".to_owned(), 0)], 2));
    assert_eq!(chunk.counters.too_many_signals, 1);
    assert!(matches!(pipeline.signal_id("s/a/v"), Err(NodeError::TooManySignals { max: 1, .. })));
}

#[test]
fn a_stream_of_virtual_time_needs_its_header() {
    let options = PipelineOptions { virtual_time: true, ..PipelineOptions::default() };
    let mut pipeline = Pipeline::new(options, None).unwrap();
    let mut with = message(2, "iotpm.raw.s.a.t", r#"{"value":1}"#);
    with.virtual_time_us = Some(5_000_000);
    let without = [message(1, "iotpm.raw.s.a.t", r#"{"value":1}"#), with, message(3, "iotpm.tick.0", "")];
    let chunk = pipeline.run(&without).unwrap();
    assert_eq!(texts(&chunk.tables.dead_letters, "reason"), ["missing_stream_time", "missing_stream_time"]);
    assert_eq!((chunk.readings_count, chunk.counters.ticks), (1, 0));
}

#[test]
fn a_producer_that_repeats_itself_is_dropped_and_counted() {
    let mut pipeline = pipeline("[]");
    let ids = ["gate:1:1", "gate:1:2", "gate:1:2", "gate:1:1", "nonsense", "gate:2:1"];
    let send = |(at, id): (u64, &&str)| {
        let payload = format!(r#"{{"value":{at}}}"#);
        RawMessage { message_id: Some((*id).into()), ..message(at, "iotpm.raw.s.a.t", &payload) }
    };
    let messages: Vec<_> = (1..).zip(&ids).map(send).collect();
    let chunk = pipeline.run(&messages).unwrap();
    assert_eq!(u64s(&chunk.tables.readings, "seq"), [1, 2, 5, 6]);
    assert_eq!((chunk.counters.source_duplicates, chunk.counters.malformed_ids), (2, 1));
    let sources = &chunk.tables.sources;
    assert_eq!(
        (texts(sources, "source"), u64s(sources, "epoch"), u64s(sources, "seq")),
        (vec!["gate".into()], vec![2], vec![6])
    );
}

#[test]
fn a_chunk_says_where_it_ends() {
    let mut pipeline = pipeline("[]");
    let chunk = pipeline.run(&[message(7, "iotpm.tick.0", ""), message(9, "iotpm.raw.s.a.t", "1")]).unwrap();
    assert_eq!((chunk.first_seq, chunk.last_seq, chunk.messages), (7, 9, 2));
    assert_eq!(chunk.last_time_us, TIME_US + 9_000_000);
    assert_eq!(chunk.last_hash, message_hash(b"iotpm.raw.s.a.t", b"1"));
    let empty = pipeline.run(&[]).unwrap();
    assert_eq!((empty.first_seq, empty.last_seq, empty.last_hash), (0, 9, chunk.last_hash));
}

#[test]
fn what_is_refused_before_it_runs_changes_nothing() {
    let mut pipeline = pipeline("[]");
    let id = pipeline.signal_id("s/a/t").unwrap();
    let refused = pipeline.run(&[message(2, "iotpm.tick.0", ""), message(2, "iotpm.tick.0", "")]).unwrap_err();
    assert!(matches!(refused, NodeError::SequenceNotAscending { previous: 2, sequence: 2 }));
    let rows = Rows {
        signals: &[id, id],
        times_us: &[1, 2],
        values: &[1.0, 2.0],
        quality: None,
        sequences: None,
        stream_times_us: None,
    };
    let wrong: [(Rows<'_>, &str); 5] = [
        (Rows { values: &[1.0], ..rows }, "values has 1 values: must have 2, one for every reading"),
        (Rows { signals: &[id, 9], ..rows }, "signal number 9 is not registered with this engine"),
        (Rows { quality: Some(&[0, 7]), ..rows }, "quality = 7 at row 1: must be 0 (good), 1 (uncertain) or 2 (bad)"),
        (
            Rows { sequences: Some(&[2, 1]), ..rows },
            "sequence 1 follows 2: sequences must ascend; continue after the last one",
        ),
        (
            Rows { sequences: Some(&[0, 1]), ..rows },
            "sequence 0 follows 0: sequences must ascend; continue after the last one",
        ),
    ];
    for (rows, wanted) in wrong {
        assert_eq!(pipeline.push(&rows).unwrap_err().to_string(), wanted);
    }
    let name = pipeline.signal_id("pump").unwrap_err();
    assert_eq!(name.to_string(), "signal 'pump': must be 'site/asset/signal', at most 512 bytes");
    assert!(matches!(
        pipeline.push_waveform(id, 0, 0.0, vec![1.0], None, None),
        Err(NodeError::InvalidArgument { .. })
    ));
    assert!(matches!(
        pipeline.push_waveform(5, 0, 1.0, vec![1.0], None, None),
        Err(NodeError::Core(CoreError::UnknownSignal { signal: 5 }))
    ));
    assert_eq!(pipeline.push(&rows).unwrap().readings_count, 2);
    assert_eq!(pipeline.counters().messages, 2);
}

#[test]
fn columns_give_the_rows_that_messages_give() {
    let limits = r#"[{"match":"*","limits":{"hi":5},"begin_at_once":1}]"#;
    let payloads: Vec<_> = (0..60).map(|at| format!(r#"{{"value":{}}}"#, at % 7)).collect();
    let messages: Vec<_> = payloads.iter().map(|payload| ("iotpm.raw.s.a.t", payload.as_str())).collect();
    let mut by_message = pipeline(limits);
    let wanted = run(&mut by_message, &messages);
    let mut by_column = pipeline(limits);
    let id = by_column.signal_id("s/a/t").unwrap();
    let times_us: Vec<_> = (1..=60).map(|at| TIME_US + at * 1_000_000).collect();
    let values: Vec<_> = (0..60).map(|at| f64::from(at % 7)).collect();
    let got = by_column.push(&Rows {
        signals: &[id; 60],
        times_us: &times_us,
        values: &values,
        quality: None,
        sequences: None,
        stream_times_us: Some(&times_us),
    });
    let got = got.unwrap();
    assert!(wanted.tables.anomaly_log.num_rows() > 0 && wanted.tables.windows.num_rows() > 0);
    for ((name, got), (_, wanted)) in got.tables.named().into_iter().zip(wanted.tables.named()) {
        assert!(name == "signals" || got == wanted, "{name}");
    }
    assert_eq!(got.outbox, wanted.outbox);
}

#[test]
fn a_signal_known_by_name_only_survives_a_snapshot() {
    let mut pipeline = pipeline("[]");
    let id = pipeline.signal_id("s/a/t").unwrap();
    let snapshot = pipeline.snapshot().unwrap().encode().unwrap();
    let options = PipelineOptions { shards: 3, ..PipelineOptions::default() };
    let mut restored = Pipeline::new(options, Some(&snapshot)).unwrap();
    assert_eq!((restored.signal_id("s/a/t").unwrap(), restored.signal_name(id)), (id, Some("s/a/t")));
    let chunk = run(&mut restored, &[("iotpm.raw.s.a.t", r#"{"value":1}"#)]);
    assert_eq!((texts(&chunk.tables.signals, "name"), chunk.readings_count), (vec!["s/a/t".to_owned()], 1));
}

#[test]
fn a_store_behind_its_snapshot_is_refused() {
    let mut pipeline = pipeline("[]");
    run(&mut pipeline, &[("iotpm.tick.0", ""), ("iotpm.tick.0", "")]);
    let snapshot = pipeline.snapshot().unwrap().encode().unwrap();
    let behind = PipelineOptions { discard_through: Some(1), ..PipelineOptions::default() };
    let refused = Pipeline::new(behind, Some(&snapshot)).err().unwrap().to_string();
    assert!(refused.contains("discard_through = 1"), "{refused}");
}

#[test]
fn control_without_a_broker() {
    let mut pipeline = pipeline("[]");
    assert_eq!(pipeline.control("end", Bytes::new()).unwrap().counters.controls, 1);
    let refused = pipeline.control("configuration", Bytes::from_static(b"{}")).unwrap();
    assert_eq!(texts(&refused.tables.dead_letters, "reason"), ["invalid_configuration"]);
    assert_eq!(pipeline.tick(TIME_US).unwrap().counters.ticks, 1);
}

/// A signal at 1 Hz that falls silent while another goes on, in columns cut after `cut` rows.
fn silent_after(cut: usize, tick_every_us: Option<i64>) -> Vec<String> {
    let options = PipelineOptions { tick_every_us, virtual_time: true, ..PipelineOptions::default() };
    let mut pipeline = Pipeline::new(options, None).unwrap();
    let ids = [pipeline.signal_id("s/a/silent").unwrap(), pipeline.signal_id("s/a/other").unwrap()];
    let rows: Vec<_> = (0..600).filter(|at| at % 2 == 1 || *at < 200).collect();
    let signals: Vec<_> = rows.iter().map(|at| ids[at % 2]).collect();
    let times_us: Vec<_> = rows.iter().map(|at| TIME_US + (*at as i64 / 2) * 1_000_000).collect();
    let values: Vec<_> = rows.iter().map(|at| (at % 11) as f64).collect();
    let (mut begun, cut) = (Vec::new(), cut.min(rows.len()));
    for part in [0..cut, cut..rows.len()] {
        let chunk = pipeline.push(&Rows {
            signals: &signals[part.clone()],
            times_us: &times_us[part.clone()],
            values: &values[part.clone()],
            quality: None,
            sequences: None,
            stream_times_us: Some(&times_us[part]),
        });
        begun.extend(texts(&chunk.unwrap().tables.anomaly_log, "detector"));
    }
    begun
}

#[test]
fn columns_bring_their_ticks_along() {
    assert_eq!(silent_after(250, None), Vec::<String>::new());
    for cut in [0, 1, 199, 200, 250, 1000] {
        assert_eq!(silent_after(cut, Some(1_000_000)), ["gap"], "cut after {cut}");
    }
}

#[test]
fn a_seeded_pipeline_begins_at_its_own_sequence() {
    let mut history = pipeline("[]");
    for _ in 0..40 {
        run(&mut history, &[("iotpm.raw.s.a.t", r#"{"value":1,"meta":{"unit":"Cel"}}"#)]);
    }
    history.control("end", Bytes::new()).unwrap();
    let snapshot = history.snapshot().unwrap().encode().unwrap();
    let options = PipelineOptions { seed_at: Some(5), discard_through: Some(5), ..PipelineOptions::default() };
    let mut seeded = Pipeline::new(options, Some(&snapshot)).unwrap();
    assert_eq!((seeded.sequence(), seeded.signals(), seeded.next_outbox_seq()), (5, 1, 1));
    assert_eq!(seeded.counters(), PipelineCounters::default());
    let kelvin = r#"{"value":300.15,"meta":{"unit":"K"}}"#;
    let chunk = seeded.run(&[message(60, "iotpm.raw.s.a.t", kelvin)]).unwrap();
    assert_eq!((chunk.first_seq, chunk.readings_count, chunk.tables.signals.num_rows()), (60, 1, 0));
    assert_eq!(chunk.counters.unit_conversions, 1);
}
