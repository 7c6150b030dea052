"""Files as tables: columns, and rows one after another with their lines; memory is bounded by a block of rows."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

from ..errors import SourceError

SAMPLE_ROWS: Final = 100
_SEPARATORS: Final = (",", ";", "\t", "|")
_FETCH_ROWS: Final = 8_192
_MAX_LINE: Final = 1 << 24

Row = tuple[int, Sequence[Any]]


class Table(Protocol):
    """A file with named columns."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order."""

    @property
    def decimal_comma(self) -> bool:
        """Whether numbers are written with a decimal comma."""

    @property
    def notes(self) -> list[str]:
        """What was guessed about the file."""

    def rows(self) -> Iterator[Row]:
        """Line (or row) number and cells of every row, from the first; may be called again."""


@dataclass(slots=True)
class CsvTable:
    """Text with separated columns."""

    path: Path
    columns: list[str]
    separator: str
    encoding: str
    has_header: bool
    decimal_comma: bool
    notes: list[str]

    def rows(self) -> Iterator[Row]:
        """Rows after the header; raises SourceError at a row with another number of cells."""
        reader = csv.reader(_decoded(self.path, self.encoding), delimiter=self.separator)
        for index, cells in enumerate(_checked(reader, self.path)):
            if (index == 0 and self.has_header) or not cells:
                continue
            if len(cells) != len(self.columns):
                raise SourceError(
                    f"{self.path}, line {reader.line_num}: {len(cells)} cells, but the file has {len(self.columns)}"
                    f" columns (separator {self.separator!r}): mend the line or give --separator"
                )
            yield reader.line_num, cells


def _checked(reader: Any, path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise SourceError(f"{path}, line {reader.line_num}: {error}: is this a text file with columns?") from error


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    """Lines as text; raises SourceError naming the line and the byte that is not in `encoding`."""
    if encoding.startswith("utf-16"):
        with path.open(encoding=encoding, newline="") as text:
            yield from text
        return
    with path.open("rb") as file:
        for line, raw in enumerate(iter(lambda: file.readline(_MAX_LINE), b""), start=1):
            yield _decode(path, line, raw, "utf-8-sig" if line == 1 and encoding == "utf-8" else encoding)


def _decode(path: Path, line: int, raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        raise SourceError(
            f"{path}, line {line}: byte 0x{byte:02x} at position {error.start + 1} is not {encoding}: give"
            " the encoding, such as --encoding latin-1, or convert the file"
        ) from error


def open_csv(path: Path, separator: str | None, encoding: str | None) -> CsvTable:
    """Opens a text file; finds what is not told. Raises SourceError for an empty file or one without columns."""
    encoding = _known(encoding) or _encoding(path)
    first = [line for line in islice(_decoded(path, encoding), SAMPLE_ROWS + 1) if line.strip()]
    if not first:
        raise SourceError(f"{path}: the file is empty: expected a header and rows of numbers")
    notes: list[str] = []
    separator = _told(separator) or _separator(first)
    head, *body = list(csv.reader(first, delimiter=separator))
    has_header = not all(_is_plain_number(cell) for cell in head)
    columns = [cell.strip() for cell in head] if has_header else [f"column_{i + 1}" for i in range(len(head))]
    if not has_header:
        notes.append(f"no header line: columns are named column_1 to column_{len(columns)}")
    if has_header and not body:
        raise SourceError(f"{path}: there is a header ({', '.join(columns[:10])}) but no row of data below it")
    decimal_comma = separator != "," and _has_decimal_comma(body or [head])
    if decimal_comma:
        notes.append("numbers are written with a decimal comma")
    return CsvTable(path, columns, separator, encoding, has_header, decimal_comma, notes)


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    return "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"


def _known(encoding: str | None) -> str | None:
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError as error:
            raise SourceError(f"--encoding {encoding!r}: unknown; such as utf-8, latin-1, utf-16, cp1252") from error
    return encoding


def _told(separator: str | None) -> str | None:
    """One character; a tabulator is hard to type."""
    if separator in ("tab", "\\t"):
        return "\t"
    if separator is not None and len(separator) != 1:
        raise SourceError(f"--separator {separator!r}: must be one character, or 'tab'")
    return separator


def _separator(lines: Sequence[str]) -> str:
    """The separator with the most columns among those that give every sampled line equally many; else the header's."""

    def columns(separator: str) -> tuple[bool, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=separator)]
        return len(set(counts)) == 1 and counts[0] > 1, counts[0]

    return max(_SEPARATORS, key=columns)


def _is_plain_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _has_decimal_comma(rows: Sequence[Sequence[str]]) -> bool:
    cells = [cell.strip() for row in rows for cell in row if "," in cell]
    return bool(cells) and all(cell.count(",") == 1 and _is_plain_number(cell) for cell in cells)


@dataclass(slots=True)
class ParquetTable:
    """A Parquet file, read by DuckDB in blocks of rows."""

    path: Path
    columns: list[str]
    notes: list[str]
    decimal_comma: bool = False

    def rows(self) -> Iterator[Row]:
        """Rows in file order; the line is the row's number, from 1."""
        import duckdb

        with duckdb.connect(config={"threads": 1}) as connection:
            cursor = connection.execute("SELECT * FROM read_parquet($1)", [str(self.path)])
            number = 0
            while block := cursor.fetchmany(_FETCH_ROWS):
                yield from ((number + i + 1, row) for i, row in enumerate(block))
                number += len(block)


def open_parquet(path: Path) -> ParquetTable:
    """Opens a Parquet file. Raises SourceError if it is none, or holds no row."""
    import duckdb

    try:
        with duckdb.connect() as connection:
            cursor = connection.execute("SELECT * FROM read_parquet($1) LIMIT 1", [str(path)])
            columns, first = [column[0] for column in cursor.description or ()], cursor.fetchone()
    except duckdb.Error as error:
        raise SourceError(f"{path}: no readable Parquet file ({str(error).splitlines()[0]})") from error
    if first is None:
        raise SourceError(f"{path}: the file has columns ({', '.join(columns[:10])}) but no row")
    return ParquetTable(path, columns, [])
