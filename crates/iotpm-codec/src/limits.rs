//! What a message may cost.

/// Bounds on one message; whatever exceeds them is refused before memory is spent on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest payload in bytes.
    pub max_payload_bytes: usize,
    /// Most readings (array elements, line protocol fields, Arrow rows) in one message.
    pub max_readings: usize,
    /// Deepest nesting of a JSON document; the array and the reading count as one each. At most [`Limits::MAX_DEPTH`].
    pub max_depth: usize,
    /// Longest identifier, unit, location or timestamp text in bytes of UTF-8.
    pub max_string_bytes: usize,
    /// Most samples in one waveform frame.
    pub max_samples: usize,
    /// Most columns in an Arrow stream, and most tags or fields in a line.
    pub max_columns: usize,
}

impl Limits {
    /// Deeper than this no limit may allow: the JSON parser itself stops at 128.
    pub const MAX_DEPTH: usize = 100;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload_bytes: 8 << 20,
            max_readings: 1 << 16,
            max_depth: 16,
            max_string_bytes: 256,
            max_samples: 1 << 20,
            max_columns: 256,
        }
    }
}
