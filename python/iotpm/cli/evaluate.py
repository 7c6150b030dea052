"""`iotpm evaluate BENCHMARK DIR`: how good the detectors are on public data, with the controls beside it."""

from __future__ import annotations

import inspect
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpm.cli.output import errors_end_the_command, json_option, print_json

if TYPE_CHECKING:
    from iotpm.evaluate.report import Cell, Progress, Report, Table

PIPE_WIDTH = 140
"""Columns of a table that goes to a file or pipe."""


class _Benchmarks(click.ParamType[str]):
    """A name of the registry; its list is read when it is needed."""

    name = "benchmark"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, if there is such a benchmark."""
        from iotpm.evaluate import BENCHMARKS

        if value not in BENCHMARKS:
            self.fail(f"{value!r} is none of {', '.join(BENCHMARKS)}", param, ctx)
        return str(value)


class _Command(click.Command):
    """`iotpm evaluate faults --help` also tells of `faults`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; which benchmark is asked about is known before the help is printed."""
        ctx.meta[__name__] = next((arg for arg in args if not arg.startswith("-")), None)
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What the benchmark says of itself."""
        from iotpm.evaluate import BENCHMARKS, SIMULATED, benchmark

        name = ctx.meta[__name__]
        if name not in BENCHMARKS:
            return
        measured = benchmark(name)
        with formatter.section(name):
            for paragraph in inspect.cleandoc(sys.modules[BENCHMARKS[name]].__doc__ or "").split("\n\n"):
                formatter.write_text(" ".join(paragraph.split()))
                formatter.write_paragraph()
            formatter.write_text("DIR is not needed." if name in SIMULATED else "DIR holds:")
            formatter.write("" if name in SIMULATED else textwrap.indent(f"{measured.LAYOUT}\n", "  "))


@click.command(cls=_Command)
@click.argument("name", metavar="BENCHMARK", type=_Benchmarks())
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--ablation", is_flag=True, help="Also a row for the default without each of its parts.")
@click.option(
    "--assets", type=click.IntRange(min=1), default=100, show_default=True, help="false-alarms, faults: assets."
)
@click.option("--weeks", type=click.FloatRange(min=0.25), default=4.0, show_default=True, help="false-alarms: length.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="cwru, ims, pronostia: page of figures.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes  [all cores]")
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown, as docs/quality.md has them.")
@json_option
@errors_end_the_command
def command(
    name: str,
    directory: Path | None,
    ablation: bool,
    assets: int,
    weeks: float,
    html: Path | None,
    workers: int | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Measure the detectors on a public data set, by its own protocol.

    BENCHMARK is nab, skab, tsb, tep, smd, asd, cwru, ims or pronostia; DIR holds its files in their original layout,
    all or some. One default configuration for everything, run causally; random, all-ones and constant controls in
    every table; nothing is point-adjusted. false-alarms, faults and feedback need no data: they simulate a plant,
    without a fault, with injected ones, and with an operator who labels. Figures are in docs/quality.md.
    """
    from iotpm.evaluate import SIMULATED, Options, benchmark

    measured = benchmark(name)
    if directory is None and name not in SIMULATED:
        raise click.UsageError(f"Missing argument DIR: the folder that holds\n{measured.LAYOUT}")
    began = time.perf_counter()
    with _progress(hidden=as_json) as progress:
        settings: dict[str, Any] = {} if workers is None else {"workers": workers}
        options = Options(ablation=ablation, progress=progress, assets=assets, weeks=weeks, html=html, **settings)
        report = measured.run(directory or Path(), options)
    seconds = round(time.perf_counter() - began, 1)
    if as_json:
        print_json({"benchmark": name, **report.json, "notes": report.notes, "seconds": seconds})
    else:
        _tell(report, seconds, _print_markdown if markdown else _print_table)


@contextmanager
def _progress(*, hidden: bool) -> Iterator[Progress]:
    """A bar on a terminal's stderr; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    with Bars(console=Console(stderr=True), transient=True, disable=hidden or not sys.stderr.isatty()) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        yield show


def _tell(report: Report, seconds: float, print_table: Callable[[Table], None]) -> None:
    """The report as a person reads it."""
    click.echo(report.title)
    for table in report.tables:
        click.echo(f"\n{table.title}")
        print_table(table)
        if table.note:
            click.echo(f"\n{table.note}")
    for note in report.notes:
        click.echo(f"note: {note}")
    click.echo(f"\n{seconds} s")


def _print_table(table: Table) -> None:
    """All columns, whatever the width: headings are wrapped, cells are not."""
    from rich.console import Console
    from rich.table import Table as Grid

    grid = Grid(box=None, header_style="bold", pad_edge=False)
    for at, heading in enumerate(table.columns):
        width = max(len(_cell(row[at])) for row in table.rows) if table.rows else 0
        grid.add_column(heading, justify="left" if at == 0 else "right", min_width=width, overflow="fold")
    for row in table.rows:
        grid.add_row(*map(_cell, row))
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, markup=False, highlight=False).print(grid)


def _print_markdown(table: Table) -> None:
    """The same as a Markdown table."""
    click.echo("")
    for cells in (table.columns, ["---", *["--:"] * (len(table.columns) - 1)], *table.rows):
        click.echo(f"| {' | '.join(map(_cell, cells))} |")


def _cell(value: Cell) -> str:
    """A figure with as many decimals as one compares."""
    if not isinstance(value, float):
        return "-" if value is None else str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
