//! The generated signals: a slow cycle, noise, a sensor's resolution, and spikes.

use async_nats::Subject;

use super::{InjectedSpike, LoadFormat, LoadOptions};

/// Most spikes that are remembered.
const SPIKES_MAX: usize = 1_000_000;
/// A spike's height in standard deviations of the noise.
const SPIKE_SIGMAS: f64 = 40.0;

/// One generated reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Generated {
    pub signal: usize,
    pub time_us: i64,
    pub value: f64,
}

/// A signal's names and shape.
pub(super) struct Signal {
    pub asset: String,
    pub metric: String,
    pub subject: Subject,
    base: f64,
    amplitude: f64,
    /// Readings of one cycle.
    period: f64,
    sigma: f64,
}

/// All signals, and the state of the random numbers.
pub(super) struct Fleet {
    pub signals: Vec<Signal>,
    options: LoadOptions,
    random: u64,
}

impl Fleet {
    pub fn new(options: &LoadOptions) -> Self {
        let mut random = options.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let signals = (0..options.signals).map(|index| Signal::new(index, options, &mut random)).collect();
        Self { signals, options: options.clone(), random }
    }

    /// The readings of message number `message`, in `readings`: single ones go round the signals, batched ones round
    /// the assets.
    pub fn message(
        &mut self,
        message: u64,
        now_us: Option<i64>,
        spikes: &mut Vec<InjectedSpike>,
        mut readings: Vec<Generated>,
    ) -> Vec<Generated> {
        readings.clear();
        for position in 0..self.options.readings_per_message as u64 {
            let (signal, step) = self.place(message, position);
            let reading = self.reading(message, position, signal, step, now_us, spikes);
            readings.push(reading);
        }
        readings
    }

    /// Which signal, and its how manieth reading.
    fn place(&self, message: u64, position: u64) -> (usize, u64) {
        let (signals, assets) = (self.options.signals as u64, self.options.assets as u64);
        if self.options.format == LoadFormat::Json {
            return ((message % signals) as usize, message / signals);
        }
        let (asset, round) = (message % assets, message / assets);
        let of_asset = (signals - asset).div_ceil(assets);
        let reading = round * self.options.readings_per_message as u64 + position;
        ((asset + assets * (reading % of_asset)) as usize, reading / of_asset)
    }

    fn reading(
        &mut self,
        message: u64,
        position: u64,
        signal: usize,
        step: u64,
        now_us: Option<i64>,
        spikes: &mut Vec<InjectedSpike>,
    ) -> Generated {
        let time_us = now_us.unwrap_or_else(|| self.event_time_us(signal, step));
        let noise = normal(&mut self.random);
        let of = &self.signals[signal];
        let mut value = of.value(step, noise);
        let number = message * self.options.readings_per_message as u64 + position + 1;
        let every = self.options.spike_every;
        if every > 0 && number.is_multiple_of(every) && step >= self.options.spike_after && spikes.len() < SPIKES_MAX {
            value += SPIKE_SIGMAS * of.sigma + of.amplitude;
            spikes.push(InjectedSpike { signal: self.name(signal), time_us, value });
        }
        Generated { signal, time_us, value }
    }

    /// Signals are read one after the other within an interval.
    fn event_time_us(&self, signal: usize, step: u64) -> i64 {
        let phase = i128::from(self.options.interval_us) * signal as i128 / self.options.signals as i128;
        self.options.start_us.unwrap_or(0) + step as i64 * self.options.interval_us + phase as i64
    }

    fn name(&self, signal: usize) -> String {
        let of = &self.signals[signal];
        format!("{}/{}/{}", self.options.site, of.asset, of.metric)
    }
}

impl Signal {
    fn new(index: usize, options: &LoadOptions, random: &mut u64) -> Self {
        let asset = format!("pump-{:04}", index % options.assets);
        let metric = format!("vibration_{:02}", index / options.assets);
        let single = options.format == LoadFormat::Json;
        let prefix = format!("{}.{}.{asset}", options.raw_prefix, options.site);
        let subject = if single { format!("{prefix}.{metric}") } else { prefix };
        let base = 20.0 + 60.0 * uniform(random);
        let amplitude = 0.05 * base * uniform(random);
        let period = 200.0 + 800.0 * uniform(random);
        Self { asset, metric, subject: subject.into(), base, amplitude, period, sigma: 0.01 * base }
    }

    /// Rounded to the sensor's resolution of 0.01.
    fn value(&self, step: u64, noise: f64) -> f64 {
        let cycle = (std::f64::consts::TAU * step as f64 / self.period).sin();
        ((self.base + self.amplitude * cycle + self.sigma * noise) * 100.0).round() / 100.0
    }
}

/// xorshift64* (Vigna 2016).
fn next(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_F491_4F6C_DD1D)
}

fn uniform(state: &mut u64) -> f64 {
    (next(state) >> 11) as f64 / (1u64 << 53) as f64
}

/// Nearly normal and bounded: four uniform numbers of 16 bits (Irwin-Hall), scaled to variance 1.
fn normal(state: &mut u64) -> f64 {
    let bits = next(state);
    let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xFFFF).sum();
    (sum as f64 / 65_536.0 - 2.0) * 3f64.sqrt()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn times_by_signal(options: &LoadOptions, messages: u64) -> BTreeMap<usize, Vec<i64>> {
        let mut fleet = Fleet::new(options);
        let mut times: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
        for message in 0..messages {
            for reading in fleet.message(message, None, &mut Vec::new(), Vec::new()) {
                times.entry(reading.signal).or_default().push(reading.time_us);
            }
        }
        times
    }

    #[test]
    fn every_signal_is_sampled_evenly_in_event_time() {
        for (format, readings_per_message) in [(LoadFormat::Json, 1), (LoadFormat::JsonArray, 7)] {
            let options = LoadOptions {
                signals: 10,
                assets: 4,
                format,
                readings_per_message,
                start_us: Some(0),
                ..Default::default()
            };
            let times = times_by_signal(&options, 400);
            assert_eq!(times.len(), 10);
            for of_signal in times.values() {
                assert!(of_signal.len() > 30);
                assert!(of_signal.windows(2).all(|pair| pair[1] - pair[0] == options.interval_us));
            }
        }
    }

    #[test]
    fn spikes_are_recorded_as_sent() {
        let options = LoadOptions {
            signals: 3,
            assets: 1,
            spike_every: 50,
            spike_after: 10,
            start_us: Some(0),
            ..Default::default()
        };
        let (mut fleet, mut spikes, mut sent) = (Fleet::new(&options), Vec::new(), Vec::new());
        for message in 0..300 {
            sent.extend(fleet.message(message, None, &mut spikes, Vec::new()));
        }
        assert_eq!(spikes.len(), 6);
        for spike in &spikes {
            let is_it = |r: &&Generated| fleet.name(r.signal) == spike.signal && r.time_us == spike.time_us;
            assert_eq!(sent.iter().find(is_it).map(|reading| reading.value), Some(spike.value));
        }
    }

    #[test]
    fn noise_has_mean_0_and_variance_1() {
        let mut state = 7;
        let draws: Vec<f64> = (0..100_000).map(|_| normal(&mut state)).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}
