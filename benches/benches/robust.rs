//! Rolling median and MAD: cost of one reading, on full windows, by window length.
//!
//! `rolling_modified_z/10000` may take at most eight times what `rolling_modified_z/100` takes.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use iotpm_core::robust::{RollingWindow, SortedWindow, modified_z};

const READINGS: usize = 20_000;

/// Noise on a slow wave, as of a sensor: xorshift, fixed seed.
fn readings(n: usize) -> Vec<f64> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..n).map(|i| (i as f64 / 5000.0).sin() + noise() + noise() + noise()).collect()
}

fn filled(capacity: usize) -> RollingWindow {
    let mut window = RollingWindow::new(capacity);
    for x in readings(capacity) {
        window.push(x);
    }
    window
}

fn rolling_modified_z(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rolling_modified_z");
    let values = readings(READINGS);
    group.throughput(Throughput::Elements(READINGS as u64));
    for capacity in [100, 512, 1_000, 10_000, 100_000] {
        let mut window = filled(capacity);
        group.bench_function(BenchmarkId::from_parameter(capacity), |bencher| {
            bencher.iter(|| {
                let score = |x: f64| {
                    let (median, mad) = window.median_and_mad();
                    window.push(x);
                    modified_z(x, median, mad, 1e-3)
                };
                black_box(values.iter().copied().map(score).fold(0.0, f64::max))
            });
        });
    }
    group.finish();
}

fn parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rolling_window_parts");
    let values = readings(READINGS);
    group.throughput(Throughput::Elements(READINGS as u64));
    for capacity in [100, 10_000] {
        let mut window = filled(capacity);
        group.bench_function(BenchmarkId::new("push", capacity), |bencher| {
            bencher.iter(|| values.iter().for_each(|&x| _ = black_box(window.push(x))));
        });
        group.bench_function(BenchmarkId::new("median_and_mad", capacity), |bencher| {
            bencher.iter(|| (0..READINGS).for_each(|_| _ = black_box(black_box(&window).median_and_mad())));
        });
    }
    group.finish();
}

fn fill(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sorted_window_fill");
    for capacity in [100, 10_000] {
        let values = readings(capacity);
        group.throughput(Throughput::Elements(capacity as u64));
        group.bench_function(BenchmarkId::from_parameter(capacity), |bencher| {
            bencher.iter_batched_ref(
                || SortedWindow::new(capacity),
                |window| values.iter().all(|&x| window.insert(x)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, rolling_modified_z, parts, fill);
criterion_main!(benches);
