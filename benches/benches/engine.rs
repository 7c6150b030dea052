//! The engine on one core: 10,000 interleaved signals, detector set `basic`, 17 features per 300-reading window, hop 100.

use std::{hint::black_box, sync::Arc};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use iotpm_core::{Batch, Engine, EngineOptions, NewSignal, Output, Quality, Reading, SignalId, Template, Templates};

const SIGNALS: u32 = 10_000;
const WARM_UP_ROUNDS: i64 = 320;
const START_US: i64 = 1_700_000_000_000_000;

fn noise(i: u64) -> f64 {
    let mixed = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11) as f64 / (1u64 << 53) as f64
}

/// Readings `from..to` of a plant whose signals take turns, one reading a second each.
fn readings(from: u64, to: u64) -> Vec<Reading> {
    (from..to)
        .map(|i| {
            let time_us = START_US + (i / u64::from(SIGNALS)) as i64 * 1_000_000;
            Reading {
                signal: SignalId((i % u64::from(SIGNALS)) as u32),
                time_us,
                value: (noise(i) * 1000.0).round() / 1000.0,
                quality: Quality::Good,
                sequence: i,
                position: 0,
                stream_time_us: time_us,
            }
        })
        .collect()
}

/// An engine whose rings, windows and detectors are full.
fn warm_engine() -> Engine {
    let detectors = Some(vec!["basic".into()]);
    let template = Template { window_s: Some(300.0), hop_s: Some(100.0), detectors, ..Template::default() };
    let templates = Arc::new(Templates::new(vec![template]).expect("a valid template"));
    let mut engine = Engine::new(templates, EngineOptions::default());
    let name = |id| format!("site/asset{}/signal{}", id / 10, id % 10).into();
    let new_signals = (0..SIGNALS).map(|id| NewSignal { id: SignalId(id), name: name(id) }).collect();
    let mut batch = Batch { new_signals, ..Batch::default() };
    let mut output = Output::default();
    for round in 0..WARM_UP_ROUNDS as u64 {
        batch.readings = readings(round * u64::from(SIGNALS), (round + 1) * u64::from(SIGNALS));
        engine.run(&batch, &mut output).expect("known signals");
        batch.new_signals.clear();
        output.clear();
    }
    engine
}

fn engine(c: &mut Criterion) {
    let mut engine = warm_engine();
    let mut next = WARM_UP_ROUNDS as u64 * u64::from(SIGNALS);
    let mut output = Output::default();
    let mut group = c.benchmark_group("engine");
    for chunk in [1_000u64, 65_536] {
        group.throughput(Throughput::Elements(chunk));
        group.bench_function(format!("basic/{chunk}_readings_a_chunk"), |b| {
            b.iter_batched(
                || {
                    next += chunk;
                    Batch { readings: readings(next - chunk, next), ..Batch::default() }
                },
                |batch| {
                    output.clear();
                    engine.run(&batch, &mut output).expect("known signals");
                    black_box(output.windows.len())
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
