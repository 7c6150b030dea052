//! What the tests share: a sink that keeps everything.
#![allow(dead_code, reason = "every test file uses its own part")]

use iotpm_codec::{CodecError, Decoded, DecodedWaveform, Decoder, Limits, Message, Sink};
use iotpm_core::Quality;

/// A reading that owns its texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub sensor_id: Option<String>,
    pub metric: Option<String>,
    pub signal: Option<String>,
    pub time_us: Option<i64>,
    pub value: f64,
    pub quality: Quality,
    pub unit: Option<String>,
    pub location: Option<String>,
}

impl Reading {
    pub fn of(reading: &Decoded<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            sensor_id: owned(reading.sensor_id),
            metric: owned(reading.metric),
            signal: owned(reading.signal),
            time_us: reading.time_us,
            value: reading.value,
            quality: reading.quality,
            unit: owned(reading.unit),
            location: owned(reading.location),
        }
    }

    pub fn view(&self) -> Decoded<'_> {
        Decoded {
            sensor_id: self.sensor_id.as_deref(),
            metric: self.metric.as_deref(),
            signal: self.signal.as_deref(),
            time_us: self.time_us,
            value: self.value,
            quality: self.quality,
            unit: self.unit.as_deref(),
            location: self.location.as_deref(),
        }
    }
}

/// A waveform frame that owns its texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Wave {
    pub signal: Option<String>,
    pub start_us: i64,
    pub rate_hz: f64,
    pub unit: Option<String>,
    pub samples: Vec<f32>,
}

/// Everything that a message gave, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Reading(Reading),
    Waveform(Wave),
    Reject(CodecError),
}

impl Event {
    pub fn reading(&self) -> &Reading {
        match self {
            Self::Reading(reading) => reading,
            other => panic!("no reading: {other:?}"),
        }
    }

    pub fn reason(&self) -> &'static str {
        match self {
            Self::Reject(error) => error.reason(),
            _ => "accepted",
        }
    }
}

/// Keeps what it is given and checks the promise about positions: from 0, without gap or repetition.
#[derive(Default)]
pub struct Recorder {
    pub events: Vec<Event>,
}

impl Recorder {
    fn push(&mut self, position: u32, event: Event) {
        assert_eq!(position as usize, self.events.len(), "positions are dense and in order");
        self.events.push(event);
    }
}

impl Sink for Recorder {
    fn reading(&mut self, position: u32, reading: &Decoded<'_>) {
        self.push(position, Event::Reading(Reading::of(reading)));
    }

    fn waveform(&mut self, position: u32, frame: DecodedWaveform<'_>) {
        let wave = Wave {
            signal: frame.signal.map(str::to_owned),
            start_us: frame.start_us,
            rate_hz: frame.rate_hz,
            unit: frame.unit.map(str::to_owned),
            samples: frame.samples,
        };
        self.push(position, Event::Waveform(wave));
    }

    fn reject(&mut self, position: u32, error: &CodecError) {
        self.push(position, Event::Reject(error.clone()));
    }
}

pub fn decode_with(limits: Limits, content_type: Option<&str>, payload: &[u8]) -> Vec<Event> {
    let mut recorder = Recorder::default();
    Decoder::new(limits).decode(&Message { content_type, payload }, &mut recorder);
    recorder.events
}

pub fn decode(payload: &[u8]) -> Vec<Event> {
    decode_with(Limits::default(), None, payload)
}

/// The reason of every position; "accepted" for what was not refused.
pub fn reasons(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::reason).collect()
}

/// The only reading of a message.
pub fn single(payload: &[u8]) -> Reading {
    let events = decode(payload);
    assert_eq!(events.len(), 1, "{events:?}");
    events[0].reading().clone()
}
