//! One error type for the crate.

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, CodecError>;

/// Longest excerpt of a value in an error, in characters: errors are stored and must stay small.
const EXCERPT_CHARS: usize = 64;

/// What this crate refuses, always naming the thing, the value and the way out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// Nothing in the message.
    #[error("no reading in the message: send at least one")]
    EmptyPayload,
    /// More bytes than allowed.
    #[error("payload has {bytes} bytes: at most {max} are allowed; split it into several messages")]
    PayloadTooLarge {
        /// Bytes received.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A content type that is none of ours.
    #[error(
        "Content-Type = '{value}': must be application/json, text/x-influx-line, application/vnd.apache.arrow.stream \
         or application/vnd.iotpm.waveform, or be left out"
    )]
    UnknownContentType {
        /// The type given.
        value: String,
    },
    /// Bytes that begin like none of the formats.
    #[error("payload begins with {first_bytes}: no known format begins so; set the header Content-Type")]
    UnknownFormat {
        /// The first bytes in hexadecimal.
        first_bytes: String,
    },
    /// Not JSON.
    #[error("JSON: {detail}; send {{\"sensor_id\", \"timestamp\", \"metric\", \"value\"}} or an array of them (UTF-8)")]
    InvalidJson {
        /// What the parser says, with line and column.
        detail: String,
    },
    /// A number that no 64-bit float can hold.
    #[error("number out of range ({detail}): must fit a 64-bit float; send null for a failed measurement")]
    NumberOutOfRange {
        /// The number, or where it is.
        detail: String,
    },
    /// A line that is not line protocol.
    #[error("line {line}: {detail}; send measurement[,tag=value] field=value [timestamp in ns]")]
    InvalidLine {
        /// Line of the payload, from 1.
        line: usize,
        /// What is wrong with it.
        detail: String,
    },
    /// Not an Arrow IPC stream, or one that is not supported.
    #[error("Arrow IPC stream: {detail}; send uncompressed columns 'timestamp', 'value' and optionally texts")]
    InvalidArrow {
        /// What is wrong with it.
        detail: String,
    },
    /// A column that must be there.
    #[error("no column '{column}': send it")]
    MissingColumn {
        /// Its name.
        column: &'static str,
    },
    /// Not a waveform frame.
    #[error("waveform frame: {detail}; see the layout of version 1")]
    InvalidWaveform {
        /// What is wrong with it.
        detail: String,
    },
    /// More samples than allowed in one frame.
    #[error("waveform frame has {count} samples: at most {max} are allowed; split it into several frames")]
    TooManySamples {
        /// Samples declared.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// A unit that is neither UCUM nor a known alias.
    #[error("unit '{unit}': {detail}; write it in UCUM, for example Cel, bar, mm/s, [g]")]
    UnknownUnit {
        /// The unit given.
        unit: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Units between which no linear conversion exists.
    #[error("unit '{from}' cannot be converted to '{to}': send '{to}', or change the template's unit")]
    IncommensurableUnits {
        /// The unit given.
        from: String,
        /// The unit wanted.
        to: String,
    },
    /// A subject that names no site and asset.
    #[error("subject '{subject}': {detail}; must be {prefix}.<site>.<asset>[.<signal>], percent-encoded")]
    InvalidSubject {
        /// The subject.
        subject: String,
        /// The prefix expected.
        prefix: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Neither subject nor reading names the signal.
    #[error("a reading of asset '{asset}' has no signal: put it into the subject, or send metric or sensor_id")]
    NoSignalName {
        /// The asset.
        asset: String,
    },
    /// A key twice in one object.
    #[error("key '{key}' is there twice: send it once")]
    DuplicateKey {
        /// The key.
        key: &'static str,
    },
    /// An element that is no JSON object.
    #[error("a reading is {found}: must be an object with at least \"value\"")]
    NotAReading {
        /// What it is instead.
        found: &'static str,
    },
    /// Nested too deeply.
    #[error("nested deeper than {max} levels: flatten it")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// More readings than allowed in one message.
    #[error("more than {max} readings in one message: split it into several messages")]
    TooManyReadings {
        /// The limit.
        max: usize,
    },
    /// A text longer than allowed.
    #[error("{field} has {bytes} bytes: at most {max} are allowed; shorten it")]
    StringTooLong {
        /// Which text.
        field: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// No value.
    #[error("no value: send a number, or null for a failed measurement")]
    MissingValue,
    /// A value that is no number.
    #[error("value of '{field}' = {value}: must be a number, null, \"NaN\" or \"Infinity\"")]
    NotNumeric {
        /// Which field.
        field: String,
        /// The value given.
        value: String,
    },
    /// A field of another type than it must have.
    #[error("{field} is {found}: must be {expected}")]
    WrongType {
        /// Which field.
        field: &'static str,
        /// Its type.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A quality that is neither a word nor an OPC number.
    #[error(
        "quality = {value}: must be good, uncertain or bad, or an OPC number \
         (0-63 bad, 64-127 uncertain, 192-255 good)"
    )]
    InvalidQuality {
        /// The quality given.
        value: String,
    },
    /// A timestamp that cannot be read.
    #[error("timestamp = {value}: must be RFC 3339 with an offset (2026-01-31T12:00:00Z) or an epoch number")]
    InvalidTimestamp {
        /// The timestamp given.
        value: String,
    },
    /// A timestamp outside the years 1 to 9999.
    #[error("timestamp = {value}: must lie in the years 1 to 9999; check its unit (s, ms, us, ns by magnitude)")]
    TimestampOutOfRange {
        /// The timestamp given.
        value: String,
    },
}

impl CodecError {
    /// The reason as stored with the dead letter; stable.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::EmptyPayload => "empty_payload",
            Self::PayloadTooLarge { .. } => "payload_too_large",
            Self::UnknownContentType { .. } => "unknown_content_type",
            Self::UnknownFormat { .. } => "unknown_format",
            Self::InvalidJson { .. } => "invalid_json",
            Self::NumberOutOfRange { .. } => "number_out_of_range",
            Self::InvalidLine { .. } => "invalid_line_protocol",
            Self::InvalidArrow { .. } => "invalid_arrow",
            Self::MissingColumn { .. } => "missing_column",
            Self::InvalidWaveform { .. } => "invalid_waveform",
            Self::TooManySamples { .. } => "too_many_samples",
            Self::UnknownUnit { .. } => "unknown_unit",
            Self::IncommensurableUnits { .. } => "incommensurable_units",
            Self::InvalidSubject { .. } => "invalid_subject",
            Self::NoSignalName { .. } => "no_signal_name",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::NotAReading { .. } => "not_a_reading",
            Self::TooDeep { .. } => "too_deep",
            Self::TooManyReadings { .. } => "too_many_readings",
            Self::StringTooLong { .. } => "string_too_long",
            Self::MissingValue => "missing_value",
            Self::NotNumeric { .. } => "not_numeric",
            Self::WrongType { .. } => "wrong_type",
            Self::InvalidQuality { .. } => "invalid_quality",
            Self::InvalidTimestamp { .. } => "invalid_timestamp",
            Self::TimestampOutOfRange { .. } => "timestamp_out_of_range",
        }
    }
}

/// The start of a value for an error message.
pub(crate) fn excerpt(value: &str) -> String {
    match value.char_indices().nth(EXCERPT_CHARS) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value.to_owned(),
    }
}

/// An excerpt in quotation marks.
pub(crate) fn quoted(value: &str) -> String {
    format!("{:?}", excerpt(value))
}
