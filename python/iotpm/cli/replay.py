"""`iotpm replay`: files through a stream and a node of their own, or straight into an engine."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from iotpm.cli.history import open_files
from iotpm.cli.options import moment, time_us, with_duration, with_times
from iotpm.cli.output import errors_end_the_command, json_option, print_json, print_rows, show

if TYPE_CHECKING:
    from iotpm.config import Config
    from iotpm.replay import Source, Summary
    from iotpm.replay.session import Outcome, Report
    from iotpm.reproduce import Reproduction

COLUMNS: Final = ("severity", "kind", "name", "start", "lasted", "peak_score", "peak_value", "expected", "detector")
INTERRUPTED: Final = 130
DIFFERS: Final = 3
_SEVERITIES: Final = ("critical", "high", "medium", "low")


@click.command()
@click.argument("path", metavar="[FILE|DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--anomaly", "anomaly_id", metavar="ID",
    help="Instead of a file: run one alarm of --data-dir again from its slice of the stream.",
)  # fmt: skip
@click.option(
    "--via", type=click.Choice(("stream", "engine")), default="stream", show_default=True,
    help="A broker, node and store of its own, or the engine alone, which stores nothing.",
)  # fmt: skip
@click.option("--speed", default="max", show_default=True, help="max, 1x, 60x: stream time over wall time.")
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="Templates and limits, TOML.")
@click.option("--name", help="Name of the replay and its streams.  [default: from the file's name]")
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False),
    help="Where the store goes.  [default: iotpm-data/replay-NAME]  With --anomaly: the node's.  [iotpm-data]",
)  # fmt: skip
@click.option("--fresh", is_flag=True, help="Replace the replay of another file that lies there.")
@click.option("--time-column", help="Column of times.  [default: found]")
@click.option("--time-format", help="How times read, as strptime, such as '%d/%m/%Y %H:%M'.  [default: found]")
@click.option("--rate-hz", type=float, help="Rows have no times: they come at this rate.")
@click.option(
    "--frame", "frame_s", type=float, metavar="SECONDS",
    help="Waveforms are cut into frames of this length; 0: rows are single readings.  [default: 1]",
)  # fmt: skip
@click.option("--unit", help="UCUM unit of a waveform, such as m/s2 or [g], where the file has none.")
@click.option("--start-time", metavar="TIME", help="Time of the first row with --rate-hz.  [default: 2000-01-01]")
@click.option(
    "--value-column", "value_columns", multiple=True, help="Column of values; may be repeated.  [default: all]"
)
@click.option("--signal-column", help="Column of signal names, for long tables.  [default: found]")
@click.option("--exclude", multiple=True, help="Column to leave out; may be repeated.")
@click.option("--separator", help="Separator of CSV columns; 'tab' for tabulators.  [default: found]")
@click.option("--encoding", help="Encoding of CSV files.  [default: UTF-8]")
@click.option("--site", help="Site in the signals' names.  [default: replay]")
@click.option("--asset", help="Asset in the signals' names.  [default: each file's name]")
@click.option("--from", "start", metavar="TIME", help="Leave out rows before this RFC 3339 time.")
@click.option("--top", type=click.IntRange(min=0), default=20, show_default=True, help="Anomalies to list; 0 for all.")
@json_option
@errors_end_the_command
def command(path: Path | None, anomaly_id: str | None, **told: Any) -> None:
    """Replay CSV, Parquet, NDJSON or waveform files through a stream or straight into an engine.

    The files are checked first and then run in virtual time: their own times count, not the clock. Each file is one
    asset. Waveforms (.mat, .npz, .npy, .wav, and CSV at more than 100 rows a second) become frames. A second replay of
    the same file replaces the first; ask it later with `iotpm anomalies --data-dir ...`.

    With --anomaly ID nothing is replaced: the messages that led to that alarm, from the newest snapshot before it (or
    from the first message), run through an engine again, and every revision is compared with the stored one. Where the
    stream no longer has them, the store's readings are run. Exit status: 0 equal to the bit, 3 not equal, 1 it cannot
    be told (the message says what is missing). --config names the broker of a stopped node without its own.
    """
    from iotpm import logs

    logs.configure("warning")
    if anomaly_id is not None:
        if path is not None:
            raise click.UsageError("--anomaly runs a stored alarm again: leave FILE|DIR out")
        reproduce(anomaly_id, told)
        return
    if path is None:
        raise click.UsageError("Missing argument FILE|DIR (or --anomaly ID)")
    told |= {"start_us": _moment_us(told["start"], "--from"), "name": _name(told["name"], path)}
    with _interrupted_quietly():
        outcome = _replay(path, told)
    if outcome.ended_after is not None:
        sys.exit(INTERRUPTED)


def _replay(path: Path, told: dict[str, Any]) -> Outcome:
    source = open_files(path, told, _moment_us(told["start_time"], "--start-time"))
    config, speed = _config(told["config_path"]), _speed(told["speed"])
    with _progress() as progress:
        summary = _checked(source, progress)
        began = time.perf_counter()
        stage = progress.stage("starting", summary.readings)
        if told["via"] == "engine":
            where, outcome = None, _embedded(source, config, speed, told, stage)
        else:
            _keep_what_is_there(summary, config, told)
            where, outcome = _stream(path, source, config, speed, told, stage)
        took_s = time.perf_counter() - began
    _print(_account(path, source, summary, outcome, where, took_s), outcome, told)
    return outcome


def reproduce(anomaly_id: str, told: dict[str, Any]) -> None:
    """Run one alarm again; ends the process with `DIFFERS` if it comes out otherwise."""
    from iotpm.reproduce import reproduce as again

    settings = _config(told["config_path"]).nats if told["config_path"] else None
    with _progress() as progress:
        stage = progress.stage("reading", None)
        found = again(told["data_dir"] or Path("iotpm-data"), anomaly_id, settings, lambda at: stage("message", at))
    if told["as_json"]:
        print_json({
            "id": found.anomaly["id"], "equal": found.equal, "source": found.source, "start": found.start,
            "start_sequence": found.start_seq, "end_sequence": found.end_seq, "revisions": found.revisions,
            "messages": found.messages, "differences": [asdict(one) for one in found.differences],
            "notes": found.notes,
        })  # fmt: skip
    else:
        _tell(found)
    if not found.equal:
        sys.exit(DIFFERS)


def _tell(found: Reproduction) -> None:
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    what = "messages of the stream" if found.source == "stream" else "stored readings"
    click.echo(f"{found.anomaly['name']}: {found.anomaly['kind']} by {found.anomaly['detector']}")
    click.echo(f"{show(found.messages)} {what}, up to message {show(found.end_seq)}, from {found.start}")
    if found.equal:
        click.echo(f"equal to the bit: {_count(found.revisions, 'revision')}")
        return
    rows = [asdict(one) for one in found.differences]
    click.echo(f"not equal: {_count(len(rows), 'difference')}")
    print_rows(rows, ("revision", "column", "stored", "computed"), as_json=False, empty="")


def _moment_us(text: str | None, option: str) -> int | None:
    return time_us(text, round(time.time() * 1e6), option)


def _config(path: Path | None) -> Config:
    from iotpm.config import Config

    return Config.load(path)


def _name(told: str | None, path: Path) -> str:
    from iotpm import subjects
    from iotpm.replay.session import default_name

    name = told or default_name(path)
    try:
        subjects.replay(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--name") from None
    return name


def _speed(text: str) -> float | None:
    from iotpm.replay import parse_speed

    try:
        return parse_speed(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--speed") from None


def _checked(source: Source, progress: _Progress) -> Summary:
    """Reads everything once, so that a bad line is named before anything begins."""
    for note in _merged(source.notes, [str(file.path) for file in source.files]):
        click.echo(f"note: {note}", err=True)
    progress.stage("checking", None)
    summary = source.summary()
    if not summary.readings:
        raise click.ClickException("no readings in it")
    return summary


def _merged(notes: list[str], paths: list[str]) -> Iterator[str]:
    """One line for what is true of several files."""
    where: dict[str, list[str]] = {}
    for note in notes:
        path = next((path for path in paths if note.startswith(f"{path}: ")), "")
        where.setdefault(note.removeprefix(f"{path}: "), []).append(path)
    for text, files in where.items():
        yield f"{len(files)} files: {text}" if len(files) > 1 else f"{files[0]}: {text}" if files[0] else text


def _embedded(source: Source, config: Config, speed: float | None, told: dict[str, Any], report: Report) -> Outcome:
    from iotpm.replay import session

    if speed is not None:
        raise click.UsageError("--speed paces a stream; --via engine always runs as fast as it goes")
    stop = threading.Event()
    with _stopping(stop):
        return session.embedded(source, config, start_us=told["start_us"], report=report, stop=stop)


def _data_dir(config: Config, told: dict[str, Any]) -> Path:
    return Path(told["data_dir"] or config.data_dir / f"replay-{told['name']}")


def _keep_what_is_there(summary: Summary, config: Config, told: dict[str, Any]) -> None:
    """A replay takes the place of an earlier one, but not for nothing at all."""
    from iotpm.replay.session import MARKER

    start_us, data_dir = told["start_us"], _data_dir(config, told)
    empty = start_us is not None and summary.last_us is not None and start_us > summary.last_us
    if empty and (data_dir / MARKER).exists():
        last = show(moment(summary.last_us))
        raise click.ClickException(
            f"--from {show(moment(start_us))}: the last reading is of {last} UTC; the replay in {data_dir} stays"
        )


def _stream(
    path: Path, source: Source, config: Config, speed: float | None, told: dict[str, Any], report: Report
) -> tuple[Path, Outcome]:
    from iotpm.replay import session

    name, data_dir = told["name"], _data_dir(config, told)
    if session.prepare(data_dir, path, fresh=told["fresh"]):
        click.echo(f"note: the earlier replay in {data_dir} is replaced", err=True)
    stop = threading.Event()
    with _stopping(stop):
        session.through_node(
            source,
            session.replay_config(config, data_dir),
            name,
            speed=speed,
            start_us=told["start_us"],
            report=report,
            stop=stop,
        )
    return data_dir, session.outcome_of_store(data_dir)


@contextmanager
def _interrupted_quietly() -> Iterator[None]:
    from iotpm.replay import session

    try:
        yield
    except (KeyboardInterrupt, session.Stopped) as end:
        click.echo(f"interrupted; {str(end) or 'nothing was stored'}", err=True)
        sys.exit(INTERRUPTED)


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the replay and drain its node; a second one ends at once."""
    at_once = threading.Event()

    def handle(_number: int, _frame: object) -> None:
        if stop.is_set():
            at_once.set()
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except RuntimeError as error:
        # DuckDB turns an interrupt into an error of its own.
        if at_once.is_set():
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Progress:
    """Bars on stderr, one a stage; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self.bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def stage(self, name: str, total: int | None) -> Report:
        """A new bar of `total` readings; the one before goes."""
        for task in self.bars.task_ids:
            self.bars.remove_task(task)
        task = self.bars.add_task(name, total=total)

        def report(stage: str, readings: int) -> None:
            self.bars.update(task, description=f"{stage} {show(readings)} readings", completed=readings)

        return report


@contextmanager
def _progress() -> Iterator[_Progress]:
    progress = _Progress()
    with progress.bars:
        yield progress


def _account(
    path: Path, source: Source, summary: Summary, outcome: Outcome, where: Path | None, took_s: float
) -> dict[str, Any]:
    """The facts of a replay, for `--json` and for people."""
    from iotpm.replay.session import counted

    return {
        "source": str(path),
        **summary.to_dict(),
        "first": moment(summary.first_us),
        "last": moment(summary.last_us),
        "ended_after": outcome.ended_after,
        "seconds": round(took_s, 3),
        "readings_per_s": round(summary.readings / took_s),
        "stored": outcome.readings,
        "late": outcome.late,
        "rejected_duplicates": outcome.duplicates,
        "dead_letters": outcome.dead_letters,
        "windows": outcome.windows,
        "anomalies": len(outcome.anomalies),
        "by_kind": {str(kind): count for (kind,), count in counted(outcome.anomalies, "kind")},
        "by_severity": {str(name): count for (name,), count in counted(outcome.anomalies, "severity")},
        "by_signal": {str(name): count for (name,), count in counted(outcome.anomalies, "name")},
        "data_dir": None if where is None else str(where),
        "notes": source.notes,
    }


def _print(account: dict[str, Any], outcome: Outcome, told: dict[str, Any]) -> None:
    worst = sorted(outcome.anomalies, key=_worst_first)[: told["top"] or None]
    if told["as_json"]:
        print_json(account | {"worst": [with_times(row) for row in worst]})
        return
    for line in _lines(account):
        click.echo(line)
    if worst:
        click.echo()
        print_rows(map(with_duration, worst), COLUMNS, as_json=False, empty="")
        left = len(outcome.anomalies) - len(worst)
        click.echo(f"\n{left} more; --top 0 lists all" if left else "")
    if account["data_dir"]:
        click.echo(f"everything is in {account['data_dir']}: iotpm anomalies --data-dir {account['data_dir']}")


def _worst_first(row: dict[str, Any]) -> tuple[int, float, int]:
    return _SEVERITIES.index(row["severity"]), -row["peak_score"], -row["start"]


def _lines(account: dict[str, Any]) -> Iterator[str]:
    if (ended_after := account["ended_after"]) is not None:
        yield f"interrupted after {_count(ended_after, 'reading')}: what follows the first line is of those"
    yield (
        f"{_amount(account)}, {_count(account['signals'], 'signal')}, "
        f"{_count(account['files'], 'file')}, "
        f"{show(account['first'])} to {show(account['last'])} UTC, "
        f"in {account['seconds']:.2f} s ({show(account['readings_per_s'])}/s)"
    )
    accepted = "" if account["readings"] == account["frames"] else f", {show(account['stored'])} readings accepted"
    yield f"{show(account['windows'])} windows{accepted}; {_odd(account)}"
    kinds = ", ".join(f"{show(count)} {kind}" for kind, count in account["by_kind"].items())
    severities = ", ".join(f"{show(count)} {name}" for name, count in account["by_severity"].items())
    number = account["anomalies"]
    yield f"{show(number)} anomal{'y' if number == 1 else 'ies'}" + (f": {kinds} ({severities})" if kinds else "")
    if len(account["by_signal"]) > 1:
        most = list(account["by_signal"].items())[:5]
        yield "most from " + ", ".join(f"{name} ({show(count)})" for name, count in most)


def _amount(account: dict[str, Any]) -> str:
    frames, readings = account["frames"], account["readings"] - account["frames"]
    parts = [(readings, "reading")] if readings or not frames else []
    return ", ".join(_count(number, thing) for number, thing in (*parts, *([(frames, "frame")] if frames else [])))


def _count(number: int, thing: str) -> str:
    return f"{show(number)} {thing}{'' if number == 1 else 's'}"


def _odd(account: dict[str, Any]) -> str:
    """What is odd about the data, as counts; silence would hide it."""
    names = {
        "late": "late",
        "rejected_duplicates": "duplicates",
        "dead_letters": "dead letters",
        "non_finite": "without a finite value",
        "gaps": "gaps",
    }
    found = [f"{show(account[key])} {text}" for key, text in names.items() if account[key]]
    return ", ".join(found) or "none late, duplicate or refused, no gaps"
