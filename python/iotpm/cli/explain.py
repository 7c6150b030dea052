"""`iotpm explain`: why an anomaly was raised."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpm.cli.options import data_dir_option, with_duration, with_times
from iotpm.cli.output import errors_end_the_command, json_option, print_json, print_rows, show

if TYPE_CHECKING:
    from iotpm.explain import Explanation

REVISIONS = ("state", "severity", "time", "score", "value", "expected")
CONTRIBUTORS = ("share", "signal", "expected", "actual", "direction")
TOGETHER = ("share", "severity", "kind", "name", "start", "lasted", "peak_score", "detector", "id")
FACTS = (
    "kind",
    "severity",
    "detector",
    "maturity",
    "agreeing",
    "quality",
    "failure_mode",
    "start",
    "end",
    "peak_time",
    "peak_score",
    "configuration",
    "label",
)


@click.command()
@click.argument("anomaly_id", metavar="ID")
@data_dir_option
@click.option("--html", "html_path", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with a chart.")
@json_option
@errors_end_the_command
def command(anomaly_id: str, data_dir: Path, html_path: Path | None, as_json: bool) -> None:
    """Tell why an anomaly was raised: expected and actual value, its revisions, what else its asset did.

    ID is one that `iotpm anomalies` lists, or enough of its first letters. --html writes a page that needs no network.
    """
    from iotpm import logs
    from iotpm.client import connect
    from iotpm.explain import explain, facts
    from iotpm.feedback import by_anomaly

    logs.configure("error")
    with connect(data_dir) as source:
        explanation = explain(source, anomaly_id)
        said = by_anomaly(source).get(str(explanation.anomaly["id"]))
    explanation.anomaly["label"] = None if said is None else _said(said)
    if html_path is not None:
        html_path.write_text(_page(explanation), "utf-8")
    if as_json:
        print_json(facts(explanation))
        return
    _print(explanation)
    if html_path is not None:
        click.echo(f"\nthe page: {html_path}")


def _said(label: dict[str, Any]) -> str:
    """What an operator said of it."""
    why = f": {label['note']}" if label["note"] else ""
    return f"{label['label']} (label {label['id']} by {label['author']}){why}"


def _facts(explanation: Explanation) -> dict[str, str]:
    row = with_times(explanation.anomaly)
    row["configuration"] = explanation.configuration
    return {name: show(row[name]) for name in FACTS if row.get(name) is not None}


def _contributors(explanation: Explanation) -> list[dict[str, Any]]:
    sides = {1: "higher", -1: "lower", 0: "more restless"}
    return [
        {**one, "share": f"{one['share']:.0%}", "direction": sides[one["direction"]]}
        for one in explanation.contributors
    ]


def _together(explanation: Explanation) -> list[dict[str, Any]]:
    return [{**with_duration(one.anomaly), "share": f"{one.share:.0%}"} for one in explanation.contributions]


def _print(explanation: Explanation) -> None:
    click.echo(explanation.sentence + "\n")
    for name, value in _facts(explanation).items():
        click.echo(f"  {name:<13} {value}")
    if explanation.contributors:
        click.echo("\nwhat it is made of")
        print_rows(_contributors(explanation), CONTRIBUTORS, as_json=False, empty="")
    click.echo("\nhow it went")
    print_rows(map(with_times, explanation.revisions), REVISIONS, as_json=False, empty="no revisions")
    click.echo("\nthe asset at that time")
    print_rows(_together(explanation), TOGETHER, as_json=False, empty="nothing else", keep=("name", "start", "id"))


def _page(explanation: Explanation) -> str:
    from iotpm.scan.chart import chart
    from iotpm.scan.page import document

    facts = "".join(f"<tr><th>{k}</th><td>{escape(v)}</td></tr>" for k, v in _facts(explanation).items())
    picture = chart(explanation.readings, [_stretch(explanation)])
    body = [f"<h1>{escape(explanation.sentence)}</h1>", picture, f"<table>{facts}</table>"]
    if explanation.contributors:
        body += ["<h2>What it is made of</h2>", _table(_contributors(explanation), CONTRIBUTORS)]
    body += ["<h2>How it went</h2>", _table(map(with_times, explanation.revisions), REVISIONS)]
    body += ["<h2>The asset at that time</h2>", _table(_together(explanation), TOGETHER)]
    return document(f"Anomaly {explanation.anomaly['id']}", body)


def _table(rows: Any, columns: tuple[str, ...]) -> str:
    heads = "".join(f"<th>{name}</th>" for name in columns)
    lines = ["".join(f"<td>{escape(show(row[name]))}</td>" for name in columns) for row in rows]
    return f"<table><tr>{heads}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _stretch(explanation: Explanation) -> Any:
    from iotpm.scan.unusual import Unusual

    row, nan = explanation.anomaly, float("nan")
    value, expected = (nan if row[name] is None else row[name] for name in ("peak_value", "expected"))
    end_us = row["time"] if row["end"] is None else row["end"]
    return Unusual(row["start"], end_us, row["peak_time"], row["peak_score"], value, expected, row["detector"])
