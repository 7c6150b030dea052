"""Files of a scan, each for itself: one that cannot be read is named with the reason and costs no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iotpm.errors import SourceError
from iotpm.replay import data_files, open_source

from .series import Series, joined, read_series

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iotpm.replay import Source

BY_ROWS = "no column is a time: rows are counted as seconds; --rate-hz or --time-column say otherwise"


@dataclass(frozen=True, slots=True)
class Unread:
    """A file of which nothing was taken, not even the readings before its mistake."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Readings:
    """What a path holds: every signal, the files that could not be read, and what was guessed or left out."""

    series: list[Series]
    unread: list[Unread]
    notes: list[str]


def read_files(path: Path, options: Mapping[str, Any]) -> Readings:
    """Every signal of a file, or of all files of a directory; `options` are those of `iotpm.replay.open_source`.

    Raises:
        SourceError: nothing could be read; it names every file and its reason.
    """
    paths, notes = data_files(path)
    found = Readings([], [], notes)
    for one in paths:
        try:
            series, told = _read(one, options, sum(map(len, found.series)))
        except (SourceError, OSError) as error:
            found.unread.append(Unread(one, str(error)))
        else:
            found.series.extend(series)
            found.notes.extend(told)
    if not found.series:
        raise SourceError("\n".join(unread.reason for unread in found.unread))
    return Readings(joined(found.series), found.unread, found.notes)


def _read(path: Path, options: Mapping[str, Any], held: int) -> tuple[list[Series], list[str]]:
    source, notes = _opened(path, options)
    series = read_series(source, held)
    if not series:
        raise SourceError(f"{path}: holds no readings (a record of vibration is for `iotpm spectrum`)")
    return series, [*notes, *source.notes]


def _opened(path: Path, options: Mapping[str, Any]) -> tuple[Source, list[str]]:
    """The source, with a row a second where no column is a time and nothing was said of it."""
    try:
        return open_source(path, **options), []
    except SourceError:
        if options.get("rate_hz") is not None or options.get("time_column") is not None:
            raise
    return open_source(path, **{**options, "rate_hz": 1.0}), [f"{path}: {BY_ROWS}"]
