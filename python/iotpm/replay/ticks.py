"""The ticks of a replayed file; the rule stands in `messages`."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from .summary import FIRST_INTERVALS

if TYPE_CHECKING:
    from .source import Rows


@dataclass(slots=True)
class Ticks:
    """The ticks of one file."""

    period_us: int
    horizon_us: int
    next_us: int
    now_us: int
    """Stream time so far."""

    @classmethod
    def of(cls, rows: Rows, idle_timeout_s: float = 0.0) -> Ticks:
        """Period and horizon from the first batch of a file."""
        typical = [_typical_us(rows.times_us[rows.index == signal]) for signal in np.unique(rows.index)]
        known = [interval_us for interval_us in typical if interval_us > 0] or [0]
        period_us, first_us = max(1_000_000, int(min(known))), int(rows.times_us[0])
        idle_us = max(30e6, 10.0 * max(known), idle_timeout_s * 1e6)
        return cls(period_us, int(1.5 * idle_us) + 2 * period_us, first_us + period_us, first_us)

    @classmethod
    def every(cls, interval_us: int, first_us: int, idle_timeout_s: float = 0.0) -> Ticks:
        """Period and horizon of a series with one interval, whose first message comes at `first_us`."""
        period_us = max(1_000_000, interval_us)
        idle_us = max(30e6, 10.0 * interval_us, idle_timeout_s * 1e6)
        return cls(period_us, int(1.5 * idle_us) + 2 * period_us, first_us + period_us, first_us)

    def advance(self, time_us: int) -> list[int]:
        """Takes stream time on to a message's event time; returns the times of the ticks that come before it."""
        due: list[int] = []
        if time_us >= self.next_us:
            last_us = self.next_us + (time_us - self.next_us) // self.period_us * self.period_us
            end_us = min(last_us, max(self.next_us, self.now_us + self.horizon_us))
            due = list(range(self.next_us, end_us + 1, self.period_us))
            if due[-1] < last_us:
                due.append(last_us)
            self.next_us = last_us + self.period_us
        self.now_us = max(self.now_us, time_us)
        return due


def _typical_us(times_us: np.typing.NDArray[np.int64]) -> float:
    intervals = np.diff(times_us[: 4 * FIRST_INTERVALS])
    positive = intervals[intervals > 0][:FIRST_INTERVALS]
    return median(positive.tolist()) if len(positive) else 0.0
