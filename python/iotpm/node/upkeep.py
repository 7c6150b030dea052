"""What a node does between two chunks: snapshots, checkpoints, statistics of the signals."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from iotpm import _core
    from iotpm.config import Node
    from iotpm.store.database import Database
    from iotpm.store.snapshots import Snapshots
    from iotpm.store.writer import Writer

log = structlog.get_logger(__name__)

TIME_SHARE_MAX = 0.05
"""Snapshots take at most this share of the time."""


class SnapshotSchedule:
    """Asks the plane for snapshots and writes them in a thread of its own, so that no commit waits for an fsync."""

    def __init__(self, plane: _core.DataPlane, snapshots: Snapshots, settings: Node) -> None:
        self._plane = plane
        self._snapshots = snapshots
        self._settings = settings
        self._writer = ThreadPoolExecutor(1, "iotpm-snapshot")
        self._writing: Future[float] | None = None
        self._last = time.monotonic()
        self._messages = 0
        self._cost_s = 0.0

    def after_commit(self, chunk: _core.Chunk) -> bool:
        """Write the chunk's snapshot if it carries one (then True); ask for the next one when it is due."""
        self._messages += chunk.messages
        if chunk.has_snapshot:
            self._writing = self._writer.submit(self._write, chunk)
            return True
        if self._is_due():
            self._last, self._messages = time.monotonic(), 0
            self._plane.request_snapshot()
        return False

    def _is_due(self) -> bool:
        if self._writing is not None:
            if not self._writing.done():
                return False
            self._cost_s, self._writing = self._writing.result(), None
        age_s = time.monotonic() - self._last
        due = age_s >= self._settings.snapshot_interval_s or self._messages >= self._settings.snapshot_messages
        return due and age_s * TIME_SHARE_MAX >= self._cost_s

    def _write(self, chunk: _core.Chunk) -> float:
        blob = chunk.snapshot()
        start = time.monotonic()
        if blob is not None:
            self._write_file(chunk.last_seq, blob)
        return time.monotonic() - start

    def _write_file(self, seq: int, blob: bytes) -> None:
        try:
            self._snapshots.write(seq, blob)
        except OSError as error:
            # The stream and the older snapshot still hold everything; the next one may find room.
            log.error("snapshot_not_written", sequence=seq, error=str(error))
            return
        log.info("snapshot_written", sequence=seq, bytes=len(blob))

    def finish(self) -> None:
        """Wait for a file under way and write the state at the end of a drain."""
        self._writer.shutdown(wait=True)
        seq, blob = self._plane.snapshot_now()
        if seq > 0:
            self._write_file(seq, blob)


class Housekeeping:
    """Checkpoints and statistics, at moments when they hold up least."""

    def __init__(self, plane: _core.DataPlane, database: Database, writer: Writer) -> None:
        self._plane = plane
        self._database = database
        self._writer = writer

    def between_chunks(self, *, idle: bool, snapshot_taken: bool) -> None:
        """Fold DuckDB's log in when due; rewrite the signals' statistics with each snapshot."""
        if snapshot_taken:
            self._writer.replace_signal_stats(self._plane.signal_stats())
        self._database.checkpoint_if_due(idle=idle)

    def finish(self) -> None:
        """At the end of a drain."""
        self._writer.replace_signal_stats(self._plane.signal_stats())
        self._database.checkpoint()
