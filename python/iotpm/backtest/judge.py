"""What a configuration's anomalies are worth: false alarms, hits and lead time; and what two configurations share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import numpy as np

from .history import Span
from .labels import Label
from .run import Raised, Ran, Seen

WEEK_US: Final = 604_800_000_000
CONFIDENCE: Final = 0.95
RESAMPLES: Final = 2_000
ASSETS_MIN: Final = 5
"""Fewer assets say nothing of how differently assets behave: then alarms count as independent."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Alarms per asset and week with their 95 % interval; None where no time is left to count in."""

    per_asset_week: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A fault and the first anomaly that was raised within it, if any; times in microseconds."""

    label: Label
    first: Raised | None

    @property
    def lead_us(self) -> int | None:
        """From the anomaly to the end of the fault: how long before it one knew."""
        return None if self.first is None else self.label.end_us - self.first.raised_us

    @property
    def delay_us(self) -> int | None:
        """From the beginning of the fault to the anomaly."""
        return None if self.first is None else self.first.raised_us - self.label.start_us


@dataclass(slots=True)
class Verdict:
    """What one configuration would have done."""

    raised: list[Raised]
    """Within the span."""
    false: list[Raised]
    """At times at which no fault of the asset is labelled."""
    asset_weeks: float
    """What they are counted over."""
    rate: Rate
    hits: list[Hit]

    @property
    def missed(self) -> int:
        """Faults without any anomaly."""
        return sum(hit.first is None for hit in self.hits)

    def as_json(self) -> dict[str, Any]:
        """The figures by name; times in seconds."""
        figures: dict[str, Any] = {
            "anomalies": len(self.raised),
            "while_learning": sum(one.maturity != "mature" for one in self.raised),
            "false_alarms": len(self.false),
            "asset_weeks": round(self.asset_weeks, 6),
            "false_alarms_per_asset_week": self.rate.per_asset_week,
            "false_alarms_per_asset_week_low": self.rate.low,
            "false_alarms_per_asset_week_high": self.rate.high,
            "by_detector": dict(Counter(one.detector for one in self.raised).most_common()),
            "by_severity": dict(Counter(one.severity for one in self.raised).most_common()),
        }
        return figures | (self._labelled() if self.hits else {})

    def _labelled(self) -> dict[str, Any]:
        leads = [hit.lead_us / 1e6 for hit in self.hits if hit.lead_us is not None]
        delays = [hit.delay_us / 1e6 for hit in self.hits if hit.delay_us is not None]
        return {
            "labels": len(self.hits),
            "hits": len(self.hits) - self.missed,
            "missed": self.missed,
            "lead_s_median": median(leads) if leads else None,
            "lead_s_least": min(leads, default=None),
            "delay_s_median": median(delays) if delays else None,
        }


def judge(ran: Ran, number: int, span: Span, labels: Sequence[Label] = ()) -> Verdict:
    """The verdict on configuration `number`; an anomaly counts where it was raised."""
    raised = [one for one in ran.raised[number] if _inside(one.raised_us, span)]
    free = {asset: _free_us(asset, seen, span, labels) for asset, seen in ran.assets.items()}
    false = [one for one in raised if not _is_labelled(one, labels)]
    hits = [Hit(label, _first(label, raised)) for label in labels if _is_seen(label, ran, span)]
    weeks = {asset: us / WEEK_US for asset, us in free.items()}
    counts = Counter(one.asset for one in false)
    return Verdict(raised, false, sum(weeks.values()), rate([counts[a] for a in weeks], list(weeks.values())), hits)


def _inside(time_us: int, span: Span) -> bool:
    return (span.since_us is None or time_us >= span.since_us) and (span.until_us is None or time_us < span.until_us)


def _first(label: Label, raised: Sequence[Raised]) -> Raised | None:
    own = (one for one in raised if label.start_us <= one.raised_us <= label.end_us and label.covers(one.name))
    return min(own, key=lambda one: one.raised_us, default=None)


def _is_labelled(one: Raised, labels: Sequence[Label]) -> bool:
    return any(label.start_us <= one.raised_us <= label.end_us and label.is_on(one.asset) for label in labels)


def _is_seen(label: Label, ran: Ran, span: Span) -> bool:
    """Whether the history has an asset of the label at its time: else it can be neither hit nor missed."""
    seen = [seen for asset, seen in ran.assets.items() if label.is_on(asset)]
    inside = _inside(label.end_us, span) or _inside(label.start_us, span)
    return inside and any(label.start_us <= one.last_us and label.end_us >= one.first_us for one in seen)


def _free_us(asset: str, seen: Seen, span: Span, labels: Sequence[Label]) -> int:
    """Time of the asset's history that no label covers."""
    first = seen.first_us if span.since_us is None else max(seen.first_us, span.since_us)
    covered, at = 0, first
    for label in labels:
        if label.is_on(asset) and label.end_us > at:
            begin, end = max(at, label.start_us), min(label.end_us, seen.last_us)
            covered += max(0, end - begin)
            at = max(at, end)
    return max(0, seen.last_us - first - covered)


def rate(counts: Sequence[int], weeks: Sequence[float]) -> Rate:
    """Rate of counts (assets) over weeks (assets): a bootstrap over the assets, for alarms of one come in bunches; with
    few assets, or without any alarm, the Poisson interval.
    """
    total, exposure = sum(counts), sum(weeks)
    if exposure <= 0.0:
        return Rate(None, None, None)
    if not total or len(counts) < ASSETS_MIN:
        return Rate(total / exposure, *(bound / exposure for bound in _poisson(total)))
    drawn = np.random.default_rng(1).integers(0, len(counts), (RESAMPLES, len(counts)))
    rates = np.asarray(counts)[drawn].sum(axis=1) / np.maximum(np.asarray(weeks)[drawn].sum(axis=1), 1e-12)
    low, high = np.quantile(rates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Rate(total / exposure, float(low), float(high))


def _poisson(count: int) -> tuple[float, float]:
    """95 % interval of a Poisson mean: Garwood's, with the chi-square quantile of Wilson and Hilferty (1931)."""
    tail = (1 - CONFIDENCE) / 2
    high = -math.log(tail) if not count else _half_chi_square(count + 1, 1.959964)
    return (0.0 if not count else _half_chi_square(count, -1.959964)), high


def _half_chi_square(shape: int, deviate: float) -> float:
    return float(shape * (1 - 1 / (9 * shape) + deviate / (3 * math.sqrt(shape))) ** 3)


@dataclass(slots=True)
class Difference:
    """Anomalies of two configurations, paired where they are of one signal and overlap in time."""

    both: list[tuple[Raised, Raised]]
    """Old and new."""
    only_old: list[Raised]
    only_new: list[Raised]

    def rows(self) -> list[dict[str, Any]]:
        """Counts by signal and detector; a pair is listed under the new configuration's detector."""
        counts: dict[tuple[str, str], list[int]] = {}
        parts = (self.only_old, self.only_new, [new for _, new in self.both])
        for at, part in enumerate(parts):
            for one in part:
                counts.setdefault((one.name, one.detector), [0, 0, 0])[at] += 1
        keys = ("only_old", "only_new", "both")
        rows = [{"signal": n, "detector": d} | dict(zip(keys, c, strict=True)) for (n, d), c in counts.items()]
        return sorted(rows, key=lambda row: (-row["only_old"] - row["only_new"], row["signal"], row["detector"]))

    def as_json(self) -> dict[str, Any]:
        """The counts."""
        return {
            "both": len(self.both),
            "only_old": len(self.only_old),
            "only_new": len(self.only_new),
            "by_signal_and_detector": self.rows(),
        }


def compare(old: Sequence[Raised], new: Sequence[Raised]) -> Difference:
    """Pairs each anomaly with the first one of the other configuration that is left, of its signal, and overlaps it."""
    found = Difference([], [], [])
    waiting: dict[str, list[Raised]] = {}
    for one in sorted(new, key=lambda one: (one.start_us, one.id)):
        waiting.setdefault(one.name, []).append(one)
    for one in sorted(old, key=lambda one: (one.start_us, one.id)):
        other = next((new for new in waiting.get(one.name, ()) if _overlap(one, new)), None)
        if other is None:
            found.only_old.append(one)
        else:
            waiting[one.name].remove(other)
            found.both.append((one, other))
    left = (one for several in waiting.values() for one in several)
    found.only_new = sorted(left, key=lambda one: (one.raised_us, one.name, one.id))
    return found


def _overlap(one: Raised, other: Raised) -> bool:
    return one.start_us <= other.until_us and other.start_us <= one.until_us
