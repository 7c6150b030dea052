//! Malformed messages: nothing panics, nothing is silent, memory stays bounded.
//!
//! `IOTPM_HOSTILE_CASES` sets the number of messages (default 1,000,000).
mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray, StringViewArray, types::Int32Type,
};
use common::Event;
use iotpm_codec::{
    CodecError, Limits, encode,
    timestamp::{MAX_US, MIN_US},
    waveform::{self, Frame, Samples},
};
use iotpm_core::Quality;
use serde_json::value::RawValue;

/// The system's allocator, remembering the largest request.
struct Watching;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Messages here are below 4 KiB, and none holds more than 64 readings or 1,024 samples.
const LARGEST_ALLOWED: usize = 1 << 20;
const LIMITS: Limits = Limits {
    max_payload_bytes: 4 << 10,
    max_readings: 64,
    max_depth: 8,
    max_string_bytes: 32,
    max_samples: 1 << 10,
    max_columns: 16,
};

/// xorshift64*, so that a failing case can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound.max(1)
    }
}

const JSON: &str = r#"[{"sensor_id":"a-1","timestamp":"2026-01-31T12:00:00.5Z","metric":"t\u00e9","value":21.53,"quality":"good","meta":{"unit":"Cel","location":"h"},"x":[{"y":null}]},{"value":-1.5e3,"timestamp":1763712000000,"quality":192},{"value":"NaN","extra":true}]"#;
const LINES: &str =
    "m,sensor_id=a\\ b,unit=Cel t=21.5,n=3i,u=4u,s=\"a \\\" b\",b=true 1763712000000000000\n# c\ncpu usage=.5 17\n";

fn arrow() -> Vec<u8> {
    let signal: DictionaryArray<Int32Type> = vec![Some("one"), None, Some("two"), Some("one")].into_iter().collect();
    let columns: [(&str, ArrayRef); 5] = [
        ("timestamp", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))),
        ("value", Arc::new(Float64Array::from(vec![Some(1.0), None, Some(3.0), Some(f64::NAN)]))),
        ("signal", Arc::new(signal)),
        ("unit", Arc::new(StringViewArray::from(vec![Some("Cel"), None, Some("a unit longer than twelve"), Some("")]))),
        ("metric", Arc::new(StringArray::from(vec![Some("t"), Some("u"), None, Some("v")]))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    encode::record_batches(&batch.schema(), &[batch.clone(), batch]).unwrap()
}

fn wave() -> Vec<u8> {
    let samples = Samples::I16(&[1, 2, 3, -4]);
    let frame = Frame { signal: "v", start_us: 1, rate_hz: 100.0, unit: "m/s2", scale: 0.5, offset: 1.0, samples };
    waveform::encode(&frame, &LIMITS).unwrap()
}

/// Every format with its content type, so that a changed first byte does not lead away from its decoder.
fn seeds() -> Vec<(Option<&'static str>, Vec<u8>)> {
    vec![
        (Some("application/json"), JSON.into()),
        (Some("text/x-influx-line"), LINES.into()),
        (Some("application/vnd.apache.arrow.stream"), arrow()),
        (Some("application/vnd.iotpm.waveform"), wave()),
    ]
}

/// Changes that parsers dislike: bits, bytes, lengths, cuts, repetitions, and pieces of other messages.
fn mutate(payload: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    const NUMBERS: [i64; 10] = [0, 1, -1, 0x7F, 0xFFFF, i32::MAX as i64, i32::MIN as i64, i64::MAX, i64::MIN, 1 << 40];
    const PIECES: [&[u8]; 10] = [b"\"", b"\\", b"{", b"[", b"]", b",", b"1e999", b"\xFF\xFE", b"\n", b"\"value\":"];
    let at = random.below(payload.len());
    match random.below(9) {
        0 => payload[at] ^= 1 << random.below(8),
        1 => payload[at] = random.next() as u8,
        2 => payload.truncate(at.max(1)),
        3 => _ = payload.remove(at),
        4 | 5 => {
            let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
            let width = [1, 2, 4, 8][random.below(4)].min(payload.len() - at);
            payload[at..at + width].copy_from_slice(&number[..width]);
        }
        6 => _ = payload.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied()),
        7 => {
            let end = (at + random.below(32)).min(payload.len());
            payload.extend_from_within(at..end);
        }
        _ => {
            let from = random.below(other.len());
            let piece = &other[from..(from + random.below(32)).min(other.len())];
            _ = payload.splice(at..at, piece.iter().copied());
        }
    }
    if payload.is_empty() {
        payload.push(0);
    }
}

/// What holds for every message whatsoever.
fn check(events: &[Event], seed: u64) {
    assert!(!events.is_empty(), "silence at {seed:#x}");
    assert!(events.len() <= LIMITS.max_readings, "too many at {seed:#x}");
    for event in events {
        match event {
            Event::Reading(reading) => {
                assert!(reading.time_us.is_none_or(|time_us| (MIN_US..=MAX_US).contains(&time_us)), "{seed:#x}");
                assert_eq!(reading.quality == Quality::NonFinite, !reading.value.is_finite(), "{seed:#x}");
                let texts = [&reading.sensor_id, &reading.metric, &reading.signal, &reading.unit, &reading.location];
                assert!(texts.into_iter().flatten().all(|text| (1..=32).contains(&text.len())), "{seed:#x}");
            }
            Event::Waveform(wave) => {
                assert!(wave.rate_hz > 0.0 && (1..=LIMITS.max_samples).contains(&wave.samples.len()), "{seed:#x}");
            }
            Event::Reject(error) => check_error(error, seed),
        }
    }
}

/// What the fast parser accepts, the careful one accepts, with the same number of readings.
fn check_json(events: &[Event], payload: &[u8], seed: u64) {
    let accepted = events.iter().any(|event| matches!(event, Event::Reading(_)));
    let text = payload.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(payload);
    if accepted {
        let elements = match serde_json::from_slice::<&RawValue>(text) {
            Ok(raw) if raw.get().starts_with('[') => {
                serde_json::from_str::<Vec<&RawValue>>(raw.get()).map_or(0, |all| all.len())
            }
            Ok(_) => 1,
            Err(error) => panic!("accepted, but {error} at {seed:#x}"),
        };
        assert_eq!(events.len(), elements, "{seed:#x}");
    }
}

fn check_error(error: &CodecError, seed: u64) {
    assert!(error.to_string().len() < 1_000, "{seed:#x}: {error}");
    // The last line against panics of the Arrow reader must never be reached: the checks before it are complete.
    assert!(!error.to_string().contains("gave up"), "the Arrow reader panicked at {seed:#x}");
}

fn cases() -> u64 {
    std::env::var("IOTPM_HOSTILE_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000)
}

#[test]
fn malformed_messages_are_refused_within_bounded_memory() {
    let seeds = seeds();
    let mut refused = [0_u64; 4];
    for case in 0..cases() {
        let seed = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(case + 1);
        let mut random = Random(seed | 1);
        let format = case as usize % seeds.len();
        let (content_type, mut payload) = seeds[format].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut payload, &seeds[random.below(seeds.len())].1, &mut random);
        }
        // Now and then the first bytes decide.
        let content_type = content_type.filter(|_| random.below(8) > 0);
        let events = common::decode_with(LIMITS, content_type, &payload);
        check(&events, seed);
        if content_type == Some("application/json") {
            check_json(&events, &payload, seed);
        }
        refused[format] += u64::from(events.iter().any(|event| matches!(event, Event::Reject(_))));
    }
    // The changes really do break messages of every format, and the unchanged ones are fine.
    assert!(refused.iter().all(|&count| count > cases() / 16), "{refused:?}");
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest < LARGEST_ALLOWED, "an allocation of {largest} bytes");
}
