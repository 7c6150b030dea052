"""What must be in the store after a benchmark, counted by SQL over DuckDB and lake together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from iotpm.bench.ground import HOP_S, WINDOW_S
from iotpm.config import Store
from iotpm.store.database import Database
from iotpm.store.query import relation

if TYPE_CHECKING:
    from pathlib import Path

    from iotpm.store.database import Cursor

_SECOND_US = 1_000_000


def check(data_dir: Path, report: dict[str, Any], last_seq: int) -> dict[str, Any]:
    """Compare a stopped node's store with what was published up to message `last_seq`.

    Returns:
        `lost` (readings published minus stored), `windows` and `windows_by_formula`, `windows_per_s` (of event time, at
        the end), `injected` and `found` spikes, `dead_letters`, `late`, and `agrees`: all of them as they must be.
    """
    with Database.read_only(data_dir, Store()) as database, database.cursor() as cursor:
        rows = {name: relation(cursor, data_dir, name, None) for name in ("readings", "late_readings", "windows")}
        bound = f"WHERE seq <= {last_seq}"
        stored = _one(cursor, f"SELECT count(*) FROM {rows['readings']} {bound}")
        late = _one(cursor, f"SELECT count(*) FROM {rows['late_readings']} {bound}")
        counts = {
            "stored": stored,
            "lost": report["readings"] - stored - late,
            "late": late,
            "dead_letters": _one(cursor, f"SELECT count(*) FROM dead_letters {bound}"),
            "windows": _one(cursor, f"SELECT count(*) FROM {rows['windows']} {bound}"),
            "windows_by_formula": _windows(cursor, f"{rows['readings']} {bound}"),
            "windows_per_s": _closing_per_s(cursor, rows["readings"], rows["windows"]),
            "injected": len(report["spikes"]),
            "found": _found(cursor, report["spikes"], last_seq),
            "anomalies": _one(cursor, f"SELECT count(DISTINCT id) FROM anomaly_log {bound}"),
        }
    agrees = (
        counts["lost"] == 0
        and counts["dead_letters"] == 0
        and counts["windows"] == counts["windows_by_formula"]
        and counts["found"] == counts["injected"]
    )
    return {**counts, "agrees": agrees}


def _windows(cursor: Cursor, readings: str) -> int:
    """Windows [k hop + phase, + length) that start at or after a signal's first reading and end by its last.

    The phase is a whole number of seconds below the hop, from the asset's name.
    """
    found = cursor.execute(
        f"""SELECT any_value(s.site || '/' || s.asset) AS asset,
                   epoch_us(min(r.ts)) AS first, epoch_us(max(r.ts)) AS last
            FROM (SELECT signal, ts FROM {readings}) r JOIN signals s ON s.id = r.signal GROUP BY r.signal"""
    ).fetchnumpy()
    hop, length = round(HOP_S * _SECOND_US), round(WINDOW_S * _SECOND_US)
    seconds = max(1, hop // _SECOND_US)
    phase = np.array(
        [xxhash.xxh3_64_intdigest(str(name).encode()) % seconds * _SECOND_US for name in found["asset"]], np.int64
    )
    first, last = found["first"].astype(np.int64), found["last"].astype(np.int64)
    k_first = -((phase - first) // hop)
    k_last = (last - length - phase) // hop
    return int(np.maximum(0, k_last - k_first + 1).sum())


def _closing_per_s(cursor: Cursor, readings: str, windows: str) -> float:
    """Windows that ended in the last hop of event time but one second; each signal has one such end a hop."""
    end = f"(SELECT max(ts) - INTERVAL 1 SECOND FROM {readings})"
    ended = f'"end" > {end} - INTERVAL {HOP_S:.0f} SECOND AND "end" <= {end}'
    return _one(cursor, f"SELECT count(*) FROM {windows} WHERE {ended}") / HOP_S


def _found(cursor: Cursor, spikes: list[dict[str, Any]], last_seq: int) -> int:
    """Spikes at which an anomaly of their signal begins or peaks."""
    if not spikes:
        return 0
    cursor.execute("CREATE TEMP TABLE spikes (signal VARCHAR, time_us BIGINT)")
    rows = ", ".join(f"('{spike['signal']}', {int(spike['time_us'])})" for spike in spikes)
    cursor.execute(f"INSERT INTO spikes VALUES {rows}")
    return _one(
        cursor,
        f"""SELECT count(*) FROM spikes WHERE EXISTS (
                SELECT 1 FROM anomaly_log a
                WHERE a.name = spikes.signal AND spikes.time_us IN (epoch_us(a.start), epoch_us(a.peak_time))
                AND a.seq <= {last_seq})""",
    )


def _one(cursor: Cursor, sql: str) -> int:
    row = cursor.execute(sql).fetchone()
    assert row is not None
    return int(row[0])
