//! What comes out of a message.

use iotpm_core::Quality;

use crate::CodecError;

/// One reading as the wire has it: names not yet joined, unit not yet converted. Texts borrow from the message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decoded<'a> {
    /// Who measured; absent or empty on the wire is `None`.
    pub sensor_id: Option<&'a str>,
    /// What was measured.
    pub metric: Option<&'a str>,
    /// The signal's own name where the format has one (Arrow column `signal`).
    pub signal: Option<&'a str>,
    /// Event time in microseconds UTC; `None` means the stream time of the message.
    pub time_us: Option<i64>,
    /// The value in `unit`; NaN for null and for the texts "NaN" and "Infinity".
    pub value: f64,
    /// Quality as the source states it; [`Quality::NonFinite`] whenever `value` is not finite.
    pub quality: Quality,
    /// Unit in UCUM or a known alias ([`crate::unit`]); `None` means the template's.
    pub unit: Option<&'a str>,
    /// Where, free text.
    pub location: Option<&'a str>,
}

impl Default for Decoded<'_> {
    fn default() -> Self {
        Self {
            sensor_id: None,
            metric: None,
            signal: None,
            time_us: None,
            value: f64::NAN,
            quality: Quality::NonFinite,
            unit: None,
            location: None,
        }
    }
}

/// One frame of evenly sampled values.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedWaveform<'a> {
    /// The signal's name; `None` means the subject names it.
    pub signal: Option<&'a str>,
    /// Event time of the first sample, microseconds UTC.
    pub start_us: i64,
    /// Sample rate in hertz, positive and finite.
    pub rate_hz: f64,
    /// Unit of the samples; `None` means the template's.
    pub unit: Option<&'a str>,
    /// Factor from the stored number to `unit`, already applied to `samples`.
    pub scale: f64,
    /// Offset after the factor, already applied to `samples`.
    pub offset: f64,
    /// Samples in `unit`; not empty. Non-finite `f32` samples are handed on as they are.
    pub samples: Vec<f32>,
}

/// Receives what a message holds, in order of position.
///
/// A position counts array elements, Arrow rows or line protocol fields from 0; it never repeats within a message.
pub trait Sink {
    /// One reading.
    fn reading(&mut self, position: u32, reading: &Decoded<'_>);
    /// One waveform frame.
    fn waveform(&mut self, position: u32, frame: DecodedWaveform<'_>);
    /// What cannot be used, and why.
    fn reject(&mut self, position: u32, error: &CodecError);
}
