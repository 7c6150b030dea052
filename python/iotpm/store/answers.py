"""What can be asked of a store: the same questions and answers from a running node and from a stopped one's files.

A question is a plain dictionary with allow-listed keys; values are prepared, names come from constants. Rows go out in
pages of at most `max_rows` rows and `max_bytes` bytes. A page's `next` continues it: `sequence:rows of it seen:last
sequence`, so that pages agree with each other while rows come in and move to the lake.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from iotpm.errors import InputError, StoreError
from iotpm.store.database import named
from iotpm.store.figures import caught_up
from iotpm.store.lake import files
from iotpm.store.query import EXPORTS, Filter, relation, select
from iotpm.store.tables import literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotpm.store.database import Cursor, Database

Question = dict[str, Any]

MAX_BYTES = 4 << 20
DEFAULT_LIMIT = 1000
_PATTERNS = ("signal", "asset")
_TIMES = ("since_us", "until_us")
_FILTERS = (*_PATTERNS, *_TIMES)
_PAGING = ("limit", "after")
# A re-created stream begins at 1 again: rows of an earlier epoch may lie beyond the position.
_LAST = """SELECT greatest(coalesce((SELECT max(seq) FROM progress), 0),
                           coalesce((SELECT max(previous_seq) FROM epochs), 0))"""
_COUNTED = ("readings", "late_readings", "windows", "vibration", "waveforms")


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a page begins: behind `skip` rows of sequence `seq`; rows beyond `through` belong to no page."""

    seq: int | None
    skip: int
    through: int

    @classmethod
    def parse(cls, token: str) -> Cut:
        """Raises InputError for anything but a page's `next`."""
        parts = token.split(":")
        if len(parts) != 3 or not all(part.isdigit() and len(part) < 20 for part in parts):
            raise InputError(f"after {token!r}: must be what a page gave as next")
        return cls(*map(int, parts))

    def __str__(self) -> str:
        return f"{self.seq}:{self.skip}:{self.through}"


@dataclass(frozen=True, slots=True)
class ParquetPage:
    """Rows as the bytes of a Parquet file; `seq` of `through` is how far a whole export is."""

    data: bytes
    rows: int
    seq: int
    through: int
    next: str | None


class Answers:
    """Answers from one store; safe from any thread.

    Args:
        database: the owner's, or `Database.read_only`.
        max_rows: rows of a page, at most.
        max_bytes: bytes of a page, at most; a row that is larger is an error.
        live_signals: a running node's `signal_stats()`; None takes the table of the last snapshot or drain, and counts
            what was stored since.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_rows: int = 10_000,
        max_bytes: int = MAX_BYTES,
        live_signals: Callable[[], object] | None = None,
    ) -> None:
        self._database = database
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._live_signals = live_signals

    def signals(self, question: Question) -> bytes:
        """Signals with their counters: keys `signal`, `asset`, `limit`, `after`."""
        return self._page("signals", question, allowed=("signal", "asset", *_PAGING))

    def anomalies(self, question: Question) -> bytes:
        """The latest revision of each anomaly, last changed first: filters, `limit`, `after`."""
        return self._page("anomalies", question, allowed=(*_FILTERS, *_PAGING), newest_first=True)

    def revisions(self, question: Question) -> bytes:
        """Revisions in the order in which they were committed, behind sequence `behind`: filters, `limit`, `after`."""
        return self._page("anomaly_log", question, allowed=(*_FILTERS, *_PAGING, "behind"))

    def feedback(self, question: Question) -> bytes:
        """What operators said, in the order in which it acted, behind sequence `behind`: `limit`, `after`."""
        return self._page("feedback", question, allowed=(*_PAGING, "behind"))

    def dead_letters(self, question: Question) -> bytes:
        """Refused messages and readings with the reason, in the order of the stream: `since_us`, `until_us`, `reason`.

        Also `limit`, `after`, and `behind` (a sequence) or `newest_first` (true).
        """
        told, newest_first = dict(question), question.get("newest_first", False)
        told.pop("newest_first", None)
        if not isinstance(newest_first, bool) or (newest_first and "behind" in told):
            raise InputError(f"newest_first {newest_first!r}: must be true or false, and not true beside behind")
        allowed = (*_TIMES, "reason", *_PAGING, "behind", "newest_first")
        return self._page("dead_letters", told, allowed=allowed, newest_first=newest_first)

    def stored(self) -> dict[str, Any]:
        """Counts, position, times and bytes: what a person asks of a store first."""
        with self._read() as cursor:
            facts = _facts(cursor) | self._times(cursor)
            facts |= {"rows": _counts(cursor), "lake_files": len(files(cursor))}
            facts |= {"dead_letters": dict(cursor.execute(_REASONS).fetchall())}
        return facts | {"bytes": _bytes(self._database.data_dir)}

    def export_page(self, question: Question) -> ParquetPage:
        """Rows of `kind` (one of `EXPORTS`) in the order of their sequences, times as timestamps.

        Keys: `kind`, filters, `limit`, `after`.
        """
        _check_keys(question, ("kind", *_FILTERS, *_PAGING))
        kind = question.get("kind")
        if kind not in EXPORTS:
            raise InputError(f"kind {kind!r}: must be one of {', '.join(EXPORTS)}")
        if kind == "dead_letters" and (told := [key for key in _PATTERNS if question.get(key) is not None]):
            raise InputError(f"{' and '.join(told)}: dead letters are of no signal; select them by time")
        with tempfile.TemporaryDirectory(prefix="iotpm-page-") as directory, self._read() as cursor:
            cut = _cut(cursor, question)
            return self._export(cursor, kind, _filter(question), cut, self._limit(question), Path(directory))

    def _export(self, cursor: Cursor, kind: str, where: Filter, cut: Cut, limit: int, directory: Path) -> ParquetPage:
        first, root = cut.seq or 0, self._database.data_dir
        last = cut.through if kind == "anomalies" else _page_end(cursor, root, kind, cut, limit)
        bounds: dict[str, Any] = {"from_seq": first, "through": last, "as_of": cut.through}
        sql, values = select(cursor, root, kind, where, raw_times=True, **bounds)
        path = directory / "page.parquet"
        copy = f"COPY ({sql} LIMIT {limit} OFFSET {cut.skip}) TO '{literal(path)}' (FORMAT parquet, COMPRESSION zstd)"
        rows = _one(cursor, copy, values)
        if path.stat().st_size > self._max_bytes:
            if limit == 1:
                raise StoreError(f"{kind}: a single row is larger than {self._max_bytes} bytes, the most in a message")
            return self._export(cursor, kind, where, cut, max(1, limit // 2), directory)
        following = _after_file(cursor, path, cut, last, full=rows == limit)
        return ParquetPage(path.read_bytes(), rows, last if following is None else following.seq or 0, cut.through,
                           None if following is None else str(following))  # fmt: skip

    def _page(self, kind: str, question: Question, *, allowed: tuple[str, ...], newest_first: bool = False) -> bytes:
        _check_keys(question, allowed)
        limit, where = self._limit(question), _filter(question)
        with self._read() as cursor:
            cut, root = _cut(cursor, question), self._database.data_dir
            bounds = _bounds(cut, newest_first=newest_first)
            stats = self._stats(cursor) if kind == "signals" else "signal_stats"
            sql, values = select(cursor, root, kind, where, newest_first=newest_first, stats=stats, **bounds)
            cursor.execute(f"{sql} LIMIT {limit} OFFSET {cut.skip}", values)
            columns = [str(item[0]) for item in cursor.description or ()]
            rows = cursor.fetchall()
        return self._encoded(columns, rows, cut, full=len(rows) == limit)

    def _encoded(self, columns: list[str], rows: list[tuple[Any, ...]], cut: Cut, *, full: bool) -> bytes:
        """JSON of a page, shortened until it fits."""
        following = _after_rows(columns, rows, cut) if full else None
        page = {"columns": columns, "rows": rows, "next": following, "through": cut.through}
        encoded = msgspec.json.encode(page)
        if len(encoded) <= self._max_bytes:
            return encoded
        if len(rows) <= 1:
            raise StoreError(f"a single row is larger than {self._max_bytes} bytes, the most in a message")
        return self._encoded(columns, rows[: len(rows) // 2], cut, full=True)

    def _times(self, cursor: Cursor) -> dict[str, int | None]:
        """The newest reading's time, and up to which one the signals' figures are."""
        stats, newest = self._stats(cursor), "SELECT epoch_us(max(last_seen)) FROM"
        last_us = _one(cursor, f"{newest} {stats}")
        live = self._live_signals is not None
        figures_us = last_us if live else _one(cursor, f"{newest} signal_stats")
        return {"last_reading_us": last_us, "figures_us": figures_us}

    def _stats(self, cursor: Cursor) -> str:
        if self._live_signals is None:
            return caught_up(cursor, self._database.data_dir)
        cursor.register("live_signal_stats", self._live_signals())
        return "live_signal_stats"

    def _limit(self, question: Question) -> int:
        limit = question.get("limit", DEFAULT_LIMIT)
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise InputError(f"limit {limit!r}: must be a whole number from 1")
        return min(limit, self._max_rows)

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


def _check_keys(question: Question, allowed: tuple[str, ...]) -> None:
    if unknown := [key for key in question if key not in allowed]:
        raise InputError(f"{', '.join(map(repr, unknown))}: unknown, must be among {', '.join(allowed)}")


def _filter(question: Question) -> Filter:
    told = {key: question[key] for key in (*_FILTERS, "reason") if question.get(key) is not None}
    for key, value in told.items():
        if key in (*_PATTERNS, "reason") and not isinstance(value, str):
            raise InputError(f"{key} {value!r}: must be text")
        if key in _TIMES and not (type(value) is int and abs(value) < 1 << 60):
            raise InputError(f"{key} {value!r}: must be microseconds since 1970")
    return Filter(**told)


def _cut(cursor: Cursor, question: Question) -> Cut:
    """The place that a question names, or the beginning of a new series of pages."""
    token, behind = question.get("after"), question.get("behind", 0)
    if token is not None:
        return Cut.parse(str(token))
    if not isinstance(behind, int) or not 0 <= behind < 1 << 63:
        raise InputError(f"behind {behind!r}: must be a sequence")
    return Cut(behind + 1 if behind else None, 0, _one(cursor, _LAST))


def _bounds(cut: Cut, *, newest_first: bool) -> dict[str, Any]:
    """Forwards, a page begins where the one before ended; backwards, it ends there."""
    if not newest_first:
        return {"from_seq": cut.seq or 0, "through": cut.through, "as_of": cut.through}
    return {"through": cut.through if cut.seq is None else cut.seq, "as_of": cut.through}


def _after_rows(columns: list[str], rows: list[tuple[Any, ...]], cut: Cut) -> str | None:
    """Behind the last row: its sequence, and how many of its rows were seen."""
    if not rows:
        return None
    at = columns.index("seq")
    last = rows[-1][at]
    same = sum(row[at] == last for row in rows)
    return str(Cut(last, same + (cut.skip if last == cut.seq else 0), cut.through))


def _after_file(cursor: Cursor, path: Path, cut: Cut, last: int, *, full: bool) -> Cut | None:
    """As `_after_rows`, of rows in a file; a page that is not full ends its sequences."""
    if not full:
        return Cut(last + 1, 0, cut.through) if last < cut.through else None
    seen, same = cursor.execute(
        f"SELECT seq, count(*) FROM read_parquet('{literal(path)}') GROUP BY seq ORDER BY seq DESC LIMIT 1"
    ).fetchone() or (last, 0)
    return Cut(seen, same + (cut.skip if seen == cut.seq else 0), cut.through)


def _page_end(cursor: Cursor, root: Path, kind: str, cut: Cut, limit: int) -> int:
    """The sequence that ends about `limit` rows: a page reads a piece of the table, not all that is left of it.

    Rows stand in the order of their sequences in the table, and lake files before it.
    """
    first, rows = cut.seq or 0, limit + cut.skip
    ahead = sorted(f.seq_hi for f in files(cursor, table=kind, tier="raw") if f.seq_hi >= first)
    within = relation(cursor, root, kind, None, from_seq=first, through=ahead[0]) if ahead else kind
    order = "ORDER BY seq" if ahead else ""
    last = _one(
        cursor,
        f"SELECT coalesce(max(seq), 0) FROM (SELECT seq FROM {within} WHERE seq BETWEEN ? AND ? {order} LIMIT {rows})",
        [first, min(cut.through, ahead[0]) if ahead else cut.through],
    )
    return min(last or (ahead[0] if ahead else cut.through), cut.through)


_REASONS = "SELECT reason, count(*) FROM dead_letters GROUP BY reason ORDER BY count(*) DESC, reason"
_CONFIGURATIONS = "SELECT seq, hash FROM configurations WHERE epoch = ? ORDER BY seq DESC LIMIT 100"
"""Since which sequence which configuration acts, the newest first."""


def _facts(cursor: Cursor) -> dict[str, Any]:
    row = cursor.execute("SELECT stream, epoch, seq, epoch_us(ts) FROM progress").fetchone() or (None, 0, 0, None)
    partition = cursor.execute("SELECT partition FROM store_info").fetchone()
    return {
        "partition": partition[0] if partition else None,
        "stream": row[0],
        "epoch": row[1],
        "committed_sequence": row[2],
        "committed_stored_us": row[3],
        "configurations": cursor.execute(_CONFIGURATIONS, [row[1]]).fetchall(),
    }


def _counts(cursor: Cursor) -> dict[str, int]:
    """Rows by table; the lake's from its list, for counting must not read files."""
    moved = dict(cursor.execute(
        "SELECT table_name, sum(rows)::BIGINT FROM lake_files WHERE tier = 'raw' GROUP BY ALL"
    ).fetchall())  # fmt: skip
    counted = {name: _one(cursor, f"SELECT count(*) FROM {name}") + moved.get(name, 0) for name in _COUNTED}
    plain = {name: _one(cursor, f"SELECT count(*) FROM {name}") for name in ("signals", "dead_letters")}
    anomalies = "SELECT count(DISTINCT id) FROM anomaly_log"
    return plain | counted | {"anomalies": _one(cursor, anomalies)}


def _bytes(root: Path) -> dict[str, int]:
    """Sizes on disk by part of the data directory; what vanishes while it is counted does not count."""
    sizes = dict.fromkeys(("store", "lake", "state", "broker"), 0)
    for path in root.rglob("*"):
        part = path.relative_to(root).parts[0]
        with contextlib.suppress(OSError):
            if path.is_file():
                sizes[part if part in sizes else "store"] += path.stat().st_size
    return sizes | {"free": shutil.disk_usage(root).free}


def _one(cursor: Cursor, sql: str, values: list[Any] | None = None) -> Any:
    rows = cursor.execute(sql, values or []).fetchall()
    return rows[0][0] if rows else None
