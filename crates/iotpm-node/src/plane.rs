//! The data plane: a thread that pulls, one that runs the pipeline, one that publishes; the committer is the caller.
//!
//! ```text
//! reader --chunk of messages, when asked for--> pipeline --Chunk, when asked for--> next_chunk() .. committed()
//!                                                                     outbox thread <-- events --'
//! ```
//! Both hand-overs happen only when the taker is ready: while chunk k commits, k+1 is computed and held, and k+2 grows.
//! Whatever fails in a thread ends the plane and surfaces from [`DataPlane::next_chunk`].

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select_biased};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    CapturedState, Chunk, NodeError, OutboxEvent, Pipeline, PlaneOptions, RawMessage,
    connection::{Connection, ConnectionCounters, runtime},
    error::Result,
    histogram::Histogram,
    outbox::{Outbox, OutboxCounters},
    plane_options::StreamOptions,
    plane_stats::{PlaneStats, lag},
    reader::{HandOver, Mode, Reader, ReaderCounters},
    stream_error::{StreamError, StreamResult},
};

/// Commits over which the usual time of one is averaged, exponentially.
const COMMITS_AVERAGED: i64 = 8;
/// The state is captured for this part of the time that a chunk takes, if its slice is not longer.
const CAPTURE_SHARE: u32 = 4;
/// Chunks' worth of events that may wait for the broker before `committed` blocks.
const OUTBOX_BATCHES: usize = 8;
/// How often a blocked caller looks whether the plane was stopped.
const POLL: Duration = Duration::from_millis(2);
/// How often the stream's end is asked for, for the lag.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// A chunk on its way to the store.
pub struct PlaneChunk {
    /// Rows, position and events.
    pub chunk: Chunk,
    /// The state it carries, if one was asked for.
    pub snapshot: Option<Arc<CapturedState>>,
    handed_over: Instant,
}

/// What all threads of a plane share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub reader: Arc<ReaderCounters>,
    pub outbox: Arc<OutboxCounters>,
    pub connection: Mutex<Option<Arc<ConnectionCounters>>>,
    pub committed_seq: AtomicU64,
    pub committed_chunks: AtomicU64,
    pub held_chunks: AtomicU64,
    pub snapshots: AtomicU64,
    pub chunk_messages: Histogram,
    pub pipeline_seconds: Histogram,
    pub commit_seconds: Histogram,
    pub storing_seconds: Histogram,
    snapshot_requested: AtomicBool,
    snapshot_slice: Duration,
    failure: Mutex<Option<NodeError>>,
}

struct Running {
    control: watch::Sender<Mode>,
    stop: Option<Sender<()>>,
    chunks: Receiver<PlaneChunk>,
    events: Option<mpsc::Sender<Vec<OutboxEvent>>>,
    threads: Vec<JoinHandle<()>>,
}

/// Reads one stream, runs one pipeline, publishes one outbox.
pub struct DataPlane {
    options: PlaneOptions,
    pipeline: Arc<Mutex<Pipeline>>,
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
    finished: AtomicBool,
}

impl DataPlane {
    /// A plane that has not started; `snapshot` is the state after `start_sequence` - 1.
    ///
    /// # Errors
    /// For options or a snapshot that cannot be used.
    pub fn new(options: PlaneOptions, snapshot: Option<&[u8]>) -> Result<Self> {
        let pipeline = Pipeline::new(options.pipeline.clone(), snapshot)?;
        let shared = Arc::new(Shared::new(&options.stream));
        let pipeline = Arc::new(Mutex::new(pipeline));
        Ok(Self { options, pipeline, shared, running: Mutex::new(None), finished: AtomicBool::new(false) })
    }

    /// Connects, looks where the anomaly stream stands, and starts to pull.
    ///
    /// # Errors
    /// If the server or a stream is not as it must be, or the plane was started before.
    pub fn start(&self) -> Result<()> {
        let mut running = lock(&self.running);
        if running.is_some() {
            return Err(not_running("start", "the plane was started before; make a new one").into());
        }
        *running = Some(self.launch()?);
        Ok(())
    }

    fn launch(&self) -> Result<Running> {
        let (control, watched) = watch::channel(Mode::Run);
        let (stop, stopped) = bounded(0);
        let (done, chunks) = bounded(0);
        let threads = Threads { plane: self, control: control.clone(), watched };
        let mut started = Vec::new();
        let outbox = threads.start_outbox(&mut started);
        let reader = outbox.and_then(|events| Ok((events, threads.start_reader(&mut started)?)));
        match reader {
            Ok((events, (demands, pulled))) => {
                started.push(threads.start_pipeline(demands, pulled, done, stopped)?);
                Ok(Running { control, stop: Some(stop), chunks, events, threads: started })
            }
            Err(error) => {
                control.send_replace(Mode::Stop);
                join(started);
                Err(error)
            }
        }
    }

    /// The next chunk, or `None` after `timeout` or once [`DataPlane::is_finished`].
    ///
    /// # Errors
    /// Whatever ended the plane, after all chunks before it were handed out.
    pub fn next_chunk(&self, timeout: Duration) -> Result<Option<PlaneChunk>> {
        let chunks = match &*lock(&self.running) {
            Some(running) => running.chunks.clone(),
            None => return Err(not_running("next_chunk", "the plane is not running").into()),
        };
        match chunks.recv_timeout(timeout) {
            Ok(mut chunk) => {
                self.shared.held_chunks.store(0, Relaxed);
                chunk.handed_over = Instant::now();
                Ok(Some(chunk))
            }
            Err(RecvTimeoutError::Timeout) => self.shared.outcome().map(|()| None),
            Err(RecvTimeoutError::Disconnected) => {
                self.finished.store(true, Relaxed);
                self.shared.outcome().map(|()| None)
            }
        }
    }

    /// Publishes the chunk's events, after its transaction. Blocks while the broker is away and too many events wait;
    /// [`DataPlane::stop`] from another thread ends that, and the next start publishes them from the store.
    ///
    /// # Errors
    /// Whatever ended the plane.
    pub fn committed(&self, chunk: &mut PlaneChunk) -> Result<()> {
        let events = self.take_committed(chunk);
        self.publish_outbox(events)
    }

    /// The first half of [`DataPlane::committed`], which never blocks: notes the commit and takes the events.
    pub fn take_committed(&self, chunk: &mut PlaneChunk) -> Vec<OutboxEvent> {
        self.shared.note_commit(chunk);
        std::mem::take(&mut chunk.chunk.outbox)
    }

    /// Publishes older rows of the outbox; before the first [`DataPlane::committed`], in order, without a hole.
    ///
    /// # Errors
    /// Whatever ended the plane.
    pub fn publish_outbox(&self, events: Vec<OutboxEvent>) -> Result<()> {
        if events.is_empty() {
            return self.shared.outcome();
        }
        let Some(sender) = lock(&self.running).as_ref().and_then(|running| running.events.clone()) else {
            return self.shared.outcome();
        };
        self.shared.outbox.accepted.fetch_add(events.len() as u64, Relaxed);
        self.send_events(&sender, events)
    }

    fn send_events(&self, sender: &mpsc::Sender<Vec<OutboxEvent>>, events: Vec<OutboxEvent>) -> Result<()> {
        let mut waiting = events;
        loop {
            match sender.try_send(waiting) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return self.shared.outcome(),
                Err(mpsc::error::TrySendError::Full(events)) => waiting = events,
            }
            if self.mode() == Mode::Stop {
                return self.shared.outcome();
            }
            thread::sleep(POLL);
        }
    }

    /// `outbox_seq` of the last event that the anomaly stream holds; rows of the store above it are still to be
    /// published.
    #[must_use]
    pub fn last_published_outbox_seq(&self) -> u64 {
        self.shared.outbox.last_published.load(Relaxed)
    }

    /// From the next chunk on the state is captured, a part after each; the chunk that completes it carries it.
    pub fn request_snapshot(&self) {
        self.shared.snapshot_requested.store(true, Relaxed);
    }

    /// The state now; waits for the chunk that is running. Once [`DataPlane::is_finished`] it is the state after the
    /// last chunk.
    ///
    /// # Errors
    /// If the state cannot be captured or written.
    pub fn snapshot_now(&self) -> Result<(u64, Vec<u8>)> {
        let state = self.with_pipeline(Pipeline::snapshot)??;
        Ok((state.span().sequence, state.encode()?))
    }

    /// Runs `work` on the pipeline between two chunks.
    ///
    /// # Errors
    /// If the pipeline's thread panicked.
    pub fn with_pipeline<T>(&self, work: impl FnOnce(&Pipeline) -> T) -> Result<T> {
        match self.pipeline.lock() {
            Ok(pipeline) => Ok(work(&pipeline)),
            Err(_) => Err(self.shared.outcome().err().unwrap_or_else(|| panicked("pipeline", "unknown").into())),
        }
    }

    /// Counters, queue depths, sizes and latencies.
    #[must_use]
    pub fn stats(&self) -> PlaneStats {
        PlaneStats::of(&self.shared)
    }

    /// Messages of the stream that are not committed yet; cheap enough to ask after every chunk.
    #[must_use]
    pub fn lag(&self) -> u64 {
        lag(&self.shared)
    }

    /// Pulls no more; what is in flight still comes from [`DataPlane::next_chunk`], then the plane is finished.
    pub fn drain(&self) {
        if let Some(running) = &*lock(&self.running) {
            running.control.send_if_modified(|mode| {
                let running = *mode == Mode::Run;
                if running {
                    *mode = Mode::Drain;
                }
                running
            });
        }
    }

    /// Every chunk was handed out after a drain, or the plane was stopped.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished.load(Relaxed)
    }

    /// Waits until the broker has stored every event handed over; false if it has not within `timeout`.
    ///
    /// # Errors
    /// Whatever ended the plane.
    pub fn flush_outbox(&self, timeout: Duration) -> Result<bool> {
        let deadline = Instant::now() + timeout;
        while self.shared.outbox.pending() > 0 {
            self.shared.outcome()?;
            if Instant::now() >= deadline || self.mode() == Mode::Stop {
                return Ok(false);
            }
            thread::sleep(POLL);
        }
        self.shared.outcome().map(|()| true)
    }

    /// Ends all threads; what was not committed or published is found again at the next start.
    pub fn stop(&self) {
        let threads = match &mut *lock(&self.running) {
            Some(running) => {
                running.control.send_replace(Mode::Stop);
                running.stop = None;
                running.events = None;
                std::mem::take(&mut running.threads)
            }
            None => return,
        };
        join(threads);
        self.finished.store(true, Relaxed);
    }

    fn mode(&self) -> Mode {
        lock(&self.running).as_ref().map_or(Mode::Stop, |running| *running.control.borrow())
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn new(stream: &StreamOptions) -> Self {
        let position = stream.start_sequence.saturating_sub(1);
        Self {
            reader: Arc::default(),
            outbox: Arc::default(),
            connection: Mutex::new(None),
            committed_seq: AtomicU64::new(position),
            committed_chunks: AtomicU64::new(0),
            held_chunks: AtomicU64::new(0),
            snapshots: AtomicU64::new(0),
            chunk_messages: Histogram::sizes(),
            pipeline_seconds: Histogram::seconds(),
            commit_seconds: Histogram::seconds(),
            storing_seconds: Histogram::seconds(),
            snapshot_requested: AtomicBool::new(false),
            snapshot_slice: Duration::from_millis(stream.snapshot_slice_ms),
            failure: Mutex::new(None),
        }
    }

    fn note_commit(&self, chunk: &PlaneChunk) {
        self.committed_seq.store(chunk.chunk.last_seq, Relaxed);
        self.committed_chunks.fetch_add(1, Relaxed);
        let commit = chunk.handed_over.elapsed();
        self.commit_seconds.record(commit.as_secs_f64());
        self.note_commit_time(commit);
        let age_us = crate::wall_clock::now_us() - chunk.chunk.last_time_us;
        self.storing_seconds.record(age_us as f64 / 1e6);
    }

    fn note_commit_time(&self, commit: Duration) {
        let averaged = self.reader.commit_us.load(Relaxed) as i64;
        let averaged = averaged + (commit.as_micros() as i64 - averaged) / COMMITS_AVERAGED;
        self.reader.commit_us.store(averaged as u64, Relaxed);
    }

    /// The first failure stays.
    fn fail(&self, error: NodeError) {
        lock(&self.failure).get_or_insert(error);
    }

    fn outcome(&self) -> Result<()> {
        lock(&self.failure).clone().map_or(Ok(()), Err)
    }
}

/// Starts the threads of one plane.
struct Threads<'a> {
    plane: &'a DataPlane,
    control: watch::Sender<Mode>,
    watched: watch::Receiver<Mode>,
}

type Pulled = (mpsc::Sender<Vec<RawMessage>>, Receiver<Vec<RawMessage>>);

impl Threads<'_> {
    fn start_outbox(&self, started: &mut Vec<JoinHandle<()>>) -> Result<Option<mpsc::Sender<Vec<OutboxEvent>>>> {
        let options = self.plane.options.clone();
        let Some(stream) = options.stream.anomaly_stream.clone() else { return Ok(None) };
        let (events, received) = mpsc::channel(OUTBOX_BATCHES);
        let (counters, watched) = (Arc::clone(&self.plane.shared.outbox), self.watched.clone());
        let open = async move |connection: Connection| {
            let created = connection.stream_info(&options.stream.raw_stream).await?.created;
            let prefix = format!("{}:{created}", options.stream.raw_stream);
            let outbox = Outbox::open(connection, &stream, prefix, counters, watched).await?;
            Ok(async move { outbox.run(received).await })
        };
        started.push(self.spawn_connected("outbox", open)?);
        Ok(Some(events))
    }

    fn start_reader(&self, started: &mut Vec<JoinHandle<()>>) -> Result<Pulled> {
        let options = self.plane.options.reader();
        let (demand, demands) = mpsc::channel(1);
        let (chunks, pulled) = bounded(1);
        let (counters, watched) = (Arc::clone(&self.plane.shared.reader), self.watched.clone());
        let shared = Arc::clone(&self.plane.shared);
        let open = async move |connection: Connection| {
            *lock(&shared.connection) = Some(Arc::clone(&connection.counters));
            connection.stream_info(&options.stream).await?;
            let lag = watch_lag(connection.clone(), options.stream.clone(), Arc::clone(&counters));
            let reader = Reader::new(connection, &options, counters, watched, HandOver { demands, chunks });
            Ok(async move {
                let lag = tokio::spawn(lag);
                let outcome = reader.run().await;
                lag.abort();
                outcome
            })
        };
        started.push(self.spawn_connected("reader", open)?);
        Ok((demand, pulled))
    }

    /// A thread with a runtime and a connection; returns once `open` has succeeded in it.
    fn spawn_connected<W, O>(&self, name: &'static str, open: O) -> Result<JoinHandle<()>>
    where
        O: AsyncFnOnce(Connection) -> StreamResult<W> + Send + 'static,
        W: Future<Output = StreamResult<()>>,
    {
        let connection = self.plane.options.connection.clone();
        let (ready, opened) = oneshot::channel();
        let work = move || -> Result<()> {
            runtime()?.block_on(async {
                let work = match connection.connect(&format!("iotpm-{name}")).await {
                    Ok(connection) => open(connection).await,
                    Err(error) => Err(error),
                };
                let (answer, work) = match work {
                    Ok(work) => (Ok(()), Some(work)),
                    Err(error) => (Err(error), None),
                };
                // If nobody waits any more, the plane is being stopped, and the work ends by itself.
                ready.send(answer).ok();
                match work {
                    Some(work) => work.await.map_err(NodeError::from),
                    None => Ok(()),
                }
            })
        };
        let thread = self.spawn(name, work)?;
        match opened.blocking_recv() {
            Ok(Ok(())) => Ok(thread),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(self.plane.shared.outcome().err().unwrap_or_else(|| panicked(name, "at its start").into())),
        }
    }

    fn start_pipeline(
        &self,
        demands: mpsc::Sender<Vec<RawMessage>>,
        pulled: Receiver<Vec<RawMessage>>,
        done: Sender<PlaneChunk>,
        stopped: Receiver<()>,
    ) -> Result<JoinHandle<()>> {
        let (pipeline, shared) = (Arc::clone(&self.plane.pipeline), Arc::clone(&self.plane.shared));
        self.spawn("pipeline", move || run_pipeline(&pipeline, &shared, &demands, &pulled, &done, &stopped))
    }

    /// Whatever ends a thread badly is kept as the plane's failure and stops the others.
    fn spawn(&self, name: &'static str, work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<JoinHandle<()>> {
        let (shared, control) = (Arc::clone(&self.plane.shared), self.control.clone());
        let supervised = move || {
            let outcome = catch_unwind(AssertUnwindSafe(work));
            let outcome = outcome.unwrap_or_else(|panic| Err(panicked(name, panic_message(&*panic)).into()));
            if let Err(error) = outcome {
                shared.fail(error);
                control.send_replace(Mode::Stop);
            }
        };
        let spawned = thread::Builder::new().name(format!("iotpm-{name}")).spawn(supervised);
        spawned.map_err(|error| not_running("start", &format!("no thread for the {name}: {error}")).into())
    }
}

fn run_pipeline(
    pipeline: &Mutex<Pipeline>,
    shared: &Shared,
    demands: &mpsc::Sender<Vec<RawMessage>>,
    pulled: &Receiver<Vec<RawMessage>>,
    done: &Sender<PlaneChunk>,
    stopped: &Receiver<()>,
) -> Result<()> {
    let mut buffer = Vec::new();
    while demands.blocking_send(buffer).is_ok() {
        let Ok(mut messages) = pulled.recv() else { break };
        let chunk = run_chunk(pipeline, shared, &messages)?;
        shared.held_chunks.store(1, Relaxed);
        // The stop channel carries nothing: it disconnects.
        select_biased! {
            recv(stopped) -> _ => break,
            send(done, chunk) -> sent => if sent.is_err() { break },
        }
        messages.clear();
        buffer = messages;
    }
    Ok(())
}

fn run_chunk(pipeline: &Mutex<Pipeline>, shared: &Shared, messages: &[RawMessage]) -> Result<PlaneChunk> {
    let begin = Instant::now();
    let mut pipeline = pipeline.lock().map_err(|_| panicked("pipeline", "in an earlier chunk"))?;
    let chunk = pipeline.run(messages)?;
    if !pipeline.is_capturing() && shared.snapshot_requested.swap(false, Relaxed) {
        pipeline.begin_capture()?;
    }
    let snapshot = capture_a_while(&mut pipeline, shared.snapshot_slice, begin.elapsed())?;
    drop(pipeline);
    shared.chunk_messages.record(messages.len() as f64);
    shared.pipeline_seconds.record(begin.elapsed().as_secs_f64());
    shared.snapshots.fetch_add(u64::from(snapshot.is_some()), Relaxed);
    Ok(PlaneChunk { chunk, snapshot: snapshot.map(Arc::new), handed_over: Instant::now() })
}

/// Between two chunks no more than a part of what a chunk takes, so that the next one does not wait for the whole state;
/// but two steps, of which the second may find that it is complete; a slice of 0 is one step.
fn capture_a_while(pipeline: &mut Pipeline, slice: Duration, chunk: Duration) -> Result<Option<CapturedState>> {
    let (share, steps) = if slice.is_zero() { (slice, 1) } else { (slice.max(chunk / CAPTURE_SHARE), 2) };
    let begin = Instant::now();
    for step in 1.. {
        let state = pipeline.capture(1)?;
        if state.is_some() || !pipeline.is_capturing() || (step >= steps && begin.elapsed() >= share) {
            return Ok(state);
        }
    }
    Ok(None)
}

/// Asks for the stream's end every second; a server that does not answer leaves the last figure.
async fn watch_lag(connection: Connection, stream: String, counters: Arc<ReaderCounters>) {
    let mut every = tokio::time::interval(LAG_INTERVAL);
    loop {
        every.tick().await;
        if let Ok(info) = connection.stream_info(&stream).await {
            counters.stream_last_sequence.store(info.state.last_seq, Relaxed);
        }
    }
}

/// A poisoned lock here only means that a thread panicked between two plain assignments.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // Panics were caught inside and kept as the plane's failure.
        thread.join().unwrap_or_default();
    }
}

fn not_running(what: &'static str, reason: &str) -> StreamError {
    StreamError::NotRunning { what, reason: reason.to_owned() }
}

fn panicked(thread: &str, message: &str) -> StreamError {
    StreamError::Panic { thread: thread.to_owned(), message: message.to_owned() }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
