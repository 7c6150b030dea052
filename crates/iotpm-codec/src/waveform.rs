//! Waveform frames: evenly sampled values of one signal, one window of its own.
//!
//! Layout, little-endian, version 1:
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | 4 bytes | magic `IPMW` |
//! | 4 | u8 | version, 1 |
//! | 5 | u8 | encoding of a sample: 0 = f32, 1 = i16 |
//! | 6 | u16 | flags, 0 (others are refused) |
//! | 8 | i64 | start: time of the first sample, microseconds UTC since 1970 |
//! | 16 | f64 | sample rate in hertz, finite and above 0 |
//! | 24 | f64 | scale, finite and not 0 |
//! | 32 | f64 | offset, finite |
//! | 40 | u32 | number of samples, above 0 |
//! | 44 | u16 | bytes of the signal's name |
//! | 46 | u16 | bytes of the unit |
//! | 48 | UTF-8 | signal's name (none: the subject names it), then unit (none: the template's) |
//! | | zeros | up to the next multiple of 4 |
//! | | samples | f32 or i16 each, to the end of the frame |
//!
//! Value in `unit` = sample * scale + offset, computed in f64 and rounded once to f32.

use crate::{CodecError, DecodedWaveform, Limits, Result, Sink, error::excerpt, timestamp};

/// What a frame begins with.
pub const MAGIC: [u8; 4] = *b"IPMW";
/// The only version so far.
pub const VERSION: u8 = 1;
/// Bytes before the texts.
pub const HEADER_BYTES: usize = 48;

/// Samples as a frame stores them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Samples<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 16-bit integers, as analogue-digital converters give them.
    I16(&'a [i16]),
}

impl Samples<'_> {
    fn encoding(&self) -> u8 {
        match self {
            Self::F32(_) => 0,
            Self::I16(_) => 1,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::F32(samples) => samples.len(),
            Self::I16(samples) => samples.len(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::F32(samples) => out.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
            Self::I16(samples) => out.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
        }
    }
}

/// What a producer puts into a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame<'a> {
    /// The signal's name; empty if the subject names it.
    pub signal: &'a str,
    /// Time of the first sample, microseconds UTC.
    pub start_us: i64,
    /// Sample rate in hertz.
    pub rate_hz: f64,
    /// Unit; empty for the template's.
    pub unit: &'a str,
    /// Factor from stored sample to `unit`.
    pub scale: f64,
    /// Offset after the factor.
    pub offset: f64,
    /// The samples.
    pub samples: Samples<'a>,
}

/// The bytes of a frame.
///
/// # Errors
/// What [`Decoder`](crate::Decoder) would refuse within `limits`.
pub fn encode(frame: &Frame<'_>, limits: &Limits) -> Result<Vec<u8>> {
    let count = u32::try_from(frame.samples.len()).unwrap_or(u32::MAX);
    let header = Header {
        encoding: frame.samples.encoding(),
        start_us: frame.start_us,
        rate_hz: frame.rate_hz,
        scale: frame.scale,
        offset: frame.offset,
        count,
        signal_bytes: text_bytes("signal", frame.signal, limits)?,
        unit_bytes: text_bytes("unit", frame.unit, limits)?,
    };
    header.check(limits)?;
    let mut out = Vec::with_capacity(header.samples_at() + header.samples_bytes());
    header.write(&mut out);
    out.extend_from_slice(frame.signal.as_bytes());
    out.extend_from_slice(frame.unit.as_bytes());
    out.resize(header.samples_at(), 0);
    frame.samples.write(&mut out);
    Ok(out)
}

fn text_bytes(field: &'static str, text: &str, limits: &Limits) -> Result<u16> {
    let (bytes, max) = (text.len(), limits.max_string_bytes.min(usize::from(u16::MAX)));
    if bytes <= max { Ok(bytes as u16) } else { Err(CodecError::StringTooLong { field, bytes, max }) }
}

/// Hands the frame to `sink`.
///
/// # Errors
/// When the frame is not as the layout says; `sink` has then been given nothing.
pub(crate) fn decode(payload: &[u8], limits: &Limits, sink: &mut impl Sink) -> Result<()> {
    let header = Header::read(payload)?;
    header.check(limits)?;
    let expected = header.samples_at() + header.samples_bytes();
    if payload.len() != expected {
        return Err(invalid(format!("{} bytes, but its header says {expected}", payload.len())));
    }
    let (texts, samples) = payload[HEADER_BYTES..].split_at(header.samples_at() - HEADER_BYTES);
    let (signal, rest) = texts.split_at(usize::from(header.signal_bytes));
    sink.waveform(
        0,
        DecodedWaveform {
            signal: text("signal", signal)?,
            start_us: header.start_us,
            rate_hz: header.rate_hz,
            unit: text("unit", &rest[..usize::from(header.unit_bytes)])?,
            scale: header.scale,
            offset: header.offset,
            samples: header.scaled(samples),
        },
    );
    Ok(())
}

/// An absent text is `None`.
fn text<'a>(field: &str, bytes: &'a [u8]) -> Result<Option<&'a str>> {
    let text = std::str::from_utf8(bytes).map_err(|error| invalid(format!("{field}: {error}")))?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn invalid(detail: impl AsRef<str>) -> CodecError {
    CodecError::InvalidWaveform { detail: excerpt(detail.as_ref()) }
}

/// The fixed part of a frame after magic, version and flags.
#[derive(Clone, Copy, Debug)]
struct Header {
    encoding: u8,
    start_us: i64,
    rate_hz: f64,
    scale: f64,
    offset: f64,
    count: u32,
    signal_bytes: u16,
    unit_bytes: u16,
}

impl Header {
    fn read(payload: &[u8]) -> Result<Self> {
        let header: &[u8; HEADER_BYTES] =
            payload.first_chunk().ok_or_else(|| invalid(format!("{} bytes, shorter than a header", payload.len())))?;
        match header {
            _ if header[..4] != MAGIC => Err(invalid("it does not begin with IPMW")),
            _ if header[4] != VERSION => Err(invalid(format!("version {}, only {VERSION} is known", header[4]))),
            _ if header[6..8] != [0, 0] => Err(invalid("flags are not 0")),
            _ => Ok(Self::fields(header)),
        }
    }

    fn fields(header: &[u8; HEADER_BYTES]) -> Self {
        Self {
            encoding: header[5],
            start_us: i64::from_le_bytes(bytes_at(header, 8)),
            rate_hz: f64::from_le_bytes(bytes_at(header, 16)),
            scale: f64::from_le_bytes(bytes_at(header, 24)),
            offset: f64::from_le_bytes(bytes_at(header, 32)),
            count: u32::from_le_bytes(bytes_at(header, 40)),
            signal_bytes: u16::from_le_bytes(bytes_at(header, 44)),
            unit_bytes: u16::from_le_bytes(bytes_at(header, 46)),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION, self.encoding, 0, 0]);
        out.extend_from_slice(&self.start_us.to_le_bytes());
        for number in [self.rate_hz, self.scale, self.offset] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.signal_bytes.to_le_bytes());
        out.extend_from_slice(&self.unit_bytes.to_le_bytes());
    }

    fn check(&self, limits: &Limits) -> Result<()> {
        self.check_numbers()?;
        timestamp::checked(self.start_us)?;
        self.check_sizes(limits)
    }

    fn check_numbers(&self) -> Result<()> {
        match self {
            _ if self.encoding > 1 => Err(invalid(format!("encoding {}, must be 0 or 1", self.encoding))),
            _ if !(self.rate_hz.is_finite() && self.rate_hz > 0.0) => {
                Err(invalid(format!("rate_hz = {}, must be above 0", self.rate_hz)))
            }
            _ if !self.scale.is_finite() || self.scale == 0.0 => {
                Err(invalid(format!("scale = {}, must be finite and not 0", self.scale)))
            }
            _ if !self.offset.is_finite() => Err(invalid(format!("offset = {}, must be finite", self.offset))),
            _ => Ok(()),
        }
    }

    fn check_sizes(&self, limits: &Limits) -> Result<()> {
        let max = limits.max_string_bytes;
        for (field, bytes) in [("signal", self.signal_bytes), ("unit", self.unit_bytes)] {
            if usize::from(bytes) > max {
                return Err(CodecError::StringTooLong { field, bytes: usize::from(bytes), max });
            }
        }
        match self.count as usize {
            0 => Err(invalid("no samples")),
            count if count > limits.max_samples => Err(CodecError::TooManySamples { count, max: limits.max_samples }),
            _ => Ok(()),
        }
    }

    fn samples_at(&self) -> usize {
        (HEADER_BYTES + usize::from(self.signal_bytes) + usize::from(self.unit_bytes)).next_multiple_of(4)
    }

    fn samples_bytes(&self) -> usize {
        self.count as usize * if self.encoding == 0 { 4 } else { 2 }
    }

    fn scaled(&self, samples: &[u8]) -> Vec<f32> {
        let plain = self.scale == 1.0 && self.offset == 0.0;
        let scaled = |sample: f64| (sample * self.scale + self.offset) as f32;
        match self.encoding {
            0 if plain => samples.as_chunks().0.iter().map(|sample| f32::from_le_bytes(*sample)).collect(),
            0 => samples.as_chunks().0.iter().map(|sample| scaled(f32::from_le_bytes(*sample).into())).collect(),
            _ => samples.as_chunks().0.iter().map(|sample| scaled(i16::from_le_bytes(*sample).into())).collect(),
        }
    }
}

/// `N` bytes of a header; every `at` above is a constant within it.
fn bytes_at<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|index| header[at + index])
}
