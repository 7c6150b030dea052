"""`iotpm backtest`: what a configuration would have raised in the past, and what it would have changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from iotpm.cli.history import history_options, opened, progress, workers_for
from iotpm.cli.options import moment
from iotpm.cli.output import errors_end_the_command, json_option, print_json, print_rows, show
from iotpm.durations import duration

if TYPE_CHECKING:
    from iotpm.backtest import Difference, Ran, Verdict
    from iotpm.backtest.judge import Hit
    from iotpm.config import Config

DIFFERENCE: Final = ("only_old", "only_new", "both", "signal", "detector")
HITS: Final = ("signal", "start", "end", "raised", "lead", "detector")
Verdicts = list[tuple[str, "Verdict"]]


@click.command()
@history_options
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The configuration to try; only its templates matter.  [default: the built-in templates]",
)  # fmt: skip
@click.option(
    "--against", "against_path", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Another configuration, such as the one that runs: what would change?",
)  # fmt: skip
@click.option(
    "--labels", "labels_path", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Known faults, CSV with signal,start,end: then hits, misses and lead time too.",
)  # fmt: skip
@click.option("--html", "html_path", type=click.Path(path_type=Path, dir_okay=False), help="Write a page as well.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; never changes a result.  [default: all cores]")
@click.option("--top", type=click.IntRange(min=0), default=20, show_default=True, help="Rows of a table; 0 for all.")
@json_option
@errors_end_the_command
def command(**told: Any) -> None:
    """Run history through the engine under a configuration, and say what it would have raised.

    \b
      iotpm backtest --dir iotpm-data --config new.toml --against old.toml \\
                     --from 14d
      iotpm backtest plant.parquet --labels faults.csv --html backtest.html

    The history is the store of a node (--dir) or files as `iotpm replay` takes them. Readings run as fast as the cores
    allow, each asset in an engine of its own, in the order in which they arrived; stream time is their event time, so
    the clock never matters. Nothing is written but the page, and no live data are touched.

    A false alarm is an anomaly raised when no fault of its asset is labelled; the rate is over the time that no label
    covers. A fault counts as hit if one of its signals raises an anomaly within it; lead time is from there to the
    label's end. Two configurations' anomalies are the same if they are of one signal and overlap.
    """  # noqa: D301 - click reads the escape
    from iotpm import logs
    from iotpm.backtest import compare, judge, read_labels, run

    logs.configure("warning")
    named = _configurations(told)
    labels = read_labels(told["labels_path"]) if told["labels_path"] else []
    with opened(told, [config for _, config in named]) as (history, span):
        workers, began = told["workers"] or workers_for(history), time.perf_counter()
        with progress("running", history.readings) as advance:
            ran = run(history, [config for _, config in named], workers, advance)
        took_s, notes = time.perf_counter() - began, [*history.notes]
    verdicts: Verdicts = [(name, judge(ran, at, span, labels)) for at, (name, _) in enumerate(named)]
    difference = compare(verdicts[1][1].raised, verdicts[0][1].raised) if len(verdicts) > 1 else None
    account = _account(ran, named, took_s, workers)
    if told["html_path"]:
        from iotpm.backtest.page import write_page

        write_page(told["html_path"], "Backtest", ran, verdicts, difference, [_ran(account), *notes])
    _tell(account, verdicts, difference, notes, told)


def _configurations(told: dict[str, Any]) -> list[tuple[str, Config]]:
    """The new configuration, then the old one if there is one, each with its name."""
    from iotpm.config import Config

    paths = [told["config_path"], *([told["against_path"]] if told["against_path"] else [])]
    return [(str(path) if path else "built-in", Config.load(path)) for path in paths]


def _account(ran: Ran, named: list[tuple[str, Config]], took_s: float, workers: int) -> dict[str, Any]:
    return {
        "assets": len(ran.assets),
        "readings": ran.readings,
        "first": moment(min(seen.first_us for seen in ran.assets.values())),
        "last": moment(max(seen.last_us for seen in ran.assets.values())),
        "seconds": round(took_s, 3),
        "workers": workers,
        "readings_per_s": round(ran.readings * len(named) / took_s),
        "configurations": {name: config.hash[:16] for name, config in named},
    }


def _ran(account: dict[str, Any]) -> str:
    return (
        f"{show(account['readings'])} readings of {show(account['assets'])} assets, {show(account['first'])} to "
        f"{show(account['last'])} UTC, in {account['seconds']:.2f} s ({show(account['readings_per_s'])}/s)"
    )


def _tell(
    account: dict[str, Any], verdicts: Verdicts, difference: Difference | None, notes: list[str], told: dict[str, Any]
) -> None:
    if told["as_json"]:
        figures = [{"configuration": name, **verdict.as_json()} for name, verdict in verdicts]
        print_json({**account, "results": figures, "difference": difference and difference.as_json(), "notes": notes})
        return
    for note in notes:
        click.echo(f"note: {note}", err=True)
    click.echo(_ran(account))
    for name, verdict in verdicts:
        click.echo("".join(f"\n{line}" for line in _lines(name, verdict)))
    for name, verdict in verdicts:
        if verdict.hits:
            click.echo(f"\nlabelled faults under {name}")
            print_rows([_hit(hit) for hit in verdict.hits][: told["top"] or None], HITS, as_json=False, empty="none")
    if difference is not None:
        _print_difference(difference, verdicts, told["top"])
    if told["html_path"]:
        click.echo(f"\nthe page: {told['html_path']}")


def _lines(name: str, verdict: Verdict) -> Iterator[str]:
    figures = verdict.as_json()
    yield name
    kinds = ", ".join(f"{show(count)} {detector}" for detector, count in figures["by_detector"].items())
    learning = f"; {show(figures['while_learning'])} while learning" if figures["while_learning"] else ""
    yield f"  {show(figures['anomalies'])} anomalies{f': {kinds}' if kinds else ''}{learning}"
    rate = verdict.rate
    if rate.per_asset_week is None:
        yield "  no time without labels is left to count false alarms in"
    else:
        yield (
            f"  {show(figures['false_alarms'])} false alarms in {figures['asset_weeks']:.4g} asset-weeks: "
            f"{rate.per_asset_week:.3g} per asset-week ({rate.low:.3g} to {rate.high:.3g})"
        )
    if verdict.hits:
        lead = figures["lead_s_median"]
        when = "" if lead is None else f"; lead {duration(lead)}, delay {duration(figures['delay_s_median'])} (medians)"
        yield f"  {figures['hits']} of {figures['labels']} labelled faults hit, {figures['missed']} missed{when}"


def _hit(hit: Hit) -> dict[str, Any]:
    first = hit.first
    return {
        "signal": hit.label.pattern,
        "start": moment(hit.label.start_us),
        "end": moment(hit.label.end_us),
        "raised": None if first is None else moment(first.raised_us),
        "lead": None if hit.lead_us is None else duration(hit.lead_us / 1e6),
        "detector": None if first is None else first.detector,
    }


def _print_difference(difference: Difference, verdicts: Verdicts, top: int) -> None:
    (new, _), (old, _) = verdicts[0], verdicts[1]
    click.echo(
        f"\n{show(len(difference.both))} anomalies in both, {show(len(difference.only_old))} only under {old}, "
        f"{show(len(difference.only_new))} only under {new}"
    )
    rows = [row for row in difference.rows() if row["only_old"] or row["only_new"]]
    if rows:
        print_rows(rows[: top or None], DIFFERENCE, as_json=False, empty="")
    if top and len(rows) > top:
        click.echo(f"{len(rows) - top} more rows; --top 0 lists all")
