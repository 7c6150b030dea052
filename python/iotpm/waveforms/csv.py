"""Text files of columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..errors import SourceError
from .recording import Recording, checked, split_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TIMES: Final = {"t": 1.0, "time": 1.0, "s": 1.0, "sec": 1.0, "seconds": 1.0, "time_s": 1.0, "t_s": 1.0,
                 "time_ms": 1e-3, "t_ms": 1e-3, "time_us": 1e-6, "t_us": 1e-6, "timestamp": 1.0, "date": 1.0,
                 "datetime": 1.0}  # fmt: skip
"""Names of a time column, and its unit in seconds."""

_UNITS: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_UNEVEN: Final = 0.02
"""Greatest distance of the times from an even grid, on average, in steps."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Table(NamedTuple):
    names: list[str]
    """Empty without a header."""
    first: list[str]
    separator: str | None
    skip: int


def read(path: Path) -> list[Recording]:
    """A channel for every column of numbers but the time.

    Raises:
        SourceError: no numbers, a cell that is none, uneven times; names file, line or column.
    """
    table = _table(path)
    headers = table.names or [f"column{at + 1}" for at in range(len(table.first))]
    time = _time_column(table)
    numeric = [at for at, cell in enumerate(table.first) if at != time and _is_number(cell)]
    if not numeric:
        raise SourceError(f"{path}: no column of numbers in the line {table.first!r}: is the separator one of , ; tab?")
    columns = _load(path, table, numeric)
    rate, start_us = _clock(path, table, time)
    named = [split_unit(headers[at]) for at in numeric]
    return [
        Recording(name, checked(str(path), name, columns[:, at]), rate, unit, None, start_us)
        for at, (name, unit) in enumerate(named)
    ]


def _table(path: Path) -> _Table:
    """Separator, header and first row: the first line with a number in it is data."""
    before = ""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for at, line in enumerate(file):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            separator = _separator(line)
            cells = _cells(line, separator)
            if any(_is_number(cell) for cell in cells):
                return _Table(_names(before, cells), cells, separator, at)
            if at > 100:
                break
            before = line.strip()
    raise SourceError(f"{path}: no line of numbers at the beginning: is it a text file of columns?")


def _names(header: str, first: list[str]) -> list[str]:
    """The header's names if there is one for each cell; of a single column the whole line, blanks and all."""
    names = [header.strip('"')] if header and len(first) == 1 else _cells(header, _separator(header))
    return names if len(names) == len(first) else []


def _separator(line: str) -> str | None:
    return next((mark for mark in (";", "\t", ",") if mark in line), None)


def _cells(line: str, separator: str | None) -> list[str]:
    return [cell.strip().strip('"') for cell in line.strip("\r\n").split(separator)]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _time_column(table: _Table) -> int | None:
    names = [split_unit(name)[0].lower() for name in table.names]
    named = next((at for at, name in enumerate(names) if name in _TIMES), None)
    dated = next((at for at, cell in enumerate(table.first) if _moment(cell)), None)
    return named if named is not None else dated


def _load(path: Path, table: _Table, columns: Sequence[int]) -> NDArray[np.float64]:
    try:
        return np.loadtxt(
            path, delimiter=table.separator, skiprows=table.skip, usecols=columns, ndmin=2, quotechar='"',
            encoding="utf-8-sig",
        )  # fmt: skip
    except ValueError as error:
        raise SourceError(f"{path}: {_first_line(error)}: every line must have a number in each column") from error


def _first_line(error: ValueError) -> str:
    return re.sub(r"\s+", " ", str(error).split("\n")[0]).rstrip(".;")


def _clock(path: Path, table: _Table, time: int | None) -> tuple[float | None, int | None]:
    """Rate and time of the first sample."""
    if time is None:
        return None, None
    if _moment(table.first[time]):
        return _rate(path, _dated(path, table, time)), _us(table.first[time])
    name, unit = split_unit(table.names[time]) if table.names else ("", None)
    step = _UNITS.get(unit or "", _TIMES.get(name.lower(), 1.0))
    return _rate(path, _load(path, table, [time])[:, 0] * step), None


def _dated(path: Path, table: _Table, time: int) -> NDArray[np.float64]:
    cells: Any = np.loadtxt(
        path, delimiter=table.separator, skiprows=table.skip, usecols=[time], dtype=str, quotechar='"', ndmin=1
    )
    moments = [_us(cell) for cell in cells]
    if None in moments:
        line = table.skip + 1 + moments.index(None)
        raise SourceError(f"{path}: line {line}: {cells[moments.index(None)]!r} is no RFC 3339 time")
    whole = np.array(moments, np.int64)
    return np.asarray((whole - whole[0]) / 1e6, np.float64)


def _moment(cell: str) -> datetime | None:
    if not re.match(r"\d{4}-\d\d-\d\d[T ]", cell):
        return None
    try:
        when = datetime.fromisoformat(cell.strip())
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _us(cell: str) -> int | None:
    when = _moment(cell)
    return None if when is None else (when - _EPOCH) // timedelta(microseconds=1)


def _rate(path: Path, times_s: NDArray[np.float64]) -> float:
    """Steps must be even: the samples' distance from an even grid, on average, below a fiftieth of a step."""
    n, span = times_s.size, times_s[-1] - times_s[0]
    if n < 2 or not span > 0:
        raise SourceError(f"{path}: the time column does not rise: leave it out and give the rate")
    step = span / (n - 1)
    away = np.abs(times_s - times_s[0] - step * np.arange(n)).mean() / step
    if away > max(_UNEVEN, _rounding(times_s) / step):
        raise SourceError(
            f"{path}: samples are not equally spaced (on average {away:.2g} steps off a grid): resample them first"
        )
    return float(f"{1 / step:.9g}")


def _rounding(times_s: NDArray[np.float64]) -> float:
    """How far rounding alone moves times off an even grid, in seconds: a quarter of a place, and some room."""
    for places in range(10):
        scaled = times_s[:1000] * 10.0**places
        if np.allclose(scaled, np.round(scaled), rtol=1e-15, atol=1e-6):
            return float(0.4 * 10.0**-places)
    return 0.0
