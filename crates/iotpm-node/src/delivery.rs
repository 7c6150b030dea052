//! What a consumer says about a message, read from its reply subject.

/// Position of a message in stream and consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// Stream sequence.
    pub stream_seq: u64,
    /// Consumer sequence: 1, 2, ... without gaps unless something was lost on the way.
    pub consumer_seq: u64,
    /// When the broker stored it, nanoseconds since the epoch.
    pub stored_ns: i64,
    /// Messages of the stream that the consumer has not delivered yet.
    pub pending: u64,
}

/// Tokens before the numbers: `$JS.ACK.<stream>.<consumer>`, or with `<domain>.<account>` in between.
const TOKENS_SHORT: usize = 9;
const TOKENS_LONG: usize = 11;
/// Digits that any u64 can hold.
const DIGITS_SAFE: usize = 19;

impl Delivery {
    /// Whether it is the next one of its consumer and new to the stream's reader.
    pub fn continues(&self, consumer_seq: u64, accepted: u64) -> bool {
        self.consumer_seq == consumer_seq + 1 && self.stream_seq > accepted
    }

    /// Reads `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<ns>.<pending>`,
    /// the longer form with further tokens behind (NATS ADR-15). Every message passes here.
    pub fn parse(reply: &str) -> Option<Self> {
        let mut rest = reply.as_bytes().strip_prefix(b"$JS.ACK.").and_then(skip_names)?;
        let mut number = || next_number(&mut rest);
        let _times_delivered = number()?;
        let (stream_seq, consumer_seq) = (number()?, number()?);
        Some(Self { stream_seq, consumer_seq, stored_ns: i64::try_from(number()?).ok()?, pending: number()? })
    }
}

/// What follows the names of stream and consumer.
#[allow(clippy::naive_bytecount, reason = "ninety bytes; no crate for that")]
fn skip_names(mut rest: &[u8]) -> Option<&[u8]> {
    let tokens = 3 + rest.iter().filter(|byte| **byte == b'.').count();
    let names = match tokens {
        TOKENS_SHORT => 2,
        TOKENS_LONG.. => 4,
        _ => return None,
    };
    for _ in 0..names {
        let dot = rest.iter().position(|byte| *byte == b'.')?;
        rest = &rest[dot + 1..];
    }
    Some(rest)
}

/// Takes the decimal number up to the next dot or the end, and the dot.
fn next_number(rest: &mut &[u8]) -> Option<u64> {
    let (mut value, mut digits) = (0_u64, 0);
    while let Some(digit) = rest.get(digits).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        // Cannot overflow up to DIGITS_SAFE digits; longer numbers are read again below.
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        digits += 1;
    }
    let (number, behind) = rest.split_at(digits);
    *rest = match behind {
        [b'.', behind @ ..] => behind,
        [] => behind,
        _ => return None,
    };
    match digits {
        0 => None,
        1..=DIGITS_SAFE => Some(value),
        _ => std::str::from_utf8(number).ok()?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_forms_are_read(stream_seq: u64, consumer_seq: u64, stored_ns in 0..i64::MAX, pending: u64) {
            let expected = Delivery { stream_seq, consumer_seq, stored_ns, pending };
            let numbers = format!("1.{stream_seq}.{consumer_seq}.{stored_ns}.{pending}");
            prop_assert_eq!(Delivery::parse(&format!("$JS.ACK.RAW_0.reader.{numbers}")), Some(expected));
            prop_assert_eq!(Delivery::parse(&format!("$JS.ACK._.ACC.RAW_0.reader.{numbers}.r4nd0m")), Some(expected));
        }

        #[test]
        fn anything_else_is_refused_without_a_panic(text in "(\\$JS\\.ACK\\.)?[a-z0-9.]{0,60}") {
            let _ = Delivery::parse(&text);
        }
    }

    #[test]
    fn only_the_next_consumer_sequence_continues() {
        let at = |stream_seq, consumer_seq| Delivery { stream_seq, consumer_seq, stored_ns: 0, pending: 0 };
        assert!(at(8, 3).continues(2, 7));
        assert!(at(12, 3).continues(2, 7), "sequences of the stream may jump");
        assert!(!at(9, 4).continues(2, 7), "a message was lost on the way");
        assert!(!at(8, 2).continues(2, 7), "it came twice");
        assert!(!at(7, 3).continues(2, 7), "it was read before");
    }

    #[test]
    fn numbers_beyond_64_bits_and_missing_ones_are_refused() {
        assert_eq!(Delivery::parse("$JS.ACK.S.C.1.99999999999999999999999.1.1.1"), None);
        assert_eq!(Delivery::parse("$JS.ACK.S.C.1..1.1.1"), None);
        assert_eq!(Delivery::parse("$JS.ACK.S.C.1.1.1.1"), None);
        assert_eq!(Delivery::parse("_INBOX.x"), None);
    }
}
