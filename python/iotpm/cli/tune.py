"""`iotpm tune`: settings for an alarm budget, from healthy history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from iotpm.cli.history import history_options, opened, progress, workers_for
from iotpm.cli.output import errors_end_the_command, json_option, print_json, print_rows, show

if TYPE_CHECKING:
    from iotpm.tune import AssetRate, Proposal, Proposals

COLUMNS: Final = ("per_asset_week", "alarms", "option", "by_detector")


@click.command()
@history_options
@click.option(
    "--alarms-per-asset-week", "alarms", type=float, required=True,
    help="The budget: how many alarms an asset may raise in a week in which nothing is wrong.",
)  # fmt: skip
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Whose templates are tuned.  [default: the built-in template]",
)  # fmt: skip
@click.option("--output", "output_path", type=click.Path(path_type=Path, dir_okay=False), help="Write the TOML there.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; never changes a result.  [default: all cores]")
@json_option
@errors_end_the_command
def command(**told: Any) -> None:
    """Propose settings that keep an alarm budget, from history in which nothing was wrong.

    \b
      iotpm tune --dir iotpm-data --from 28d \\
                 --alarms-per-asset-week 0.1 --output tuned.toml
      iotpm backtest --dir iotpm-data --config tuned.toml --against plant.toml

    The history runs through the engine under several settings of each template: the boundaries of modified_z and
    ema_baseline times factors, with and without more persistence, and the factor that the tail of the scores asks for
    (peaks over threshold). Of those that keep the template's share of the budget the one that raises most is proposed;
    what each would have raised is printed. Before that the rate of the models of assets, asset_false_alarm_rate, times
    factors: the same factor for all templates, for an asset has one model and signals of several templates. Limits,
    rates of change, silences and stuck values are left as they are.

    A proposal is for a template, never for a file or a signal. Nothing is changed: the TOML has all templates and is
    for `iotpm config check`, `iotpm backtest` and then your configuration.
    """  # noqa: D301 - click reads the escape
    from iotpm import logs
    from iotpm.config import Config
    from iotpm.tune import propose
    from iotpm.tune.asset_rate import runs_models
    from iotpm.tune.options import complete

    logs.configure("warning")
    config = Config.load(told["config_path"])
    with opened(told, [config]) as (history, span):
        workers = told["workers"] or workers_for(history)
        total = (
            None
            if history.readings is None
            else (3 if any(map(runs_models, complete(config))) else 2) * history.readings
        )
        with progress("running", total) as advance:
            warm_up_us = 0 if span.since_us is not None else span.warm_up_us
            found = propose(history, config, told["alarms"], warm_up_us=warm_up_us, workers=workers, advance=advance)
        notes = [*history.notes, *found.warnings]
    if told["output_path"]:
        told["output_path"].write_text(found.toml, "utf-8")
    _tell(found, notes, told)


def _tell(found: Proposals, notes: list[str], told: dict[str, Any]) -> None:
    if told["as_json"]:
        print_json({
            "assets": found.assets, "asset_weeks": found.asset_weeks, "readings": found.readings,
            "budget_per_asset_week": found.budget, "before_per_asset_week": found.before.per_asset_week,
            "after_per_asset_week": found.after.per_asset_week, "after_per_asset_week_high": found.after.high,
            "asset_false_alarm_rate": found.asset_rate and found.asset_rate.as_json(),
            "templates": [proposal.as_json() for proposal in found.proposals], "toml": found.toml, "notes": notes,
        })  # fmt: skip
        return
    for note in notes:
        click.echo(f"note: {note}", err=True)
    before, after = (rate.per_asset_week or 0.0 for rate in (found.before, found.after))
    click.echo(
        f"{show(found.readings)} readings, {show(found.assets)} assets, {found.asset_weeks:.4g} asset-weeks: "
        f"{before:.3g} alarms per asset-week now, {after:.3g} as proposed, budget {found.budget:g}"
    )
    if found.asset_rate is not None:
        _print_rate(found.asset_rate)
    for proposal in found.proposals:
        _print(proposal)
    written = told["output_path"]
    click.echo(f"\nwritten to {written}" if written else f"\n{found.toml}")


def _print_rate(found: AssetRate) -> None:
    click.echo(f"\nasset_false_alarm_rate: now {found.now:g}, proposed {found.proposed:g}: {found.reason}")
    rows = [
        {"per_asset_week": one["per_asset_week"], "alarms": one["alarms"], "rate": f"{one['rate']:g}"}
        for one in found.as_json()["tried"]
    ]
    print_rows(rows, ("per_asset_week", "alarms", "rate"), as_json=False, empty="")


def _print(proposal: Proposal) -> None:
    click.echo(
        f"\n{proposal.template.pattern}: {show(proposal.signals)} signals, budget {proposal.budget:.3g}; "
        f"proposed: {proposal.chosen.option.name}"
    )
    for warning in proposal.warnings:
        click.echo(f"warning: {warning}", err=True)
    rows = [
        {
            "per_asset_week": tried.rate.per_asset_week,
            "alarms": tried.alarms,
            "option": tried.option.name,
            "by_detector": ", ".join(f"{n} {name}" for name, n in tried.by_detector.items()),
        }
        for tried in proposal.tried
    ]
    print_rows(rows, COLUMNS, as_json=False, empty="")
