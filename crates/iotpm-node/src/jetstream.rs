//! The few `JetStream` API calls of the data plane, as plain requests.

use async_nats::client::RequestErrorKind;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    connection::Connection,
    stream_error::{StreamError, StreamResult},
};

const CODE_STREAM_NOT_FOUND: u64 = 10_059;
const CODE_MESSAGE_NOT_FOUND: u64 = 10_037;

/// What a stream is and how far it reaches.
#[derive(Clone, Debug, Deserialize)]
pub struct StreamInfo {
    /// Creation time, RFC 3339; the stream's identity together with its name.
    pub created: String,
    /// Its extent.
    pub state: StreamState,
}

/// The extent of a stream.
#[derive(Clone, Debug, Deserialize)]
pub struct StreamState {
    /// Messages stored now.
    pub messages: u64,
    /// Sequence of the first one, or last + 1 if there is none.
    pub first_seq: u64,
    /// Last sequence ever given.
    pub last_seq: u64,
}

/// A message as stored.
#[derive(Clone, Debug, Deserialize)]
pub struct StoredMessage {
    /// Its sequence.
    pub seq: u64,
    /// When it was stored, RFC 3339.
    pub time: String,
    /// Header block, base64.
    #[serde(default)]
    pub hdrs: Option<String>,
}

impl StoredMessage {
    /// When it was stored, nanoseconds since the epoch.
    #[must_use]
    pub fn stored_ns(&self) -> Option<i64> {
        let time = async_nats::datetime::parse_rfc3339(&self.time).ok()?;
        i64::try_from(time.unix_timestamp_nanos()).ok()
    }

    /// Value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let block = base64_decode(self.hdrs.as_deref()?)?;
        let text = String::from_utf8(block).ok()?;
        let of_line = |line: &str| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        text.lines().find_map(of_line)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer<T> {
    Error { error: ApiError },
    Ok(T),
}

/// An error of the `JetStream` API.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ApiError {
    #[serde(default)]
    pub code: u64,
    #[serde(default)]
    pub err_code: u64,
    #[serde(default)]
    pub description: String,
}

impl Connection {
    /// The stream's state.
    ///
    /// # Errors
    /// [`StreamError::StreamMissing`], or why the request failed.
    pub async fn stream_info(&self, stream: &str) -> StreamResult<StreamInfo> {
        let subject = format!("$JS.API.STREAM.INFO.{stream}");
        self.api(subject, String::new()).await.map_err(|error| self.missing(stream, error))
    }

    /// A stored message, if it is there.
    ///
    /// # Errors
    /// Why the request failed.
    pub async fn stored_message(&self, stream: &str, sequence: u64) -> StreamResult<Option<StoredMessage>> {
        #[derive(Deserialize)]
        struct Found {
            message: StoredMessage,
        }
        let subject = format!("$JS.API.STREAM.MSG.GET.{stream}");
        match self.api::<Found>(subject, format!(r#"{{"seq":{sequence}}}"#)).await {
            Ok(found) => Ok(Some(found.message)),
            Err(StreamError::Api { code: CODE_MESSAGE_NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(self.missing(stream, error)),
        }
    }

    /// Makes an empty stream give `sequence` to its next message.
    ///
    /// # Errors
    /// Why the request failed.
    pub async fn advance_empty_stream(&self, stream: &str, sequence: u64) -> StreamResult<()> {
        let subject = format!("$JS.API.STREAM.PURGE.{stream}");
        let payload = format!(r#"{{"seq":{sequence}}}"#);
        self.api::<serde_json::Value>(subject, payload).await.map(drop)
    }

    /// Sends a request to the `JetStream` API and decodes its answer.
    pub(crate) async fn api<T: DeserializeOwned>(&self, subject: String, payload: String) -> StreamResult<T> {
        let what = subject.trim_start_matches("$JS.API.").to_owned();
        let reply = match self.client.request(subject, payload.into()).await {
            Ok(reply) => reply,
            Err(error) => return Err(self.failed(what, &reason(&error))),
        };
        match serde_json::from_slice(&reply.payload) {
            Ok(Answer::Ok(answer)) => Ok(answer),
            Ok(Answer::Error { error }) => Err(self.refused(what, error)),
            Err(error) => Err(self.failed(what, &format!("unexpected answer: {error}"))),
        }
    }

    pub(crate) fn failed(&self, what: String, reason: &str) -> StreamError {
        StreamError::Request { server: self.server.to_string(), what, reason: reason.to_owned() }
    }

    fn refused(&self, what: String, error: ApiError) -> StreamError {
        let code = if error.err_code == 0 { error.code } else { error.err_code };
        StreamError::Api { server: self.server.to_string(), what, code, description: error.description }
    }

    fn missing(&self, stream: &str, error: StreamError) -> StreamError {
        match error {
            StreamError::Api { code: CODE_STREAM_NOT_FOUND, .. } => {
                StreamError::StreamMissing { stream: stream.to_owned(), server: self.server.to_string() }
            }
            other => other,
        }
    }
}

fn reason(error: &async_nats::RequestError) -> String {
    match error.kind() {
        RequestErrorKind::NoResponders => "JetStream does not answer (not enabled, starting, or no permission)".into(),
        RequestErrorKind::TimedOut => "no answer in time".into(),
        _ => error.to_string(),
    }
}

/// Standard base64 with padding, as the server sends it; `None` if it is not.
fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut accumulator, mut bits) = (0u32, 0);
    for digit in digits.bytes() {
        accumulator = (accumulator << 6) | u32::from(base64_digit(digit)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((accumulator >> bits) as u8);
        }
    }
    Some(bytes)
}

fn base64_digit(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_a_stored_message() {
        // "NATS/1.0\r\nIotpm-Outbox-Seq: 17\r\nA: b\r\n\r\n"
        let block = "TkFUUy8xLjANCklvdHBtLU91dGJveC1TZXE6IDE3DQpBOiBiDQoNCg==";
        let message = StoredMessage { seq: 1, time: "2026-01-02T03:04:05.000000006Z".into(), hdrs: Some(block.into()) };
        assert_eq!(message.header("iotpm-outbox-seq").as_deref(), Some("17"));
        assert_eq!(message.header("Missing"), None);
        assert_eq!(message.stored_ns(), Some(1_767_323_045_000_000_006));
    }

    #[test]
    fn an_error_answer_is_not_taken_for_success() {
        let text = r#"{"type":"x","error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        assert!(matches!(serde_json::from_str::<Answer<serde_json::Value>>(text), Ok(Answer::Error { error }) if
                error.err_code == CODE_STREAM_NOT_FOUND));
    }
}
