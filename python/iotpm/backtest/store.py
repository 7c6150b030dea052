"""The readings of a store as a history: DuckDB's tables and the lake's files of a stopped node, or a running node's
answer. Late readings are part of it, in the order of their arrival, so that another `lateness_s` shows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError
from ..subjects import asset_of_signal
from .history import Piece, Portion, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..store.database import Cursor

SLICE_READINGS: Final = 1_000_000
"""Readings that a worker has in memory at once, about."""
BUCKETS: Final = 4_096
"""Parts of the order of arrival whose readings are counted, to cut slices."""


@dataclass(frozen=True, slots=True)
class StoredSignal:
    """A signal of the store with its readings within the span."""

    id: int
    name: str
    readings: int

    @property
    def asset(self) -> str:
        """`site/asset`."""
        return asset_of_signal(self.name)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the readings are and how their arrival is ordered."""

    data_dir: Path
    exported: Path | None
    """A running node's readings, as a Parquet file."""
    arrival: str
    """SQL of the order of arrival: the stream's sequence, or the broker's time where streams were re-created."""


@dataclass(frozen=True, slots=True)
class StorePortion:
    """Some assets of the store."""

    place: Place
    span: Span
    signals: tuple[StoredSignal, ...]
    """All signals of these assets, those of an asset side by side."""
    bounds: tuple[int, ...]
    """Order of arrival: slices are [bounds[i], bounds[i + 1])."""

    def pieces(self) -> Iterator[Piece]:
        """Slice by slice, in each asset by asset."""
        assets = list(dict.fromkeys(signal.asset for signal in self.signals))
        number = {asset: place for place, asset in enumerate(assets)}
        first = np.searchsorted([number[signal.asset] for signal in self.signals], np.arange(len(assets) + 1))
        with _opened(self.place) as cursor:
            _name_signals(cursor, self.signals, [number[signal.asset] for signal in self.signals])
            last = dict.fromkeys(assets, 0)
            for begin, end in pairwise(self.bounds):
                columns = _fetch(cursor, self.place, self.span, begin, end)
                for piece in self._cut(columns, assets, first):
                    yield _numbered(piece, last)

    def in_order(self) -> Iterator[Piece]:
        """Slice by slice, the assets' readings among each other."""
        names, last = tuple(signal.name for signal in self.signals), {"": 0}
        with _opened(self.place) as cursor:
            _name_signals(cursor, self.signals, [0] * len(self.signals))
            for begin, end in pairwise(self.bounds):
                columns = _fetch(cursor, self.place, self.span, begin, end)
                if len(columns["ts"]):
                    yield _numbered(_piece("", names, columns, slice(None), 0), last)

    def _cut(self, columns: dict[str, NDArray[Any]], assets: list[str], first: NDArray[np.int64]) -> Iterator[Piece]:
        places = columns["place"]
        begins = np.flatnonzero(np.diff(places, prepend=-1))
        for begin, end in pairwise([*begins, len(places)]):
            place = int(places[begin])
            names = tuple(signal.name for signal in self.signals[first[place] : first[place + 1]])
            yield _piece(assets[place], names, columns, slice(begin, end), int(first[place]))


def _piece(key: str, names: tuple[str, ...], columns: dict[str, NDArray[Any]], rows: slice, first: int) -> Piece:
    return Piece(
        key,
        names,
        (columns["number"][rows] - first).astype(np.uint32),
        columns["ts"][rows].astype(np.int64),
        columns["value"][rows].astype(np.float64),
        columns["quality"][rows].astype(np.uint8),
        columns["seq"][rows].astype(np.uint64),
    )


def _numbered(piece: Piece, last: dict[str, int]) -> Piece:
    """Messages numbered anew from 1: those of an earlier stream may have higher sequences."""
    changes = np.diff(piece.sequences.astype(np.int64), prepend=-1) != 0
    sequences = np.cumsum(changes).astype(np.uint64) + np.uint64(last[piece.key])
    last[piece.key] = int(sequences[-1])
    return replace(piece, sequences=sequences)


@dataclass(slots=True)
class StoreHistory:
    """The readings of a data directory within a span."""

    place: Place
    span: Span
    signals: list[StoredSignal]
    bounds: tuple[int, ...]
    notes: list[str] = field(default_factory=list)

    @property
    def readings(self) -> int:
        """Readings within the span, late ones included."""
        return sum(signal.readings for signal in self.signals)

    def portions(self, workers: int) -> list[Portion]:
        """The assets, spread so that each worker has about as many readings."""
        groups: list[list[StoredSignal]] = [[] for _ in range(max(1, workers))]
        loads = [0] * len(groups)
        by_asset: dict[str, list[StoredSignal]] = {}
        for signal in self.signals:
            by_asset.setdefault(signal.asset, []).append(signal)
        for members in sorted(by_asset.values(), key=lambda ms: (-sum(m.readings for m in ms), ms[0].asset)):
            least = loads.index(min(loads))
            groups[least] += members
            loads[least] += sum(member.readings for member in members)
        return [StorePortion(self.place, self.span, tuple(group), self.bounds) for group in groups if group]


@contextmanager
def store_history(data_dir: Path, span: Span) -> Iterator[StoreHistory]:
    """Open a store for reading.

    Raises:
        StoreError, BrokerError: there is no store, or it cannot be read.
        InputError: it has no readings within the span.
    """
    with ExitStack() as opened:
        place, notes = _found(data_dir, opened)
        with _opened(place) as cursor:
            signals, bounds = _signals(cursor, place, span), _bounds(cursor, place, span)
            kept = _waveform_frames(cursor, place)
        if not signals:
            raise InputError(f"{data_dir} holds no readings within these times; `iotpm status` says what it holds")
        if kept:
            notes.append("frames of waveforms are not run: a store keeps some of them only; give their files")
        yield StoreHistory(place, span, signals, bounds, notes)


def span_of(data_dir: Path) -> int | None:
    """Event time of the newest reading, microseconds: what `1d` counts back from."""
    from ..client import connect

    with connect(data_dir) as source:
        last: int | None = source.status()["stored"]["last_reading_us"]
    return last


def _found(data_dir: Path, opened: ExitStack) -> tuple[Place, list[str]]:
    """A stopped node's files, or what a running one exports."""
    from ..client import connect

    with connect(data_dir) as source:
        if source.running:
            directory = opened.enter_context(tempfile.TemporaryDirectory(prefix="iotpm-backtest-"))
            path = Path(directory) / "readings.parquet"
            source.export("readings", path)
            return Place(data_dir, path, "t.seq"), ["the node runs: late readings are not part of its answer"]
        epochs = int(source.status()["epoch"] or 1)
    if epochs == 1:
        return Place(data_dir, None, "t.seq"), []
    return Place(data_dir, None, "epoch_us(t.stored_at)"), [f"the store has {epochs} epochs: in order of storing"]


@contextmanager
def _opened(place: Place) -> Iterator[Cursor]:
    import duckdb

    from ..config import Store
    from ..store.database import Database, named

    try:
        if place.exported is not None:
            with duckdb.connect(config={"threads": 1}) as connection:
                yield connection
            return
        with Database.read_only(place.data_dir, Store()) as database, database.cursor() as cursor:
            yield cursor
    except duckdb.Error as error:
        raise named(error, place.data_dir) from error


def _rows(cursor: Cursor, place: Place, bounds: tuple[int, int] | None = None) -> str:
    """All readings as they arrived, late ones marked, as a FROM item."""
    from ..store.query import relation
    from ..store.tables import literal

    if place.exported is not None:
        return f"(SELECT *, 0 AS late FROM read_parquet('{literal(place.exported)}'))"
    by_sequence = bounds if place.arrival == "t.seq" else None
    limits = {"from_seq": by_sequence[0], "through": by_sequence[1] - 1} if by_sequence else {}
    columns = "signal, ts, value, quality, seq, stored_at"
    parts = [
        f"SELECT {columns}, {late} AS late FROM {relation(cursor, place.data_dir, table, None, **limits)}"
        for late, table in enumerate(("readings", "late_readings"))
    ]
    return f"({' UNION ALL '.join(parts)})"


def _tests(span: Span) -> str:
    first = "" if span.first_us is None else f" AND t.ts >= make_timestamp({span.first_us:d})"
    return first + ("" if span.until_us is None else f" AND t.ts < make_timestamp({span.until_us:d})")


def _signals(cursor: Cursor, place: Place, span: Span) -> list[StoredSignal]:
    """Signals with readings within the span, those of an asset side by side."""
    rows = _rows(cursor, place)
    if place.exported is not None:
        query = f"SELECT 0, t.signal, count(*) FROM {rows} t WHERE true {_tests(span)} GROUP BY ALL ORDER BY t.signal"
    else:
        query = f"""SELECT s.id, s.name, t.n FROM
                    (SELECT signal, count(*) AS n FROM {rows} t WHERE true {_tests(span)} GROUP BY signal) t
                    JOIN signals s ON s.id = t.signal ORDER BY s.name"""
    found = [StoredSignal(*row) for row in cursor.execute(query).fetchall()]
    return sorted(found, key=lambda signal: (signal.asset, signal.name))


def _bounds(cursor: Cursor, place: Place, span: Span) -> tuple[int, ...]:
    """Cuts of the order of arrival with about `SLICE_READINGS` between them, the same for every worker."""
    rows, at = _rows(cursor, place), place.arrival
    edge = cursor.execute(f"SELECT min({at}), max({at}) FROM {rows} t WHERE true {_tests(span)}").fetchone()
    if edge is None or edge[0] is None:
        return ()
    low, high = int(edge[0]), int(edge[1])
    width = (high - low) // BUCKETS + 1
    counted = cursor.execute(
        f"SELECT ({at} - {low}) // {width} AS b, count(*) FROM {rows} t WHERE true {_tests(span)} GROUP BY b ORDER BY b"
    ).fetchall()
    cuts, held = [low], 0
    for bucket, count in counted:
        if held and held + count > SLICE_READINGS:
            cuts.append(low + int(bucket) * width)
            held = 0
        held += count
    return (*cuts, high + 1)


def _waveform_frames(cursor: Cursor, place: Place) -> bool:
    return place.exported is None and cursor.execute("SELECT 1 FROM vibration LIMIT 1").fetchone() is not None


def _name_signals(cursor: Cursor, signals: tuple[StoredSignal, ...], places: list[int]) -> None:
    cursor.execute(
        """CREATE TEMP TABLE portion AS SELECT unnest($1::UINTEGER[]) AS id, unnest($2::VARCHAR[]) AS name,
           unnest($3::INTEGER[]) AS place, unnest(range($4)) AS number""",
        [[signal.id for signal in signals], [signal.name for signal in signals], places, len(signals)],
    )


def _fetch(cursor: Cursor, place: Place, span: Span, begin: int, end: int) -> dict[str, NDArray[Any]]:
    rows, at = _rows(cursor, place, (begin, end)), place.arrival
    on = "p.name = t.signal" if place.exported is not None else "p.id = t.signal"
    return cursor.execute(
        f"""SELECT p.place, p.number, epoch_us(t.ts) AS ts, coalesce(t.value, 'nan'::DOUBLE) AS value, t.quality, t.seq
            FROM {rows} t JOIN portion p ON {on}
            WHERE {at} >= {begin} AND {at} < {end} {_tests(span)}
            ORDER BY p.place, {at}, p.number, t.late, t.ts"""
    ).fetchnumpy()
