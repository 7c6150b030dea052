"""Thresholds for a stated false-alarm budget, from a healthy period alone: peaks over threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iotpm import _core
from iotpm.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Calibration", "Threshold", "peaks_over_threshold"]


@dataclass(frozen=True)
class Threshold:
    """A threshold and how sure it is."""

    value: float
    low: float
    """Interval of the value, at the calibration's confidence."""
    high: float
    extrapolated: bool
    """Whether the budget is rarer than one alarm in the healthy period."""


class Calibration:
    """The tail of a healthy period's scores: fitted once, it serves any budget.

    Scores above the 1 - `tail_share` quantile are one peak where they are at most `run_gap` rows apart, so that budgets
    count alarms and not rows; a generalised Pareto distribution is fitted to the peaks by maximum likelihood
    (Davison and Smith, J. R. Statist. Soc. B 52, 1990).
    """

    def __init__(self, tail: _core.HealthyTail) -> None:
        """Wrap a fitted tail; use `fit`."""
        self._tail = tail

    @classmethod
    def fit(
        cls,
        healthy: ArrayLike,
        *,
        tail_share: float = 0.1,
        run_gap: int = 20,
        confidence: float = 0.9,
        effect_min: float = 0.0,
    ) -> Calibration:
        """Fit to healthy scores (n) in time order; what is not finite is left out.

        Args:
            healthy: scores of a period without faults.
            tail_share: share of the scores in the tail, 0.005 to 0.5.
            run_gap: rows between exceedances that are still one peak.
            confidence: of the intervals, 0.5 to 0.999.
            effect_min: least difference from the tail's beginning that counts, in the scores' unit: for a raw signal
                the sensor's resolution, so that no threshold lies within a step of normal.

        Raises:
            InputError: fewer than 10 separate peaks, or an argument out of range.
        """
        scores = np.ascontiguousarray(healthy, dtype=np.float64)
        if scores.ndim != 1:
            raise InputError(f"healthy: shape {scores.shape}: must be (n,)")
        return cls(_core.HealthyTail(scores, tail_share, run_gap, confidence, effect_min))

    def threshold(self, alarms: float, rows: float) -> Threshold:
        """Threshold that healthy rows exceed in `alarms` separate alarms per `rows` rows.

        Raises:
            InputError: a budget that is not positive.
        """
        return Threshold(*self._tail.threshold(alarms, rows))

    def expected_alarms(self, threshold: float, rows: float) -> float:
        """Healthy alarms to expect in `rows` rows at a threshold at or above the tail's beginning."""
        return self._tail.expected_alarms(threshold, rows)

    @property
    def beginning(self) -> float:
        """Where the tail begins."""
        return self._tail.parameters[0]

    @property
    def shape(self) -> float:
        """Shape of the tail, -0.5 to 1: negative tails end, positive ones are heavy."""
        return self._tail.parameters[1]

    @property
    def scale(self) -> float:
        """Scale of the tail, in the scores' unit."""
        return self._tail.parameters[2]

    @property
    def peaks(self) -> int:
        """Separate peaks that the tail is fitted to."""
        return self._tail.parameters[3]

    @property
    def rows(self) -> int:
        """Scores of the healthy period."""
        return self._tail.parameters[4]


def peaks_over_threshold(
    healthy: ArrayLike,
    *,
    alarms: float,
    rows: float,
    tail_share: float = 0.1,
    run_gap: int = 20,
    effect_min: float = 0.0,
) -> Threshold:
    """Threshold for `alarms` false alarms per `rows` rows from healthy scores (n); the rest as of `Calibration.fit`.

    Raises:
        InputError: as of `Calibration.fit` and `Calibration.threshold`.
    """
    tail = Calibration.fit(healthy, tail_share=tail_share, run_gap=run_gap, effect_min=effect_min)
    return tail.threshold(alarms, rows)
