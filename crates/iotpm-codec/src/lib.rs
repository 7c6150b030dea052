//! Wire bytes to readings, one format a file, no I/O.
//!
//! ```text
//! Message (content type, payload) -> detect -> json | line_protocol | arrow | waveform -> Sink
//! ```
//!
//! A [`Decoder`] hands every reading to a [`Sink`] with its position in the message, and every refusal too: nothing is
//! dropped silently. One bad reading among many costs that reading only; a message that is broken as a whole gives
//! exactly one refusal, at position 0, and no reading. Everything is bounded by [`Limits`].
//!
//! ```
//! use iotpm_codec::{CodecError, Decoded, DecodedWaveform, Decoder, Limits, Message, Sink};
//!
//! #[derive(Default)]
//! struct Sum(f64, usize);
//! impl Sink for Sum {
//!     fn reading(&mut self, _position: u32, reading: &Decoded<'_>) { self.0 += reading.value; }
//!     fn waveform(&mut self, _position: u32, _frame: DecodedWaveform<'_>) {}
//!     fn reject(&mut self, _position: u32, _error: &CodecError) { self.1 += 1; }
//! }
//!
//! let mut sum = Sum::default();
//! let payload = br#"[{"metric":"t","value":1.5},{"metric":"t","value":"hot"}]"#;
//! Decoder::new(Limits::default()).decode(&Message { content_type: None, payload }, &mut sum);
//! assert_eq!((sum.0, sum.1), (1.5, 1));
//! ```
#![forbid(unsafe_code)]

pub mod arrow;
mod decoded;
mod decoder;
pub mod encode;
mod error;
pub mod json;
mod limits;
pub mod line_protocol;
mod message;
pub mod name;
pub mod quality;
pub mod timestamp;
pub mod unit;
pub mod waveform;

pub use decoded::{Decoded, DecodedWaveform, Sink};
pub use decoder::Decoder;
pub use error::{CodecError, Result};
pub use limits::Limits;
pub use message::{Format, Message, detect};
