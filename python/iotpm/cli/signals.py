"""`iotpm signals`: the fleet, a line a signal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpm.cli.options import data_dir_option, limit_option, pattern, with_times
from iotpm.cli.output import errors_end_the_command, json_option, print_rows
from iotpm.cli.status import old_figures

if TYPE_CHECKING:
    from iotpm.client import Row

COLUMNS = ("name", "last_seen", "rate_hz", "readings", "late", "duplicates", "bad", "windows", "anomalies",
           "maturity", "idle")  # fmt: skip
_OLD = "rate, late, duplicates, bad, windows, maturity and idle"
_DETAILS = ("unit", "kind")
_BY_NAME = ("name", "maturity")


@click.command()
@data_dir_option
@click.option("--match", "match", metavar="PATTERN", help="Signals whose site/asset/signal holds this; * is any run.")
@click.option(
    "--sort", type=click.Choice(COLUMNS), default="name", show_default=True, help="Order; numbers: most first."
)
@limit_option
@json_option
@errors_end_the_command
def command(data_dir: Path, match: str | None, sort: str, limit: int, as_json: bool) -> None:
    """List signals: last seen, rate, late and duplicate counts, maturity.

    Times are UTC. A running node counts up to this moment, files up to the node's end; what a node that was killed did
    not write down any more is said.
    """
    from iotpm import logs
    from iotpm.client import connect

    logs.configure("error")
    with connect(data_dir) as source:
        rows = list(source.signals(signal=pattern(match)))
        old = None if source.running else old_figures(source.status())
    shown = _sorted(rows, sort)[: limit or None]
    plain = [with_times({key: row[key] for key in (*COLUMNS, *_DETAILS)}) for row in shown]
    columns = [column for column in COLUMNS if column == "name" or any(row[column] is not None for row in plain)]
    empty = f"no signals match {match!r}" if match else f"no signals in {data_dir} yet"
    print_rows(plain, columns, as_json=as_json, empty=empty, keep=("name", "last_seen", "maturity"))
    if len(shown) < len(rows):
        click.echo(f"{len(rows) - len(shown)} more; --limit 0 lists all", err=True)
    if old is not None:
        click.echo(f"the node did not end cleanly: {_OLD} are {old}; the others count what is stored", err=True)


def _sorted(rows: list[Row], column: str) -> list[Row]:
    """By name, then by the column: numbers and times greatest first, what is unknown last."""
    rows.sort(key=lambda row: str(row["name"]))
    if column in _BY_NAME:
        return sorted(rows, key=lambda row: str(row[column] or ""))
    return sorted(rows, key=lambda row: _greatest_first(row[column]))


def _greatest_first(value: Any) -> float:
    return float("inf") if value is None else -float(value)
