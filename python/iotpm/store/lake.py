"""Old rows move from DuckDB to Parquet: `lake/<table>/date=/hour=/<seq_lo>-<seq_hi>.parquet`.

A slice is a run of sequences of one table, placed by the hour of its earliest event time. Protocol: write under a
temporary name, fsync, rename; then one transaction lists the file and deletes the rows. Whatever a crash leaves
unlisted is removed at the next start, its rows being still in DuckDB. Readers use the list, never a glob.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import structlog

from iotpm.errors import StoreError
from iotpm.store import durable
from iotpm.store.database import named
from iotpm.store.tables import LAKE_TABLES, literal, quoted

if TYPE_CHECKING:
    from iotpm.store.database import Cursor, Database

log = structlog.get_logger(__name__)

TEMPORARY = ".tmp"


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of one table up to a sequence: what moves at once. Times in microseconds."""

    table: str
    seq_lo: int
    seq_hi: int
    rows: int
    ts_lo_us: int
    ts_hi_us: int


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A listed file; `path` is relative to the data directory."""

    path: str
    table: str
    seq_lo: int
    seq_hi: int
    rows: int
    bytes: int
    sha256: str
    tier: str
    ts_lo_us: int
    ts_hi_us: int


class Lake:
    """Moves slices; used by the thread that writes, between chunks.

    Args:
        database: the store.
        at: called with `written`, `renamed`, `listed`, `moved` (fault tests).
    """

    def __init__(self, database: Database, *, at: Callable[[str], None] = lambda _point: None) -> None:
        self.database = database
        self.root = database.data_dir / "lake"
        self._settings = database.settings
        self._at = at

    def recover(self) -> list[Path]:
        """Remove what a crash left unlisted, and empty folders; returns the files. Call it once at start.

        Raises:
            StoreError: a listed file is missing or has another size: rows were lost or altered outside.
        """
        with self.database.cursor() as cursor:
            listed = {self.database.data_dir / f.path: f for f in files(cursor)}
        for path, file in listed.items():
            _check_file(path, file)
        stray = [path for path in self.root.rglob("*") if path.is_file() and path not in listed]
        for path in stray:
            log.warning("lake_file_removed", path=str(path), reason="not listed: its rows are still in the store")
            path.unlink()
        durable.remove_empty(self.root)
        return stray

    def step(self, *, lag: int = 0, keep_rows: int | None = None) -> LakeFile | None:
        """Move one slice of the first table that has too many rows; None if there is nothing to move or too much lag.

        Args:
            lag: messages behind; beyond `lake_max_lag` nothing moves.
            keep_rows: rows that stay in a table; None takes `lake_after_rows`.

        Raises:
            StoreFull: no room for the file; the rows stay where they are.
        """
        if lag > self._settings.lake_max_lag:
            return None
        piece = self.next(keep_rows=keep_rows)
        return self.move(piece) if piece else None

    def step_table(self, table: str, *, keep_rows: int) -> LakeFile | None:
        """Move one slice of a table if it has more rows than stay (see `step` for errors)."""
        piece = self._next(table, keep_rows)
        return self.move(piece) if piece else None

    def move(self, piece: Slice) -> LakeFile:
        """Move one slice (see `step` for errors)."""
        file = self.extract(piece)
        self.enter(file, piece)
        return file

    def next(self, *, keep_rows: int | None = None, at_least: int = 1) -> Slice | None:
        """The next slice that should move, None if no table has so many rows too many; from any thread."""
        keep = self._settings.lake_after_rows if keep_rows is None else keep_rows
        return next(filter(None, (self._next(table, keep, at_least) for table in LAKE_TABLES)), None)

    def next_full(self) -> Slice | None:
        """The next slice of full size: moving as rows come would make a file of every few of them."""
        return self.next(at_least=self._settings.lake_slice_rows)

    def extract(self, piece: Slice) -> LakeFile:
        """Write a slice's file; its rows stay until `enter`. From any thread, for such rows no longer change.

        Raises:
            StoreFull: no room for the file.
        """
        column = quoted(LAKE_TABLES[piece.table])
        select = (
            f"SELECT * FROM {piece.table} WHERE seq BETWEEN {piece.seq_lo} AND {piece.seq_hi} "
            f"ORDER BY signal, {column}, seq"
        )
        file = f"lake/{piece.table}/{placed(piece.ts_lo_us)}/{piece.seq_lo}-{piece.seq_hi}.parquet"
        path = self.database.data_dir / file
        rows = self.write(select, path)
        return LakeFile(
            file,
            piece.table,
            piece.seq_lo,
            piece.seq_hi,
            rows,
            *size_and_digest(path),
            "raw",
            piece.ts_lo_us,
            piece.ts_hi_us,
        )

    def write(self, select: str, path: Path) -> int:
        """Write a query's rows to a durable Parquet file; returns their number. Raises `StoreFull`."""
        durable.make_directories(path.parent)
        temporary = path.with_name(path.name + TEMPORARY)
        try:
            with self.database.cursor() as cursor:
                row = cursor.execute(
                    f"COPY ({select}) TO '{literal(temporary)}' (FORMAT parquet, COMPRESSION zstd)"
                ).fetchone()
            self._at("written")
            durable.replace(temporary, path)
        except duckdb.Error as error:
            temporary.unlink(missing_ok=True)
            raise named(error, self.database.path) from error
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StoreError(f"{path}: {error.strerror}") from error
        self._at("renamed")
        return int(row[0]) if row else 0

    def _next(self, table: str, keep: int, at_least: int = 1) -> Slice | None:
        """The oldest rows, about `lake_slice_rows` of them, whole messages; None if the table is within bounds."""
        column = quoted(LAKE_TABLES[table])
        with self.database.cursor() as cursor:
            total = _one(cursor, f"SELECT count(*) FROM {table}")
            if total < keep + at_least:
                return None
            # Rows are appended in the order of their sequences, so the first ones are the oldest.
            wanted = min(self._settings.lake_slice_rows, total - keep)
            last = _one(cursor, f"SELECT max(seq) FROM (SELECT seq FROM {table} LIMIT {wanted})")
            row = cursor.execute(
                f"""SELECT min(seq), max(seq), count(*), epoch_us(min({column})), epoch_us(max({column}))
                    FROM {table} WHERE seq <= {last}"""
            ).fetchone()
        return Slice(table, *row) if row and row[2] else None

    def enter(self, file: LakeFile, piece: Slice) -> None:
        """One transaction of the writing thread: the file is listed, the rows are gone (see `step` for errors)."""
        connection = self.database.connection
        try:
            connection.execute("BEGIN")
            add(connection, file)
            gone = connection.execute(
                f"DELETE FROM {piece.table} WHERE seq BETWEEN {piece.seq_lo} AND {piece.seq_hi}"
            ).fetchone()
            self._at("listed")
            if gone is None or gone[0] != file.rows or file.rows != piece.rows:
                connection.execute("ROLLBACK")
                raise StoreError(
                    f"{file.path}: {file.rows} rows written, {gone and gone[0]} deleted; nothing was moved"
                )
            connection.execute("COMMIT")
        except duckdb.Error as error:
            # Ambiguous like any commit: after reopening, the list says whether the file counts.
            self.database.reopen()
            if not _is_listed(self.database.connection, file.path):
                (self.database.data_dir / file.path).unlink(missing_ok=True)
                raise named(error, self.database.path) from error
        self._at("moved")


def files(cursor: Cursor, *, table: str | None = None, tier: str | None = None) -> list[LakeFile]:
    """Listed files, oldest event time first."""
    rows = cursor.execute(
        """SELECT path, table_name, seq_lo, seq_hi, rows, bytes, sha256, tier, epoch_us(ts_lo), epoch_us(ts_hi)
           FROM lake_files WHERE ($1 IS NULL OR table_name = $1) AND ($2 IS NULL OR tier = $2)
           ORDER BY ts_hi, seq_lo, path""",
        [table, tier],
    ).fetchall()
    return [LakeFile(*row) for row in rows]


def add(connection: Cursor, file: LakeFile) -> None:
    """List a file, within the caller's transaction."""
    connection.execute(
        "INSERT INTO lake_files VALUES (?, ?, ?, ?, ?, ?, ?, ?, make_timestamp(?), make_timestamp(?))",
        [
            file.path,
            file.table,
            file.seq_lo,
            file.seq_hi,
            file.rows,
            file.bytes,
            file.sha256,
            file.tier,
            file.ts_lo_us,
            file.ts_hi_us,
        ],
    )


def verify(data_dir: Path, cursor: Cursor) -> list[str]:
    """Read every listed file and compare its SHA-256; returns the paths that differ."""
    return [f.path for f in files(cursor) if _digest(data_dir / f.path) != f.sha256]


def placed(ts_us: int) -> str:
    """Directories of an event time, UTC: `date=2026-11-21/hour=10`."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts_us)
    return moment.strftime("date=%Y-%m-%d/hour=%H")


def size_and_digest(path: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a file."""
    return path.stat().st_size, _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_file(path: Path, file: LakeFile) -> None:
    size = path.stat().st_size if path.exists() else None
    if size != file.bytes:
        found = "is missing" if size is None else f"has {size} bytes"
        raise StoreError(f"{path}: {found}, listed are {file.bytes} bytes and {file.rows} rows; restore the lake")


def _is_listed(connection: Cursor, path: str) -> bool:
    return connection.execute("SELECT 1 FROM lake_files WHERE path = ?", [path]).fetchone() is not None


def _one(cursor: Cursor, sql: str) -> int:
    row = cursor.execute(sql).fetchone()
    assert row is not None
    return int(row[0])
