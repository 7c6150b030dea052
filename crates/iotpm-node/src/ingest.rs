//! Publishing into a stream so that every single message is accounted for.
//!
//! Where the stream allows it (`allow_batched`, nats-server >= 2.14) messages go as fast-ingest batches (NATS ADR-50):
//! the reply subject numbers them, the server stores each at once, confirms every `ack_every`-th, and stops at the
//! first one missing or refused, saying how many it stored. So the rest is sent again in order, nothing is lost and
//! nothing comes twice, at the price of one acknowledgement per `ack_every` messages. One acknowledgement per several
//! messages without such numbers would prove nothing: a broker that cannot keep up drops messages silently
//! ("IPQ len limit reached"), and other writers hide the hole in the sequences. Elsewhere each message asks for its
//! own acknowledgement, and one that its source has numbered waits for that of the one before. Whatever was confirmed
//! is stored once; what was in flight while the connection was lost is sent again, and only `Nats-Msg-Id` keeps that
//! from being stored twice. On request messages go as atomic batches instead, one at a time: the identical batch again
//! if no answer came, and message by message as above if it was refused, which tells why and stores what can be stored.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt::Write,
    time::Duration,
};

use async_nats::{HeaderMap, Message, Subject, Subscriber, connection::State};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    atomic::{self, BATCH_MAX, Outcome},
    connection::Connection,
    jetstream::ApiError,
    stream_error::{StreamError, StreamResult},
};

/// Messages that may be unconfirmed at any time: far less than what the server queues before it drops.
pub(crate) const UNCONFIRMED_MAX: u64 = 5_000;
/// Silence after which the server is asked how far it is.
const PING_AFTER: Duration = Duration::from_secs(1);
/// Silence after which a batch is given up.
const BATCH_TIMEOUT: Duration = Duration::from_secs(4);
/// How long no message may be confirmed before that becomes an error.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);
/// How long nobody may listen on a subject before that is believed.
const NOBODY_TOLERANCE: Duration = Duration::from_secs(2);
/// Wait before a batch that failed is sent again.
const RETRY_DELAY: Duration = Duration::from_millis(20);
const CODE_BATCHES_NOT_ALLOWED: u64 = 10_205;
const CODE_BATCH_UNKNOWN: u64 = 10_208;
const CODE_TOO_MANY_BATCHES: u64 = 10_211;

/// A message to publish.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Where to.
    pub subject: Subject,
    /// Its bytes.
    pub payload: Bytes,
    /// Its headers, if any.
    pub headers: Option<HeaderMap>,
}

impl Outgoing {
    /// Whether readers drop it once they have seen a later one of its source.
    fn is_numbered(&self) -> bool {
        self.headers.as_ref().is_some_and(|headers| headers.get("Nats-Msg-Id").is_some())
    }
}

/// How messages are confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirm {
    /// Fast-ingest batches: one acknowledgement per several messages.
    Batched,
    /// One acknowledgement per message.
    Each,
}

/// How a publisher sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Acknowledgements that may be outstanding.
    pub window: u64,
    /// Messages an acknowledgement stands for.
    pub ack_every: u64,
    /// Whether so many messages go as one atomic batch, where the stream allows it.
    pub atomic: bool,
}

/// Counts of one publisher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IngestCounters {
    /// Messages confirmed by the broker.
    pub acknowledged: u64,
    /// Times the broker refused a message.
    pub refused: u64,
    /// Messages sent again after a gap, a refusal or a lost connection.
    pub resent: u64,
    /// Times the broker noticed that a message had been dropped on the way.
    pub gaps: u64,
}

#[derive(Debug, PartialEq)]
enum Event {
    /// So many messages of the batch are stored; the server confirms every so many.
    Stored { count: u64, every: u64 },
    /// The batch is over, so many messages of it are stored.
    Over { count: u64 },
    /// Something was dropped; `Over` follows.
    Gap,
    /// A message was refused; `Over` follows.
    Refused(String),
    /// A message was refused, and nothing follows.
    Denied(String),
    /// The server does not know the batch any more.
    Unknown,
    /// The stream takes no batches.
    NotBatched,
    /// Nobody listens on the subject.
    Nobody,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    msgs: u64,
    #[serde(default)]
    count: Option<u64>,
    error: Option<ApiError>,
}

/// What is in flight under one inbox.
struct Flight {
    inbox: String,
    replies: Subscriber,
    confirm: Confirm,
    sent: u64,
    stored: u64,
    every: u64,
    started: bool,
    closing: bool,
    refusal: Option<String>,
    /// Only with `Each`: confirmed before an older one was.
    early: BTreeSet<u64>,
    /// Only with `Each`: how many were refused.
    denied: u64,
}

/// Sends messages and keeps each until it is confirmed.
pub(crate) struct Ingest {
    connection: Connection,
    window: u64,
    ack_every: u64,
    confirm: Confirm,
    /// Not confirmed yet, oldest first; the first `flight.sent - flight.stored` of them are in flight.
    queue: VecDeque<Outgoing>,
    flight: Option<Flight>,
    counters: IngestCounters,
    progress: Instant,
    nobody_since: Option<Instant>,
    atomic: bool,
    /// Length of the atomic batch that got no answer: it is sent again as it was; 0: none.
    unanswered: u64,
    /// Oldest messages that go one by one because their atomic batch was refused.
    one_by_one: u64,
}

impl Ingest {
    /// Never more than 5,000 messages are unconfirmed.
    pub fn new(connection: Connection, pace: Pace) -> Self {
        let ack_every = pace.ack_every.clamp(1, if pace.atomic { BATCH_MAX } else { UNCONFIRMED_MAX });
        Self {
            connection,
            window: (pace.window.max(1) * ack_every).min(UNCONFIRMED_MAX),
            ack_every,
            atomic: pace.atomic,
            unanswered: 0,
            one_by_one: 0,
            confirm: Confirm::Batched,
            queue: VecDeque::new(),
            flight: None,
            counters: IngestCounters::default(),
            progress: Instant::now(),
            nobody_since: None,
        }
    }

    pub fn counters(&self) -> IngestCounters {
        self.counters
    }

    /// Messages accepted and not confirmed yet.
    pub fn unconfirmed(&self) -> u64 {
        self.queue.len() as u64
    }

    /// Accepts a message and returns once it is on its way; of an atomic batch, once that is full and stored.
    ///
    /// # Errors
    /// The refusal or the silence that keeps older messages from being stored; the message is kept, and sent later.
    pub async fn send(&mut self, message: Outgoing) -> StreamResult<()> {
        if self.queue.is_empty() {
            self.progress = Instant::now();
        }
        self.queue.push_back(message);
        if self.atomic {
            return if self.unconfirmed() < self.ack_every { Ok(()) } else { self.flush().await };
        }
        self.transmit().await?;
        while self.unsent() > 0 {
            self.settle().await?;
            self.transmit().await?;
        }
        self.collect()
    }

    /// Accepts a message without sending it, behind one that was refused.
    pub fn keep(&mut self, message: Outgoing) {
        self.queue.push_back(message);
    }

    /// Returns once everything accepted is stored.
    ///
    /// # Errors
    /// The refusal or the silence that prevents it; calling again tries again.
    pub async fn flush(&mut self) -> StreamResult<()> {
        self.progress = Instant::now();
        self.nobody_since = None;
        while !self.queue.is_empty() {
            if self.atomic && self.one_by_one == 0 {
                self.flight = None;
                self.store_batch().await?;
                continue;
            }
            self.transmit().await?;
            if self.unsent() == 0 {
                self.finish_batch().await?;
            }
            self.settle().await?;
        }
        self.flight = None;
        Ok(())
    }

    /// One atomic batch: stored, or its messages go one by one, or it is to be sent again.
    async fn store_batch(&mut self) -> StreamResult<()> {
        let count = if self.unanswered > 0 { self.unanswered } else { self.unconfirmed().min(self.ack_every) };
        self.unanswered = 0;
        match atomic::store(&self.connection, self.queue.iter().take(count as usize)).await {
            Outcome::Stored => self.confirmed(count),
            Outcome::Refused => self.one_by_one = count,
            Outcome::NotAllowed => self.atomic = false,
            Outcome::Unanswered => {
                self.unanswered = count;
                self.counters.resent += count;
                return self.pause().await;
            }
        }
        Ok(())
    }

    /// Takes the oldest messages off: they are stored.
    fn confirmed(&mut self, count: u64) {
        self.queue.drain(..count as usize);
        self.one_by_one = self.one_by_one.saturating_sub(count);
        self.counters.acknowledged += count;
        if count > 0 {
            self.progress = Instant::now();
            self.nobody_since = None;
        }
    }

    /// Messages that may be sent now, those in flight among them.
    fn sendable(&self) -> usize {
        if self.atomic { self.queue.len().min(self.one_by_one as usize) } else { self.queue.len() }
    }

    fn unsent(&self) -> usize {
        self.sendable() - self.flight.as_ref().map_or(0, |flight| (flight.sent - flight.stored) as usize)
    }

    /// Sends what the window allows.
    async fn transmit(&mut self) -> StreamResult<()> {
        if self.unsent() > 0 && self.flight.is_none() {
            self.flight = Some(Flight::open(&self.connection, self.confirm, self.ack_every).await?);
        }
        let sendable = self.sendable();
        let Some(flight) = &mut self.flight else { return Ok(()) };
        while let Some(message) = self.queue.range(..sendable).nth((flight.sent - flight.stored) as usize)
            && flight.may_send(self.window, message)
        {
            let reply = flight.next_reply();
            let sent = publish(&self.connection, message.clone(), reply).await;
            sent.map_err(|reason| refused(self.counters.acknowledged, message, &reason))?;
            flight.sent += 1;
        }
        Ok(())
    }

    /// Asks the server to end the batch and to say how much of it is stored.
    async fn finish_batch(&mut self) -> StreamResult<()> {
        let Some(flight) = &mut self.flight else { return Ok(()) };
        if flight.confirm == Confirm::Each || flight.closing || !flight.started {
            return Ok(());
        }
        let Some(message) = self.queue.front() else { return Ok(()) };
        flight.closing = true;
        let end = Outgoing { subject: message.subject.clone(), payload: Bytes::new(), headers: None };
        let reply = flight.reply(flight.sent + 1, 3);
        publish(&self.connection, end, reply)
            .await
            .map_err(|reason| self.connection.failed("publishing".into(), &reason))
    }

    /// Takes the confirmations that are here already.
    fn collect(&mut self) -> StreamResult<()> {
        while let Some(flight) = &mut self.flight
            && let Some(reply) = flight.replies.next().now_or_never()
        {
            self.apply(reply)?;
        }
        Ok(())
    }

    /// Waits for one confirmation.
    async fn settle(&mut self) -> StreamResult<()> {
        let begin = Instant::now();
        while let Some(flight) = &mut self.flight {
            match timeout(PING_AFTER, flight.replies.next()).await {
                Ok(reply) => {
                    self.apply(reply)?;
                    return if self.flight.is_some() { Ok(()) } else { self.pause().await };
                }
                Err(_) if begin.elapsed() >= BATCH_TIMEOUT => self.abandon(),
                Err(_) => self.ping().await,
            }
        }
        self.pause().await
    }

    /// Asks for the latest confirmation; it may have been lost.
    async fn ping(&mut self) {
        let (Some(flight), Some(message)) = (&self.flight, self.queue.front()) else { return };
        if flight.confirm == Confirm::Batched && flight.started {
            let ping = Outgoing { subject: message.subject.clone(), payload: Bytes::new(), headers: None };
            // A ping that cannot be sent is as good as one that is lost: the timeout decides.
            publish(&self.connection, ping, flight.reply(flight.sent, 4)).await.ok();
        }
    }

    /// Before sending again: a moment, and a connection.
    async fn pause(&mut self) -> StreamResult<()> {
        sleep(RETRY_DELAY).await;
        while self.connection.client.connection_state() != State::Connected {
            self.check_patience()?;
            sleep(RETRY_DELAY).await;
        }
        self.check_patience()
    }

    fn check_patience(&self) -> StreamResult<()> {
        if self.queue.is_empty() || self.progress.elapsed() < GIVE_UP_AFTER {
            return Ok(());
        }
        let what = format!("storing {} published messages", self.queue.len());
        let timeout_ms = GIVE_UP_AFTER.as_millis() as u64;
        Err(StreamError::Timeout { server: self.connection.server.to_string(), what, timeout_ms })
    }

    /// Gives the flight up; what it did not confirm is sent again.
    fn abandon(&mut self) {
        let Some(flight) = self.flight.take() else { return };
        let in_flight: Vec<_> = self.queue.drain(..(flight.sent - flight.stored) as usize).collect();
        let numbered = in_flight.into_iter().zip(flight.stored + 1..);
        let unconfirmed: Vec<_> = numbered.filter(|(_, number)| !flight.early.contains(number)).collect();
        self.counters.acknowledged += flight.early.len() as u64;
        self.one_by_one = self.one_by_one.saturating_sub(flight.early.len() as u64);
        self.counters.resent += unconfirmed.len() as u64;
        for (message, _) in unconfirmed.into_iter().rev() {
            self.queue.push_front(message);
        }
    }

    fn apply(&mut self, reply: Option<Message>) -> StreamResult<()> {
        let Some(flight) = &mut self.flight else { return Ok(()) };
        let Some(event) = reply.and_then(|reply| flight.read(&reply)) else {
            self.abandon();
            return Ok(());
        };
        match event {
            Event::Stored { count, every } => {
                self.stored(count, every);
                return self.over_if_answered();
            }
            Event::Over { count } => return self.over(count),
            Event::Gap => self.counters.gaps += 1,
            Event::Refused(reason) => self.refusal(reason),
            Event::Denied(reason) => {
                self.refusal(reason);
                return self.over_if_answered();
            }
            Event::Unknown => return self.over(0),
            Event::Nobody => return self.nobody(),
            Event::NotBatched => {
                self.confirm = Confirm::Each;
                self.abandon();
            }
        }
        Ok(())
    }

    fn stored(&mut self, count: u64, every: u64) {
        let Some(flight) = &mut self.flight else { return };
        flight.started = true;
        flight.every = every.clamp(1, self.ack_every);
        let count = count.min(flight.sent);
        let confirmed = count.saturating_sub(flight.stored);
        flight.stored += confirmed;
        self.confirmed(confirmed);
    }

    /// The server ended the batch: on our request, or after a gap or a refusal.
    fn over(&mut self, count: u64) -> StreamResult<()> {
        self.stored(count, self.ack_every);
        let refusal = self.flight.as_mut().and_then(|flight| flight.refusal.take());
        self.abandon();
        match (refusal, self.queue.front()) {
            (Some(reason), Some(message)) => Err(refused(self.counters.acknowledged, message, &reason)),
            _ => Ok(()),
        }
    }

    /// Remembers a refusal; what was sent behind it is not waited for with a batch, but is with single messages.
    fn refusal(&mut self, reason: String) {
        let Some(flight) = &mut self.flight else { return };
        self.counters.refused += 1;
        flight.refusal.get_or_insert(reason);
        flight.denied += 1;
        flight.closing = true;
    }

    /// Nobody listens: the broker may be starting, so this is believed only after a while.
    fn nobody(&mut self) -> StreamResult<()> {
        self.abandon();
        let since = *self.nobody_since.get_or_insert_with(Instant::now);
        match self.queue.front() {
            Some(message) if since.elapsed() > NOBODY_TOLERANCE => {
                self.counters.refused += 1;
                Err(refused(self.counters.acknowledged, message, "no stream takes this subject"))
            }
            _ => Ok(()),
        }
    }

    fn over_if_answered(&mut self) -> StreamResult<()> {
        match &self.flight {
            Some(flight) if flight.denied > 0 && flight.is_answered() => self.over(flight.stored),
            _ => Ok(()),
        }
    }
}

impl Flight {
    async fn open(connection: &Connection, confirm: Confirm, every: u64) -> StreamResult<Self> {
        let inbox = connection.client.new_inbox();
        let replies = connection.client.subscribe(format!("{inbox}.>")).await;
        let replies = replies.map_err(|error| connection.failed("subscribing".into(), &error.to_string()))?;
        let started = confirm == Confirm::Each;
        let (refusal, early) = (None, BTreeSet::new());
        Ok(Self {
            inbox,
            replies,
            confirm,
            sent: 0,
            stored: 0,
            every,
            started,
            closing: false,
            refusal,
            early,
            denied: 0,
        })
    }

    /// A batch starts with one message, so that a stream that takes no batches stores nothing twice. Outside batches a
    /// numbered message waits for the one before: overtaken by its successor it would later pass for a repeat.
    fn may_send(&self, window: u64, next: &Outgoing) -> bool {
        let alone = !self.started || (self.confirm == Confirm::Each && next.is_numbered());
        let window = if alone { 1 } else { window.max(self.every) };
        !self.closing && self.sent - self.stored < window
    }

    fn next_reply(&self) -> String {
        self.reply(self.sent + 1, u8::from(self.sent > 0))
    }

    /// `<inbox>.<every>.fail.<number>.<operation>.$FI`, operation 0 start, 1 append, 3 end, 4 ping; or just numbered.
    fn reply(&self, number: u64, operation: u8) -> String {
        let mut reply = String::with_capacity(self.inbox.len() + 32);
        let written = match self.confirm {
            Confirm::Batched => write!(reply, "{}.{}.fail.{number}.{operation}.$FI", self.inbox, self.every),
            Confirm::Each => write!(reply, "{}.{number}", self.inbox),
        };
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
        reply
    }

    /// Every single message in flight is either confirmed or refused; a batch ends with its first refusal.
    fn is_answered(&self) -> bool {
        self.confirm == Confirm::Batched || self.sent - self.stored == self.early.len() as u64 + self.denied
    }

    fn read(&mut self, reply: &Message) -> Option<Event> {
        if reply.status.is_some() {
            return Some(Event::Nobody);
        }
        let parsed: Reply = serde_json::from_slice(&reply.payload).ok()?;
        match self.confirm {
            Confirm::Batched => Some(parsed.of_batch()),
            Confirm::Each => {
                let number = reply.subject.rsplit('.').next().and_then(|number| number.parse().ok())?;
                Some(self.of_one(number, parsed))
            }
        }
    }

    fn of_one(&mut self, number: u64, reply: Reply) -> Event {
        if let Some(error) = reply.error {
            return of_error(&error);
        }
        self.early.insert(number);
        let mut count = self.stored;
        while self.early.remove(&(count + 1)) {
            count += 1;
        }
        Event::Stored { count, every: 1 }
    }
}

impl Reply {
    fn of_batch(self) -> Event {
        match (self.kind.as_deref(), self.error, self.count) {
            (Some("ack"), ..) => Event::Stored { count: self.seq, every: self.msgs },
            (Some("gap"), ..) => Event::Gap,
            (Some("err"), Some(error), _) => Event::Refused(words(&error)),
            (_, Some(error), _) => of_error(&error),
            (_, None, count) => Event::Over { count: count.unwrap_or(0) },
        }
    }
}

fn of_error(error: &ApiError) -> Event {
    match error.err_code {
        CODE_BATCHES_NOT_ALLOWED => Event::NotBatched,
        CODE_BATCH_UNKNOWN | CODE_TOO_MANY_BATCHES => Event::Unknown,
        _ => Event::Denied(words(error)),
    }
}

fn words(error: &ApiError) -> String {
    format!("{} (error {})", error.description, error.err_code)
}

async fn publish(connection: &Connection, message: Outgoing, reply: String) -> Result<(), String> {
    let Outgoing { subject, payload, headers } = message;
    let sent = match headers {
        Some(headers) => connection.client.publish_with_reply_and_headers(subject, reply, headers, payload).await,
        None => connection.client.publish_with_reply(subject, reply, payload).await,
    };
    sent.map_err(|error| error.to_string())
}

fn refused(position: u64, message: &Outgoing, reason: &str) -> StreamError {
    StreamError::Refused { position, subject: message.subject.to_string(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> Event {
        serde_json::from_str::<Reply>(json).unwrap().of_batch()
    }

    #[test]
    fn replies_as_nats_server_2_15_sends_them() {
        assert_eq!(event(r#"{"type":"ack","seq":10,"msgs":5}"#), Event::Stored { count: 10, every: 5 });
        assert_eq!(event(r#"{"type":"gap","last_seq":3,"seq":4}"#), Event::Gap);
        assert_eq!(event(r#"{"stream":"T","seq":14,"batch":"b","count":2}"#), Event::Over { count: 2 });
        let full =
            r#"{"type":"err","seq":8,"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}"#;
        assert_eq!(event(full), Event::Refused("maximum bytes exceeded (error 10077)".into()));
        let unknown =
            r#"{"error":{"code":400,"err_code":10208,"description":"batch publish ID unknown"},"stream":"T","seq":0}"#;
        assert_eq!(event(unknown), Event::Unknown);
        let denied =
            r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"T","seq":0}"#;
        assert_eq!(event(denied), Event::Denied("maximum bytes exceeded (error 10077)".into()));
    }
}
