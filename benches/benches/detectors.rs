//! Detectors of one signal: cost of one reading, on a state that has seen ten thousand.

use std::{hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use iotpm_core::detect::{SERIES_DETECTORS, SeriesScorer, WARM_UP_READINGS};

const INTERVAL_US: i64 = 10_000_000;
const SEEN: usize = 10_000;
const READINGS: usize = 10_000;

/// Noise on a daily swing, two decimals: xorshift, fixed seed.
fn readings(n: usize) -> Vec<f64> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let value = |i: usize| 8.0 * (i as f64 / 1375.0).sin() + noise() + noise() + noise();
    (0..n).map(value).map(|x| (x * 100.0).round() / 100.0).collect()
}

fn detectors(criterion: &mut Criterion) {
    let values = readings(SEEN + READINGS);
    let mut group = criterion.benchmark_group("detectors");
    group.throughput(Throughput::Elements(READINGS as u64));
    let alone = SERIES_DETECTORS.iter().map(|name| (*name, vec![*name]));
    let sets = [
        ("default", SeriesScorer::DEFAULT.to_vec()),
        ("default_without_shape", vec!["novelty", "day", "frozen_baseline"]),
    ];
    for (label, names) in sets.into_iter().chain(alone) {
        let mut scorer = SeriesScorer::new(&names, WARM_UP_READINGS, &Arc::default()).expect("known names");
        for (i, value) in values[..SEEN].iter().enumerate() {
            scorer.update(i as i64 * INTERVAL_US, *value);
        }
        group.bench_function(BenchmarkId::from_parameter(label), |bencher| {
            bencher.iter(|| {
                let mut scorer = scorer.clone();
                for (i, value) in values.iter().enumerate().skip(SEEN) {
                    black_box(scorer.update(i as i64 * INTERVAL_US, *value));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, detectors);
criterion_main!(benches);
