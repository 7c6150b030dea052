"""`iotpm bench engine|features|backtest|..`: figures anyone can repeat, comparisons made in one run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

import click

from iotpm.cli.output import Group, errors_end_the_command, json_option, print_json, print_rows, show


@click.group(cls=Group)
def command() -> None:
    """Measure engine, features and the whole stream on this machine.

    Absolute figures depend on the machine and on what else runs there; ratios are taken within one run.
    """


def report(result: dict[str, Any], *, as_json: bool) -> None:
    """Print a result as one JSON object, or a line a figure."""
    if as_json:
        print_json(result)
        return
    for name, value in result.items():
        click.echo(f"{name:>28}  {show(value)}")


@command.command()
@click.option("--signals", default=10_000, show_default=True, help="Interleaved signals.")
@click.option("--readings", default=6_000_000, show_default=True, help="Readings to run, after the warm-up.")
@click.option("--chunk", default=65_536, show_default=True, help="Readings handed over at once.")
@json_option
@errors_end_the_command
def engine(signals: int, readings: int, chunk: int, as_json: bool) -> None:
    """One core: detector set `basic` and 17-feature windows of 300 readings, hop 100; and what assets' models add."""
    from iotpm import _core

    def rate(measured: dict[str, float]) -> int:
        return round(measured["readings"] / measured["seconds"])

    basic = _core.bench_engine(signals=signals, readings=readings, chunk=chunk)
    both = _core.bench_engine(signals, readings, chunk, "basic+asset_model")
    rates = {"readings_per_s_core": rate(basic), "readings_per_s_core_with_asset_model": rate(both)}
    report({**rates, "signals": signals, "chunk": chunk, **basic}, as_json=as_json)


@command.command()
@click.option("--length", default=300, show_default=True, help="Readings in a window.")
@click.option("--windows", default=200_000, show_default=True, help="Windows to compute.")
@click.option(
    "--scipy-windows", default=1_000, show_default=True, help="Windows computed by NumPy and SciPy beside it."
)
@json_option
@errors_end_the_command
def features(length: int, windows: int, scipy_windows: int, as_json: bool) -> None:
    """17 window features on one core, with NumPy and SciPy on the same data in the same run."""
    import numpy as np

    from iotpm.features import window_features

    x = np.random.default_rng(1).normal(20.0, 2.0, (windows, length))
    window_features(x[:1000], rate_hz=1.0)
    ours = _seconds(lambda: window_features(x, rate_hz=1.0)) / windows
    theirs = _seconds(lambda: _scipy_features(x[:scipy_windows])) / scipy_windows
    figures = {"windows_per_s_core": round(1 / ours), "scipy_windows_per_s": round(1 / theirs)}
    report({**figures, "ratio_to_scipy": round(theirs / ours, 1), "length": length}, as_json=as_json)


def _seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _scipy_features(windows: Any) -> list[list[float]]:
    """The definitions in the documentation of `iotpm.features`, a window at a time as a user would write them."""
    import numpy as np
    from scipy import signal, stats

    def one(x: Any) -> list[float]:
        frequencies, power = signal.periodogram(x, 1.0, scaling="spectrum")
        frequencies, power = frequencies[1:], power[1:]
        share = power / power.sum()
        rms = np.sqrt(np.mean(x**2))
        q25, median, q75 = np.percentile(x, [25, 50, 75])
        peak = int(np.argmax(power))
        moments = [x.mean(), x.std(), x.min(), x.max(), rms, np.ptp(x), stats.skew(x), stats.kurtosis(x)]
        spectral = [
            np.abs(x).max() / rms,
            frequencies[peak],
            np.sqrt(2 * power[peak]),
            stats.entropy(share) / np.log(len(share)),
            (frequencies * share).sum(),
        ]
        return [*moments, *spectral, q25, median, q75, q75 - q25]

    return [one(x) for x in windows]


@command.command()
@click.option("--signals", default=64, show_default=True, help="Signals that take turns.")
@click.option("--readings", default=4_000_000, show_default=True, help="Readings a set, after the warm-up.")
@click.option("--chunk", default=1_000, show_default=True, help="Readings handed over at once.")
@json_option
@errors_end_the_command
def detectors(signals: int, readings: int, chunk: int, as_json: bool) -> None:
    """Detectors of one signal on one core: the default set, without its shape channel, each alone; memory a signal."""
    from iotpm.bench.detectors import measure

    report(measure(signals=signals, readings=readings, chunk=chunk), as_json=as_json)


@command.command()
@click.option(
    "--mode", type=click.Choice(["catchup", "live", "batched", "overload"]), required=True, help="What is measured."
)
@click.option("--messages", default=3_000_000, show_default=True, help="catchup: messages of one reading.")
@click.option("--readings", default=8_000_000, show_default=True, help="batched: readings.")
@click.option("--per-message", default=1_000, show_default=True, help="batched: readings a message.")
@click.option("--rate", "rate_hz", default=100_000.0, show_default=True, help="live: readings a second.")
@click.option("--seconds", default=60.0, show_default=True, help="live, overload: how long.")
@click.option("--capacity", "capacity_hz", type=float, help="overload: readings a second  [measured]")
@click.option("--stream-bytes", default=4 << 30, show_default=True, help="overload: size of the stream.")
@click.option("--find-max", is_flag=True, help="live: raise the rate until it no longer holds.")
@click.option("--signals", default=10_000, show_default=True, help="Signals, ten an asset.")
@click.option(
    "--durability",
    type=click.Choice(["process", "power"]),
    default="process",
    show_default=True,
    help="What is acknowledged survives kill -9, or power loss too: then the load comes in atomic batches.",
)
@click.option("--interval-ms", type=float, help="Event time between a signal's readings  [1000; batched: 100]")
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Where to work."
)
@json_option
@errors_end_the_command
def stream(
    mode: str,
    messages: int,
    readings: int,
    per_message: int,
    rate_hz: float,
    seconds: float,
    capacity_hz: float | None,
    stream_bytes: int,
    find_max: bool,
    signals: int,
    durability: Literal["process", "power"],
    interval_ms: float | None,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Generator, broker, node and store together on this machine; SQL must agree afterwards."""
    from iotpm import logs
    from iotpm.bench import drain, live, overload
    from iotpm.bench.ground import Scene

    logs.configure("warning", "console")
    # At 10 Hz a window has 300 readings, as in `bench engine`; catch-up is kept at one window for ten readings.
    interval = interval_ms or (100.0 if mode == "batched" else 1_000.0)
    scene = Scene(signals, interval, directory, lambda text: click.echo(text, err=True), durability)
    match mode:
        case "live":
            result = live.measure(scene, rate_hz=rate_hz, seconds=seconds, find_max=find_max)
        case "overload":
            result = overload.measure(scene, seconds=seconds, capacity_hz=capacity_hz, stream_bytes=stream_bytes)
        case "catchup":
            result = drain.catchup(scene, messages=messages)
        case _:
            result = drain.batched(scene, readings=readings, per_message=per_message)
    report({**result, "durability": durability}, as_json=as_json)


@command.command()
@click.option("--signals", "counts", multiple=True, default=(10_000, 100_000), show_default=True, help="Signals.")
@click.option(
    "--dist", type=click.Path(path_type=Path), default=Path("dist"), show_default=True, help="Where wheels are."
)
@json_option
@errors_end_the_command
def memory(counts: tuple[int, ...], dist: Path, as_json: bool) -> None:
    """Memory per signal, time to start and to end a node, size of the wheel."""
    from iotpm.bench.memory import measure

    report(measure(counts=counts, dist=dist, say=lambda text: click.echo(text, err=True)), as_json=as_json)


@command.command()
@click.option("--minutes", default=60.0, show_default=True, help="How long; two fifths of it are warm-up.")
@click.option("--rate", "rate_hz", default=20_000.0, show_default=True, help="Readings a second.")
@click.option("--signals", default=10_000, show_default=True, help="Signals, ten an asset.")
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Where to work."
)
@json_option
@errors_end_the_command
def soak(minutes: float, rate_hz: float, signals: int, directory: Path | None, as_json: bool) -> None:
    """A node under steady load: does its memory grow, its open files, its threads? Says how far it extrapolates."""
    from iotpm.bench import soak as bench
    from iotpm.bench.ground import Scene

    scene = Scene(signals, 1_000.0, directory, lambda text: click.echo(text, err=True))
    report(bench.measure(scene, minutes=minutes, rate_hz=rate_hz), as_json=as_json)


@command.command()
@click.option("--channels", default=64, show_default=True, help="Channels of one second at 25.6 kHz in a batch.")
@click.option("--rounds", default=7, show_default=True, help="The best of so many counts.")
@json_option
@errors_end_the_command
def vibration(channels: int, rounds: int, as_json: bool) -> None:
    """Condition monitoring on one core, with SciPy and other peers on the same data in the same run.

    Then every family of features: microseconds of our call, and how many times as long each library takes for the same
    figures; in brackets how many of ours it has, ~ where its definition differs. They come with the extra `peers`.
    """
    from iotpm.bench import families
    from iotpm.bench.vibration import measure

    result = measure(channels=channels, rounds=rounds)
    if as_json:
        print_json(result)
        return
    found, absent = result.pop("families"), result.pop("absent")
    report(result, as_json=False)
    click.echo()
    columns = ("family", "of", "us", *families.PEERS.values())
    print_rows(families.rows(found, set(absent)), columns, as_json=False, empty="")
    if absent:
        click.echo(f"note: not installed: {', '.join(absent)}: pip install 'iotpm[peers]'", err=True)


@command.command()
@click.option("--readings", default=20_000_000, show_default=True, help="Readings of the store, about.")
@click.option("--assets", default=100, show_default=True, help="Assets, ten signals each.")
@click.option("--interval", "interval_s", default=1.0, show_default=True, help="Seconds between a signal's readings.")
@json_option
@errors_end_the_command
def backtest(readings: int, assets: int, interval_s: float, as_json: bool) -> None:
    """History through the engine: readings a second and core, and how much faster two cores are than one."""
    from iotpm.bench.backtest import measure

    say = lambda text: click.echo(text, err=True)  # noqa: E731 - as the other figures have it
    report(measure(readings=readings, assets=assets, interval_s=interval_s, say=say), as_json=as_json)
