//! JSON: one reading, or an array of them.
//!
//! ```json
//! {"sensor_id": "a-1", "timestamp": 1763712000000, "metric": "temperature", "value": 21.53,
//!  "quality": "good", "meta": {"unit": "Cel", "location": "hall 3"}}
//! ```
//!
//! Only `value` is required. It is a number, or null, "NaN", "Infinity", "-Infinity" for a failed measurement
//! ([`Quality::NonFinite`]); other texts and booleans are refused. `timestamp`: see [`crate::timestamp`]; `quality`: see
//! [`crate::quality`]. Null and the empty text count as absent. Unknown keys are ignored, known keys must not repeat.
//!
//! Readings are parsed in one pass without a tree by `sonic-rs`, texts borrowed unless they hold escapes. What it does
//! not accept is given to `serde_json`, whose verdict counts: an array is then cut into elements first, so that an
//! element which cannot be parsed costs itself alone. So is a document with a negative zero, whose sign `sonic-rs`
//! (0.5.10) loses. UTF-8 is checked before either, because `sonic-rs` relies on it.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    fmt,
};

use iotpm_core::Quality;
use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    CodecError, Decoded, Limits, Result, Sink,
    error::{excerpt, quoted},
    message, quality, timestamp,
};

/// Memory kept between messages.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    readings: Vec<Draft<'static>>,
}

/// Hands the readings of one document to `sink`.
///
/// # Errors
/// When the document is broken as a whole; `sink` has then been given nothing.
pub(crate) fn decode(payload: &[u8], limits: &Limits, scratch: &mut Scratch, sink: &mut impl Sink) -> Result<()> {
    let document = std::str::from_utf8(message::text(payload)).map_err(|error| invalid(&error.to_string()))?;
    let mut readings = recycle(std::mem::take(&mut scratch.readings));
    let outcome = parse(document, limits, &mut readings);
    if outcome.is_ok() {
        emit(&readings, sink);
    }
    scratch.readings = recycle(readings);
    outcome
}

fn parse<'de>(document: &'de str, limits: &Limits, readings: &mut Vec<Draft<'de>>) -> Result<()> {
    match document.as_bytes() {
        [b'[', ..] => array(document, limits, readings)?,
        [_, ..] => readings.push(single(document, limits, limits.max_depth)?),
        [] => {}
    }
    if readings.is_empty() { Err(CodecError::EmptyPayload) } else { Ok(()) }
}

/// Empties a vector and gives its memory to one of another lifetime; `collect` reuses it in place.
fn recycle<'b>(mut readings: Vec<Draft<'_>>) -> Vec<Draft<'b>> {
    readings.clear();
    readings.into_iter().map(|_| Draft::default()).collect()
}

fn emit(readings: &[Draft<'_>], sink: &mut impl Sink) {
    for (position, draft) in (0..).zip(readings) {
        match &draft.error {
            None => sink.reading(position, &draft.view()),
            Some(error) => sink.reject(position, error),
        }
    }
}

fn single<'de>(document: &'de str, limits: &Limits, depth: usize) -> Result<Draft<'de>> {
    let context = Context::new(limits);
    let seed = ReadingSeed { context: &context, depth };
    let draft = context.parse(document, seed).or_else(|error| match error {
        CodecError::InvalidJson { .. } => context.second_opinion(document, seed),
        other => Err(other),
    })?;
    draft.into_result()
}

fn array<'de>(document: &'de str, limits: &Limits, readings: &mut Vec<Draft<'de>>) -> Result<()> {
    let context = Context::new(limits);
    match context.parse(document, ArraySeed { context: &context, readings }) {
        Err(CodecError::InvalidJson { .. } | CodecError::TooDeep { .. }) => {
            element_by_element(document, limits, readings)
        }
        outcome => outcome,
    }
}

/// The slow way, for arrays with an element that cannot be parsed (1e999, nested too deeply).
fn element_by_element<'de>(document: &'de str, limits: &Limits, readings: &mut Vec<Draft<'de>>) -> Result<()> {
    readings.clear();
    let context = Context::new(limits);
    let elements = context.second_opinion(document, ElementsSeed { context: &context })?;
    readings.extend(elements.into_iter().map(|element| {
        single(element.get(), limits, limits.max_depth.saturating_sub(1))
            .unwrap_or_else(|error| Draft { error: Some(Box::new(error)), ..Draft::default() })
    }));
    Ok(())
}

/// Limits, and a place for errors that the parser's own error type cannot carry.
struct Context<'l> {
    limits: &'l Limits,
    failure: RefCell<Option<CodecError>>,
    /// Whether some value is zero.
    zero: Cell<bool>,
}

impl<'l> Context<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self { limits, failure: RefCell::new(None), zero: Cell::new(false) }
    }

    fn fail<E: serde::de::Error>(&self, error: CodecError) -> E {
        *self.failure.borrow_mut() = Some(error);
        E::custom("refused")
    }

    /// The fast parser.
    fn parse<'de, S: DeserializeSeed<'de>>(&self, document: &'de str, seed: S) -> Result<S::Value> {
        let mut deserializer = sonic_rs::Deserializer::from_str(document);
        let parsed = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
        match parsed {
            Ok(_) if self.zero.get() && has_negative_zero(document) => Err(invalid("negative zero")),
            Ok(value) => Ok(value),
            Err(error) => Err(self.failure.take().unwrap_or_else(|| invalid(&error.to_string()))),
        }
    }

    /// The parser whose word counts.
    fn second_opinion<'de, S: DeserializeSeed<'de>>(&self, document: &'de str, seed: S) -> Result<S::Value> {
        let mut deserializer = serde_json::Deserializer::from_str(document);
        let parsed = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
        parsed.map_err(|error| self.failure.take().unwrap_or_else(|| invalid(&error.to_string())))
    }

    fn deeper<E: serde::de::Error>(&self, depth: usize) -> std::result::Result<usize, E> {
        depth.checked_sub(1).ok_or_else(|| self.fail(CodecError::TooDeep { max: self.limits.max_depth }))
    }
}

fn invalid(error: &str) -> CodecError {
    let detail = excerpt(error);
    // The parser has no other mark for it; a test notices if the wording changes.
    if detail.starts_with("number out of range") {
        CodecError::NumberOutOfRange { detail }
    } else {
        CodecError::InvalidJson { detail }
    }
}

/// Whether a `-0` that is not the begin of a longer run of digits is anywhere in the text.
fn has_negative_zero(document: &str) -> bool {
    let after_minus = document.split('-').skip(1).map(str::as_bytes);
    after_minus.into_iter().any(|rest| rest.first() == Some(&b'0') && !rest.get(1).is_some_and(u8::is_ascii_digit))
}

/// A reading while it is parsed; a semantic error is kept, so that the rest of the document still can be read.
#[derive(Debug)]
struct Draft<'a> {
    sensor_id: Option<Cow<'a, str>>,
    metric: Option<Cow<'a, str>>,
    unit: Option<Cow<'a, str>>,
    location: Option<Cow<'a, str>>,
    time_us: Option<i64>,
    value: f64,
    quality: Quality,
    seen: u8,
    error: Option<Box<CodecError>>,
}

impl Default for Draft<'_> {
    fn default() -> Self {
        Self {
            sensor_id: None,
            metric: None,
            unit: None,
            location: None,
            time_us: None,
            value: f64::NAN,
            quality: Quality::Good,
            seen: 0,
            error: None,
        }
    }
}

impl<'a> Draft<'a> {
    fn view(&self) -> Decoded<'_> {
        Decoded {
            sensor_id: self.sensor_id.as_deref(),
            metric: self.metric.as_deref(),
            signal: None,
            time_us: self.time_us,
            value: self.value,
            quality: quality::of_value(self.value, self.quality),
            unit: self.unit.as_deref(),
            location: self.location.as_deref(),
        }
    }

    fn into_result(mut self) -> Result<Self> {
        self.error.take().map_or(Ok(self), |error| Err(*error))
    }

    /// The first error is the one that is told.
    fn keep(&mut self, outcome: Result<()>) {
        if let (Err(error), None) = (outcome, &self.error) {
            self.error = Some(Box::new(error));
        }
    }

    fn see(&mut self, key: Key) -> Result<()> {
        let bit = 1_u8 << key as u8;
        let repeated = self.seen & bit != 0;
        self.seen |= bit;
        if repeated { Err(CodecError::DuplicateKey { key: key.name() }) } else { Ok(()) }
    }

    fn finish(mut self) -> Self {
        if self.seen & (1 << Key::Value as u8) == 0 {
            self.keep(Err(CodecError::MissingValue));
        }
        self
    }

    fn set(&mut self, key: Key, scalar: Scalar<'a>, limits: &Limits) -> Result<()> {
        self.see(key)?;
        match key {
            Key::SensorId => self.sensor_id = scalar.text(key, limits)?,
            Key::Metric => self.metric = scalar.text(key, limits)?,
            Key::Unit => self.unit = scalar.text(key, limits)?,
            Key::Location => self.location = scalar.text(key, limits)?,
            Key::Timestamp => self.time_us = scalar.time(limits)?,
            Key::Value => self.value = scalar.number(limits)?,
            Key::Quality => self.quality = scalar.quality()?,
            Key::Meta | Key::Unknown => {}
        }
        Ok(())
    }
}

/// The keys of a reading and of its `meta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Key {
    SensorId,
    Timestamp,
    Metric,
    Value,
    Quality,
    Meta,
    Unit,
    Location,
    Unknown,
}

impl Key {
    fn of_reading(key: &str) -> Self {
        match key {
            "sensor_id" => Self::SensorId,
            "timestamp" => Self::Timestamp,
            "metric" => Self::Metric,
            "value" => Self::Value,
            "quality" => Self::Quality,
            "meta" => Self::Meta,
            _ => Self::Unknown,
        }
    }

    fn of_meta(key: &str) -> Self {
        match key {
            "unit" => Self::Unit,
            "location" => Self::Location,
            _ => Self::Unknown,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::SensorId => "sensor_id",
            Self::Timestamp => "timestamp",
            Self::Metric => "metric",
            Self::Value => "value",
            Self::Quality => "quality",
            Self::Meta => "meta",
            Self::Unit => "meta.unit",
            Self::Location => "meta.location",
            Self::Unknown => "another key",
        }
    }
}

/// The value of a known key.
#[derive(Debug)]
enum Scalar<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    /// Above `i64::MAX`.
    Unsigned(u64),
    Float(f64),
    Text(Cow<'a, str>),
    /// An object or an array, skipped.
    Composite(&'static str),
}

impl<'a> Scalar<'a> {
    fn describe(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Unsigned(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(value) => quoted(value),
            Self::Composite(kind) => (*kind).to_owned(),
        }
    }

    fn text(self, key: Key, limits: &Limits) -> Result<Option<Cow<'a, str>>> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) if text.is_empty() => Ok(None),
            Self::Text(text) => within(text.len(), key, limits).map(|()| Some(text)),
            other => Err(CodecError::WrongType { field: key.name(), found: other.describe(), expected: "a text" }),
        }
    }

    fn number(&self, limits: &Limits) -> Result<f64> {
        match self {
            Self::Float(value) => Ok(*value),
            Self::Integer(value) => Ok(*value as f64),
            Self::Unsigned(value) => Ok(*value as f64),
            Self::Null => Ok(f64::NAN),
            Self::Text(text) => within(text.len(), Key::Value, limits).and_then(|()| non_finite(text)),
            other => Err(not_numeric(other.describe())),
        }
    }

    fn time(&self, limits: &Limits) -> Result<Option<i64>> {
        match self {
            Self::Null => Ok(None),
            Self::Integer(number) => timestamp::from_integer(*number).map(Some),
            Self::Unsigned(number) => timestamp::from_float(*number as f64).map(Some),
            Self::Float(number) => timestamp::from_float(*number).map(Some),
            Self::Text(text) if text.is_empty() => Ok(None),
            Self::Text(text) => {
                within(text.len(), Key::Timestamp, limits).and_then(|()| timestamp::from_text(text).map(Some))
            }
            other => Err(CodecError::InvalidTimestamp { value: other.describe() }),
        }
    }

    fn quality(&self) -> Result<Quality> {
        match self {
            Self::Null => Ok(Quality::Good),
            Self::Integer(number) => quality::from_opc(*number as f64),
            Self::Unsigned(number) => quality::from_opc(*number as f64),
            Self::Float(number) => quality::from_opc(*number),
            Self::Text(word) => quality::from_word(word),
            other => Err(CodecError::InvalidQuality { value: other.describe() }),
        }
    }
}

fn within(bytes: usize, key: Key, limits: &Limits) -> Result<()> {
    let max = limits.max_string_bytes;
    if bytes <= max { Ok(()) } else { Err(CodecError::StringTooLong { field: key.name(), bytes, max }) }
}

/// The texts that stand for a value which is no number.
fn non_finite(text: &str) -> Result<f64> {
    match text {
        "NaN" | "Infinity" | "-Infinity" => Ok(f64::NAN),
        other => Err(not_numeric(quoted(other))),
    }
}

fn not_numeric(value: String) -> CodecError {
    CodecError::NotNumeric { field: "value".to_owned(), value }
}

/// Parses one reading; `depth` levels may still open.
#[derive(Clone, Copy)]
struct ReadingSeed<'c> {
    context: &'c Context<'c>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for ReadingSeed<'_> {
    type Value = Draft<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A reading that is none.
fn not_a_reading<'a>(found: &'static str) -> Draft<'a> {
    Draft { error: Some(Box::new(CodecError::NotAReading { found })), ..Draft::default() }
}

impl<'de> Visitor<'de> for ReadingSeed<'_> {
    type Value = Draft<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a reading")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let depth = self.context.deeper(self.depth)?;
        let mut draft = Draft::default();
        while let Some(key) = map.next_key_seed(KeySeed(Key::of_reading))? {
            match key {
                Key::Unknown => map.next_value_seed(SkipSeed { context: self.context, depth })?,
                Key::Meta => map.next_value_seed(MetaSeed { context: self.context, depth, draft: &mut draft })?,
                _ => set_next(key, &mut map, self.context, depth, &mut draft)?,
            }
        }
        Ok(draft.finish())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> std::result::Result<Self::Value, A::Error> {
        SkipSeed { context: self.context, depth: self.depth }.visit_seq(seq)?;
        Ok(not_a_reading("an array"))
    }

    fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
        Ok(not_a_reading("null"))
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Self::Value, E> {
        Ok(not_a_reading("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Self::Value, E> {
        Ok(not_a_reading("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Self::Value, E> {
        Ok(not_a_reading("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Self::Value, E> {
        Ok(not_a_reading("a number"))
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Self::Value, E> {
        Ok(not_a_reading("a text"))
    }
}

fn set_next<'de, A: MapAccess<'de>>(
    key: Key,
    map: &mut A,
    context: &Context<'_>,
    depth: usize,
    draft: &mut Draft<'de>,
) -> std::result::Result<(), A::Error> {
    let scalar = map.next_value_seed(ScalarSeed { context, depth })?;
    let outcome = draft.set(key, scalar, context.limits);
    draft.keep(outcome);
    context.zero.set(context.zero.get() || draft.value == 0.0);
    Ok(())
}

/// A key, by the function that knows it.
struct KeySeed(fn(&str) -> Key);

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> std::result::Result<Key, E> {
        Ok(self.0(key))
    }
}

/// The object `meta`, or null.
struct MetaSeed<'c, 'd, 'de> {
    context: &'c Context<'c>,
    depth: usize,
    draft: &'d mut Draft<'de>,
}

impl<'de> DeserializeSeed<'de> for MetaSeed<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        let outcome = self.draft.see(Key::Meta);
        self.draft.keep(outcome);
        deserializer.deserialize_any(self)
    }
}

impl MetaSeed<'_, '_, '_> {
    fn wrong(self, found: &str) {
        let expected = "an object with unit and location";
        self.draft.keep(Err(CodecError::WrongType { field: "meta", found: found.to_owned(), expected }));
    }
}

impl<'de> Visitor<'de> for MetaSeed<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        let depth = self.context.deeper(self.depth)?;
        while let Some(key) = map.next_key_seed(KeySeed(Key::of_meta))? {
            match key {
                Key::Unknown => map.next_value_seed(SkipSeed { context: self.context, depth })?,
                _ => set_next(key, &mut map, self.context, depth, self.draft)?,
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> std::result::Result<(), A::Error> {
        SkipSeed { context: self.context, depth: self.depth }.visit_seq(seq)?;
        self.wrong("an array");
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<(), E> {
        self.wrong("a boolean");
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<(), E> {
        self.wrong("a number");
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<(), E> {
        self.wrong("a number");
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<(), E> {
        self.wrong("a number");
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<(), E> {
        self.wrong("a text");
        Ok(())
    }
}

/// The value of a known key, whatever its type.
struct ScalarSeed<'c> {
    context: &'c Context<'c>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for ScalarSeed<'_> {
    type Value = Scalar<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScalarSeed<'_> {
    type Value = Scalar<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Self::Value, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Self::Value, E> {
        Ok(Scalar::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Scalar::Unsigned(value), Scalar::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Self::Value, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> std::result::Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> std::result::Result<Self::Value, A::Error> {
        SkipSeed { context: self.context, depth: self.depth }.visit_seq(seq)?;
        Ok(Scalar::Composite("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Self::Value, A::Error> {
        SkipSeed { context: self.context, depth: self.depth }.visit_map(map)?;
        Ok(Scalar::Composite("an object"))
    }
}

/// Steps over a value that nobody asked for, at most `depth` levels deep.
#[derive(Clone, Copy)]
struct SkipSeed<'c> {
    context: &'c Context<'c>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for SkipSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for SkipSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        let inner = SkipSeed { depth: self.context.deeper(self.depth)?, ..self };
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        let inner = SkipSeed { depth: self.context.deeper(self.depth)?, ..self };
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// An array of readings.
struct ArraySeed<'c, 'v, 'de> {
    context: &'c Context<'c>,
    readings: &'v mut Vec<Draft<'de>>,
}

impl<'de> DeserializeSeed<'de> for ArraySeed<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ArraySeed<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of readings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        let seed = ReadingSeed { context: self.context, depth: self.context.deeper(self.context.limits.max_depth)? };
        while let Some(draft) = seq.next_element_seed(seed)? {
            room_for_one(self.readings.len(), self.context)?;
            self.readings.push(draft);
        }
        Ok(())
    }
}

fn room_for_one<E: serde::de::Error>(count: usize, context: &Context<'_>) -> std::result::Result<(), E> {
    let max = context.limits.max_readings;
    if count < max { Ok(()) } else { Err(context.fail(CodecError::TooManyReadings { max })) }
}

/// The elements of an array, unparsed.
struct ElementsSeed<'c> {
    context: &'c Context<'c>,
}

impl<'de> DeserializeSeed<'de> for ElementsSeed<'_> {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ElementsSeed<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of readings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            room_for_one(elements.len(), self.context)?;
            elements.push(element);
        }
        Ok(elements)
    }
}
