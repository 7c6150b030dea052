"""`iotpm status`: what a node or its files know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from iotpm.cli.options import data_dir_option, moment, size
from iotpm.cli.output import errors_end_the_command, json_option, print_json, show
from iotpm.durations import duration
from iotpm.errors import BrokerError


@click.command()
@data_dir_option
@json_option
@errors_end_the_command
def command(data_dir: Path, as_json: bool) -> None:
    """Show what a node or its files know: position, lag, counts, disk."""
    from iotpm import logs
    from iotpm.client import connect

    logs.configure("error")
    try:
        with connect(data_dir) as source:
            status = source.status()
    except BrokerError as error:
        _tell_unreachable(data_dir, error, as_json=as_json)
        raise
    if as_json:
        print_json(status)
        return
    for name, text in _lines(status):
        click.echo(f"{name:<11} {text}")


def _tell_unreachable(data_dir: Path, error: BrokerError, *, as_json: bool) -> None:
    """What the node says without its broker; nothing if it has gone meanwhile."""
    from iotpm.node import probe
    from iotpm.node.nodefile import NodeFile

    node = NodeFile.of_running_node(data_dir)
    if node is None:
        return
    said = probe.ask(node)
    facts = {"running": True, "reachable": False, "pid": node.pid, "version": node.version, "http": node.http}
    if as_json:
        print_json({**facts, "data_dir": str(data_dir.absolute()), "error": str(error), **said})
        return
    for name, text in _unreachable(facts, said):
        click.echo(f"{name:<11} {text}")


def _unreachable(facts: dict[str, Any], said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "node", f"running, process {facts['pid']}, version {facts['version']}; its broker cannot be reached"
    yield "health", f"{facts['http']}/readyz, {facts['http']}/metrics"
    yield "problems", "; ".join(f"{name}: {reason}" for name, reason in said["problems"].items()) or "none"
    if said["committed_sequence"] is not None:
        yield "position", f"message {show(said['committed_sequence'])}"
    if said["lag"] is not None:
        yield "lag", _messages(said["lag"])


def _messages(count: int) -> str:
    return f"{show(count)} message{'' if count == 1 else 's'}"


def _lines(status: dict[str, Any]) -> Iterator[tuple[str, str]]:
    stored = status["stored"]
    yield "node", _node(status)
    if status["running"]:
        yield from _running(status)
    yield "data", status["data_dir"]
    yield "position", _position(status)
    yield "stored", _counts(stored["rows"])
    if stored["dead_letters"]:
        reasons = ", ".join(f"{show(count)} {reason}" for reason, count in stored["dead_letters"].items())
        yield "dead", f"{reasons}; iotpm dead-letters lists them"
    if (seed := status["seed"]) is not None:
        yield "seed", _seed(seed)
    if (last := stored["last_reading_us"]) is not None:
        yield "last", f"{show(moment(last))} UTC is the newest reading's time"
    if (old := old_figures(status)) is not None:
        yield "figures", f"those of the signals are {old}"
    yield "disk", _disk(stored, status.get("disk", {}))


def _node(status: dict[str, Any]) -> str:
    if status["running"]:
        return f"running, process {status['pid']}, version {status['version']}"
    if status["unclean_end"] is None:
        return "stopped"
    return f"stopped, but not cleanly: {status['unclean_end']} was killed or crashed; a start goes on from the stream"


def old_figures(status: dict[str, Any]) -> str | None:
    """Of which time the figures are that no stored row tells; None if they are as new as the newest reading."""
    stored = status["stored"]
    figures, last = stored["figures_us"], stored["last_reading_us"]
    if last is None or last == figures:
        return None
    if figures is None:
        return "not there yet: the node ended before it wrote them"
    return f"of {show(moment(figures))} UTC, {duration((last - figures) / 1e6)} before the newest reading"


def _running(status: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "broker", status["url"]
    yield "health", f"{status['http']}/readyz, {status['http']}/metrics"
    problems = [f"{name}: {reason}" for name, reason in status["problems"].items()]
    yield "problems", "; ".join(problems) or "none"
    yield "lag", f"{_messages(status['lag'])}; scoring latency p99 {_latency(status['scoring_latency_p99_s'])}"
    # Rows may be older than the process, or gone by their age: these are other counts than those of `stored`.
    yield "since start", f"{show(status['late'])} late and {show(status['duplicates'])} duplicate readings, not scored"
    if status["muted"] or status["maintenance"]:
        counts = f"{show(status['muted'])} anomalies muted, {show(status['maintenance'])} readings under maintenance"
        yield "feedback", counts


def _latency(seconds: float | None) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds else "-"


def _position(status: dict[str, Any]) -> str:
    epoch = f", epoch {status['epoch']}" if status["epoch"] > 1 else ""
    return f"message {show(status['committed_sequence'])} of stream {status['stream'] or '-'}{epoch}"


def _counts(rows: dict[str, int]) -> str:
    waveforms = ("vibration", "waveforms") if rows["vibration"] else ()
    names = ("signals", "readings", "windows", *waveforms, "anomalies", "late_readings", "dead_letters")
    return ", ".join(f"{show(rows[name])} {name.replace('_', ' ')}" for name in names)


def _seed(seed: dict[str, Any]) -> str:
    learned = f"{show(seed['readings'])} readings of {show(seed['signals'])} signals, {show(seed['mature'])} mature"
    return f"{learned}, from {seed['source']}, up to {show(moment(seed['last_us']))} UTC"


def _disk(stored: dict[str, Any], watched: dict[str, Any]) -> str:
    """Sizes, and what a running node knows beyond them: its budget and when that is used up."""
    parts = stored["bytes"]
    used = ", ".join(f"{name} {size(parts[name])}" for name in ("store", "lake", "state", "broker") if parts[name])
    budget, days = watched.get("budget_bytes"), watched.get("forecast_days")
    bound = f"; budget {size(budget)}" if budget else ""
    forecast = f"; full in {show(days)} days at the recent rate" if days is not None else ""
    return f"{used or 'empty'}; {size(parts['free'])} free{bound}{forecast}"
