"""Questions to the store: hot tables and listed lake files as one, page by page.

Used by a running node's micro service and by the command line on a stopped node's files. Values are prepared, names
come from constants; no SQL of a user reaches this process.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from iotpm.errors import StoreError
from iotpm.store.database import named
from iotpm.store.lake import files
from iotpm.store.tables import LAKE_TABLES, literal, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotpm.store.database import Cursor, Database

EXPORTS = ("readings", "windows", "vibration", "waveforms", "anomalies", "dead_letters")


SHOWN_BYTES = 4096
"""Bytes of a dead letter's payload in a page; an export has all of them."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows. `signal` is a pattern on site/asset/signal, `asset` one on site/asset or the asset; `*` is any run.

    `since_us` and `until_us` bound event time (of dead letters, which may have none, when they were stored): from,
    inclusive, and to, exclusive. `reason` is that of dead letters.
    """

    signal: str | None = None
    asset: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as tuples of plain values (times in microseconds); `next` continues after them, None at the end."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    next: str | None

    def dicts(self) -> list[dict[str, Any]]:
        """Rows by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Query:
    """Questions to one store; safe from any thread, each question has a cursor of its own.

    Args:
        database: the owner's, or `Database.read_only`.
        max_rows: rows of a page, at most.
    """

    def __init__(self, database: Database, *, max_rows: int = 10_000) -> None:
        self._database = database
        self._max_rows = max_rows

    def readings(self, where: Filter | None = None, *, limit: int = 1000, after: str | None = None) -> Page:
        """Readings with their signal's name, in the order of their sequences."""
        return self._page("readings", where, limit, after)

    def windows(self, where: Filter | None = None, *, limit: int = 1000, after: str | None = None) -> Page:
        """Windows with their signal's name, in the order of their sequences."""
        return self._page("windows", where, limit, after)

    def vibration(self, where: Filter | None = None, *, limit: int = 1000, after: str | None = None) -> Page:
        """Vibration features of waveform frames with their signal's name, in the order of their sequences."""
        return self._page("vibration", where, limit, after)

    def anomalies(self, where: Filter | None = None, *, limit: int = 1000, after: str | None = None) -> Page:
        """The latest revision of each anomaly, in the order of their sequences."""
        return self._page("anomalies", where, limit, after)

    def revisions(self, where: Filter | None = None, *, limit: int = 1000, after: str | None = None) -> Page:
        """Every revision of every anomaly, in the order of their sequences: what `--follow` shows."""
        return self._page("anomaly_log", where, limit, after)

    def signals(self, where: Filter | None = None, *, limit: int = 1000, after: str | None = None) -> Page:
        """Signals with the counters of the last snapshot or drain."""
        return self._page("signals", where, limit, after)

    def dead_letters(self, *, limit: int = 1000, after: str | None = None) -> Page:
        """Refused messages and readings with the reason."""
        return self._page("dead_letters", None, limit, after)

    def counts(self) -> dict[str, int]:
        """Rows of every table, lake included."""
        with self._read() as cursor:
            names = ("signals", *LAKE_TABLES, "anomaly_log", "anomalies", "outbox", "dead_letters")
            return {name: _count(cursor, relation(cursor, self._database.data_dir, name, None)) for name in names}

    def outbox(self, first: int, *, limit: int = 1000) -> list[tuple[int, str, str, int]]:
        """Events from `outbox_seq` = first on: (outbox_seq, subject, payload, cause time in microseconds)."""
        with self._read() as cursor:
            return cursor.execute(
                """SELECT outbox_seq, subject, payload, epoch_us(cause_time) FROM outbox
                   WHERE outbox_seq >= ? ORDER BY outbox_seq LIMIT ?""",
                [first, self._bounded(limit)],
            ).fetchall()

    def delivered(self) -> int:
        """The last event that the webhook has; 0 before the first."""
        with self._read() as cursor:
            row = cursor.execute("SELECT max(delivered) FROM webhook").fetchone()
            return int(row[0] or 0) if row else 0

    def export(self, kind: str, path: str | Path, where: Filter | None = None) -> int:
        """Write all matching rows to a .parquet or .csv file; returns their number.

        Args:
            kind: one of `EXPORTS`.
            path: target; its ending decides the format.
            where: which rows.

        Raises:
            StoreError: unknown kind or ending, or the file cannot be written.
        """
        target = Path(path).absolute()
        options = _copy_options(kind, target)
        with self._read() as cursor:
            sql, values = select(cursor, self._database.data_dir, kind, where or Filter(), raw_times=True)
            try:
                row = cursor.execute(f"COPY ({sql}) TO '{literal(target)}' ({options})", values).fetchone()
            except duckdb.Error as error:
                raise StoreError(f"{target}: {error}") from error
        return int(row[0]) if row else 0

    def _page(self, kind: str, where: Filter | None, limit: int, after: str | None) -> Page:
        seq, skip = _parse_token(after)
        bounded = self._bounded(limit)
        with self._read() as cursor:
            sql, values = select(cursor, self._database.data_dir, kind, where or Filter(), from_seq=seq)
            cursor.execute(f"{sql} LIMIT {bounded} OFFSET {skip}", values)
            columns = tuple(str(item[0]) for item in cursor.description or ())
            rows = cursor.fetchall()
        return Page(columns, rows, _token(columns, rows, bounded, seq, skip))

    def _bounded(self, limit: int) -> int:
        return max(1, min(limit, self._max_rows))

    @contextlib.contextmanager
    def _read(self) -> Iterator[Cursor]:
        """One transaction, so that a slice moving to the lake is seen exactly once."""
        with self._database.cursor() as cursor:
            try:
                cursor.execute("BEGIN")
                yield cursor
                cursor.execute("COMMIT")
            except duckdb.Error as error:
                raise named(error, self._database.path) from error


def relation(
    cursor: Cursor,
    data_dir: Path,
    table: str,
    where: Filter | None,
    *,
    from_seq: int = 0,
    through: int | None = None,
    as_of: int | None = None,
) -> str:
    """A table's rows, hot and listed raw files together, as a FROM item; files outside the sequences are left out.

    `anomalies` with `as_of` are those of that sequence, so that pages agree while new revisions come in.
    """
    if table == "anomalies" and as_of is not None:
        return f"(SELECT * FROM anomaly_log WHERE seq <= {as_of:d} {LATEST})"
    if table not in LAKE_TABLES:
        return table
    listed = files(cursor, table=table, tier="raw")
    within = (f for f in listed if f.seq_hi >= from_seq and (through is None or f.seq_lo <= through))
    paths = [f"'{literal(data_dir / f.path)}'" for f in within if _overlaps(f, where)]
    if not paths:
        return table
    moved = f"SELECT * FROM read_parquet([{', '.join(paths)}], hive_partitioning = false)"
    return f"(SELECT * FROM {table} UNION ALL BY NAME {moved})"


def select(
    cursor: Cursor,
    data_dir: Path,
    kind: str,
    where: Filter,
    *,
    from_seq: int = 0,
    through: int | None = None,
    raw_times: bool = False,
    newest_first: bool = False,
    as_of: int | None = None,
    stats: str = "signal_stats",
) -> tuple[str, list[Any]]:
    """The query for one kind, ordered so that pages are stable: rows are only ever added with higher sequences.

    `from_seq` and `through` bound the sequences, both inclusive; `as_of` takes anomalies as they were at that sequence;
    `stats` is where the signals' counters are.
    """
    rows = relation(cursor, data_dir, kind, where, from_seq=from_seq, through=through, as_of=as_of)
    columns = _columns(cursor, kind, raw_times)
    tests, values = _tests(kind, where)
    joined = f"{rows} t JOIN signals s ON s.id = t.signal" if kind in _BY_SIGNAL else f"{rows} t"
    if kind == "signals":
        joined = f"signals t LEFT JOIN {stats} x ON x.id = t.id"
    bound = "" if through is None else f"AND t.seq <= {through:d}"
    order = _ORDER[kind].replace("t.seq", "t.seq DESC", 1) if newest_first else _ORDER[kind]
    return f"SELECT {columns} FROM {joined} WHERE t.seq >= ? {bound} {tests} ORDER BY {order}", [from_seq, *values]


LATEST = "QUALIFY row_number() OVER (PARTITION BY id ORDER BY revision DESC, seq DESC, position DESC) = 1"
_BY_SIGNAL = frozenset(LAKE_TABLES)
# Their column `signal` is a number that means something in this store only: names go out.
_NUMBERED = _BY_SIGNAL | {"anomalies", "anomaly_log"}
_TIME = {
    "readings": "t.ts",
    "windows": 't."end"',
    "vibration": 't."start"',
    "waveforms": 't."start"',
    "anomalies": "t.time",
    "anomaly_log": "t.time",
    "dead_letters": "t.stored_at",
}
_ORDER = {
    "readings": "t.seq, s.name, t.ts, t.value, t.quality",
    "windows": 't.seq, s.name, t."start", t.segment',
    "vibration": 't.seq, s.name, t."start"',
    "waveforms": 't.seq, s.name, t."start"',
    "anomalies": "t.seq, t.position, t.id",
    "anomaly_log": "t.seq, t.position, t.id, t.revision",
    "signals": "t.seq, t.id",
    "dead_letters": "t.seq, t.position",
    "feedback": "t.seq",
}
_NAME = dict.fromkeys(LAKE_TABLES, "s.name") | dict.fromkeys(("anomalies", "anomaly_log", "signals"), "t.name")


def _columns(cursor: Cursor, kind: str, raw_times: bool) -> str:
    described = cursor.execute(f"DESCRIBE {kind}").fetchall()
    own = [
        _column(str(row[0]), str(row[1]), raw_times)
        for row in described
        if not (kind in _NUMBERED and row[0] == "signal")
    ]
    if kind in _BY_SIGNAL:
        return ", ".join(["s.name AS signal", *own])
    if kind == "signals":
        seen = "x.last_seen" if raw_times else "epoch_us(x.last_seen) AS last_seen"
        stats = ("rate_hz", "readings", "late", "duplicates", "bad", "windows", "anomalies", "maturity", "idle")
        own += [seen, *(f"x.{name}" for name in stats)]
    return ", ".join(own)


def _column(name: str, kind: str, raw_times: bool) -> str:
    column = f"t.{quoted(name)}"
    if kind == "BLOB" and not raw_times:
        # A payload can be as large as a message: an answer has its beginning, an export all of it.
        return f"{column}[1:{SHOWN_BYTES}] AS {quoted(name)}, octet_length({column}) AS {quoted(f'{name}_bytes')}"
    return f"epoch_us({column}) AS {quoted(name)}" if kind == "TIMESTAMP" and not raw_times else column


def _tests(kind: str, where: Filter) -> tuple[str, list[Any]]:
    tests: list[tuple[str, list[Any]]] = []
    if (name := _NAME.get(kind)) is not None:
        if where.signal is not None:
            tests.append((f"{name} GLOB ?", [_glob(where.signal)]))
        if where.asset is not None:
            one, asset = ("s", "s.asset") if kind in _BY_SIGNAL else ("t", "t.asset")
            tests.append(
                (
                    f"({asset} GLOB ? OR concat({one}.site, '/', {asset}) GLOB ?)",
                    [_glob(where.asset), _glob(where.asset)],
                )
            )
    if kind == "dead_letters" and where.reason is not None:
        tests.append(("t.reason = ?", [where.reason]))
    if (time := _TIME.get(kind)) is not None:
        bounds = (("since_us", ">="), ("until_us", "<"))
        tests += [
            (f"{time} {op} make_timestamp(?)", [us]) for key, op in bounds if (us := getattr(where, key)) is not None
        ]
    return "".join(f" AND {sql}" for sql, _ in tests), [value for _, values in tests for value in values]


def _glob(pattern: str) -> str:
    """Only `*` is special in our patterns."""
    return "".join(f"[{char}]" if char in "?[]" else char for char in pattern).replace("[]]", "[]]")


def _overlaps(file: Any, where: Filter | None) -> bool:
    """Whether a file can hold rows of the filter; `until` only prunes by the lower bound of event time."""
    if where is None:
        return True
    early = where.since_us is not None and file.ts_hi_us < where.since_us and file.table != "windows"
    late = where.until_us is not None and file.ts_lo_us >= where.until_us
    return not (early or late)


def _copy_options(kind: str, target: Path) -> str:
    if kind not in EXPORTS:
        raise StoreError(f"cannot export {kind!r}: must be one of {', '.join(EXPORTS)}")
    formats = {".parquet": "FORMAT parquet, COMPRESSION zstd", ".csv": "FORMAT csv, HEADER"}
    if target.suffix.lower() not in formats:
        raise StoreError(f"{target}: must end in .parquet or .csv")
    return formats[target.suffix.lower()]


def _parse_token(after: str | None) -> tuple[int, int]:
    if after is None:
        return 0, 0
    seq, _, skip = after.partition(":")
    if not (seq.isdigit() and skip.isdigit()):
        raise StoreError(f"page token {after!r}: must be one that a page gave as next")
    return int(seq), int(skip)


def _token(columns: tuple[str, ...], rows: list[tuple[Any, ...]], limit: int, seq: int, skip: int) -> str | None:
    """Last sequence seen and how many of its rows: no row is skipped or repeated between pages."""
    if len(rows) < limit:
        return None
    at = columns.index("seq")
    last = rows[-1][at]
    same = sum(row[at] == last for row in rows)
    return f"{last}:{same + (skip if last == seq else 0)}"


def _count(cursor: Cursor, rows: str) -> int:
    row = cursor.execute(f"SELECT count(*) FROM {rows}").fetchone()
    return int(row[0]) if row else 0
