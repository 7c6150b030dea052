"""The scan itself: every signal inspected and judged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iotpm.replay.times import rfc3339

from .ingestion import OUTSIDE_MAX, Ingestion, inspect_series
from .series import Series
from .unusual import Unusual, find_unusual

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class SeriesReport:
    """One signal: its readings in order, how they arrive, what is unusual."""

    series: Series
    ingestion: Ingestion
    unusual: list[Unusual]
    """None of what is too short, or a state."""

    @property
    def verdict(self) -> str:
        """The number of unusual stretches, or why none was looked for."""
        if self.ingestion.state:
            return "state"
        return "too short" if self.ingestion.too_short else f"{len(self.unusual):,}"

    def as_json(self) -> dict[str, Any]:
        """Plain values, times as RFC 3339."""
        found = self.ingestion
        names = [name for name in found.__slots__ if name != "modes"]
        return {
            "signal": self.series.name,
            **{name: _plain(getattr(found, name)) for name in names},
            "modes": list(found.modes),
            "unusual": [_unusual(one) for one in self.unusual],
        }


def caution(reports: Sequence[SeriesReport]) -> str | None:
    """What to say of all signals where the beginning of the data does not stand for the rest; None where it does."""
    moved = sum(report.ingestion.measurement and report.ingestion.outside > OUTSIDE_MAX for report in reports)
    if not moved:
        return None
    who = "The signal leaves" if len(reports) == 1 else f"{moved} of {len(reports)} signals leave"
    return (
        f"{who} what the beginning showed: a start-up, a drift or other operating modes. What is marked there is new, "
        "not necessarily wrong; learn from a longer time, or from one that is steady."
    )


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value != value:
        return None
    return list(value) if isinstance(value, tuple) else value


def _unusual(one: Unusual) -> dict[str, Any]:
    times = {"start": rfc3339(one.start_us), "end": rfc3339(one.end_us), "peak": rfc3339(one.peak_us)}
    rest = {"score": one.score, "value": one.value, "usual": one.usual}
    return {**times, **rest, "direction": one.direction, "detector": one.detector}


def scan(series: Sequence[Series], progress: Callable[[], None] = lambda: None) -> list[SeriesReport]:
    """Inspect and judge every signal, on all cores; `progress` is called after each."""
    reports = []
    with ThreadPoolExecutor(thread_name_prefix="iotpm-scan") as pool:
        for report in pool.map(_report, series):
            reports.append(report)
            progress()
    return reports


def _report(series: Series) -> SeriesReport:
    ordered = series.in_order()
    ingestion = inspect_series(series)
    return SeriesReport(ordered, ingestion, [] if ingestion.state else find_unusual(ordered))
