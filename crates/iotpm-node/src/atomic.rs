//! Atomic batches (NATS ADR-50): stored all or none, under one confirmation.
//!
//! Where the server syncs every write to the disk (`sync_interval: always`) a batch is one write: what single messages
//! and fast-ingest batches pay for each message, an atomic batch pays once.

use async_nats::{HeaderMap, client::RequestErrorKind};
use serde::Deserialize;

use crate::{connection::Connection, ingest::Outgoing, jetstream::ApiError};

/// Messages that a server takes in one batch.
pub(crate) const BATCH_MAX: u64 = 1_000;
const CODE_NOT_ALLOWED: u64 = 10_174;

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it is stored.
    Stored,
    /// Nothing is, for a reason that single messages tell better: a full stream, a known `Nats-Msg-Id`, a lost message.
    Refused,
    /// Nothing is: the stream takes no atomic batches.
    NotAllowed,
    /// Nobody knows.
    Unanswered,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    count: u64,
    error: Option<ApiError>,
}

/// Sends messages as one batch and waits for its confirmation.
pub(crate) async fn store<'a>(
    connection: &Connection,
    messages: impl ExactSizeIterator<Item = &'a Outgoing>,
) -> Outcome {
    let (inbox, count) = (connection.client.new_inbox(), messages.len() as u64);
    let id = inbox.rsplit('.').next().unwrap_or(&inbox);
    for (number, message) in (1..).zip(messages) {
        let headers = headers(message, id, number, count);
        if number == count {
            return commit(connection, message, headers, count).await;
        }
        let (subject, payload) = (message.subject.clone(), message.payload.clone());
        if connection.client.publish_with_headers(subject, headers, payload).await.is_err() {
            return Outcome::Unanswered;
        }
    }
    Outcome::Stored
}

fn headers(message: &Outgoing, id: &str, number: u64, count: u64) -> HeaderMap {
    let mut headers = message.headers.clone().unwrap_or_default();
    headers.insert("Nats-Batch-Id", id);
    headers.insert("Nats-Batch-Sequence", number.to_string());
    if number == count {
        headers.insert("Nats-Batch-Commit", "1");
    }
    headers
}

async fn commit(connection: &Connection, last: &Outgoing, headers: HeaderMap, count: u64) -> Outcome {
    let (subject, payload) = (last.subject.clone(), last.payload.clone());
    match connection.client.request_with_headers(subject, headers, payload).await {
        Ok(reply) => serde_json::from_slice(&reply.payload).map_or(Outcome::Refused, |answer| read(&answer, count)),
        Err(error) if error.kind() == RequestErrorKind::NoResponders => Outcome::Refused,
        Err(_) => Outcome::Unanswered,
    }
}

fn read(answer: &Answer, count: u64) -> Outcome {
    match &answer.error {
        Some(error) if error.err_code == CODE_NOT_ALLOWED => Outcome::NotAllowed,
        None if answer.count == count => Outcome::Stored,
        _ => Outcome::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_nats_server_2_15_sends_them() {
        let outcome = |json: &str| read(&serde_json::from_str(json).unwrap(), 5);
        assert_eq!(outcome(r#"{"stream":"R","seq":10005,"batch":"b973","count":5}"#), Outcome::Stored);
        let known = r#"{"error":{"code":400,"err_code":10201,"description":"contains duplicate message id"},"seq":0}"#;
        assert_eq!(outcome(known), Outcome::Refused);
        let off = r#"{"error":{"code":400,"err_code":10174,"description":"atomic publish is disabled"},"seq":0}"#;
        assert_eq!(outcome(off), Outcome::NotAllowed);
        assert_eq!(outcome(r#"{"stream":"R","seq":7,"batch":"b","count":4}"#), Outcome::Refused);
    }

    #[test]
    fn only_the_last_message_commits() {
        let mut own = HeaderMap::new();
        own.insert("Nats-Msg-Id", "s:1:7");
        let message = Outgoing { subject: "a".into(), payload: "x".into(), headers: Some(own) };
        let value = |headers: &HeaderMap, name: &str| headers.get(name).map(ToString::to_string);
        let (first, last) = (headers(&message, "b", 1, 2), headers(&message, "b", 2, 2));
        assert_eq!(value(&first, "Nats-Batch-Commit"), None);
        assert_eq!(value(&last, "Nats-Batch-Commit").as_deref(), Some("1"));
        assert_eq!(value(&last, "Nats-Batch-Sequence").as_deref(), Some("2"));
        assert_eq!(value(&last, "Nats-Msg-Id").as_deref(), Some("s:1:7"));
    }
}
