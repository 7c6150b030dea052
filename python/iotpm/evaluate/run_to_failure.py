"""Trends of bearings that ran to failure: one alarm rule for all, lead times and false alarms.

The rule, causal and the same for every series: the median of the first 100 snapshots is the healthy baseline and
stays; the alarm is raised when the median of the last 5 snapshots reaches twice the baseline. Twice, 6 dB, is the
change that counts as significant in vibration of machines (Randall, Vibration-based Condition Monitoring (2011),
4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iotpm.errors import SourceError
from iotpm.evaluate.report import Cell, Table

Floats = NDArray[np.float64]

BASELINE = 100
"""Snapshots of the healthy baseline."""
SMOOTHED = 5
"""Snapshots whose median is judged."""
LIMIT = 2.0
"""Times the baseline."""
OTHER_LIMITS = (1.0, 1.25, 1.5, 3.0)
"""Shown beside it; 1 alarms at once on nearly everything: the control."""

COLUMNS = ("run", "bearing", "failed", "first alarm h", "run h", "lead h", "lead % of run", "greatest / baseline")
NOTE = (
    f"Baseline: median of the first {BASELINE} snapshots. Alarm: median of the last {SMOOTHED} at {LIMIT:g} times "
    "the baseline or more. Lead: from the first alarm to the end of the run. Causal, one setting for all."
)


@dataclass(frozen=True, slots=True, eq=False)
class Trend:
    """One bearing over one run."""

    run: str
    bearing: str
    failed: bool
    """Whether it is one of those that failed."""
    hours: Floats
    """Since the start of the run."""
    channels: dict[str, Floats]
    """One amplitude a snapshot, of each sensor."""

    def ratio(self) -> Floats:
        """Median of the last snapshots over the baseline, of the sensor with the greatest; NaN while it is learned."""
        greatest: Floats = np.max([ratio(values) for values in self.channels.values()], axis=0)
        return greatest

    def alarm(self, limit: float = LIMIT) -> int | None:
        """The first snapshot with an alarm."""
        reached = np.flatnonzero(np.nan_to_num(self.ratio()) >= limit)
        return int(reached[0]) if reached.size else None


def ratio(values: Floats) -> Floats:
    """Causal: what stands at a snapshot depends on it and those before.

    Raises:
        SourceError: no snapshots behind the baseline, or one that is 0.
    """
    if values.size <= BASELINE:
        raise SourceError(
            f"{values.size} snapshots: more than {BASELINE} are needed for a baseline and something to judge"
        )
    baseline = float(np.median(values[:BASELINE]))
    if baseline <= 0:
        raise SourceError(f"the first {BASELINE} snapshots have the median {baseline}: the sensor was off")
    smoothed = np.full(values.size, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(values, SMOOTHED)
    smoothed[BASELINE:] = np.median(windows, axis=1)[BASELINE - SMOOTHED + 1 :]
    return smoothed / baseline


def table(name: str, trends: Sequence[Trend]) -> Table:
    """A row a bearing."""
    return Table(f"{name}, each bearing", COLUMNS, [_row(trend) for trend in trends], NOTE)


def _row(trend: Trend) -> tuple[Cell, ...]:
    end, at = float(trend.hours[-1]), trend.alarm()
    alarm = None if at is None else float(trend.hours[at])
    lead = None if alarm is None else end - alarm
    greatest = float(np.nanmax(trend.ratio()))
    return (
        trend.run, trend.bearing, "yes" if trend.failed else "no", _rounded(alarm), round(end, 2), _rounded(lead),
        None if lead is None else round(100 * lead / end, 1), round(greatest, 2),
    )  # fmt: skip


def _rounded(hours: float | None) -> float | None:
    return None if hours is None else round(hours, 2)


def limits_table(name: str, trends: Sequence[Trend]) -> Table:
    """The same at other limits, so that the choice can be judged."""
    rows: list[tuple[Cell, ...]] = []
    for limit in sorted({LIMIT, *OTHER_LIMITS}):
        figures = _figures(trends, limit)
        label = f"{limit:g}" + (" (default)" if limit == LIMIT else " (control)" if limit == 1.0 else "")
        rows.append((label, figures["failures_found"], figures["failures"], figures["median_lead_h"],
                     figures["false_alarms"], figures["healthy"]))  # fmt: skip
    columns = ("limit", "failures found", "of", "median lead h", "healthy bearings with an alarm", "of them")
    return Table(f"{name}, by limit", columns, rows)


def _figures(trends: Sequence[Trend], limit: float) -> dict[str, Any]:
    failed, healthy = [t for t in trends if t.failed], [t for t in trends if not t.failed]
    alarms = [(trend, trend.alarm(limit)) for trend in failed]
    leads = [float(trend.hours[-1] - trend.hours[at]) for trend, at in alarms if at is not None]
    return {
        "failures": len(failed),
        "failures_found": len(leads),
        "median_lead_h": round(float(np.median(leads)), 2) if leads else None,
        "healthy": len(healthy),
        "false_alarms": sum(trend.alarm(limit) is not None for trend in healthy),
    }


def json(trends: Sequence[Trend]) -> dict[str, Any]:
    """The figures of the default, of the control that alarms at once, and of each bearing."""
    bearings = [dict(zip(COLUMNS, _row(trend), strict=True)) for trend in trends]
    others = {f"limit_{limit:g}": _figures(trends, limit) for limit in OTHER_LIMITS if limit != 1.0}
    controls = {"alarm_at_once": _figures(trends, 1.0)}
    return {**_figures(trends, LIMIT), "controls": controls, "configurations": others, "bearings": bearings}


def page(path: Path, name: str, trends: Sequence[Trend]) -> None:
    """One HTML file with the trend of each run, its limit, and the first alarms."""
    from iotpm import plot

    runs = dict.fromkeys(trend.run for trend in trends)
    figures = [_figure(run, [trend for trend in trends if trend.run == run]) for run in runs]
    plot.write(path, f"{name}: run to failure", figures, [NOTE])


def _figure(run: str, trends: Sequence[Trend]) -> Any:
    from iotpm import plot

    series = {f"{trend.bearing}{' (failed)' if trend.failed else ''}": trend.ratio() for trend in trends}
    events = {f"alarm {t.bearing}": float(t.hours[at]) for t in trends if (at := t.alarm()) is not None}
    figure = plot.trend(trends[0].hours, series, title=f"{run}: over baseline", unit="1", limit=LIMIT, events=events)
    return figure.update_xaxes(title="hours since the start")
