"""Digests that compare runs: equal exactly when two stores hold the same rows, in whatever order.

Signals count by name (their numbers are local to a store), and `stored_at` and `cause_time` do not count (the broker's
clock). Doubles count by their bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotpm.store.query import relation
from iotpm.store.tables import LAKE_TABLES, quoted

if TYPE_CHECKING:
    from collections.abc import Collection

    from iotpm.store.database import Database

DIGESTED = (
    "readings",
    "late_readings",
    "windows",
    "vibration",
    "waveforms",
    "scores",
    "anomaly_log",
    "outbox",
    "dead_letters",
    "feedback",
    "signals",
)
_NOT_COMPARED = frozenset({"stored_at", "cause_time", "id"})


@dataclass(frozen=True, slots=True)
class Digest:
    """Rows, and the sum of their 64-bit hashes: independent of order, sensitive to repeats."""

    rows: int
    total: int

    def __str__(self) -> str:
        """Such as `1200:9f3a...`."""
        return f"{self.rows}:{self.total & (2**128 - 1):032x}"


def digest(database: Database, table: str, *, without: Collection[str] = ()) -> Digest:
    """Digest of a table, lake included.

    Args:
        database: the store.
        table: one of `DIGESTED`.
        without: further columns that do not count, such as `seq` when two runs numbered their messages differently.
    """
    if table not in DIGESTED:
        raise ValueError(f"{table!r}: must be one of {', '.join(DIGESTED)}")
    with database.cursor() as cursor:
        cursor.execute("BEGIN")
        described = [(str(row[0]), str(row[1])) for row in cursor.execute(f"DESCRIBE {table}").fetchall()]
        rows = relation(cursor, database.data_dir, table, None)
        sql = f"SELECT count(*), coalesce(sum(hash({_row(table, described, without)})), 0)::HUGEINT FROM {rows} t"
        if table in LAKE_TABLES or table == "anomaly_log":
            sql += " LEFT JOIN signals s ON s.id = t.signal"
        row = cursor.execute(sql).fetchone()
        cursor.execute("COMMIT")
    assert row is not None
    return Digest(int(row[0]), int(row[1]))


def digests(database: Database, *, without: Collection[str] = ()) -> dict[str, Digest]:
    """Digests of all tables that a run determines."""
    return {table: digest(database, table, without=without) for table in DIGESTED}


def _row(table: str, described: list[tuple[str, str]], without: Collection[str]) -> str:
    left_out = _NOT_COMPARED.union(without) - ({"id"} if table == "anomaly_log" else set())
    items = [_item(table, name, kind) for name, kind in described if name not in left_out]
    return f"row({', '.join(items)})"


def _item(table: str, name: str, kind: str) -> str:
    if name == "signal" and table != "signals":
        return "s.name"
    column = f"t.{quoted(name)}"
    # hash() takes 0.0 and -0.0 for equal; the text of a double tells them apart and is exact.
    return f"{column}::VARCHAR" if kind.startswith("DOUBLE") else column
