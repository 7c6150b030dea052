//! Generated readings as wire bytes.

use std::{io::Write, sync::Arc};

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::StreamWriter;
use async_nats::HeaderMap;
use bytes::{Bytes, BytesMut};

use super::{
    LoadFormat, LoadOptions,
    signal::{Fleet, Generated},
};
use crate::ingest::Outgoing;

/// Payloads are cut from blocks of this size.
const BLOCK_BYTES: usize = 256 << 10;

/// Writes messages of one format.
pub(super) struct FrameWriter {
    format: LoadFormat,
    block: BytesMut,
    headers: Option<HeaderMap>,
}

impl FrameWriter {
    pub fn new(options: &LoadOptions) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "application/vnd.apache.arrow.stream");
        let headers = (options.format == LoadFormat::Arrow).then_some(headers);
        Self { format: options.format, block: BytesMut::new(), headers }
    }

    /// One message; its readings are all of one asset.
    pub fn write(&mut self, fleet: &Fleet, readings: &[Generated]) -> Outgoing {
        let subject = readings.first().map(|reading| fleet.signals[reading.signal].subject.clone());
        let payload = match self.format {
            LoadFormat::Json => self.json(fleet, readings, false),
            LoadFormat::JsonArray => self.json(fleet, readings, true),
            LoadFormat::Arrow => arrow(fleet, readings),
        };
        Outgoing { subject: subject.unwrap_or_else(|| "empty".into()), payload, headers: self.headers.clone() }
    }

    fn json(&mut self, fleet: &Fleet, readings: &[Generated], array: bool) -> Bytes {
        self.block.reserve(if self.block.capacity() < 128 * (readings.len() + 1) { BLOCK_BYTES } else { 0 });
        let mut separator: &[u8] = if array { b"[" } else { b"" };
        for reading in readings {
            self.block.extend_from_slice(separator);
            self.object(fleet, reading);
            separator = b",";
        }
        if array {
            self.block.extend_from_slice(b"]");
        }
        self.block.split().freeze()
    }

    fn object(&mut self, fleet: &Fleet, reading: &Generated) {
        let signal = &fleet.signals[reading.signal];
        self.block.extend_from_slice(br#"{"sensor_id":""#);
        self.block.extend_from_slice(signal.asset.as_bytes());
        self.block.extend_from_slice(br#"","timestamp":"#);
        self.number(reading.time_us);
        self.block.extend_from_slice(br#","metric":""#);
        self.block.extend_from_slice(signal.metric.as_bytes());
        self.block.extend_from_slice(br#"","value":"#);
        self.hundredths(reading.value);
        self.block.extend_from_slice(b"}");
    }

    fn number(&mut self, number: i64) {
        let mut digits = [0u8; 20];
        let mut left = digits.as_mut_slice();
        // 20 bytes hold every i64.
        write!(left, "{number}").unwrap_or_default();
        let unused = left.len();
        self.block.extend_from_slice(&digits[..20 - unused]);
    }

    /// Two decimals are all that the generator's values have.
    fn hundredths(&mut self, value: f64) {
        let hundredths = (value * 100.0).round() as i64;
        if hundredths < 0 {
            self.block.extend_from_slice(b"-");
        }
        let (whole, rest) = (hundredths.abs() / 100, (hundredths.abs() % 100) as u8);
        self.number(whole);
        self.block.extend_from_slice(&[b'.', b'0' + rest / 10, b'0' + rest % 10]);
    }
}

fn arrow(fleet: &Fleet, readings: &[Generated]) -> Bytes {
    let times = Int64Array::from_iter_values(readings.iter().map(|reading| reading.time_us));
    let values = Float64Array::from_iter_values(readings.iter().map(|reading| reading.value));
    let metrics = StringArray::from_iter_values(readings.iter().map(|reading| &fleet.signals[reading.signal].metric));
    let columns: [(&str, ArrayRef); 3] =
        [("timestamp", Arc::new(times)), ("value", Arc::new(values)), ("metric", Arc::new(metrics))];
    let encode = || -> Result<Vec<u8>, arrow_schema::ArrowError> {
        let batch = RecordBatch::try_from_iter(columns)?;
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
        writer.write(&batch)?;
        writer.into_inner()
    };
    // Three columns of one length written to memory: there is nothing to fail.
    encode().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn frames(format: LoadFormat, readings_per_message: usize) -> (Fleet, FrameWriter) {
        let options = LoadOptions {
            signals: 6,
            assets: 2,
            format,
            readings_per_message,
            start_us: Some(1_767_323_045_000_000),
            ..Default::default()
        };
        (Fleet::new(&options), FrameWriter::new(&options))
    }

    fn next(fleet: &mut Fleet, writer: &mut FrameWriter, message: u64) -> (Vec<Generated>, Outgoing) {
        let readings = fleet.message(message, None, &mut Vec::new(), Vec::new());
        let outgoing = writer.write(fleet, &readings);
        (readings, outgoing)
    }

    #[test]
    fn json_says_what_was_generated() {
        let (mut fleet, mut writer) = frames(LoadFormat::Json, 1);
        for message in 0..50 {
            let (readings, outgoing) = next(&mut fleet, &mut writer, message);
            let json: Value = serde_json::from_slice(&outgoing.payload).unwrap();
            assert_eq!(json["value"].as_f64(), Some(readings[0].value));
            assert_eq!(json["timestamp"].as_i64(), Some(readings[0].time_us));
            let tail = format!(".{}.{}", json["sensor_id"].as_str().unwrap(), json["metric"].as_str().unwrap());
            assert!(outgoing.subject.ends_with(&tail));
            assert!((80..100).contains(&outgoing.payload.len()));
        }
    }

    #[test]
    fn arrays_hold_readings_of_one_asset() {
        let (mut fleet, mut writer) = frames(LoadFormat::JsonArray, 9);
        let (readings, outgoing) = next(&mut fleet, &mut writer, 3);
        let json: Vec<Value> = serde_json::from_slice(&outgoing.payload).unwrap();
        assert_eq!(json.len(), 9);
        assert!(json.iter().zip(&readings).all(|(json, reading)| json["value"].as_f64() == Some(reading.value)));
        assert!(json.iter().all(|json| outgoing.subject.ends_with(json["sensor_id"].as_str().unwrap())));
    }

    #[test]
    fn arrow_comes_back() {
        let (mut fleet, mut writer) = frames(LoadFormat::Arrow, 9);
        let (readings, outgoing) = next(&mut fleet, &mut writer, 3);
        let mut reader = arrow_ipc::reader::StreamReader::try_new(&*outgoing.payload, None).unwrap();
        let batch = reader.next().unwrap().unwrap();
        let values = batch.column_by_name("value").unwrap().as_any().downcast_ref::<Float64Array>().unwrap();
        assert!(values.values().iter().zip(&readings).all(|(value, reading)| *value == reading.value));
        assert_eq!(batch.num_rows(), 9);
    }

    #[test]
    fn negative_hundredths_keep_their_sign() {
        let (_, mut writer) = frames(LoadFormat::Json, 1);
        writer.hundredths(-0.07);
        assert_eq!(&writer.block[..], b"-0.07");
    }
}
