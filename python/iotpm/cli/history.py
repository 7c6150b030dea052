"""Options that name a history: the store of a data directory, or files as `iotpm replay` takes them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from iotpm.cli.options import time_us

if TYPE_CHECKING:
    from iotpm.backtest import History, Span
    from iotpm.config import Config
    from iotpm.replay import Source

Command = TypeVar("Command", bound=Callable[..., Any])

SMALL_READINGS: Final = 500_000

_FILE_OPTIONS: Final = (
    click.option("--time-column", help="Files: column of times.  [default: found]"),
    click.option("--time-format", help="Files: how times read, as strptime.  [default: found]"),
    click.option("--rate-hz", type=float, help="Files: rows have no times: they come at this rate."),
    click.option("--value-column", "value_columns", multiple=True, help="Files: column of values; repeat it."),
    click.option("--signal-column", help="Files: column of signal names, for long tables.  [default: found]"),
    click.option("--exclude", multiple=True, help="Files: column to leave out; repeat it."),
    click.option("--separator", help="Files: separator of columns; 'tab' for tabulators.  [default: found]"),
    click.option("--encoding", help="Files: encoding of CSV.  [default: UTF-8]"),
    click.option("--frame", "frame_s", type=float, help="Files: length of a waveform's frames, seconds.  [default: 1]"),
    click.option("--unit", help="Files: UCUM unit of waveforms."),
    click.option("--site", help="Files: site in the signals' names.  [default: replay]"),
    click.option("--asset", help="Files: asset in the signals' names.  [default: each file's name]"),
)
_KEYS: Final = ("time_column", "time_format", "separator", "rate_hz", "signal_column", "exclude", "encoding", "frame_s",
         "unit", "site", "asset")  # fmt: skip


def file_options(command: Command) -> Command:
    """How the files of a history are to be read."""
    for option in reversed(_FILE_OPTIONS):
        command = option(command)
    return command


def history_options(command: Command) -> Command:
    """`[FILE|DIR]` or `--dir`, which part of it, and how files are read."""
    options = (
        click.argument("path", metavar="[FILE|DIR]", required=False, type=click.Path(path_type=Path)),
        click.option(
            "--dir", "data_dir", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DATA_DIR",
            help="The store of a node instead of files: a running one answers, a stopped one's files are read.",
        ),
        click.option(
            "--from", "since", metavar="TIME",
            help="Count from then on: RFC 3339, or 2d back from the end of a store; with files from now.",
        ),
        click.option("--to", "until", metavar="TIME", help="Up to then; as --from."),
        click.option(
            "--warm-up", default="1d", show_default=True, metavar="DURATION",
            help="Before --from, so much is run to teach the detectors, and not counted.",
        ),
        file_options,
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def opened(told: dict[str, Any], configurations: list[Config]) -> Iterator[tuple[History, Span]]:
    """The history that the options name.

    Raises:
        click.UsageError: neither or both of files and a store are named.
    """
    from iotpm.backtest import FileHistory, store_history

    path, data_dir = told["path"], told["data_dir"]
    if (path is None) == (data_dir is None):
        raise click.UsageError("name a history: FILE|DIR as for `iotpm replay`, or --dir DATA_DIR of a node")
    span = _span(told)
    if data_dir is not None:
        with store_history(data_dir, span) as history:
            yield history, span
        return
    idle_timeout_s = max((t.idle_timeout_s or 0.0 for c in configurations for t in c.all_templates), default=0.0)
    yield FileHistory(open_files(path, told), span, idle_timeout_s), span


def open_files(path: Path, told: dict[str, Any], start_us: int | None = None) -> Source:
    """The files as a source, rows without times from `start_us` on. Raises SourceError for what cannot be read."""
    from iotpm.replay import open_source

    chosen = {key: told[key] for key in _KEYS}
    return open_source(path, value_columns=told["value_columns"] or None, start_us=start_us, **chosen)


def workers_for(history: History) -> int:
    """All cores, but one for what is done before a second process has started."""
    small = history.readings is not None and history.readings < SMALL_READINGS
    return 1 if small else len(os.sched_getaffinity(0))


def _span(told: dict[str, Any]) -> Span:
    from iotpm.backtest import Span

    now_us = _end_us(told["data_dir"])
    since_us = time_us(told["since"], now_us, "--from")
    until_us = time_us(told["until"], now_us, "--to")
    if since_us is not None and until_us is not None and until_us <= since_us:
        raise click.BadParameter(f"{told['until']} is not after --from {told['since']}", param_hint="--to")
    back_us = time_us(told["warm_up"], 0, "--warm-up")
    if back_us is None or back_us > 0:
        raise click.BadParameter(f"{told['warm_up']!r}: must be such as 6h or 1d", param_hint="--warm-up")
    return Span(since_us, until_us, -back_us)


def _end_us(data_dir: Path | None) -> int:
    """What `2d` counts back from: the store's newest reading, or now."""
    from iotpm.backtest.store import span_of

    last_us = None if data_dir is None else span_of(data_dir)
    return int(time.time() * 1e6) if last_us is None else last_us + 1


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's stderr, advanced by readings; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task, done = bars.add_task(what, total=total), 0

        def advance(readings: int) -> None:
            nonlocal done
            done += readings
            bars.update(task, completed=done, description=f"{what} {done:,} readings")

        yield advance
