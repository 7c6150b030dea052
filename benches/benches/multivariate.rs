//! Many signals: cost of scoring one row and of a fit, by columns.

use std::{hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use iotpm_core::multivariate::{Model, Scorer, Settings};

const ROWS: usize = 1_000;

/// Noise with a common part: xorshift, fixed seed.
fn rows(n: usize, columns: usize) -> Vec<f64> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let row = |_| {
        let common = noise();
        (0..columns).map(|_| common + noise()).collect::<Vec<_>>()
    };
    (0..n).flat_map(row).collect()
}

fn score(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("multivariate_score");
    group.throughput(Throughput::Elements(ROWS as u64));
    for columns in [8, 19, 52] {
        let train = rows(ROWS, columns);
        let model = Model::fit(&train, columns, &Settings::default()).map(Arc::new);
        let Ok(model) = model else { panic!("a fit to {columns} columns") };
        let mut scorer = Scorer::new(model);
        group.bench_function(BenchmarkId::from_parameter(columns), |bencher| {
            bencher.iter(|| train.chunks_exact(columns).for_each(|row| _ = black_box(scorer.score(row))));
        });
    }
    group.finish();
}

fn fit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("multivariate_fit");
    group.sample_size(10);
    for columns in [8, 19, 52] {
        let train = rows(ROWS, columns);
        group.bench_function(BenchmarkId::from_parameter(columns), |bencher| {
            bencher.iter(|| black_box(Model::fit(&train, columns, &Settings::default())));
        });
    }
    group.finish();
}

criterion_group!(benches, score, fit);
criterion_main!(benches);
