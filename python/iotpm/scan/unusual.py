"""What the default detectors find unusual in a signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from iotpm import detect

from .ingestion import READINGS_MIN, warm_up_readings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .series import Series

JOINED_READINGS: Final = 50
"""Alarms closer than this belong to one stretch."""


@dataclass(frozen=True, slots=True)
class Unusual:
    """A stretch of alarms: times in int64 microseconds UTC, the peak's score (1.0 is the boundary) and value."""

    start_us: int
    end_us: int
    peak_us: int
    score: float
    value: float
    usual: float
    """Median of the readings before it."""
    detector: str

    @property
    def direction(self) -> str:
        """Of the peak's value from the usual one."""
        return "above" if self.value > self.usual else "below" if self.value < self.usual else "at"


def find_unusual(ordered: Series) -> list[Unusual]:
    """Stretches in which a reading's score reached 1.0 and exceeded the 100 before it; by their time.

    `ordered` is in order of time and has no unusable readings (`Series.in_order`). Scores are causal: each knows only
    the readings before it.
    """
    if len(ordered) < READINGS_MIN:
        return []
    warm_up = warm_up_readings(len(ordered))
    parts = detect.score_parts(ordered.values, ordered.times_us, warm_up)
    scores = np.max(list(parts.values()), axis=0)
    alarms = np.flatnonzero(detect.record_filter(scores) >= 1.0)
    return [_stretch(ordered, scores, parts, group) for group in _groups(alarms)]


def _groups(alarms: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    if not len(alarms):
        return []
    return np.split(alarms, np.flatnonzero(np.diff(alarms) > JOINED_READINGS) + 1)


def _stretch(
    ordered: Series, scores: NDArray[np.float64], parts: dict[str, NDArray[np.float64]], group: NDArray[np.intp]
) -> Unusual:
    peak = int(group[np.argmax(scores[group])])
    before = ordered.values[max(0, group[0] - detect.WARM_UP_READINGS) : group[0]]
    return Unusual(
        start_us=int(ordered.times_us[group[0]]),
        end_us=int(ordered.times_us[group[-1]]),
        peak_us=int(ordered.times_us[peak]),
        score=float(scores[peak]),
        value=float(ordered.values[peak]),
        usual=float(np.median(before)),
        detector=max(parts, key=lambda name: parts[name][peak]),
    )
