//! JSON as a table of what is accepted and what is refused, and why.
mod common;

use common::{Reading, decode, decode_with, reasons, single};
use iotpm_codec::{Limits, encode};
use iotpm_core::Quality;
use proptest::prelude::*;

const FULL: &str = r#"{"sensor_id":"a-1","timestamp":1763712000000,"metric":"temperature","value":21.53,"quality":"uncertain","meta":{"unit":"Cel","location":"hall 3"}}"#;

#[test]
fn a_full_reading() {
    let expected = Reading {
        sensor_id: Some("a-1".into()),
        metric: Some("temperature".into()),
        signal: None,
        time_us: Some(1_763_712_000_000_000),
        value: 21.53,
        quality: Quality::Uncertain,
        unit: Some("Cel".into()),
        location: Some("hall 3".into()),
    };
    assert_eq!(single(FULL.as_bytes()), expected);
    assert_eq!(single(format!("\u{feff} \n{FULL}\n").as_bytes()), expected);
}

#[test]
fn only_the_value_is_required() {
    let reading = single(br#"{"value":-1e3}"#);
    assert_eq!((reading.value, reading.quality), (-1_000.0, Quality::Good));
    assert!(reading.sensor_id.is_none() && reading.metric.is_none() && reading.time_us.is_none());
}

#[test]
fn null_and_empty_texts_count_as_absent() {
    let payload = br#"{"sensor_id":"","timestamp":null,"metric":null,"value":1,"quality":null,"meta":null}"#;
    assert_eq!(single(payload), single(br#"{"value":1}"#));
}

#[test]
fn values_that_are_no_numbers_are_non_finite_never_zero() {
    for value in ["null", r#""NaN""#, r#""Infinity""#, r#""-Infinity""#] {
        let reading = single(format!(r#"{{"value":{value},"quality":"good"}}"#).as_bytes());
        assert!(reading.value.is_nan() && reading.quality == Quality::NonFinite, "{value}");
    }
}

#[test]
fn numbers_keep_every_bit() {
    for text in [
        "21.530000000000001",
        "0.1",
        "5e-324",
        "1.7976931348623157e308",
        "9007199254740993",
        "-0.0",
        "-0",
        "-0e3",
        "123456789012345678901",
    ] {
        let expected: f64 = text.parse().unwrap();
        let reading = single(format!(r#"{{"value":{text}}}"#).as_bytes());
        assert_eq!(reading.value.to_bits(), expected.to_bits(), "{text}");
        let array = decode(format!(r#"[{{"value":0}},{{"value":{text}}}]"#).as_bytes());
        assert_eq!(array[1].reading().value.to_bits(), expected.to_bits(), "{text}");
    }
}

#[test]
fn unknown_keys_are_ignored_and_escapes_read() {
    let payload =
        br#"{"x":[{"value":{"y":1}}],"metric":"t\u0065mp\n","v\u0061lue":1,"meta":{"z":[],"unit":"\u00b0C"}}"#;
    let reading = single(payload);
    assert_eq!((reading.metric.as_deref(), reading.unit.as_deref()), (Some("temp\n"), Some("°C")));
}

#[test]
fn opc_numbers_are_qualities() {
    for (number, quality) in
        [("192", Quality::Good), ("64", Quality::Uncertain), ("0", Quality::Bad), ("216.0", Quality::Good)]
    {
        assert_eq!(single(format!(r#"{{"value":1,"quality":{number}}}"#).as_bytes()).quality, quality);
    }
}

#[test]
fn refusals_have_stable_reasons() {
    let long = format!(r#"{{"value":1,"metric":"{}"}}"#, "x".repeat(257));
    let deep = format!(r#"{{"value":1,"x":{}1{}}}"#, "[".repeat(20), "]".repeat(20));
    let table = [
        ("", "empty_payload"),
        (" \n ", "unknown_format"),
        ("[]", "empty_payload"),
        ("{}", "missing_value"),
        (r#"{"value":true}"#, "not_numeric"),
        (r#"{"value":"21.5"}"#, "not_numeric"),
        (r#"{"value":{}}"#, "not_numeric"),
        (r#"{"value":[1]}"#, "not_numeric"),
        (r#"{"value":1e999}"#, "number_out_of_range"),
        (r#"{"value":1,"value":2}"#, "duplicate_key"),
        (r#"{"value":1,"meta":{"unit":"a","unit":"b"}}"#, "duplicate_key"),
        (r#"{"value":1,"meta":{},"meta":{}}"#, "duplicate_key"),
        (r#"{"value":1,"sensor_id":7}"#, "wrong_type"),
        (r#"{"value":1,"metric":["a"]}"#, "wrong_type"),
        (r#"{"value":1,"meta":"Cel"}"#, "wrong_type"),
        (r#"{"value":1,"meta":[[]]}"#, "wrong_type"),
        (r#"{"value":1,"meta":{"unit":1}}"#, "wrong_type"),
        (r#"{"value":1,"timestamp":"yesterday"}"#, "invalid_timestamp"),
        (r#"{"value":1,"timestamp":true}"#, "invalid_timestamp"),
        (r#"{"value":1,"timestamp":{}}"#, "invalid_timestamp"),
        (r#"{"value":1,"timestamp":1e30}"#, "timestamp_out_of_range"),
        (r#"{"value":1,"quality":"fine"}"#, "invalid_quality"),
        (r#"{"value":1,"quality":150}"#, "invalid_quality"),
        (r#"{"value":1,"quality":false}"#, "invalid_quality"),
        (&long, "string_too_long"),
        (&deep, "too_deep"),
        (r#"{"value":NaN}"#, "invalid_json"),
        (r#"{"value":1} x"#, "invalid_json"),
        (r#"{"value":1}{"value":2}"#, "invalid_json"),
        (r#"{"value":01}"#, "invalid_json"),
        (r#"{"value":1,}"#, "invalid_json"),
        ("[1,2", "invalid_json"),
        (r#"{"value":1,"metric":"\ud800"}"#, "invalid_json"),
    ];
    for (payload, reason) in table {
        assert_eq!(reasons(&decode(payload.as_bytes())), [reason], "{payload}");
    }
    assert_eq!(reasons(&decode(b"{\"value\":1,\"metric\":\"\xff\"}")), ["invalid_json"]);
}

#[test]
fn a_bad_element_costs_itself_only() {
    let deep = "[".repeat(50) + &"]".repeat(50);
    let elements = [
        (r#"{"value":1}"#, "accepted"),
        (r#"{"value":"hot"}"#, "not_numeric"),
        ("7", "not_a_reading"),
        ("null", "not_a_reading"),
        (r#""x""#, "not_a_reading"),
        ("[1,[2]]", "not_a_reading"),
        (r#"{"value":1,"timestamp":"x","quality":"y"}"#, "invalid_timestamp"),
        (r#"{"value":2}"#, "accepted"),
    ];
    let slow = [(r#"{"value":1e999}"#, "number_out_of_range"), (&*format!(r#"{{"value":1,"x":{deep}}}"#), "too_deep")];
    for all in [elements.to_vec(), [&elements[..], &slow[..], &elements[..]].concat()] {
        let payload = format!("[{}]", all.iter().map(|element| element.0).collect::<Vec<_>>().join(","));
        assert_eq!(reasons(&decode(payload.as_bytes())), all.iter().map(|element| element.1).collect::<Vec<_>>());
    }
}

#[test]
fn both_ways_of_reading_an_array_allow_the_same_depth() {
    for depth in 1..20 {
        let nested = "[".repeat(depth) + &"]".repeat(depth);
        let element = format!(r#"{{"value":1,"x":{nested}}}"#);
        let fast = decode(format!("[{element}]").as_bytes());
        let slow = decode(format!(r#"[{element},{{"value":1e999}}]"#).as_bytes());
        assert_eq!(fast[0], slow[0], "{depth}");
        assert_eq!(fast[0].reason() == "accepted", depth <= Limits::default().max_depth - 2);
    }
}

#[test]
fn limits_hold() {
    let limits = Limits { max_readings: 3, max_payload_bytes: 60, ..Limits::default() };
    let array = |n: usize| format!("[{}]", vec![r#"{"value":1}"#; n].join(","));
    let reasons_of = |payload: &str| reasons(&decode_with(limits, None, payload.as_bytes()));
    assert_eq!(reasons_of(&array(3)), ["accepted"; 3]);
    assert_eq!(reasons_of(&array(4)), ["too_many_readings"]);
    assert_eq!(reasons_of(&format!("{}{}", array(3), " ".repeat(60))), ["payload_too_large"]);
    assert_eq!(reasons_of(r#"[{"value":1e999},1,1,1]"#), ["too_many_readings"]);
}

#[test]
fn nesting_bombs_end_in_one_refusal() {
    for (open, reason) in [
        ("[", "invalid_json"),
        (r#"{"a":"#, "too_deep"),
        (r#"{"meta":"#, "too_deep"),
        (r#"[{"value":"#, "invalid_json"),
    ] {
        assert_eq!(reasons(&decode(open.repeat(200_000).as_bytes())), [reason], "{open}");
    }
    let closed = "[".repeat(200_000) + &"]".repeat(200_000);
    assert_eq!(reasons(&decode(closed.as_bytes())), ["too_deep"]);
    assert_eq!(reasons(&decode(format!(r#"[{{"value":1}},{closed}]"#).as_bytes())), ["accepted", "too_deep"]);
}

#[test]
fn a_decoder_forgets_the_message_before() {
    let mut decoder = iotpm_codec::Decoder::new(Limits::default());
    for payload in [&b"[{\"value\":1},{\"value\":2}]"[..], b"[", b"{\"value\":3}"] {
        let mut recorder = common::Recorder::default();
        decoder.decode(&iotpm_codec::Message { content_type: None, payload }, &mut recorder);
        assert_eq!(recorder.events, decode(payload));
    }
}

#[test]
fn cut_anywhere_it_is_one_refusal() {
    let array = format!("[{FULL},{FULL}]");
    for end in 1..array.len() {
        assert_eq!(reasons(&decode(&array.as_bytes()[..end])), ["invalid_json"], "{end}");
    }
    for end in 1..FULL.len() {
        assert_eq!(reasons(&decode(&FULL.as_bytes()[..end])), ["invalid_json"], "{end}");
    }
}

fn text() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[ -~]{1,20}|\\PC{1,20}|[\"\\\\\\n\\t/]{1,8}")
}

fn reading() -> impl Strategy<Value = Reading> {
    let time = prop::option::of(iotpm_codec::timestamp::MIN_US..253_402_207_200_000_000);
    let quality = prop::sample::select(vec![Quality::Good, Quality::Uncertain, Quality::Bad]);
    let value = any::<f64>().prop_filter("finite", |value| value.is_finite());
    (text(), text(), time, value, quality, text(), text()).prop_map(
        |(sensor_id, metric, time_us, value, quality, unit, location)| Reading {
            sensor_id,
            metric,
            signal: None,
            time_us,
            value,
            quality,
            unit,
            location,
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(readings in prop::collection::vec(reading(), 1..20)) {
        let views: Vec<_> = readings.iter().map(Reading::view).collect();
        let mut payload = Vec::new();
        encode::json_array(&views, &mut payload);
        let decoded: Vec<_> = decode(&payload).iter().map(|event| event.reading().clone()).collect();
        prop_assert_eq!(decoded, readings);
    }
}
