//! A publisher for producers outside the data plane: simulator, replay, tests.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use async_nats::HeaderMap;
use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    connection::{Connection, ConnectionOptions, runtime},
    ingest::{Ingest, IngestCounters, Outgoing, Pace},
    stream_error::{StreamError, StreamResult},
};

/// Calls to `publish` that may wait for the thread.
const QUEUED_CALLS: usize = 4;
/// Rest after which everything accepted is confirmed by itself.
const IDLE_FLUSH: Duration = Duration::from_secs(1);

enum Command {
    Publish(Vec<Outgoing>),
    Flush(oneshot::Sender<StreamResult<()>>),
}

#[derive(Default)]
struct Shared {
    failed: AtomicBool,
    error: Mutex<Option<StreamError>>,
    counters: Mutex<IngestCounters>,
}

/// Publishes from a thread of its own and keeps every message until the broker has confirmed it.
pub struct Publisher {
    commands: Option<mpsc::Sender<Command>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Connects. At most `window` acknowledgements of `ack_every` messages each are outstanding, never more than 5,000
    /// messages; `atomic` makes `ack_every` of them one batch that is stored all or none, one batch at a time.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub fn connect(options: ConnectionOptions, window: u64, ack_every: u64, atomic: bool) -> StreamResult<Self> {
        let pace = Pace { window, ack_every, atomic };
        let shared = Arc::new(Shared::default());
        let (commands, received) = mpsc::channel(QUEUED_CALLS);
        let (ready, connected) = oneshot::channel();
        let of_thread = Arc::clone(&shared);
        let work = move || run(&options, pace, received, &of_thread, ready);
        let thread = std::thread::Builder::new().name("iotpm-publisher".into()).spawn(work);
        let thread = thread.map_err(|error| not_running("Publisher", &error.to_string()))?;
        connected.blocking_recv().map_err(|_| not_running("Publisher", "its thread ended"))??;
        Ok(Self { commands: Some(commands), shared, thread: Some(thread) })
    }

    /// Hands messages to the thread; blocks while too many wait.
    ///
    /// # Errors
    /// The refusal that keeps earlier messages from being stored: nothing of this call is accepted then. `flush` tries
    /// those again.
    pub fn publish(&self, messages: Vec<Outgoing>) -> StreamResult<()> {
        self.check()?;
        self.send(Command::Publish(messages))
    }

    /// Returns once everything accepted is stored.
    ///
    /// # Errors
    /// The refusal otherwise; the messages are kept, calling again tries again.
    pub fn flush(&self) -> StreamResult<()> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Flush(reply))?;
        answer.blocking_recv().map_err(|_| not_running("flush", "the publisher's thread ended"))?
    }

    /// What was confirmed, refused and sent again so far.
    #[must_use]
    pub fn counters(&self) -> IngestCounters {
        self.shared.counters.lock().map(|counters| *counters).unwrap_or_default()
    }

    /// Flushes and disconnects; a second call does nothing.
    ///
    /// # Errors
    /// As `flush`; the publisher is closed in any case, what was refused is dropped.
    pub fn close(&mut self) -> StreamResult<()> {
        if self.commands.is_none() {
            return Ok(());
        }
        let flushed = self.flush();
        self.commands = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(not_running("close", "the publisher's thread panicked")),
            _ => flushed,
        }
    }

    fn check(&self) -> StreamResult<()> {
        if !self.shared.failed.load(Relaxed) {
            return Ok(());
        }
        match self.shared.error.lock().map(|error| error.clone()) {
            Ok(Some(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn send(&self, command: Command) -> StreamResult<()> {
        let commands = self.commands.as_ref().ok_or_else(|| not_running("publish", "the publisher is closed"))?;
        commands.blocking_send(command).map_err(|_| not_running("publish", "the publisher's thread ended"))
    }
}

/// A message with the headers that producers use.
#[must_use]
pub fn outgoing(
    subject: &str,
    payload: Bytes,
    content_type: Option<&str>,
    stream_time_us: Option<i64>,
    message_id: Option<&str>,
) -> Outgoing {
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &str| headers.insert(name, value);
    if let Some(content_type) = content_type {
        set("Content-Type", content_type);
    }
    if let Some(time_us) = stream_time_us {
        set("Iotpm-Time", &time_us.to_string());
    }
    if let Some(id) = message_id {
        set("Nats-Msg-Id", id);
    }
    Outgoing { subject: subject.into(), payload, headers: (!headers.is_empty()).then_some(headers) }
}

fn not_running(what: &'static str, reason: &str) -> StreamError {
    StreamError::NotRunning { what, reason: reason.to_owned() }
}

fn run(
    options: &ConnectionOptions,
    pace: Pace,
    commands: mpsc::Receiver<Command>,
    shared: &Shared,
    ready: oneshot::Sender<StreamResult<()>>,
) {
    let started = runtime().and_then(|runtime| {
        let connection = runtime.block_on(options.connect("iotpm-publisher"))?;
        Ok((runtime, connection))
    });
    let (answer, started) = match started {
        Ok(started) => (Ok(()), Some(started)),
        Err(error) => (Err(error), None),
    };
    // Nobody waits for the answer only if `connect` itself is gone, and then the channel of commands is closed too.
    ready.send(answer).ok();
    if let Some((runtime, connection)) = started {
        runtime.block_on(serve(connection, pace, commands, shared));
    }
}

async fn serve(connection: Connection, pace: Pace, mut commands: mpsc::Receiver<Command>, shared: &Shared) {
    let mut ingest = Ingest::new(connection, pace);
    loop {
        let outcome = match timeout(IDLE_FLUSH, commands.recv()).await {
            Ok(Some(Command::Publish(messages))) => publish(&mut ingest, messages).await,
            Ok(Some(Command::Flush(reply))) => flush(&mut ingest, shared, reply).await,
            Ok(None) => return,
            // The server forgets a batch that rests for 10 s, and then nobody knows how much of it is stored.
            Err(_) if ingest.unconfirmed() > 0 => ingest.flush().await,
            Err(_) => continue,
        };
        shared.note(&ingest, &outcome);
    }
}

async fn flush(ingest: &mut Ingest, shared: &Shared, reply: oneshot::Sender<StreamResult<()>>) -> StreamResult<()> {
    let outcome = ingest.flush().await;
    shared.note(ingest, &outcome);
    // A caller that no longer waits finds the outcome at its next call.
    reply.send(outcome.clone()).ok();
    outcome
}

/// Messages behind a refused one are kept too, so that their order holds.
async fn publish(ingest: &mut Ingest, messages: Vec<Outgoing>) -> StreamResult<()> {
    let mut outcome = Ok(());
    for message in messages {
        match outcome {
            Ok(()) => outcome = ingest.send(message).await,
            Err(_) => ingest.keep(message),
        }
    }
    outcome
}

impl Shared {
    fn note(&self, ingest: &Ingest, outcome: &StreamResult<()>) {
        if let Ok(mut counters) = self.counters.lock() {
            *counters = ingest.counters();
        }
        if let Ok(mut error) = self.error.lock() {
            *error = outcome.clone().err();
        }
        self.failed.store(outcome.is_err(), Relaxed);
    }
}
