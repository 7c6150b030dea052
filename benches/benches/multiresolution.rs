//! Multi-resolution statistics: a reading costs the same whatever the longest horizon is.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use iotpm_core::multiresolution::{MultiResolution, Tiers};

const READINGS: i64 = 100_000;
const INTERVAL_US: i64 = 1_000_000;

/// Readings of one signal, one a second, with tiers up to a minute, ten, an hour, a day, thirty days.
fn push(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("multiresolution_push");
    group.throughput(Throughput::Elements(READINGS as u64));
    let all = Tiers::default();
    for kept in 1..=all.iter().count() {
        let tiers = Tiers::new(all.iter().take(kept).collect(), all.points());
        let Some(mut statistics) = tiers.and_then(|tiers| MultiResolution::new(tiers, 0)).ok() else { continue };
        let horizon_s = all.iter().nth(kept - 1).map_or(0, |tier| tier.span_us() / 1_000_000);
        let mut now_us = 0;
        group.bench_function(BenchmarkId::new("horizon_s", horizon_s), |bencher| {
            bencher.iter(|| {
                for _ in 0..READINGS {
                    now_us += INTERVAL_US;
                    statistics.push(now_us, (now_us % 977) as f64);
                }
            });
        });
        black_box(&statistics);
    }
    group.finish();
}

/// A month of a reading a second, asked for each horizon.
fn query(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("multiresolution_over");
    let Ok(mut statistics) = MultiResolution::new(Tiers::default(), 0) else { return };
    (0..30 * 86_400).for_each(|second| statistics.push(second * INTERVAL_US, (second % 977) as f64));
    for tier in Tiers::default().iter() {
        group.bench_function(BenchmarkId::new("horizon_s", tier.span_us() / 1_000_000), |bencher| {
            bencher.iter(|| black_box(statistics.over(tier.span_us(), &[0.05, 0.5, 0.95])));
        });
    }
    group.finish();
}

criterion_group!(benches, push, query);
criterion_main!(benches);
