//! Readings to wire bytes, for simulator, load generator, replay and tests. Waveform frames: [`crate::waveform::encode`].

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, DictionaryArray, Float64Array, RecordBatch, TimestampMicrosecondArray, types::Int32Type,
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use iotpm_core::Quality;
use serde::{Serialize, Serializer};

use crate::{CodecError, Decoded, Result, error::excerpt, quality};

/// Appends one JSON reading. Absent keys are left out, a good quality too; a value that is not finite becomes null.
///
/// ```
/// use iotpm_codec::{Decoded, encode};
/// let reading = Decoded {
///     sensor_id: Some("a-1"), metric: Some("temperature"), time_us: Some(1_763_712_000_000_000), value: 21.53,
///     quality: iotpm_core::Quality::Good, unit: Some("Cel"), ..Decoded::default()
/// };
/// let mut out = Vec::new();
/// encode::json_reading(&reading, &mut out);
/// assert_eq!(String::from_utf8(out).unwrap(),
///     r#"{"sensor_id":"a-1","timestamp":1763712000000,"metric":"temperature","value":21.53,"meta":{"unit":"Cel"}}"#);
/// ```
pub fn json_reading(reading: &Decoded<'_>, out: &mut Vec<u8>) {
    write_json(&JsonReading::of(reading), out);
}

/// Appends a JSON array of readings.
pub fn json_array(readings: &[Decoded<'_>], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, reading) in readings.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json_reading(reading, out);
    }
    out.push(b']');
}

fn write_json(value: &impl Serialize, out: &mut Vec<u8>) {
    // Writing numbers, texts and structs with fixed keys into memory cannot fail.
    let _ = serde_json::to_writer(out, value);
}

#[derive(Serialize)]
struct JsonReading<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sensor_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<&'a str>,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<JsonMeta<'a>>,
}

impl<'a> JsonReading<'a> {
    fn of(reading: &Decoded<'a>) -> Self {
        let stated = !matches!(reading.quality, Quality::Good | Quality::NonFinite);
        let meta = JsonMeta { unit: reading.unit, location: reading.location };
        Self {
            sensor_id: reading.sensor_id,
            timestamp: reading.time_us.map(Time),
            metric: reading.metric,
            value: reading.value,
            quality: stated.then(|| quality::word(reading.quality)),
            meta: (meta.unit.is_some() || meta.location.is_some()).then_some(meta),
        }
    }
}

#[derive(Serialize)]
struct JsonMeta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
}

/// Microseconds: as milliseconds where nothing is lost, and as text where the magnitude would mislead (before 1973-03).
struct Time(i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        const UNAMBIGUOUS: std::ops::Range<i64> = 100_000_000_000_000..100_000_000_000_000_000;
        match jiff::Timestamp::from_microsecond(self.0) {
            _ if UNAMBIGUOUS.contains(&self.0) && self.0 % 1_000 == 0 => serializer.serialize_i64(self.0 / 1_000),
            Ok(timestamp) if !UNAMBIGUOUS.contains(&self.0) => serializer.collect_str(&timestamp),
            _ => serializer.serialize_i64(self.0),
        }
    }
}

/// Appends one line of line protocol: `sensor_id` (or `measurement`) as measurement, `metric` (or `value`) as field.
///
/// # Errors
/// [`CodecError::NotNumeric`] for a value that is not finite, which line protocol cannot say;
/// [`CodecError::InvalidLine`] for a name that is empty, holds a line end or `\`, or begins with `#` or a tab;
/// [`CodecError::TimestampOutOfRange`] for a time that 64 bits of nanoseconds cannot hold. `out` then may hold a part.
pub fn line(reading: &Decoded<'_>, out: &mut Vec<u8>) -> Result<()> {
    let (sensor, metric) = (reading.sensor_id.unwrap_or("measurement"), reading.metric.unwrap_or("value"));
    let names = [Some(sensor), Some(metric), reading.unit, reading.location];
    if let Some(name) = names.into_iter().flatten().find(|name| !fits_a_line(name)) {
        let detail = format!("the name {:?} cannot be written", excerpt(name));
        return Err(CodecError::InvalidLine { line: 1, detail });
    }
    if !reading.value.is_finite() {
        return Err(CodecError::NotNumeric { field: excerpt(metric), value: reading.value.to_string() });
    }
    escaped(sensor, &[',', ' '], out);
    for (key, value) in [("unit", reading.unit), ("location", reading.location)] {
        if let Some(value) = value {
            out.extend_from_slice(format!(",{key}=").as_bytes());
            escaped(value, &[',', '=', ' '], out);
        }
    }
    out.push(b' ');
    escaped(metric, &[',', '=', ' '], out);
    out.extend_from_slice(format!("={:?}", reading.value).as_bytes());
    reading.time_us.map_or(Ok(()), |time_us| time_ns(time_us, out))?;
    out.push(b'\n');
    Ok(())
}

/// Line ends cannot be escaped in a name, and a backslash could be taken for an escape; `#` begins a comment.
fn fits_a_line(name: &str) -> bool {
    !(name.is_empty() || name.contains(['\n', '\r', '\\']) || name.starts_with(['#', '\t']))
}

fn escaped(name: &str, special: &[char], out: &mut Vec<u8>) {
    for character in name.chars() {
        if special.contains(&character) {
            out.push(b'\\');
        }
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// The time in nanoseconds, with a space before it.
fn time_ns(time_us: i64, out: &mut Vec<u8>) -> Result<()> {
    let out_of_range = || CodecError::TimestampOutOfRange { value: format!("{time_us} us") };
    let nanos = time_us.checked_mul(1_000).ok_or_else(out_of_range)?;
    out.extend_from_slice(format!(" {nanos}").as_bytes());
    Ok(())
}

/// An Arrow IPC stream with the columns `timestamp`, `value` and, if given, `signal` (dictionary-encoded), one batch.
///
/// # Errors
/// [`CodecError::InvalidArrow`] if the columns differ in length.
pub fn arrow_stream(signals: Option<&[&str]>, times_us: &[i64], values: &[f64]) -> Result<Vec<u8>> {
    let batch = batch(signals, times_us, values).map_err(|error| failed(&error))?;
    record_batches(&batch.schema(), &[batch])
}

/// An Arrow IPC stream of batches of one schema.
///
/// # Errors
/// [`CodecError::InvalidArrow`] if a batch has another schema.
pub fn record_batches(schema: &Schema, batches: &[RecordBatch]) -> Result<Vec<u8>> {
    let written = StreamWriter::try_new(Vec::new(), schema).and_then(|mut writer| {
        batches.iter().try_for_each(|batch| writer.write(batch))?;
        writer.into_inner()
    });
    written.map_err(|error| failed(&error))
}

fn failed(error: &ArrowError) -> CodecError {
    CodecError::InvalidArrow { detail: excerpt(&error.to_string()) }
}

fn batch(signals: Option<&[&str]>, times_us: &[i64], values: &[f64]) -> std::result::Result<RecordBatch, ArrowError> {
    let time_type = DataType::Timestamp(TimeUnit::Microsecond, None);
    let mut fields = vec![Field::new("timestamp", time_type, false), Field::new("value", DataType::Float64, false)];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from(times_us.to_vec())),
        Arc::new(Float64Array::from(values.to_vec())),
    ];
    if let Some(signals) = signals {
        let column: DictionaryArray<Int32Type> = signals.iter().copied().collect();
        fields.push(Field::new("signal", column.data_type().clone(), false));
        columns.push(Arc::new(column));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}
