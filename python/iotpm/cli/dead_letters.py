"""`iotpm dead-letters`: what was refused, and why."""

from __future__ import annotations

from base64 import b64encode
from codecs import getincrementaldecoder
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpm.cli.options import data_dir_option, limit_option, now_us, since_option, time_us, until_option, with_times
from iotpm.cli.output import errors_end_the_command, json_option, print_rows

if TYPE_CHECKING:
    from iotpm.client import Row

COLUMNS = ("stored_at", "reason", "subject", "detail", "seq")
KEPT = ("stored_at", "reason", "detail")


@click.command()
@data_dir_option
@since_option
@until_option
@click.option("--reason", metavar="REASON", help="Only this reason, such as future or invalid_json.")
@limit_option
@json_option
@errors_end_the_command
def command(
    data_dir: Path, since: str | None, until: str | None, reason: str | None, limit: int, as_json: bool
) -> None:
    """List what was refused, and why: the newest first, with the time at which the stream stored it (UTC).

    `seq` is the message's sequence in the stream. With --json also the first 4,096 of its payload's `payload_bytes`
    bytes, as text in `payload` or, if they are none, in `payload_base64`; of a message with several bad readings only
    the first has them. `iotpm export dead_letters` writes all of them.
    """
    from iotpm import logs
    from iotpm.client import connect

    logs.configure("error")
    with connect(data_dir) as source:
        now = now_us(source.status()) if since or until else 0
        filters: dict[str, Any] = {"reason": reason, "limit": limit + 1 if limit else None}
        filters |= {"since_us": time_us(since, now, "--since"), "until_us": time_us(until, now, "--until")}
        rows = list(islice(source.dead_letters(**filters), limit + 1 if limit else None))
    shown = [_readable(with_times(row)) if as_json else with_times(row) for row in rows[: limit or None]]
    print_rows(shown, COLUMNS, as_json=as_json, empty="nothing was refused", keep=KEPT, fold="detail")
    if len(shown) < len(rows):
        click.echo("there are more; --limit 0 lists all", err=True)


def _readable(row: Row) -> Row:
    """The payload as text if it is text, else in letters that JSON can hold."""
    payload: bytes | None = row["payload"]
    try:
        return {**row, "payload": None if payload is None else _text(payload), "payload_base64": None}
    except UnicodeDecodeError:
        return {**row, "payload": None, "payload_base64": b64encode(payload or b"").decode()}


def _text(payload: bytes) -> str:
    """UTF-8 that may be cut off within its last character."""
    return getincrementaldecoder("utf-8")().decode(payload)
