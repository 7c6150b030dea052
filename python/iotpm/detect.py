"""Detectors on plain arrays and, value by value, on streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from iotpm import _core, zones
from iotpm.errors import InputError
from iotpm.multivariate import Explanation, Multivariate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "DEFAULT_DETECTORS",
    "WARM_UP_READINGS",
    "Explanation",
    "Multivariate",
    "SeriesScorer",
    "modified_z",
    "ranking_level",
    "record_filter",
    "score_parts",
    "score_series",
    "series_detectors",
    "zone_changes",
]

DEFAULT_DETECTORS: Final = ("novelty", "resonance", "day", "frozen_baseline")
"""The set `default`: novelty of value, difference and spread; resonance on shape; earlier days; the first week."""
WARM_UP_READINGS: Final = 750
"""Readings at the start of a series that score 0, unless told otherwise."""
_NEEDS_TIME: Final = ("day", "seasonal", "frozen_baseline")


def modified_z(x: ArrayLike, window: int = 100, boundary: float = 3.5, resolution: float = 0.0) -> NDArray[np.float64]:
    """Score of each value against the values before it: causal, 1.0 is the alarm boundary.

    `|0.6745 (x - median) / max(MAD, resolution)| / boundary`, with median and MAD of the `window` values before x
    (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993); the z-score is limited to 1e6.

    Args:
        x: values (n), finite.
        window: values that the median and MAD are of, 2 to 1,000,000.
        boundary: modified z-score that counts as 1.0.
        resolution: smallest step of the sensor, the floor of the MAD.

    Returns:
        Scores (n), >= 0; NaN for the first `window` values.

    Raises:
        InputError: values that are not finite, or an argument out of range.
    """
    return _core.modified_z(np.asarray(x, dtype=np.float64), window, boundary, resolution)


def series_detectors() -> tuple[str, ...]:
    """Names of all detectors of one signal, in order of fusion."""
    return tuple(_core.series_detectors())


class SeriesScorer:
    """Detectors of one signal, fused by their greatest score: a stream that goes on where it stopped.

    Args:
        warm_up: readings at the start that score 0; the shape channel takes its range and block length from them.
        detectors: names among `series_detectors()`; None is `DEFAULT_DETECTORS`.
        zone: IANA name of the zone whose clock the hours of `day` and `seasonal` follow; None is UTC.

    Raises:
        InputError: an unknown detector or zone, or a warm-up that is negative or above ten million readings.
    """

    def __init__(
        self, warm_up: int = WARM_UP_READINGS, detectors: Sequence[str] | None = None, zone: str | None = None
    ) -> None:
        if warm_up < 0:
            raise InputError(f"warm_up = {warm_up}: must be 0 or more readings")
        self.detectors = DEFAULT_DETECTORS if detectors is None else tuple(detectors)
        self._scorer = _core.SeriesScorer(self.detectors, warm_up, zone_changes(zone))

    @classmethod
    def from_bytes(cls, state: bytes) -> SeriesScorer:
        """The scorer whose `to_bytes()` this was; it goes on to the bit.

        Raises:
            SnapshotError: bytes that are not such a state.
        """
        scorer = cls.__new__(cls)
        scorer._scorer = _core.SeriesScorer.from_bytes(state)
        scorer.detectors = tuple(scorer._scorer.detectors)
        return scorer

    def to_bytes(self) -> bytes:
        """The whole state."""
        return self._scorer.to_bytes()

    def update(self, values: ArrayLike, times_us: ArrayLike | None = None) -> NDArray[np.float64]:
        """Scores (n) of the next readings, >= 0, 1.0 is the alarm boundary; NaN for values that are not finite.

        Args:
            values: readings (n) in order of time.
            times_us: their times, int64 microseconds UTC, not falling; only detectors that know no time may go without.

        Raises:
            InputError: times that fall, are missing though a detector needs them, or are not as many as the values.
        """
        return np.asarray(self._parts(values, times_us).max(axis=1), dtype=np.float64)

    def parts(self, values: ArrayLike, times_us: ArrayLike | None = None) -> dict[str, NDArray[np.float64]]:
        """As `update`, each detector's own scores by its name."""
        return dict(zip(self.detectors, self._parts(values, times_us).T, strict=True))

    def _parts(self, values: ArrayLike, times_us: ArrayLike | None) -> NDArray[np.float64]:
        x = np.asarray(values, dtype=np.float64)
        if times_us is None:
            _check_timeless(self.detectors)
            times_us = np.zeros(x.shape, dtype=np.int64)
        return self._scorer.update(x, np.asarray(times_us, dtype=np.int64))

    def explain(self) -> dict[str, Any]:
        """Why the latest reading got its score.

        Returns:
            `detector`, `aspect` (value, difference, spread, shape, ...), `score`, `expected` (None where the detector
            expects no value), `direction` (-1, 0, 1), `maturity`, `baseline_readings`, `baseline_from_us`.
        """
        return self._scorer.explain()

    @property
    def maturity(self) -> str:
        """Cold in the warm-up, learning for three times as long, then mature."""
        return self._scorer.maturity

    @property
    def memory_bytes(self) -> int:
        """Memory of this signal's state."""
        return self._scorer.memory_bytes


def score_series(
    values: ArrayLike,
    times_us: ArrayLike | None = None,
    warm_up: int | None = None,
    detectors: Sequence[str] | None = None,
    zone: str | None = None,
) -> NDArray[np.float64]:
    """Score of each reading against those before it: causal, >= 0, 1.0 is the alarm boundary.

    Args:
        values: readings (n) in order of time.
        times_us: their times, int64 microseconds UTC, not falling. The default set leaves out what needs them.
        warm_up: readings at the start that score 0; None is 750.
        detectors: names among `series_detectors()`; None is the default set.
        zone: IANA name of the zone of the signal's day; None is UTC.

    Returns:
        Scores (n), the greatest of the detectors'; NaN for values that are not finite, which nothing learns from.

    Raises:
        InputError: an argument that cannot be used.
    """
    return _series_scorer(times_us, warm_up, detectors, zone).update(values, times_us)


def score_parts(
    values: ArrayLike,
    times_us: ArrayLike | None = None,
    warm_up: int | None = None,
    detectors: Sequence[str] | None = None,
    zone: str | None = None,
) -> dict[str, NDArray[np.float64]]:
    """As `score_series`, each detector's own scores by its name."""
    return _series_scorer(times_us, warm_up, detectors, zone).parts(values, times_us)


def _series_scorer(
    times_us: ArrayLike | None, warm_up: int | None, detectors: Sequence[str] | None, zone: str | None
) -> SeriesScorer:
    if detectors is None and times_us is None:
        detectors = [name for name in DEFAULT_DETECTORS if name not in _NEEDS_TIME]
    return SeriesScorer(WARM_UP_READINGS if warm_up is None else warm_up, detectors, zone)


def _check_timeless(detectors: Sequence[str]) -> None:
    needing = [name for name in detectors if name in _NEEDS_TIME]
    if needing:
        raise InputError(f"detector {', '.join(needing)}: needs the readings' times; give times_us or leave it out")


def record_filter(scores: ArrayLike, recent: int = 100) -> NDArray[np.float64]:
    """The scores (n) that exceed every one of the `recent` before them, 0 elsewhere: an event is told once.

    Raises:
        InputError: `recent` below 1.
    """
    if recent < 1:
        raise InputError(f"recent = {recent}: must be at least 1")
    return _core.record_filter(np.asarray(scores, dtype=np.float64), recent)


def ranking_level(scores: ArrayLike) -> NDArray[np.float64]:
    """EWMA (n), weight .02, from 0, of the scores to the power 1.5: the level by which readings are ranked.

    The power lets one clear departure outrank the background of many weak ones.
    """
    return _core.ranking_level(np.asarray(scores, dtype=np.float64))


def zone_changes(zone: str | None) -> tuple[tuple[int, int], ...]:
    """Offsets of a time zone from UTC as the core wants them: (first second UTC, seconds east), 1970 to 2100.

    Raises:
        InputError: a name that is not in the database of time zones.
    """
    try:
        return () if zone is None else zones.changes(zone)
    except zones.UnknownZoneError as unknown:
        raise InputError(f"zone = {zone!r}: {unknown}") from unknown
