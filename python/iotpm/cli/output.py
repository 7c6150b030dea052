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

FOLDED = 30
"""Columns of the terminal that texts over several lines get at least."""
SHORT_ID = 8
"""Letters of an id on a narrow terminal: commands take the first letters of one."""

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


def print_rows(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    as_json: bool,
    empty: str,
    keep: Sequence[str] = (),
    fold: str | None = None,
) -> None:
    """Print rows as JSON lines or as a table of the named columns; `empty` stands where there is none.

    On a narrow terminal the columns `keep` stay (default: the first three), whatever else is left out: what the next
    command needs. The texts of column `fold` go over several lines.
    """
    if as_json:
        for row in rows:
            print_json(dict(row))
        return
    _print_table(list(rows), columns, empty, keep or columns[:3], fold)


def _print_table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], empty: str, keep: Sequence[str], fold: str | None
) -> None:
    from rich.console import Console
    from rich.table import Table

    if not rows:
        click.echo(empty, err=True)
        return
    # A pipe gets whole lines; a terminal as many columns as it has room for.
    width = Console().width if sys.stdout.isatty() else None
    cells, note = {column: [show(row.get(column)) for row in rows] for column in columns}, None
    if width is not None and _total(_widths(cells, fold).values()) > width:
        note = _shorten(cells, rows)
    shown = _fitting(_widths(cells, fold), width, keep)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in shown:
        numeric = any(isinstance(row.get(column), (int, float)) for row in rows)
        table.add_column(
            column.replace("_", " "), justify="right" if numeric else "left", no_wrap=column != fold, overflow="fold"
        )
    for line in zip(*(cells[column] for column in shown), strict=True):
        table.add_row(*line)
    Console(width=width or WIDE, markup=False, highlight=False).print(table)
    left = ", ".join(column for column in columns if column not in shown)
    for text in filter(None, (note, left and f"not shown for want of room: {left}")):
        click.echo(text, err=True)


def _widths(cells: Mapping[str, Sequence[str]], fold: str | None) -> dict[str, int]:
    widest = {name: max(map(len, [name, *texts])) for name, texts in cells.items()}
    return {name: min(width, FOLDED) if name == fold else width for name, width in widest.items()}


def _total(widths: Iterable[int]) -> int:
    """Columns of the terminal, with two between two columns of a table."""
    return sum(width + 2 for width in widths) - 2


def _shorten(cells: dict[str, list[str]], rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Times of one day without it, ids by as many letters as tell them apart; what must be said of it."""
    times = [column for column in cells if any(isinstance(row.get(column), datetime) for row in rows)]
    if "id" in cells:
        cells["id"] = _short_ids(cells["id"])
    days = {text[:10] for column in times for text in cells[column] if text != "-"}
    if len(days) != 1:
        return None
    for column in times:
        cells[column] = [text[11:] or text for text in cells[column]]
    return f"all times are of {days.pop()} UTC"


def _short_ids(ids: Sequence[str]) -> list[str]:
    """Their first letters, 8 or as many as no other begins with."""
    for length in range(SHORT_ID, max(map(len, ids), default=0)):
        if len({one[:length] for one in ids}) == len(set(ids)):
            return [one[:length] for one in ids]
    return list(ids)


def _fitting(widths: Mapping[str, int], width: int | None, keep: Sequence[str]) -> list[str]:
    """Columns that fit side by side: those to keep, and from the left what there is room for beside them."""
    if width is None:
        return list(widths)
    chosen = [name for name in widths if name in keep]
    for name, needed in widths.items():
        if name not in chosen and _total([*(widths[other] for other in chosen), needed]) <= width:
            chosen.append(name)
    return [name for name in widths if name in chosen]


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
