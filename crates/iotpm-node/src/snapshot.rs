//! Snapshots: the state between two chunks, versioned, compressed, checksummed, the same for any number of shards.
//!
//! ```text
//! "IOTPMSNP" | format u32 | version of the writer (u8 length, text) | sequence u64
//!            | plain length u64 | packed length u64 | XXH3 of everything before and after it u64 | zstd(postcard(body))
//! ```
//! Numbers are little-endian.

use iotpm_core::{Labels, SignalSnapshot};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::{NodeError, error::Result, registry::SavedSignal, sources::HighWater};

const MAGIC: &[u8; 8] = b"IOTPMSNP";

/// Changes whenever the body does.
const FORMAT: u32 = 5;

/// Fast, and states of floats hardly shrink further.
const ZSTD_LEVEL: i32 = 1;

/// Largest plain body that is read, bytes.
const MAX_PLAIN_BYTES: u64 = 64 << 30;

/// State captured between two chunks; encode it wherever there is time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CapturedState {
    pub(crate) sequence: u64,
    pub(crate) last_time_us: i64,
    pub(crate) last_hash: u64,
    pub(crate) next_outbox_seq: u64,
    /// The templates in force, as JSON: so that a later version checks them as it would a configuration.
    pub(crate) configuration: String,
    /// What operators said and did not withdraw.
    pub(crate) labels: Labels,
    pub(crate) signals: Vec<SavedSignal>,
    /// Signals that no chunk has announced yet.
    pub(crate) unannounced: Vec<u32>,
    pub(crate) sources: Vec<HighWater>,
    pub(crate) counters: Vec<(String, u64)>,
    pub(crate) states: Vec<SignalSnapshot>,
}

impl CapturedState {
    /// Sequence of the last message that is part of it.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The snapshot as bytes.
    ///
    /// # Errors
    /// [`NodeError::InvalidSnapshot`] if the state cannot be written.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let plain = postcard::to_stdvec(self).map_err(|error| invalid(&format!("cannot be written: {error}")))?;
        let packed = zstd::bulk::compress(&plain, ZSTD_LEVEL);
        let packed = packed.map_err(|error| invalid(&format!("cannot be compressed: {error}")))?;
        let mut bytes = header(self.sequence, plain.len() as u64, packed.len() as u64);
        let checksum = checksum(&bytes, &packed);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.extend_from_slice(&packed);
        Ok(bytes)
    }

    /// The state in a snapshot.
    ///
    /// # Errors
    /// [`NodeError::InvalidSnapshot`] for anything but the bytes that [`CapturedState::encode`] wrote, by this format.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let (plain_bytes, packed_bytes) = reader.header()?;
        let head = &bytes[..reader.at];
        let stated = reader.u64()?;
        let packed = &bytes[reader.at..];
        if packed.len() as u64 != packed_bytes {
            return Err(invalid(&format!("holds {} bytes of state instead of {packed_bytes}", packed.len())));
        }
        if checksum(head, packed) != stated || plain_bytes > MAX_PLAIN_BYTES {
            return Err(invalid("its checksum does not match: it is damaged"));
        }
        let plain = zstd::bulk::decompress(packed, plain_bytes as usize);
        let plain = plain.map_err(|error| invalid(&format!("cannot be decompressed: {error}")))?;
        postcard::from_bytes(&plain).map_err(|error| invalid(&format!("cannot be read: {error}")))
    }
}

fn header(sequence: u64, plain_bytes: u64, packed_bytes: u64) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.push(version.len() as u8);
    bytes.extend_from_slice(version.as_bytes());
    for number in [sequence, plain_bytes, packed_bytes] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes
}

fn checksum(head: &[u8], packed: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(head);
    hash.update(packed);
    hash.digest()
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Lengths of the plain and the packed body.
    fn header(&mut self) -> Result<(u64, u64)> {
        if self.take(8)? != MAGIC {
            return Err(invalid("is none: it does not begin with IOTPMSNP"));
        }
        let format = self.take(4)?.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let length = usize::from(self.take(1)?[0]);
        let version = String::from_utf8_lossy(self.take(length)?);
        if format != FORMAT {
            return Err(invalid(&format!(
                "has format {format}, written by version {version}: this one reads {FORMAT}"
            )));
        }
        let _sequence = self.u64()?;
        Ok((self.u64()?, self.u64()?))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at + count).ok_or_else(|| invalid("is cut off"))?;
        self.at += count;
        Ok(taken)
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(self.take(8)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

fn invalid(reason: &str) -> NodeError {
    NodeError::InvalidSnapshot { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use iotpm_core::SignalId;
    use proptest::prelude::*;

    use super::*;

    fn small() -> CapturedState {
        CapturedState {
            sequence: 77,
            last_time_us: 1_700_000_000_000_000,
            last_hash: 42,
            next_outbox_seq: 3,
            configuration: "[]".into(),
            labels: Labels::default(),
            signals: vec![SavedSignal { name: "s/a/t".into(), stated_unit: Some(("Cel".into(), 5)) }],
            unannounced: vec![0],
            sources: vec![HighWater { source: "gate".into(), epoch: 1, source_seq: 9, sequence: 70 }],
            counters: vec![("messages".into(), 77)],
            states: vec![SignalSnapshot {
                id: SignalId(0),
                name: "s/a/t".into(),
                state: vec![1, 2, 3],
                asset: Vec::new(),
            }],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let read = CapturedState::decode(&small().encode().unwrap()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", small()));
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = small().encode().unwrap();
        for end in 0..bytes.len() {
            assert!(matches!(CapturedState::decode(&bytes[..end]), Err(NodeError::InvalidSnapshot { .. })), "{end}");
        }
        assert!(CapturedState::decode(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn another_format_names_its_writer() {
        let mut bytes = small().encode().unwrap();
        bytes[8] = 9;
        let refused = CapturedState::decode(&bytes).unwrap_err().to_string();
        assert!(refused.contains("format 9") && refused.contains(env!("CARGO_PKG_VERSION")), "{refused}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn every_flipped_bit_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut bytes = small().encode().unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let refused = matches!(CapturedState::decode(&bytes), Err(NodeError::InvalidSnapshot { .. }));
            prop_assert!(refused);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let with_magic = [&MAGIC[..], &FORMAT.to_le_bytes(), &bytes].concat();
            prop_assert!(CapturedState::decode(&bytes).is_err() && CapturedState::decode(&with_magic).is_err());
        }
    }
}
