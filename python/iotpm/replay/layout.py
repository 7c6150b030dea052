"""Which column is what: found from names and the first rows, or told; every guess is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import SourceError
from .times import is_time_text, number, time_us

_TIME_NAMES: Final = ("timestamp", "time", "datetime", "date_time", "date", "ts", "event_time", "utc")
_SIGNAL_NAMES: Final = ("signal", "metric", "sensor", "sensor_id", "tag", "variable", "name")
_VALUE_NAMES: Final = ("value", "val", "reading")
_LABEL_NAMES: Final = frozenset({"anomaly", "changepoint", "label", "is_anomaly", "anomaly_label"})


@dataclass(frozen=True, slots=True)
class Options:
    """What the user said about the files; None where it is to be found."""

    time_column: str | None = None
    time_format: str | None = None
    value_columns: tuple[str, ...] | None = None
    signal_column: str | None = None
    separator: str | None = None
    exclude: tuple[str, ...] = ()
    rate_hz: float | None = None
    start_us: int = 946_684_800_000_000
    """Time of the first row where `rate_hz` makes the times: 2000-01-01T00:00:00Z unless told."""
    encoding: str | None = None
    site: str = "replay"
    asset: str | None = None
    frame_s: float | None = None
    """Length of the frames that waveforms are cut into; 0 takes the rows of a table as single readings."""
    unit: str | None = None
    """Unit of waveforms, where the file does not say."""


@dataclass(slots=True)
class Layout:
    """Columns by index; exactly one of `signal` (long form) and several `values` (wide form) is usual."""

    time: int | None
    values: list[int]
    signal: int | None
    notes: list[str] = field(default_factory=list)


def find_layout(where: str, columns: Sequence[str], sample: Sequence[Sequence[Any]], options: Options) -> Layout:
    """The layout of a table.

    `where` names the file in messages, `sample` holds its first rows. Raises SourceError naming columns and way out.
    """
    _refuse_duplicates(where, columns)
    _refuse_unknown(where, columns, options)
    notes: list[str] = []
    time = _time_column(where, columns, sample, options)
    rest = [i for i in range(len(columns)) if i != time and columns[i] not in options.exclude]
    signal = _signal_column(columns, rest, sample, options)
    rest = [i for i in rest if i != signal]
    values = _long_value(where, columns, rest, options) if signal is not None else None
    if values is None:
        values = _wide_values(columns, rest, sample, options, notes)
    if not values:
        raise SourceError(f"{where}: no column of numbers among {_listed(columns)}: name some with --value-column")
    return Layout(time, values, signal, notes)


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(repr(c) for c in columns[:20]) + (f" and {len(columns) - 20} more" if len(columns) > 20 else "")


def _refuse_duplicates(where: str, columns: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for i, column in enumerate(columns):
        if column in seen:
            raise SourceError(f"{where}: columns {seen[column] + 1} and {i + 1} are both named {column!r}: rename one")
        seen[column] = i


def _refuse_unknown(where: str, columns: Sequence[str], options: Options) -> None:
    told = [options.time_column, options.signal_column, *(options.value_columns or ()), *options.exclude]
    for column in told:
        if column is not None and column not in columns:
            raise SourceError(f"{where}: there is no column {column!r}; the file has {_listed(columns)}")


def _time_column(where: str, columns: Sequence[str], sample: Sequence[Sequence[Any]], options: Options) -> int | None:
    if options.rate_hz is not None:
        return None if options.time_column is None else columns.index(options.time_column)
    if options.time_column is not None:
        return columns.index(options.time_column)
    named = [i for name in _TIME_NAMES for i, column in enumerate(columns) if column.strip().lower() == name]
    texts = [i for i in range(len(columns)) if is_time_text(sample[0][i])]
    found = next((i for i in named if _reads_as_time(sample[0][i], options)), None)
    if found is None and texts:
        found = texts[0]
    if found is None:
        raise SourceError(
            f"{where}: no time column among {_listed(columns)}: name it with --time-column (and --time-format if it is"
            " unusual), or give --rate-hz if the rows are evenly spaced and have no times"
        )
    return found


def _reads_as_time(cell: Any, options: Options) -> bool:
    try:
        time_us(cell, options.time_format)
    except ValueError:
        return False
    return True


def _signal_column(
    columns: Sequence[str], rest: Sequence[int], sample: Sequence[Sequence[Any]], options: Options
) -> int | None:
    if options.signal_column is not None:
        return columns.index(options.signal_column)
    lowered = {columns[i].strip().lower(): i for i in rest}
    if options.value_columns is not None or not any(name in lowered for name in _VALUE_NAMES):
        return None
    named = (lowered[name] for name in _SIGNAL_NAMES if name in lowered)
    return next((i for i in named if not all(_is_numeric(row[i]) for row in sample)), None)


def _long_value(where: str, columns: Sequence[str], rest: Sequence[int], options: Options) -> list[int]:
    if options.value_columns is not None:
        if len(options.value_columns) != 1:
            raise SourceError(f"{where}: with a signal column there is one value column, not {options.value_columns}")
        return [columns.index(options.value_columns[0])]
    lowered = {columns[i].strip().lower(): i for i in rest}
    found = next((lowered[name] for name in _VALUE_NAMES if name in lowered), None)
    if found is None and len(rest) == 1:
        found = rest[0]
    if found is None:
        raise SourceError(
            f"{where}: which of {_listed([columns[i] for i in rest])} holds the values? Use --value-column"
        )
    return [found]


def _wide_values(
    columns: Sequence[str], rest: Sequence[int], sample: Sequence[Sequence[Any]], options: Options, notes: list[str]
) -> list[int]:
    if options.value_columns is not None:
        return [columns.index(column) for column in options.value_columns]
    kept = []
    for i in rest:
        if columns[i].strip().lower() in _LABEL_NAMES and all(_is_label(row[i]) for row in sample):
            notes.append(f"column {columns[i]!r} looks like a label (0 or 1) and is left out; --value-column keeps it")
        elif not all(_is_numeric(row[i]) for row in sample):
            notes.append(f"column {columns[i]!r} is no column of numbers and is left out")
        else:
            kept.append(i)
    return kept


def _is_label(cell: Any) -> bool:
    return _is_numeric(cell) and number(cell, decimal_comma=True) in (0.0, 1.0, None)


def _is_numeric(cell: Any) -> bool:
    try:
        number(cell, decimal_comma=True)
    except (ValueError, TypeError):
        return False
    return True
