"""Cepstra: families of harmonics and sidebands as single peaks.

Formulas with their sources: `iotpm-core`, `vibration::cepstrum`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from iotpm import _core
from iotpm.errors import InputError
from iotpm.features import as_count, as_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from iotpm.spectrum.types import WindowName

    Array = NDArray[np.float64]

__all__ = ["Cepstrum", "QuefrencyPeaks", "cepstrum", "quefrency_peaks"]


@dataclass(frozen=True, slots=True, eq=False)
class Cepstrum:
    """Real cepstra.

    Attributes:
        value: as many as samples, quefrency along the last axis; the second half mirrors the first.
        rate_hz: samples a second.
        window: weight of the samples.
    """

    value: Array
    rate_hz: float
    window: WindowName

    @property
    def quefrency_s(self) -> Array:
        """Quefrency of each value in seconds."""
        return np.arange(self.value.shape[-1]) / self.rate_hz

    def plot(self, **options: Any) -> Any:
        """A Plotly figure, made by `iotpm.plot.draw`; needs the extra `plot`."""
        return importlib.import_module("iotpm.plot").draw(self, **options)


@dataclass(frozen=True, slots=True, eq=False)
class QuefrencyPeaks:
    """Peaks of a cepstrum, greatest first.

    Attributes:
        quefrency_s: told between the values by a parabola.
        value: height of that parabola.
        index: of the greatest value.
    """

    quefrency_s: Array
    value: Array
    index: NDArray[np.intp]

    @property
    def spacing_hz(self) -> Array:
        """Distance of the lines of the family: the inverse of the quefrency."""
        return 1.0 / self.quefrency_s


def cepstrum(
    x: ArrayLike,
    rate_hz: float,
    *,
    window: WindowName = "hann",
    detrend: Literal["none", "constant", "linear"] = "constant",
    axis: int = -1,
) -> Cepstrum:
    """Real cepstrum: `np.fft.irfft(np.log(np.abs(np.fft.rfft((x - np.mean(x)) * w))), n)`.

    Magnitudes below 1e-15 of the greatest count as that much, since 0 has no logarithm.

    Args:
        x: samples, finite; any shape, f32 or f64.
        rate_hz: sample rate in Hz.
        window: weight of the samples, periodic.
        detrend: what is taken out first.
        axis: the axis of time.

    Raises:
        InputError: no samples, samples that are not finite or all the same, a rate that is not positive.
    """
    if not rate_hz > 0:
        raise InputError(f"rate_hz = {rate_hz}: must be a positive number of hertz")
    rows, batch = as_rows(x, axis)
    value = _core.cepstrum(rows, window, detrend)
    return Cepstrum(value.reshape(*batch, rows.shape[-1]), rate_hz, window)


def quefrency_peaks(
    of: Cepstrum, *, least_s: float = 0.0, most_s: float = float("inf"), count: int = 10
) -> QuefrencyPeaks:
    """The greatest peaks of one cepstrum between two quefrencies; only its first half is looked at.

    Args:
        of: one-dimensional.
        least_s: smallest quefrency: the inverse of the widest spacing looked for. What is near 0 is the shape of the
            spectrum, not a family.
        most_s: greatest quefrency.
        count: how many at most.

    Raises:
        InputError: more than one cepstrum, quefrencies that do not ascend from 0.
    """
    if of.value.ndim != 1:
        raise InputError(f"of: {of.value.ndim} dimensions; give one cepstrum")
    found = _core.quefrency_peaks(of.value, of.rate_hz, least_s, most_s, as_count("count", count))
    index, quefrency_s, value = zip(*found, strict=True) if found else ((), (), ())
    return QuefrencyPeaks(np.array(quefrency_s, float), np.array(value, float), np.array(index, np.intp))
