//! Pulls the RAW stream: in order, without gaps, at the pace of whoever asks for chunks.
//!
//! An ephemeral consumer without acknowledgements delivers; the position is ours alone. A message counts only if its
//! consumer sequence is contiguous; anything else (a drop, a deleted consumer, a restarted server, a silent link)
//! makes a new consumer at the last accepted message + 1, so that nothing is lost and nothing comes twice.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::Message;
use futures_util::{FutureExt, StreamExt};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    RawMessage,
    connection::Connection,
    delivery::Delivery,
    growing::{ChunkLimits, Growing},
    position::Position,
    pull::{Pull, Status},
    stream_error::{StreamError, StreamResult},
};

/// How long a stream may be missing before that is believed: a restarting server recovers its streams first.
const MISSING_TOLERANCE: Duration = Duration::from_secs(3);
/// Waits between attempts to make a consumer.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(1);
/// How long saying goodbye to a consumer may take.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Messages taken before the clock is looked at again.
const BURST: usize = 4_096;

/// What the owner wants of its threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    /// Pull.
    #[default]
    Run,
    /// Pull no more, hand over what is there, end.
    Drain,
    /// End.
    Stop,
}

/// What to read, and how to cut it.
#[derive(Clone, Debug)]
pub(crate) struct ReaderOptions {
    pub stream: String,
    /// First sequence to read.
    pub start_sequence: u64,
    pub limits: ChunkLimits,
    /// Throw everything away, to measure the pull alone.
    pub discard: bool,
}

/// What the reader has seen and survived.
#[derive(Debug, Default)]
pub struct ReaderCounters {
    /// Messages accepted.
    pub messages: AtomicU64,
    /// Bytes of their subjects and payloads.
    pub bytes: AtomicU64,
    /// Chunks handed over.
    pub chunks: AtomicU64,
    /// Sequence of the last message accepted.
    pub last_sequence: AtomicU64,
    /// Messages in the chunk that grows now.
    pub growing_messages: AtomicU64,
    /// Bytes in it.
    pub growing_bytes: AtomicU64,
    /// Consumers made after the first one, for whatever reason.
    pub consumers_recreated: AtomicU64,
    /// Of these: because consumer sequences were not contiguous.
    pub sequence_gaps: AtomicU64,
    /// Of these: because the link was silent.
    pub stalls: AtomicU64,
    /// Whether nothing can be read now: the link is silent, or no consumer could be made yet.
    pub cut_off: AtomicBool,
    /// Times the chunk was full and nobody asked for it.
    pub backpressure: AtomicU64,
    /// How long a commit takes lately, microseconds; its owner keeps it.
    pub commit_us: AtomicU64,
    /// Last sequence of the stream, asked for every second.
    pub stream_last_sequence: AtomicU64,
    /// Why the last consumer was given up, or could not be made.
    pub last_renewal: Mutex<String>,
}

/// Both ends of the hand-over between reader and pipeline.
pub(crate) struct HandOver {
    /// The pipeline asks for a chunk and brings an empty buffer.
    pub demands: mpsc::Receiver<Vec<RawMessage>>,
    /// The answer; never more than one at a time, so sending never blocks.
    pub chunks: crossbeam_channel::Sender<Vec<RawMessage>>,
}

/// Why the life of a consumer ended.
enum End {
    Stopped,
    Renew(String),
}

/// The reader of one stream.
pub(crate) struct Reader {
    connection: Connection,
    counters: Arc<ReaderCounters>,
    control: watch::Receiver<Mode>,
    hand_over: HandOver,
    demand: Option<Vec<RawMessage>>,
    growing: Growing,
    position: Position,
    discard: bool,
    received: u64,
    received_bytes: u64,
}

impl Reader {
    pub fn new(
        connection: Connection,
        options: &ReaderOptions,
        counters: Arc<ReaderCounters>,
        control: watch::Receiver<Mode>,
        hand_over: HandOver,
    ) -> Self {
        counters.last_sequence.store(options.start_sequence.saturating_sub(1), Relaxed);
        Self {
            connection,
            counters,
            control,
            hand_over,
            demand: None,
            growing: Growing::new(options.limits),
            position: Position::new(&options.stream, options.start_sequence),
            discard: options.discard,
            received: 0,
            received_bytes: 0,
        }
    }

    /// Reads until told to stop.
    ///
    /// # Errors
    /// When the stream is no longer the one that was read; everything else is survived and counted.
    pub async fn run(mut self) -> StreamResult<()> {
        while let Some(mut pull) = self.open().await? {
            let end = self.follow(&mut pull).await?;
            match end {
                End::Stopped => {
                    timeout(CLOSE_TIMEOUT, pull.close()).await.ok();
                    break;
                }
                End::Renew(reason) => {
                    self.count_renewal(reason);
                    tokio::spawn(timeout(CLOSE_TIMEOUT, pull.close()));
                }
            }
        }
        self.finish().await
    }

    /// Makes a consumer after the last accepted message; tries for ever, and ends only on `Drain` or `Stop`.
    async fn open(&mut self) -> StreamResult<Option<Pull>> {
        let mut delay = RETRY_DELAY_MIN;
        let mut missing_since = None;
        let mut control = self.control.clone();
        loop {
            if self.mode() != Mode::Run {
                return Ok(None);
            }
            let attempt = tokio::select! {
                _ = control.changed() => continue,
                attempt = self.try_open() => attempt,
            };
            match attempt {
                Ok(pull) => {
                    self.counters.cut_off.store(false, Relaxed);
                    return Ok(Some(pull));
                }
                Err(error) => {
                    self.counters.cut_off.store(true, Relaxed);
                    self.note(error.to_string());
                    tolerate(error, &mut missing_since)?;
                }
            }
            self.wait(delay).await?;
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    async fn try_open(&mut self) -> StreamResult<Pull> {
        let info = self.position.verify(&self.connection).await?;
        self.counters.stream_last_sequence.fetch_max(info.state.last_seq, Relaxed);
        Pull::open(&self.connection, self.position.stream(), self.position.accepted() + 1).await
    }

    /// Waits before the next attempt; what was read before is handed over meanwhile.
    async fn wait(&mut self, delay: Duration) -> StreamResult<()> {
        let until = Instant::now() + delay;
        while Instant::now() < until {
            tokio::select! {
                changed = self.control.changed() => if changed.is_err() || self.mode() != Mode::Run { return Ok(()) },
                Some(buffer) = self.hand_over.demands.recv(), if self.demand.is_none() => self.demand = Some(buffer),
                () = sleep_until(until) => {}
            }
            if !self.position.is_doubtful() {
                self.hand_over();
            }
        }
        Ok(())
    }

    /// One consumer's life.
    async fn follow(&mut self, pull: &mut Pull) -> StreamResult<End> {
        let (mut alive, silence_max) = (Instant::now(), pull.silence_max());
        let reconnections = Arc::clone(&self.connection.counters);
        loop {
            if let Err(error) = pull.top_up().await {
                return Ok(End::Renew(error.to_string()));
            }
            let has_room = self.growing.has_room();
            let due = self.growing.due().filter(|_| self.demand.is_some());
            tokio::select! {
                biased;
                changed = self.control.changed() => if changed.is_err() || self.mode() != Mode::Run {
                    return Ok(End::Stopped);
                },
                demand = self.hand_over.demands.recv(), if self.demand.is_none() => match demand {
                    Some(buffer) => self.demand = Some(buffer),
                    None => return Ok(End::Stopped),
                },
                message = pull.subscriber.next(), if has_room => {
                    alive = Instant::now();
                    if let Some(end) = self.take_burst(pull, message) {
                        return Ok(end);
                    }
                }
                () = sleep_until(due.unwrap_or(alive)), if due.is_some() => {}
                () = reconnections.reconnected.notified() => if pull.is_cut_off() {
                    return Ok(End::Renew("the connection was lost".into()));
                },
                () = sleep_until(alive + silence_max), if has_room => return Ok(self.stalled(silence_max)),
            }
            if !has_room {
                alive = Instant::now();
            }
            if let Some(end) = self.hand_over_if_due().await? {
                return Ok(end);
            }
        }
    }

    /// Takes a message and what already waits behind it.
    fn take_burst(&mut self, pull: &mut Pull, first: Option<Message>) -> Option<End> {
        let mut next = first;
        for _ in 0..BURST {
            let Some(message) = next else { return Some(End::Renew("the subscription ended".into())) };
            if let Some(end) = self.take(pull, message) {
                return Some(end);
            }
            if !self.growing.has_room() {
                self.note_full();
                break;
            }
            match pull.subscriber.next().now_or_never() {
                Some(message) => next = message,
                None => break,
            }
        }
        self.publish_progress();
        None
    }

    /// A full chunk that is asked for is no backpressure: far behind, every chunk is full.
    fn note_full(&mut self) {
        if self.demand.is_none() {
            self.demand = self.hand_over.demands.try_recv().ok();
        }
        self.counters.backpressure.fetch_add(u64::from(self.demand.is_none()), Relaxed);
    }

    fn take(&mut self, pull: &mut Pull, message: Message) -> Option<End> {
        match pull.status(&message) {
            Some(Status::Lost(reason)) => return Some(End::Renew(reason)),
            Some(Status::Heartbeat | Status::Ended(_)) => return None,
            None => pull.delivered(),
        }
        let delivery = message.reply.as_deref().and_then(Delivery::parse);
        let contiguous = |found: &Delivery| found.continues(pull.consumer_seq, self.position.accepted());
        let Some(delivery) = delivery.filter(contiguous) else { return Some(self.gap(pull, message.reply.as_deref())) };
        pull.consumer_seq = delivery.consumer_seq;
        self.position.accept(&delivery);
        self.received += 1;
        self.received_bytes += (message.payload.len() + message.subject.len()) as u64;
        self.growing.push(message, &delivery);
        None
    }

    fn gap(&self, pull: &Pull, reply: Option<&str>) -> End {
        self.counters.sequence_gaps.fetch_add(1, Relaxed);
        End::Renew(format!("consumer sequence {} was followed by {reply:?}", pull.consumer_seq))
    }

    fn stalled(&self, silence: Duration) -> End {
        self.counters.stalls.fetch_add(1, Relaxed);
        self.counters.cut_off.store(true, Relaxed);
        End::Renew(format!("neither message nor heartbeat for {:.1} s", silence.as_secs_f64()))
    }

    /// Hands the chunk over if it is asked for and old enough, after clearing up any doubt about jumps in it.
    async fn hand_over_if_due(&mut self) -> StreamResult<Option<End>> {
        if self.discard {
            self.growing.discard();
            return Ok(None);
        }
        if self.demand.is_none() || !self.growing.is_due() {
            return Ok(None);
        }
        if self.position.is_doubtful()
            && let Err(error) = self.position.verify(&self.connection).await
        {
            return if error.is_transient() { Ok(Some(End::Renew(error.to_string()))) } else { Err(error) };
        }
        Ok(if self.hand_over() { None } else { Some(End::Stopped) })
    }

    /// False if nobody is there any more to take it.
    fn hand_over(&mut self) -> bool {
        if self.growing.is_empty() {
            return true;
        }
        let Some(buffer) = self.demand.take() else { return true };
        let chunk = self.growing.take(buffer);
        self.growing.note_commit(Duration::from_micros(self.counters.commit_us.load(Relaxed)));
        self.counters.chunks.fetch_add(1, Relaxed);
        self.publish_progress();
        self.hand_over.chunks.send(chunk).is_ok()
    }

    /// The last hand-over of a drain; a stop drops what was not handed over, it is still in the stream.
    async fn finish(mut self) -> StreamResult<()> {
        while self.mode() == Mode::Drain && !self.growing.is_empty() {
            if self.position.is_doubtful() {
                self.position.verify(&self.connection).await?;
            }
            if self.demand.is_none() {
                match self.hand_over.demands.recv().await {
                    Some(buffer) => self.demand = Some(buffer),
                    None => break,
                }
            }
            self.hand_over();
        }
        Ok(())
    }

    fn mode(&self) -> Mode {
        // An owner that is gone wants nothing more.
        if self.control.has_changed().is_err() { Mode::Stop } else { *self.control.borrow() }
    }

    fn publish_progress(&self) {
        let counters = &self.counters;
        counters.messages.store(self.received, Relaxed);
        counters.bytes.store(self.received_bytes, Relaxed);
        counters.last_sequence.store(self.position.accepted(), Relaxed);
        counters.growing_messages.store(self.growing.len() as u64, Relaxed);
        counters.growing_bytes.store(self.growing.bytes() as u64, Relaxed);
    }

    fn count_renewal(&self, reason: String) {
        self.counters.consumers_recreated.fetch_add(1, Relaxed);
        self.note(reason);
    }

    fn note(&self, reason: String) {
        if let Ok(mut last) = self.counters.last_renewal.lock() {
            *last = reason;
        }
    }
}

/// Lets an error pass that trying again may cure.
fn tolerate(error: StreamError, missing_since: &mut Option<Instant>) -> StreamResult<()> {
    if !matches!(error, StreamError::StreamMissing { .. }) {
        *missing_since = None;
        return if error.is_transient() { Ok(()) } else { Err(error) };
    }
    let since = *missing_since.get_or_insert_with(Instant::now);
    if since.elapsed() < MISSING_TOLERANCE { Ok(()) } else { Err(error) }
}
