//! Novelty for the time of day: how far a reading lies from what earlier days showed around the same time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    novelty::Channel,
    series::{Explanation, SeriesDetector},
};
use crate::calendar::Calendar;

const DAY_US: i64 = 86_400_000_000;
/// Parts of a day, half an hour each.
const PARTS: usize = 48;
/// Days remembered.
const DAYS: usize = 14;
/// Deviations, and share of how far out the known distances go, that a distance must be beyond: their tail is heavy.
const TAU: f64 = 1.0;
const RELATIVE: f64 = 0.2;

/// Least and greatest value of a part of a day.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Extremes {
    low: f64,
    high: f64,
}

impl Extremes {
    const NONE: Self = Self { low: f64::INFINITY, high: f64::NEG_INFINITY };

    fn include(&mut self, value: f64) {
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }

    /// Distance of a value to the interval; infinite if nothing was seen in it.
    fn distance(&self, value: f64) -> f64 {
        (self.low - value).max(value - self.high).max(0.0)
    }
}

/// Distance to the nearest interval of the last fourteen days within one part (half an hour) of the same local time, and the
/// novelty of that distance among the earlier ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Day {
    #[serde(skip)]
    calendar: Arc<Calendar>,
    /// [`PARTS`] rows of [`DAYS`], allocated with the second day.
    past: Vec<Extremes>,
    today: Vec<Extremes>,
    latest: i64,
    distances: Channel,
    magnitude: f64,
    value: f64,
    expected: f64,
    score: f64,
}

impl Day {
    pub fn new(calendar: Arc<Calendar>) -> Self {
        Self {
            calendar,
            past: Vec::new(),
            today: vec![Extremes::NONE; PARTS],
            latest: i64::MIN,
            distances: Channel::new(TAU, RELATIVE),
            magnitude: 0.0,
            value: f64::NAN,
            expected: f64::NAN,
            score: 0.0,
        }
    }

    /// A calendar of the same meaning.
    pub fn follow(&mut self, calendar: &Arc<Calendar>) {
        self.calendar = Arc::clone(calendar);
    }

    /// Yesterday becomes one of the past days; where it was kept, the same number of days back is forgotten.
    fn turn(&mut self, day: i64) {
        if self.latest != i64::MIN {
            if self.past.is_empty() {
                self.past = vec![Extremes::NONE; PARTS * DAYS];
            }
            let column = self.latest.rem_euclid(DAYS as i64) as usize;
            for (days, part) in self.past.chunks_exact_mut(DAYS).zip(&self.today) {
                days[column] = *part;
            }
        }
        self.today.fill(Extremes::NONE);
        self.latest = day;
    }

    /// The value nearest to this one that was seen around this part of a day; of several, the first.
    fn nearest(&self, part: usize, value: f64) -> Option<f64> {
        let (mut nearest, mut least) = (None, f64::INFINITY);
        for row in [(part + PARTS - 1) % PARTS, part, (part + 1) % PARTS] {
            for seen in self.past.iter().skip(row * DAYS).take(DAYS) {
                let distance = seen.distance(value);
                if distance < least {
                    (nearest, least) = (Some(value.clamp(seen.low, seen.high)), distance);
                }
            }
        }
        nearest
    }
}

impl SeriesDetector for Day {
    fn update(&mut self, time_us: i64, value: f64) {
        let local_us = self.calendar.local_us(time_us);
        let day = local_us.div_euclid(DAY_US);
        let part = (local_us.rem_euclid(DAY_US) / (DAY_US / PARTS as i64)) as usize;
        if day != self.latest {
            self.turn(day);
        }
        self.magnitude = self.magnitude.max(value.abs());
        self.value = value;
        let nearest = self.nearest(part, value);
        self.today[part].include(value);
        self.expected = nearest.unwrap_or(f64::NAN);
        self.score = nearest.map_or(0.0, |nearest| {
            self.distances.update((value - nearest).abs(), 1e-12 * self.magnitude);
            self.distances.score()
        });
    }

    fn score(&self) -> f64 {
        self.score
    }

    fn explain(&self) -> Explanation {
        Explanation::of("time_of_day", self.value, self.expected, self.distances.readings())
    }

    fn heap_bytes(&self) -> usize {
        let extremes = (self.past.capacity() + self.today.capacity()) * size_of::<Extremes>();
        extremes + self.distances.heap_bytes()
    }
}
