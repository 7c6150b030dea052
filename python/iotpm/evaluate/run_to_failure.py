"""Trends of bearings that ran to failure: one alarm rule for all, lead times and false alarms.

The rule, causal and the same for every series. The median of the first 100 snapshots is the healthy baseline, frozen
from then on; a sensor's ratio is the median of its last 5 snapshots over that. On a machine of three bearings or more
it is divided by the median of all its sensors: what all of them see (load, speed, temperature) is no fault of one.
The alarm is raised when the ratio has grown by a quarter, the change that ISO 20816-1:2016 (criterion II) counts as
significant, or by six times the baseline's own scatter (1.4826 MAD), whichever is more. As a score: 1.0 is the alarm.
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
CHANGE = 0.25
"""Significant growth over the baseline."""
SCATTER = 6.0
"""Least growth in robust deviations of the baseline."""
PEERS = 3
"""Bearings of a machine from which on they are compared."""
OTHER_CHANGES = (0.1, 0.5, 1.0)
"""Shown beside it."""

COLUMNS = ("run", "bearing", "failed", "first alarm h", "run h", "lead h", "lead % of run", "greatest score")
NOTE = (
    f"Baseline: median of the first {BASELINE} snapshots. Score: growth of the median of the last {SMOOTHED} over it, "
    f"among its peers, over the greater of {CHANGE:.0%} and {SCATTER:g} deviations of the baseline; alarm at 1. Lead: "
    "from the first alarm to the end of the run. Causal, one setting for all; control: alarm as the baseline ends."
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
    shared: Floats | float = 1.0
    """What all sensors of the machine see, as `shared_ratio` gives it."""

    def score(self, change: float = CHANGE) -> Floats:
        """Of the sensor with the greatest; 1 is the alarm, NaN while the baseline is learned."""
        scores = [_score(values, self.shared, change) for values in self.channels.values()]
        greatest: Floats = np.max(scores, axis=0)
        return greatest

    def alarm(self, change: float = CHANGE) -> int | None:
        """The first snapshot with an alarm; of a change of 0 the first that is judged."""
        if change == 0:
            return BASELINE
        reached = np.flatnonzero(np.nan_to_num(self.score(change)) >= 1.0)
        return int(reached[0]) if reached.size else None


def _score(values: Floats, shared: Floats | float, change: float) -> Floats:
    healthy = values[:BASELINE] / np.median(values[:BASELINE])
    deviation = 1.4826 * float(np.median(np.abs(healthy - 1.0)))
    score: Floats = (ratio(values) / shared - 1.0) / max(change, SCATTER * deviation)
    return score


def shared_ratio(sensors: Sequence[Floats], bearings: int) -> Floats | float:
    """Median ratio of all sensors of a machine at each snapshot; 1 of a machine with too few bearings to compare."""
    if bearings < PEERS:
        return 1.0
    median: Floats = np.median([ratio(values) for values in sensors], axis=0)
    return median


def ratio(values: Floats) -> Floats:
    """Median of the last snapshots over the baseline; NaN while that is learned. Causal.

    Raises:
        SourceError: no snapshots behind the baseline, or one whose median is 0.
    """
    if values.size <= BASELINE:
        raise SourceError(f"{values.size} snapshots: more than {BASELINE} are needed, for a baseline and to judge")
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
    greatest = float(np.nanmax(trend.score()))
    return (
        trend.run, trend.bearing, "yes" if trend.failed else "no", _rounded(alarm), round(end, 2), _rounded(lead),
        None if lead is None else round(100 * lead / end, 1), round(greatest, 2),
    )  # fmt: skip


def _rounded(hours: float | None) -> float | None:
    return None if hours is None else round(hours, 2)


def changes_table(name: str, trends: Sequence[Trend]) -> Table:
    """The same at other changes, so that the choice can be judged, and the control."""
    labels = {CHANGE: f"{CHANGE:.0%} (default)", 0.0: "at once (control)"}
    rows: list[tuple[Cell, ...]] = []
    for change in sorted({CHANGE, *OTHER_CHANGES, 0.0}):
        figures = _figures(trends, change)
        rows.append((labels.get(change, f"{change:.0%}"), figures["failures_found"], figures["failures"],
                     figures["median_lead_h"], figures["false_alarms"], figures["healthy"]))  # fmt: skip
    columns = (
        "significant change",
        "failures found",
        "of",
        "median lead h",
        "healthy bearings with an alarm",
        "of them",
    )
    return Table(f"{name}, by what counts as a change", columns, rows)


def _figures(trends: Sequence[Trend], change: float) -> dict[str, Any]:
    failed, healthy = [t for t in trends if t.failed], [t for t in trends if not t.failed]
    alarms = [(trend, trend.alarm(change)) for trend in failed]
    leads = [float(trend.hours[-1] - trend.hours[at]) for trend, at in alarms if at is not None]
    return {
        "failures": len(failed),
        "failures_found": len(leads),
        "median_lead_h": round(float(np.median(leads)), 2) if leads else None,
        "healthy": len(healthy),
        "false_alarms": sum(trend.alarm(change) is not None for trend in healthy),
    }


def json(trends: Sequence[Trend]) -> dict[str, Any]:
    """The figures of the default, of the control that alarms at once, and of each bearing."""
    bearings = [dict(zip(COLUMNS, _row(trend), strict=True)) for trend in trends]
    others = {f"change_{change:g}": _figures(trends, change) for change in OTHER_CHANGES}
    controls = {"at_once": _figures(trends, 0.0)}
    return {**_figures(trends, CHANGE), "controls": controls, "configurations": others, "bearings": bearings}


def page(path: Path, name: str, trends: Sequence[Trend]) -> None:
    """One HTML file with the trend of each run, its limit, and the first alarms."""
    from iotpm import plot

    runs = dict.fromkeys(trend.run for trend in trends)
    figures = [_figure(run, [trend for trend in trends if trend.run == run]) for run in runs]
    plot.write(path, f"{name}: run to failure", figures, [NOTE])


def _figure(run: str, trends: Sequence[Trend]) -> Any:
    from iotpm import plot

    series = {f"{trend.bearing}{' (failed)' if trend.failed else ''}": trend.score() for trend in trends}
    events = {f"alarm {t.bearing}": float(t.hours[at]) for t in trends if (at := t.alarm()) is not None}
    figure = plot.trend(trends[0].hours, series, title=f"{run}: score", limit=1.0, events=events)
    return figure.update_xaxes(title="hours since the start").update_yaxes(title="score: 1 is the alarm")
