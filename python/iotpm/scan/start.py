"""A configuration to start from, made of what a scan saw."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .ingestion import Ingestion
    from .report import SeriesReport


def starting_configuration(reports: Sequence[SeriesReport]) -> str:
    """Templates as TOML, a signal each: `iotpm config check` takes them. What a scan cannot know is a comment."""
    head = (
        "# What a scan saw. Units, physical ranges and limits are for you to state: without them nothing is guessed.\n"
    )
    return head + "".join(_template(report) for report in reports if not report.ingestion.too_short)


def _template(report: SeriesReport) -> str:
    found = report.ingestion
    lines = ["", "[[template]]", f"match = {_quoted('*/*/' + report.series.name.split('/', 2)[2])}"]
    lines.append('# unit = ""  # UCUM, such as Cel, bar, mm/s')
    lines.append(f"# physical_min, physical_max: seen {found.least:.6g} to {found.greatest:.6g}")
    lines += _of_state(report) if found.state else _settings(found)
    return "\n".join(lines) + "\n"


def _of_state(report: SeriesReport) -> list[str]:
    kept = "detectors = []  # a state or label: stored, not judged"
    found, name = report.ingestion, report.series.name.split("/", 2)[2]
    if found.least < 0:
        return [kept]
    level = (found.least + found.greatest) / 2
    told = f"state = {{ signal = {_quoted(name)}, off_below = {level:g} }}"
    return [kept, "# if it tells whether the machine runs, the templates of the other signals say:", f"# {told}"]


def _settings(found: Ingestion) -> list[str]:
    settings = []
    if found.resolution > 0:
        settings.append(f"resolution = {found.resolution:.10g}")
    if found.out_of_order:
        settings.append(f"lateness_s = {_seconds(10 * found.interval_s)}  # readings came out of order")
    if found.gaps and math.isfinite(found.interval_s):
        settings.append(f"idle_timeout_s = {_seconds(max(30.0, 10 * found.interval_s))}")
    if found.longest_flat >= 30:
        settings.append(f"flatline_readings = {min(2 * found.longest_flat, 1_000_000)}  # twice the longest seen")
    return settings


def _seconds(value: float) -> str:
    return f"{max(value, 0.001):.6g}" if value != int(value) else f"{int(value)}.0"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
