//! Wire bytes to readings, one format after the other; elements are readings (samples for waveforms).
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use iotpm_codec::{
    CodecError, Decoded, DecodedWaveform, Decoder, Limits, Message, Sink, encode, name, timestamp,
    waveform::{self, Frame, Samples},
};
use iotpm_core::Quality;

const BATCH: usize = 1_000;
const START_US: i64 = 1_763_712_000_000_000;

/// Looks at everything that is decoded, and fails the benchmark when something is refused.
#[derive(Default)]
struct Checksum(f64);

impl Sink for Checksum {
    fn reading(&mut self, _position: u32, reading: &Decoded<'_>) {
        self.0 += reading.value + reading.time_us.unwrap_or_default() as f64;
        self.0 += (reading.sensor_id.map_or(0, str::len) + reading.metric.map_or(0, str::len)) as f64;
    }

    fn waveform(&mut self, _position: u32, frame: DecodedWaveform<'_>) {
        self.0 += f64::from(frame.samples[frame.samples.len() - 1]);
    }

    fn reject(&mut self, position: u32, error: &CodecError) {
        panic!("refused at position {position}: {error}");
    }
}

fn readings() -> Vec<Decoded<'static>> {
    let reading = |index: usize| Decoded {
        sensor_id: Some("a-1"),
        metric: Some("temperature"),
        time_us: Some(START_US + index as i64 * 1_000_000),
        value: 21.53 + index as f64 / 100.0,
        quality: Quality::Good,
        unit: Some("Cel"),
        ..Decoded::default()
    };
    (0..BATCH).map(reading).collect()
}

fn signals() -> Vec<String> {
    (0..BATCH).map(|index| format!("signal-{:03}", index % 100)).collect()
}

fn json_single() -> Vec<u8> {
    let mut out = Vec::new();
    encode::json_reading(&readings()[0], &mut out);
    out
}

fn json_text_time() -> Vec<u8> {
    br#"{"sensor_id":"a-1","timestamp":"2026-01-31T12:00:00.250Z","metric":"temperature","value":21.53}"#.to_vec()
}

fn json_array() -> Vec<u8> {
    let mut out = Vec::new();
    encode::json_array(&readings(), &mut out);
    out
}

fn lines() -> Vec<u8> {
    let mut out = Vec::new();
    for reading in readings() {
        encode::line(&reading, &mut out).expect("a name that fits a line");
    }
    out
}

fn arrow(with_signals: bool) -> Vec<u8> {
    let names = signals();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (times, values): (Vec<_>, Vec<_>) =
        readings().iter().map(|reading| (reading.time_us.unwrap_or_default(), reading.value)).unzip();
    encode::arrow_stream(with_signals.then_some(&names), &times, &values).expect("columns of one length")
}

fn wave() -> Vec<u8> {
    let samples: Vec<i16> = (0..BATCH as i16).collect();
    let frame = Frame {
        signal: "vibration",
        start_us: START_US,
        rate_hz: 25_600.0,
        unit: "m/s2",
        scale: 0.01,
        offset: 0.0,
        samples: Samples::I16(&samples),
    };
    waveform::encode(&frame, &Limits::default()).expect("a frame within the limits")
}

fn formats(criterion: &mut Criterion) {
    let cases = [
        ("json_single", 1, json_single()),
        ("json_single_rfc3339", 1, json_text_time()),
        ("json_array", BATCH, json_array()),
        ("line_protocol", BATCH, lines()),
        ("arrow_one_signal", BATCH, arrow(false)),
        ("arrow_signals", BATCH, arrow(true)),
        ("waveform_i16", BATCH, wave()),
    ];
    let mut group = criterion.benchmark_group("codec");
    for (name, elements, payload) in &cases {
        let message = Message { content_type: None, payload };
        let mut decoder = Decoder::new(Limits::default());
        group.throughput(Throughput::Elements(*elements as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let mut sink = Checksum::default();
                decoder.decode(black_box(&message), &mut sink);
                sink.0
            });
        });
    }
    group.finish();
}

fn parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec_parts");
    group.throughput(Throughput::Elements(1));
    group.bench_function("timestamp_rfc3339", |bencher| {
        bencher.iter(|| timestamp::from_text(black_box("2026-01-31T12:00:00.250Z")));
    });
    let mut out = String::new();
    group.bench_function("subject_and_names", |bencher| {
        bencher.iter(|| {
            let subject = name::Subject::parse("iotpm.raw", black_box("iotpm.raw.plant.pump-1"))?;
            let mut signal = String::new();
            name::signal_name(&subject.asset, None, Some("pump-1"), Some("temperature"), &mut signal)?;
            name::full_name(&subject.site, &subject.asset, &signal, &mut out)
        });
    });
    group.finish();
}

criterion_group!(benches, formats, parts);
criterion_main!(benches);
