//! Arrow IPC streams: every layout that is accepted, and what is refused, and why.
mod common;

use std::{collections::HashMap, sync::Arc};

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float32Array, Float64Array, Int64Array, LargeStringArray,
    RecordBatch, StringArray, StringViewArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray, UInt8Array, UInt16Array, types::UInt8Type,
};
use arrow_ipc::writer::{DictionaryHandling, IpcWriteOptions, StreamWriter};
use arrow_schema::Schema;
use common::{Event, Reading, decode, decode_with, reasons};
use iotpm_codec::{Limits, encode};
use iotpm_core::Quality;
use proptest::prelude::*;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn stream(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = batch(columns);
    encode::record_batches(&batch.schema(), &[batch]).unwrap()
}

fn values() -> ArrayRef {
    Arc::new(Float64Array::from(vec![1.5, 2.5]))
}

fn readings(payload: &[u8]) -> Vec<Reading> {
    decode(payload).iter().map(|event| event.reading().clone()).collect()
}

#[test]
fn a_full_stream() {
    let payload = stream(vec![
        ("timestamp", Arc::new(Int64Array::from(vec![Some(5), None]))),
        ("value", Arc::new(Float64Array::from(vec![Some(1.5), None]))),
        ("signal", Arc::new(StringArray::from(vec![Some("s"), Some("")]))),
        ("sensor_id", Arc::new(LargeStringArray::from(vec![Some("a"), None]))),
        ("metric", Arc::new(StringViewArray::from(vec!["a metric longer than twelve bytes", "t"]))),
        ("unit", Arc::new(vec![Some("Cel"), None].into_iter().collect::<DictionaryArray<UInt8Type>>())),
        ("location", Arc::new(StringArray::from(vec!["hall", "yard"]))),
        ("quality", Arc::new(StringArray::from(vec![Some("bad"), None]))),
        ("ignored", Arc::new(BooleanArray::from(vec![true, false]))),
    ]);
    let all = readings(&payload);
    assert_eq!(
        all[0],
        Reading {
            sensor_id: Some("a".into()),
            metric: Some("a metric longer than twelve bytes".into()),
            signal: Some("s".into()),
            time_us: Some(5),
            value: 1.5,
            quality: Quality::Bad,
            unit: Some("Cel".into()),
            location: Some("hall".into()),
        }
    );
    assert!(all[1].value.is_nan() && all[1].quality == Quality::NonFinite);
    assert_eq!((all[1].time_us, &all[1].signal, &all[1].sensor_id, &all[1].unit), (None, &None, &None, &None));
}

#[test]
fn the_content_type_names_it_too() {
    let events =
        decode_with(Limits::default(), Some("application/vnd.apache.arrow.stream"), &stream(vec![("value", values())]));
    assert_eq!(reasons(&events), ["accepted"; 2]);
}

#[test]
fn timestamps_of_every_unit_become_microseconds() {
    let columns: [(ArrayRef, i64); 4] = [
        (Arc::new(TimestampSecondArray::from(vec![-1, 1]).with_timezone("Europe/Berlin")), -1_000_000),
        (Arc::new(TimestampMillisecondArray::from(vec![-1, 1])), -1_000),
        (Arc::new(TimestampNanosecondArray::from(vec![-1, 1])), -1),
        (Arc::new(Int64Array::from(vec![-1, 1])), -1),
    ];
    for (times, expected) in columns {
        assert_eq!(readings(&stream(vec![("timestamp", times), ("value", values())]))[0].time_us, Some(expected));
    }
}

#[test]
fn values_of_every_width_are_numbers() {
    let columns: [ArrayRef; 3] = [
        Arc::new(Float32Array::from(vec![7.0])),
        Arc::new(Int64Array::from(vec![7])),
        Arc::new(UInt16Array::from(vec![7])),
    ];
    for value in columns {
        assert_eq!(readings(&stream(vec![("value", value)]))[0].value, 7.0);
    }
}

#[test]
fn a_bad_row_costs_itself_only() {
    let payload = stream(vec![
        ("value", Arc::new(Float64Array::from(vec![1.0; 4]))),
        ("timestamp", Arc::new(TimestampSecondArray::from(vec![0, i64::MAX, 0, 0]))),
        ("quality", Arc::new(UInt8Array::from(vec![192, 192, 130, 0]))),
        ("metric", Arc::new(StringArray::from(vec!["x", "x", "x", &"x".repeat(257)]))),
    ]);
    assert_eq!(
        reasons(&decode(&payload)),
        ["accepted", "timestamp_out_of_range", "invalid_quality", "string_too_long"]
    );
}

#[test]
fn batches_count_on_and_may_change_dictionaries() {
    let one = |name: &str| {
        let signal: DictionaryArray<UInt8Type> = [name, name].into_iter().collect();
        batch(vec![("value", values()), ("signal", Arc::new(signal))])
    };
    let batches = [one("a"), one("b")];
    let all = readings(&encode::record_batches(&batches[0].schema(), &batches).unwrap());
    assert_eq!(all.iter().map(|reading| reading.signal.as_deref().unwrap()).collect::<Vec<_>>(), ["a", "a", "b", "b"]);
}

#[test]
fn refusals_have_stable_reasons() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![1, 2]));
    let table = [
        (stream(vec![("metric", texts.clone())]), "missing_column"),
        (stream(vec![("value", texts.clone())]), "wrong_type"),
        (stream(vec![("value", values()), ("timestamp", texts.clone())]), "wrong_type"),
        (stream(vec![("value", values()), ("timestamp", values())]), "wrong_type"),
        (stream(vec![("value", values()), ("signal", values())]), "wrong_type"),
        (stream(vec![("value", values()), ("quality", Arc::new(BooleanArray::from(vec![true, true])))]), "wrong_type"),
        (stream(vec![("value", values()), ("x", dates)]), "invalid_arrow"),
        (stream(vec![("value", values()), ("value", values())]), "invalid_arrow"),
        (stream(vec![("value", Arc::new(Float64Array::from(Vec::<f64>::new())))]), "empty_payload"),
        (stream(vec![("value", values()), (&"x".repeat(257), values())]), "string_too_long"),
    ];
    for (index, (payload, reason)) in table.iter().enumerate() {
        assert_eq!(reasons(&decode(payload)), [*reason], "case {index}");
    }
}

#[test]
fn bytes_after_the_end_and_delta_dictionaries_are_refused() {
    let mut payload = stream(vec![("value", values())]);
    payload.push(0);
    assert_eq!(reasons(&decode(&payload)), ["invalid_arrow"]);
    let one = |names: [&str; 2]| {
        let keys = UInt8Array::from(vec![0, names.len() as u8 - 1]);
        let dictionary = DictionaryArray::<UInt8Type>::new(keys, Arc::new(StringArray::from(names.to_vec())));
        batch(vec![("value", values()), ("signal", Arc::new(dictionary) as ArrayRef)])
    };
    let wider = {
        let dictionary = DictionaryArray::<UInt8Type>::new(
            UInt8Array::from(vec![0, 2]),
            Arc::new(StringArray::from(vec!["a", "b", "c"])),
        );
        batch(vec![("value", values()), ("signal", Arc::new(dictionary) as ArrayRef)])
    };
    let options = IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta);
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &wider.schema(), options).unwrap();
    writer.write(&one(["a", "b"])).unwrap();
    writer.write(&wider).unwrap();
    let events = decode(&writer.into_inner().unwrap());
    assert!(matches!(&events[..], [Event::Reject(error)] if error.to_string().contains("delta")), "{events:?}");
}

#[test]
fn limits_hold() {
    let payload = stream(vec![("value", values()), ("metric", Arc::new(StringArray::from(vec!["a", "b"])))]);
    for (limits, reason) in [
        (Limits { max_readings: 1, ..Limits::default() }, "too_many_readings"),
        (Limits { max_columns: 1, ..Limits::default() }, "invalid_arrow"),
        (Limits { max_payload_bytes: 10, ..Limits::default() }, "payload_too_large"),
    ] {
        assert_eq!(reasons(&decode_with(limits, None, &payload)), [reason]);
    }
    let batches = vec![batch(vec![("value", values())]); 3];
    let payload = encode::record_batches(&batches[0].schema(), &batches).unwrap();
    let limits = Limits { max_readings: 5, ..Limits::default() };
    assert_eq!(reasons(&decode_with(limits, None, &payload)), ["too_many_readings"]);
}

#[test]
fn metadata_of_producers_is_ignored() {
    let columns = batch(vec![("value", values())]);
    let metadata = HashMap::from([("pandas".to_owned(), "x".repeat(20_000))]);
    let schema = Schema::new_with_metadata(columns.schema().fields().clone(), metadata);
    let columns = columns.with_schema(Arc::new(schema)).unwrap();
    assert_eq!(readings(&encode::record_batches(&columns.schema(), &[columns]).unwrap()).len(), 2);
}

/// Cut at the end of a message the stream is valid (its end mark is optional), anywhere else it is refused.
#[test]
fn cut_anywhere_it_is_one_refusal_or_whole_batches() {
    let one = || batch(vec![("value", values()), ("signal", Arc::new(StringArray::from(vec!["a", "b"])))]);
    let payload = encode::record_batches(&one().schema(), &[one(), one()]).unwrap();
    let mut whole = Vec::new();
    for end in 1..payload.len() {
        let typed = decode_with(Limits::default(), Some("application/vnd.apache.arrow.stream"), &payload[..end]);
        match typed.len() {
            1 => assert_ne!(typed[0].reason(), "accepted", "{end}"),
            rows => whole.push((end, rows)),
        }
    }
    assert_eq!(whole.iter().map(|(_, rows)| *rows).collect::<Vec<_>>(), [2, 4]);
}

#[test]
fn hostile_lengths_are_refused() {
    let payload = stream(vec![("value", values())]);
    for length in [i32::MIN, -1, i32::MAX, payload.len() as i32] {
        let mut patched = payload.clone();
        patched[4..8].copy_from_slice(&length.to_le_bytes());
        assert_eq!(reasons(&decode(&patched)), ["invalid_arrow"], "{length}");
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        rows in prop::collection::vec(("[a-z]{1,3}", -9_000_000_000_000_000..9_000_000_000_000_000_i64, any::<f64>()), 1..100),
        named in any::<bool>(),
    ) {
        let signals: Vec<&str> = rows.iter().map(|row| &*row.0).collect();
        let (times, values): (Vec<i64>, Vec<f64>) = rows.iter().map(|row| (row.1, row.2)).unzip();
        let payload = encode::arrow_stream(named.then_some(&signals), &times, &values).unwrap();
        for (reading, (signal, time_us, value)) in readings(&payload).iter().zip(&rows) {
            prop_assert_eq!(reading.signal.as_ref(), named.then_some(signal));
            prop_assert_eq!(reading.time_us, Some(*time_us));
            prop_assert_eq!(reading.value.to_bits(), value.to_bits());
            prop_assert_eq!(reading.quality == Quality::NonFinite, !value.is_finite());
        }
    }
}
