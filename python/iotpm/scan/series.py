"""The signals of a source as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from iotpm.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def read_series(source: Source, held: int = 0) -> list[Series]:
    """Every signal of a source, in the order in which they appear, beside `held` readings of other files.

    Raises:
        SourceError: what cannot be read, or more than `MAX_READINGS` readings.
    """
    parts: list[Series] = []
    total = held
    for rows in source:
        total += len(rows)
        if total > MAX_READINGS:
            raise SourceError(f"more than {MAX_READINGS:,} readings: scan fewer files at once, or use `iotpm replay`")
        for index, name in enumerate(rows.names):
            chosen = rows.index == index
            if chosen.any():
                parts.append(Series(name, rows.times_us[chosen], rows.values[chosen]))
    return joined(parts)


def joined(parts: Sequence[Series]) -> list[Series]:
    """One series of all parts of a name, in the order in which names and parts appear."""
    named: dict[str, list[Series]] = {}
    for part in parts:
        named.setdefault(part.name, []).append(part)
    return [_joined(name, pieces) for name, pieces in named.items()]


def _joined(name: str, pieces: Sequence[Series]) -> Series:
    return Series(name, np.concatenate([p.times_us for p in pieces]), np.concatenate([p.values for p in pieces]))
