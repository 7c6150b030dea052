//! Snapshots: the state between two chunks, versioned, compressed, checksummed, the same for any number of shards.
//!
//! ```text
//! "IOTPMSNP" | format u32 | version of the writer (u8 length, text) | sequence u64 | through u64
//!            | plain length u64 | packed length u64 | XXH3 of what follows and of everything before u64
//!            | zstd(postcard(body))
//! ```
//! Numbers are little-endian. It is written as a stream, lengths and checksum last: a plain copy of a large state would
//! cost more time to find memory for than to compress.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Cursor, Seek, Write},
    panic::resume_unwind,
    path::Path,
    thread,
};

use iotpm_core::{Labels, SignalSnapshot};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::{NodeError, error::Result, priority::yield_to_others, registry::SavedSignal, sources::HighWater};

const MAGIC: &[u8; 8] = b"IOTPMSNP";

/// Changes whenever the body does.
const FORMAT: u32 = 13;

/// Fast, and states of floats hardly shrink further.
const ZSTD_LEVEL: i32 = 1;

/// Bytes handed to the compressor at a time.
const PLAIN_BUFFER_BYTES: usize = 64 << 10;

/// Bytes after which a file is brought to the disk, so that no other file's sync has to wait for all of it.
const SYNC_BYTES: usize = 1 << 20;

/// Largest plain body that is read, bytes.
const MAX_PLAIN_BYTES: u64 = 64 << 30;

/// Which messages a snapshot knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotSpan {
    /// The stream must come again from the message after this one.
    pub sequence: u64,
    /// Last message that part of the state knows: rows up to it are not made again, so a store must have them.
    pub through: u64,
}

/// State captured between chunks; encode it wherever there is time.
///
/// Signals may have been captured one after the other, each after a message of its own from `sequence` to `through`: the
/// stream must come again from `sequence` on, and what a signal knows of it is passed over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CapturedState {
    pub(crate) sequence: u64,
    /// Sequence of the last message that any signal knows. Outbox and counters are as they were after it.
    pub(crate) through: u64,
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
    /// Which messages it knows.
    #[must_use]
    pub fn span(&self) -> SnapshotSpan {
        SnapshotSpan { sequence: self.sequence, through: self.through }
    }

    /// The snapshot as bytes.
    ///
    /// # Errors
    /// [`NodeError::InvalidSnapshot`] if the state cannot be written.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = Cursor::new(Vec::new());
        self.encode_to(&mut bytes).map_err(|error| invalid(&format!("cannot be written: {error}")))?;
        Ok(bytes.into_inner())
    }

    /// Writes the snapshot to a new file, whose bytes are on the disk when this returns, and returns their number.
    ///
    /// # Errors
    /// [`NodeError::SnapshotNotWritten`].
    pub fn write(&self, path: &Path) -> Result<u64> {
        let written = || {
            let mut file = Synced { file: File::create(path)?, unsynced: 0 };
            self.encode_to(&mut file)?;
            file.file.sync_all()?;
            Ok(fs::metadata(path)?.len())
        };
        let failed = |error: io::Error| NodeError::SnapshotNotWritten { path: path.into(), reason: error.to_string() };
        written().map_err(failed)
    }

    /// As [`CapturedState::write`], which takes long, in a thread of its own that lets all others go first: call it where
    /// nobody waits.
    ///
    /// # Errors
    /// [`NodeError::SnapshotNotWritten`].
    pub fn write_at_leisure(&self, path: &Path) -> Result<u64> {
        let write = || {
            yield_to_others();
            self.write(path)
        };
        let written = thread::scope(|scope| scope.spawn(write).join());
        written.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn encode_to(&self, out: &mut (impl Write + Seek)) -> io::Result<()> {
        let place = head(self.span(), 0, 0);
        out.write_all(&place)?;
        out.write_all(&[0; 8])?;
        let mut packed = Measured::new(&mut *out);
        let plain_bytes = self.compress(&mut packed)?;
        let (head, mut hash) = (head(self.span(), plain_bytes, packed.bytes), packed.hash);
        hash.update(&head);
        out.rewind()?;
        out.write_all(&head)?;
        out.write_all(&hash.digest().to_le_bytes())
    }

    /// Returns how many bytes it was before.
    fn compress(&self, packed: impl Write) -> io::Result<u64> {
        let encoder = zstd::Encoder::new(packed, ZSTD_LEVEL)?;
        let buffer = BufWriter::with_capacity(PLAIN_BUFFER_BYTES, Measured::new(encoder));
        let buffer = postcard::to_io(self, buffer).map_err(io::Error::other)?;
        let plain = buffer.into_inner().map_err(io::IntoInnerError::into_error)?;
        plain.inner.finish()?;
        Ok(plain.bytes)
    }

    /// The state in a snapshot.
    ///
    /// # Errors
    /// [`NodeError::InvalidSnapshot`] for anything but the bytes that [`CapturedState::encode`] wrote, by this format.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let whole = Whole::check(bytes)?;
        let plain = zstd::bulk::decompress(whole.packed, whole.plain_bytes as usize);
        let plain = plain.map_err(|error| invalid(&format!("cannot be decompressed: {error}")))?;
        postcard::from_bytes(&plain).map_err(|error| invalid(&format!("cannot be read: {error}")))
    }
}

/// Which messages a snapshot knows; it is checked and not unpacked.
///
/// # Errors
/// [`NodeError::InvalidSnapshot`] for anything but the bytes of a whole snapshot of this format.
pub fn snapshot_span(bytes: &[u8]) -> Result<SnapshotSpan> {
    Ok(Whole::check(bytes)?.span)
}

fn head(span: SnapshotSpan, plain_bytes: u64, packed_bytes: u64) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.push(version.len() as u8);
    bytes.extend_from_slice(version.as_bytes());
    for number in [span.sequence, span.through, plain_bytes, packed_bytes] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// Counts and hashes what passes.
struct Measured<W> {
    inner: W,
    bytes: u64,
    hash: Xxh3,
}

impl<W> Measured<W> {
    fn new(inner: W) -> Self {
        Self { inner, bytes: 0, hash: Xxh3::new() }
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A file that reaches the disk as it is written.
struct Synced {
    file: File,
    unsynced: usize,
}

impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Synced {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// A snapshot whose checksum is right.
struct Whole<'a> {
    span: SnapshotSpan,
    plain_bytes: u64,
    packed: &'a [u8],
}

impl<'a> Whole<'a> {
    fn check(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let [sequence, through, plain_bytes, packed_bytes] = reader.header()?;
        let head = &bytes[..reader.at];
        let stated = reader.u64()?;
        let packed = &bytes[reader.at..];
        if packed.len() as u64 != packed_bytes {
            return Err(invalid(&format!("holds {} bytes of state instead of {packed_bytes}", packed.len())));
        }
        if checksum(head, packed) != stated || plain_bytes > MAX_PLAIN_BYTES {
            return Err(invalid("its checksum does not match: it is damaged"));
        }
        Ok(Self { span: SnapshotSpan { sequence, through }, plain_bytes, packed })
    }
}

fn checksum(head: &[u8], packed: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(packed);
    hash.update(head);
    hash.digest()
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Sequence, through, and the lengths of the plain and the packed body.
    fn header(&mut self) -> Result<[u64; 4]> {
        let known = self.bytes.len().min(MAGIC.len());
        if known == 0 || self.bytes[..known] != MAGIC[..known] {
            return Err(invalid("is none: it does not begin with IOTPMSNP"));
        }
        self.take(MAGIC.len())?;
        let format = self.take(4)?.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let length = usize::from(self.take(1)?[0]);
        let version = String::from_utf8_lossy(self.take(length)?);
        if format != FORMAT {
            return Err(invalid(&format!(
                "has format {format}, written by version {version}: this one reads {FORMAT}"
            )));
        }
        Ok([self.u64()?, self.u64()?, self.u64()?, self.u64()?])
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
            through: 79,
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
                sequence: 79,
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
    fn a_file_holds_the_same_bytes() {
        let path = std::env::temp_dir().join(format!("iotpm-{}.snap", std::process::id()));
        assert_eq!(small().write(&path).unwrap(), fs::metadata(&path).unwrap().len());
        assert_eq!(fs::read(&path).unwrap(), small().encode().unwrap());
        assert_eq!(snapshot_span(&fs::read(&path).unwrap()).unwrap(), small().span());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let refused = small().write(Path::new("/nowhere/7.snap")).unwrap_err().to_string();
        assert!(refused.contains("/nowhere/7.snap"), "{refused}");
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
        bytes[8] = FORMAT as u8 + 1;
        let refused = CapturedState::decode(&bytes).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("format {}", FORMAT + 1)) && refused.contains(env!("CARGO_PKG_VERSION")),
            "{refused}"
        );
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
