//! The 17 features of a window and their parts, one core. Throughput is in windows, so `Kelem/s` reads thousand
//! windows/s.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use iotpm_core::features::{FeatureScratch, WindowFeatures, frequency, sampling_rate_hz, time};

const WINDOWS: usize = 64;

/// Different windows, each a sine in noise with an offset, so that no branch can learn its data.
fn windows(n: usize) -> Vec<Vec<f64>> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let value = |w: usize, i: usize, noise: f64| 20.0 + (i as f64 * (0.1 + w as f64 / 40.0)).sin() + noise;
    (0..WINDOWS).map(|w| (0..n).map(|i| value(w, i, noise() + noise())).collect()).collect()
}

fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("features");
    group.throughput(Throughput::Elements(WINDOWS as u64));
    for n in [64, 256, 299, 300, 1024] {
        let (windows, mut scratch) = (windows(n), FeatureScratch::new());
        group.bench_function(BenchmarkId::from_parameter(n), |bencher| {
            bencher.iter(|| {
                for x in &windows {
                    black_box(WindowFeatures::compute(x, Some(10.0), &mut scratch));
                }
            });
        });
    }
    group.finish();
}

fn parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("features_300_parts");
    group.throughput(Throughput::Elements(WINDOWS as u64));
    let windows = windows(300);
    group.bench_function("sums", |bencher| {
        bencher.iter(|| windows.iter().for_each(|x| _ = black_box(time::sums(x))));
    });
    group.bench_function("central_moments", |bencher| {
        bencher.iter(|| windows.iter().for_each(|x| _ = black_box(time::central_moments(x, 20.0))));
    });
    let mut quartiles = time::QuartileScratch::default();
    let extremes: Vec<(f64, f64)> = windows.iter().map(|x| time::sums(x)).map(|sums| (sums.min, sums.max)).collect();
    group.bench_function("quartiles", |bencher| {
        bencher.iter(|| {
            for (x, &(min, max)) in windows.iter().zip(&extremes) {
                black_box(time::quartiles(x, min, max, &mut quartiles));
            }
        });
    });
    let powers: Vec<Vec<f64>> = windows.iter().map(|x| x[..150].iter().map(|x| (x - 20.0).powi(2)).collect()).collect();
    group.bench_function("of_powers", |bencher| {
        bencher.iter(|| powers.iter().for_each(|powers| _ = black_box(frequency::of_powers(powers, 300, 10.0))));
    });
    let times: Vec<i64> = (0..300).map(|i| i * 100_000 + i % 7).collect();
    group.bench_function("sampling_rate", |bencher| {
        bencher.iter(|| (0..WINDOWS).for_each(|_| _ = black_box(sampling_rate_hz(black_box(&times)))));
    });
    group.finish();
}

criterion_group!(benches, all, parts);
criterion_main!(benches);
