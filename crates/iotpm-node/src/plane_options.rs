//! Options of the data plane: one flat JSON object for connection, reader and pipeline.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    ConnectionOptions, NodeError, PipelineOptions, error::Result, growing::ChunkLimits, reader::ReaderOptions,
};

const CONNECTION_KEYS: [&str; 7] =
    ["url", "credentials_file", "nkey_file", "tls_ca", "tls_cert", "tls_key", "link_timeout_s"];
const READER_KEYS: [&str; 7] = [
    "raw_stream",
    "anomaly_stream",
    "start_sequence",
    "chunk_age_ms",
    "chunk_max_messages",
    "chunk_max_bytes",
    "snapshot_slice_ms",
];
/// A chunk is held in memory three times over: growing, running, committing.
const CHUNK_BYTES_MAX: usize = 1 << 30;
const CHUNK_MESSAGES_MAX: usize = 1 << 20;
const MS_MAX: u64 = 60_000;

/// Everything the data plane needs to know.
#[derive(Clone, Debug)]
pub struct PlaneOptions {
    /// Where the broker is.
    pub connection: ConnectionOptions,
    /// What to read, and how to cut it.
    pub stream: StreamOptions,
    /// How messages become rows.
    pub pipeline: PipelineOptions,
}

/// What to read, and how to cut it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamOptions {
    /// Stream with the raw messages.
    pub raw_stream: String,
    /// Stream with the anomalies; absent: events are stored but not published.
    #[serde(default)]
    pub anomaly_stream: Option<String>,
    /// First sequence to read: the snapshot's + 1.
    #[serde(default = "first_sequence")]
    pub start_sequence: u64,
    /// How long a chunk grows at least, milliseconds.
    #[serde(default = "chunk_age_ms")]
    pub chunk_age_ms: u64,
    /// Most messages of a chunk.
    #[serde(default = "chunk_max_messages")]
    pub chunk_max_messages: usize,
    /// Bytes of subjects and payloads after which a chunk takes no more.
    #[serde(default = "chunk_max_bytes")]
    pub chunk_max_bytes: usize,
    /// How long a part of a requested snapshot's state is captured after each chunk, milliseconds, or a quarter of what
    /// the chunk took if that is longer; 0: one asset of each shard.
    #[serde(default = "snapshot_slice_ms")]
    pub snapshot_slice_ms: u64,
}

fn first_sequence() -> u64 {
    1
}

fn chunk_age_ms() -> u64 {
    5
}

fn chunk_max_messages() -> usize {
    122_880
}

fn chunk_max_bytes() -> usize {
    20 << 20
}

fn snapshot_slice_ms() -> u64 {
    4
}

impl PlaneOptions {
    /// Options from one flat JSON object; unknown keys are errors.
    ///
    /// # Errors
    /// [`NodeError::InvalidOptions`] or [`NodeError::InvalidOption`] names the key.
    pub fn from_json(json: &str) -> Result<Self> {
        let keys: Map<String, Value> = serde_json::from_str(json).map_err(|error| invalid(&error))?;
        let (connection, keys) = split(keys, &CONNECTION_KEYS);
        let (stream, pipeline) = split(keys, &READER_KEYS);
        let options = Self {
            connection: parse(connection)?,
            stream: parse(stream)?,
            pipeline: PipelineOptions::from_json(&Value::Object(pipeline).to_string())?,
        };
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<()> {
        let stream = &self.stream;
        within("start_sequence", stream.start_sequence, 1, u64::MAX, "1 or more")?;
        within("chunk_age_ms", stream.chunk_age_ms, 0, MS_MAX, "between 0 and 60000")?;
        within("snapshot_slice_ms", stream.snapshot_slice_ms, 0, MS_MAX, "between 0 and 60000")?;
        within("chunk_max_messages", stream.chunk_max_messages, 1, CHUNK_MESSAGES_MAX, "between 1 and 1048576")?;
        within("chunk_max_bytes", stream.chunk_max_bytes, 1, CHUNK_BYTES_MAX, "between 1 and 1073741824")?;
        self.pipeline.check()
    }

    pub(crate) fn reader(&self) -> ReaderOptions {
        let StreamOptions { raw_stream, start_sequence, chunk_age_ms, chunk_max_messages, chunk_max_bytes, .. } =
            self.stream.clone();
        let age = Duration::from_millis(chunk_age_ms);
        let limits = ChunkLimits { age, messages: chunk_max_messages, bytes: chunk_max_bytes };
        ReaderOptions { stream: raw_stream, start_sequence, limits, discard: false }
    }
}

fn invalid(error: &dyn ToString) -> NodeError {
    NodeError::InvalidOptions { detail: error.to_string() }
}

fn split(keys: Map<String, Value>, wanted: &[&str]) -> (Map<String, Value>, Map<String, Value>) {
    keys.into_iter().partition(|(key, _)| wanted.contains(&key.as_str()))
}

/// Absent and null mean the same.
fn parse<T: serde::de::DeserializeOwned>(keys: Map<String, Value>) -> Result<T> {
    let given = keys.into_iter().filter(|(_, value)| !value.is_null()).collect();
    serde_json::from_value(Value::Object(given)).map_err(|error| invalid(&error))
}

fn within<T>(name: &'static str, value: T, low: T, high: T, allowed: &'static str) -> Result<()>
where
    T: PartialOrd + ToString + Copy,
{
    let fits = (low..=high).contains(&value);
    if fits { Ok(()) } else { Err(NodeError::InvalidOption { name, value: value.to_string(), allowed }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_reach_their_rooms() {
        let json = r#"{"url":"nats://a","raw_stream":"RAW_0","tls_ca":null,"start_sequence":7,"partition":"0"}"#;
        let options = PlaneOptions::from_json(json).unwrap();
        assert_eq!((options.connection.url.as_str(), options.stream.start_sequence), ("nats://a", 7));
        assert_eq!((options.stream.chunk_age_ms, options.stream.chunk_max_messages), (5, 122_880));
        assert_eq!(options.stream.anomaly_stream, None);
    }

    #[test]
    fn mistakes_are_named() {
        let refused = |json: &str| PlaneOptions::from_json(json).unwrap_err().to_string();
        assert!(refused(r#"{"url":"nats://a","raw_stream":"R","chunk_ages":1}"#).contains("chunk_ages"));
        assert!(refused(r#"{"url":"nats://a"}"#).contains("raw_stream"));
        let zero = refused(r#"{"url":"nats://a","raw_stream":"R","chunk_max_messages":0}"#);
        assert_eq!(zero, "option chunk_max_messages = 0: must be between 1 and 1048576");
    }
}
