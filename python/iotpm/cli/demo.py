"""`iotpm demo`."""

from __future__ import annotations

import inspect
import signal
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpm.cli.output import errors_end_the_command, print_json

if TYPE_CHECKING:
    from iotpm.simulate.score import Score

PREROLL_S = 5400.0


@click.command()
@click.option("--seconds", default=40.0, show_default=True, help="Length of the live part on the wall clock.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same plant, faults and anomalies.")
@click.option(
    "--assets", type=click.IntRange(min=1), default=1000, show_default=True, help="Machines, of 10 signals each."
)
@click.option("--rate-hz", default=0.1, show_default=True, help="Readings a second of each signal, in plant time.")
@click.option("--time-scale", default=80.0, show_default=True, help="Plant seconds in a second of the wall clock.")
@click.option(
    "--faults",
    type=click.FloatRange(min=0.0),
    default=0.25,
    show_default=True,
    help="Faults an asset suffers in an hour of plant time.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("iotpm-data/demo"),
    show_default=True,
    help="Where broker, store and state go; an earlier demo there is replaced.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines only; the last one is the account.")
@errors_end_the_command
def command(
    seconds: float,
    seed: int,
    assets: int,
    rate_hz: float,
    time_scale: float,
    faults: float,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Run a simulated plant through a real broker, node and store, and say what was found.

    Plant time runs faster than the wall clock. A pre-roll of 90 minutes of plant time, without faults, warms every
    detector; then labelled faults are injected. Ctrl-C ends the plant early and still gives the account.
    """
    from iotpm import logs
    from iotpm.demo import Demo
    from iotpm.simulate.publish import Run
    from iotpm.simulate.screen import Screen

    for name, value in (("--seconds", seconds), ("--rate-hz", rate_hz), ("--time-scale", time_scale)):
        if value <= 0:
            raise click.BadParameter(f"{value}: must be greater than 0", param_hint=name)
    logs.configure("warning")
    interval_s = 1.0 / rate_hz
    preroll, live = round(PREROLL_S / interval_s), max(1, round(seconds * time_scale / interval_s))
    demo = Demo(Run(assets, seed, interval_s, preroll, live, time_scale, faults), data_dir)
    signal.signal(signal.SIGINT, lambda *_: demo.stop())
    signal.signal(signal.SIGTERM, lambda *_: demo.stop())
    account = demo.play(Screen(json_only=as_json))
    score = account.pop("score")
    if as_json:
        print_json(account)
    else:
        _tell(account, score)


def _latency(latency: dict[str, float | None]) -> str:
    """Of the live part; the pre-roll comes as fast as the broker takes it."""
    if latency["p99"] is None:
        return "none measured, for no anomaly came in the live part"
    return f"p50 {latency['p50']} ms, p99 {latency['p99']} ms (interpolated between a histogram's buckets)"


def _figure(value: float | None) -> str:
    return "-" if value is None else str(value)


def _tell(account: dict[str, Any], score: Score) -> None:
    """The account as a person reads it."""
    from iotpm.simulate import score as rule

    latency = account["latency_ms"]
    click.echo(
        f"\n{account['readings']:,} readings stored of {account['published']:,} published, {account['lost']} lost"
    )
    click.echo(f"scoring latency, stored reading to stored anomaly: {_latency(latency)}")
    click.echo(f"\n{account['injected']} faults injected, {account['counted']} with time enough to be found:")
    for kind, (found, counted) in score.by_kind().items():
        click.echo(f"  {kind:<12} {found:>4} of {counted:>4} found")
    click.echo(
        f"recall {_figure(account['recall'])}, precision {_figure(account['precision'])} "
        f"({account['false']} false alarms, {account['neither']} echoes of found faults)"
    )
    click.echo(
        f"control, as many alarms at random: recall {_figure(account['random_recall'])}, "
        f"precision {_figure(account['random_precision'])}"
    )
    for what, count in list(account["false_by_kind"].items())[:5]:
        click.echo(f"  falsely raised: {count:>4} {what}")
    click.echo(f"not counted: {account['preroll_anomalies']} anomalies of the pre-roll, in which every detector is new")
    text = inspect.cleandoc(rule.__doc__ or "").split("\n\n", 1)[1]
    click.echo("\nhit rule:\n" + textwrap.indent(text, "  "))
    click.echo(f"\ndatabase: {account['database']}")
