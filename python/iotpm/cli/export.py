"""`iotpm export`: rows into a Parquet or CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from iotpm.cli.options import data_dir_option, now_us, pattern, since_option, size, time_us, until_option
from iotpm.cli.output import errors_end_the_command, json_option, print_json, show


@click.command()
@click.argument(
    "kind", type=click.Choice(("readings", "windows", "vibration", "waveforms", "anomalies", "dead_letters"))
)
@click.option(
    "--to", "target", required=True, metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="File to write: .parquet or .csv.",
)  # fmt: skip
@data_dir_option
@since_option
@until_option
@click.option("--signal", metavar="PATTERN", help="Signals whose site/asset/signal holds this; * is any run.")
@click.option("--asset", metavar="SITE/ASSET", help="Only this asset; * is any run of characters.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@json_option
@errors_end_the_command
def command(
    kind: str,
    target: Path,
    data_dir: Path,
    since: str | None,
    until: str | None,
    signal: str | None,
    asset: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write readings, windows, vibration features, waveforms, anomalies or dead letters to Parquet or CSV.

    What is stored when the command begins is exported, in the order in which it was stored, with names and UTC times.
    Event time counts for --since and --until; of a window its end, of a waveform its start, of an anomaly its
    last change. Dead letters have no event time and no signal: when they were stored counts.
    """
    from iotpm import logs
    from iotpm.client import connect

    logs.configure("error")
    if target.exists() and not force:
        raise click.ClickException(f"{target} exists; --force overwrites it")
    with connect(data_dir) as source, _Bar(kind) as bar:
        now = now_us(source.status()) if since or until else 0
        filters: dict[str, Any] = {"signal": pattern(signal), "asset": asset}
        filters |= {"since_us": time_us(since, now, "--since"), "until_us": time_us(until, now, "--until")}
        rows = source.export(kind, target, progress=bar.update, **filters)
    if as_json:
        print_json({"kind": kind, "file": str(target), "rows": rows, "bytes": target.stat().st_size})
    else:
        click.echo(f"wrote {show(rows)} {kind.replace('_', ' ')} to {target} ({size(target.stat().st_size)})")


class _Bar:
    """Progress on stderr: how far in the stream's sequences, and rows so far; nothing where stderr is no terminal."""

    def __init__(self, kind: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._kind = kind
        self._task = self._progress.add_task(kind, total=None)

    def update(self, rows: int, seq: int, through: int) -> None:
        self._progress.update(
            self._task, description=f"{show(rows)} {self._kind}", completed=seq, total=max(through, 1)
        )

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
