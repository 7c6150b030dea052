//! Power spectra with plans and buffers warm, by number of samples.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use iotpm_core::spectrum::{Scaling, SpectrumPlanner, Window};

fn psd(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("psd");
    for (name, window) in [("boxcar", Window::Boxcar), ("hann", Window::Hann)] {
        for n in [256, 300, 1024, 4096, 16_384] {
            let samples: Vec<f64> = (0..n).map(|i| f64::from(i * i % 1009) / 1009.0).collect();
            let (mut planner, mut lines) = (SpectrumPlanner::new(), Vec::new());
            group.throughput(Throughput::Elements(samples.len() as u64));
            group.bench_function(BenchmarkId::new(name, n), |bencher| {
                bencher.iter(|| planner.psd(&samples, 25_600.0, window, Scaling::Density, &mut lines));
            });
        }
    }
    group.finish();
}

fn plan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan_and_psd");
    for n in [256, 299, 300, 4096] {
        let (samples, mut lines) = (vec![1.0; n], Vec::new());
        group.bench_function(BenchmarkId::from_parameter(n), |bencher| {
            bencher.iter(|| SpectrumPlanner::new().psd(&samples, 1.0, Window::Boxcar, Scaling::Density, &mut lines));
        });
    }
    group.finish();
}

criterion_group!(benches, psd, plan);
criterion_main!(benches);
