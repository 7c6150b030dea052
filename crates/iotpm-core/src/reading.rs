//! What a sensor says: one value, or one frame of a waveform.

use serde::{Deserialize, Serialize};

use crate::SampleScale;

/// Stands for "no stream time known": no future check and no idle closing (embedded use without `stream_times_us`).
pub const NO_STREAM_TIME: i64 = i64::MIN;

/// Number of a signal, local to one store; the name `site/asset/signal` is the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SignalId(pub u32);

/// Quality of a reading after OPC: good, uncertain or bad, a bad one with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum Quality {
    /// Usable.
    #[default]
    Good = 0,
    /// The source doubts it; stored and scored.
    Uncertain = 1,
    /// The source calls it bad; stored, never scored.
    Bad = 2,
    /// NaN, infinite or null; stored as null, never scored.
    NonFinite = 3,
    /// Outside the physical range of the template; stored, never scored.
    OutOfRange = 4,
}

impl Quality {
    /// Its name in tables and events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Uncertain => "uncertain",
            Self::Bad => "bad",
            Self::NonFinite => "non_finite",
            Self::OutOfRange => "out_of_range",
        }
    }

    /// Whether detectors and features may use the value.
    #[must_use]
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Good | Self::Uncertain)
    }
}

/// One value of one signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The signal it belongs to.
    pub signal: SignalId,
    /// Event time, microseconds since the epoch, UTC.
    pub time_us: i64,
    /// The value in the template's unit; non-finite values are allowed and become [`Quality::NonFinite`].
    pub value: f64,
    /// Quality as the source states it.
    pub quality: Quality,
    /// Stream sequence of the message that carried it.
    pub sequence: u64,
    /// Position within that message.
    pub position: u32,
    /// Stream time of that message in microseconds, or [`NO_STREAM_TIME`].
    pub stream_time_us: i64,
}

/// One frame of evenly sampled values; it is a window of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waveform {
    /// The signal it belongs to.
    pub signal: SignalId,
    /// Event time of the first sample, microseconds.
    pub start_us: i64,
    /// Sample rate in hertz, positive and finite.
    pub rate_hz: f64,
    /// Samples in the template's unit.
    pub samples: Vec<f32>,
    /// What one sample means.
    pub scale: SampleScale,
    /// Stream sequence of the message that carried it.
    pub sequence: u64,
    /// Position within that message.
    pub position: u32,
    /// Stream time of that message in microseconds, or [`NO_STREAM_TIME`].
    pub stream_time_us: i64,
}
