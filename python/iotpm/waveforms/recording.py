"""What every reader gives back, and the checks that all of them share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE_NAMES: Final = frozenset(
    {"fs", "sr", "rate", "rate_hz", "fs_hz", "sample_rate", "samplerate", "sampling_rate", "sample_rate_hz",
     "sampling_frequency", "sampling_rate_hz"}
)  # fmt: skip
"""Scalars of these names (any case) are the sample rate in Hz."""

_SPEED: Final = re.compile(r"(^|[^a-z])rpm$|\d+rpm$", re.IGNORECASE)
_UNIT: Final = re.compile(r"^(?P<name>.*?)\s*[\[(](?P<unit>[^\[\]()]*(?:\[[^\]]*\])?[^\[\]()]*)[\])]$")


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One channel of a file: samples, equally spaced and finite."""

    channel: str
    samples: NDArray[np.float64]
    rate_hz: float | None
    """None where neither the file nor the caller says."""
    unit: str | None = None
    """As the file states it; None where it does not."""
    rpm: float | None = None
    """Shaft speed that the file states, revolutions a minute."""
    start_us: int | None = None
    """Time of the first sample, microseconds UTC, where the file has times."""

    @property
    def seconds(self) -> float | None:
        """Length of the record."""
        return self.samples.size / self.rate_hz if self.rate_hz else None


def from_arrays(where: str, arrays: Mapping[str, NDArray[Any]], rate_hz: float | None) -> list[Recording]:
    """Recordings of named arrays: vectors and columns (or rows) of matrices are channels, scalars may be rate or speed.

    Raises:
        SourceError: no numbers, more than two dimensions, samples that are not finite; names file and array.
    """
    rate = rate_hz if rate_hz is not None else _scalar(arrays, lambda name: name.lower() in RATE_NAMES)
    rpm = _scalar(arrays, lambda name: bool(_SPEED.search(name)))
    channels = {n: v for name, array in arrays.items() for n, v in _channels(where, name, array).items()}
    if not channels:
        raise SourceError(f"{where}: no array of two or more numbers among {', '.join(map(repr, arrays)) or 'nothing'}")
    return [Recording(name, checked(where, name, vector), rate, rpm=rpm) for name, vector in channels.items()]


def _scalar(arrays: Mapping[str, NDArray[Any]], wanted: Any) -> float | None:
    for name, array in arrays.items():
        if array.size == 1 and array.dtype.kind in "iuf" and wanted(name):
            value = float(array.reshape(-1)[0])
            return value if np.isfinite(value) and value > 0 else None
    return None


def _channels(where: str, name: str, array: NDArray[Any]) -> dict[str, NDArray[Any]]:
    if array.dtype.kind not in "iuf" or array.size < 2:
        return {}
    sides = tuple(n for n in array.shape if n > 1)
    if len(sides) == 1:
        return {name: array.reshape(-1)}
    if len(sides) > 2:
        raise SourceError(
            f"{where}: array {name!r} has the shape {array.shape}: give vectors, or matrices of samples x channels"
        )
    # Time is the longer side: no machine has more channels than samples.
    columns = array.reshape(sides) if sides[0] >= sides[1] else array.reshape(sides).T
    return {f"{name}[{at}]": columns[:, at] for at in range(columns.shape[1])}


def checked(where: str, channel: str, samples: NDArray[Any]) -> NDArray[np.float64]:
    """Samples as float64, all finite.

    Raises:
        SourceError: names file, channel, the first bad sample and its value.
    """
    numbers = np.ascontiguousarray(samples, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise SourceError(
            f"{where}: channel {channel!r}: sample {bad[0]} is {numbers[bad[0]]} ({bad.size} such): cut them out first"
        )
    return numbers


def split_unit(header: str) -> tuple[str, str | None]:
    """Name and unit of a column header such as `DE [m/s2]` or `velocity (mm/s)`."""
    match = _UNIT.match(header.strip())
    return (match["name"] or header.strip(), match["unit"].strip() or None) if match else (header.strip(), None)
