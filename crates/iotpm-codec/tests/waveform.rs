//! Waveform frames: what is encoded is decoded, and what is no frame is refused.
mod common;

use common::{Event, Wave, decode, decode_with, reasons};
use iotpm_codec::{
    Limits,
    waveform::{Frame, HEADER_BYTES, Samples, encode},
};
use proptest::prelude::*;

fn frame(samples: Samples<'_>) -> Frame<'_> {
    Frame {
        signal: "vib",
        start_us: 1_763_712_000_000_000,
        rate_hz: 25_600.0,
        unit: "m/s2",
        scale: 1.0,
        offset: 0.0,
        samples,
    }
}

fn bytes() -> Vec<u8> {
    encode(&frame(Samples::F32(&[1.0, -2.5, 3.0])), &Limits::default()).unwrap()
}

fn only_wave(payload: &[u8]) -> Wave {
    match &decode(payload)[..] {
        [Event::Waveform(wave)] => wave.clone(),
        other => panic!("no single frame: {other:?}"),
    }
}

#[test]
fn the_layout_is_as_documented() {
    let payload = bytes();
    assert_eq!(&payload[..8], b"IPMW\x01\x00\x00\x00");
    assert_eq!(&payload[8..16], &1_763_712_000_000_000_i64.to_le_bytes());
    assert_eq!(&payload[16..24], &25_600.0_f64.to_le_bytes());
    assert_eq!(&payload[40..48], &[3, 0, 0, 0, 3, 0, 4, 0]);
    assert_eq!(&payload[48..56], b"vibm/s2\0");
    assert_eq!(payload.len(), 56 + 12);
    assert_eq!(&payload[60..64], &(-2.5_f32).to_le_bytes());
}

#[test]
fn integers_are_scaled_once() {
    let samples = [0, 1, -32_768, 32_767];
    let payload =
        encode(&Frame { scale: 0.01, offset: -0.5, ..frame(Samples::I16(&samples)) }, &Limits::default()).unwrap();
    let expected: Vec<f32> = samples.iter().map(|&sample| (f64::from(sample) * 0.01 - 0.5) as f32).collect();
    assert_eq!(only_wave(&payload).samples, expected);
}

#[test]
fn absent_texts_are_none() {
    let payload = encode(&Frame { signal: "", unit: "", ..frame(Samples::I16(&[1])) }, &Limits::default()).unwrap();
    let wave = only_wave(&payload);
    assert_eq!((wave.signal, wave.unit), (None, None));
}

#[test]
fn refusals_have_stable_reasons() {
    let patched = |at: usize, new: &[u8]| {
        let mut payload = bytes();
        payload[at..at + new.len()].copy_from_slice(new);
        payload
    };
    let mut longer = bytes();
    longer.push(0);
    let table = [
        (patched(4, &[2]), "invalid_waveform"),
        (patched(5, &[2]), "invalid_waveform"),
        (patched(5, &[1]), "invalid_waveform"),
        (patched(6, &[1]), "invalid_waveform"),
        (patched(16, &0.0_f64.to_le_bytes()), "invalid_waveform"),
        (patched(16, &f64::NAN.to_le_bytes()), "invalid_waveform"),
        (patched(16, &(-1.0_f64).to_le_bytes()), "invalid_waveform"),
        (patched(24, &0.0_f64.to_le_bytes()), "invalid_waveform"),
        (patched(24, &f64::INFINITY.to_le_bytes()), "invalid_waveform"),
        (patched(32, &f64::NAN.to_le_bytes()), "invalid_waveform"),
        (patched(40, &0_u32.to_le_bytes()), "invalid_waveform"),
        (patched(40, &4_u32.to_le_bytes()), "invalid_waveform"),
        (patched(40, &u32::MAX.to_le_bytes()), "too_many_samples"),
        (patched(44, &u16::MAX.to_le_bytes()), "string_too_long"),
        (patched(48, &[0xFF]), "invalid_waveform"),
        (patched(8, &i64::MAX.to_le_bytes()), "timestamp_out_of_range"),
        (longer, "invalid_waveform"),
    ];
    for (index, (payload, reason)) in table.iter().enumerate() {
        assert_eq!(reasons(&decode(payload)), [*reason], "case {index}");
    }
    let typed =
        |payload: &[u8]| reasons(&decode_with(Limits::default(), Some("application/vnd.iotpm.waveform"), payload));
    assert_eq!(typed(&patched(0, b"X")), ["invalid_waveform"]);
    for end in 1..bytes().len() {
        assert_eq!(typed(&bytes()[..end]), ["invalid_waveform"], "cut at {end}");
    }
    assert!(bytes().len() > HEADER_BYTES);
}

#[test]
fn a_frame_that_would_be_refused_is_not_encoded() {
    let limits = Limits { max_samples: 2, max_string_bytes: 4, ..Limits::default() };
    let reason = |frame: Frame<'_>| encode(&frame, &limits).unwrap_err().reason();
    let good = frame(Samples::I16(&[1, 2]));
    assert!(encode(&good, &limits).is_ok());
    assert_eq!(reason(Frame { samples: Samples::I16(&[1, 2, 3]), ..good }), "too_many_samples");
    assert_eq!(reason(Frame { samples: Samples::F32(&[]), ..good }), "invalid_waveform");
    assert_eq!(reason(Frame { signal: "long one", ..good }), "string_too_long");
    assert_eq!(reason(Frame { rate_hz: f64::NAN, ..good }), "invalid_waveform");
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        signal in "\\PC{0,20}", unit in "\\PC{0,20}", start_us in -9_000_000_000_000_000..9_000_000_000_000_000_i64,
        rate_hz in 1e-3..1e6_f64, samples in prop::collection::vec(-1e30..1e30_f32, 1..100),
    ) {
        let plain = Frame { signal: &signal, unit: &unit, start_us, rate_hz, ..frame(Samples::F32(&samples)) };
        let payload = encode(&plain, &Limits::default()).unwrap();
        let wave = only_wave(&payload);
        prop_assert_eq!(wave.signal.unwrap_or_default(), signal);
        prop_assert_eq!(wave.unit.unwrap_or_default(), unit);
        prop_assert_eq!((wave.start_us, wave.rate_hz, wave.samples), (start_us, rate_hz, samples));
    }
}
