//! Messages to tables, one chunk at a time, without I/O.

mod state;

use std::sync::Arc;

use arrow_array::RecordBatch;
use async_nats::Subject;
use bytes::Bytes;
use iotpm_codec::{Decoder, Limits, Message, name};
use iotpm_core::{
    AnomalyRevision, BarrierKind, Batch, CoreError, EngineOptions, Labels, NO_STREAM_TIME, Output, Reading, Rejected,
    SignalId, Template, Templates, Waveform,
};

use crate::{
    CapturedState, Chunk, NodeError, OutboxEvent, PipelineCounters, PipelineOptions, RawMessage, Tables,
    error::{Result, require},
    event, feedback,
    intake::{Intake, Work},
    message::message_hash,
    registry::{Place, Registry},
    row_ticks,
    rows::Rows,
    shards::Shards,
    sources::{Admission, MessageId, Sources},
    tables::{self, DeadLetter, Journal, LoggedAnomaly},
};

use state::Capturing;

/// Most payload bytes in one call: Arrow's offsets have 31 bits.
const MAX_CHUNK_BYTES: usize = 1 << 30;

/// Turns messages into rows. Results depend on the messages alone: not on where chunks are cut, not on the number of
/// shards, and a pipeline restored from a snapshot goes on as if it had never stopped.
///
/// After an error that may have left the engines between two states every later call is refused with
/// [`NodeError::Failed`].
pub struct Pipeline {
    options: PipelineOptions,
    subjects: Subjects,
    decoder: Decoder,
    registry: Registry,
    sources: Sources,
    shards: Shards,
    work: Work,
    outputs: Vec<Output>,
    anomalies: Vec<LoggedAnomaly>,
    /// The templates in force, as JSON.
    configuration: String,
    /// What operators said and did not withdraw.
    labels: Labels,
    /// Signals that came by name alone and wait for the next chunk's table.
    unannounced: Vec<SignalId>,
    position: Position,
    /// Last message that any signal of the snapshot knew: rows and counts up to it are not made again.
    known_through: u64,
    /// The state as far as it has been captured.
    capturing: Option<Capturing>,
    next_outbox_seq: u64,
    counters: PipelineCounters,
    failure: Option<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Position {
    sequence: u64,
    time_us: i64,
    hash: u64,
}

/// Subjects that this pipeline listens to.
struct Subjects {
    raw: String,
    tick: String,
    control: String,
}

impl Subjects {
    fn new(options: &PipelineOptions) -> Self {
        Self {
            raw: format!("{}.", options.raw_prefix),
            tick: format!("iotpm.tick.{}", options.partition),
            control: format!("iotpm.ctl.{}.", options.partition),
        }
    }
}

impl Pipeline {
    /// A fresh pipeline, or one that goes on after a snapshot. A snapshot brings its own templates.
    ///
    /// # Errors
    /// [`NodeError::InvalidOption`], [`NodeError::Core`] for a template, [`NodeError::InvalidSnapshot`].
    pub fn new(options: PipelineOptions, snapshot: Option<&[u8]>) -> Result<Self> {
        options.check()?;
        match snapshot {
            None => Self::fresh(options),
            Some(bytes) => Self::restored(options, CapturedState::decode(bytes)?),
        }
    }

    fn fresh(options: PipelineOptions) -> Result<Self> {
        let configuration = serde_json::to_string(&options.templates);
        let configuration = configuration.map_err(|error| NodeError::InvalidOptions { detail: error.to_string() })?;
        let templates = Templates::new(options.templates.clone())?;
        Self::empty(options, templates, configuration)
    }

    fn empty(options: PipelineOptions, templates: Templates, configuration: String) -> Result<Self> {
        let (templates, shards) = (Arc::new(templates), options.shards);
        let engine = EngineOptions { emit_scores: options.emit_scores };
        Ok(Self {
            subjects: Subjects::new(&options),
            decoder: Decoder::new(Limits::default()),
            registry: Registry::new(Arc::clone(&templates), options.max_signals, shards),
            sources: Sources::new(options.max_sources),
            shards: Shards::start(shards, &templates, engine)?,
            work: Work { batches: vec![Batch::default(); shards], ..Work::default() },
            outputs: (0..shards).map(|_| Output::default()).collect(),
            anomalies: Vec::new(),
            configuration,
            labels: Labels::default(),
            unannounced: Vec::new(),
            position: Position::default(),
            known_through: 0,
            capturing: None,
            next_outbox_seq: options.next_outbox_seq.unwrap_or(1),
            counters: PipelineCounters::default(),
            failure: None,
            options,
        })
    }

    fn check_known(&self, id: u32) -> Result<()> {
        if (id as usize) < self.registry.len() {
            return Ok(());
        }
        Err(CoreError::UnknownSignal { signal: id }.into())
    }

    /// Sequence of the last message that ran; 0 before the first.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.position.sequence
    }

    /// Number that the next event will get.
    #[must_use]
    pub fn next_outbox_seq(&self) -> u64 {
        self.next_outbox_seq
    }

    /// What happened since the first message, snapshots included.
    #[must_use]
    pub fn counters(&self) -> PipelineCounters {
        self.counters
    }

    /// How many signals are known.
    #[must_use]
    pub fn signals(&self) -> usize {
        self.registry.len()
    }

    /// Full name of a signal.
    #[must_use]
    pub fn signal_name(&self, id: u32) -> Option<&str> {
        self.registry.get(SignalId(id)).map(|signal| &*signal.saved.name)
    }

    /// Runs messages in ascending order of their sequences.
    ///
    /// # Errors
    /// [`NodeError::SequenceNotAscending`] and [`NodeError::InvalidArgument`] (too many bytes) before anything has run;
    /// [`NodeError::Core`], [`NodeError::ShardStopped`] and [`NodeError::Table`] end the pipeline.
    pub fn run(&mut self, messages: &[RawMessage]) -> Result<Chunk> {
        self.check_usable()?;
        self.check_messages(messages)?;
        let result = self.run_known(messages).and_then(|new| self.run_checked(new));
        self.note_failure(result)
    }

    /// Runs messages that parts of the snapshot knew in a chunk of their own, which makes no rows, if others follow.
    fn run_known<'a>(&mut self, messages: &'a [RawMessage]) -> Result<&'a [RawMessage]> {
        let (known, new) =
            messages.split_at(messages.partition_point(|message| message.sequence <= self.known_through));
        if known.is_empty() || new.is_empty() {
            return Ok(messages);
        }
        self.run_checked(known)?;
        Ok(new)
    }

    fn check_usable(&self) -> Result<()> {
        match &self.failure {
            None => Ok(()),
            Some(first) => Err(NodeError::Failed { first: first.clone() }),
        }
    }

    fn note_failure<T>(&mut self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| self.failure = Some(error.to_string()))
    }

    fn check_messages(&self, messages: &[RawMessage]) -> Result<()> {
        let mut previous = self.position.sequence;
        for RawMessage { sequence, .. } in messages {
            if *sequence <= previous {
                return Err(NodeError::SequenceNotAscending { previous, sequence: *sequence });
            }
            previous = *sequence;
        }
        let bytes: usize = messages.iter().map(|message| message.payload.len() + message.subject.len()).sum();
        let allowed = "at most 1 GiB in one call: pass fewer messages";
        require(bytes <= MAX_CHUNK_BYTES, "payload bytes", &bytes, allowed)
    }

    fn run_checked(&mut self, messages: &[RawMessage]) -> Result<Chunk> {
        self.capture_before_controls(messages)?;
        let mut journal = Journal::default();
        for message in messages {
            journal.push(message.sequence, message.stored_us);
            self.take(message)?;
        }
        if let Some(last) = messages.last() {
            let hash = message_hash(last.subject.as_bytes(), &last.payload);
            self.position = Position { sequence: last.sequence, time_us: last.stored_us, hash };
        }
        self.finish(&journal, messages)
    }

    fn take(&mut self, message: &RawMessage) -> Result<()> {
        self.work.counters.messages += 1;
        let subject = message.subject.as_str();
        if subject.starts_with(&self.subjects.raw) {
            self.take_raw(message);
        } else if subject == self.subjects.tick {
            self.take_tick(message);
        } else if let Some(kind) = subject.strip_prefix(&self.subjects.control) {
            return self.take_control(kind, message);
        } else {
            let detail = format!("no kind of message that partition '{}' knows", self.options.partition);
            self.work.refuse_message(message, "unknown_subject", detail);
        }
        Ok(())
    }

    fn take_raw(&mut self, message: &RawMessage) {
        self.work.counters.raw_messages += 1;
        if !self.admit(message) {
            return;
        }
        let Some(stream_time_us) = self.stream_time_us(message) else { return };
        match self.registry.place(&self.options.raw_prefix, &message.subject) {
            Ok(place) => self.decode(message, place, stream_time_us),
            Err(error) => self.work.refuse_message(message, error.reason(), error.to_string()),
        }
    }

    fn decode(&mut self, message: &RawMessage, place: Place, stream_time_us: i64) {
        let (registry, work) = (&mut self.registry, &mut self.work);
        let mut intake = Intake { registry, work, message, place, stream_time_us, payload_kept: false };
        let wire = Message { content_type: message.content_type.as_deref(), payload: &message.payload };
        self.decoder.decode(&wire, &mut intake);
    }

    /// Whether the message's source has not sent it before.
    fn admit(&mut self, message: &RawMessage) -> bool {
        let Some(text) = message.message_id.as_deref() else { return true };
        let counters = &mut self.work.counters;
        let Some(id) = MessageId::parse(text) else {
            counters.malformed_ids += 1;
            return true;
        };
        let admission = self.sources.admit(id, message.sequence);
        counters.source_duplicates += u64::from(admission == Admission::Duplicate);
        counters.sources_evicted += u64::from(admission == Admission::NewEvicting);
        admission != Admission::Duplicate
    }

    /// Stream time of a message; without one it becomes a dead letter.
    fn stream_time_us(&mut self, message: &RawMessage) -> Option<i64> {
        let time_us = if self.options.virtual_time { message.virtual_time_us } else { Some(message.stored_us) };
        if time_us.is_none() {
            let detail = "no header Iotpm-Time: streams of virtual time need it, microseconds, on every message";
            self.work.refuse_message(message, "missing_stream_time", detail.into());
        }
        time_us
    }

    fn take_tick(&mut self, message: &RawMessage) {
        if let Some(stream_time_us) = self.stream_time_us(message) {
            self.work.counters.ticks += 1;
            self.work.barrier(message.sequence, &BarrierKind::Tick { stream_time_us });
        }
    }

    fn take_control(&mut self, kind: &str, message: &RawMessage) -> Result<()> {
        match kind {
            "configuration" => match read_templates(&message.payload) {
                Ok((templates, configuration)) => self.configure(templates, configuration, message.sequence)?,
                Err(detail) => {
                    self.work.refuse_message(message, "invalid_configuration", detail);
                    return Ok(());
                }
            },
            "end" => self.work.barrier(message.sequence, &BarrierKind::End),
            "feedback" => match feedback::take(&message.payload, message.sequence, &mut self.labels) {
                Ok(row) => self.heed(row, message.sequence),
                Err(detail) => {
                    self.work.refuse_message(message, "invalid_feedback", detail);
                    return Ok(());
                }
            },
            _ => {
                let detail = format!("control '{kind}': must be configuration, feedback or end");
                self.work.refuse_message(message, "unknown_control", detail);
                return Ok(());
            }
        }
        self.work.counters.controls += 1;
        Ok(())
    }

    /// What came before runs first, so that its rows and events see the old units.
    fn configure(&mut self, templates: Templates, configuration: String, sequence: u64) -> Result<()> {
        self.run_shards()?;
        let templates = Arc::new(templates);
        self.registry.configure(Arc::clone(&templates));
        self.configuration = configuration;
        self.work.barrier(sequence, &BarrierKind::Configure(templates));
        Ok(())
    }

    fn heed(&mut self, row: feedback::FeedbackRow, sequence: u64) {
        self.work.feedback.push(row);
        self.work.barrier(sequence, &BarrierKind::Feedback(Arc::new(self.labels.clone())));
    }

    fn run_shards(&mut self) -> Result<()> {
        self.capture_before_new_signals()?;
        self.shards.run(&mut self.work.batches, &mut self.outputs)?;
        self.work.batches.iter_mut().for_each(Batch::clear);
        for output in &mut self.outputs {
            let log = |revision: AnomalyRevision| LoggedAnomaly {
                name: Arc::from(self.registry.name(revision.signal)),
                unit: self.registry.unit(revision.signal, revision.sequence),
                failure_mode: self.registry.failure_mode(&revision),
                contributors: self.registry.contributors(&revision),
                revision,
            };
            self.anomalies.extend(output.anomalies.drain(..).map(log));
        }
        Ok(())
    }

    /// The number of a signal, given a new one if the name is new.
    ///
    /// # Errors
    /// [`NodeError::InvalidSignalName`] unless it is `site/asset/signal`; [`NodeError::TooManySignals`].
    pub fn signal_id(&mut self, name: &str) -> Result<u32> {
        let (id, new) = self.registry.id_of_name(name, self.position.sequence + 1)?;
        if new {
            self.work.register(id, &self.registry);
            self.unannounced.push(id);
        }
        Ok(id.0)
    }

    /// Runs readings given as columns.
    ///
    /// # Errors
    /// [`NodeError::LengthMismatch`], [`NodeError::InvalidArgument`], [`NodeError::SequenceNotAscending`] and
    /// [`NodeError::Core`] for an unknown signal number before anything has run; else as [`Pipeline::run`].
    pub fn push(&mut self, rows: &Rows<'_>) -> Result<Chunk> {
        self.check_usable()?;
        rows.check(self.position.sequence)?;
        let after = self.own_sequence();
        rows.signals.iter().try_for_each(|id| self.check_known(*id))?;
        let mut journal = Journal::default();
        for reading in rows.readings(after) {
            self.tick_before(&reading);
            journal.push(reading.sequence, reading.stream_time_us);
            self.work.batches[self.registry.shard(reading.signal)].readings.push(reading);
            self.position = Position { sequence: reading.sequence, time_us: reading.stream_time_us, hash: 0 };
        }
        self.work.counters.messages += journal.len() as u64;
        self.work.counters.readings += rows.signals.len() as u64;
        let result = self.finish(&journal, &[]);
        self.note_failure(result)
    }

    /// Messages that have no sequence of their own come after whatever the snapshot knew.
    fn own_sequence(&self) -> u64 {
        self.position.sequence.max(self.known_through)
    }

    /// The ticks that stream time passes on its way to a reading; they have the sequence of its message.
    fn tick_before(&mut self, reading: &Reading) {
        let Some(every_us) = self.options.tick_every_us.filter(|_| self.position.sequence > 0) else { return };
        for stream_time_us in row_ticks::ticks(self.position.time_us, reading.stream_time_us, every_us) {
            self.work.counters.ticks += 1;
            self.work.barrier(reading.sequence, &BarrierKind::Tick { stream_time_us });
        }
    }

    /// Runs one waveform frame: samples in `unit` (default: the signal's), the first at `start_us`.
    ///
    /// # Errors
    /// [`NodeError::InvalidArgument`] for a rate, a number of samples or a unit that does not fit the signal's,
    /// [`NodeError::Core`] for an unknown number.
    pub fn push_waveform(
        &mut self,
        signal: u32,
        start_us: i64,
        rate_hz: f64,
        mut samples: Vec<f32>,
        stream_time_us: Option<i64>,
        unit: Option<&str>,
    ) -> Result<Chunk> {
        self.check_usable()?;
        self.check_known(signal)?;
        require(rate_hz.is_finite() && rate_hz > 0.0, "rate_hz", &rate_hz, "a positive number of hertz")?;
        let count = samples.len();
        require((1..=Limits::default().max_samples).contains(&count), "samples", &count, "between 1 and 1048576")?;
        let (signal, sequence) = (SignalId(signal), self.own_sequence() + 1);
        let unit = unit.filter(|unit| !unit.is_empty());
        let conversion = self.registry.conversion(signal, unit, sequence).map_err(|_| unit_mismatch(unit))?;
        self.work.convert(&mut samples, conversion);
        let stream_time_us = stream_time_us.unwrap_or(NO_STREAM_TIME);
        let scale = self.registry.sample_scale(signal, sequence);
        let frame = Waveform { signal, start_us, rate_hz, samples, scale, sequence, position: 0, stream_time_us };
        self.work.waveform(self.registry.shard(signal), frame);
        self.work.counters.messages += 1;
        self.position = Position { sequence, time_us: stream_time_us, hash: 0 };
        let mut journal = Journal::default();
        journal.push(sequence, stream_time_us);
        let result = self.finish(&journal, &[]);
        self.note_failure(result)
    }

    /// Stream time has advanced: signals that fell silent become idle.
    ///
    /// # Errors
    /// As [`Pipeline::run`].
    pub fn tick(&mut self, stream_time_us: i64) -> Result<Chunk> {
        self.run_own(self.subjects.tick.clone(), Bytes::new(), stream_time_us)
    }

    /// A control message: `configuration` with a JSON list of templates, `feedback`, or `end`. A wrong one is a dead letter.
    ///
    /// # Errors
    /// As [`Pipeline::run`].
    pub fn control(&mut self, kind: &str, payload: Bytes) -> Result<Chunk> {
        self.run_own(format!("{}{kind}", self.subjects.control), payload, self.position.time_us)
    }

    fn run_own(&mut self, subject: String, payload: Bytes, time_us: i64) -> Result<Chunk> {
        let mut message = RawMessage::new(subject, payload, self.own_sequence() + 1, time_us);
        message.virtual_time_us = Some(time_us);
        self.run(&[message])
    }

    /// Table of what is known about every signal, in id order; columns as in `docs/interfaces.md`.
    ///
    /// # Errors
    /// [`NodeError::Failed`] after an earlier failure, [`NodeError::ShardStopped`], [`NodeError::Table`].
    pub fn signal_stats(&self) -> Result<RecordBatch> {
        self.check_usable()?;
        tables::signal_stats(&self.shards.stats()?)
    }

    fn finish(&mut self, journal: &Journal, messages: &[RawMessage]) -> Result<Chunk> {
        self.run_shards()?;
        let mut output = merge(&mut self.outputs);
        let mut dead_letters = std::mem::take(&mut self.work.dead_letters);
        dead_letters.extend(output.rejected.iter().map(|rejected| self.rejected(rejected, journal, messages)));
        let mut counters = std::mem::take(&mut self.work.counters);
        counters.engine = output.counters;
        counters.dead_letters = dead_letters.len() as u64;
        if self.position.sequence > self.known_through {
            self.counters += counters;
        }
        let chunk = self.build(journal, &mut output, dead_letters, counters)?;
        self.note_captured_at();
        output.clear();
        self.outputs[0] = output;
        Ok(chunk)
    }

    fn build(
        &mut self,
        journal: &Journal,
        output: &mut Output,
        mut dead_letters: Vec<DeadLetter>,
        counters: PipelineCounters,
    ) -> Result<Chunk> {
        let announced = std::mem::take(&mut self.unannounced);
        let mut new_signals: Vec<_> =
            announced.into_iter().map(|id| self.registry.row(id, self.position.sequence)).collect();
        new_signals.append(&mut self.work.new_signals);
        let mut anomalies = std::mem::take(&mut self.anomalies);
        let mut feedback = std::mem::take(&mut self.work.feedback);
        let mut sources = self.sources.take_changed();
        let stored = self.options.discard_through.unwrap_or(0).max(self.known_through);
        if journal.first().is_some_and(|first| first <= stored) {
            discard(output, stored);
            new_signals.retain(|row| row.sequence > stored);
            anomalies.retain(|row| row.revision.sequence > stored);
            dead_letters.retain(|row| row.sequence > stored);
            feedback.retain(|row| row.sequence > stored);
            sources.retain(|row| row.sequence > stored);
        }
        tables::sort_anomalies(&mut anomalies);
        let outbox = self.number(&anomalies, journal)?;
        let tables = Tables {
            signals: tables::signals(&new_signals)?,
            readings: tables::readings(&output.readings, journal)?,
            late_readings: tables::late_readings(&output.late, journal)?,
            windows: tables::windows(&mut output.windows)?,
            vibration: tables::vibration(&mut output.vibration)?,
            waveforms: tables::waveforms(&mut output.waveforms)?,
            anomaly_log: tables::anomaly_log(&anomalies)?,
            outbox: tables::outbox(&outbox)?,
            dead_letters: tables::dead_letters(&mut dead_letters, journal)?,
            feedback: feedback::table(&feedback, journal)?,
            sources: tables::sources(&sources)?,
            scores: tables::scores(&output.scores, journal)?,
        };
        Ok(Chunk {
            first_seq: journal.first().unwrap_or(0),
            last_seq: self.position.sequence,
            last_time_us: self.position.time_us,
            last_hash: self.position.hash,
            messages: journal.len() as u64,
            readings_count: tables.readings.num_rows() as u64,
            tables,
            outbox,
            counters,
        })
    }

    fn number(&mut self, anomalies: &[LoggedAnomaly], journal: &Journal) -> Result<Vec<OutboxEvent>> {
        let events = anomalies.iter().zip(self.next_outbox_seq..).map(|(row, number)| self.event(row, number, journal));
        let events = events.collect::<Result<Vec<_>>>()?;
        self.next_outbox_seq += events.len() as u64;
        Ok(events)
    }

    fn event(&self, row: &LoggedAnomaly, outbox_seq: u64, journal: &Journal) -> Result<OutboxEvent> {
        let [site, asset, signal] = name::split_full_name(&row.name).unwrap_or_default();
        let about = event::Subject {
            source: self.options.source.as_str(),
            site: &site,
            asset: &asset,
            signal: &signal,
            name: &row.name,
            unit: row.unit.as_deref(),
            failure_mode: row.failure_mode.as_deref(),
            contributors: &row.contributors,
        };
        let payload = event::encode(&row.revision, &about);
        let failed = |error: serde_json::Error| NodeError::Table { table: "outbox", reason: error.to_string().into() };
        let seq = row.revision.sequence;
        Ok(OutboxEvent {
            outbox_seq,
            seq,
            subject: subject(&self.options.anomaly_prefix, &[&site, &asset]),
            payload: payload.map_err(failed)?.into(),
            cause_time_us: journal.stored_us(seq),
        })
    }

    fn rejected(&self, rejected: &Rejected, journal: &Journal, messages: &[RawMessage]) -> DeadLetter {
        let name = self.registry.name(rejected.signal);
        let value = Some(rejected.value).filter(|value| value.is_finite());
        let reading = serde_json::json!({"signal": name, "time_us": rejected.time_us, "value": value});
        let message = messages.get(journal.place(rejected.sequence));
        let detail = format!(
            "event time {} us is more than future_tolerance_s ahead of stream time {} us: set the sensor's clock",
            rejected.time_us, rejected.stream_time_us
        );
        DeadLetter {
            sequence: rejected.sequence,
            position: rejected.position,
            subject: message.map_or_else(|| self.raw_subject(name), |message| message.subject.clone()),
            reason: rejected.reason.name(),
            detail,
            payload: reading.to_string().into(),
        }
    }

    fn raw_subject(&self, full_name: &str) -> Subject {
        let parts = name::split_full_name(full_name).unwrap_or_default();
        subject(&self.options.raw_prefix, &[&parts[0], &parts[1], &parts[2]])
    }
}

fn unit_mismatch(unit: Option<&str>) -> NodeError {
    let allowed = "a UCUM unit that converts to the signal's: its template's, or the first one stated";
    NodeError::InvalidArgument { name: "unit", value: unit.unwrap_or_default().to_owned(), allowed }
}

fn subject(prefix: &str, parts: &[&str]) -> Subject {
    let mut subject = prefix.to_owned();
    for part in parts {
        subject.push('.');
        name::push_token(part, &mut subject);
    }
    subject.into()
}

fn read_templates(payload: &[u8]) -> std::result::Result<(Templates, String), String> {
    let list: Vec<Template> = serde_json::from_slice(payload).map_err(|error| format!("templates: {error}"))?;
    let templates = Templates::new(list).map_err(|error| error.to_string())?;
    Ok((templates, String::from_utf8_lossy(payload).into_owned()))
}

/// Everything in one output; the others are empty then, and keep their memory.
fn merge(outputs: &mut [Output]) -> Output {
    let mut all = std::mem::take(&mut outputs[0]);
    for output in &mut outputs[1..] {
        all.readings.append(&mut output.readings);
        all.late.append(&mut output.late);
        all.rejected.append(&mut output.rejected);
        all.scores.append(&mut output.scores);
        all.windows.append(&mut output.windows);
        all.vibration.append(&mut output.vibration);
        all.waveforms.append(&mut output.waveforms);
        all.counters += std::mem::take(&mut output.counters);
    }
    all
}

fn discard(output: &mut Output, stored: u64) {
    output.readings.retain(|row| row.sequence > stored);
    output.late.retain(|row| row.row.sequence > stored);
    output.scores.retain(|row| row.sequence > stored);
    output.windows.retain(|row| row.sequence > stored);
    output.vibration.retain(|row| row.sequence > stored);
    output.waveforms.retain(|row| row.sequence > stored);
}
