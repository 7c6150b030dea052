"""`iotpm scan`: any table of readings, without a server or a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpm.cli.output import errors_end_the_command, json_option, print_json, print_rows
from iotpm.errors import SourceError

if TYPE_CHECKING:
    from iotpm.replay import Source
    from iotpm.scan import Series, SeriesReport


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
    """
    from iotpm.scan import starting_configuration, write_page

    series, notes = _read(path, given)
    reports = _scan(series)
    html_path = html_path or Path(f"scan-{path.resolve().stem}.html")
    write_page(html_path, f"Scan of {path.name or path.resolve().name}", reports, notes)
    if config_path is not None:
        config_path.write_text(starting_configuration(reports), "utf-8")
    _print(reports, notes, html_path, as_json)


def _read(path: Path, given: dict[str, Any]) -> tuple[list[Series], list[str]]:
    from iotpm.replay import open_source
    from iotpm.scan import read_series

    given["value_columns"] = given["value_columns"] or None
    notes = []
    try:
        source = open_source(path, **given)
    except SourceError:
        if given["rate_hz"] is not None or given["time_column"] is not None:
            raise
        source = _by_rows(path, given)
        notes = ["no column is a time: rows are counted as seconds; --rate-hz or --time-column say otherwise"]
    series = read_series(source)
    if not series:
        raise SourceError(f"{path}: holds no readings (a record of vibration is for `iotpm spectrum`)")
    return series, [*notes, *source.notes]


def _by_rows(path: Path, given: dict[str, Any]) -> Source:
    """The source with a row a second."""
    from iotpm.replay import open_source

    return open_source(path, **{**given, "rate_hz": 1.0})


def _scan(series: list[Series]) -> list[SeriesReport]:
    from rich.console import Console
    from rich.progress import Progress

    from iotpm.scan import scan

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("scanning", total=len(series))
        return scan(series, lambda: bar.advance(task))


def _print(reports: list[SeriesReport], notes: list[str], html_path: Path, as_json: bool) -> None:
    from iotpm.scan.report import caution

    if as_json:
        for report in reports:
            print_json(report.as_json())
        return
    for note in notes:
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
        "unusual": "-" if found.too_short else len(report.unusual),
        "remarks": "; ".join(found.remarks),
    }
