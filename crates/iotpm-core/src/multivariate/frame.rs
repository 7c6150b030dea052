//! Signals of different rates as rows: last value, within an age limit.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::settings::invalid;
use crate::Result;

/// Age limit and lateness in periods at most: they bound the rows that one reading completes and the readings that wait.
const PERIODS_MAX: i64 = 1_000;

/// A row of an asset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameRow {
    /// Its instant, a multiple of the period, microseconds.
    pub time_us: i64,
    /// Last value of each column at or before the instant and no older than the age limit; else NaN.
    pub values: Vec<f64>,
}

/// What a frame did not use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameCounters {
    /// Readings behind a row that was already handed over, or behind their own column's last.
    pub late: u64,
    /// Rows left out because no column had a value young enough.
    pub empty: u64,
    /// Readings that are not finite.
    pub bad: u64,
}

/// Aligns the readings of an asset's signals on a grid of event time.
///
/// Policy: the row of instant `t` (a multiple of the period) is handed over by the first reading of any column after
/// `t + lateness`, and holds of each column the last value at or before `t` that is no older than the age limit. So rows
/// depend on event times and the order of arrival only, never on a clock; nothing is interpolated, which would need the
/// future. Bounded: of each column one reading waits for each instant that is not handed over yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssetFrame {
    period_us: i64,
    age_max_us: i64,
    lateness_us: i64,
    last: Vec<Option<(i64, f64)>>,
    /// Readings after the next instant, by time.
    waiting: VecDeque<(i64, u32, f64)>,
    next_us: Option<i64>,
    newest_us: i64,
    counters: FrameCounters,
}

impl AssetFrame {
    /// A frame of `columns` signals with a row each `period_us`; values older than `age_max_us` do not count; readings may
    /// come `lateness_us` after younger ones of other signals.
    ///
    /// # Errors
    /// No columns, a period below 1, an age limit that is not 1 to 1,000 periods, a lateness below 0 or above 1,000 periods.
    pub fn new(columns: usize, period_us: i64, age_max_us: i64, lateness_us: i64) -> Result<Self> {
        if columns == 0 {
            return Err(invalid("columns", &columns, "at least 1"));
        }
        if period_us < 1 {
            return Err(invalid("period_us", &period_us, "at least 1"));
        }
        if !(1..=PERIODS_MAX).contains(&(age_max_us / period_us)) {
            return Err(invalid("age_max_us", &age_max_us, "1 to 1000 periods"));
        }
        if lateness_us < 0 || lateness_us / period_us > PERIODS_MAX {
            return Err(invalid("lateness_us", &lateness_us, "0 to 1000 periods"));
        }
        let (last, counters) = (vec![None; columns], FrameCounters::default());
        let waiting = VecDeque::new();
        Ok(Self { period_us, age_max_us, lateness_us, last, waiting, next_us: None, newest_us: i64::MIN, counters })
    }

    /// What was not used so far.
    #[must_use]
    pub fn counters(&self) -> FrameCounters {
        self.counters
    }

    /// Takes a reading; rows that it completes are appended to `rows`, oldest first.
    ///
    /// # Errors
    /// A column that the frame does not have.
    pub fn push(&mut self, column: usize, time_us: i64, value: f64, rows: &mut Vec<FrameRow>) -> Result<()> {
        if column >= self.last.len() {
            return Err(invalid("column", &column, "one of the frame's"));
        }
        if !value.is_finite() {
            self.counters.bad += 1;
            return Ok(());
        }
        let next = *self.next_us.get_or_insert_with(|| ceil_to(time_us, self.period_us));
        if time_us <= next - self.period_us {
            self.counters.late += 1;
            return Ok(());
        }
        self.wait(time_us, column as u32, value);
        self.newest_us = self.newest_us.max(time_us);
        self.complete_before(self.newest_us.saturating_sub(self.lateness_us), rows);
        Ok(())
    }

    /// Of the readings of a column that one instant would hold only the last can matter.
    fn wait(&mut self, time_us: i64, column: u32, value: f64) {
        let instant = ceil_to(time_us, self.period_us);
        let since = instant.saturating_sub(self.period_us);
        let same = |entry: &(i64, u32, f64)| entry.1 == column && since < entry.0 && entry.0 <= instant;
        if let Some(found) = self.waiting.iter().position(same) {
            if self.waiting[found].0 > time_us {
                return;
            }
            self.waiting.remove(found);
        }
        let at = self.waiting.partition_point(|(time, ..)| *time <= time_us);
        self.waiting.insert(at, (time_us, column, value));
    }

    /// Hands over the rows up to the newest reading's time: the series has ended.
    pub fn finish(&mut self, rows: &mut Vec<FrameRow>) {
        self.complete_before(self.newest_us.saturating_add(1), rows);
    }

    /// Rows whose instant is before `end_us`.
    fn complete_before(&mut self, end_us: i64, rows: &mut Vec<FrameRow>) {
        while let Some(instant) = self.next_us.filter(|instant| *instant < end_us) {
            self.apply_until(instant);
            let values: Vec<f64> = self.last.iter().map(|last| self.value_at(instant, *last)).collect();
            if values.iter().any(|value| !value.is_nan()) {
                rows.push(FrameRow { time_us: instant, values });
                self.next_us = Some(instant + self.period_us);
            } else {
                self.skip_empty(instant, end_us);
            }
        }
    }

    /// From an instant without any value to the next that can have one.
    fn skip_empty(&mut self, instant: i64, end_us: i64) {
        let first = self.waiting.front().map_or(end_us, |(time, ..)| (*time).min(end_us));
        let next = ceil_to(first, self.period_us).max(instant + self.period_us);
        self.counters.empty += ((next - instant) / self.period_us) as u64;
        self.next_us = Some(next);
    }

    fn apply_until(&mut self, instant: i64) {
        while let Some((time, column, value)) = self.waiting.front().copied().filter(|(time, ..)| *time <= instant) {
            self.waiting.pop_front();
            self.last[column as usize] = Some((time, value));
        }
    }

    fn value_at(&self, instant: i64, last: Option<(i64, f64)>) -> f64 {
        last.filter(|(time, _)| instant - time <= self.age_max_us).map_or(f64::NAN, |(_, value)| value)
    }
}

/// Smallest multiple of `period` at or above `time`.
fn ceil_to(time: i64, period: i64) -> i64 {
    time.saturating_add(period - 1).div_euclid(period).saturating_mul(period)
}
