//! Seasonal baseline: what the signal usually is at this hour of this day of the week.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::series::{Explanation, SeriesDetector};
use crate::calendar::{Calendar, Part};

/// Clocks on the wall are set back by no more than this; whoever is set back further has a wrong clock.
const SET_BACK_US: i64 = 3 * 3_600_000_000;
/// Visits of an hour before it is judged by itself.
const VISITS_MIN: u32 = 3;
/// Weight of the newest visit, once there are more than its inverse.
const WEIGHT: f64 = 0.1;
/// Deviations at the boundary.
const BOUNDARY: f64 = 5.0;
/// Smallest deviation, as a share of the greatest magnitude.
const ROUNDING: f64 = 1e-9;

/// Mean and mean square of the readings of one hour, over its visits: (visits, mean, variance).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Slot {
    visits: u32,
    mean: f64,
    variance: f64,
}

impl Slot {
    /// Learns an hour's own mean and variance: the variance also holds what its mean wanders between visits.
    fn learn(&mut self, hour: &Hour) {
        self.visits = self.visits.saturating_add(1);
        let weight = WEIGHT.max(1.0 / f64::from(self.visits));
        let departure = hour.mean - self.mean;
        self.mean += weight * departure;
        let variance = hour.variance() + departure * departure * (1.0 - weight);
        self.variance += weight * (variance - self.variance);
    }
}

/// The hour that runs.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Hour {
    readings: u64,
    mean: f64,
    squares: f64,
}

impl Hour {
    fn include(&mut self, value: f64) {
        self.readings += 1;
        let departure = value - self.mean;
        self.mean += departure / self.readings as f64;
        self.squares += departure * (value - self.mean);
    }

    fn variance(&self) -> f64 {
        self.squares / self.readings.max(1) as f64
    }
}

/// Score = |x - mean| / (5 x deviation) of the same hour of the week; of the same hour of working days or of days off, while
/// that hour was visited fewer than three times, and on holidays; nothing while neither was. Hours are the parts of the
/// calendar's day: summer time moves them, the hour that comes twice counts as one visit, the one left out is not visited. An
/// hour is learned when it has ended; where the clock is set back into an earlier hour, that one was learned already.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seasonal {
    #[serde(skip)]
    calendar: Arc<Calendar>,
    of_week: Vec<Slot>,
    /// Working days, then days off.
    of_day: Vec<Slot>,
    part: Option<Part>,
    running: Hour,
    magnitude: f64,
    value: f64,
    expected: f64,
    score: f64,
    visits: u32,
}

impl Seasonal {
    pub fn new(calendar: Arc<Calendar>) -> Self {
        Self {
            of_week: vec![Slot::default(); calendar.parts_of_week()],
            of_day: vec![Slot::default(); calendar.parts_of_day()],
            calendar,
            part: None,
            running: Hour::default(),
            magnitude: 0.0,
            value: f64::NAN,
            expected: f64::NAN,
            score: 0.0,
            visits: 0,
        }
    }

    /// A calendar of the same meaning.
    pub fn follow(&mut self, calendar: &Arc<Calendar>) {
        self.calendar = Arc::clone(calendar);
    }

    /// Includes a reading in the hour that runs, which is another one from here on if its part of the day is.
    fn visit(&mut self, part: Part, value: f64) {
        let back_us = self.part.map_or(i64::MIN, |running| running.begin_us.saturating_sub(part.begin_us));
        if (1..=SET_BACK_US).contains(&back_us) {
            return;
        }
        if back_us != 0 {
            self.turn(part);
        }
        self.running.include(value);
    }

    fn turn(&mut self, part: Part) {
        if let Some(ended) = self.part.filter(|_| self.running.readings > 0) {
            ended
                .of_week
                .and_then(|week| self.of_week.get_mut(week))
                .into_iter()
                .for_each(|slot| slot.learn(&self.running));
            self.of_day.get_mut(ended.of_day).into_iter().for_each(|slot| slot.learn(&self.running));
        }
        (self.part, self.running) = (Some(part), Hour::default());
    }

    fn baseline(&self, part: Part) -> Option<Slot> {
        let week = part.of_week.and_then(|week| self.of_week.get(week));
        week.into_iter().chain(self.of_day.get(part.of_day)).copied().find(|slot| slot.visits >= VISITS_MIN)
    }
}

impl SeriesDetector for Seasonal {
    fn update(&mut self, time_us: i64, value: f64) {
        let part = self.calendar.part(time_us);
        self.visit(part, value);
        self.magnitude = self.magnitude.max(value.abs());
        self.value = value;
        let slot = self.baseline(part).unwrap_or_default();
        (self.expected, self.visits, self.score) = (f64::NAN, slot.visits, 0.0);
        if slot.visits > 0 {
            let deviation = slot.variance.sqrt().max(ROUNDING * self.magnitude).max(f64::MIN_POSITIVE);
            self.expected = slot.mean;
            self.score = (value - slot.mean).abs() / (BOUNDARY * deviation);
        }
    }

    fn score(&self) -> f64 {
        self.score
    }

    fn explain(&self) -> Explanation {
        Explanation::of("time_of_week", self.value, self.expected, u64::from(self.visits))
    }

    fn heap_bytes(&self) -> usize {
        (self.of_week.capacity() + self.of_day.capacity()) * size_of::<Slot>()
    }
}
