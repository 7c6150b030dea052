//! A message and its format.

/// What the broker delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The header `Content-Type`, if there is one.
    pub content_type: Option<&'a str>,
    /// The bytes.
    pub payload: &'a [u8],
}

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// A JSON reading or an array of them.
    Json,
    /// `InfluxDB` line protocol.
    LineProtocol,
    /// Arrow IPC stream.
    ArrowStream,
    /// Waveform frame.
    Waveform,
    /// None of them.
    Unknown,
}

/// Types by name; parameters after `;` do not count.
const CONTENT_TYPES: [(&str, Format); 5] = [
    ("application/json", Format::Json),
    ("text/x-influx-line", Format::LineProtocol),
    ("application/vnd.influx.line", Format::LineProtocol),
    ("application/vnd.apache.arrow.stream", Format::ArrowStream),
    ("application/vnd.iotpm.waveform", Format::Waveform),
];

/// Types that say nothing, so that the first bytes decide.
const SAY_NOTHING: [&str; 3] = ["", "application/octet-stream", "text/plain"];

/// How many bytes of an unlabelled payload are looked at to tell text from binary.
const SNIFF_BYTES: usize = 64;

/// The format of a message: by its `Content-Type` (case ignored), else by its first bytes.
///
/// A content type that is none of ours is [`Format::Unknown`] whatever the bytes look like; a missing one, an empty
/// one, `application/octet-stream` and `text/plain` leave it to the bytes.
#[must_use]
pub fn detect(message: &Message<'_>) -> Format {
    let name = message.content_type.map_or("", essence);
    if SAY_NOTHING.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return by_first_bytes(message.payload);
    }
    CONTENT_TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or(Format::Unknown, |found| found.1)
}

/// A content type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn by_first_bytes(payload: &[u8]) -> Format {
    match text(payload) {
        [b'{' | b'[', ..] => Format::Json,
        [0xFF, 0xFF, 0xFF, 0xFF, ..] => Format::ArrowStream,
        [b'I', b'P', b'M', b'W', version, ..] if !looks_like_text(&[*version]) => Format::Waveform,
        [] => Format::Unknown,
        start if looks_like_text(start) => Format::LineProtocol,
        _ => Format::Unknown,
    }
}

/// The payload of a text format without byte order mark and leading white space.
pub(crate) fn text(payload: &[u8]) -> &[u8] {
    payload.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(payload).trim_ascii_start()
}

/// No control characters but tab, line feed and carriage return near the start.
fn looks_like_text(payload: &[u8]) -> bool {
    let control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r');
    !payload.iter().take(SNIFF_BYTES).any(control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content_type: Option<&str>, payload: &[u8]) -> Format {
        detect(&Message { content_type, payload })
    }

    #[test]
    fn content_type_decides_before_the_bytes() {
        assert_eq!(of(Some("Application/JSON; charset=utf-8"), b"IPMW\x01"), Format::Json);
        assert_eq!(of(Some("application/vnd.influx.line"), b"{}"), Format::LineProtocol);
        assert_eq!(of(Some("text/csv"), b"{}"), Format::Unknown);
    }

    #[test]
    fn first_bytes_decide_when_nothing_else_does() {
        for silent in [None, Some(""), Some("text/plain"), Some("application/octet-stream")] {
            assert_eq!(of(silent, b" \n{}"), Format::Json);
            assert_eq!(of(silent, b"\xEF\xBB\xBF[]"), Format::Json);
            assert_eq!(of(silent, b"\xFF\xFF\xFF\xFF\x10"), Format::ArrowStream);
            assert_eq!(of(silent, b"IPMW\x01\x00"), Format::Waveform);
            assert_eq!(of(silent, b"IPMW,host=a value=1"), Format::LineProtocol);
            assert_eq!(of(silent, b"cpu value=1"), Format::LineProtocol);
            assert_eq!(of(silent, b"\x00\x01"), Format::Unknown);
            assert_eq!(of(silent, b""), Format::Unknown);
        }
    }
}
