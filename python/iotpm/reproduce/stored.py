"""The slice as the store has it: readings and late ones in the order of their messages, and configurations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .find import Facts, opened

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iotpm.store.database import Cursor

PIECE_SEQUENCES: Final = 200_000
"""Messages whose readings are in memory at once."""


@dataclass(frozen=True, slots=True)
class StoredPiece:
    """n readings of m signals."""

    names: tuple[str, ...]
    signals: NDArray[np.int64]
    """Which of `names`, [n]."""
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    quality: NDArray[np.uint8]
    sequences: NDArray[np.uint64]
    stream_us: NDArray[np.int64]
    """The broker's time of the message; of a virtual stream the greatest event time so far."""


def changes(found: Facts, start: int) -> list[tuple[int, str]]:
    """Configurations that came into the stream after `start`: (sequence, templates as JSON)."""
    with opened(found.data_dir) as database, database.cursor() as cursor:
        return cursor.execute(
            """SELECT seq, json FROM configurations WHERE seq > ? AND seq <= ?
               AND epoch = (SELECT epoch FROM progress) ORDER BY seq""",
            [start, found.last_seq],
        ).fetchall()


def stored_pieces(found: Facts, start: int, cuts: list[int], *, virtual: bool) -> Iterator[StoredPiece]:
    """All readings after `start` up to the anomaly; no piece reaches over one of `cuts`."""
    bounds = sorted({*range(start, found.last_seq, PIECE_SEQUENCES), *cuts, found.last_seq})
    now_us = -(2**62)
    with opened(found.data_dir) as database, database.cursor() as cursor:
        for begin, end in pairwise(bounds):
            columns = _fetch(cursor, found, begin + 1, end)
            if not len(columns["ts"]):
                continue
            piece = _piece(columns, now_us, virtual=virtual)
            now_us = int(piece.stream_us[-1])
            yield piece


def _fetch(cursor: Cursor, found: Facts, first: int, last: int) -> dict[str, Any]:
    from iotpm.store.query import relation

    columns, root = "signal, ts, value, quality, seq, stored_at", found.data_dir
    tables = [
        relation(cursor, root, table, None, from_seq=first, through=last) for table in ("readings", "late_readings")
    ]
    parts = [f"SELECT {columns}, {late} AS late FROM {table}" for late, table in enumerate(tables)]
    return cursor.execute(
        f"""SELECT s.name, epoch_us(t.ts) AS ts, coalesce(t.value, 'nan'::DOUBLE) AS value, t.quality, t.seq,
                   epoch_us(t.stored_at) AS stored
            FROM ({" UNION ALL ".join(parts)}) t JOIN signals s ON s.id = t.signal
            WHERE t.seq BETWEEN {first} AND {last} ORDER BY t.seq, s.id, t.late, t.ts"""
    ).fetchnumpy()


def _piece(columns: dict[str, Any], now_us: int, *, virtual: bool) -> StoredPiece:
    names, places = np.unique(np.asarray(columns["name"], dtype=np.str_), return_inverse=True)
    times_us = columns["ts"].astype(np.int64)
    stream_us = np.maximum(np.maximum.accumulate(times_us), now_us) if virtual else columns["stored"].astype(np.int64)
    return StoredPiece(
        tuple(names.tolist()),
        places,
        times_us,
        columns["value"].astype(np.float64),
        columns["quality"].astype(np.uint8),
        columns["seq"].astype(np.uint64),
        stream_us,
    )
