"""The Numenta Anomaly Benchmark's score (Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms", 2015).

Each labelled window earns the value of its earliest alarm, sigma(y) = 2 / (1 + exp(5 y)) - 1 at the relative position
y in the window (-1 at its first row, just below 0 at its last), scaled so that the first row earns 1; a window without
an alarm costs A_FN. Each alarm outside costs A_FP sigma(y), y in widths behind the window before it, and 1 x A_FP when
three or more widths away or before any window. The first 15 % of a file, at most 750 rows, are not scored. The total
is scaled linearly: no alarm at all is 0, the first row of each window and nothing else is 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iotpm.errors import InputError

Floats = NDArray[np.float64]

PROBATION_SHARE, PROBATION_ROWS = 0.15, 750


@dataclass(frozen=True, slots=True)
class Profile:
    """What a find, a false alarm and a miss weigh."""

    tp: float
    fp: float
    fn: float


PROFILES = {
    "standard": Profile(1.0, 0.11, 1.0),
    "low_fp": Profile(1.0, 0.22, 1.0),
    "low_fn": Profile(1.0, 0.11, 2.0),
}
"""The benchmark's three application profiles."""


def probation(rows: int) -> int:
    """Rows at the start of a file that are not scored: 15 %, at most 750."""
    return int(min(np.floor(PROBATION_SHARE * rows), PROBATION_ROWS))


def record_filter(scores: Floats, recent: int = 100) -> Floats:
    """The scores (n) that exceed every one of the `recent` before them, 0 elsewhere: an event is told once."""
    if len(scores) < 2:
        return scores.copy()
    padded = np.concatenate([np.full(recent, -np.inf), scores[:-1]])
    before = np.lib.stride_tricks.sliding_window_view(padded, recent).max(axis=1)
    return np.where(scores > before, scores, 0.0)


@dataclass(frozen=True, slots=True)
class Labelled:
    """One file as the score sees it."""

    gain: Floats
    """What an alarm at each row is worth (n): in (0, 1] in a window, in [-1, 0] outside."""
    window: NDArray[np.int64]
    """Window of each row (n), -1 outside, -2 where nothing is scored."""

    @classmethod
    def of(cls, rows: int, windows: Sequence[tuple[int, int]]) -> Labelled:
        """A file of `rows` rows with windows of (first row, last row), in order of time.

        Raises:
            InputError: a window outside the file, or windows that overlap.
        """
        gain, window, behind = np.full(rows, -1.0), np.full(rows, -1, dtype=np.int64), -1
        for number, (first, last) in enumerate(windows):
            if not behind < first <= last < rows:
                raise InputError(f"window {first}..{last} of {rows} rows: must lie behind row {behind}, inside")
            width = last - first + 1
            gain[first : last + 1] = _sigma(-(np.arange(width, 0, -1) / width)) / _sigma(np.array(-1.0))
            window[first : last + 1] = number
            gain[last + 1 :] = _behind(np.arange(1, rows - last), width)
            behind = last
        window[: probation(rows)] = -2
        return cls(gain, window)

    @property
    def windows(self) -> int:
        """Windows that have a scored row."""
        return len(np.unique(self.window[self.window >= 0]))


def _sigma(position: Floats) -> Floats:
    return 2.0 / (1.0 + np.exp(5.0 * position)) - 1.0


def _behind(distance: NDArray[Any], width: int) -> Floats:
    """Value of an alarm `distance` rows behind a window of `width` rows."""
    position = distance / (width - 1) if width > 1 else np.full(len(distance), 3.0)
    return np.where(position >= 3.0, -1.0, _sigma(np.minimum(position, 3.0)))


@dataclass(frozen=True, slots=True)
class Curve:
    """Normalised score (0 null, 100 perfect) at every distinct threshold, the highest first."""

    thresholds: Floats
    scores: Floats

    def optimised(self) -> tuple[float, float]:
        """(score, threshold) that is best by the labels, as the benchmark itself chooses it."""
        best = int(np.argmax(self.scores))
        return float(self.scores[best]), float(self.thresholds[best])

    def frozen(self, threshold: float = 1.0) -> float:
        """Score when a row alarms at `threshold` or above; no label is used."""
        return float(self.scores[np.flatnonzero(self.thresholds >= threshold)[-1]])


def curve(files: Sequence[tuple[Labelled, Floats]], profile: Profile) -> Curve:
    """The score of a set of files, each with its scores (n), as one threshold for all of them falls.

    Raises:
        InputError: no labelled window, or scores of another length than their file.
    """
    gain, window, score = _joined(files)
    windows = len(np.unique(window[window >= 0]))
    if windows == 0:
        raise InputError("no labelled window behind the first 15 % of any file: the NAB score is undefined")
    order = np.argsort(-score, kind="stable")
    gain, window, score = gain[order], window[order], score[order]
    change = np.where(window < 0, profile.fp * gain, 0.0) + _window_gains(gain * profile.tp, window, profile.fn)
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    raw = np.append(0.0, np.cumsum(change)[last])
    return Curve(np.append(np.inf, score[last]), 100.0 * raw / (windows * (profile.tp + profile.fn)))


def _joined(files: Sequence[tuple[Labelled, Floats]]) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Scored rows of all files, windows numbered through."""
    gains, windows, scores, first = [], [], [], 0
    for labelled, score in files:
        if score.shape != labelled.gain.shape:
            raise InputError(f"{score.size} scores for a file of {labelled.gain.size} rows: must be one a row")
        used = labelled.window >= -1
        gains.append(labelled.gain[used])
        windows.append(np.where(labelled.window >= 0, labelled.window + first, -1)[used])
        scores.append(np.asarray(score, dtype=np.float64)[used])
        first += int(labelled.window.max(initial=-1)) + 1
    if not gains:
        return np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0)
    return np.concatenate(gains), np.concatenate(windows), np.concatenate(scores)


def _window_gains(gain: Floats, window: NDArray[np.int64], miss: float) -> Floats:
    """What each row adds to its window's greatest gain so far, rows in order of falling score; a find ends a miss."""
    change = np.zeros(len(gain))
    for number in np.unique(window[window >= 0]):
        rows = np.flatnonzero(window == number)
        best = np.maximum.accumulate(gain[rows])
        change[rows] = np.diff(best, prepend=-miss)
    return change
