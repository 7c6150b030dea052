//! Condition monitoring with plans and buffers warm: one second of a 25.6 kHz channel through each stage, and through all
//! of them at once.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use iotpm_core::{
    spectrum::{SpectrumPlanner, Window},
    vibration::{self, ChannelAnalyser, ChannelOptions, Detrend, FrequencyBand, HighPass, PeakOptions, Welch},
};

const RATE_HZ: f64 = 25_600.0;
const SAMPLES: usize = 25_600;
const ENVELOPE: FrequencyBand = FrequencyBand { low_hz: 2_000.0, high_hz: 10_000.0 };

/// A shaft, impacts that ring at 4 kHz, and something like noise.
fn waveform() -> Vec<f64> {
    let sample = |i: usize| {
        let t = i as f64 / RATE_HZ;
        let since_impact = t % 0.009_319;
        let ring = (-900.0 * since_impact).exp() * (25_133.0 * t).sin();
        (186.6 * t).sin() + 2.0 * ring + ((i * 7919 + 13) % 10_007) as f64 / 10_007.0
    };
    (0..SAMPLES).map(sample).collect()
}

fn channel(criterion: &mut Criterion) {
    let options = ChannelOptions {
        rate_hz: RATE_HZ,
        samples: SAMPLES,
        velocity_band: FrequencyBand::ISO,
        envelope_band: ENVELOPE,
    };
    let Ok(mut analyser) = ChannelAnalyser::new(&options) else { return };
    let x: Vec<f32> = waveform().into_iter().map(|x| x as f32).collect();
    let (mut amplitude, mut envelope) = (vec![0.0; analyser.lines()], vec![0.0; analyser.lines()]);
    let mut group = criterion.benchmark_group("channel");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one_second_f32", |bencher| {
        bencher.iter(|| analyser.analyse(black_box(&x), &mut amplitude, &mut envelope));
    });
    group.finish();
}

fn stages(criterion: &mut Criterion) {
    let (x, mut planner, mut out) = (waveform(), SpectrumPlanner::new(), Vec::new());
    let mut group = criterion.benchmark_group("vibration");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    let welch = Welch::of(2048);
    group.bench_function("welch_2048", |bencher| {
        bencher.iter(|| vibration::welch(&mut planner, &x, RATE_HZ, &welch, &mut out));
    });
    group.bench_function("amplitude", |bencher| {
        bencher.iter(|| vibration::amplitude(&mut planner, &x, Window::Hann, Detrend::Constant, &mut out));
    });
    group.bench_function("envelope", |bencher| {
        bencher.iter(|| vibration::envelope(&mut planner, &x, RATE_HZ, ENVELOPE, &mut out));
    });
    group.bench_function("kurtogram", |bencher| {
        bencher.iter(|| vibration::kurtogram(&mut planner, &x, RATE_HZ, None));
    });
    let high_pass = HighPass { cutoff_hz: 10.0, order: 4 };
    group.bench_function("velocity", |bencher| {
        bencher.iter(|| vibration::velocity(&mut planner, &x, RATE_HZ, high_pass, &mut out));
    });
    group.finish();
}

fn of_lines(criterion: &mut Criterion) {
    let (x, mut planner, mut lines) = (waveform(), SpectrumPlanner::new(), Vec::new());
    if vibration::welch(&mut planner, &x, RATE_HZ, &Welch::of(SAMPLES), &mut lines).is_err() {
        return;
    }
    let mut group = criterion.benchmark_group("lines");
    group.throughput(Throughput::Elements(lines.len() as u64));
    let options = PeakOptions { squared: true, ..PeakOptions::default() };
    group.bench_function("peaks", |bencher| bencher.iter(|| vibration::peaks(black_box(&lines), 1.0, &options)));
    let band = FrequencyBand { low_hz: 0.0, high_hz: RATE_HZ / 2.0 };
    group.bench_function("band", |bencher| {
        bencher.iter(|| vibration::BandFeatures::of(black_box(&lines), 1.0, 1.0, band, 0.95));
    });
    group.finish();
}

criterion_group!(benches, channel, stages, of_lines);
criterion_main!(benches);
