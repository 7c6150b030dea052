//! A load generator: realistic readings at a given rate, or as fast as the broker takes them.

mod frame;
mod signal;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{
    connection::{ConnectionOptions, invalid, runtime},
    ingest::{Ingest, Outgoing, Pace},
    stream_error::{StreamError, StreamResult},
    wall_clock::now_us,
};
use frame::FrameWriter;
use signal::{Fleet, Generated};

/// How long a paced generator rests when it is ahead of its schedule.
const REST: Duration = Duration::from_millis(1);
/// Messages sent between two looks at the clock.
const BURST: u64 = 64;
/// Unconfirmed messages are confirmed at least this often, before the server forgets the batch.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// Wait before a message that a full stream refused is offered again.
const ROOM_DELAY: Duration = Duration::from_millis(20);
/// How long a stream may stay full.
const ROOM_TIMEOUT: Duration = Duration::from_secs(120);
/// The same for atomic batches, which nobody sees before they are full.
const FLUSH_ATOMIC_EVERY: Duration = Duration::from_millis(100);

/// Wire format of a generated message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadFormat {
    /// One JSON reading a message, one subject a signal.
    #[default]
    Json,
    /// A JSON array of readings of one asset.
    JsonArray,
    /// An Arrow IPC stream of readings of one asset.
    Arrow,
}

/// What to generate. Unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoadOptions {
    /// Subjects begin with this.
    pub raw_prefix: String,
    /// Their next token.
    pub site: String,
    /// Signals in all.
    pub signals: usize,
    /// Assets they are spread over.
    pub assets: usize,
    /// Readings per second in all; absent: as fast as the broker confirms.
    pub rate_hz: Option<f64>,
    /// Wire format.
    pub format: LoadFormat,
    /// Readings a message; 1 for `json`.
    pub readings_per_message: usize,
    /// Same seed, same values.
    pub seed: u64,
    /// Event time between two readings of a signal, microseconds.
    pub interval_us: i64,
    /// Event time of the first reading, microseconds; absent: the wall clock at each reading.
    pub start_us: Option<i64>,
    /// One reading in so many is a spike; 0: none.
    pub spike_every: u64,
    /// Readings of a signal before its first spike, so that its detectors have learned.
    pub spike_after: u64,
    /// Acknowledgements that may be outstanding.
    pub window: u64,
    /// Messages an acknowledgement stands for.
    pub ack_every: u64,
    /// Whether so many messages go as one batch that is stored all or none.
    pub atomic: bool,
    /// Whether a stream that is full is waited for, as producers do; else a refusal ends the run.
    pub patient: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            raw_prefix: "iotpm.raw".into(),
            site: "plant".into(),
            signals: 10_000,
            assets: 1_000,
            rate_hz: None,
            format: LoadFormat::Json,
            readings_per_message: 1,
            seed: 1,
            interval_us: 1_000_000,
            start_us: None,
            spike_every: 0,
            spike_after: 150,
            window: 8,
            ack_every: 500,
            atomic: false,
            patient: false,
        }
    }
}

/// A spike that was put in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InjectedSpike {
    /// `site/asset/signal`.
    pub signal: String,
    /// Its event time, microseconds.
    pub time_us: i64,
    /// The value that was sent.
    pub value: f64,
}

/// What a run achieved.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LoadReport {
    /// Messages published.
    pub messages: u64,
    /// Readings in them.
    pub readings: u64,
    /// Messages that the broker confirmed.
    pub acknowledged: u64,
    /// Times the broker refused a message.
    pub refused: u64,
    /// Messages sent again.
    pub resent: u64,
    /// From the first message to the last confirmation.
    pub seconds: f64,
    /// Messages confirmed per second.
    pub messages_per_s: f64,
    /// Readings confirmed per second.
    pub readings_per_s: f64,
    /// How far the generator fell behind its schedule at worst, seconds.
    pub worst_lag_s: f64,
    /// Spikes put in.
    pub spikes: Vec<InjectedSpike>,
}

/// When a run ends: whichever comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Until {
    /// After so many seconds.
    pub seconds: Option<f64>,
    /// After so many messages.
    pub messages: Option<u64>,
}

/// Generates readings; a second run continues where the first ended.
pub struct LoadGenerator {
    connection: ConnectionOptions,
    options: LoadOptions,
    fleet: Fleet,
    frame: FrameWriter,
    readings: Vec<Generated>,
    next_message: u64,
}

impl LoadOptions {
    /// Options from JSON.
    ///
    /// # Errors
    /// With the parser's words, or naming the option out of range.
    pub fn from_json(json: &str) -> StreamResult<Self> {
        let options: Self = serde_json::from_str(json).map_err(|error| invalid("load options", &json, &error))?;
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> StreamResult<()> {
        let refuse = |name, value: &dyn ToString, reason: &str| Err(invalid(name, value, &reason));
        match self {
            Self { signals: 0, .. } => refuse("signals", &0, "must be 1 or more"),
            Self { assets, signals, .. } if *assets == 0 || assets > signals => {
                refuse("assets", assets, "must be between 1 and the number of signals")
            }
            Self { readings_per_message: 0, .. } => refuse("readings_per_message", &0, "must be 1 or more"),
            Self { format: LoadFormat::Json, readings_per_message: 2.., .. } => {
                refuse("readings_per_message", &self.readings_per_message, "must be 1 for json; use json_array")
            }
            Self { interval_us: ..=0, .. } => refuse("interval_us", &self.interval_us, "must be 1 or more"),
            Self { rate_hz: Some(rate), .. } if !rate.is_finite() || *rate <= 0.0 => {
                refuse("rate_hz", rate, "must be positive and finite")
            }
            _ => Ok(()),
        }
    }
}

impl LoadGenerator {
    /// A generator that has sent nothing yet.
    ///
    /// # Errors
    /// For options out of range.
    pub fn new(connection: ConnectionOptions, options: LoadOptions) -> StreamResult<Self> {
        options.check()?;
        let fleet = Fleet::new(&options);
        Ok(Self {
            connection,
            fleet,
            frame: FrameWriter::new(&options),
            options,
            readings: Vec::new(),
            next_message: 0,
        })
    }

    /// Sends until `until`, then waits for every confirmation.
    ///
    /// # Errors
    /// If the server cannot be reached, or refuses a message.
    pub fn run(&mut self, until: Until) -> StreamResult<LoadReport> {
        if until == Until::default() {
            return Err(invalid("run", &"neither", &"give seconds, messages or both"));
        }
        runtime()?.block_on(self.run_connected(until))
    }

    async fn run_connected(&mut self, until: Until) -> StreamResult<LoadReport> {
        let connection = self.connection.connect("iotpm-load").await?;
        let LoadOptions { window, ack_every, atomic, .. } = self.options;
        let flush_every = if atomic { FLUSH_ATOMIC_EVERY } else { FLUSH_EVERY };
        let mut ingest = Ingest::new(connection, Pace { window, ack_every, atomic });
        let mut report = LoadReport::default();
        let begin = Instant::now();
        let mut flushed = begin;
        while !is_over(until, begin, report.messages) {
            let due = self.due(begin, report.messages, until);
            for _ in 0..due.min(BURST) {
                self.send_next(&mut ingest, &mut report).await?;
            }
            if flushed.elapsed() > flush_every {
                flushed = Instant::now();
                ingest.flush().await?;
            }
            if due == 0 {
                tokio::time::sleep(REST).await;
            }
            self.note_lag(begin, &mut report);
        }
        ingest.flush().await?;
        Ok(finish(report, begin.elapsed(), &ingest))
    }

    /// Messages to send now: all of them if there is no rate, else those whose time has come.
    fn due(&self, begin: Instant, sent: u64, until: Until) -> u64 {
        let left = until.messages.map_or(u64::MAX, |messages| messages.saturating_sub(sent));
        left.min(self.scheduled(begin).map_or(u64::MAX, |scheduled| scheduled.saturating_sub(sent)))
    }

    fn scheduled(&self, begin: Instant) -> Option<u64> {
        let messages_hz = self.options.rate_hz? / self.options.readings_per_message as f64;
        Some((begin.elapsed().as_secs_f64() * messages_hz) as u64)
    }

    fn note_lag(&self, begin: Instant, report: &mut LoadReport) {
        let Some((scheduled, rate_hz)) = self.scheduled(begin).zip(self.options.rate_hz) else { return };
        let behind = scheduled.saturating_sub(report.messages) as f64 * self.options.readings_per_message as f64;
        report.worst_lag_s = report.worst_lag_s.max(behind / rate_hz);
    }

    async fn send_next(&mut self, ingest: &mut Ingest, report: &mut LoadReport) -> StreamResult<()> {
        let message = self.next_message(report);
        self.next_message += 1;
        report.messages += 1;
        report.readings += self.options.readings_per_message as u64;
        match ingest.send(message).await {
            Err(StreamError::Refused { .. }) if self.options.patient => wait_for_room(ingest).await,
            sent => sent,
        }
    }

    fn next_message(&mut self, report: &mut LoadReport) -> Outgoing {
        let now_us = self.options.start_us.is_none().then(now_us);
        let buffer = std::mem::take(&mut self.readings);
        self.readings = self.fleet.message(self.next_message, now_us, &mut report.spikes, buffer);
        self.frame.write(&self.fleet, &self.readings)
    }
}

/// Offers again what was refused until it is stored.
async fn wait_for_room(ingest: &mut Ingest) -> StreamResult<()> {
    let begin = Instant::now();
    loop {
        tokio::time::sleep(ROOM_DELAY).await;
        match ingest.flush().await {
            Err(StreamError::Refused { .. }) if begin.elapsed() < ROOM_TIMEOUT => {}
            settled => return settled,
        }
    }
}

fn is_over(until: Until, begin: Instant, sent: u64) -> bool {
    let enough = until.messages.is_some_and(|messages| sent >= messages);
    enough || until.seconds.is_some_and(|seconds| begin.elapsed().as_secs_f64() >= seconds)
}

fn finish(mut report: LoadReport, elapsed: Duration, ingest: &Ingest) -> LoadReport {
    let counters = ingest.counters();
    report.acknowledged = counters.acknowledged;
    report.refused = counters.refused;
    report.resent = counters.resent;
    report.seconds = elapsed.as_secs_f64();
    report.messages_per_s = counters.acknowledged as f64 / report.seconds;
    report.readings_per_s = report.messages_per_s * (report.readings as f64 / report.messages.max(1) as f64);
    report
}
