"""The DuckDB file of one partition: opened by one owner, reopened after an ambiguous commit."""

from __future__ import annotations

import contextlib
import threading
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import duckdb
import structlog

from iotpm.errors import StoreError, StoreFull
from iotpm.store.inserts import Inserts
from iotpm.store.lock import DirectoryLock, held
from iotpm.store.tables import literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from iotpm.config import Store

log = structlog.get_logger(__name__)

FILE = "iotpm.duckdb"
VERSION = 3
CATALOG = "store"
"""The file's name in SQL."""
ROW_GROUP_ROWS = 32_768
"""A checkpoint writes the last row group anew and compresses the full ones, so that its stall grows with their size."""
LAGGING_FACTOR = 8
"""How much larger the log may grow while the node catches up."""

Cursor = duckdb.DuckDBPyConnection

_FULL = ("no space left", "file too large", "disk quota exceeded", "out of disk", "disk is full")


class Database:
    """Owner of `<data_dir>/iotpm.duckdb`; a context manager. `Database.read_only` serves a stopped node's file.

    DuckDB's own checkpoints are off: at 3.5 ms per megabyte of log they would stall whichever commit they hit. The
    owner calls `checkpoint_if_due` between chunks instead, so that stalls stay short and the log bounded.
    """

    def __init__(self, data_dir: str | Path, settings: Store, *, partition: str = "0") -> None:
        """Open the store, making it if it is new.

        Raises:
            StoreHeld: another process has it open.
            StoreError: it belongs to another partition or to a newer release, or it is damaged.
        """
        self.data_dir = Path(data_dir)
        self.path = self.data_dir / FILE
        self.settings = settings
        self._cursors: set[Cursor] = set()
        self._mutex = threading.Lock()
        self._read_only = False
        self._inserts: Inserts | None = None
        self._lock: DirectoryLock | None = DirectoryLock(self.data_dir).acquire()
        try:
            self._connection: Cursor | None = self._connect()
            self._prepare(partition)
        except BaseException:
            self._lock.release()
            raise

    @classmethod
    def read_only(cls, data_dir: str | Path, settings: Store) -> Database:
        """Open the file of a stopped node for queries.

        Raises:
            StoreHeld: a node is running on it.
            StoreError: there is no store.
        """
        database = cls.__new__(cls)
        database.data_dir, database.settings = Path(data_dir), settings
        database.path = database.data_dir / FILE
        database._cursors, database._mutex = set(), threading.Lock()
        database._read_only, database._lock = True, None
        if not database.path.exists():
            raise StoreError(f"no store in {data_dir}: give the data_dir of a node that has run")
        database._connection = database._connect()
        return database

    @property
    def wal_bytes(self) -> int:
        """Size of DuckDB's log, bytes; its replay is part of a recovery."""
        try:
            return Path(f"{self.path}.wal").stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def connection(self) -> Cursor:
        """The writer's connection: for the one thread that writes."""
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    @property
    def inserts(self) -> Inserts:
        """Appends over `connection`."""
        if self._inserts is None or self._inserts.connection is not self.connection:
            self._inserts = Inserts(self.connection)
        return self._inserts

    @contextlib.contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """A connection of its own for one task; use it from one thread."""
        with self._mutex:
            cursor = self.connection.cursor()
            cursor.execute(f"USE {CATALOG}")
            self._cursors.add(cursor)
        try:
            yield cursor
        finally:
            with self._mutex:
                self._cursors.discard(cursor)
            cursor.close()

    def checkpoint_if_due(self, *, idle: bool = False, lagging: bool = False) -> bool:
        """Fold the log into the file if it has reached its size, half of it when idle, more of it when lagging.

        Each checkpoint writes the tables' last row groups anew: behind, throughput counts and not the single stall.

        Raises:
            StoreFull: no room; committed rows are safe in the log.
        """
        size = self.settings.checkpoint_wal_bytes
        if self.wal_bytes < (size * LAGGING_FACTOR if lagging else size // 2 if idle else size):
            return False
        self.checkpoint()
        return True

    def checkpoint(self) -> None:
        """Fold the log into the file. Raises `StoreFull` if there is no room."""
        try:
            self.connection.execute("CHECKPOINT")
        except duckdb.Error as error:
            if isinstance(error, duckdb.TransactionException):
                log.info("checkpoint_postponed", reason=str(error))
                return
            self.reopen()
            raise named(error, self.path) from error

    def reopen(self) -> None:
        """Close every connection and open the file again: what it then holds is what was committed."""
        with self._mutex:
            for cursor in filter(None, (*self._cursors, self._connection)):
                with contextlib.suppress(duckdb.Error):
                    cursor.interrupt()
                with contextlib.suppress(duckdb.Error):
                    cursor.close()
            self._cursors.clear()
            self._connection = None
            self._connection = self._connect()

    def close(self) -> None:
        """Checkpoint and close."""
        with contextlib.suppress(duckdb.Error):
            if self._connection is not None:
                self._connection.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self) -> Cursor:
        # Only a file that is attached has a choice of row groups.
        connection = duckdb.connect(config=self._options())
        access = "READ_ONLY" if self._read_only else "READ_WRITE"
        try:
            connection.execute(
                f"ATTACH '{literal(self.path)}' AS {CATALOG} ({access}, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
            )
            connection.execute(f"USE {CATALOG}")
        except duckdb.Error as error:
            connection.close()
            if isinstance(error, duckdb.IOException) and "lock" in str(error).lower():
                raise held(self.data_dir) from error
            raise named(error, self.path) from error
        return connection

    def _options(self) -> dict[str, Any]:
        return {
            "threads": self.settings.threads,
            "memory_limit": f"{self.settings.memory_bytes}B",
            "checkpoint_threshold": "1TB",
            "temp_directory": str(self.data_dir / "tmp"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }

    def _prepare(self, partition: str) -> None:
        schema = resources.files("iotpm.store").joinpath("schema.sql").read_text("utf-8")
        connection = self.connection
        connection.execute("BEGIN")
        connection.execute(schema)
        row = connection.execute("SELECT version, partition FROM store_info").fetchone()
        if row is None:
            connection.execute("INSERT INTO store_info VALUES (?, ?, now()::TIMESTAMP)", [VERSION, partition])
        connection.execute("COMMIT")
        if row is not None and row[0] != VERSION:
            raise StoreError(f"{self.path}: schema version {row[0]}, this release writes {VERSION}")
        if row is not None and row[1] != partition:
            raise StoreError(f"{self.path}: belongs to partition {row[1]}, not {partition}; use another data_dir")


def is_full(error: BaseException) -> bool:
    """Whether DuckDB failed because the disk has no room."""
    return any(words in str(error).lower() for words in _FULL)


def named(error: duckdb.Error, path: Path) -> StoreError:
    """The error of this package for one of DuckDB's."""
    if is_full(error):
        return StoreFull(f"{path.parent}: the disk is full; free space or lower disk_budget_bytes ({error})")
    return StoreError(f"{path}: {error}")
