"""The signals of a source as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from iotpm.errors import SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iotpm.replay import Source

MAX_READINGS: Final = 50_000_000
"""A scan holds its readings in memory, 16 bytes each; more are for a replay."""


@dataclass(frozen=True, slots=True)
class Series:
    """One signal in the order of its file: times_us [n] int64 UTC, values [n], NaN where the file has no number."""

    name: str
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.times_us)

    def in_order(self) -> Series:
        """The usable readings by time, of equal times the first."""
        usable = np.isfinite(self.values)
        times_us, first = np.unique(self.times_us[usable], return_index=True)
        return Series(self.name, times_us, self.values[usable][first])


def read_series(source: Source) -> list[Series]:
    """Every signal of a source, in the order in which they appear.

    Raises:
        SourceError: what cannot be read, or more than `MAX_READINGS` readings.
    """
    parts: dict[str, list[tuple[NDArray[np.int64], NDArray[np.float64]]]] = {}
    total = 0
    for rows in source:
        total += len(rows)
        if total > MAX_READINGS:
            raise SourceError(f"more than {MAX_READINGS:,} readings: scan fewer files, or use `iotpm replay`")
        for index, name in enumerate(rows.names):
            chosen = rows.index == index
            if chosen.any():
                parts.setdefault(name, []).append((rows.times_us[chosen], rows.values[chosen]))
    return [_joined(name, pieces) for name, pieces in parts.items()]


def _joined(name: str, pieces: list[tuple[NDArray[np.int64], NDArray[np.float64]]]) -> Series:
    return Series(name, np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces]))
