"""Diagnostics of a source: what is in it, and what is odd about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

import numpy as np
import numpy.typing as npt

FIRST_INTERVALS: Final = 32
"""Intervals of a signal whose median is its typical interval, as in the engine."""


@dataclass(slots=True)
class _Signal:
    last_us: int | None = None
    first_intervals_us: list[int] = field(default_factory=list)
    gap_us: float = math.inf

    def interval(self, interval_us: int) -> bool:
        """Takes the next positive interval; says whether it is a gap."""
        if len(self.first_intervals_us) < FIRST_INTERVALS:
            self.first_intervals_us.append(interval_us)
            self.gap_us = max(30e6, 10.0 * median(self.first_intervals_us))
        return interval_us > self.gap_us


@dataclass(slots=True)
class Summary:
    """Counts over a source."""

    readings: int = 0
    """Readings, and frames of waveforms."""
    frames: int = 0
    """Frames among them."""
    first_us: int | None = None
    last_us: int | None = None
    gaps: int = 0
    """Intervals of a signal longer than the larger of 30 s and 10 typical ones."""
    duplicates: int = 0
    """Readings at the time of the signal's reading before."""
    out_of_order: int = 0
    """Readings before the signal's reading before."""
    non_finite: int = 0
    files: int = 0
    _signals: dict[str, _Signal] = field(default_factory=dict)

    @property
    def signals(self) -> int:
        """Different signals."""
        return len(self._signals)

    @property
    def span_s(self) -> float:
        """From the earliest to the latest reading, seconds."""
        return 0.0 if self.first_us is None or self.last_us is None else (self.last_us - self.first_us) / 1e6

    @property
    def typical_interval_s(self) -> float | None:
        """Median over the signals of each one's typical interval; None if no signal has two times."""
        typical = [median(s.first_intervals_us) for s in self._signals.values() if s.first_intervals_us]
        return median(typical) / 1e6 if typical else None

    def begin_file(self) -> None:
        """Counts a file."""
        self.files += 1

    def add(
        self,
        names: Sequence[str],
        index: npt.NDArray[np.int32],
        times_us: npt.NDArray[np.int64],
        values: npt.NDArray[np.float64],
    ) -> None:
        """Takes a batch of readings: names [m], index, times and values [n]."""
        if not len(times_us):
            return
        self.readings += len(times_us)
        self.non_finite += int(np.count_nonzero(np.isnan(values)))
        earliest, latest = int(times_us.min()), int(times_us.max())
        self.first_us = earliest if self.first_us is None else min(self.first_us, earliest)
        self.last_us = latest if self.last_us is None else max(self.last_us, latest)
        for signal in np.unique(index).tolist():
            self._add_signal(names[signal], times_us[index == signal].tolist())

    def add_frames(self, name: str, starts_us: npt.NDArray[np.int64]) -> None:
        """Takes the frames of a signal by their starts [n]."""
        self.frames += len(starts_us)
        index = np.zeros(len(starts_us), dtype=np.int32)
        self.add([name], index, starts_us, np.zeros(len(starts_us)))

    def _add_signal(self, name: str, times_us: list[int]) -> None:
        state = self._signals.setdefault(name, _Signal())
        for at_us in times_us:
            if state.last_us is not None:
                self._step(state, at_us - state.last_us)
            state.last_us = at_us

    def _step(self, state: _Signal, interval_us: int) -> None:
        if interval_us > 0:
            self.gaps += state.interval(interval_us)
        elif interval_us == 0:
            self.duplicates += 1
        else:
            self.out_of_order += 1

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "files": self.files,
            "readings": self.readings,
            "frames": self.frames,
            "signals": self.signals,
            "span_s": self.span_s,
            "typical_interval_s": self.typical_interval_s,
            "gaps": self.gaps,
            "duplicates": self.duplicates,
            "out_of_order": self.out_of_order,
            "non_finite": self.non_finite,
        }
