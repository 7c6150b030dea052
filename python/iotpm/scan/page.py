"""The scan as one HTML page that needs nothing else: no network, no script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from iotpm.replay.times import rfc3339

from .chart import chart
from .ingestion import counted, span
from .report import caution
from .start import starting_configuration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .files import Unread
    from .report import SeriesReport
    from .unusual import Unusual

ROWS_MAX: Final = 20
"""Stretches that are listed below a chart, the greatest scores first; the chart shows all."""

_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#1c2733;background:#fff}
h1{font-size:1.5em}h2{font-size:1.1em;margin:2em 0 .2em;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}
td,th{padding:.15em .6em;text-align:left;border-bottom:1px solid #e3e8ee;font-variant-numeric:tabular-nums}
svg{width:100%;height:auto;display:block}.line{fill:none;stroke:#1f6feb;stroke-width:1;stroke-linecap:round}.axis{fill:none;stroke:#9aa7b4}
.band{fill:#ffb4a9;opacity:.55}.peak{fill:#d1242f}text{font-size:11px;fill:#57636f}.value{text-anchor:end}
.remark{color:#8a5300}.quiet{color:#57636f}pre{background:#f4f6f8;padding:1em;overflow-x:auto}
@media(prefers-color-scheme:dark){body{background:#11161c;color:#dfe6ee}td,th{border-color:#2c3642}
pre{background:#1a212a}.line{stroke:#6cb1ff}text,.quiet{fill:#9aa7b4;color:#9aa7b4}.band{fill:#7a2a22}.remark{color:#e3b341}}
"""


def write_page(
    path: Path,
    title: str,
    reports: Sequence[SeriesReport],
    notes: Sequence[str] = (),
    unread: Sequence[Unread] = (),
) -> None:
    """Write the page: what could not be read, what was guessed, a line and a chart a signal, what to start from."""
    path.write_text(_page(title, reports, notes, unread), "utf-8")


def document(title: str, body: Sequence[str]) -> str:
    """A whole page around parts that are HTML already."""
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return head + "\n".join(body) + "</html>\n"


def _page(title: str, reports: Sequence[SeriesReport], notes: Sequence[str], unread: Sequence[Unread]) -> str:
    body = [f"<h1>{escape(title)}</h1>", _summary(reports), _not_read(unread)]
    body += [f'<p class="quiet">{escape(note)}</p>' for note in notes]
    body.append(_overview(reports))
    body += [_section(index, report) for index, report in enumerate(reports)]
    body.append(f"<h2>To start from</h2><pre>{escape(starting_configuration(reports))}</pre>")
    return document(title, body)


def _summary(reports: Sequence[SeriesReport]) -> str:
    readings = sum(report.ingestion.readings for report in reports)
    stretches = sum(len(report.unusual) for report in reports)
    short = sum(report.ingestion.too_short for report in reports)
    states = sum(report.ingestion.state for report in reports)
    unusual = "1 unusual stretch" if stretches == 1 else f"{stretches:,} unusual stretches"
    text = f"{counted(readings, 'reading')} of {counted(len(reports), 'signal')}; {unusual}"
    text += f"; {counted(short, 'signal')} too short to judge" if short else ""
    text += f"; {counted(states, 'signal')} taken for states or labels, not judged" if states else ""
    told = caution(reports)
    remark = f'<p class="remark">{escape(told)}</p>' if told else ""
    return f"<p>{text}.</p>{remark}"


def _not_read(unread: Sequence[Unread]) -> str:
    if not unread:
        return ""
    rows = "".join(f"<tr><td>{escape(one.path.name)}</td><td>{escape(one.reason)}</td></tr>" for one in unread)
    return f'<p class="remark">{counted(len(unread), "file")} not read:</p><table>{rows}</table>'


def _overview(reports: Sequence[SeriesReport]) -> str:
    rows = "".join(_overview_row(index, report) for index, report in enumerate(reports))
    heads = "".join(f"<th>{name}</th>" for name in ("signal", "readings", "interval", "least", "greatest", "unusual"))
    return f"<table><tr>{heads}</tr>{rows}</table>"


def _overview_row(index: int, report: SeriesReport) -> str:
    found = report.ingestion
    cells = (f"{found.readings:,}", span(found.interval_s), f"{found.least:.5g}", f"{found.greatest:.5g}")
    link = f'<a href="#s{index}">{escape(report.series.name)}</a>'
    return f"<tr><td>{link}</td>{''.join(f'<td>{cell}</td>' for cell in (*cells, report.verdict))}</tr>"


def _section(index: int, report: SeriesReport) -> str:
    remarks = "".join(f'<div class="remark">{escape(text)}</div>' for text in report.ingestion.remarks)
    picture = chart(report.series, report.unusual)
    return f'<h2 id="s{index}">{escape(report.series.name)}</h2>{remarks}{picture}{_table(report.unusual)}'


def _table(unusual: Sequence[Unusual]) -> str:
    if not unusual:
        return ""
    greatest = sorted(unusual, key=lambda one: -one.score)[:ROWS_MAX]
    heads = "".join(f"<th>{name}</th>" for name in ("from", "to", "score", "value", "usually", "detector"))
    left_out = len(unusual) - len(greatest)
    more = f'<p class="quiet">{left_out} more are marked in the chart</p>' if left_out else ""
    return f"<table><tr>{heads}</tr>{''.join(map(_row, greatest))}</table>{more}"


def _row(one: Unusual) -> str:
    cells = (rfc3339(one.start_us), rfc3339(one.end_us), f"{one.score:.2f}", f"{one.value:.6g}", f"{one.usual:.6g}")
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in (*cells, one.detector))}</tr>"
