//! Messages to Arrow tables on one core: codec, names, engine with windows, tables; 10,000 signals, 65,536 readings a chunk.

use std::{cell::RefCell, hint::black_box};

use async_nats::Subject;
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use iotpm_core::Template;
use iotpm_node::{Chunk, Pipeline, PipelineOptions, RawMessage, Rows};

const SIGNALS: u64 = 10_000;
const CHUNK: u64 = 65_536;
const ARRAY: u64 = 1_000;
const WARM_UP_ROUNDS: u64 = 320;
const START_US: i64 = 1_700_000_000_000_000;

fn noise(i: u64) -> f64 {
    let mixed = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let fraction = ((mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11) as f64 / (1u64 << 53) as f64;
    (fraction * 1000.0).round() / 1000.0
}

fn time_us(i: u64) -> i64 {
    START_US + (i / SIGNALS) as i64 * 1_000_000
}

fn name(signal: u64) -> String {
    format!("site/asset{}/signal{}", signal / 10, signal % 10)
}

/// About 90 bytes of JSON under a subject that names the asset.
fn single(i: u64) -> RawMessage {
    let signal = i % SIGNALS;
    let (asset, metric) = (signal / 10, signal % 10);
    let json = format!(
        r#"{{"sensor_id":"asset{asset}","timestamp":{},"metric":"signal{metric}","value":{}}}"#,
        time_us(i),
        noise(i)
    );
    RawMessage::new(format!("iotpm.raw.site.asset{asset}"), json, i + 1, time_us(i))
}

/// The same without names, under a subject that names the signal.
fn named(i: u64) -> RawMessage {
    let json = format!(r#"{{"timestamp":{},"value":{}}}"#, time_us(i), noise(i));
    let subject = format!("iotpm.raw.{}", name(i % SIGNALS).replace('/', "."));
    RawMessage::new(subject, json, i + 1, time_us(i))
}

/// A thousand readings of one asset's ten signals.
fn array(i: u64) -> RawMessage {
    let asset = i % (SIGNALS / 10);
    let round = i / (SIGNALS / 10) * (ARRAY / 10);
    let reading = |k: u64| {
        let time_us = START_US + (round + k / 10) as i64 * 1_000_000;
        format!(r#"{{"metric":"signal{}","timestamp":{time_us},"value":{}}}"#, k % 10, noise(i * ARRAY + k))
    };
    let json: Vec<_> = (0..ARRAY).map(reading).collect();
    let stored_us = START_US + (round + ARRAY / 10) as i64 * 1_000_000;
    RawMessage::new(format!("iotpm.raw.site.asset{asset}"), format!("[{}]", json.join(",")), i + 1, stored_us)
}

fn pipeline() -> Pipeline {
    let template = Template { window_s: Some(300.0), hop_s: Some(100.0), ..Template::default() };
    let options = PipelineOptions { templates: vec![template], ..PipelineOptions::default() };
    Pipeline::new(options, None).expect("valid options")
}

/// The messages as slices of one buffer, as a reader of a socket has them.
fn as_read(messages: &[RawMessage]) -> Vec<RawMessage> {
    let mut bytes = Vec::new();
    for message in messages {
        bytes.extend_from_slice(message.subject.as_bytes());
        bytes.extend_from_slice(&message.payload);
    }
    let mut rest = Bytes::from(bytes);
    let slice = |message: &RawMessage| {
        let subject = Subject::from_utf8(rest.split_to(message.subject.len())).expect("subjects are text");
        RawMessage::new(subject, rest.split_to(message.payload.len()), message.sequence, message.stored_us)
    };
    messages.iter().map(slice).collect()
}

/// Messages in chunks, one after the other, so that time goes on.
struct Source {
    pipeline: Pipeline,
    make: fn(u64) -> RawMessage,
    next: u64,
    chunk: u64,
}

impl Source {
    fn warm(make: fn(u64) -> RawMessage, messages: u64, chunk: u64) -> RefCell<Self> {
        let mut source = Self { pipeline: pipeline(), make, next: 0, chunk };
        while source.next < messages {
            let messages = source.messages();
            source.run(&messages);
        }
        RefCell::new(source)
    }

    fn messages(&mut self) -> Vec<RawMessage> {
        let from = self.next;
        self.next += self.chunk;
        as_read(&(from..self.next).map(self.make).collect::<Vec<_>>())
    }

    fn run(&mut self, messages: &[RawMessage]) -> Chunk {
        self.pipeline.run(messages).expect("ascending messages")
    }
}

fn messages(c: &mut Criterion) {
    let mut group = c.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(CHUNK)).sample_size(20);
    let warm_up = WARM_UP_ROUNDS * SIGNALS;
    for (name, make) in [("single_json", single as fn(u64) -> RawMessage), ("single_json_named", named)] {
        let source = Source::warm(make, warm_up, CHUNK);
        group.bench_function(name, |b| {
            b.iter_batched(
                || source.borrow_mut().messages(),
                |messages| (black_box(source.borrow_mut().run(&messages)), messages),
                BatchSize::PerIteration,
            );
        });
    }
    let source = Source::warm(array, warm_up / ARRAY, CHUNK / ARRAY);
    group.throughput(Throughput::Elements(CHUNK / ARRAY * ARRAY));
    group.bench_function("json_array_1000", |b| {
        b.iter_batched(
            || source.borrow_mut().messages(),
            |messages| (black_box(source.borrow_mut().run(&messages)), messages),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Readings as columns, and the tables they become.
fn columns(c: &mut Criterion) {
    let mut pipeline = pipeline();
    let signals: Vec<u32> =
        (0..SIGNALS).map(|signal| pipeline.signal_id(&name(signal)).expect("a valid name")).collect();
    let mut next = 0;
    let mut rows = |count: u64| {
        let range = next..next + count;
        next += count;
        let signals: Vec<u32> = range.clone().map(|i| signals[(i % SIGNALS) as usize]).collect();
        let times: Vec<i64> = range.clone().map(time_us).collect();
        (signals, times, range.map(noise).collect::<Vec<f64>>())
    };
    let mut push = |(signals, times_us, values): &(Vec<u32>, Vec<i64>, Vec<f64>)| {
        let rows = Rows { signals, times_us, values, quality: None, sequences: None, stream_times_us: Some(times_us) };
        pipeline.push(&rows).expect("columns of one length")
    };
    for _ in 0..WARM_UP_ROUNDS {
        push(&rows(SIGNALS));
    }
    let mut group = c.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(CHUNK)).sample_size(20);
    group.bench_function("columns", |b| {
        b.iter_batched(|| rows(CHUNK), |columns| black_box(push(&columns)), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, messages, columns);
criterion_main!(benches);
