"""Snapshots of the engine's state: `state/<through>.snap`, whole or absent, the last two kept.

A running node captures its signals one after the other, between chunks: its snapshot knows all messages up to `seq`,
and some signals know later ones, the last of them `through`. A start takes the stream from `seq` on again, and makes no
rows up to `through` again: a store that does not have them yet must not use it.

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
    """State after the message `seq` of the RAW stream, of some signals after later ones up to `through`."""

    seq: int
    through: int
    blob: bytes


class Snapshots:
    """The snapshots in a data directory."""

    def __init__(self, data_dir: str | Path) -> None:
        self.directory = Path(data_dir) / "state"

    def write(self, through: int, blob: bytes) -> Path:
        """Keep a state that knows no message after `through`, which must be committed; drop all but the last two."""
        return self.create(through, lambda path: path.write_bytes(blob))

    def create(self, through: int, fill: Callable[[Path], object]) -> Path:
        """As `write`, of a state that `fill` writes to a path."""
        durable.make_directories(self.directory)
        path = self.directory / f"{through}.snap"
        durable.create(path, fill)
        self._prune()
        return path

    def newest(self, at_most: int) -> Snapshot | None:
        """The newest valid snapshot that knows none after `at_most` (W); unusable ones are logged and passed over."""
        for through in reversed(self.sequences()):
            if through <= at_most and (snapshot := self._read(through)):
                return snapshot
        return None

    def sequences(self) -> list[int]:
        """The last message that each file there is knows, ascending, valid or not."""
        names = (path.stem for path in self.directory.glob("*.snap"))
        return sorted(int(name) for name in names if name.isdigit())

    def purgeable(self, committed: int) -> int | None:
        """The greatest sequence that no kept snapshot needs from the stream any more; None while there are not two.

        Args:
            committed: W; snapshots beyond it do not count.
        """
        found = [self._read(through) for through in self.sequences() if through <= committed]
        usable = [snapshot.seq for snapshot in found if snapshot]
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

    def _read(self, through: int) -> Snapshot | None:
        path = self.directory / f"{through}.snap"
        try:
            blob = path.read_bytes()
            seq, held = _core.snapshot_span(blob)
        except FileNotFoundError:
            # A newer one has taken its place since it was listed.
            return None
        except (OSError, SnapshotError) as error:
            log.error("snapshot_unusable", path=str(path), error=str(error))
            return None
        if held != through:
            log.error("snapshot_unusable", path=str(path), error=f"it holds the state of message {held}")
            return None
        return Snapshot(seq, through, blob)

    def _prune(self) -> None:
        for seq in self.sequences()[:-KEPT]:
            (self.directory / f"{seq}.snap").unlink()
        for left in self.directory.glob("*.tmp"):
            left.unlink()
        durable.sync_directory(self.directory)
