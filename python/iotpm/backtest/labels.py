"""Known faults: when what was wrong. A CSV with the columns `signal`, `start`, `end`, and others that are ignored."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import SourceError
from ..replay.times import time_us

COLUMNS: Final = ("signal", "start", "end")


@dataclass(frozen=True, slots=True)
class Label:
    """A fault from `start_us` to `end_us`, both inclusive, microseconds."""

    pattern: str
    """`site/asset/signal`, or `site/asset` for all of it; `*` is any run of characters."""
    start_us: int
    end_us: int

    def covers(self, name: str) -> bool:
        """Whether an anomaly of this name, `site/asset/signal` or `site/asset`, may belong to the fault."""
        whole = self.pattern if self.pattern.count("/") >= 2 else f"{self.pattern}/*"
        parts = (re.escape(part) for part in whole.split("*"))
        return re.fullmatch(".*".join(parts), name if name.count("/") >= 2 else f"{name}/") is not None

    def is_on(self, asset: str) -> bool:
        """Whether the fault is one of this asset, `site/asset`."""
        parts = (re.escape(part) for part in "/".join(self.pattern.split("/")[:2]).split("*"))
        return re.fullmatch(".*".join(parts), asset) is not None


def read_labels(path: Path) -> list[Label]:
    """The labels of a file, in order of time.

    Raises:
        SourceError: a column is missing, a time cannot be read, or an end lies before its start.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            _check_columns(path, reader.fieldnames or ())
            labels = [_label(path, reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path}: {error}: expected a CSV with the columns {', '.join(COLUMNS)}") from error
    return sorted(labels, key=lambda label: (label.start_us, label.end_us, label.pattern))


def _check_columns(path: Path, found: object) -> None:
    names = list(found) if isinstance(found, (list, tuple)) else []
    if missing := [name for name in COLUMNS if name not in names]:
        raise SourceError(f"{path}: no column {', '.join(map(repr, missing))}: needs {', '.join(COLUMNS)}")


def _label(path: Path, line: int, row: dict[str, str]) -> Label:
    pattern = (row["signal"] or "").strip()
    if pattern.count("/") < 1:
        raise SourceError(f"{path}, line {line}: signal {pattern!r}: must be site/asset/signal or site/asset")
    start_us, end_us = (_time(path, line, name, row[name]) for name in ("start", "end"))
    if end_us < start_us:
        raise SourceError(f"{path}, line {line}: the end {row['end']} lies before the start {row['start']}")
    return Label(pattern, start_us, end_us)


def _time(path: Path, line: int, column: str, text: str | None) -> int:
    try:
        return time_us((text or "").strip(), None)
    except (ValueError, TypeError) as error:
        raise SourceError(f"{path}, line {line}: {column} {text!r} is no time: must be RFC 3339 or epoch") from error
