"""`iotpm anomalies`: the latest state of each, or every change as it is committed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpm.cli.options import (
    data_dir_option,
    limit_option,
    moment,
    now_us,
    since_option,
    time_us,
    with_duration,
    with_times,
)
from iotpm.cli.output import errors_end_the_command, json_option, print_json, print_rows, show

if TYPE_CHECKING:
    from iotpm.client import Row, Source

COLUMNS = ("severity", "kind", "name", "start", "lasted", "peak_score", "peak_value", "expected", "detector",
           "maturity", "label", "id")  # fmt: skip
KEPT = ("name", "start", "id")
"""What `iotpm explain` and `iotpm feedback` ask for."""
POLL_S = 0.5


@click.command()
@data_dir_option
@click.option("--follow", "-f", is_flag=True, help="Go on and print every change as it is committed, until Ctrl-C.")
@since_option
@click.option("--asset", metavar="SITE/ASSET", help="Only this asset; * is any run of characters.")
@limit_option
@json_option
@errors_end_the_command
def command(data_dir: Path, follow: bool, since: str | None, asset: str | None, limit: int, as_json: bool) -> None:
    """List anomalies, or follow them as they are raised.

    One line an anomaly with its latest state, last changed first; times are UTC. A score of 1 is the alarm boundary.
    With --follow one line a change: begin, worse, end; the newest ones first come in the order in which they happened.
    """
    from iotpm import logs
    from iotpm.client import connect

    logs.configure("error")
    with connect(data_dir) as source:
        filters: dict[str, Any] = {"asset": asset}
        if since is not None:
            filters["since_us"] = time_us(since, now_us(source.status()), "--since")
        if follow:
            _follow(source, filters, limit, as_json=as_json)
        else:
            _list(source, filters, limit, as_json=as_json)


def _list(source: Source, filters: dict[str, Any], limit: int, *, as_json: bool) -> None:
    found = source.anomalies(**filters, **({"limit": limit + 1} if limit else {}))
    rows = list(islice(found, limit + 1)) if limit else list(found)
    shown = _labelled(source, rows[: limit or None])
    told = map(with_times if as_json else with_duration, shown)
    print_rows(told, COLUMNS, as_json=as_json, empty="no anomalies", keep=KEPT)
    if len(shown) < len(rows):
        click.echo("there are more; --limit 0 lists all", err=True)


def _labelled(source: Source, rows: list[Row]) -> list[Row]:
    from iotpm.feedback import by_anomaly

    labels = by_anomaly(source)
    return [{**row, "label": labels[row["id"]]["label"] if row["id"] in labels else None} for row in rows]


def _follow(source: Source, filters: dict[str, Any], limit: int, *, as_json: bool) -> None:
    if not source.running:
        raise click.ClickException("no node runs there, so there is nothing to follow; leave out --follow to list")
    try:
        for row in _changes(source, filters, limit):
            print_json(with_times(row)) if as_json else click.echo(_line(row))
    except KeyboardInterrupt:
        return


def _changes(source: Source, filters: dict[str, Any], limit: int) -> Iterator[Row]:
    """The newest anomalies in the order of their changes, then every revision behind them."""
    newest, behind = source.newest(limit, **filters)
    yield from reversed(newest)
    filters.pop("since_us", None)
    while True:
        rows, behind = source.revisions(behind, **filters)
        yield from rows
        time.sleep(POLL_S)


def _line(row: Row) -> str:
    value = row["peak_value"] if row["value"] is None else row["value"]
    score = ("peak score", row["peak_score"]) if row["state"] == "end" else ("score", row["score"])
    figures = f"{score[0]} {show(score[1])}, value {show(value)}, expected {show(row['expected'])}"
    return (
        f"{show(moment(row['time']))}  {row['state']:<5}  {row['severity']:<8}  {row['kind']:<11}  {row['name']}"
        f"  {figures}  ({row['detector']}, {row['id']})"
    )
