"""INSERT statements that are planned once: planning takes as long as appending the rows of a small chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from iotpm.store.database import Cursor


class Table(Protocol):
    """Rows as Arrow: a fresh stream at every call."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """An Arrow C stream in a PyCapsule."""

    def __len__(self) -> int:
        """Rows."""

    @property
    def column_names(self) -> list[str]:
        """Columns of the one schema that all tables of this name have."""


class _Source:
    """What a planned INSERT reads: the table of the moment."""

    table: Table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


class Inserts:
    """Appends to tables over one connection."""

    def __init__(self, connection: Cursor) -> None:
        """Nothing is planned yet."""
        self.connection = connection
        self._planned: dict[str, tuple[list[str], _Source]] = {}

    def insert(self, name: str, table: Table) -> None:
        """Append all rows, by column name: a column that the store does not know is an error.

        Raises:
            duckdb.Error: no room, or the rows do not fit the table.
        """
        # DuckDB finds `rows` by name in this frame, also when it plans the statement again.
        rows = self._source(name, table)
        self.connection.execute(f"EXECUTE insert_{name}")
        del rows.table

    def _source(self, name: str, table: Table) -> _Source:
        columns, rows = self._planned.get(name, ([], _Source()))
        rows.table = table
        if columns != table.column_names:
            self._plan(name, rows)
            self._planned[name] = (table.column_names, rows)
        return rows

    def _plan(self, name: str, rows: _Source) -> None:  # noqa: ARG002
        self.connection.execute(f"PREPARE insert_{name} AS INSERT INTO {name} BY NAME SELECT * FROM rows")
