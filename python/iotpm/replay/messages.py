"""From files to messages, one generator for both ways: through a stream, or straight into an engine.

Stream time of a row is its event time (never going back within a file). Ticks come every `period` = the larger of 1 s
and the typical interval of the file, counted from its first row. In a gap they stop after `horizon` = 1.5 times the
longest idle timeout in sight (30 s, 10 typical intervals of the slowest signal of the first rows, or the configured
one) plus two periods: by then every signal is idle, and a tick does nothing to an idle signal. One more tick at the
end of the gap catches signals slower than those of the first rows. So a gap of years costs no more ticks than one of
minutes. The control message `end` closes each file: its series has ended, which is no gap.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Final

import numpy as np

from .. import subjects
from ..virtual import Messages
from .frames import FrameFile
from .source import Rows, Source
from .ticks import Ticks
from .times import MICROSECONDS_BELOW, MILLISECONDS_BELOW, rfc3339

MAX_READINGS: Final = 1_000
"""Readings of one message, at most; more at the same time go on in the next message."""


def replay_messages(
    source: Source, names: subjects.Names, start_us: int | None = None, idle_timeout_s: float = 0.0
) -> Iterator[Messages]:
    """Messages with the subjects of `names`, file after file; each file ends with the control message `end`.

    One JSON array message holds the readings of one asset at one time. Rows before `start_us` are left out;
    `idle_timeout_s` is the longest idle timeout of the templates. Raises SourceError at the first row that cannot be
    read.
    """
    for file in source.files:
        if isinstance(file, FrameFile):
            yield from file.messages(names, start_us, idle_timeout_s)
        else:
            yield from _file_messages(file.batches(), names, start_us, idle_timeout_s)


def _file_messages(
    batches: Iterator[Rows], names: subjects.Names, start_us: int | None, idle_timeout_s: float
) -> Iterator[Messages]:
    batches = (kept for rows in batches if len(kept := _from(rows, start_us)))
    first = next(batches, None)
    if first is None:
        return
    ticks, writer = Ticks.of(first, idle_timeout_s), _Writer(names)
    for rows in chain([first], batches):
        yield writer.messages(rows, ticks)
    closing = Messages()
    closing.end(names, ticks.now_us)
    yield closing


def _from(rows: Rows, start_us: int | None) -> Rows:
    if start_us is None or int(rows.times_us.min()) >= start_us:
        return rows
    keep = rows.times_us >= start_us
    raw = None if rows.raw is None else [r for r, kept in zip(rows.raw, keep.tolist(), strict=True) if kept]
    return Rows(rows.site, rows.assets, rows.signals, rows.index[keep], rows.times_us[keep], rows.values[keep], raw)


class _Writer:
    """Turns rows into messages; keeps what depends on the signal alone."""

    def __init__(self, names: subjects.Names) -> None:
        self._names = names
        self._subjects: list[str] = []
        self._heads: list[str] = []

    def messages(self, rows: Rows, ticks: Ticks) -> Messages:
        self._learn(rows)
        out = Messages()
        bounds = self._bounds(rows)
        for begin, end in pairwise(bounds):
            for tick_us in ticks.advance(int(rows.times_us[begin])):
                out.tick(self._names, tick_us)
            subject = self._subjects[rows.index[begin]]
            out.add(subject, self._payload(rows, begin, end), ticks.now_us, end - begin)
        return out

    def _learn(self, rows: Rows) -> None:
        for asset, signal in list(zip(rows.assets, rows.signals, strict=True))[len(self._heads) :]:
            self._subjects.append(self._names.raw(rows.site, asset))
            self._heads.append(f'{{"metric":{json.dumps(signal, ensure_ascii=False)},"timestamp":')

    def _bounds(self, rows: Rows) -> list[int]:
        """Where messages begin, and the end: at every new time or asset, and after `MAX_READINGS`."""
        asset_numbers = {asset: i for i, asset in enumerate(dict.fromkeys(rows.assets))}
        asset_of = np.array([asset_numbers[asset] for asset in rows.assets])[rows.index]
        changes = (np.diff(rows.times_us) != 0) | (np.diff(asset_of) != 0)
        if rows.raw is not None:
            changes = np.ones_like(changes)
        starts = [0, *(np.flatnonzero(changes) + 1).tolist(), len(rows)]
        pieces = (range(begin, end, MAX_READINGS) for begin, end in pairwise(starts))
        return [*chain.from_iterable(pieces), len(rows)]

    def _payload(self, rows: Rows, begin: int, end: int) -> bytes:
        if rows.raw is not None:
            return rows.raw[begin]
        time = _timestamp(int(rows.times_us[begin]))
        index, values = rows.index[begin:end].tolist(), rows.values[begin:end].tolist()
        parts = [f'{self._heads[i]}{time},"value":{_json(v)}}}' for i, v in zip(index, values, strict=True)]
        return f"[{','.join(parts)}]".encode()


def _timestamp(time_us: int) -> str:
    """An epoch number where its magnitude says microseconds, else RFC 3339."""
    return str(time_us) if MILLISECONDS_BELOW <= abs(time_us) < MICROSECONDS_BELOW else f'"{rfc3339(time_us)}"'


def _json(value: float) -> str:
    return "null" if value != value else repr(value)
