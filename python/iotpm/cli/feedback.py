"""`iotpm feedback`: label anomalies, take labels back, list them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpm.cli.options import data_dir_option, now_us, time_us, with_times
from iotpm.cli.output import errors_end_the_command, json_option, print_json, print_rows

if TYPE_CHECKING:
    from iotpm.client import Source
    from iotpm.feedback import Receipt

COLUMNS = ("id", "label", "name", "detector", "kind", "start", "end", "peak_score", "author", "note", "seq")
HISTORY = ("seq", "stored_at", "action", *(name for name in COLUMNS if name != "seq"), "anomaly")
USAGE = "must be ID LABEL, LABEL with --asset or --signal, withdraw LABEL_ID, or list"


@click.command(options_metavar="[OPTIONS]")
@click.argument("words", metavar="ID true|false|maintenance | LABEL | withdraw LABEL_ID | list", nargs=-1)
@data_dir_option
@click.option("--asset", metavar="SITE/ASSET", help="What to label, instead of one anomaly.")
@click.option("--signal", metavar="SITE/ASSET/SIGNAL", help="As --asset, one signal only.")
@click.option("--from", "since", metavar="TIME", help="Beginning of the span: 2h back from now, or RFC 3339.")
@click.option("--to", "until", metavar="TIME", help="End of the span; +2h is two hours from now.  [now]")
@click.option("--note", default="", help="Why.")
@click.option("--by", "author", metavar="NAME", help="Who says it.  [you]")
@click.option("--all", "everything", is_flag=True, help="list: every message, withdrawn ones too.")
@json_option
@errors_end_the_command
def command(
    words: tuple[str, ...],
    data_dir: Path,
    asset: str | None,
    signal: str | None,
    since: str | None,
    until: str | None,
    note: str,
    author: str | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Say whether an anomaly was one, so that what looks like a false one is not told again.

    \b
    iotpm feedback 331ecf58 false --note "the filter is flushed at six"
    iotpm feedback maintenance --asset plant/pump-1 --from 10m --to +2h
    iotpm feedback withdraw 9f3a5c017b2e
    iotpm feedback list

    A label is a message to the running node and acts from there on. What was labelled true is always told again.
    maintenance: the asset is neither judged nor learned from in that time. docs/feedback.md says the rules.
    """  # noqa: D301 - click reads the escape
    from iotpm import logs
    from iotpm.client import connect

    logs.configure("error")
    name = asset or signal
    with connect(data_dir) as source:
        match words:
            case ["list"]:
                _list(source, everything=everything, as_json=as_json)
            case ["withdraw", label_id]:
                from iotpm.feedback import withdraw

                _tell([withdraw(source, label_id, author=author, note=note)], "withdrawn", as_json=as_json)
            case [anomaly_id, label] if name is None:
                from iotpm.feedback import label as label_one

                receipt = label_one(source, anomaly_id, label, author=author, note=note)
                _tell([receipt], label, as_json=as_json)
            case [label] if name is not None and since is not None:
                receipts = _label_span(source, name, (since, until), label, author=author, note=note)
                _tell(receipts, label, as_json=as_json)
            case _:
                raise click.UsageError(f"{' '.join(words) or 'nothing'}: {USAGE} (a span needs --from)")


def _label_span(
    source: Source, name: str, span: tuple[str, str | None], label: str, *, author: str | None, note: str
) -> list[Receipt]:
    from iotpm.feedback import label_span

    now = now_us(source.status())
    from_us = time_us(span[0], now, "--from")
    assert from_us is not None, "given"
    return label_span(source, name, from_us, _end_us(span[1], now), label, author=author, note=note)


def _end_us(text: str | None, now: int) -> int:
    """`+2h` lies ahead; anything else is as everywhere."""
    if text is None:
        return now
    ahead = text.startswith("+")
    found = time_us(text.removeprefix("+"), now, "--to")
    assert found is not None, "given"
    return 2 * now - found if ahead else found


def _tell(receipts: list[Receipt], what: str, *, as_json: bool) -> None:
    for receipt in receipts:
        if as_json:
            print_json({"id": receipt.id, "sequence": receipt.sequence, "name": receipt.name, "label": what})
        else:
            about = f" ({receipt.name})" if receipt.name else ""
            click.echo(f"label {receipt.id}{about}: {what}, acts from message {receipt.sequence} on")


def _list(source: Source, *, everything: bool, as_json: bool) -> None:
    from iotpm.feedback import in_force

    rows: list[dict[str, Any]] = list(source.feedback())
    shown = [with_times(row) for row in (rows if everything else in_force(rows))]
    print_rows(shown, HISTORY if everything else COLUMNS, as_json=as_json, empty="no label is in force")
