//! From a message to its decoder.

use crate::{
    CodecError, Format, Limits, Message, Result, Sink, arrow, detect, error::excerpt, json, line_protocol, waveform,
};

/// Decodes messages one after the other; keeps its scratch memory between them.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    json: json::Scratch,
}

impl Decoder {
    /// A decoder within `limits`; `max_depth` counts as [`Limits::MAX_DEPTH`] at most.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { max_depth: limits.max_depth.min(Limits::MAX_DEPTH), ..limits };
        Self { limits, json: json::Scratch::default() }
    }

    /// Hands every reading of the message, and every refusal, to `sink` in order of position.
    ///
    /// A message that is broken as a whole gives one refusal at position 0 and nothing else.
    pub fn decode(&mut self, message: &Message<'_>, sink: &mut impl Sink) {
        if let Err(error) = self.dispatch(message, sink) {
            sink.reject(0, &error);
        }
    }

    /// An error means that `sink` has been given nothing.
    fn dispatch(&mut self, message: &Message<'_>, sink: &mut impl Sink) -> Result<()> {
        let payload = self.bounded(message.payload)?;
        match detect(message) {
            Format::Json => json::decode(payload, &self.limits, &mut self.json, sink),
            Format::LineProtocol => line_protocol::decode(payload, &self.limits, sink),
            Format::Waveform => waveform::decode(payload, &self.limits, sink),
            Format::ArrowStream => arrow::decode(payload, &self.limits, sink),
            Format::Unknown => Err(unknown(message)),
        }
    }

    fn bounded<'a>(&self, payload: &'a [u8]) -> Result<&'a [u8]> {
        match payload.len() {
            0 => Err(CodecError::EmptyPayload),
            bytes if bytes > self.limits.max_payload_bytes => {
                Err(CodecError::PayloadTooLarge { bytes, max: self.limits.max_payload_bytes })
            }
            _ => Ok(payload),
        }
    }
}

fn unknown(message: &Message<'_>) -> CodecError {
    match message.content_type {
        Some(value) if !value.is_empty() => CodecError::UnknownContentType { value: excerpt(value) },
        _ => CodecError::UnknownFormat { first_bytes: hexadecimal(message.payload) },
    }
}

fn hexadecimal(payload: &[u8]) -> String {
    payload.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
