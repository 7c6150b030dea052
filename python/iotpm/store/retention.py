"""How long data stay: tiers by age or the disk budget, whichever comes first; a forecast; refusal when full.

Readings in the lake become 1-minute and then 1-hour rollups (`signal, ts, n, sum, min, max, seq`; a bucket that two
files share has a row in each, to be added up). Windows and vibration features stay as long as minutes; late readings,
waveforms and scores go with the raw readings. Age is measured against the stream's time of the last stored message,
never a clock.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import structlog

from iotpm.errors import StoreFull
from iotpm.store import lake as lakes
from iotpm.store.database import named
from iotpm.store.lake import Lake, LakeFile
from iotpm.store.progress import read_position
from iotpm.store.tables import LAKE_TABLES, literal, quoted

if TYPE_CHECKING:
    from iotpm.store.database import Database

log = structlog.get_logger(__name__)

_DAY_US = 86_400_000_000
_FILES_PER_ROLLUP = 64
_SAMPLES = 1440
_SAMPLE_US = 60_000_000
_FEATURES = ("windows", "vibration")
_NEXT_TIER = {"raw": "minute", "minute": "hour"}
_BUCKET = {"minute": "INTERVAL 1 MINUTE", "hour": "INTERVAL 1 HOUR"}
_VALUES = {
    "minute": "count(value) AS n, sum(value) AS sum, min(value) AS min, max(value) AS max",
    "hour": "sum(n)::BIGINT AS n, sum(sum) AS sum, min(min) AS min, max(max) AS max",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes on disk. `store_bytes` are blocks in use and the log; freed blocks of the file are used again."""

    store_bytes: int
    lake_bytes: int
    free_bytes: int
    budget_bytes: int | None
    reserve_bytes: int

    @property
    def used_bytes(self) -> int:
        """Store and lake together."""
        return self.store_bytes + self.lake_bytes

    @property
    def room_bytes(self) -> int:
        """What may still be written: within the budget and above the reserve; negative when over."""
        disk = self.free_bytes - self.reserve_bytes
        return disk if self.budget_bytes is None else min(disk, self.budget_bytes - self.used_bytes)


class Retention:
    """Keeps a store within age and budget; used by the thread that writes, about once a minute."""

    def __init__(self, database: Database, lake: Lake) -> None:
        self.database = database
        self.lake = lake
        self._settings = database.settings
        self._samples: deque[tuple[int, int]] = deque(maxlen=_SAMPLES)
        self._dropped_bytes = 0
        self._full = False

    def usage(self) -> Usage:
        """What is used and what is left now."""
        with self.database.cursor() as cursor:
            row = cursor.execute("SELECT used_blocks * block_size FROM pragma_database_size()").fetchone()
            lake = cursor.execute("SELECT coalesce(sum(bytes), 0) FROM lake_files").fetchone()
        disk = os.statvfs(self.database.data_dir)
        return Usage(
            store_bytes=(int(row[0]) if row else 0) + self.database.wal_bytes,
            lake_bytes=int(lake[0]) if lake else 0,
            free_bytes=disk.f_bavail * disk.f_frsize,
            budget_bytes=self._settings.disk_budget_bytes,
            reserve_bytes=self._settings.disk_reserve_bytes,
        )

    def enforce(self) -> int:
        """Roll up and drop what is too old, then what does not fit; returns how many files went.

        Raises:
            StoreFull: a rollup did not fit on the disk.
        """
        now_us = self._now_us()
        if now_us is None:
            return 0
        gone = self._expire(now_us) + self._make_room()
        self._prune(now_us)
        self._sample(now_us)
        return gone

    def check(self) -> None:
        """Refuse a chunk when there is no room and nothing left to drop; `enforce` finds out, also when room is back.

        Raises:
            StoreFull: says what is used and what would help.
        """
        if not self._full:
            return
        usage = self.usage()
        if usage.room_bytes > 0:
            self._full = False
            return
        raise StoreFull(
            f"{self.database.data_dir}: {usage.used_bytes} bytes used, {usage.free_bytes} free on the disk, "
            f"budget {usage.budget_bytes}, reserve {usage.reserve_bytes}: raise [store] disk_budget_bytes or free space"
        )

    def forecast_days(self) -> float | None:
        """Days of stream time until budget or disk are full at the recent rate; None while unknown or not growing.

        From then on the oldest data go first.
        """
        if len(self._samples) < 2:
            return None
        (start_us, start), (end_us, end) = self._samples[0], self._samples[-1]
        if end <= start or end_us <= start_us:
            return None
        return max(self.usage().room_bytes, 0) / (end - start) * (end_us - start_us) / _DAY_US

    def _now_us(self) -> int | None:
        position = read_position(self.database.connection)
        return position.time_us if position else None

    def _sample(self, now_us: int) -> None:
        if not self._samples or now_us - self._samples[-1][0] >= _SAMPLE_US:
            self._samples.append((now_us, self.usage().used_bytes + self._dropped_bytes))

    def _expire(self, now_us: int) -> int:
        limits = self._settings
        days = {"raw": limits.raw_days, "minute": limits.minute_days, "hour": limits.hour_days}
        self._move_expired(now_us - int(limits.raw_days * _DAY_US))
        gone = 0
        for tier, kept_days in days.items():
            old = [f for f in self._files(tier) if f.ts_hi_us < now_us - int(self._kept_days(f, kept_days) * _DAY_US)]
            gone += self._retire(old)
        return gone

    def _kept_days(self, file: LakeFile, days: float) -> float:
        return self._settings.minute_days if file.table in _FEATURES else days

    def _move_expired(self, cutoff_us: int) -> None:
        """Expired rows still in DuckDB move to the lake, one slice a call, to be rolled up there."""
        for table, column in LAKE_TABLES.items():
            with self.database.cursor() as cursor:
                row = cursor.execute(f"SELECT epoch_us({quoted(column)}) FROM {table} LIMIT 1").fetchone()
            if row and row[0] < cutoff_us and table not in _FEATURES:
                self.lake.step_table(table, keep_rows=0)

    def _make_room(self) -> int:
        """Drop the oldest until it fits; when no file is left, rows of the hot tables move out first."""
        gone = 0
        while (usage := self.usage()).room_bytes <= 0:
            oldest = next(iter(self._files("raw") or self._files("minute") or self._files("hour")), None)
            if oldest is not None:
                gone += self._drop([oldest])
            elif not self._move_hot(usage):
                break
        self._full = self.usage().room_bytes <= 0
        return gone

    def _move_hot(self, usage: Usage) -> bool:
        """Rows leave the file only after a checkpoint; none can move when the disk itself is full."""
        if usage.free_bytes < usage.reserve_bytes // 2 or self.lake.step(keep_rows=0) is None:
            return False
        self.database.checkpoint()
        return True

    def _files(self, tier: str) -> list[LakeFile]:
        with self.database.cursor() as cursor:
            return lakes.files(cursor, tier=tier)

    def _retire(self, old: list[LakeFile]) -> int:
        """Readings become the next tier's rollup, everything else goes."""
        kept = [f for f in old if f.table == "readings" and f.tier in _NEXT_TIER]
        for first in range(0, len(kept), _FILES_PER_ROLLUP):
            self._roll_up(kept[first : first + _FILES_PER_ROLLUP])
        self._drop([f for f in old if f not in kept])
        return len(old)

    def _roll_up(self, old: list[LakeFile]) -> None:
        tier = _NEXT_TIER[old[0].tier]
        lo, hi = min(f.seq_lo for f in old), max(f.seq_hi for f in old)
        paths = ", ".join(f"'{literal(self.database.data_dir / f.path)}'" for f in old)
        select = (
            f"SELECT signal, time_bucket({_BUCKET[tier]}, ts) AS ts, {_VALUES[tier]}, max(seq) AS seq "
            f"FROM read_parquet([{paths}], hive_partitioning = false) GROUP BY ALL ORDER BY signal, ts"
        )
        ts_lo, ts_hi = min(f.ts_lo_us for f in old), max(f.ts_hi_us for f in old)
        name = f"lake/readings_{tier}/{lakes.placed(ts_lo)}/{lo}-{hi}.parquet"
        path = self.database.data_dir / name
        rows = self.lake.write(select, path)
        new = LakeFile(name, "readings", lo, hi, rows, *lakes.size_and_digest(path), tier, ts_lo, ts_hi)
        self._swap(old, new)

    def _drop(self, old: list[LakeFile]) -> int:
        if old:
            self._swap(old, None)
        return len(old)

    def _swap(self, old: list[LakeFile], new: LakeFile | None) -> None:
        """One transaction on the list; files that a crash leaves behind are unlisted and go at the next start."""
        connection = self.database.connection
        try:
            connection.execute("BEGIN")
            connection.executemany("DELETE FROM lake_files WHERE path = ?", [[f.path] for f in old])
            if new is not None:
                lakes.add(connection, new)
            connection.execute("COMMIT")
        except duckdb.Error as error:
            self.database.reopen()
            raise named(error, self.database.path) from error
        for file in old:
            # Its folder stays until the next start: others may be walking through the lake.
            (self.database.data_dir / file.path).unlink(missing_ok=True)
            self._dropped_bytes += file.bytes
        log.info("lake_files_retired", files=len(old), tier=old[0].tier, became=new.path if new else None)

    def _prune(self, now_us: int) -> None:
        """Small tables: letters and published events as long as raw data, anomalies as long as hours."""
        raw_us = now_us - int(self._settings.raw_days * _DAY_US)
        hour_us = now_us - int(self._settings.hour_days * _DAY_US)
        connection = self.database.connection
        connection.execute("DELETE FROM dead_letters WHERE stored_at < make_timestamp(?)", [raw_us])
        connection.execute("DELETE FROM outbox WHERE cause_time < make_timestamp(?)", [raw_us])
        connection.execute("DELETE FROM anomaly_log WHERE time < make_timestamp(?)", [hour_us])
