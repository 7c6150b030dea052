"""The one transaction per chunk: rows and position together, or neither."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import duckdb
import structlog

from iotpm.errors import ProgressConflict, StoreError
from iotpm.store.database import named
from iotpm.store.progress import Position, read_position
from iotpm.store.tables import CHUNK_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from iotpm.store.database import Cursor, Database
    from iotpm.store.inserts import Table

log = structlog.get_logger(__name__)


class Chunk(Protocol):
    """What a commit needs of a chunk (`iotpm._core.Chunk`); the tables of `CHUNK_TABLES` are attributes too."""

    @property
    def last_seq(self) -> int:
        """Sequence of its last message."""

    @property
    def last_time_us(self) -> int:
        """When the broker stored that message, microseconds."""

    @property
    def last_hash(self) -> int:
        """xxh3 of that message (`iotpm.streams.message_hash`)."""


@dataclass(frozen=True, slots=True)
class Harness:
    """For the fault tests only. `progress_first` breaks the protocol on purpose: the tests must notice.

    `at` is called with `begun`, `rows`, `progress`, `before_commit`, `committed`. Unless it `adds`, a node puts neither
    ticks nor its configuration into the RAW stream, so that another one over the same finished stream compares with it.
    """

    progress_first: bool = False
    adds: bool = True
    at: Callable[[str], None] = lambda _point: None


class Writer:
    """Appends chunks. One thread uses it; nothing else moves the position.

    Args:
        database: the store.
        position: where it stands (`Resume.position`).
        fence: called before every transaction and again before its COMMIT; it raises if this process may no longer
            write (`Lease.check`).
        harness: switches of the fault tests.
    """

    def __init__(
        self,
        database: Database,
        position: Position,
        *,
        fence: Callable[[], None] = lambda: None,
        harness: Harness | None = None,
    ) -> None:
        self.database = database
        self.position = position
        self._fence = fence
        self._harness = harness or Harness()
        # Set while it is unknown whether the last COMMIT is durable, because the file could not be reopened.
        self._uncertain = False

    def commit(self, chunk: Chunk) -> Position:
        """Store a chunk and move the position to its last message. The call may be repeated after `StoreFull`.

        Raises:
            StoreFull: no room; nothing of the chunk is stored.
            ProgressConflict: the position is not the one this writer left; stop.
            StoreError: any other failure; nothing of the chunk is stored.
            LeaseLost: from the fence; nothing of the chunk is stored.
        """
        tables = [(name, table) for name in CHUNK_TABLES if len(table := _table(chunk, name))]
        if chunk.last_seq <= self.position.seq:
            return self._already_stored(chunk, [name for name, _ in tables])
        target = self._target(chunk)
        self._fence()
        if self._uncertain and self._is_durable(target):
            self.position = target
            return target
        if self._harness.progress_first:
            self._transaction([], target)
            self._harness.at("progress")
            self._transaction(tables, None)
        else:
            self._transaction(tables, target)
        self.position = target
        self._harness.at("committed")
        return target

    def replace_signal_stats(self, table: Table) -> None:
        """Rewrite `signal_stats` (with a snapshot, at a drain) and compact `sources` to its newest rows."""
        stats = table  # noqa: F841 - DuckDB finds it by name
        with self._guarded() as connection:
            connection.execute("DELETE FROM signal_stats")
            connection.execute("INSERT INTO signal_stats BY NAME SELECT * FROM stats")
            connection.execute(
                """DELETE FROM sources s WHERE EXISTS (
                       SELECT 1 FROM sources n WHERE n.source = s.source AND n.seq > s.seq)"""
            )

    def record_configuration(self, seq: int, digest: str, templates_json: str) -> None:
        """Note the configuration that acts from message `seq` of this epoch on; noting it twice changes nothing."""
        with self._guarded() as connection:
            connection.execute(
                """INSERT INTO configurations SELECT $1, $2, $3, $4
                   WHERE NOT EXISTS (SELECT 1 FROM configurations WHERE epoch = $1 AND seq = $2 AND hash = $3)""",
                [self.position.epoch, seq, digest, templates_json],
            )

    def record_delivered(self, outbox_seq: int) -> None:
        """Note that the webhook has every event up to `outbox_seq`, or gave it up."""
        with self._guarded() as connection:
            connection.execute("DELETE FROM webhook")
            connection.execute("INSERT INTO webhook VALUES (?)", [outbox_seq])

    def _already_stored(self, chunk: Chunk, names: list[str]) -> Position:
        """A chunk of a re-read stretch has nothing to store; rows in it would be duplicates."""
        if names:
            raise ProgressConflict(
                f"chunk up to message {chunk.last_seq} has rows for {', '.join(names)}, "
                f"but everything up to {self.position.seq} is stored"
            )
        return self.position

    def _target(self, chunk: Chunk) -> Position:
        return replace(
            self.position,
            seq=chunk.last_seq,
            time_us=chunk.last_time_us,
            hash=chunk.last_hash,
            next_outbox_seq=self.position.next_outbox_seq + len(_table(chunk, "outbox")),
        )

    def _transaction(self, tables: Iterable[tuple[str, Table]], target: Position | None) -> None:
        connection = self.database.connection
        try:
            connection.execute("BEGIN")
            self._harness.at("begun")
            for name, table in tables:
                self.database.inserts.insert(name, table)
            self._harness.at("rows")
            if target is not None:
                self._move(connection, target)
            self._harness.at("before_commit")
            self._fence()
        except duckdb.Error as error:
            self._roll_back()
            raise named(error, self.database.path) from error
        except BaseException:
            self._roll_back()
            raise
        self._commit(connection, target)

    def _move(self, connection: Cursor, target: Position) -> None:
        """Compare and set: exactly the row that this writer left."""
        row = connection.execute(
            """UPDATE progress SET seq = ?, ts = make_timestamp(?), hash = ?, next_outbox_seq = ?
               WHERE seq = ? AND epoch = ? AND stream = ? AND created = ?""",
            [
                target.seq,
                target.time_us,
                target.hash,
                target.next_outbox_seq,
                self.position.seq,
                target.epoch,
                target.stream,
                target.created_us,
            ],
        ).fetchone()
        if row is None or row[0] != 1:
            raise self._conflict(connection)

    def _conflict(self, connection: Cursor) -> ProgressConflict:
        found = read_position(connection)
        return ProgressConflict(
            f"{self.database.path}: position is {found.seq if found else 'absent'}, this writer left "
            f"{self.position.seq}: another process wrote; restart the node"
        )

    def _commit(self, connection: Cursor, target: Position | None) -> None:
        """COMMIT; an error does not say whether it is durable, so reopen and read the position."""
        try:
            connection.execute("COMMIT")
        except duckdb.Error as error:
            if not self._is_durable(target):
                raise named(error, self.database.path) from error
            log.warning("commit_reported_an_error_but_is_durable", error=str(error))

    def _is_durable(self, target: Position | None) -> bool:
        self._uncertain = True
        self.database.reopen()
        found = read_position(self.database.connection)
        self._uncertain = False
        if found is None or found.seq not in (self.position.seq, target.seq if target else self.position.seq):
            raise self._conflict(self.database.connection)
        return target is not None and found.seq == target.seq

    def _roll_back(self) -> None:
        """Undo; an instance that DuckDB has invalidated is reopened."""
        try:
            self.database.connection.execute("ROLLBACK")
            self.database.connection.execute("SELECT 1")
        except duckdb.Error:
            self.database.reopen()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[Cursor]:
        """A transaction beside the chunks, repeatable, fenced too."""
        self._fence()
        connection = self.database.connection
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except duckdb.Error as error:
            self._roll_back()
            raise named(error, self.database.path) from error


def _table(chunk: Chunk, name: str) -> Table:
    table: Table | None = getattr(chunk, name, None)
    if table is None:
        raise StoreError(f"chunk has no table {name}")
    return table
