//! Timestamps: RFC 3339, or an epoch number whose magnitude tells its unit.
//!
//! | magnitude | unit | reaches from 1970 to |
//! |---|---|---|
//! | below 1e11 | s | year 5138 |
//! | below 1e14 | ms | year 5138 |
//! | below 1e17 | us | year 5138 |
//! | others | ns | year 9999 |
//!
//! So 1e11 ms (March 1973) and later is unambiguous; earlier milliseconds would be taken for seconds. Whole
//! nanoseconds are floored to microseconds; a fraction is rounded to the nearest one (ties away from zero).

use crate::{
    CodecError, Result,
    error::{excerpt, quoted},
};

/// 0001-01-01T00:00:00Z in microseconds.
pub const MIN_US: i64 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z in microseconds.
pub const MAX_US: i64 = 253_402_300_799_999_999;

const SECONDS_BELOW: u64 = 100_000_000_000;
const MILLIS_BELOW: u64 = SECONDS_BELOW * 1_000;
const MICROS_BELOW: u64 = MILLIS_BELOW * 1_000;

/// Microseconds from a whole epoch number.
///
/// # Errors
/// [`CodecError::TimestampOutOfRange`] outside the years 1 to 9999.
pub fn from_integer(number: i64) -> Result<i64> {
    let time_us = match number.unsigned_abs() {
        0..SECONDS_BELOW => number * 1_000_000,
        SECONDS_BELOW..MILLIS_BELOW => number * 1_000,
        MILLIS_BELOW..MICROS_BELOW => number,
        MICROS_BELOW.. => number.div_euclid(1_000),
    };
    in_range(time_us, || number.to_string())
}

/// Microseconds from an epoch number with a fraction.
///
/// # Errors
/// [`CodecError::TimestampOutOfRange`] outside the years 1 to 9999, and for numbers that are not finite.
pub fn from_float(number: f64) -> Result<i64> {
    let magnitude = number.abs();
    let micros = match magnitude {
        _ if magnitude < SECONDS_BELOW as f64 => number * 1e6,
        _ if magnitude < MILLIS_BELOW as f64 => number * 1e3,
        _ if magnitude < MICROS_BELOW as f64 => number,
        _ => number / 1e3,
    };
    // A NaN becomes out of range here; the saturating cast does the rest.
    let time_us = if micros.is_nan() { i64::MAX } else { micros.round() as i64 };
    in_range(time_us, || excerpt(&number.to_string()))
}

/// Microseconds from nanoseconds.
///
/// # Errors
/// None in fact: every `i64` of nanoseconds lies within the years allowed.
pub fn from_nanos(nanos: i64) -> Result<i64> {
    in_range(nanos.div_euclid(1_000), || nanos.to_string())
}

/// Microseconds from RFC 3339 text, `2026-01-31T12:00:00.25Z` or with an offset such as `+01:00`.
///
/// # Errors
/// [`CodecError::InvalidTimestamp`] for anything else, and for a time without an offset.
pub fn from_text(text: &str) -> Result<i64> {
    match usual_form(text.as_bytes()) {
        Some(time_us) => in_range(time_us, || quoted(text)),
        None => any_form(text),
    }
}

/// Every form that RFC 3339 allows.
fn any_form(text: &str) -> Result<i64> {
    let invalid = |_| CodecError::InvalidTimestamp { value: quoted(text) };
    let timestamp: jiff::Timestamp = text.parse().map_err(invalid)?;
    // `as_microsecond` cuts towards zero; times before 1970 must be floored as the fast path does.
    let floor = i64::from(timestamp.subsec_nanosecond() < 0 && timestamp.subsec_nanosecond() % 1_000 != 0);
    in_range(timestamp.as_microsecond() - floor, || quoted(text))
}

/// Microseconds as they are, if they lie within the years 1 to 9999.
///
/// # Errors
/// [`CodecError::TimestampOutOfRange`].
pub fn checked(time_us: i64) -> Result<i64> {
    in_range(time_us, || format!("{time_us} us"))
}

fn in_range(time_us: i64, value: impl Fn() -> String) -> Result<i64> {
    let range = MIN_US..=MAX_US;
    if range.contains(&time_us) { Ok(time_us) } else { Err(CodecError::TimestampOutOfRange { value: value() }) }
}

/// `YYYY-MM-DDTHH:MM:SS[.fraction]Z`, the form nearly every sensor sends; `None` leaves it to [`any_form`].
fn usual_form(text: &[u8]) -> Option<i64> {
    let (moment, fraction) = text.strip_suffix(b"Z")?.split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| moment[at] != byte) {
        return None;
    }
    let part = |from: usize, to: usize| digits(&moment[from..to]);
    let day = day_number(part(0, 4)?, part(5, 7)?, part(8, 10)?)?;
    let second = second_of_day(part(11, 13)?, part(14, 16)?, part(17, 19)?)?;
    Some((day * 86_400 + second) * 1_000_000 + fraction_us(fraction)?)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// A leap second (60) is left to [`any_form`].
fn second_of_day(hour: i64, minute: i64, second: i64) -> Option<i64> {
    (hour < 24 && minute < 60 && second < 60).then_some((hour * 60 + minute) * 60 + second)
}

/// Microseconds in a fraction such as `.25`; further digits than nine are left to [`any_form`], which refuses them.
fn fraction_us(fraction: &[u8]) -> Option<i64> {
    match fraction {
        [] => Some(0),
        [b'.', rest @ ..] if (1..=9).contains(&rest.len()) => {
            let kept = &rest[..rest.len().min(6)];
            digits(rest)?;
            Some(digits(kept)? * 10_i64.pow(6 - kept.len() as u32))
        }
        _ => None,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar: H. Hinnant, "chrono-compatible low-level date
/// algorithms", `days_from_civil`, for years from 1 on.
fn day_number(year: i64, month: i64, day: i64) -> Option<i64> {
    if year < 1 || !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    let year_from_march = if month <= 2 { year - 1 } else { year };
    let era = year_from_march / 400;
    let year_of_era = year_from_march % 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn magnitude_tells_the_unit() {
        let cases = [
            (1_763_712_000, 1_763_712_000_000_000),
            (1_763_712_000_123, 1_763_712_000_123_000),
            (1_763_712_000_123_456, 1_763_712_000_123_456),
            (1_763_712_000_123_456_789, 1_763_712_000_123_456),
            (0, 0),
            (-1, -1_000_000),
            (99_999_999_999, 99_999_999_999_000_000),
            (100_000_000_000, 100_000_000_000_000),
            (99_999_999_999_999, 99_999_999_999_999_000),
            (100_000_000_000_000, 100_000_000_000_000),
            (99_999_999_999_999_999, 99_999_999_999_999_999),
            (100_000_000_000_000_000, 100_000_000_000_000),
        ];
        for (number, expected) in cases {
            assert_eq!(from_integer(number), Ok(expected), "{number}");
        }
    }

    #[test]
    fn fractions_round_to_the_nearest_microsecond() {
        assert_eq!(from_float(1_763_712_000.25), Ok(1_763_712_000_250_000));
        assert_eq!(from_float(1_763_712_000_123.5), Ok(1_763_712_000_123_500));
        assert_eq!(from_float(0.000_000_4), Ok(0));
        assert_eq!(from_float(-0.000_000_6), Ok(-1));
    }

    #[test]
    fn what_lies_outside_the_years_1_to_9999_is_refused() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e30] {
            assert_eq!(from_float(number).unwrap_err().reason(), "timestamp_out_of_range", "{number}");
        }
        assert_eq!(from_integer(-99_999_999_999).unwrap_err().reason(), "timestamp_out_of_range");
        assert!(from_integer(i64::MAX).is_ok() && from_integer(i64::MIN).is_ok());
    }

    #[test]
    fn texts_with_and_without_offset() {
        let cases = [
            ("2026-01-31T12:00:00Z", 1_769_860_800_000_000),
            ("2026-01-31T13:00:00+01:00", 1_769_860_800_000_000),
            ("2026-01-31t12:00:00.25z", 1_769_860_800_250_000),
            ("2026-01-31T12:00:00.123456789Z", 1_769_860_800_123_456),
            ("1969-12-31T23:59:59.999999999+00:00", -1),
            ("1969-12-31T23:59:59.999999999Z", -1),
            ("0001-01-01T00:00:00Z", MIN_US),
            ("9999-12-31T23:59:59.999999Z", MAX_US),
        ];
        for (text, expected) in cases {
            assert_eq!(from_text(text).ok(), Some(expected), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_moment_are_refused() {
        let wrong =
            ["", "now", "2026-01-31", "2026-01-31T12:00:00", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "Z"];
        for text in wrong.into_iter().chain(["2026-01-31T24:00:00Z", "2026-01-31T12:00:00.Z", "1763712000"]) {
            assert_eq!(from_text(text).unwrap_err().reason(), "invalid_timestamp", "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_form_agrees_with_jiff(time_us in MIN_US..=253_402_207_200_000_000, digits in 0_u8..=9) {
            let timestamp = jiff::Timestamp::from_microsecond(time_us).unwrap();
            let text = format!("{timestamp:.*}", usize::from(digits));
            prop_assert_eq!(usual_form(text.as_bytes()), any_form(&text).ok(), "{}", text);
            prop_assert!(usual_form(text.as_bytes()).is_some());
        }

        #[test]
        fn the_fast_form_accepts_nothing_that_jiff_refuses(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z") {
            if let Some(time_us) = usual_form(text.as_bytes()) {
                prop_assert_eq!(any_form(&text), Ok(time_us));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = from_text(&text);
        }
    }
}
