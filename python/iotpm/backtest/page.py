"""A backtest as one HTML page that needs nothing else: figures, the difference, and every asset's anomalies in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from ..replay.times import rfc3339
from ..scan.page import document

if TYPE_CHECKING:
    from pathlib import Path

    from .judge import Difference, Hit, Verdict
    from .run import Raised, Ran

WIDTH: Final = 960
LANE: Final = 16
"""Height of a configuration's line in a picture."""
ASSETS_MAX: Final = 100
"""Assets with a picture: those with the most anomalies."""

_COLOURS: Final = "<style>.new{fill:#1f6feb}.old{fill:#d29922}.label{fill:#ffb4a9;opacity:.55}</style>"


def write_page(
    path: Path,
    title: str,
    ran: Ran,
    verdicts: Sequence[tuple[str, Verdict]],
    difference: Difference | None,
    notes: Sequence[str],
) -> None:
    """Write the page; `verdicts` are the configurations with their names, the new one first."""
    body = [_COLOURS, f"<h1>{escape(title)}</h1>", *(f'<p class="quiet">{escape(note)}</p>' for note in notes)]
    body.append(_figures(verdicts))
    if difference is not None:
        body += [
            "<h2>Difference</h2>",
            _table(difference.rows(), ("signal", "detector", "only_old", "only_new", "both")),
        ]
    body += _hits(verdicts)
    body += _pictures(ran, verdicts)
    path.write_text(document(title, body), "utf-8")


def _figures(verdicts: Sequence[tuple[str, Verdict]]) -> str:
    told = [(name, verdict.as_json()) for name, verdict in verdicts]
    names = dict.fromkeys(key for _, figures in told for key in figures)
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("", *(name for name, _ in told)))
    rows = "".join(f"<tr><td>{key}</td>{''.join(_cell(f.get(key)) for _, f in told)}</tr>" for key in names)
    return f"<table><tr>{heads}</tr>{rows}</table>"


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    if not rows:
        return '<p class="quiet">none</p>'
    heads = "".join(f"<th>{column.replace('_', ' ')}</th>" for column in columns)
    lines = "".join(f"<tr>{''.join(_cell(row[column]) for column in columns)}</tr>" for row in rows)
    return f"<table><tr>{heads}</tr>{lines}</table>"


def _cell(value: object) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{key} {count}" for key, count in value.items())
    text = f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)
    return f"<td>{escape(text)}</td>"


def _hits(verdicts: Sequence[tuple[str, Verdict]]) -> Iterator[str]:
    for name, verdict in verdicts:
        if verdict.hits:
            yield f"<h2>Labelled faults, {escape(name)}</h2>"
            yield _table([_hit(hit) for hit in verdict.hits], ("signal", "from", "to", "raised", "lead_s", "detector"))


def _hit(hit: Hit) -> dict[str, Any]:
    first, label = hit.first, hit.label
    return {
        "signal": label.pattern,
        "from": rfc3339(label.start_us),
        "to": rfc3339(label.end_us),
        "raised": None if first is None else rfc3339(first.raised_us),
        "lead_s": None if hit.lead_us is None else hit.lead_us / 1e6,
        "detector": None if first is None else f"{first.detector} on {first.name}",
    }


def _pictures(ran: Ran, verdicts: Sequence[tuple[str, Verdict]]) -> Iterator[str]:
    """A line a configuration for each asset; the lines of all assets have one scale of time."""
    counts = {asset: sum(one.asset == asset for _, v in verdicts for one in v.raised) for asset in ran.assets}
    shown = sorted((asset for asset in counts if counts[asset]), key=lambda asset: (-counts[asset], asset))
    first = min(seen.first_us for seen in ran.assets.values())
    last = max(seen.last_us for seen in ran.assets.values())
    yield f"<h2>Anomalies, {rfc3339(first)} to {rfc3339(last)}</h2>"
    yield f'<p class="quiet">{len(shown)} of {len(counts)} assets have some; lines from above: '
    yield ", ".join(escape(name) for name, _ in verdicts) + "</p>"
    for asset in shown[:ASSETS_MAX]:
        yield f"<p>{escape(asset)}</p>{_picture(asset, verdicts, first, max(last, first + 1))}"


def _picture(asset: str, verdicts: Sequence[tuple[str, Verdict]], first: int, last: int) -> str:
    def x(time_us: int) -> float:
        return WIDTH * (min(max(time_us, first), last) - first) / (last - first)

    def bar(kind: str, lane: int, height: int, start_us: int, end_us: int, told: str) -> str:
        left, width = x(start_us), max(x(end_us) - x(start_us), 2.0)
        place = f'x="{left:.1f}" y="{lane * LANE + 2}" width="{width:.1f}" height="{height}"'
        return f'<rect class="{kind}" {place}><title>{escape(told)}</title></rect>'

    labels = {hit.label for _, verdict in verdicts for hit in verdict.hits if hit.label.is_on(asset)}
    parts = [
        bar("label", 0, LANE * len(verdicts) - 4, label.start_us, label.end_us, f"fault {label.pattern}")
        for label in sorted(labels, key=lambda label: label.start_us)
    ]
    for lane, (_, verdict) in enumerate(verdicts):
        own = (one for one in verdict.raised if one.asset == asset)
        kind = "old" if lane else "new"
        parts += [bar(kind, lane, LANE - 4, one.start_us, one.until_us, _told(one)) for one in own]
    return f'<svg viewBox="0 0 {WIDTH} {LANE * len(verdicts)}" role="img">{"".join(parts)}</svg>'


def _told(one: Raised) -> str:
    what = f"{one.kind} by {one.detector}, {one.severity}, score {one.peak_score:.2f}"
    return f"{one.name}: {what}, {rfc3339(one.raised_us)}"
