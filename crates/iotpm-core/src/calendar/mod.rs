//! Local time, days of work and parts of a day: what "usual at this hour" means for a plant.
//!
//! There is no database of time zones here: a zone is a list of its changes of offset, which a template brings along, so
//! that the same messages give the same rows on every machine.

mod template;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

pub use template::CalendarTemplate;
pub(crate) use template::check;

use crate::detect::Zone;

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
/// The local 1970-01-01 was a Thursday, counted from Monday.
const EPOCH_WEEKDAY: i64 = 3;
/// Monday to Friday.
const WORKING: [bool; 7] = [true, true, true, true, true, false, false];

/// A time zone, shifts, working days and holidays.
///
/// A day lasts from its first shift to the first of the next day (without shifts from midnight to midnight), so that the
/// night after a Friday's late shift is still Friday. It is cut at every full hour from its begin and at every shift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calendar {
    zone: Zone,
    /// From midnight to the first shift.
    begin_us: i64,
    /// Begins of the parts of a day, from its own begin; the first is 0.
    parts_us: Vec<i64>,
    working: [bool; 7],
    /// Days since 1970 that are not worked, rising.
    holidays: Vec<i64>,
    meaning: u64,
}

/// Where a time lies in the plant's day and week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// Local time of its begin, microseconds: names the part, and says which of two is the later one.
    pub begin_us: i64,
    /// Part of the week from Monday on; `None` on a holiday, which is like no other day of the week.
    pub of_week: Option<usize>,
    /// Part of a working day, or behind all of those, of one that is not worked.
    pub of_day: usize,
}

impl Default for Calendar {
    fn default() -> Self {
        Self::new(None, Zone::default(), &[], WORKING, Vec::new())
    }
}

impl From<Zone> for Calendar {
    /// Without shifts, Monday to Friday worked, no holidays.
    fn from(zone: Zone) -> Self {
        Self::new(None, zone, &[], WORKING, Vec::new())
    }
}

impl Calendar {
    fn new(name: Option<&str>, zone: Zone, shifts_us: &[i64], working: [bool; 7], mut holidays: Vec<i64>) -> Self {
        let begin_us = shifts_us.first().copied().unwrap_or(0);
        let hours = (0..24).map(|hour| hour * HOUR_US);
        let mut parts_us: Vec<i64> = hours.chain(shifts_us.iter().map(|shift| shift - begin_us)).collect();
        parts_us.sort_unstable();
        parts_us.dedup();
        holidays.sort_unstable();
        let meaning = xxh3_64(format!("{name:?} {begin_us} {parts_us:?} {working:?}").as_bytes());
        Self { zone, begin_us, parts_us, working, holidays, meaning }
    }

    /// What was learned of parts of a day under a calendar holds under another of the same meaning. Further holidays and
    /// later changes of a zone's rules do not change it.
    pub(crate) fn meaning(&self) -> u64 {
        self.meaning
    }

    /// Parts of a week.
    pub(crate) fn parts_of_week(&self) -> usize {
        7 * self.parts_us.len()
    }

    /// Parts of a working day and of one that is not.
    pub(crate) fn parts_of_day(&self) -> usize {
        2 * self.parts_us.len()
    }

    /// Microseconds since the local 1970-01-01 00:00; see [`Zone::local_us`].
    pub(crate) fn local_us(&self, time_us: i64) -> i64 {
        self.zone.local_us(time_us)
    }

    /// The part in which a time lies.
    pub(crate) fn part(&self, time_us: i64) -> Part {
        let since_us = self.local_us(time_us).saturating_sub(self.begin_us);
        let (day, within_us) = (since_us.div_euclid(DAY_US), since_us.rem_euclid(DAY_US));
        let part = self.parts_us.partition_point(|from_us| *from_us <= within_us) - 1;
        let weekday = (day + EPOCH_WEEKDAY).rem_euclid(7) as usize;
        let holiday = self.holidays.binary_search(&day).is_ok();
        let off = usize::from(holiday || !self.working[weekday]);
        Part {
            begin_us: since_us - within_us + self.parts_us[part],
            of_week: (!holiday).then_some(weekday * self.parts_us.len() + part),
            of_day: off * self.parts_us.len() + part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20, a Friday.
    const FRIDAY_US: i64 = 20_777 * DAY_US;

    fn shifts() -> Calendar {
        let shifts = ["05:45", "13:45", "21:45"].map(String::from).to_vec();
        let holidays = Some(vec!["2026-11-20".to_owned()]);
        Calendar::of(&CalendarTemplate { shifts: Some(shifts), holidays, ..CalendarTemplate::default() })
    }

    #[test]
    fn without_shifts_parts_are_the_hours_of_the_week() {
        let part = Calendar::default().part(FRIDAY_US + 7 * HOUR_US + 1);
        assert_eq!(part, Part { begin_us: FRIDAY_US + 7 * HOUR_US, of_week: Some(4 * 24 + 7), of_day: 7 });
        assert_eq!(Calendar::default().part(FRIDAY_US + DAY_US).of_day, 24);
    }

    #[test]
    fn a_day_begins_with_its_first_shift_and_a_holiday_ends_with_its_last() {
        let calendar = shifts();
        let first_us = FRIDAY_US + 5 * HOUR_US + 45 * 60_000_000;
        let before = calendar.part(first_us - 1);
        assert_eq!((before.of_week, before.of_day), (Some(3 * 24 + 23), 23), "Thursday's night");
        let after = calendar.part(first_us);
        assert_eq!((after.of_week, after.of_day), (None, 24), "a holiday's morning");
        assert_eq!(calendar.part(first_us + DAY_US - 1).of_week, None, "and its night");
        assert_eq!(calendar.part(first_us + DAY_US).of_week, Some(5 * 24), "Saturday's morning");
    }

    #[test]
    fn shifts_that_begin_between_hours_cut_them() {
        let shifts = ["06:00", "13:30"].map(String::from).to_vec();
        let calendar = Calendar::of(&CalendarTemplate { shifts: Some(shifts), ..CalendarTemplate::default() });
        assert_eq!((calendar.parts_of_day(), calendar.parts_of_week()), (2 * 25, 7 * 25));
        let at = |minute: i64| calendar.part(FRIDAY_US + minute * 60_000_000).of_day;
        assert_eq!([at(13 * 60), at(13 * 60 + 29), at(13 * 60 + 30), at(14 * 60)], [7, 7, 8, 9]);
    }
}
