//! A message as the broker stored it.

use std::sync::Arc;

use async_nats::Subject;
use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

/// One message of the RAW stream, cheap to clone.
#[derive(Clone, Debug)]
pub struct RawMessage {
    /// Its subject.
    pub subject: Subject,
    /// Its bytes.
    pub payload: Bytes,
    /// Header `Content-Type`; a reader that sees the same one again and again shares it.
    pub content_type: Option<Arc<str>>,
    /// Header `Nats-Msg-Id`, `source:epoch:seq`.
    pub message_id: Option<Box<str>>,
    /// Header `Iotpm-Time`, microseconds; only virtual-time streams look at it.
    pub virtual_time_us: Option<i64>,
    /// Stream sequence; ascends from message to message, gaps are allowed.
    pub sequence: u64,
    /// When the broker stored it, microseconds.
    pub stored_us: i64,
}

impl RawMessage {
    /// A message without headers.
    #[must_use]
    pub fn new(subject: impl Into<Subject>, payload: impl Into<Bytes>, sequence: u64, stored_us: i64) -> Self {
        Self {
            subject: subject.into(),
            payload: payload.into(),
            content_type: None,
            message_id: None,
            virtual_time_us: None,
            sequence,
            stored_us,
        }
    }
}

/// Hash that identifies a message: XXH3 of subject, a zero byte, payload. `progress` keeps it to recognise the stream.
#[must_use]
pub fn message_hash(subject: &[u8], payload: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(subject);
    hash.update(&[0]);
    hash.update(payload);
    hash.digest()
}
