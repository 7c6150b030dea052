"""Measures that count every row on its own; no point adjustment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from iotpm.errors import InputError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by what they are and what was said of them; counts of several files add up."""

    tp: int = 0
    fp: int = 0
    tn: int = 0
    fn: int = 0

    @classmethod
    def of(cls, labels: ArrayLike, alarms: ArrayLike) -> Counts:
        """Counts of labels (n) and alarms (n), both as truth values.

        Raises:
            InputError: lengths that differ.
        """
        truth, said = np.asarray(labels, dtype=bool), np.asarray(alarms, dtype=bool)
        if truth.shape != said.shape:
            raise InputError(f"{truth.size} labels and {said.size} alarms: must be as many")
        tp, positive, alarmed = int((truth & said).sum()), int(truth.sum()), int(said.sum())
        return cls(tp, alarmed - tp, truth.size - positive - alarmed + tp, positive - tp)

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.tn + other.tn, self.fn + other.fn)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 0 if there is no positive row and no alarm."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def far(self) -> float:
        """False alarm rate FP / (FP + TN), per cent of the normal rows; 0 if there is none."""
        return 100.0 * _ratio(self.fp, self.fp + self.tn)

    @property
    def mar(self) -> float:
        """Missed alarm rate FN / (FN + TP), per cent of the anomalous rows; 0 if there is none."""
        return 100.0 * _ratio(self.fn, self.fn + self.tp)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class Sweep:
    """Counts at every distinct threshold, from none alarmed to all alarmed; a row alarms when its score reaches it."""

    thresholds: Floats
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    positives: int
    negatives: int

    @classmethod
    def of(cls, labels: ArrayLike, scores: ArrayLike) -> Sweep:
        """Sweep over labels (n) and scores (n), finite."""
        order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
        ranked, truth = np.asarray(scores, dtype=np.float64)[order], np.asarray(labels, dtype=bool)[order]
        last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1) if len(ranked) else np.zeros(0, np.int64)
        tp, alarmed = np.append(0, np.cumsum(truth)[last]), np.append(0, last + 1)
        positives = int(truth.sum())
        return cls(np.append(np.inf, ranked[last]), tp, alarmed - tp, positives, truth.size - positives)

    def best_f1(self) -> tuple[float, float]:
        """(F1, threshold) that is best in hindsight, by the labels: an oracle, not what a user gets."""
        f1 = 2 * self.tp / np.maximum(self.tp + self.fp + self.positives, 1)
        best = int(np.argmax(f1))
        return float(f1[best]), float(self.thresholds[best])

    def mar_at_far(self, far: float) -> float:
        """Least missed alarm rate, per cent, of the thresholds whose false alarm rate is at most `far` per cent."""
        allowed = self.fp <= far / 100.0 * self.negatives
        return 100.0 * _ratio(self.positives - int(self.tp[allowed].max()), self.positives)

    def average_precision(self) -> float:
        """Sum of precision times gain in recall over the thresholds, without interpolation; 0 without positives."""
        precision = self.tp[1:] / np.maximum(self.tp[1:] + self.fp[1:], 1)
        return _ratio(float((np.diff(self.tp) * precision).sum()), self.positives)
