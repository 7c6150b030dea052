"""`iotpm scan`: any table of readings, without a server or a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpm.cli.output import errors_end_the_command, json_option, print_json, print_rows

if TYPE_CHECKING:
    from iotpm.scan import Readings, Series, SeriesReport


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--html", "html_path", type=click.Path(path_type=Path, dir_okay=False), help="Page  [scan-NAME.html]")
@click.option("--config", "config_path", type=click.Path(path_type=Path, dir_okay=False), help="Write a configuration.")
@click.option("--time-column", help="Column of the time  [found]")
@click.option("--value-column", "value_columns", multiple=True, help="Column of values; repeat it  [all of numbers]")
@click.option("--signal-column", help="Column of the signals' names in a long table  [found]")
@click.option("--time-format", help="How times read, as strptime  [found]")
@click.option("--exclude", multiple=True, help="Column to leave out; repeat it.")
@click.option("--separator", help="Separator of a CSV; 'tab' for tabulators  [found]")
@click.option("--encoding", help="Encoding of a CSV  [UTF-8]")
@click.option("--rate-hz", type=float, help="Rows a second, where no column is a time.")
@json_option
@errors_end_the_command
def command(path: Path, html_path: Path | None, config_path: Path | None, as_json: bool, **given: Any) -> None:
    """Look through a CSV, Parquet or NDJSON file, or a directory of them.

    Says of every signal how it arrives (rate, gaps, duplicates, order, flat or quantised, several operating modes, too
    short to judge) and what the default detectors find unusual; writes a page with every signal's chart and what
    configuration to start from. Nothing is sent anywhere and nothing else is written.

    A column of two values, 0 and another (or -1 and 1), is taken for a state or label and not judged. A file that
    cannot be read is named with the reason, on the page too, and the others are scanned; exit status 1 only if none
    could be read. With --json a line a signal, then one with `unread` and `reason` for every such file.
    """
    from iotpm.scan import read_files, starting_configuration, write_page

    found = read_files(path, given | {"value_columns": given["value_columns"] or None})
    reports = _scan(found.series)
    html_path = html_path or Path(f"scan-{path.resolve().stem}.html")
    write_page(html_path, f"Scan of {path.name or path.resolve().name}", reports, found.notes, found.unread)
    if config_path is not None:
        config_path.write_text(starting_configuration(reports), "utf-8")
    _print(reports, found, html_path, as_json)


def _scan(series: list[Series]) -> list[SeriesReport]:
    from rich.console import Console
    from rich.progress import Progress

    from iotpm.scan import scan

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("scanning", total=len(series))
        return scan(series, lambda: bar.advance(task))


def _print(reports: list[SeriesReport], found: Readings, html_path: Path, as_json: bool) -> None:
    from iotpm.scan.report import caution

    for unread in found.unread:
        click.echo(f"not read: {unread.reason}", err=True)
    if as_json:
        for report in reports:
            print_json(report.as_json())
        for unread in found.unread:
            print_json({"unread": str(unread.path), "reason": unread.reason})
        return
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    columns = ("signal", "readings", "interval_s", "unusual", "remarks")
    print_rows([_line(report) for report in reports], columns, as_json=False, empty="no signals")
    if told := caution(reports):
        click.echo(f"\nnote: {told}", err=True)
    click.echo(f"\nthe page: {html_path}")


def _line(report: SeriesReport) -> dict[str, Any]:
    found = report.ingestion
    return {
        "signal": report.series.name,
        "readings": found.readings,
        "interval_s": f"{found.interval_s:.4g}",
        "unusual": "-" if found.too_short or found.state else len(report.unusual),
        "remarks": "; ".join(found.remarks),
    }
