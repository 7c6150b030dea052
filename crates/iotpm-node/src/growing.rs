//! The chunk that is being pulled.

use std::{sync::Arc, time::Duration};

use async_nats::{HeaderMap, Message};
use tokio::time::Instant;

use crate::{RawMessage, delivery::Delivery};

/// While so much waits behind it that it will be full, a chunk grows at least this long: far behind, larger commits
/// catch up sooner.
const AGE_BEHIND: Duration = Duration::from_millis(500);

/// A chunk grows at least this many times as long as a commit takes, so that what a transaction costs however small it is
/// takes at most a third of the committer's time; but at most so many times its usual age.
const COMMITS_PER_AGE: u32 = 2;
const AGES_MAX: u32 = 4;

/// How large and how old a chunk may become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkLimits {
    /// It grows at least this long, and then for as long as nobody asks for it.
    pub age: Duration,
    /// Most messages.
    pub messages: usize,
    /// Bytes of subjects and payloads after which it takes no more.
    pub bytes: usize,
}

/// A chunk that grows until it is asked for, or full.
pub(crate) struct Growing {
    limits: ChunkLimits,
    messages: Vec<RawMessage>,
    bytes: usize,
    since: Option<Instant>,
    /// Messages that the broker still holds for us.
    backlog: u64,
    /// How long a commit takes lately.
    commit: Duration,
    last_content_type: Option<Arc<str>>,
}

impl Growing {
    pub fn new(limits: ChunkLimits) -> Self {
        Self {
            limits,
            messages: Vec::new(),
            bytes: 0,
            since: None,
            backlog: 0,
            commit: Duration::ZERO,
            last_content_type: None,
        }
    }

    /// A message is never split: the one that crosses the limit of bytes is the chunk's last.
    pub fn has_room(&self) -> bool {
        self.messages.len() < self.limits.messages && self.bytes < self.limits.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When it may be handed over at the earliest; only while not empty.
    pub fn due(&self) -> Option<Instant> {
        let usual = (self.commit * COMMITS_PER_AGE).clamp(self.limits.age, self.limits.age * AGES_MAX);
        let age = if self.is_behind() { usual.max(AGE_BEHIND) } else { usual };
        self.since.map(|since| since + age)
    }

    /// Notes how long a commit takes lately.
    pub fn note_commit(&mut self, commit: Duration) {
        self.commit = commit;
    }

    /// Whether the backlog would fill what room is left; its messages are taken to be as large as those here.
    fn is_behind(&self) -> bool {
        let (held, backlog) = (self.messages.len(), self.backlog as usize);
        let backlog_bytes = (self.bytes / held.max(1)).saturating_mul(backlog);
        held.saturating_add(backlog) >= self.limits.messages
            || self.bytes.saturating_add(backlog_bytes) >= self.limits.bytes
    }

    /// Old enough, or full.
    pub fn is_due(&self) -> bool {
        self.due().is_some_and(|due| !self.has_room() || due <= Instant::now())
    }

    pub fn push(&mut self, message: Message, delivery: &Delivery) {
        if self.since.is_none() {
            self.since = Some(Instant::now());
        }
        self.bytes += message.payload.len() + message.subject.len();
        self.backlog = delivery.pending;
        let mut raw =
            RawMessage::new(message.subject, message.payload, delivery.stream_seq, delivery.stored_ns.div_euclid(1000));
        if let Some(headers) = &message.headers {
            self.read_headers(&mut raw, headers);
        }
        self.messages.push(raw);
    }

    /// Takes the chunk and goes on growing in `buffer`.
    pub fn take(&mut self, mut buffer: Vec<RawMessage>) -> Vec<RawMessage> {
        buffer.clear();
        self.since = None;
        self.bytes = 0;
        std::mem::replace(&mut self.messages, buffer)
    }

    /// Throws its messages away.
    pub fn discard(&mut self) {
        self.messages.clear();
        self.since = None;
        self.bytes = 0;
    }

    fn read_headers(&mut self, raw: &mut RawMessage, headers: &HeaderMap) {
        raw.content_type = headers.get("Content-Type").map(|value| self.shared_content_type(value.as_str()));
        raw.message_id = headers.get("Nats-Msg-Id").map(|value| value.as_str().into());
        raw.virtual_time_us = headers.get("Iotpm-Time").and_then(|value| value.as_str().parse().ok());
    }

    /// Producers repeat the same content type: keep one copy.
    fn shared_content_type(&mut self, name: &str) -> Arc<str> {
        match &self.last_content_type {
            Some(last) if **last == *name => Arc::clone(last),
            _ => Arc::clone(self.last_content_type.insert(name.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: &str = {
        const BYTES: [u8; 400] = [b'x'; 400];
        match std::str::from_utf8(&BYTES) {
            Ok(text) => text,
            Err(_) => panic!(),
        }
    };

    fn message(payload: &'static str, headers: Option<HeaderMap>) -> Message {
        let (status, description) = (None, None);
        Message { subject: "s".into(), reply: None, payload: payload.into(), headers, status, description, length: 0 }
    }

    fn at(stream_seq: u64) -> Delivery {
        Delivery { stream_seq, consumer_seq: stream_seq, stored_ns: 1_999, pending: 0 }
    }

    fn growing(age: Duration, messages: usize, bytes: usize) -> Growing {
        Growing::new(ChunkLimits { age, messages, bytes })
    }

    #[test]
    fn it_is_full_at_either_limit_and_then_due_at_once() {
        let mut by_count = growing(Duration::from_secs(3600), 2, 1000);
        by_count.push(message("x", None), &at(1));
        assert!(by_count.has_room() && !by_count.is_due());
        by_count.push(message("x", None), &at(2));
        assert!(!by_count.has_room() && by_count.is_due());
        let mut by_bytes = growing(Duration::from_secs(3600), 1000, 4);
        by_bytes.push(message("12345", None), &at(1));
        assert!(!by_bytes.has_room() && by_bytes.is_due());
    }

    #[test]
    fn a_backlog_that_would_fill_it_makes_it_wait() {
        let mut growing = growing(Duration::ZERO, 10, 1000);
        growing.push(message("x", None), &Delivery { pending: 9, ..at(1) });
        assert!(!growing.is_due() && growing.due().unwrap() > Instant::now());
        growing.push(message("x", None), &Delivery { pending: 7, ..at(2) });
        assert!(growing.is_due(), "what is left does not fill it");
        growing.push(message(LARGE, None), &Delivery { pending: 6, ..at(3) });
        assert!(!growing.is_due(), "what is left fills it by its bytes");
        (4..11).for_each(|seq| growing.push(message("x", None), &Delivery { pending: 100, ..at(seq) }));
        assert!(growing.is_due(), "it is full");
    }

    #[test]
    fn it_grows_longer_while_commits_take_long() {
        let age = Duration::from_secs(60);
        let mut growing = growing(age, 10, 1000);
        growing.push(message("x", None), &at(1));
        let usual = growing.due().unwrap();
        growing.note_commit(age);
        assert_eq!(growing.due().unwrap() - usual, age);
        growing.note_commit(age * 10);
        assert_eq!(growing.due().unwrap() - usual, age * (AGES_MAX - 1));
    }

    #[test]
    fn taking_it_starts_anew() {
        let mut growing = growing(Duration::ZERO, 10, 1000);
        assert!(!growing.is_due());
        growing.push(message("x", None), &at(7));
        assert!(growing.is_due());
        let taken = growing.take(Vec::new());
        assert_eq!((taken.len(), taken[0].sequence, taken[0].stored_us), (1, 7, 1));
        assert!(growing.is_empty() && !growing.is_due() && growing.bytes() == 0);
    }

    #[test]
    fn headers_are_read_and_content_types_shared() {
        let headers = |time: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("Content-Type", "application/json");
            headers.insert("Nats-Msg-Id", "s:1:2");
            headers.insert("Iotpm-Time", time);
            Some(headers)
        };
        let mut growing = growing(Duration::ZERO, 10, 1000);
        growing.push(message("x", headers("-5")), &at(1));
        growing.push(message("x", headers("soon")), &at(2));
        let taken = growing.take(Vec::new());
        assert_eq!(taken[0].virtual_time_us, Some(-5));
        assert_eq!(taken[1].virtual_time_us, None);
        assert_eq!(taken[0].message_id.as_deref(), Some("s:1:2"));
        assert!(Arc::ptr_eq(taken[0].content_type.as_ref().unwrap(), taken[1].content_type.as_ref().unwrap()));
    }
}
