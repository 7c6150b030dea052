//! What a template says about local time and shifts.

use serde::{Deserialize, Serialize};

use super::Calendar;
use crate::{Result, Template, detect::Zone, template::require};

/// Days of the week from Monday on, as they are written.
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTE_US: i64 = 60_000_000;
const SHIFTS_MAX: usize = 24;
const HOLIDAYS_MAX: usize = 1_000;

/// The clock on the wall and the calendar of shifts; what is absent is UTC, no shifts, Monday to Friday, no holidays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CalendarTemplate {
    /// IANA name of the time zone; names it, while `offsets_s` says what it is.
    pub timezone: Option<String>,
    /// Local times `HH:MM` at which shifts begin, rising; a day lasts from its first shift to that of the next day.
    pub shifts: Option<Vec<String>>,
    /// Days that are worked, among `mon` to `sun`; default: Monday to Friday.
    pub working_days: Option<Vec<String>>,
    /// Days `YYYY-MM-DD` that are not worked, whatever day of the week they are.
    pub holidays: Option<Vec<String>>,
    /// Changes of the zone's offset: (first second UTC since 1970, seconds east of UTC), rising.
    pub offsets_s: Option<Vec<(i64, i32)>>,
}

/// Checks the calendar of a template.
pub(crate) fn check(t: &Template) -> Result<()> {
    let c = &t.calendar;
    let (name, offsets) = (c.timezone.as_deref(), c.offsets_s.as_deref());
    let told = offsets.is_some() || name.is_none_or(|name| name == "UTC");
    require(t, "calendar.timezone", name, told, "UTC, or given with offsets_s, which iotpm.Config writes for a zone")?;
    let zone = zone_of(c);
    require(t, "calendar.offsets_s", offsets, zone.is_ok(), "at most 2000 seconds that rise, offsets below 26 hours")?;
    let shifts = shifts_of(c).filter(|shifts| {
        shifts.len() <= SHIFTS_MAX && !shifts.is_empty() && shifts.windows(2).all(|pair| pair[0] < pair[1])
    });
    let holds = c.shifts.is_none() || shifts.is_some();
    require(
        t,
        "calendar.shifts",
        c.shifts.as_ref(),
        holds,
        "1 to 24 rising times of day, such as [\"06:00\", \"14:00\"]",
    )?;
    let working = c.working_days.as_ref();
    let wrong = working.is_some_and(|days| days.iter().any(|day| !WEEKDAYS.contains(&day.as_str())));
    require(t, "calendar.working_days", working, !wrong, "names among mon, tue, wed, thu, fri, sat, sun")?;
    let holds = holidays_of(c).is_some_and(|days| days.len() <= HOLIDAYS_MAX);
    require(t, "calendar.holidays", c.holidays.as_ref(), holds, "at most 1000 dates, such as [\"2026-12-25\"]")
}

impl Calendar {
    /// The calendar of a checked template.
    pub(crate) fn of(template: &CalendarTemplate) -> Self {
        let names = template.working_days.as_ref();
        let worked = |(day, name): (usize, &&str)| match names {
            Some(names) => names.iter().any(|listed| listed == name),
            None => day < 5,
        };
        let mut working = [false; 7];
        WEEKDAYS.iter().enumerate().for_each(|(day, name)| working[day] = worked((day, name)));
        let shifts_us: Vec<i64> = shifts_of(template).unwrap_or_default().iter().map(|m| m * MINUTE_US).collect();
        let zone = zone_of(template).unwrap_or_default();
        Self::new(template.timezone.as_deref(), zone, &shifts_us, working, holidays_of(template).unwrap_or_default())
    }
}

fn zone_of(template: &CalendarTemplate) -> Result<Zone> {
    Zone::new(template.offsets_s.clone().unwrap_or_default())
}

/// Minutes since midnight; `None` if one is no time of day.
fn shifts_of(template: &CalendarTemplate) -> Option<Vec<i64>> {
    template.shifts.iter().flatten().map(|text| minutes(text)).collect()
}

fn minutes(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (digits(hour, 2)?, digits(minute, 2)?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// Days since 1970-01-01; `None` if one is no date.
fn holidays_of(template: &CalendarTemplate) -> Option<Vec<i64>> {
    template.holidays.iter().flatten().map(|text| date(text)).collect()
}

fn date(text: &str) -> Option<i64> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=longest).contains(&day).then(|| days_since_1970(year, month, day))
}

/// Days of the proleptic Gregorian calendar, counted in years that begin in March, so that the leap day is a year's last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Months from March on alternate 31 and 30 days but for August and January: 153 days in five of them.
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + leap_days + day_of_year - 719_468
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let all = text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_from_1970() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("2000-02-29"), Some(11_016));
        assert_eq!(date("2026-12-25"), Some(20_812));
        assert_eq!([date("2025-02-29"), date("2026-13-01"), date("26-1-1"), date("tomorrow")], [None; 4]);
    }

    #[test]
    fn times_of_day_are_minutes() {
        assert_eq!([minutes("06:00"), minutes("23:59")], [Some(360), Some(1439)]);
        assert_eq!([minutes("24:00"), minutes("6:00"), minutes("06:60"), minutes("+6:00")], [None; 4]);
    }
}
