"""Statistics of one signal over its last minute to its last month, at a cost per reading that is the same for all.

Time is cut into panes, 10 s x 6, 1 min x 10, 10 min x 6, 1 h x 24 and 1 d x 30 unless told otherwise; closed panes are
merged into those of the next tier (`iotpm-core`, `multiresolution`). It is `iotpm.features.MultiResolution`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from iotpm import _core
from iotpm.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["Horizon", "MultiResolution"]

_US = 1_000_000
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class Horizon:
    """Statistics of one horizon; NaN where there are no readings.

    Attributes:
        start_us: beginning of its oldest pane, microseconds UTC.
        end_us: time of the newest reading, microseconds UTC.
        n: readings.
        mean: `np.mean(x)`
        std: `np.std(x)`
        min: `np.min(x)`
        max: `np.max(x)`
        rms: `np.sqrt(np.mean(x**2))`
        skewness: `scipy.stats.skew(x)`
        kurtosis: `scipy.stats.kurtosis(x)`
        quantiles: `np.quantile(x, q)` by q, up to `rank_error`.
        rank_error: how far a quantile's rank may be off, as a share of the readings, whatever the data; 0 where all
            readings are still held.
    """

    start_us: int
    end_us: int
    n: int
    mean: float
    std: float
    min: float
    max: float
    rms: float
    skewness: float
    kurtosis: float
    quantiles: dict[float, float]
    rank_error: float


class MultiResolution:
    """Multi-resolution statistics of one signal.

    A horizon ends with the newest reading; its newest pane is still being filled, so that a horizon of k panes covers
    between k - 1 and k of them. Memory is bounded by the number of panes and the points of a pane.
    """

    __slots__ = ("_core",)

    def __init__(
        self,
        tiers: Sequence[tuple[float, int]] | None = None,
        *,
        lateness_s: float = 0.0,
        points: int = 32,
    ) -> None:
        """Without readings.

        Args:
            tiers: width of a pane in seconds and number of panes, finest first; each width a multiple of the one
                before, each tier long enough for a pane of the next.
            lateness_s: readings older than the newest one by more than this are left out and counted.
            points: values kept of a pane with more readings than that; more make quantiles finer.

        Raises:
            InputError: tiers that do not fit each other, a negative lateness or one longer than the finest tier, fewer
                than 8 points or more than 4,096.
        """
        panes = None if tiers is None else [(_microseconds(width), count) for width, count in tiers]
        self._core = _core.MultiResolution(panes, _microseconds(lateness_s), points)

    def push(self, times_us: ArrayLike, values: ArrayLike) -> None:
        """Add readings, in any order within the lateness.

        Args:
            times_us: int64 microseconds UTC.
            values: as many; those that are not finite are left out and counted.

        Raises:
            InputError: arrays of different length, times that are not whole numbers.
        """
        given = np.asarray(times_us)
        if given.size and given.dtype.kind not in "iu":
            raise InputError(f"times_us is of {given.dtype}: must be whole microseconds, such as int64")
        times = np.ascontiguousarray(given, dtype=np.int64).reshape(-1)
        self._core.push(times, np.ascontiguousarray(values, dtype=np.float64).reshape(-1))

    def over(self, horizon_s: float, quantiles: Sequence[float] = QUANTILES) -> Horizon:
        """Statistics of the newest `horizon_s` seconds.

        Raises:
            InputError: a horizon that is no whole number of panes of any tier, a quantile outside 0 to 1.
        """
        found = self._core.over(_microseconds(horizon_s), list(quantiles))
        start_us, end_us, n, numbers, values, rank_error = found
        mean, std, low, high, rms, skewness, kurtosis = numbers
        by_quantile = dict(zip(quantiles, values, strict=True))
        return Horizon(start_us, end_us, n, mean, std, low, high, rms, skewness, kurtosis, by_quantile, rank_error)

    @property
    def tiers(self) -> list[tuple[float, int]]:
        """Width of a pane in seconds, and number of panes, finest first."""
        return [(width / _US, panes) for width, panes in self._core.tiers]

    @property
    def late(self) -> int:
        """Readings left out because they came too late."""
        return self._core.left_out[0]

    @property
    def refused(self) -> int:
        """Readings left out because they were not finite."""
        return self._core.left_out[1]

    @property
    def nbytes(self) -> int:
        """Bytes of the state in memory."""
        return self._core.nbytes

    def snapshot(self) -> bytes:
        """The state, for `restore`."""
        return self._core.snapshot()

    @classmethod
    def restore(cls, snapshot: bytes) -> Self:
        """As it was at `snapshot`.

        Raises:
            SnapshotError: bytes that are not a whole snapshot.
        """
        restored = cls.__new__(cls)
        restored._core = _core.MultiResolution.restore(snapshot)
        return restored


def _microseconds(seconds: float) -> int:
    if not math.isfinite(seconds):
        raise InputError(f"{seconds} s: must be a finite number of seconds")
    return round(seconds * _US)
