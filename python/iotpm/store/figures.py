"""The signals' figures in a stopped node's files: those last written, brought up to the rows that are stored.

`signal_stats` is written some seconds after a snapshot and at a drain. A node that was killed stored rows behind it; a
clean end leaves none, and what is told here is then what the table says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotpm.store.query import relation
from iotpm.store.snapshots import Snapshots

if TYPE_CHECKING:
    from pathlib import Path

    from iotpm.store.database import Cursor


def caught_up(cursor: Cursor, data_dir: Path) -> str:
    """`signal_stats` as a FROM item, with `readings`, `last_seen` and `anomalies` counted up to the last stored row.

    Rows behind the figures have a later event time than the signal's last one, and come after the older of the two
    snapshots that are kept: figures are never older than that, so that not all of the store is read.
    """
    kept = Snapshots(data_dir).sequences()
    behind = kept[-2] if len(kept) > 1 else 0
    rows = relation(cursor, data_dir, "readings", None, from_seq=behind + 1)
    return f"""(
        WITH added AS (
            SELECT r.signal, count(*) AS readings, max(r.ts) AS last_seen
            FROM {rows} r LEFT JOIN signal_stats x ON x.id = r.signal
            WHERE r.seq > {behind:d} AND (x.last_seen IS NULL OR r.ts > x.last_seen) GROUP BY r.signal),
        begun AS (SELECT signal, count(*) AS anomalies FROM anomaly_log WHERE state = 'begin' GROUP BY signal)
        SELECT s.id, s.name, greatest(x.last_seen, a.last_seen) AS last_seen, x.rate_hz,
               coalesce(x.readings, 0) + coalesce(a.readings, 0) AS readings, x.late, x.duplicates, x.bad, x.windows,
               greatest(x.anomalies, b.anomalies, 0) AS anomalies, x.maturity, x.idle
        FROM signals s LEFT JOIN signal_stats x ON x.id = s.id LEFT JOIN added a ON a.signal = s.id
        LEFT JOIN begun b ON b.signal = s.id)"""
