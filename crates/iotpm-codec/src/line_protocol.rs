//! `InfluxDB` line protocol (version 2 of the published grammar), as Telegraf sends it.
//!
//! ```text
//! measurement[,tag=value ...] field=value[,field=value ...] [timestamp in nanoseconds]
//! ```
//!
//! Every field is a reading: metric = field key; sensor = tag `sensor_id`, or the measurement where there is no such
//! tag; unit and location = the tags of these names; other tags are ignored. Values: floats (`1`, `-1.5e3`), integers
//! (`1i`), unsigned (`1u`); booleans and texts are refused, each field for itself. A line without a timestamp takes the
//! message's stream time. Lines that begin with `#` and empty lines are skipped. A line that cannot be parsed costs
//! that line only and counts as one position; if no line can be parsed, the message as a whole is refused.

use std::borrow::Cow;

use iotpm_core::Quality;

use crate::{
    CodecError, Decoded, Limits, Result, Sink,
    error::{excerpt, quoted},
    message, timestamp,
};

/// One reading, or why there is none.
type Row<'a> = Result<Field<'a>>;

/// Hands the readings of all lines to `sink`.
///
/// # Errors
/// When the message is broken as a whole; `sink` has then been given nothing.
pub(crate) fn decode(payload: &[u8], limits: &Limits, sink: &mut impl Sink) -> Result<()> {
    let not_text = |error: std::str::Utf8Error| invalid(1, &format!("no UTF-8: {error}"));
    let text = std::str::from_utf8(message::text(payload)).map_err(not_text)?;
    let rows = rows(text, limits)?;
    for (position, row) in (0..).zip(&rows) {
        match row {
            Ok(field) => sink.reading(position, &field.view()),
            Err(error) => sink.reject(position, error),
        }
    }
    Ok(())
}

fn rows<'a>(text: &'a str, limits: &Limits) -> Result<Vec<Row<'a>>> {
    let mut rows = Vec::new();
    let mut cursor = Cursor { text, at: 0, line: 1 };
    while cursor.find_line() {
        if let Err(error) = line(&mut cursor, limits, &mut rows) {
            rows.push(Err(error));
            cursor.skip_line();
        }
        if rows.len() > limits.max_readings {
            return Err(CodecError::TooManyReadings { max: limits.max_readings });
        }
    }
    whole(rows)
}

/// Refuses a message in which there is nothing, or nothing that looks like line protocol.
fn whole(rows: Vec<Row<'_>>) -> Result<Vec<Row<'_>>> {
    let is_no_line = |row: &Row<'_>| matches!(row, Err(CodecError::InvalidLine { .. }));
    match rows.first() {
        None => Err(CodecError::EmptyPayload),
        Some(Err(first)) if rows.iter().all(is_no_line) => Err(first.clone()),
        Some(_) => Ok(rows),
    }
}

/// One field of one line.
struct Field<'a> {
    tags: Tags<'a>,
    metric: Cow<'a, str>,
    time_us: Option<i64>,
    value: f64,
}

impl Field<'_> {
    fn view(&self) -> Decoded<'_> {
        Decoded {
            sensor_id: self.tags.sensor_id.as_deref(),
            metric: Some(&self.metric),
            signal: None,
            time_us: self.time_us,
            value: self.value,
            quality: Quality::Good,
            unit: self.tags.unit.as_deref(),
            location: self.tags.location.as_deref(),
        }
    }
}

/// What the tags say, and the measurement as sensor where they do not.
#[derive(Clone, Default)]
struct Tags<'a> {
    sensor_id: Option<Cow<'a, str>>,
    unit: Option<Cow<'a, str>>,
    location: Option<Cow<'a, str>>,
}

/// Appends the readings of one line; on an error nothing.
fn line<'a>(cursor: &mut Cursor<'a>, limits: &Limits, rows: &mut Vec<Row<'a>>) -> Result<()> {
    let tags = series(cursor, limits)?;
    let fields = fields(cursor, limits)?;
    let time_us = time(cursor)?;
    rows.extend(fields.into_iter().map(|(metric, value)| {
        let value = value.number(&metric)?;
        Ok(Field { tags: tags.clone(), metric, time_us, value })
    }));
    Ok(())
}

/// Measurement and tags, up to the space before the fields.
fn series<'a>(cursor: &mut Cursor<'a>, limits: &Limits) -> Result<Tags<'a>> {
    let measurement = cursor.name("measurement", b", ", limits)?;
    let mut tags = Tags::default();
    for count in 0.. {
        match cursor.peek() {
            Some(b',') if count < limits.max_columns => tag(cursor, limits, &mut tags)?,
            Some(b',') => return Err(invalid(cursor.line, &format!("more than {} tags", limits.max_columns))),
            Some(b' ') => break,
            _ => return Err(invalid(cursor.line, "no fields")),
        }
    }
    tags.sensor_id.get_or_insert(measurement);
    Ok(tags)
}

fn tag<'a>(cursor: &mut Cursor<'a>, limits: &Limits, tags: &mut Tags<'a>) -> Result<()> {
    cursor.expect(b',', "no tag")?;
    let key = cursor.name("tag key", b",= ", limits)?;
    cursor.expect(b'=', "a tag without '='")?;
    let value = cursor.name("tag value", b",= ", limits)?;
    let place = match &*key {
        "sensor_id" => &mut tags.sensor_id,
        "unit" => &mut tags.unit,
        "location" => &mut tags.location,
        _ => return Ok(()),
    };
    if place.replace(value).is_some() { Err(invalid(cursor.line, "a tag is there twice")) } else { Ok(()) }
}

fn fields<'a>(cursor: &mut Cursor<'a>, limits: &Limits) -> Result<Vec<(Cow<'a, str>, Value<'a>)>> {
    cursor.skip_spaces();
    let mut fields = Vec::with_capacity(1);
    loop {
        let key = cursor.name("field key", b",= ", limits)?;
        cursor.expect(b'=', "a field without '='")?;
        fields.push((key, cursor.value()?));
        match cursor.peek() {
            Some(b',') if fields.len() < limits.max_columns => cursor.at += 1,
            Some(b',') => return Err(invalid(cursor.line, &format!("more than {} fields", limits.max_columns))),
            _ => return Ok(fields),
        }
    }
}

/// The timestamp at the end of a line, if there is one.
fn time(cursor: &mut Cursor<'_>) -> Result<Option<i64>> {
    let rest = cursor.until(b"\n").trim_matches([' ', '\r']);
    if rest.is_empty() {
        return Ok(None);
    }
    let nanos = rest.parse().map_err(|_| CodecError::InvalidTimestamp { value: quoted(rest) })?;
    timestamp::from_nanos(nanos).map(Some)
}

/// A field's value as it is written.
enum Value<'a> {
    /// Without quotation marks.
    Bare(&'a str),
    /// A text; its content does not matter.
    Text(&'a str),
}

impl Value<'_> {
    fn number(&self, key: &str) -> Result<f64> {
        let refused = |value| CodecError::NotNumeric { field: excerpt(key), value };
        match self {
            Self::Text(text) => Err(refused(excerpt(text))),
            Self::Bare(text) => {
                number(text).ok_or_else(|| refused(quoted(text))).and_then(|number| finite(number, text))
            }
        }
    }
}

fn number(text: &str) -> Option<f64> {
    if let Some(digits) = text.strip_suffix('i') {
        return digits.parse::<i64>().ok().map(|number| number as f64);
    }
    if let Some(digits) = text.strip_suffix('u') {
        return digits.parse::<u64>().ok().map(|number| number as f64);
    }
    let first = text.strip_prefix(['-', '+']).unwrap_or(text).bytes().next()?;
    // Rust would also read "nan" and "inf", which the grammar does not have.
    if first.is_ascii_digit() || first == b'.' { text.parse().ok() } else { None }
}

fn finite(number: f64, text: &str) -> Result<f64> {
    if number.is_finite() { Ok(number) } else { Err(CodecError::NumberOutOfRange { detail: excerpt(text) }) }
}

fn invalid(line: usize, detail: &str) -> CodecError {
    CodecError::InvalidLine { line, detail: excerpt(detail) }
}

/// A place in the text.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8, otherwise: &str) -> Result<()> {
        if self.peek() != Some(byte) {
            return Err(invalid(self.line, otherwise));
        }
        self.at += 1;
        Ok(())
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    /// Steps over the end of this line, empty lines and comments; false at the end of the text.
    fn find_line(&mut self) -> bool {
        loop {
            match self.peek() {
                None => return false,
                Some(b'\n') => (self.at, self.line) = (self.at + 1, self.line + 1),
                Some(b' ' | b'\r' | b'\t') => self.at += 1,
                Some(b'#') => self.skip_line(),
                Some(_) => return true,
            }
        }
    }

    fn skip_line(&mut self) {
        self.until(b"\n");
    }

    /// The text up to one of the bytes (ASCII) or the end; stands at that byte afterwards.
    fn until(&mut self, stops: &[u8]) -> &'a str {
        let rest = &self.text[self.at..];
        let bytes = rest.bytes().position(|byte| stops.contains(&byte)).unwrap_or(rest.len());
        self.at += bytes;
        &rest[..bytes]
    }

    /// A name up to an unescaped special byte or the end of the line; `\` before a special byte takes it literally.
    fn name(&mut self, what: &'static str, special: &[u8], limits: &Limits) -> Result<Cow<'a, str>> {
        let (start, mut escaped) = (self.at, false);
        while let Some(byte) = self.peek() {
            let literal =
                byte == b'\\' && self.text.as_bytes().get(self.at + 1).is_some_and(|next| special.contains(next));
            if byte == b'\n' || (special.contains(&byte) && !literal) {
                break;
            }
            escaped |= literal;
            self.at += if literal { 2 } else { 1 };
        }
        self.checked_name(what, &self.text[start..self.at], limits)?;
        let raw = &self.text[start..self.at];
        Ok(if escaped { Cow::Owned(unescaped(raw, special)) } else { Cow::Borrowed(raw) })
    }

    fn checked_name(&self, field: &'static str, raw: &str, limits: &Limits) -> Result<()> {
        let (bytes, max) = (raw.len(), limits.max_string_bytes);
        match bytes {
            0 => Err(invalid(self.line, &format!("the {field} is empty"))),
            _ if bytes > max => Err(CodecError::StringTooLong { field, bytes, max }),
            _ => Ok(()),
        }
    }

    fn value(&mut self) -> Result<Value<'a>> {
        match self.peek() {
            Some(b'"') => self.quoted_value(),
            _ => match self.until(b", \r\n") {
                "" => Err(invalid(self.line, "a field without a value")),
                bare => Ok(Value::Bare(bare)),
            },
        }
    }

    /// A text in quotation marks; it may hold line ends, and `\` takes the next byte literally.
    fn quoted_value(&mut self) -> Result<Value<'a>> {
        let rest = &self.text[self.at..];
        let mut literal = false;
        let end = rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !literal;
            literal = byte == b'\\' && !literal;
            ends
        });
        let raw = &rest[..end.ok_or_else(|| invalid(self.line, "a text without closing quotation mark"))? + 2];
        self.at += raw.len();
        self.line += raw.bytes().filter(|&byte| byte == b'\n').count();
        Ok(Value::Text(raw))
    }
}

fn unescaped(raw: &str, special: &[u8]) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut characters = raw.chars().peekable();
    while let Some(character) = characters.next() {
        let literal =
            character == '\\' && characters.peek().is_some_and(|next| special.iter().any(|&s| char::from(s) == *next));
        out.push(if literal { characters.next().unwrap_or(character) } else { character });
    }
    out
}
