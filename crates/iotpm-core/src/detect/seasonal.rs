//! Seasonal baseline: what the signal usually is at this hour of this day of the week.

use serde::{Deserialize, Serialize};

use super::{
    Zone,
    series::{Explanation, SeriesDetector},
};

const HOUR_US: i64 = 3_600_000_000;
const HOURS_OF_WEEK: usize = 168;
const HOURS_OF_DAY: usize = 24;
/// The local Thursday 1970-01-01 00:00 is this many hours after a Monday 00:00.
const EPOCH_HOUR: i64 = 72;
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

/// Score = |x - mean| / (5 x deviation) of the same hour of the week; of the same hour of working days or of weekends, while
/// that hour was visited fewer than three times; nothing while neither was. Hours are local: summer time moves them, the
/// hour that comes twice counts as one visit, the one left out is not visited. An hour is learned when it has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seasonal {
    zone: Zone,
    of_week: Vec<Slot>,
    /// Working days, then weekends.
    of_day: Vec<Slot>,
    hour: i64,
    running: Hour,
    magnitude: f64,
    value: f64,
    expected: f64,
    score: f64,
    visits: u32,
}

impl Seasonal {
    pub fn new(zone: Zone) -> Self {
        Self {
            zone,
            of_week: vec![Slot::default(); HOURS_OF_WEEK],
            of_day: vec![Slot::default(); 2 * HOURS_OF_DAY],
            hour: i64::MIN,
            running: Hour::default(),
            magnitude: 0.0,
            value: f64::NAN,
            expected: f64::NAN,
            score: 0.0,
            visits: 0,
        }
    }

    fn turn(&mut self, hour: i64) {
        if self.running.readings > 0 {
            let (week, day) = slots(self.hour);
            self.of_week[week].learn(&self.running);
            self.of_day[day].learn(&self.running);
        }
        (self.hour, self.running) = (hour, Hour::default());
    }

    fn baseline(&self) -> Option<Slot> {
        let (week, day) = slots(self.hour);
        [self.of_week[week], self.of_day[day]].into_iter().find(|slot| slot.visits >= VISITS_MIN)
    }
}

/// Hour of the week from Monday 00:00, and hour of a working day or of a weekend, of hours since the local 1970-01-01.
fn slots(hour: i64) -> (usize, usize) {
    let week = (hour + EPOCH_HOUR).rem_euclid(HOURS_OF_WEEK as i64) as usize;
    let weekend = usize::from(week >= 5 * HOURS_OF_DAY);
    (week, weekend * HOURS_OF_DAY + week % HOURS_OF_DAY)
}

impl SeriesDetector for Seasonal {
    fn update(&mut self, time_us: i64, value: f64) {
        let hour = self.zone.local_us(time_us).div_euclid(HOUR_US);
        if hour != self.hour {
            self.turn(hour);
        }
        self.magnitude = self.magnitude.max(value.abs());
        self.value = value;
        self.running.include(value);
        let slot = self.baseline().unwrap_or_default();
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
        (self.of_week.capacity() + self.of_day.capacity()) * size_of::<Slot>() + self.zone.heap_bytes()
    }
}
