//! Local time from a table of offsets: the crate has no clock and no database of time zones.

use serde::{Deserialize, Serialize};

use crate::{CoreError, Result};

const MICROSECONDS: i64 = 1_000_000;
/// Local time differs from UTC by less than this, seconds.
const OFFSET_MAX_S: i32 = 26 * 3600;
/// Changes of offset that a table may hold: two a year for a thousand years.
const CHANGES_MAX: usize = 2_000;

/// Offsets of a time zone from UTC and when they begin; empty is UTC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Zone {
    /// (first second UTC, seconds east of UTC), rising.
    changes: Vec<(i64, i32)>,
}

impl Zone {
    /// A zone of (first second UTC since 1970, seconds east of UTC), rising; the first offset also holds before it.
    ///
    /// # Errors
    /// Seconds that do not rise, an offset of 26 hours or more, or more than 2000 changes.
    pub fn new(changes: Vec<(i64, i32)>) -> Result<Self> {
        let refuse = |value: String, allowed| Err(CoreError::InvalidParameter { name: "zone", value, allowed });
        if changes.len() > CHANGES_MAX {
            return refuse(changes.len().to_string(), "at most 2000 changes of offset");
        }
        if let Some(pair) = changes.windows(2).find(|pair| pair[1].0 <= pair[0].0) {
            return refuse(pair[1].0.to_string(), "seconds that rise");
        }
        if let Some((_, offset)) = changes.iter().find(|(_, offset)| offset.abs() >= OFFSET_MAX_S) {
            return refuse(offset.to_string(), "an offset below 26 hours");
        }
        Ok(Self { changes })
    }

    /// Microseconds since the local 1970-01-01 00:00 as the clock on the wall counts them: at the end of summer time an hour
    /// comes twice, at its begin one is left out.
    #[must_use]
    pub fn local_us(&self, time_us: i64) -> i64 {
        let second = time_us.div_euclid(MICROSECONDS);
        let begun = self.changes.partition_point(|(from, _)| *from <= second);
        let offset = self.changes.get(begun.saturating_sub(1)).map_or(0, |(_, offset)| *offset);
        time_us.saturating_add(i64::from(offset) * MICROSECONDS)
    }
}
