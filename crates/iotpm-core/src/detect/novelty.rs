//! Novelty of value, difference and spread: how far a reading lies from everything in a bounded memory of what was seen.

use serde::{Deserialize, Serialize};

use super::series::{Explanation, SeriesDetector, sign};

/// Readings after which a feature enters the memory: an anomaly does not make itself familiar at once.
const DELAY: usize = 40;
/// Values remembered.
const CAPACITY: usize = 256;
/// Slowest rate of the running mean and variance.
const RATE_MIN: f64 = 5e-4;
/// A value within this share of the boundary of a remembered one is that one.
const GRAIN: f64 = 0.1;
/// Share of the running range in the deviation, which keeps a quiet stretch from making everything novel.
const RANGE_SHARE: f64 = 1e-3;
/// Rounding of the readings, as a share of the greatest magnitude: no novelty is smaller.
const ROUNDING: f64 = 1e-12;
/// Readings of the spread.
const SPREAD_READINGS: usize = 10;

/// Distinct values, sorted, with the time each was last seen; the one unseen for longest leaves.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Memory {
    values: Vec<f64>,
    stamps: Vec<u32>,
}

/// A remembered value: where it stands and how far it is.
#[derive(Clone, Copy, Debug)]
struct Nearest {
    index: usize,
    distance: f64,
}

impl Memory {
    /// The nearest value, the greater one of two as near, and where `value` itself belongs.
    fn nearest(&self, value: f64) -> (usize, Option<Nearest>) {
        let at = self.values.partition_point(|known| *known < value);
        let above = self.values.get(at).map(|known| Nearest { index: at, distance: known - value });
        let below = at.checked_sub(1).map(|index| Nearest { index, distance: value - self.values[index] });
        let nearest = match (above, below) {
            (Some(above), Some(below)) if below.distance < above.distance => Some(below),
            (None, below) => below,
            (above, _) => above,
        };
        (at, nearest)
    }

    fn remember(&mut self, value: f64, now: u32, grain: f64) {
        let (at, nearest) = self.nearest(value);
        if let Some(known) = nearest.filter(|known| known.distance <= grain) {
            self.stamps[known.index] = now;
            return;
        }
        if self.values.len() < CAPACITY {
            self.values.insert(at, value);
            self.stamps.insert(at, now);
        } else {
            self.replace_oldest(at, value, now);
        }
    }

    /// Shifts only what lies between the value that leaves and the place of the one that comes.
    fn replace_oldest(&mut self, at: usize, value: f64, now: u32) {
        let oldest = self.oldest(now);
        let at = if oldest < at {
            self.values[oldest..at].rotate_left(1);
            self.stamps[oldest..at].rotate_left(1);
            at - 1
        } else {
            self.values[at..=oldest].rotate_right(1);
            self.stamps[at..=oldest].rotate_right(1);
            at
        };
        self.values[at] = value;
        self.stamps[at] = now;
    }

    fn oldest(&self, now: u32) -> usize {
        let age = self.stamps.iter().map(|stamp| now.wrapping_sub(*stamp)).max().unwrap_or(0);
        self.stamps.iter().position(|stamp| now.wrapping_sub(*stamp) == age).unwrap_or(0)
    }
}

/// Novelty of one feature f: distance to the nearest remembered value / (tau deviation + relative |nearest - mean|).
///
/// Running mean m and variance v with rate l = max(.0005, 1/(i+2)): d = f - m, m += l d, v = (1-l)(v + l d^2); the
/// deviation is sqrt(v) + .001 of the running range. `relative` asks more of a feature with a heavy tail: far out, news
/// is what exceeds the known by a share of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Channel {
    tau: f64,
    relative: f64,
    readings: u64,
    mean: f64,
    variance: f64,
    low: f64,
    high: f64,
    delayed: Vec<f64>,
    memory: Memory,
    latest: f64,
    expected: f64,
    score: f64,
}

impl Channel {
    pub fn new(tau: f64, relative: f64) -> Self {
        Self {
            tau,
            relative,
            readings: 0,
            mean: 0.0,
            variance: 0.0,
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            delayed: Vec::new(),
            memory: Memory::default(),
            latest: f64::NAN,
            expected: f64::NAN,
            score: 0.0,
        }
    }

    /// Takes a feature; `floor` is the smallest difference that means anything.
    pub fn update(&mut self, feature: f64, floor: f64) {
        self.latest = feature;
        let scale = self.tau * (self.deviation(feature) + floor);
        self.remember(feature, GRAIN * scale);
        self.readings += 1;
        let (_, nearest) = self.memory.nearest(feature);
        let Some(nearest) = nearest else { return };
        self.expected = self.memory.values[nearest.index];
        let unit = scale + self.relative * (self.expected - self.mean).abs();
        self.score = if nearest.distance > floor { nearest.distance / unit } else { 0.0 };
    }

    fn deviation(&mut self, feature: f64) -> f64 {
        if self.readings == 0 {
            self.mean = feature;
        }
        let rate = RATE_MIN.max(1.0 / (self.readings + 2) as f64);
        let departure = feature - self.mean;
        self.mean += rate * departure;
        self.variance = (1.0 - rate) * (self.variance + rate * departure * departure);
        self.low = self.low.min(feature);
        self.high = self.high.max(feature);
        self.variance.sqrt() + RANGE_SHARE * (self.high - self.low)
    }

    /// The feature of [`DELAY`] readings ago enters the memory, this one begins to wait.
    fn remember(&mut self, feature: f64, grain: f64) {
        if self.delayed.len() < DELAY {
            self.delayed.push(feature);
            return;
        }
        let waited = std::mem::replace(&mut self.delayed[self.readings as usize % DELAY], feature);
        self.memory.remember(waited, self.readings as u32, grain);
    }

    pub fn score(&self) -> f64 {
        self.score
    }

    /// The remembered feature nearest to the latest one; NaN while nothing is remembered.
    pub fn expected(&self) -> f64 {
        self.expected
    }

    /// The latest feature.
    pub fn latest(&self) -> f64 {
        self.latest
    }

    pub fn readings(&self) -> u64 {
        self.readings
    }

    pub fn heap_bytes(&self) -> usize {
        8 * (self.delayed.capacity() + self.memory.values.capacity()) + 4 * self.memory.stamps.capacity()
    }
}

/// Value (tau .25), difference to the reading before (tau 2) and standard deviation of the last 10 readings (tau 1),
/// fused by their greatest score.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Novelty {
    value: Channel,
    difference: Channel,
    spread: Channel,
    previous: f64,
    magnitude: f64,
    recent: Vec<f64>,
}

impl Default for Novelty {
    fn default() -> Self {
        Self {
            value: Channel::new(0.25, 0.0),
            difference: Channel::new(2.0, 0.0),
            spread: Channel::new(1.0, 0.0),
            previous: f64::NAN,
            magnitude: 0.0,
            recent: Vec::with_capacity(SPREAD_READINGS),
        }
    }
}

impl Novelty {
    fn spread_with(&mut self, value: f64) -> f64 {
        if self.recent.len() < SPREAD_READINGS {
            self.recent.push(value);
        } else {
            self.recent[self.value.readings() as usize % SPREAD_READINGS] = value;
        }
        let n = self.recent.len() as f64;
        let mean = self.recent.iter().sum::<f64>() / n;
        (self.recent.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt()
    }
}

impl SeriesDetector for Novelty {
    fn update(&mut self, _time_us: i64, value: f64) {
        let before = if self.previous.is_nan() { value } else { self.previous };
        self.magnitude = self.magnitude.max(value.abs());
        let floor = ROUNDING * self.magnitude;
        let spread = self.spread_with(value);
        self.value.update(value, floor);
        self.difference.update(value - before, floor);
        self.spread.update(spread, floor);
        self.previous = value;
    }

    fn score(&self) -> f64 {
        self.value.score().max(self.difference.score()).max(self.spread.score())
    }

    fn explain(&self) -> Explanation {
        let [value, difference, spread] = [&self.value, &self.difference, &self.spread].map(Channel::score);
        let readings = self.value.readings();
        if value >= difference && value >= spread {
            return Explanation::of("value", self.previous, self.value.expected(), readings);
        }
        if difference >= spread {
            let step = self.difference.latest() - self.difference.expected();
            let expected = self.previous - step;
            return Explanation { aspect: "difference", expected, direction: sign(step), baseline_readings: readings };
        }
        let direction = sign(self.spread.latest() - self.spread.expected());
        Explanation { direction, baseline_readings: readings, ..Explanation::none("spread") }
    }

    fn heap_bytes(&self) -> usize {
        let channels = [&self.value, &self.difference, &self.spread];
        channels.iter().map(|channel| channel.heap_bytes()).sum::<usize>() + 8 * self.recent.capacity()
    }
}
