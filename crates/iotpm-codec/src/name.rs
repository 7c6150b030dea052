//! Names: subject tokens, and the signal's name `site/asset/signal`.
//!
//! Parts (site, asset, signal) are plain text inside. In a subject, characters that NATS forbids in a token and `%` are
//! percent-encoded; in a full name `/`, `%` and control characters are, so that different parts never give one name.

use std::{borrow::Cow, fmt::Write};

use crate::{CodecError, Result, error::excerpt};

/// Longest full name in bytes, and longest subject.
pub const MAX_NAME_BYTES: usize = 512;

/// The parts of a raw subject `<prefix>.<site>.<asset>[.<signal>]`, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Site, not empty.
    pub site: Cow<'a, str>,
    /// Asset, not empty.
    pub asset: Cow<'a, str>,
    /// Signal, not empty if it is there.
    pub signal: Option<Cow<'a, str>>,
}

impl<'a> Subject<'a> {
    /// Takes a subject apart; `prefix` is `iotpm.raw` for live data. Allocates only for percent-encoded tokens.
    ///
    /// # Errors
    /// [`CodecError::InvalidSubject`] for another prefix, fewer or more tokens, an empty token, or broken encoding.
    pub fn parse(prefix: &str, subject: &'a str) -> Result<Self> {
        let invalid = |detail: &str| invalid_subject(prefix, subject, detail);
        if subject.len() > MAX_NAME_BYTES {
            return Err(invalid("too long"));
        }
        let rest = subject.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'));
        let mut tokens = rest.ok_or_else(|| invalid("another prefix"))?.split('.').map(|token| part(token, invalid));
        let (site, asset) = (tokens.next(), tokens.next());
        let parsed = Self {
            site: site.ok_or_else(|| invalid("no site"))??,
            asset: asset.ok_or_else(|| invalid("no asset"))??,
            signal: tokens.next().transpose()?,
        };
        if tokens.next().is_some() { Err(invalid("too many tokens")) } else { Ok(parsed) }
    }
}

fn invalid_subject(prefix: &str, subject: &str, detail: &str) -> CodecError {
    CodecError::InvalidSubject { subject: excerpt(subject), prefix: excerpt(prefix), detail: detail.to_owned() }
}

fn part(token: &str, invalid: impl Fn(&str) -> CodecError) -> Result<Cow<'_, str>> {
    match decode(token) {
        Some(decoded) if decoded.is_empty() => Err(invalid("an empty token")),
        Some(decoded) => Ok(decoded),
        None => Err(invalid("broken percent-encoding")),
    }
}

/// Appends a text as one subject token: white space, control characters, `.`, `*`, `>` and `%` are percent-encoded.
pub fn push_token(text: &str, out: &mut String) {
    push_encoded(text, out, |c| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>' | '%'));
}

/// A text as one subject token, see [`push_token`].
///
/// ```
/// assert_eq!(iotpm_codec::name::token("pump 1.b"), "pump%201%2Eb");
/// ```
#[must_use]
pub fn token(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_token(text, &mut out);
    out
}

fn push_encoded(text: &str, out: &mut String, must: impl Fn(char) -> bool) {
    for character in text.chars() {
        if must(character) { push_percent(character, out) } else { out.push(character) }
    }
}

fn push_percent(character: char, out: &mut String) {
    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
        // Writing to a String cannot fail.
        let _ = write!(out, "%{byte:02X}");
    }
}

/// Undoes percent-encoding; `None` if a `%` is not followed by two hexadecimal digits or the result is no UTF-8.
#[must_use]
pub fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.as_bytes().split(|&byte| byte == b'%');
    bytes.extend_from_slice(pieces.next()?);
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        bytes.push(hexadecimal(digits[0])? << 4 | hexadecimal(digits[1])?);
        bytes.extend_from_slice(rest);
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// The signal part of a reading's name, written into `out` (emptied first).
///
/// From the subject; else `metric` if `sensor_id` is absent or equals the asset; else `sensor_id.metric`; else
/// `sensor_id`. A format with a signal name of its own ([`Decoded::signal`](crate::Decoded::signal)) gives it as
/// `subject_signal` where the subject has none: `subject.signal.as_deref().or(reading.signal)`.
///
/// # Errors
/// [`CodecError::NoSignalName`] if there is none of these, [`CodecError::StringTooLong`] above [`MAX_NAME_BYTES`].
pub fn signal_name(
    asset: &str,
    subject_signal: Option<&str>,
    sensor_id: Option<&str>,
    metric: Option<&str>,
    out: &mut String,
) -> Result<()> {
    out.clear();
    let (first, second) = match (subject_signal, sensor_id, metric) {
        (Some(signal), _, _) => (signal, None),
        (None, Some(sensor), Some(metric)) if sensor != asset => (sensor, Some(metric)),
        (None, _, Some(metric)) => (metric, None),
        (None, Some(sensor), None) => (sensor, None),
        (None, None, None) => return Err(CodecError::NoSignalName { asset: excerpt(asset) }),
    };
    bounded(first.len() + second.map_or(0, |text| text.len() + 1))?;
    out.push_str(first);
    if let Some(second) = second {
        out.push('.');
        out.push_str(second);
    }
    Ok(())
}

/// The full name `site/asset/signal`, written into `out` (emptied first).
///
/// # Errors
/// [`CodecError::StringTooLong`] above [`MAX_NAME_BYTES`].
pub fn full_name(site: &str, asset: &str, signal: &str, out: &mut String) -> Result<()> {
    out.clear();
    bounded(site.len() + asset.len() + signal.len() + 2)?;
    push_part(site, out);
    for part in [asset, signal] {
        out.push('/');
        push_part(part, out);
    }
    bounded(out.len())
}

fn push_part(part: &str, out: &mut String) {
    let must = |c: char| c.is_control() || matches!(c, '/' | '%');
    if part.contains(must) { push_encoded(part, out, must) } else { out.push_str(part) }
}

fn bounded(bytes: usize) -> Result<()> {
    let max = MAX_NAME_BYTES;
    if bytes <= max { Ok(()) } else { Err(CodecError::StringTooLong { field: "signal name", bytes, max }) }
}

/// Site, asset and signal of a full name; `None` if it is not one.
#[must_use]
pub fn split_full_name(name: &str) -> Option<[Cow<'_, str>; 3]> {
    let mut parts = name.split('/').map(decode);
    let all = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signal(subject: Option<&str>, sensor: Option<&str>, metric: Option<&str>) -> Result<String> {
        let mut out = "dirty".to_owned();
        signal_name("pump-1", subject, sensor, metric, &mut out).map(|()| out)
    }

    #[test]
    fn the_signal_follows_the_rule_in_its_order() {
        assert_eq!(signal(Some("s"), Some("a"), Some("m")).as_deref(), Ok("s"));
        assert_eq!(signal(None, None, Some("m")).as_deref(), Ok("m"));
        assert_eq!(signal(None, Some("pump-1"), Some("m")).as_deref(), Ok("m"));
        assert_eq!(signal(None, Some("a"), Some("m")).as_deref(), Ok("a.m"));
        assert_eq!(signal(None, Some("a"), None).as_deref(), Ok("a"));
        assert_eq!(signal(None, Some("pump-1"), None).as_deref(), Ok("pump-1"));
        assert_eq!(signal(None, None, None).unwrap_err().reason(), "no_signal_name");
    }

    #[test]
    fn names_are_bounded() {
        let long = "x".repeat(MAX_NAME_BYTES);
        assert_eq!(signal(None, Some(&long), Some("m")).unwrap_err().reason(), "string_too_long");
        let mut out = String::new();
        assert_eq!(full_name("s", "a", &long, &mut out).unwrap_err().reason(), "string_too_long");
        assert_eq!(full_name("s", "a", &"/".repeat(300), &mut out).unwrap_err().reason(), "string_too_long");
    }

    #[test]
    fn subjects_come_apart() {
        let subject = Subject::parse("iotpm.raw", "iotpm.raw.plant%20a.pump-1.t%2E1").unwrap();
        assert_eq!((&*subject.site, &*subject.asset, subject.signal.as_deref()), ("plant a", "pump-1", Some("t.1")));
        let subject = Subject::parse("iotpm.demo.raw", "iotpm.demo.raw.s.a").unwrap();
        assert!(matches!((&subject.site, &subject.signal), (Cow::Borrowed("s"), None)));
    }

    #[test]
    fn subjects_that_are_none_are_refused() {
        let long = format!("iotpm.raw.s.{}", "a".repeat(MAX_NAME_BYTES));
        let wrong = ["", "iotpm.raw", "iotpm.raw.", "iotpm.raw.s", "iotpm.raw.s.", "iotpm.raw..a", "iotpm.raw.s.a.b.c"];
        let encoded = ["iotpm.raw.s.%", "iotpm.raw.s.%2", "iotpm.raw.s.%zz", "iotpm.raw.s.%FF", "iotpm.raw.s.%+1"];
        for subject in wrong.into_iter().chain(encoded).chain(["iotpm.rawx.s.a", "iotpm.raw.s.a.", &long]) {
            assert_eq!(Subject::parse("iotpm.raw", subject).unwrap_err().reason(), "invalid_subject", "{subject}");
        }
    }

    proptest! {
        #[test]
        fn tokens_go_both_ways_and_fit_a_subject(text in "\\PC{1,40}|[ .*>%\\t\\n/a]{1,20}") {
            let token = token(&text);
            prop_assert!(!token.contains([' ', '.', '*', '>', '\t', '\r', '\n']));
            prop_assert_eq!(decode(&token).unwrap(), text);
        }

        #[test]
        fn full_names_tell_their_parts(parts in prop::array::uniform3("\\PC{1,20}|[/%a\\n]{1,8}")) {
            let mut name = String::new();
            full_name(&parts[0], &parts[1], &parts[2], &mut name).unwrap();
            prop_assert_eq!(split_full_name(&name).unwrap().map(Cow::into_owned), parts);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}|[%0-9a-f]{0,20}") {
            let _ = (decode(&text), split_full_name(&text), Subject::parse("", &text));
        }
    }
}
