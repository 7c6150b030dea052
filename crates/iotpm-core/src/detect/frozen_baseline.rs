//! Frozen healthy baseline: the first week stays the yardstick, so that what an adaptive baseline follows and forgives is
//! still found.

use serde::{Deserialize, Serialize};

use super::series::{Explanation, SeriesDetector};

const DAY_US: i64 = 86_400_000_000;
/// Days of the healthy period: a week, so that each day of the week is in it.
const HEALTHY_DAYS: u32 = 7;
/// Weight of the newest day in the level that is compared.
const WEIGHT: f64 = 0.3;
/// Deviations of the healthy days at the boundary: the deviation comes from seven days only.
const BOUNDARY: f64 = 6.0;
/// Smallest deviation of a day's mean, as a share of the readings' own deviation: seven days may agree by chance.
const SCATTER_SHARE: f64 = 0.02;
/// Smallest deviation, as a share of the greatest magnitude.
const ROUNDING: f64 = 1e-6;

/// Running mean and sum of squared departures (Welford 1962).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Mean {
    n: u64,
    value: f64,
    squares: f64,
}

impl Mean {
    fn include(&mut self, x: f64) {
        self.n += 1;
        let departure = x - self.value;
        self.value += departure / self.n as f64;
        self.squares += departure * (x - self.value);
    }

    fn deviation(&self) -> f64 {
        (self.squares / self.n.saturating_sub(1).max(1) as f64).sqrt()
    }
}

/// Score = |level - mean of the healthy days| / (6 x deviation of the healthy days' means), level = EWMA (.3) of the daily
/// means, days of 24 hours from the first reading. It changes when a day is over and holds in between.
///
/// Daily means of a signal with any rhythm inside a day do not move with it, and noise of thousands of readings averages
/// out: a ramp of 1 % a week is seen while it is a few per cent.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct FrozenBaseline {
    first_us: i64,
    day: i64,
    today: Mean,
    healthy: Mean,
    healthy_readings: Mean,
    magnitude: f64,
    level: f64,
    score: f64,
}

impl FrozenBaseline {
    /// The day that ended: one of the healthy ones, or one that is judged by them.
    fn end_day(&mut self) {
        let mean = self.today.value;
        if self.healthy.n < u64::from(HEALTHY_DAYS) {
            self.healthy.include(mean);
            self.level = self.healthy.value;
        } else {
            self.level += WEIGHT * (mean - self.level);
            let floor = SCATTER_SHARE * self.healthy_readings.deviation();
            let deviation = self.healthy.deviation().max(floor).max(ROUNDING * self.magnitude);
            let shift = (self.level - self.healthy.value).abs();
            self.score = if shift > 0.0 { shift / (BOUNDARY * deviation.max(f64::MIN_POSITIVE)) } else { 0.0 };
        }
        self.today = Mean::default();
    }
}

impl SeriesDetector for FrozenBaseline {
    fn update(&mut self, time_us: i64, value: f64) {
        if self.magnitude == 0.0 && self.today.n == 0 && self.healthy.n == 0 {
            self.first_us = time_us;
        }
        let day = time_us.saturating_sub(self.first_us).div_euclid(DAY_US);
        if day != self.day && self.today.n > 0 {
            self.end_day();
        }
        self.day = day;
        self.today.include(value);
        if self.healthy.n < u64::from(HEALTHY_DAYS) {
            self.healthy_readings.include(value);
            self.magnitude = self.magnitude.max(value.abs());
        }
    }

    fn score(&self) -> f64 {
        self.score
    }

    fn explain(&self) -> Explanation {
        Explanation::of("level", self.level, self.healthy.value, self.healthy_readings.n)
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}
