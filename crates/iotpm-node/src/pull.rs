//! One ephemeral consumer and its overlapping pull requests.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use async_nats::{HeaderMap, Message, StatusCode, Subscriber};
use serde_json::json;

use crate::{connection::Connection, stream_error::StreamResult};

/// Messages asked for by one request.
const BATCH: u64 = 10_000;
/// Requests kept outstanding.
const REQUESTS: u64 = 3;
/// Bytes after which the server ends a request; at least the largest message it may hold.
const REQUEST_BYTES: usize = 8 << 20;
/// How often the server reports that a request still waits, within the time after which a link counts as dead.
const HEARTBEATS: u32 = 4;
/// When an unfulfilled request ends.
const EXPIRES: Duration = Duration::from_secs(30);
/// How long the server keeps a consumer that nobody pulls from.
const INACTIVE: Duration = Duration::from_secs(60);
/// Largest payload plus this much for subject and headers must fit into a request.
const MESSAGE_OVERHEAD_BYTES: usize = 64 << 10;

/// What a status message means for the requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The link is alive.
    Heartbeat,
    /// A request ended with so many messages not delivered.
    Ended(u64),
    /// The consumer is gone, for this reason.
    Lost(String),
}

/// A consumer without acknowledgements that delivers into one inbox.
pub(crate) struct Pull {
    pub subscriber: Subscriber,
    connection: Connection,
    inbox: String,
    next_subject: String,
    delete_subject: String,
    request: bytes::Bytes,
    outstanding: u64,
    disconnects: u64,
    /// Consumer sequence of the last message accepted.
    pub consumer_seq: u64,
}

impl Pull {
    /// Creates a consumer on `stream` that starts at `start`, and subscribes to what it will deliver.
    pub async fn open(connection: &Connection, stream: &str, start: u64) -> StreamResult<Self> {
        let disconnects = connection.counters.disconnects.load(Relaxed);
        let inbox = connection.client.new_inbox();
        let name = format!("iotpm-{}", inbox.rsplit('.').next().unwrap_or_default());
        let subscriber = connection.client.subscribe(inbox.clone()).await;
        let subscriber =
            subscriber.map_err(|error| connection.failed(format!("subscribing to {inbox}"), &error.to_string()))?;
        let subject = format!("$JS.API.CONSUMER.CREATE.{stream}.{name}");
        connection.api::<serde_json::Value>(subject, consumer_request(stream, &name, start)).await?;
        Ok(Self {
            subscriber,
            next_subject: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"),
            delete_subject: format!("$JS.API.CONSUMER.DELETE.{stream}.{name}"),
            request: pull_request(connection.client.max_payload(), connection.link_timeout / HEARTBEATS).into(),
            connection: connection.clone(),
            inbox,
            outstanding: 0,
            disconnects,
            consumer_seq: 0,
        })
    }

    /// Keeps the requests overlapping.
    pub async fn top_up(&mut self) -> StreamResult<()> {
        while self.outstanding + BATCH <= REQUESTS * BATCH {
            let (subject, inbox) = (self.next_subject.clone(), self.inbox.clone());
            let sent = self.connection.client.publish_with_reply(subject, inbox, self.request.clone()).await;
            sent.map_err(|error| self.connection.failed("pulling".into(), &error.to_string()))?;
            self.outstanding += BATCH;
        }
        Ok(())
    }

    /// The connection was lost since: requests and, if the server restarted, the consumer are gone.
    pub fn is_cut_off(&self) -> bool {
        self.connection.counters.disconnects.load(Relaxed) != self.disconnects
    }

    /// Silence after which the consumer is given up: three heartbeats missed.
    pub fn silence_max(&self) -> Duration {
        self.connection.link_timeout / HEARTBEATS * (HEARTBEATS - 1)
    }

    /// Takes one delivered message off the account.
    pub fn delivered(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// Reads a status message and keeps the account.
    pub fn status(&mut self, message: &Message) -> Option<Status> {
        let code = message.status?;
        let status = read_status(code, message.description.as_deref(), message.headers.as_ref());
        if let Status::Ended(undelivered) = status {
            self.outstanding = self.outstanding.saturating_sub(undelivered);
        }
        Some(status)
    }

    /// Deletes the consumer; without an answer the server forgets it by itself.
    pub async fn close(self) {
        let deleted = self.connection.client.publish(self.delete_subject, bytes::Bytes::new()).await;
        if deleted.is_ok() {
            self.connection.client.flush().await.ok();
        }
    }
}

fn consumer_request(stream: &str, name: &str, start: u64) -> String {
    json!({
        "stream_name": stream,
        "config": {
            "name": name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": start,
            "ack_policy": "none",
            "replay_policy": "instant",
            "inactive_threshold": INACTIVE.as_nanos() as u64,
            "mem_storage": true,
            "num_replicas": 1,
        },
    })
    .to_string()
}

fn pull_request(max_payload: usize, heartbeat: Duration) -> String {
    json!({
        "batch": BATCH,
        "max_bytes": REQUEST_BYTES.max(max_payload + MESSAGE_OVERHEAD_BYTES),
        "expires": EXPIRES.as_nanos() as u64,
        "idle_heartbeat": heartbeat.as_nanos() as u64,
    })
    .to_string()
}

/// A status as in NATS ADR-37: 100 heartbeat, 404 and 408 and some 409 end one request, all else ends the consumer.
fn read_status(code: StatusCode, description: Option<&str>, headers: Option<&HeaderMap>) -> Status {
    let text = description.unwrap_or_default();
    let ends_request = match code.as_u16() {
        100 => return Status::Heartbeat,
        404 | 408 => true,
        409 => ["Message Size Exceeds MaxBytes", "Batch Completed"].iter().any(|known| text.contains(known)),
        _ => false,
    };
    if ends_request { Status::Ended(undelivered(headers)) } else { Status::Lost(format!("{} {text}", code.as_u16())) }
}

fn undelivered(headers: Option<&HeaderMap>) -> u64 {
    let header = headers.and_then(|headers| headers.get("Nats-Pending-Messages"));
    header.and_then(|value| value.as_str().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, text: &str, pending: Option<&str>) -> Status {
        let mut headers = HeaderMap::new();
        if let Some(pending) = pending {
            headers.insert("Nats-Pending-Messages", pending);
        }
        read_status(StatusCode::from_u16(code).unwrap(), Some(text), Some(&headers))
    }

    #[test]
    fn statuses_end_a_request_or_the_consumer() {
        assert_eq!(status(100, "Idle Heartbeat", None), Status::Heartbeat);
        assert_eq!(status(408, "Request Timeout", Some("9990")), Status::Ended(9990));
        assert_eq!(status(409, "Message Size Exceeds MaxBytes", Some("7")), Status::Ended(7));
        assert_eq!(status(409, "Consumer Deleted", None), Status::Lost("409 Consumer Deleted".into()));
        assert_eq!(status(409, "Server Shutdown", None), Status::Lost("409 Server Shutdown".into()));
        assert_eq!(status(503, "", None), Status::Lost("503 ".into()));
    }

    #[test]
    fn a_request_always_fits_the_largest_message() {
        let request: serde_json::Value = serde_json::from_str(&pull_request(64 << 20, Duration::from_secs(3))).unwrap();
        assert!(request["max_bytes"].as_u64().unwrap() > 64 << 20);
    }
}
