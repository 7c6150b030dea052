"""Files as batches of readings, in file order, bounded in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import SourceError
from .frames import WAVEFORM_SUFFIXES, FrameFile, holds_waveforms
from .layout import Layout, Options, find_layout
from .ndjson import NdjsonFile
from .summary import Summary
from .tables import SAMPLE_ROWS, CsvTable, ParquetTable, Table, open_csv, open_parquet
from .times import number, time_us

BATCH_READINGS: Final = 8_192

_CSV, _PARQUET, _NDJSON = (".csv", ".tsv", ".txt"), (".parquet", ".pq"), (".ndjson", ".jsonl")
SUFFIXES: Final = (*_CSV, *_PARQUET, *_NDJSON, *WAVEFORM_SUFFIXES)


@dataclass(slots=True)
class Rows:
    """A batch of n readings of one file, in file order."""

    site: str
    assets: tuple[str, ...]
    """Asset of each signal, [m]."""
    signals: tuple[str, ...]
    """Names of the signals without site and asset, [m]."""
    index: npt.NDArray[np.int32]
    """Which signal a reading is of, [n]."""
    times_us: npt.NDArray[np.int64]
    """Event times in UTC, [n]."""
    values: npt.NDArray[np.float64]
    """Values, [n]; NaN where the file states one that is no finite number."""
    raw: list[bytes] | None = None
    """JSON readings as they stand in the file, [n]; only of NDJSON."""

    def __len__(self) -> int:
        return len(self.times_us)

    @property
    def names(self) -> list[str]:
        """Full names `site/asset/signal`, [m]."""
        return [f"{self.site}/{a}/{s}" for a, s in zip(self.assets, self.signals, strict=True)]


@dataclass(slots=True)
class TableFile:
    """A CSV or Parquet file with its layout."""

    table: Table
    layout: Layout
    options: Options
    path: Path
    asset: str

    @property
    def notes(self) -> list[str]:
        """What was guessed or left out."""
        return [*self.table.notes, *self.layout.notes]

    def batches(self) -> Iterator[Rows]:
        """The readings; raises SourceError at the first cell that cannot be read."""
        return self._long() if self.layout.signal is not None else self._wide()

    def _wide(self) -> Iterator[Rows]:
        columns = self.layout.values
        signals = tuple(self.table.columns[i] for i in columns)
        batch = _Building(self.options.site, tuple([self.asset] * len(signals)), signals)
        for row, (line, cells) in enumerate(self.table.rows()):
            at_us = self._time(row, line, cells)
            for signal, column in enumerate(columns):
                value = self._value(line, column, cells[column])
                if value is not None:
                    batch.add(signal, at_us, value)
            if batch.full():
                yield batch.take()
        yield from batch.rest()

    def _long(self) -> Iterator[Rows]:
        known: dict[str, int] = {}
        batch = _Building(self.options.site, (), ())
        (column,) = self.layout.values
        for row, (line, cells) in enumerate(self.table.rows()):
            name = str(cells[self.layout.signal or 0]).strip()
            if not name:
                raise self._error(line, self.layout.signal or 0, cells[self.layout.signal or 0], "is no signal name")
            value, at_us = self._value(line, column, cells[column]), self._time(row, line, cells)
            signal = known.setdefault(name, len(known))
            if signal == len(batch.signals):
                batch.assets, batch.signals = (*batch.assets, self.asset), (*batch.signals, name)
            if value is not None:
                batch.add(signal, at_us, value)
            if batch.full():
                yield batch.take()
        yield from batch.rest()

    def _time(self, row: int, line: int, cells: Sequence[Any]) -> int:
        if self.layout.time is None:
            assert self.options.rate_hz is not None
            return self.options.start_us + round(row * 1e6 / self.options.rate_hz)
        try:
            return time_us(cells[self.layout.time], self.options.time_format)
        except (ValueError, TypeError, OverflowError) as error:
            found = cells[self.layout.time]
            raise self._error(
                line,
                self.layout.time,
                found,
                "is no time: mend it, or say how it reads with --time-format, such as '%d/%m/%Y %H:%M'",
            ) from error

    def _value(self, line: int, column: int, cell: Any) -> float | None:
        try:
            return number(cell, self.table.decimal_comma)
        except (ValueError, TypeError) as error:
            raise self._error(
                line, column, cell, "is no number: mend it, or leave the column out with --exclude"
            ) from error

    def _error(self, line: int, column: int, cell: Any, wrong: str) -> SourceError:
        unit = "row" if isinstance(self.table, ParquetTable) else "line"
        shown = repr(cell)[:80]
        return SourceError(f"{self.path}, {unit} {line}, column {self.table.columns[column]!r}: {shown} {wrong}")


@dataclass(slots=True)
class _Building:
    """Rows being collected."""

    site: str
    assets: tuple[str, ...]
    signals: tuple[str, ...]
    index: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, signal: int, at_us: int, value: float) -> None:
        self.index.append(signal)
        self.times.append(at_us)
        self.values.append(value)

    def full(self) -> bool:
        return len(self.index) >= BATCH_READINGS

    def take(self) -> Rows:
        index, times, values = self.index, self.times, self.values
        self.index, self.times, self.values = [], [], []
        return Rows(
            self.site,
            self.assets,
            self.signals,
            np.array(index, dtype=np.int32),
            np.array(times, dtype=np.int64),
            np.array(values, dtype=np.float64),
        )

    def rest(self) -> Iterator[Rows]:
        if self.index:
            yield self.take()


class SourceFile:
    """One file of a source; iterate it with `batches`."""

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        self._reader: TableFile | NdjsonFile = _open_file(path, options)

    @property
    def notes(self) -> list[str]:
        """What was guessed or left out, a line each."""
        return self._reader.notes

    @property
    def holds_messages(self) -> bool:
        """Whether the file has readings as they are on the wire, with units and qualities that rows leave out."""
        return isinstance(self._reader, NdjsonFile)

    def batches(self) -> Iterator[Rows]:
        """Batches of readings in file order, about `BATCH_READINGS` each; may be called again."""
        return self._reader.batches()

    def summarise(self, summary: Summary) -> None:
        """Counts the readings."""
        for rows in self.batches():
            summary.add(rows.names, rows.index, rows.times_us, rows.values)


@dataclass(slots=True)
class Source:
    """One or several files, one asset each; files come one after another in the order of their names."""

    files: list[SourceFile | FrameFile]
    notes: list[str]
    """What was guessed or left out, each with its file; never silent."""

    def __iter__(self) -> Iterator[Rows]:
        for file in self.files:
            if isinstance(file, SourceFile):
                yield from file.batches()

    @property
    def bytes(self) -> int:
        """Size of the files."""
        return sum(file.path.stat().st_size for file in self.files)

    def summary(self) -> Summary:
        """Diagnostics of the whole source; reads it once."""
        summary = Summary()
        for file in self.files:
            summary.begin_file()
            file.summarise(summary)
        return summary


def open_source(
    path: str | Path,
    time_column: str | None = None,
    value_columns: Sequence[str] | None = None,
    signal_column: str | None = None,
    separator: str | None = None,
    site: str | None = None,
    asset: str | None = None,
    *,
    exclude: Sequence[str] = (),
    time_format: str | None = None,
    rate_hz: float | None = None,
    start_us: int | None = None,
    encoding: str | None = None,
    frame_s: float | None = None,
    unit: str | None = None,
) -> Source:
    """Opens a CSV, Parquet or NDJSON file, one of waveforms, or a directory of them, for a replay.

    Columns and separator are found from names and the first rows unless told; what was guessed is in `Source.notes`.
    `rate_hz` makes the times of rows that have none, from `start_us` on. The site is `replay` and the asset a file's
    stem unless told. Waveforms (.mat, .npz, .npy, .wav, and a CSV of more than 100 rows a second) are cut into frames
    of `frame_s`, 1 s unless told; 0 keeps the rows of a CSV as readings. `unit` is theirs. Raises SourceError naming
    file, line or column, value and the way out.
    """
    if rate_hz is not None and not (math.isfinite(rate_hz) and rate_hz > 0):
        raise SourceError(f"--rate-hz {rate_hz}: must be a finite number above 0")
    if frame_s is not None and not 0 <= frame_s <= 3600:
        raise SourceError(f"--frame {frame_s}: must be seconds from 0 to 3600")
    told = tuple(value_columns) if value_columns is not None else None
    options = Options(time_column, time_format, told, signal_column, separator, tuple(exclude), rate_hz)
    options = replace(options, encoding=encoding, site=site or options.site, asset=asset, frame_s=frame_s, unit=unit)
    if start_us is not None:
        options = replace(options, start_us=start_us)
    paths, notes = data_files(Path(path), asset)
    files = [FrameFile(p, options) if holds_waveforms(p, options) else SourceFile(p, options) for p in paths]
    return Source(files, notes + [f"{file.path}: {note}" for file in files for note in file.notes])


def data_files(path: Path, asset: str | None = None) -> tuple[list[Path], list[str]]:
    """The files of a path, by name, and a note on each that is left out.

    Raises:
        SourceError: there is none, or `asset` names several.
    """
    if path.is_file():
        return [path], []
    if not path.is_dir():
        raise SourceError(f"{path}: there is no such file or directory")
    entries = sorted(entry for entry in path.iterdir() if entry.is_file())
    files = [entry for entry in entries if entry.suffix.lower() in SUFFIXES]
    if not files:
        raise SourceError(f"{path}: no file here ends in {', '.join(SUFFIXES)}")
    if asset is not None and len(files) > 1:
        raise SourceError(f"{path}: --asset {asset!r} names one asset, but there are {len(files)} files: leave it out")
    return files, [f"{entry}: not a data file by its name, left out" for entry in entries if entry not in files]


def _open_file(path: Path, options: Options) -> TableFile | NdjsonFile:
    suffix = path.suffix.lower()
    if suffix in _NDJSON:
        return NdjsonFile(path, options.site, options.asset)
    if suffix not in (*_CSV, *_PARQUET):
        raise SourceError(f"{path}: cannot tell the format of {suffix!r}: expected {', '.join(SUFFIXES)}")
    table: CsvTable | ParquetTable
    table = open_parquet(path) if suffix in _PARQUET else open_csv(path, options.separator, options.encoding)
    sample = [cells for _, cells in islice(table.rows(), SAMPLE_ROWS)]
    layout = find_layout(str(path), table.columns, sample, options)
    return TableFile(table, layout, options, path, options.asset or path.stem)
