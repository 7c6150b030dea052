//! The newest values of something, by event time, in bounded memory.

use serde::{Deserialize, Serialize};

/// Values kept; older questions are answered with the oldest of them.
const KEPT: usize = 16;
/// Older values in a row, each later than the one before, that mean the clock was set back (as for readings).
const CLOCK_STEP: u32 = 64;

/// Values in ascending order of their times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Track<T> {
    entries: Vec<(i64, T)>,
    clock: Clock,
}

impl<T> Default for Track<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), clock: Clock::default() }
    }
}

impl<T: Copy> Track<T> {
    /// Appends a value that is newer than all before; another one is left out, unless the clock was set back.
    pub fn push_newest(&mut self, time_us: i64, value: T) {
        match self.clock.admit(time_us) {
            Turn::Old => return,
            Turn::Restart => self.clear(),
            Turn::Next => {}
        }
        self.push(time_us, value);
    }

    /// Appends a value at or after the time of the last one.
    pub fn push(&mut self, time_us: i64, value: T) {
        if self.entries.len() == KEPT {
            self.entries.remove(0);
        }
        self.entries.push((time_us, value));
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The newest value at or before a time.
    pub fn at(&self, time_us: i64) -> Option<T> {
        let found = self.entries.iter().rev().find(|(at_us, _)| *at_us <= time_us);
        let oldest = self.entries.first().filter(|_| self.entries.len() == KEPT);
        found.or(oldest).map(|(_, value)| *value)
    }

    /// The values after `from_us` and at or before `to_us`, in order.
    pub fn between(&self, from_us: i64, to_us: i64) -> impl Iterator<Item = T> {
        self.entries.iter().filter(move |(at_us, _)| *at_us > from_us && *at_us <= to_us).map(|(_, value)| *value)
    }
}

/// What a value's time says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Newer than all before.
    Next,
    /// Not newer: it changes nothing.
    Old,
    /// The clock was set back: begin anew with this one.
    Restart,
}

/// Lets only newer values pass.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Clock {
    newest_us: Option<i64>,
    old_run: u32,
    last_old_us: i64,
}

impl Clock {
    pub fn admit(&mut self, time_us: i64) -> Turn {
        if self.newest_us.is_none_or(|newest| time_us > newest) {
            (self.newest_us, self.old_run) = (Some(time_us), 0);
            return Turn::Next;
        }
        let ordered = self.old_run > 0 && time_us > self.last_old_us;
        self.old_run = if ordered { self.old_run + 1 } else { 1 };
        self.last_old_us = time_us;
        if self.old_run < CLOCK_STEP {
            return Turn::Old;
        }
        (self.newest_us, self.old_run) = (Some(time_us), 0);
        Turn::Restart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_at_or_before_a_time_holds() {
        let mut track = Track::default();
        [(10, 'a'), (20, 'b'), (15, 'x'), (20, 'y'), (30, 'c')].iter().for_each(|(t, v)| track.push_newest(*t, *v));
        assert_eq!(
            [9, 10, 19, 20, 29, 99].map(|t| track.at(t)),
            [None, Some('a'), Some('a'), Some('b'), Some('b'), Some('c')]
        );
        assert_eq!(track.between(10, 30).collect::<String>(), "bc");
    }

    #[test]
    fn beyond_the_bound_the_oldest_kept_value_stands_for_what_came_before() {
        let mut track = Track::default();
        (0..100).for_each(|i| track.push_newest(i, i));
        assert_eq!((track.at(3), track.at(99), track.entries.len()), (Some(84), Some(99), KEPT));
    }

    #[test]
    fn a_clock_set_back_begins_anew_after_as_many_values_as_for_readings() {
        let mut track = Track::default();
        track.push_newest(1_000_000, -1);
        (0..64).for_each(|i| track.push_newest(i, i));
        assert_eq!((track.at(62), track.at(63), track.at(2_000_000)), (None, Some(63), Some(63)));
    }
}
