//! Quality as sources state it: a word, or the quality byte of OPC DA (also used by OPC UA gateways and historians).

use iotpm_core::Quality;

use crate::{
    CodecError, Result,
    error::{excerpt, quoted},
};

/// Quality from a word, case ignored: good, uncertain, bad.
///
/// # Errors
/// [`CodecError::InvalidQuality`] for any other word.
pub fn from_word(word: &str) -> Result<Quality> {
    const WORDS: [(&str, Quality); 3] =
        [("good", Quality::Good), ("uncertain", Quality::Uncertain), ("bad", Quality::Bad)];
    let found = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
    found.map(|(_, quality)| *quality).ok_or_else(|| CodecError::InvalidQuality { value: quoted(word) })
}

/// Quality from an OPC DA quality byte: its two highest bits tell good (192-255), uncertain (64-127) and bad (0-63).
///
/// These are not the store's codes (0 good, 1 uncertain, 2 bad, ...).
///
/// # Errors
/// [`CodecError::InvalidQuality`] for 128-191, which OPC reserves, and for anything that is no byte.
pub fn from_opc(number: f64) -> Result<Quality> {
    match number {
        0.0..64.0 if number.fract() == 0.0 => Ok(Quality::Bad),
        64.0..128.0 if number.fract() == 0.0 => Ok(Quality::Uncertain),
        192.0..256.0 if number.fract() == 0.0 => Ok(Quality::Good),
        _ => Err(CodecError::InvalidQuality { value: excerpt(&number.to_string()) }),
    }
}

/// The word for a quality as a source would state it.
#[must_use]
pub fn word(quality: Quality) -> &'static str {
    match quality {
        Quality::Good => "good",
        Quality::Uncertain => "uncertain",
        Quality::Bad | Quality::NonFinite | Quality::OutOfRange => "bad",
    }
}

/// Stated quality of a value: whatever the source says, a value that is not finite cannot be good.
pub(crate) fn of_value(value: f64, stated: Quality) -> Quality {
    if value.is_finite() { stated } else { Quality::NonFinite }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opc_bytes_follow_their_two_highest_bits() {
        for byte in 0..=255_u8 {
            let expected = match byte >> 6 {
                0 => Some(Quality::Bad),
                1 => Some(Quality::Uncertain),
                3 => Some(Quality::Good),
                _ => None,
            };
            assert_eq!(from_opc(f64::from(byte)).ok(), expected, "{byte}");
        }
        for wrong in [-1.0, 256.0, 192.5, f64::NAN, f64::INFINITY] {
            assert_eq!(from_opc(wrong).unwrap_err().reason(), "invalid_quality");
        }
    }

    #[test]
    fn words_ignore_case_and_go_both_ways() {
        for quality in [Quality::Good, Quality::Uncertain, Quality::Bad] {
            assert_eq!(from_word(&word(quality).to_uppercase()), Ok(quality));
        }
        assert_eq!(from_word("fine").unwrap_err().reason(), "invalid_quality");
    }
}
