"""VUS-PR, the volume under the precision-recall surface (Paparrizos et al., PVLDB 15(11), 2022), as TSB-AD computes it.

For every buffer w from 0 to the window W, labels decay on both sides of an anomaly as sqrt(1 - d / w) up to a distance
of w // 2 rows. With R the sum of the decaying labels that are alarmed, A the alarmed rows inside anomalies, P the
anomalous rows and N the alarmed rows: precision = (A + R) / N, recall = min((A + R) / (P + R / 2), 1) times the share
of buffered anomalies (those that touch count as one) that have an alarm. The area of one w is sum(precision x gain in
recall) over 250 thresholds at evenly spaced ranks; VUS-PR is the mean over w. TSB-AD (Liu and Paparrizos, NeurIPS
2024) takes the series' period for W.

A row's weight depends on w alone and its first alarming threshold on the score alone, so each w is one histogram and
one running sum: O(W x rows near anomalies), not O(W x 250 x rows).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from iotpm.errors import InputError

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

THRESHOLDS, DEFAULT_PERIOD, MAX_PERIOD = 250, 125, 300


def vus_pr(labels: ArrayLike, scores: ArrayLike, window: int) -> float:
    """VUS-PR of scores (n), finite, against labels (n) with buffers 0..`window` rows.

    Raises:
        InputError: lengths that differ, no anomalous row, or scores that are not finite.
    """
    truth, score = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    _check(truth, score)
    starts, ends = segments(truth)
    thresholds = np.sort(score)[::-1][np.linspace(0, len(score) - 1, THRESHOLDS).astype(int)]
    first = np.searchsorted(-thresholds, -score, side="left")
    alarmed = _cumulated(first)
    inside = _cumulated(first[truth])
    areas = [
        _area(inside, alarmed, *_buffer(truth, first, starts, ends, width), int(truth.sum()))
        for width in range(window + 1)
    ]
    return float(np.mean(areas))


def _check(truth: NDArray[np.bool_], score: Floats) -> None:
    if truth.shape != score.shape:
        raise InputError(f"{truth.size} labels and {score.size} scores: must be as many")
    if not truth.any():
        raise InputError("no row is labelled an anomaly: VUS-PR is undefined")
    if not np.isfinite(score).all():
        raise InputError("scores that are not finite: VUS-PR needs one for each row")


def segments(truth: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """First and last rows of the runs of True."""
    edges = np.diff(np.concatenate([[0], truth.astype(np.int8), [0]]))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1


def _cumulated(first: Numbers, weights: Floats | None = None) -> Floats:
    """Sum of the rows that alarm at each threshold, given the first one at which each does."""
    return np.cumsum(np.bincount(first, weights, minlength=THRESHOLDS)).astype(np.float64)


def _buffer(
    truth: NDArray[np.bool_], first: Numbers, starts: Numbers, ends: Numbers, width: int
) -> tuple[Floats, Floats]:
    """For one buffer: sum of alarmed decaying labels and share of buffered anomalies found, at each threshold."""
    reach = width // 2
    decay = np.sqrt(1.0 - np.arange(1, reach + 1) / width) if reach else np.zeros(0)
    distance = np.arange(1, reach + 1)
    rows = np.concatenate([(ends[:, None] + distance).ravel(), (starts[:, None] - distance).ravel()])
    weights = np.tile(decay, 2 * len(starts))
    valid = (rows >= 0) & (rows < len(truth))
    rows, weights = rows[valid], weights[valid]
    rows, place = np.unique(rows, return_inverse=True)
    weights = np.minimum(np.bincount(place, weights, minlength=len(rows)), 1.0)
    outside = ~truth[rows]
    decayed = _cumulated(first[rows[outside]], weights[outside])
    return decayed, _found(first, starts, ends, reach)


def _found(first: Numbers, starts: Numbers, ends: Numbers, reach: int) -> Floats:
    """Share of the buffered anomalies with an alarm at each threshold."""
    apart = np.append(True, ends[:-1] + reach < starts[1:] - reach)
    left = np.maximum(starts[apart] - reach, 0)
    right = np.minimum(ends[np.append(np.flatnonzero(apart)[1:] - 1, len(ends) - 1)] + reach, len(first) - 1)
    earliest = np.array([first[a : b + 1].min() for a, b in zip(left, right, strict=True)])
    return _cumulated(earliest) / len(left)


def _area(inside: Floats, alarmed: Floats, decayed: Floats, found: Floats, positives: int) -> float:
    hits = inside + decayed
    recall = np.minimum(hits / (positives + decayed / 2.0), 1.0) * found
    return float(np.dot(np.diff(recall, prepend=0.0), hits / alarmed))


def period(values: ArrayLike) -> int:
    """Period of a series (n) in rows, 6 to 303, as TSB-AD finds the window of VUS: its greatest autocorrelation peak.

    The peak is searched at lags 4 to 399 of the first 20,000 rows; 125 where there is none, or only one beyond 303
    rows or within 5.
    """
    x = np.asarray(values, dtype=np.float64)[:20_000]
    correlation = _autocorrelation(x, min(400, len(x) - 1))[3:]
    middle = correlation[1:-1]
    peaks = np.flatnonzero((middle > correlation[:-2]) & (middle > correlation[2:])) + 1
    if len(peaks) == 0:
        return DEFAULT_PERIOD
    peak = int(peaks[np.argmax(correlation[peaks])])
    return peak + 3 if 3 <= peak <= MAX_PERIOD else DEFAULT_PERIOD


def _autocorrelation(x: Floats, lags: int) -> Floats:
    """Biased autocorrelation at the lags 0..`lags`; nothing for a constant series."""
    centred = x - x.mean()
    if len(x) < 6 or not centred.any():
        return np.zeros(3)
    size = 2 ** int(np.ceil(np.log2(2 * len(x))))
    spectrum = np.fft.rfft(centred, size)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2, size)[: lags + 1]
    return np.asarray(covariance / covariance[0])
