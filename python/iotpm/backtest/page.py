"""A backtest as one HTML page that needs nothing else: figures, each asset's anomalies in time, faults, difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..durations import duration
from ..scan.page import document

if TYPE_CHECKING:
    from pathlib import Path

    from .judge import Difference, Hit, Verdict
    from .labels import Label
    from .run import Raised, Ran

WIDTH: Final = 960
NAMES: Final = 150
"""Room for the assets' names, left of the pictures."""
LANE: Final = 14
"""Height of a configuration's line in a picture."""
ASSETS_MAX: Final = 100
"""Assets with a picture: those with the most anomalies."""
TICKS_MAX: Final = 8
_STEPS_H: Final = (1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 672, 1344, 2688, 8736)
_HOUR_US: Final = 3_600_000_000

_STYLE: Final = """<style>.new{fill:#1f6feb}.old{fill:#d29922}.label{fill:#8b949e;opacity:.35}
.missed{fill:#d1242f;opacity:.45}.lane{fill:#8b949e;opacity:.08}.asset{font-size:12px}.tick{text-anchor:middle}
td.n,th.n{text-align:right}td.t{white-space:nowrap}
.key{display:inline-block;width:.8em;height:.8em;margin:0 .35em 0 1.1em}
.key.new{background:#1f6feb}.key.old{background:#d29922}.key.label{background:#8b949e}.key.missed{background:#d1242f}
</style>"""

WORDS: Final = {
    "anomalies": "anomalies",
    "while_learning": "of them before the detectors were mature",
    "false_alarms": "false alarms",
    "asset_weeks": "asset-weeks without a labelled fault",
    "false_alarms_per_asset_week": "false alarms per asset-week (95 % interval)",
    "by_detector": "by detector",
    "by_severity": "by severity",
    "labels": "labelled faults",
    "hits": "found",
    "missed": "missed",
    "lead_s_median": "known before a fault's end, median",
    "lead_s_least": "known before a fault's end, least",
    "delay_s_median": "known after a fault's begin, median",
}
"""What the figures of a verdict are called; ends of an interval stand beside it."""


def write_page(
    path: Path,
    title: str,
    ran: Ran,
    verdicts: Sequence[tuple[str, Verdict]],
    difference: Difference | None,
    notes: Sequence[str],
) -> None:
    """Write the page; `verdicts` are the configurations with their names, the new one first."""
    body = [_STYLE, f"<h1>{escape(title)}</h1>", *(f'<p class="quiet">{escape(note)}</p>' for note in notes)]
    body.append(_figures(verdicts))
    body += _pictures(ran, verdicts)
    body += _faults(verdicts)
    if difference is not None:
        body += ["<h2>Difference</h2>", _difference(difference.rows())]
    path.write_text(document(title, body), "utf-8")


def _figures(verdicts: Sequence[tuple[str, Verdict]]) -> str:
    told = [verdict.as_json() for _, verdict in verdicts]
    names = [key for key in WORDS if any(key in figures for figures in told)]
    rows = [(WORDS[key], *(_figure(key, figures) for figures in told)) for key in names]
    return _table(("", *(name for name, _ in verdicts)), rows)


def _figure(key: str, figures: dict[str, Any]) -> str:
    value = figures.get(key)
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "-"
    if "_s_" in key:
        return _lasted(round(value * 1e6))
    low, high = figures.get(f"{key}_low"), figures.get(f"{key}_high")
    interval = "" if low is None or high is None else f" ({low:.2g} to {high:.2g})"
    return (f"{value:.3g}" if isinstance(value, float) else f"{value:,}") + interval


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = (), times: Sequence[int] = ()
) -> str:
    """A table; columns `numbers` stand right, columns `times` are not broken."""

    def kind(column: int) -> str:
        return ' class="n"' if column in numbers else ' class="t"' if column in times else ""

    def line(tag: str, cells: Sequence[str]) -> str:
        return "".join(f"<{tag}{kind(column)}>{escape(cell)}</{tag}>" for column, cell in enumerate(cells))

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f"<table><tr>{line('th', heads)}</tr>{body}</table>"


def _difference(rows: Sequence[dict[str, Any]]) -> str:
    columns = ("signal", "detector", "only_old", "only_new", "both")
    if not rows:
        return '<p class="quiet">none</p>'
    cells = [[str(row[column]) for column in columns] for row in rows]
    return _table([column.replace("_", " ") for column in columns], cells, numbers=(2, 3, 4))


def _faults(verdicts: Sequence[tuple[str, Verdict]]) -> Iterator[str]:
    """A line a fault: when, for how long, and what each configuration had to say."""
    if not verdicts[0][1].hits:
        return
    rows = []
    for hits in zip(*(verdict.hits for _, verdict in verdicts), strict=True):
        label = hits[0].label
        lasted = _lasted(label.end_us - label.start_us)
        rows.append((label.pattern, _moment(label.start_us), lasted, *(_hit(hit) for hit in hits)))
    yield "<h2>Labelled faults</h2>"
    yield _table(("signal", "from (UTC)", "lasted", *(name for name, _ in verdicts)), rows, times=(1, 2))


def _hit(hit: Hit) -> str:
    if hit.first is None or hit.delay_us is None:
        return "missed"
    return f"after {_lasted(hit.delay_us)}, {hit.first.detector} on {hit.first.name.rpartition('/')[2]}"


def _pictures(ran: Ran, verdicts: Sequence[tuple[str, Verdict]]) -> Iterator[str]:
    """A line a configuration for each asset; the lines of all assets have one scale of time."""
    counts = {asset: sum(one.asset == asset for _, v in verdicts for one in v.raised) for asset in ran.assets}
    labelled = {asset for asset in counts for label in _labels(verdicts) if label.is_on(asset)}
    shown = sorted((a for a in counts if counts[a] or a in labelled), key=lambda asset: (-counts[asset], asset))
    first = min(seen.first_us for seen in ran.assets.values())
    last = max(first + 1, *(seen.last_us for seen in ran.assets.values()))
    some = sum(count > 0 for count in counts.values())
    yield f"<h2>Anomalies, {_moment(first)} to {_moment(last)} UTC</h2>"
    yield f'<p class="quiet">{some} of {len(counts)} assets have some; those with the most first.{_keys(verdicts)}</p>'
    yield from (_picture(asset, verdicts, first, last) for asset in shown[:ASSETS_MAX])
    if shown:
        yield _axis(first, last)


def _keys(verdicts: Sequence[tuple[str, Verdict]]) -> str:
    keys = [("old" if lane else "new", name) for lane, (name, _) in enumerate(verdicts)]
    if _labels(verdicts):
        keys += [("label", "labelled fault"), ("missed", f"missed by {verdicts[0][0]}")]
    return "".join(f'<span class="key {kind}"></span>{escape(name)}' for kind, name in keys)


def _labels(verdicts: Sequence[tuple[str, Verdict]]) -> list[Label]:
    return [hit.label for hit in verdicts[0][1].hits]


def _x(time_us: int, first: int, last: int) -> float:
    return NAMES + (WIDTH - NAMES) * (min(max(time_us, first), last) - first) / (last - first)


def _picture(asset: str, verdicts: Sequence[tuple[str, Verdict]], first: int, last: int) -> str:
    height = LANE * len(verdicts)

    def bar(kind: str, top: int, tall: int, start_us: int, end_us: int, told: str) -> str:
        left = _x(start_us, first, last)
        place = f'x="{left:.1f}" y="{top}" width="{max(_x(end_us, first, last) - left, 2.5):.1f}" height="{tall}"'
        return f'<rect class="{kind}" {place}><title>{escape(told)}</title></rect>'

    parts = [
        f'<text class="asset" x="0" y="{height / 2 + 4:.0f}">{escape(asset)}</text>',
        f'<rect class="lane" x="{NAMES}" y="0" width="{WIDTH - NAMES}" height="{height}"/>',
    ]
    for hit in verdicts[0][1].hits:
        if hit.label.is_on(asset):
            kind = "missed" if hit.first is None else "label"
            told = f"fault {hit.label.pattern}, {_moment(hit.label.start_us)}"
            parts.append(bar(kind, 0, height, hit.label.start_us, hit.label.end_us, told))
    for lane, (_, verdict) in enumerate(verdicts):
        own = (one for one in verdict.raised if one.asset == asset)
        kind, top = "old" if lane else "new", lane * LANE + 3
        parts += [bar(kind, top, LANE - 6, one.start_us, one.until_us, _told(one)) for one in own]
    return f'<svg viewBox="0 0 {WIDTH} {height + 6}" role="img">{"".join(parts)}</svg>'


def _axis(first: int, last: int) -> str:
    """Full hours or days, as many as there is room for."""
    hours = (last - first) / _HOUR_US
    step_us = _HOUR_US * next((step for step in _STEPS_H if hours / step <= TICKS_MAX), _STEPS_H[-1])
    whole_days = step_us >= 24 * _HOUR_US
    ticks = range(-(-first // step_us) * step_us, last, step_us)
    texts = (_moment(at)[:10] if whole_days else _moment(at)[5:16] for at in ticks)
    marks = (
        f'<path class="axis" d="M{_x(at, first, last):.1f},0v4"/>'
        f'<text class="tick" x="{_x(at, first, last):.1f}" y="16">{text}</text>'
        for at, text in zip(ticks, texts, strict=True)
    )
    return f'<svg viewBox="0 0 {WIDTH} 20" role="img">{"".join(marks)}</svg>'


def _told(one: Raised) -> str:
    what = f"{one.kind} by {one.detector}, {one.severity}, score {one.peak_score:.2f}"
    return f"{one.name}: {what}, {_moment(one.raised_us)}"


def _moment(time_us: int) -> str:
    return str(np.datetime64(time_us, "us").astype("datetime64[s]")).replace("T", " ")


def _lasted(time_us: int) -> str:
    return duration(time_us / 1e6)
