//! Publishes the outbox: every event once, in order, whatever happens to broker and node.
//!
//! Stream sequence and `outbox_seq` differ by a constant, and `Nats-Expected-Last-Sequence` makes the broker refuse
//! anything else. So the last stored message alone says where to continue, after any failure and any outage.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::{HeaderMap, Message, Subscriber, connection::State};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

use crate::{
    OutboxEvent,
    connection::Connection,
    histogram::Histogram,
    jetstream::ApiError,
    reader::Mode,
    stream_error::{StreamError, StreamResult},
    wall_clock::now_us,
};

const HEADER_OUTBOX_SEQ: &str = "Iotpm-Outbox-Seq";
const HEADER_CAUSE_TIME: &str = "Iotpm-Cause-Time";
/// Events on their way without an acknowledgement.
const WINDOW: usize = 256;
/// How long the oldest of them may stay unacknowledged.
const ACK_TIMEOUT: Duration = Duration::from_secs(3);
/// Waits between attempts after a failure.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(20);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(1);
/// How long the stream may be missing before that is believed.
const MISSING_TOLERANCE: Duration = Duration::from_secs(3);

/// What became of the events.
#[derive(Debug)]
pub struct OutboxCounters {
    /// Events handed over by the committer.
    pub accepted: AtomicU64,
    /// Events that the broker has stored.
    pub published: AtomicU64,
    /// Events that were stored before this start.
    pub already_published: AtomicU64,
    /// Times an acknowledgement failed and the last stored message was looked at.
    pub resumed: AtomicU64,
    /// `outbox_seq` of the last event stored.
    pub last_published: AtomicU64,
    /// Why the last attempt failed.
    pub last_failure: Mutex<String>,
    /// Seconds from the broker storing the cause to the broker confirming the event.
    pub latency: Histogram,
}

impl Default for OutboxCounters {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::new(0),
            published: AtomicU64::new(0),
            already_published: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
            last_published: AtomicU64::new(0),
            last_failure: Mutex::new(String::new()),
            latency: Histogram::seconds(),
        }
    }
}

impl OutboxCounters {
    /// Events accepted and not stored yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        let done = self.published.load(Relaxed) + self.already_published.load(Relaxed);
        self.accepted.load(Relaxed).saturating_sub(done)
    }
}

#[derive(Deserialize)]
struct Ack {
    #[serde(default)]
    seq: u64,
    error: Option<ApiError>,
}

/// Where the anomaly stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stand {
    /// `outbox_seq` of the last stored event.
    outbox_seq: u64,
    /// Stream sequence minus `outbox_seq`.
    offset: i64,
    /// Nothing was ever stored: the first event decides the sequence.
    fresh: bool,
}

/// The publisher of one anomaly stream.
pub(crate) struct Outbox {
    connection: Connection,
    stream: String,
    /// First part of `Nats-Msg-Id`.
    id_prefix: String,
    counters: Arc<OutboxCounters>,
    control: watch::Receiver<Mode>,
    stand: Stand,
    /// Handed over and not stored yet, in order; the first `sent` are in flight.
    queue: VecDeque<OutboxEvent>,
    sent: usize,
    acks: Option<(String, Subscriber)>,
}

impl Outbox {
    /// Looks where the stream stands.
    ///
    /// # Errors
    /// If the stream is missing or its last message is not an event of ours.
    pub async fn open(
        connection: Connection,
        stream: &str,
        id_prefix: String,
        counters: Arc<OutboxCounters>,
        control: watch::Receiver<Mode>,
    ) -> StreamResult<Self> {
        let stand = find_stand(&connection, stream).await?;
        counters.last_published.store(stand.outbox_seq, Relaxed);
        let (queue, stream) = (VecDeque::new(), stream.to_owned());
        Ok(Self { connection, stream, id_prefix, counters, control, stand, queue, sent: 0, acks: None })
    }

    /// Publishes what comes until the channel closes and all is stored, or until `Stop`.
    ///
    /// # Errors
    /// If the stream is gone, went backwards, or somebody else writes to it; everything else is tried again.
    pub async fn run(mut self, mut events: mpsc::Receiver<Vec<OutboxEvent>>) -> StreamResult<()> {
        let mut open = true;
        while self.mode() != Mode::Stop && (open || !self.queue.is_empty()) {
            let room = open && self.queue.len() < WINDOW;
            let wait_for_ack = self.sent > 0;
            tokio::select! {
                changed = self.control.changed() => if changed.is_err() { return Ok(()) },
                batch = events.recv(), if room => match batch {
                    Some(batch) => self.accept(batch)?,
                    None => open = false,
                },
                ack = next_ack(&mut self.acks), if wait_for_ack => self.settle(ack).await?,
                () = std::future::ready(()), if self.may_send() => {}
            }
            self.transmit().await?;
        }
        Ok(())
    }

    fn may_send(&self) -> bool {
        self.sent < self.queue.len().min(WINDOW)
    }

    fn mode(&self) -> Mode {
        if self.control.has_changed().is_err() { Mode::Stop } else { *self.control.borrow() }
    }

    /// Queues events; those stored before are skipped, a hole in the numbers is an error.
    fn accept(&mut self, events: Vec<OutboxEvent>) -> StreamResult<()> {
        for event in events {
            let last = self.queue.back().map_or(self.stand.outbox_seq, |event| event.outbox_seq);
            if event.outbox_seq <= last {
                self.counters.already_published.fetch_add(1, Relaxed);
            } else if event.outbox_seq == last + 1 || (self.stand.fresh && self.queue.is_empty()) {
                self.queue.push_back(event);
            } else {
                return Err(self.hole(last, event.outbox_seq));
            }
        }
        Ok(())
    }

    fn hole(&self, last: u64, found: u64) -> StreamError {
        let reason = format!("is followed by outbox_seq {found} instead of {}: publish the older rows first", last + 1);
        StreamError::ForeignMessage { stream: self.stream.clone(), sequence: self.sequence_of(last), reason }
    }

    fn sequence_of(&self, outbox_seq: u64) -> u64 {
        outbox_seq.saturating_add_signed(self.stand.offset)
    }

    async fn transmit(&mut self) -> StreamResult<()> {
        while self.may_send() {
            if let Err(error) = self.send_next().await {
                self.resume(&error).await?;
            }
        }
        Ok(())
    }

    async fn send_next(&mut self) -> StreamResult<()> {
        if self.stand.fresh {
            self.align().await?;
        }
        let Some(event) = self.queue.get(self.sent) else { return Ok(()) };
        let inbox = subscribe(&self.connection, &mut self.acks).await?;
        let reply = format!("{inbox}.{}", event.outbox_seq);
        let headers = self.headers(event);
        let (subject, payload) = (event.subject.clone(), event.payload.clone());
        let sent = self.connection.client.publish_with_reply_and_headers(subject, reply, headers, payload).await;
        sent.map_err(|error| self.connection.failed("publishing an event".into(), &error.to_string()))?;
        self.sent += 1;
        Ok(())
    }

    /// Makes the sequences of a new stream equal to the numbers of the outbox.
    async fn align(&mut self) -> StreamResult<()> {
        let Some(first) = self.queue.front().map(|event| event.outbox_seq) else { return Ok(()) };
        if first > 1 {
            self.connection.advance_empty_stream(&self.stream, first).await?;
        }
        self.stand = Stand { outbox_seq: first - 1, offset: 0, fresh: false };
        Ok(())
    }

    fn headers(&self, event: &OutboxEvent) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER_OUTBOX_SEQ, event.outbox_seq.to_string());
        headers.insert(HEADER_CAUSE_TIME, event.cause_time_us.to_string());
        headers.insert("Nats-Msg-Id", format!("{}:{}", self.id_prefix, event.outbox_seq));
        headers.insert("Nats-Expected-Last-Sequence", (self.sequence_of(event.outbox_seq) - 1).to_string());
        headers.insert("Content-Type", "application/cloudevents+json");
        headers
    }

    /// Takes one acknowledgement; anything but "stored where it belongs" starts over from the last stored message.
    async fn settle(&mut self, ack: Option<Message>) -> StreamResult<()> {
        let Some(message) = ack else { return self.resume(&self.silence()).await };
        match self.read(&message) {
            Ok(()) => {
                self.stored(1);
                Ok(())
            }
            Err(error) => self.resume(&error).await,
        }
    }

    fn silence(&self) -> StreamError {
        let timeout_ms = ACK_TIMEOUT.as_millis() as u64;
        StreamError::Timeout { server: self.connection.server.to_string(), what: "storing an event".into(), timeout_ms }
    }

    fn read(&self, message: &Message) -> StreamResult<()> {
        let failed = |reason: &str| self.connection.failed(format!("publishing to {}", self.stream), reason);
        if let Some(status) = message.status {
            return Err(failed(&format!("no stream takes the subject (status {})", status.as_u16())));
        }
        let ack: Ack = serde_json::from_slice(&message.payload).map_err(|error| failed(&error.to_string()))?;
        if let Some(error) = ack.error {
            return Err(failed(&format!("{} (error {})", error.description, error.err_code)));
        }
        match self.queue.front().map(|event| self.sequence_of(event.outbox_seq)) {
            Some(expected) if expected == ack.seq => Ok(()),
            expected => Err(failed(&format!("stored as {} instead of {expected:?}", ack.seq))),
        }
    }

    /// Takes stored events off the queue.
    fn stored(&mut self, count: usize) {
        for event in self.queue.drain(..count) {
            self.stand.outbox_seq = event.outbox_seq;
            self.counters.latency.record((now_us() - event.cause_time_us) as f64 / 1e6);
        }
        self.sent = self.sent.saturating_sub(count);
        self.counters.published.fetch_add(count as u64, Relaxed);
        self.counters.last_published.store(self.stand.outbox_seq, Relaxed);
    }

    /// After a failure: waits for the broker, looks at the last stored message, and continues behind it.
    async fn resume(&mut self, failure: &StreamError) -> StreamResult<()> {
        self.counters.resumed.fetch_add(1, Relaxed);
        self.note(failure);
        // A new inbox, so that late acknowledgements of the old one cannot be taken for new ones.
        self.acks = None;
        let mut delay = RETRY_DELAY_MIN;
        let mut missing_since = None;
        while self.mode() != Mode::Stop {
            sleep(delay).await;
            delay = (delay * 2).min(RETRY_DELAY_MAX);
            if self.connection.client.connection_state() != State::Connected {
                continue;
            }
            let attempt = tokio::select! {
                _ = self.control.changed() => continue,
                attempt = find_stand(&self.connection, &self.stream) => attempt,
            };
            match attempt {
                Ok(stand) => return self.resume_at(stand),
                Err(error) => self.tolerate(error, &mut missing_since)?,
            }
        }
        Ok(())
    }

    fn note(&self, failure: &StreamError) {
        if let Ok(mut last) = self.counters.last_failure.lock() {
            *last = failure.to_string();
        }
    }

    fn tolerate(&self, error: StreamError, missing_since: &mut Option<Instant>) -> StreamResult<()> {
        self.note(&error);
        let missing = matches!(error, StreamError::StreamMissing { .. });
        let since = missing_since.get_or_insert_with(Instant::now);
        if error.is_transient() || (missing && since.elapsed() < MISSING_TOLERANCE) { Ok(()) } else { Err(error) }
    }

    fn resume_at(&mut self, found: Stand) -> StreamResult<()> {
        let (last_sequence, accepted) = (found.outbox_seq.saturating_add_signed(found.offset), self.stand.outbox_seq);
        if found.outbox_seq < accepted {
            return Err(StreamError::StreamShrunk { stream: self.stream.clone(), last_sequence, accepted });
        }
        let newest_sent = self.sent.checked_sub(1).map_or(accepted, |newest| self.queue[newest].outbox_seq);
        if found.outbox_seq > newest_sent {
            let reason = format!("is event {}, which this node has not sent", found.outbox_seq);
            let (stream, sequence) = (self.stream.clone(), last_sequence);
            return Err(StreamError::ForeignMessage { stream, sequence, reason });
        }
        self.stored((found.outbox_seq - accepted) as usize);
        self.sent = 0;
        Ok(())
    }
}

async fn next_ack(acks: &mut Option<(String, Subscriber)>) -> Option<Message> {
    let (_, subscriber) = acks.as_mut()?;
    timeout(ACK_TIMEOUT, subscriber.next()).await.ok().flatten()
}

async fn subscribe<'a>(connection: &Connection, acks: &'a mut Option<(String, Subscriber)>) -> StreamResult<&'a str> {
    if acks.is_none() {
        let inbox = connection.client.new_inbox();
        let subscriber = connection.client.subscribe(format!("{inbox}.*")).await;
        let failed = |error: async_nats::SubscribeError| connection.failed("subscribing".into(), &error.to_string());
        *acks = Some((inbox, subscriber.map_err(failed)?));
    }
    Ok(acks.as_ref().map_or("", |(inbox, _)| inbox))
}

async fn find_stand(connection: &Connection, stream: &str) -> StreamResult<Stand> {
    let state = connection.stream_info(stream).await?.state;
    let sequence = state.last_seq;
    if state.messages == 0 {
        return Ok(Stand { outbox_seq: sequence, offset: 0, fresh: sequence == 0 });
    }
    let foreign = |reason: &str| {
        let reason = reason.to_owned();
        StreamError::ForeignMessage { stream: stream.to_owned(), sequence, reason }
    };
    let last = connection.stored_message(stream, sequence).await?.ok_or_else(|| foreign("was deleted"))?;
    let number = last.header(HEADER_OUTBOX_SEQ).and_then(|number| number.parse::<u64>().ok());
    let outbox_seq = number.ok_or_else(|| foreign("has no header Iotpm-Outbox-Seq"))?;
    Ok(Stand { outbox_seq, offset: sequence as i64 - outbox_seq as i64, fresh: false })
}
