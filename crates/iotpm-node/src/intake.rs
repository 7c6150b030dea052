//! From a decoded message to the shards' batches, or to a dead letter.

use std::sync::Arc;

use async_nats::Subject;
use bytes::Bytes;
use iotpm_codec::{CodecError, Decoded, DecodedWaveform, Sink, unit::Conversion};
use iotpm_core::{Barrier, BarrierKind, Batch, NewSignal, Reading, SignalId, Waveform};

use crate::{
    PipelineCounters, RawMessage,
    feedback::FeedbackRow,
    registry::{Place, Refusal, Registry, SignalRow},
    tables::DeadLetter,
};

/// What the messages of a chunk have come to so far.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// One a shard.
    pub batches: Vec<Batch>,
    pub new_signals: Vec<SignalRow>,
    pub dead_letters: Vec<DeadLetter>,
    pub feedback: Vec<FeedbackRow>,
    pub counters: PipelineCounters,
}

impl Work {
    /// An event that reaches every shard.
    pub fn barrier(&mut self, sequence: u64, kind: &BarrierKind) {
        for batch in &mut self.batches {
            let before = batch.readings.len();
            batch.barriers.push(Barrier { before, sequence, position: 0, kind: kind.clone() });
        }
    }

    pub fn waveform(&mut self, shard: usize, frame: Waveform) {
        let batch = &mut self.batches[shard];
        let (before, sequence, position) = (batch.readings.len(), frame.sequence, frame.position);
        batch.barriers.push(Barrier { before, sequence, position, kind: BarrierKind::Waveform(Arc::new(frame)) });
        self.counters.waveforms += 1;
    }

    /// Takes samples to the signal's unit.
    pub fn convert(&mut self, samples: &mut [f32], conversion: Conversion) {
        if !conversion.is_identity() {
            self.counters.unit_conversions += 1;
            samples.iter_mut().for_each(|sample| *sample = conversion.apply(f64::from(*sample)) as f32);
        }
    }

    pub fn register(&mut self, id: SignalId, registry: &Registry) {
        let name = Arc::from(registry.name(id));
        self.batches[registry.shard(id)].new_signals.push(NewSignal { id, name });
    }

    /// A message that cannot be used as a whole.
    pub fn refuse_message(&mut self, message: &RawMessage, reason: &'static str, detail: String) {
        self.refuse(message, 0, reason, detail, message.payload.clone());
    }

    fn refuse(&mut self, message: &RawMessage, position: u32, reason: &'static str, detail: String, payload: Bytes) {
        let subject: Subject = message.subject.clone();
        self.dead_letters.push(DeadLetter { sequence: message.sequence, position, subject, reason, detail, payload });
    }
}

/// Takes what the decoder finds in one message.
pub(crate) struct Intake<'a> {
    pub registry: &'a mut Registry,
    pub work: &'a mut Work,
    pub message: &'a RawMessage,
    pub place: Place,
    pub stream_time_us: i64,
    /// Whether a dead letter holds the payload already: it is kept once, however many readings are bad.
    pub payload_kept: bool,
}

impl Intake<'_> {
    fn signal(&mut self, reading: &Decoded<'_>) -> Result<SignalId, Refusal> {
        if let Some(id) = self.registry.find(&self.place, reading)? {
            return Ok(id);
        }
        let sequence = self.message.sequence;
        let id = self.registry.add(&self.place, reading.unit, sequence)?;
        self.work.register(id, self.registry);
        self.work.new_signals.push(self.registry.row(id, sequence));
        Ok(id)
    }

    fn take_reading(&mut self, position: u32, reading: &Decoded<'_>) -> Result<(), Refusal> {
        let signal = self.signal(reading)?;
        let conversion = self.registry.conversion(signal, reading.unit, self.message.sequence)?;
        self.work.counters.unit_conversions += u64::from(!conversion.is_identity());
        self.work.batches[self.registry.shard(signal)].readings.push(Reading {
            signal,
            time_us: reading.time_us.unwrap_or(self.stream_time_us),
            value: conversion.apply(reading.value),
            quality: reading.quality,
            sequence: self.message.sequence,
            position,
            stream_time_us: self.stream_time_us,
        });
        self.work.counters.readings += 1;
        Ok(())
    }

    fn take_waveform(&mut self, position: u32, frame: DecodedWaveform<'_>) -> Result<(), Refusal> {
        let named = Decoded { signal: frame.signal, unit: frame.unit, ..Decoded::default() };
        let signal = self.signal(&named)?;
        let conversion = self.registry.conversion(signal, frame.unit, self.message.sequence)?;
        let mut samples = frame.samples;
        self.work.convert(&mut samples, conversion);
        let frame = Waveform {
            signal,
            start_us: frame.start_us,
            rate_hz: frame.rate_hz,
            samples,
            scale: self.registry.sample_scale(signal, self.message.sequence),
            sequence: self.message.sequence,
            position,
            stream_time_us: self.stream_time_us,
        };
        self.work.waveform(self.registry.shard(signal), frame);
        Ok(())
    }

    fn refuse(&mut self, position: u32, refusal: &Refusal) {
        let (reason, detail) = match refusal {
            Refusal::Codec(error) => (error.reason(), error.to_string()),
            Refusal::TooManySignals { max } => {
                self.work.counters.too_many_signals += 1;
                ("too_many_signals", format!("the limit of {max} signals is reached: raise max_signals"))
            }
        };
        self.dead_letter(position, reason, detail);
    }

    fn dead_letter(&mut self, position: u32, reason: &'static str, detail: String) {
        let kept = std::mem::replace(&mut self.payload_kept, true);
        let payload = if kept { Bytes::new() } else { self.message.payload.clone() };
        self.work.refuse(self.message, position, reason, detail, payload);
    }
}

impl Sink for Intake<'_> {
    fn reading(&mut self, position: u32, reading: &Decoded<'_>) {
        if let Err(refusal) = self.take_reading(position, reading) {
            self.refuse(position, &refusal);
        }
    }

    fn waveform(&mut self, position: u32, frame: DecodedWaveform<'_>) {
        if let Err(refusal) = self.take_waveform(position, frame) {
            self.refuse(position, &refusal);
        }
    }

    fn reject(&mut self, position: u32, error: &CodecError) {
        self.dead_letter(position, error.reason(), error.to_string());
    }
}
