"""Finding and reading the files of a data set, whole or in part."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iotpm.errors import InputError, SourceError

Floats = NDArray[np.float64]


def none_found(directory: Path, layout: str) -> InputError:
    """The error of a directory that holds no file of the benchmark; `layout` says which are expected."""
    if not directory.exists():
        return InputError(f"{directory} does not exist: pass the folder that holds\n{layout}")
    held = "the file" if directory.is_file() else "a folder"
    return InputError(f"{directory}: {held} without any file of this benchmark; pass the folder that holds\n{layout}")


def below(directory: Path, pattern: str) -> list[Path]:
    """Files below `directory` (or `directory` itself, if it is one) whose names match, in order of their paths."""
    if directory.is_file():
        return [directory] if directory.match(pattern) else []
    return sorted(path for path in directory.rglob(pattern) if path.is_file())


def shared_root(paths: Sequence[Path], depth: int) -> Iterator[tuple[str, Path]]:
    """(the last `depth` parts of the path, the path): the name of a file inside its data set."""
    for path in paths:
        yield "/".join(path.parts[-depth:]), path


def columns(path: Path, delimiter: str = ",") -> dict[str, list[str]]:
    """A text table with a header line, as text by column.

    Raises:
        SourceError: no header, or a line of another number of fields.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file, delimiter=delimiter))
    if not rows:
        raise SourceError(f"{path} is empty: a header line was expected")
    header = rows[0]
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise SourceError(f"{path}, line {number}: {len(row)} fields, the header has {len(header)}")
    return {name: [row[at] for row in rows[1:]] for at, name in enumerate(header)}


def numbers(path: Path, table: dict[str, list[str]], column: str) -> Floats:
    """One column of `columns` as numbers (n), finite.

    Raises:
        SourceError: no such column, or a field that is no finite number.
    """
    if column not in table:
        raise SourceError(f"{path} has no column {column!r}: it has {', '.join(table)}")
    try:
        values = np.array([float(text) for text in table[column]])
    except ValueError as error:
        raise SourceError(f"{path}, column {column!r}: {error}") from error
    return finite(path, values, f"column {column!r}")


def matrix(path: Path) -> Floats:
    """A `.npy` file, or text of numbers with spaces between, as float64.

    Raises:
        SourceError: a file that is neither, or holds values that are not finite.
    """
    try:
        values: NDArray[Any] = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path, ndmin=2)
        return finite(path, values.astype(np.float64), "the file")
    except (ValueError, EOFError) as error:
        raise SourceError(f"{path} cannot be read as numbers: {error}") from error


def finite(path: Path, values: Floats, what: str) -> Floats:
    """The values, if all are finite.

    Raises:
        SourceError: the first that is not.
    """
    wrong = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if len(wrong):
        raise SourceError(f"{path}, {what}: row {wrong[0] + 1} holds a value that is not finite")
    return values
