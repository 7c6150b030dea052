//! The engine alone, timed without Python in the loop: behind `iotpm bench engine`.

use std::{sync::Arc, time::Instant};

use iotpm_core::{Batch, Engine, EngineOptions, NewSignal, Output, Quality, Reading, SignalId, Template, Templates};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict};

const START_US: i64 = 1_700_000_000_000_000;
const WINDOW_S: i64 = 300;
const HOP_S: i64 = 100;
/// Rounds that fill rings, windows and detectors before the clock starts.
const WARM_UP_ROUNDS: u64 = 320;

/// Noise in 0..1 with three decimals, the same for the same number.
fn noise(i: u64) -> f64 {
    let mixed = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let bits = (mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11;
    (bits as f64 / (1u64 << 53) as f64 * 1000.0).round() / 1000.0
}

fn reading(i: u64, signals: u64) -> Reading {
    let time_us = START_US + (i / signals) as i64 * 1_000_000;
    Reading {
        signal: SignalId((i % signals) as u32),
        time_us,
        value: noise(i),
        quality: Quality::Good,
        sequence: i,
        position: 0,
        stream_time_us: time_us,
    }
}

struct Bench {
    engine: Engine,
    output: Output,
    batch: Batch,
    signals: u64,
    next: u64,
}

impl Bench {
    fn new(signals: u64, detectors: &str) -> iotpm_core::Result<Self> {
        let detectors = Some(detectors.split('+').map(str::to_owned).collect());
        let (window_s, hop_s) = (Some(WINDOW_S as f64), Some(HOP_S as f64));
        let template = Template { window_s, hop_s, detectors, ..Template::default() };
        let engine = Engine::new(Arc::new(Templates::new(vec![template])?), EngineOptions::default());
        let name = |id: u64| format!("site/asset{}/signal{}", id / 10, id % 10).into();
        let new_signals = (0..signals).map(|id| NewSignal { id: SignalId(id as u32), name: name(id) }).collect();
        let batch = Batch { new_signals, ..Batch::default() };
        let mut bench = Self { engine, output: Output::default(), batch, signals, next: 0 };
        for _ in 0..WARM_UP_ROUNDS {
            bench.run(signals)?;
            bench.batch.new_signals.clear();
        }
        Ok(bench)
    }

    /// Runs the next readings and returns the seconds it took, making them aside.
    fn run(&mut self, readings: u64) -> iotpm_core::Result<f64> {
        self.batch.readings.clear();
        self.batch.readings.extend((self.next..self.next + readings).map(|i| reading(i, self.signals)));
        self.next += readings;
        self.output.clear();
        let start = Instant::now();
        self.engine.run(&self.batch, &mut self.output)?;
        Ok(start.elapsed().as_secs_f64())
    }
}

/// Runs interleaved signals, one reading a second each, through detectors (their names, with `+` between them) and
/// 17-feature windows of 300 readings with a hop of 100, on the calling thread.
///
/// Returns `readings`, `windows`, `scored` and `seconds`.
#[pyfunction]
#[pyo3(signature = (signals=10_000, readings=4_000_000, chunk=65_536, detectors="basic"))]
pub fn bench_engine<'py>(
    py: Python<'py>,
    signals: u64,
    readings: u64,
    chunk: u64,
    detectors: &str,
) -> PyResult<Bound<'py, PyDict>> {
    if signals == 0 || signals > 10_000_000 || chunk == 0 {
        return Err(PyValueError::new_err(format!(
            "signals = {signals}, chunk = {chunk}: both must be positive, signals at most 10,000,000"
        )));
    }
    let measured = py.detach(|| measure(signals, readings, chunk, detectors));
    let (done, windows, scored, seconds) = measured.map_err(|error| PyValueError::new_err(error.to_string()))?;
    let result = PyDict::new(py);
    result.set_item("readings", done)?;
    result.set_item("windows", windows)?;
    result.set_item("scored", scored)?;
    result.set_item("seconds", seconds)?;
    Ok(result)
}

fn measure(signals: u64, readings: u64, chunk: u64, detectors: &str) -> iotpm_core::Result<(u64, u64, u64, f64)> {
    let mut bench = Bench::new(signals, detectors)?;
    let (mut done, mut windows, mut scored, mut seconds) = (0, 0, 0, 0.0);
    while done < readings {
        seconds += bench.run(chunk)?;
        done += chunk;
        windows += bench.output.counters.windows;
        scored += bench.output.counters.scored;
    }
    Ok((done, windows, scored, seconds))
}
