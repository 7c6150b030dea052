"""Snapshots of the engine's state: `state/<sequence>.snap`, whole or absent, the last two kept.

The blob is the engine's own (versioned, zstd, checksummed). The frame around it makes any truncation or flipped bit
show here already, so that `newest` can fall back to the older file.

    magic "IPMS" | u16 version | u16 zero | u64 sequence | u64 length | u64 xxh3 of header up to here and blob | blob
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
import xxhash

from iotpm.errors import SnapshotError
from iotpm.store import durable

log = structlog.get_logger(__name__)

KEPT = 2
_MAGIC = b"IPMS"
_VERSION = 1
_HEAD = struct.Struct("<4sHHQQ")
_SUM = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State after the message `seq` of the RAW stream."""

    seq: int
    blob: bytes


class Snapshots:
    """The snapshots in a data directory."""

    def __init__(self, data_dir: str | Path) -> None:
        self.directory = Path(data_dir) / "state"

    def write(self, seq: int, *pieces: bytes) -> Path:
        """Write the state after message `seq`, which must be committed, and drop all but the last two."""
        durable.make_directories(self.directory)
        path = self.directory / f"{seq}.snap"
        durable.write(path, *_head(seq, pieces), *pieces)
        self._prune()
        return path

    def newest(self, at_most: int) -> Snapshot | None:
        """The newest valid snapshot of a message up to `at_most` (W); unusable ones are logged and passed over."""
        for seq in reversed(self.sequences()):
            if seq <= at_most and (snapshot := self._read(seq)):
                return snapshot
        return None

    def sequences(self) -> list[int]:
        """Sequences of the files there are, ascending, valid or not."""
        names = (path.stem for path in self.directory.glob("*.snap"))
        return sorted(int(name) for name in names if name.isdigit())

    def purgeable(self, committed: int) -> int | None:
        """The greatest sequence that no kept snapshot needs from the stream any more; None while there are not two.

        Args:
            committed: W; snapshots beyond it do not count.
        """
        usable = [seq for seq in self.sequences() if seq <= committed and self._read(seq)]
        return usable[-KEPT] if len(usable) >= KEPT else None

    def drop_after(self, seq: int) -> None:
        """Remove snapshots beyond `seq`: of another epoch, or written ahead of a commit that did not happen."""
        for later in [s for s in self.sequences() if s > seq]:
            log.warning("snapshot_dropped", sequence=later, committed=seq)
            (self.directory / f"{later}.snap").unlink()

    def clear(self) -> None:
        """Remove all snapshots (a new epoch)."""
        for seq in self.sequences():
            (self.directory / f"{seq}.snap").unlink()

    def _read(self, seq: int) -> Snapshot | None:
        path = self.directory / f"{seq}.snap"
        try:
            snapshot = decode(path.read_bytes())
        except (OSError, SnapshotError) as error:
            log.error("snapshot_unusable", path=str(path), error=str(error))
            return None
        if snapshot.seq != seq:
            log.error("snapshot_unusable", path=str(path), error=f"it holds the state of message {snapshot.seq}")
            return None
        return snapshot

    def _prune(self) -> None:
        for seq in self.sequences()[:-KEPT]:
            (self.directory / f"{seq}.snap").unlink()
        for left in self.directory.glob("*.tmp"):
            left.unlink()
        durable.sync_directory(self.directory)


def encode(seq: int, blob: bytes) -> bytes:
    """The file of a snapshot."""
    return b"".join((*_head(seq, (blob,)), blob))


def _head(seq: int, pieces: Sequence[bytes]) -> tuple[bytes, bytes]:
    head = _HEAD.pack(_MAGIC, _VERSION, 0, seq, sum(map(len, pieces)))
    checksum = xxhash.xxh3_64(head)
    for piece in pieces:
        checksum.update(piece)
    return head, _SUM.pack(checksum.intdigest())


def decode(data: bytes) -> Snapshot:
    """What `encode` wrote.

    Raises:
        SnapshotError: truncated, altered, or of another version.
    """
    start = _HEAD.size + _SUM.size
    if len(data) < start or data[:4] != _MAGIC:
        raise SnapshotError(f"no snapshot: {len(data)} bytes that begin with {data[:4]!r}")
    head, blob = data[: _HEAD.size], data[start:]
    _, version, _, seq, length = _HEAD.unpack(head)
    if length != len(blob):
        raise SnapshotError(f"snapshot of message {seq}: {len(blob)} bytes of {length}")
    if xxhash.xxh3_64_intdigest(head + blob) != _SUM.unpack(data[_HEAD.size : start])[0]:
        raise SnapshotError(f"snapshot of message {seq}: its checksum does not match")
    if version != _VERSION:
        raise SnapshotError(f"snapshot of message {seq}: version {version}, this release reads {_VERSION}")
    return Snapshot(seq, blob)
