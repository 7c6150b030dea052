//! Line protocol as a table of what is accepted and what is refused, and why.
mod common;

use common::{Reading, decode, decode_with, reasons, single};
use iotpm_codec::{Limits, encode};
use iotpm_core::Quality;
use proptest::prelude::*;

fn readings(payload: &str) -> Vec<Reading> {
    decode(payload.as_bytes()).iter().map(|event| event.reading().clone()).collect()
}

#[test]
fn a_full_line() {
    let reading =
        single(b"weather,sensor_id=a-1,unit=Cel,location=hall\\ 3,host=h temperature=21.53 1763712000000000999\n");
    assert_eq!(
        reading,
        Reading {
            sensor_id: Some("a-1".into()),
            metric: Some("temperature".into()),
            signal: None,
            time_us: Some(1_763_712_000_000_000),
            value: 21.53,
            quality: Quality::Good,
            unit: Some("Cel".into()),
            location: Some("hall 3".into()),
        }
    );
}

#[test]
fn without_the_tag_the_measurement_is_the_sensor() {
    let reading = single(b"cpu,host=a usage=1");
    assert_eq!((reading.sensor_id.as_deref(), reading.time_us), (Some("cpu"), None));
}

#[test]
fn every_field_is_a_reading_of_its_own() {
    let all = readings("m a=1,b=-2.5e1,c=3i,d=4u 1000\r\n\n# a comment\nn e=.5 -1000");
    let told: Vec<_> = all.iter().map(|r| (r.metric.as_deref().unwrap(), r.value, r.time_us.unwrap())).collect();
    assert_eq!(told, [("a", 1.0, 1), ("b", -25.0, 1), ("c", 3.0, 1), ("d", 4.0, 1), ("e", 0.5, -1)]);
}

#[test]
fn escapes_and_spaces() {
    let reading = single(b"my\\,measure\\ ment=x,u\\=v=w  fi\\ eld\\=\\,\\q=1   1000  ");
    assert_eq!(reading.sensor_id.as_deref(), Some("my,measure ment=x"));
    assert_eq!(reading.metric.as_deref(), Some("fi eld=,\\q"));
}

#[test]
fn a_bad_field_costs_itself_only() {
    let payload =
        "m a=1,b=true,c=\"te\\\"xt, with a=1\nand a line\",d=2,e=1e999,f=nan,g=0x1,h=9223372036854775808i 1000\nm a=3";
    let expected = [
        "accepted",
        "not_numeric",
        "not_numeric",
        "accepted",
        "number_out_of_range",
        "not_numeric",
        "not_numeric",
        "not_numeric",
        "accepted",
    ];
    assert_eq!(reasons(&decode(payload.as_bytes())), expected);
}

#[test]
fn a_bad_line_costs_itself_only() {
    let good = "m a=1 1000";
    let table = [
        ("m", "invalid_line_protocol"),
        ("m ", "invalid_line_protocol"),
        (",x=1 a=1", "invalid_line_protocol"),
        ("m,x a=1", "invalid_line_protocol"),
        ("m,x= a=1", "invalid_line_protocol"),
        ("m,unit=a,unit=b a=1", "invalid_line_protocol"),
        ("m a", "invalid_line_protocol"),
        ("m a=", "invalid_line_protocol"),
        ("m a=1,", "invalid_line_protocol"),
        ("m =1", "invalid_line_protocol"),
        ("m a=1 soon", "invalid_timestamp"),
        ("m a=1 1.5", "invalid_timestamp"),
        ("m a=1 99999999999999999999", "invalid_timestamp"),
        ("m a=1 1 1", "invalid_timestamp"),
    ];
    for (line, reason) in table {
        let payload = format!("{good}\n{line}\n{good}");
        assert_eq!(reasons(&decode(payload.as_bytes())), ["accepted", reason, "accepted"], "{line}");
    }
    let unclosed = format!("{good}\nm a=\"x\n{good}");
    assert_eq!(reasons(&decode(unclosed.as_bytes())), ["accepted", "invalid_line_protocol", "accepted"]);
}

#[test]
fn a_message_without_any_line_is_one_refusal() {
    for (payload, reason) in [
        (&b"hello\nworld\n"[..], "invalid_line_protocol"),
        (b"# nothing\n\n", "empty_payload"),
        (b"m a=1\nm\xff a=1", "invalid_line_protocol"),
    ] {
        assert_eq!(reasons(&decode(payload)), [reason]);
    }
}

#[test]
fn limits_hold() {
    let limits = Limits { max_readings: 3, max_columns: 2, max_string_bytes: 4, ..Limits::default() };
    let reasons_of = |payload: &str| reasons(&decode_with(limits, None, payload.as_bytes()));
    assert_eq!(reasons_of("m a=1,b=2\nm a=1"), ["accepted"; 3]);
    assert_eq!(reasons_of("m a=1,b=2\nm a=1\nm a=1"), ["too_many_readings"]);
    assert_eq!(reasons_of("m a=1,b=2,c=3"), ["invalid_line_protocol"]);
    assert_eq!(reasons_of("m,a=1,b=2,c=3 a=1"), ["invalid_line_protocol"]);
    assert_eq!(reasons_of("m\\ easure a=1"), ["string_too_long"]);
}

#[test]
fn cut_anywhere_nothing_panics() {
    let payload = "me\\,s,sensor_id=ä,t=\\ x fi=1.5,t=\"a\\\"b\",g=2i 1763712000000000000\n# c\nm b=2\n".as_bytes();
    for end in 0..=payload.len() {
        assert!(!decode(&payload[..end]).is_empty());
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        sensor in "[a-z ,=äö\"]{0,8}[a-z]",
        metric in "[a-z ,=äö\"]{0,8}[a-z]",
        unit in prop::option::of("[a-z ,=%°\"]{1,8}"),
        value in any::<f64>().prop_filter("finite", |value| value.is_finite()),
        time_us in prop::option::of(-9_000_000_000_000_000..9_000_000_000_000_000_i64),
    ) {
        let reading = Reading {
            sensor_id: Some(sensor), metric: Some(metric), signal: None, time_us, value, quality: Quality::Good, unit,
            location: None,
        };
        let mut payload = Vec::new();
        encode::line(&reading.view(), &mut payload).unwrap();
        let events = decode_with(Limits::default(), Some("text/x-influx-line"), &payload);
        prop_assert_eq!(events[0].reading(), &reading);
    }
}
