"""What all commands share: tables for people, JSON lines for programs, errors that end the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click

from iotpm.errors import IotpmError

P = ParamSpec("P")
R = TypeVar("R")

WIDE = 1000
"""Columns of a line that goes to a file or pipe."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


class Group(click.Group):
    """A group that lists its commands with their whole first sentence, however narrow the terminal is."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does, but nothing is cut off."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(WIDE)) for name, command in found if command])


def errors_end_the_command(function: Callable[P, R]) -> Callable[P, R]:
    """Turn the project's errors into one line on stderr and exit status 1."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BrokenPipeError:
            raise  # whoever read the output has enough; click ends the command without a word
        except (IotpmError, OSError) as error:
            raise click.ClickException(str(error)) from error

    return wrapped


def print_json(value: object) -> None:
    """Print one JSON object on a line of its own."""
    click.echo(json.dumps(value, default=_plain, ensure_ascii=False))


def print_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    """Print rows as JSON lines or as a table of the named columns; `empty` stands where there is none."""
    if as_json:
        for row in rows:
            print_json(dict(row))
        return
    _print_table(list(rows), columns, empty)


def _print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], empty: str) -> None:
    from rich.console import Console
    from rich.table import Table

    if not rows:
        click.echo(empty, err=True)
        return
    # A pipe gets whole lines; a terminal as many columns, from the left, as it has room for.
    width = Console().width if sys.stdout.isatty() else None
    cells = {column: [show(row.get(column)) for row in rows] for column in columns}
    shown = _fitting({name: max(map(len, [name, *texts])) for name, texts in cells.items()}, width)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in shown:
        numeric = any(isinstance(row.get(column), (int, float)) for row in rows)
        table.add_column(column.replace("_", " "), justify="right" if numeric else "left", no_wrap=True)
    for line in zip(*(cells[column] for column in shown), strict=True):
        table.add_row(*line)
    Console(width=width or WIDE, markup=False, highlight=False).print(table)
    if len(shown) < len(columns):
        click.echo(f"not shown for want of room: {', '.join(columns[len(shown) :])}", err=True)


def _fitting(widths: Mapping[str, int], width: int | None) -> list[str]:
    """The first columns that fit side by side; never fewer than three."""
    names, used = list[str](), 0
    for name, needed in widths.items():
        used += needed + 2
        if width is not None and used - 1 > width and len(names) >= 3:
            break
        names.append(name)
    return names


def show(value: object) -> str:
    """A value as a table shows it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}" if abs(value) < 1e6 else f"{value:,.0f}"
        case int():
            return f"{value:,}"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        case _:
            return str(value)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return str(value)
