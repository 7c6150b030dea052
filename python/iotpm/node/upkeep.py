"""What a node does between two chunks: snapshots, checkpoints, statistics of the signals."""

from __future__ import annotations

import math
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import duckdb
import structlog

from iotpm.errors import SnapshotError, StoreError
from iotpm.store.lake import Lake
from iotpm.store.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iotpm import _core
    from iotpm.config import Node
    from iotpm.store.database import Database
    from iotpm.store.lake import LakeFile, Slice
    from iotpm.store.snapshots import Snapshots
    from iotpm.store.writer import Writer

log = structlog.get_logger(__name__)

Disk = dict[str, float | None]

TIME_SHARE_MAX = 0.05
"""Snapshots take at most this share of the time."""
IDLE_MESSAGES = 100
"""Lag below which a node has time for a checkpoint before it is due."""
LAGGING_MESSAGES = 5_000
"""Lag from which a node counts as behind."""
STATS_DELAY_S, STATS_LATE_S = 5.0, 60.0
"""Time from a snapshot until the signals' statistics are written; how much later where a node is behind."""
LAKE_LOOK_S = 2.0
"""Time between two looks for rows to move, when there were none."""
LAKE_RETRY_S = 30.0
RETENTION_S = 60.0
LOOK_S = 1.0
"""Time between two looks whether budget or disk are full before the next retention is due."""


class SnapshotSchedule:
    """Asks the plane for snapshots and has them written beside the commits."""

    def __init__(self, plane: _core.DataPlane, snapshots: Snapshots, settings: Node) -> None:
        self._plane = plane
        self._snapshots = snapshots
        self._settings = settings
        self._writer = ThreadPoolExecutor(1, "iotpm-snapshot")
        self._writing: Future[float] | None = None
        self._asked = False
        self._last = time.monotonic()
        self._messages = 0
        self._cost_s = 0.0
        self._newest = 0
        self.urgent = False
        """The stream needs room: a snapshot whenever the share of time allows."""

    def after_commit(self, chunk: _core.Chunk) -> bool:
        """Write the chunk's snapshot if it carries one (then True); ask for the next one when it is due."""
        self._messages += chunk.messages
        if span := chunk.snapshot_span:
            self._asked, (seq, through) = False, span
            keep = partial(self._snapshots.create, through, chunk.write_snapshot)
            self._writing = self._writer.submit(self._write, seq, keep)
            return True
        if self._is_due():
            self._last, self._messages, self._asked = time.monotonic(), 0, True
            self._plane.request_snapshot()
        return False

    def _is_due(self) -> bool:
        if self._asked:
            return False
        settings = self._settings
        due = self._age_s >= settings.snapshot_interval_s or self._messages >= settings.snapshot_messages
        return (due or (self.urgent and self._messages > 0)) and self._has_time()

    @property
    def _age_s(self) -> float:
        return time.monotonic() - self._last

    def _has_time(self) -> bool:
        """No file is under way, and the share of time allows another one."""
        if self._writing is not None:
            if not self._writing.done():
                return False
            self._cost_s, self._writing = self._writing.result(), None
        return self._age_s * TIME_SHARE_MAX >= self._cost_s

    def when_idle(self, committed: int) -> None:
        """Without a chunk that could carry it: the state after the last committed message, if it is urgent."""
        # One that was asked for after the last chunk never comes: what counts is which messages the newest covers.
        if not self.urgent or self._newest == committed or not self._has_time():
            return
        seq, blob = self._plane.snapshot_now()
        if seq == committed:
            self._last, self._messages = time.monotonic(), 0
            self._writing = self._writer.submit(self._write, seq, partial(self._snapshots.write, seq, blob))

    def _write(self, seq: int, keep: Callable[[], Path]) -> float:
        """Returns the seconds it took."""
        start = time.monotonic()
        try:
            path = keep()
        except (OSError, SnapshotError) as error:
            # The stream and the older snapshot still hold everything; the next one may find room.
            log.error("snapshot_not_written", sequence=seq, error=str(error))
        else:
            self._newest = seq
            log.info("snapshot_written", sequence=seq, bytes=path.stat().st_size)
        return time.monotonic() - start

    def finish(self, committed: int) -> None:
        """Wait for a file under way and write the state at the end of a drain, unless it is ahead of the store."""
        self._writer.shutdown(wait=True)
        seq, blob = self._plane.snapshot_now()
        if 0 < seq == committed:
            self._write(seq, partial(self._snapshots.write, seq, blob))


class LakeMover:
    """Moves old rows to the lake: files are written beside the commits, only the last step takes their thread."""

    def __init__(self, lake: Lake, lag_max: int) -> None:
        self._lake = lake
        self._lag_max = lag_max
        self._worker = ThreadPoolExecutor(1, "iotpm-lake")
        self._working: Future[tuple[Slice, LakeFile] | None] | None = None
        self._next_look = 0.0
        self.moved = 0

    def step(self, lag: int) -> None:
        """List the file that is ready, or begin the next one; while the node lags nothing begins."""
        if self._working is not None:
            if self._working.done():
                self._enter(self._working)
                self._working = None
        elif lag <= self._lag_max and time.monotonic() >= self._next_look:
            self._working = self._worker.submit(self._extract)

    def finish(self) -> None:
        """As `settle`, and begin no more."""
        self.settle()
        self._worker.shutdown(wait=True)

    @property
    def busy(self) -> bool:
        """Whether a file is under way."""
        return self._working is not None

    def settle(self) -> None:
        """Wait for the file under way and list it: retention moves and drops files too."""
        if self._working is not None:
            self._enter(self._working)
            self._working = None

    def _extract(self) -> tuple[Slice, LakeFile] | None:
        piece = self._lake.next_full()
        return (piece, self._lake.extract(piece)) if piece else None

    def _enter(self, extracted: Future[tuple[Slice, LakeFile] | None]) -> None:
        self._next_look = time.monotonic() + LAKE_LOOK_S
        try:
            found = extracted.result()
            if found is None:
                return
            self._lake.enter(found[1], found[0])
        except StoreError as error:
            # The rows are where they were; room may come back.
            self._next_look = time.monotonic() + LAKE_RETRY_S
            log.error("lake_move_failed", error=str(error))
            return
        self.moved += 1
        self._next_look = 0.0


class Housekeeping:
    """Checkpoints, lake, retention and statistics, at moments when they hold up least."""

    def __init__(self, plane: _core.DataPlane, database: Database, writer: Writer) -> None:
        """Remove lake files that a crash left unlisted.

        Raises:
            StoreError: a listed file of the lake is missing or altered.
        """
        self._plane = plane
        self._database = database
        self._writer = writer
        lake = Lake(database)
        lake.recover()
        self.mover = LakeMover(lake, database.settings.lake_max_lag)
        self.retention = Retention(database, lake)
        self._next_retention = self._next_look = 0.0
        self._stats_due = math.inf
        self._room = self._wal = 0
        self._disk: Disk = {}
        self.checkpoints = 0

    def between_chunks(self, *, lag: int, snapshot_taken: bool) -> None:
        """Do what is due; `lag` is in messages."""
        if snapshot_taken:
            self._stats_due = time.monotonic() + STATS_DELAY_S
        self._write_stats_if_due(lag)
        self._checkpoint_if_due(lag)
        self.mover.step(lag)
        self._enforce_retention()

    def _checkpoint_if_due(self, lag: int) -> None:
        """Rather while no file is made for the lake: both compress, and the commits wait for the checkpoint."""
        idle = lag < IDLE_MESSAGES and not self.mover.busy
        if self._database.checkpoint_if_due(idle=idle, lagging=lag > LAGGING_MESSAGES):
            self.checkpoints += 1
            self._next_look = 0.0

    def _write_stats_if_due(self, lag: int) -> None:
        """Some time after a snapshot, for one pause at a time is enough; at the latest a minute later."""
        late_s = time.monotonic() - self._stats_due
        if late_s >= STATS_LATE_S or (late_s >= 0.0 and lag <= LAGGING_MESSAGES):
            self._stats_due = math.inf
            self._writer.replace_signal_stats(self._plane.signal_stats())

    def make_room(self) -> None:
        """A chunk was refused: see at once whether something may go."""
        self._next_look = 0.0
        self._enforce_retention()

    def disk(self) -> Disk:
        """Bytes used and left, and days until they are full; from any thread."""
        try:
            self._disk = self._measured()
        except duckdb.Error:
            log.debug("disk_not_measured", reason="the store is being reopened")
        return self._disk

    def _measured(self) -> Disk:
        usage = self.retention.usage()
        names = ("store_bytes", "lake_bytes", "free_bytes", "budget_bytes", "reserve_bytes", "room_bytes")
        return {name: getattr(usage, name) for name in names} | {"forecast_days": self.retention.forecast_days()}

    def _enforce_retention(self) -> None:
        now = time.monotonic()
        if now < self._next_look and self._grown() <= self._room / 2:
            return
        try:
            self._look()
            if self._room <= 0 or (now >= self._next_retention and not self.mover.busy):
                self._next_retention = now + RETENTION_S
                self.mover.settle()
                self.retention.enforce()
                self._look()
        except StoreError as error:
            log.error("retention_failed", error=str(error))

    def _look(self) -> None:
        self._next_look = time.monotonic() + LOOK_S
        self._room, self._wal = self.retention.usage().room_bytes, self._database.wal_bytes

    def _grown(self) -> int:
        """Bytes by which the log changed since the last look: what a look would find, for the price of one `stat`."""
        return abs(self._database.wal_bytes - self._wal)

    def finish(self) -> None:
        """At the end of a drain."""
        self.mover.finish()
        self._writer.replace_signal_stats(self._plane.signal_stats())
        self._database.checkpoint()
        self.make_room()
