"""Snapshots of the engine's state: `state/<sequence>.snap`, whole or absent, the last two kept.

The content is the engine's own (versioned, zstd, checksummed): a truncation, a flipped bit or another version shows
before it is restored, so that `newest` can fall back to the older file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from iotpm import _core
from iotpm.errors import SnapshotError
from iotpm.store import durable

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

KEPT = 2


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State after the message `seq` of the RAW stream."""

    seq: int
    blob: bytes


class Snapshots:
    """The snapshots in a data directory."""

    def __init__(self, data_dir: str | Path) -> None:
        self.directory = Path(data_dir) / "state"

    def write(self, seq: int, blob: bytes) -> Path:
        """Keep the state after message `seq`, which must be committed, and drop all but the last two."""
        return self.create(seq, lambda path: path.write_bytes(blob))

    def create(self, seq: int, fill: Callable[[Path], object]) -> Path:
        """As `write`, of a state that `fill` writes to a path."""
        durable.make_directories(self.directory)
        path = self.directory / f"{seq}.snap"
        durable.create(path, fill)
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
            blob = path.read_bytes()
            held = _core.snapshot_sequence(blob)
        except FileNotFoundError:
            # A newer one has taken its place since it was listed.
            return None
        except (OSError, SnapshotError) as error:
            log.error("snapshot_unusable", path=str(path), error=str(error))
            return None
        if held != seq:
            log.error("snapshot_unusable", path=str(path), error=f"it holds the state of message {held}")
            return None
        return Snapshot(seq, blob)

    def _prune(self) -> None:
        for seq in self.sequences()[:-KEPT]:
            (self.directory / f"{seq}.snap").unlink()
        for left in self.directory.glob("*.tmp"):
            left.unlink()
        durable.sync_directory(self.directory)
