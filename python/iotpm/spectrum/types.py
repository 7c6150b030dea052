"""What the functions of `iotpm.spectrum` return: frozen, plain arrays, time or frequency along the last axis."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Band", "Channels", "Envelope", "Kurtogram", "Peaks", "Quantity", "Spectrum", "Waveform", "WindowName"]

WindowName = Literal["boxcar", "hann", "hamming", "blackman", "blackmanharris", "nuttall", "flattop"]
Quantity = Literal["density", "power", "amplitude"]


class _Drawn:
    """Something that `iotpm.plot` can draw."""

    __slots__ = ()

    def plot(self, **options: Any) -> Any:
        """A Plotly figure, made by `iotpm.plot.draw`; needs the extra `plot`."""
        return importlib.import_module("iotpm.plot").draw(self, **options)


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum(_Drawn):
    """Lines of one or more spectra.

    Attributes:
        frequency_hz: of the lines, equally spaced from 0.
        value: of the lines, along the last axis.
        quantity: `amplitude` of a sine on a line, in `unit`; its `power`, in `unit` squared; or power `density`, in
            `unit` squared per hertz.
        unit: of the samples, if known.
        window: weight of the samples.
        rate_hz: samples a second.
        samples: transformed at a time, without the zeros that may follow them.
    """

    frequency_hz: Array
    value: Array
    quantity: Quantity
    unit: str | None
    window: WindowName
    rate_hz: float
    samples: int

    @property
    def resolution_hz(self) -> float:
        """Distance of the lines."""
        return float(self.frequency_hz[1]) if len(self.frequency_hz) > 1 else self.rate_hz

    @property
    def value_unit(self) -> str | None:
        """UCUM unit of `value`, if that of the samples is known."""
        if self.unit is None or self.quantity == "amplitude":
            return self.unit
        return f"({self.unit})2" + ("/Hz" if self.quantity == "density" else "")


@dataclass(frozen=True, slots=True, eq=False)
class Envelope(_Drawn):
    """Envelope of a band of each waveform.

    Attributes:
        value: the envelope, as many samples as the waveform, along the last axis.
        rate_hz: samples a second.
        band_hz: lower and upper limit along the last axis: (..., 2).
        band_from: `given`, or chosen by the greatest kurtosis of the `kurtogram`.
        unit: of the samples, if known.
        spectrum: amplitude spectrum of the envelope without its mean.
    """

    value: Array
    rate_hz: float
    band_hz: Array
    band_from: Literal["given", "kurtogram"]
    unit: str | None
    spectrum: Spectrum


@dataclass(frozen=True, slots=True, eq=False)
class Kurtogram(_Drawn):
    """Kurtosis of the analytic signal of each band (cell) of the 1/3-binary grid (Antoni 2007).

    Attributes:
        level: of the cells: binary logarithm of the number of bands of that width: 0, 1, 1.585, 2, 2.585, ..
        low_hz: lower limits of the cells.
        high_hz: upper limits.
        kurtosis: of the cells, along the last axis: 0 for Gaussian noise, -1 for a sine, NaN for an empty band.
        rate_hz: samples a second.
    """

    level: Array
    low_hz: Array
    high_hz: Array
    kurtosis: Array
    rate_hz: float

    @property
    def best(self) -> NDArray[np.intp]:
        """Index of the cell of the greatest kurtosis, the widest of equal ones; 0, the whole, if all are empty."""
        return np.asarray(np.argmax(np.where(np.isnan(self.kurtosis), -np.inf, self.kurtosis), axis=-1))

    @property
    def band_hz(self) -> Array:
        """Limits of the best cell: (..., 2)."""
        return np.stack([self.low_hz[self.best], self.high_hz[self.best]], axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """Peaks of a spectrum by frequency.

    Attributes:
        frequency_hz: interpolated between lines.
        value: interpolated, in the unit of the spectrum's values.
        prominence: as `scipy.signal.peak_prominences` of the lines.
        line: index of the line.
        unit: of `value`, if known.
    """

    frequency_hz: Array
    value: Array
    prominence: Array
    line: NDArray[np.intp]
    unit: str | None

    def __len__(self) -> int:
        return len(self.frequency_hz)


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """What a band of each spectrum holds; arrays of the batch's shape, NaN where the band holds nothing.

    With `f` the frequencies and `P` the powers of the `m` lines in the band, limits included:

    Attributes:
        low_hz: lower limit.
        high_hz: upper limit.
        power: `np.sum(P)`, of a density times the distance of the lines; in squared units of the samples.
        centroid_hz: `np.sum(f * P) / np.sum(P)`.
        roll_off_hz: least `f` with `np.cumsum(P) >= roll_off * np.sum(P)`.
        entropy: `scipy.stats.entropy(P) / np.log(m)`: 0 for one line, 1 for a flat band.
        flatness: `scipy.stats.gmean(P) / np.mean(P)`: 1 for a flat band.
    """

    low_hz: float
    high_hz: float
    power: Array
    centroid_hz: Array
    roll_off_hz: Array
    entropy: Array
    flatness: Array

    @property
    def rms(self) -> Array:
        """Root mean square of what the band lets through, in the unit of the samples."""
        return np.sqrt(self.power)


@dataclass(frozen=True, slots=True, eq=False)
class Waveform(_Drawn):
    """Samples in time.

    Attributes:
        time_s: of the samples, from 0.
        value: samples along the last axis.
        unit: of the samples.
        rate_hz: samples a second.
    """

    time_s: Array
    value: Array
    unit: str
    rate_hz: float


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """Everything that is watched on channels: one figure each, and two amplitude spectra (f32, Hann, without means).

    Attributes:
        rms: `np.sqrt(np.mean(x**2))`.
        peak: `np.max(np.abs(x))`.
        crest_factor: `peak / rms`; NaN, as the next two, of a constant block.
        skewness: `scipy.stats.skew(x)`.
        kurtosis: `scipy.stats.kurtosis(x)`, 0 for a normal distribution.
        velocity_rms: in the velocity band, in the unit of the samples times a second.
        frequency_hz: of the lines of both spectra.
        amplitude: (channels, lines).
        envelope: amplitudes of the envelope's spectrum, (channels, lines).
        rate_hz: samples a second.
    """

    rms: Array
    peak: Array
    crest_factor: Array
    skewness: Array
    kurtosis: Array
    velocity_rms: Array
    frequency_hz: Array
    amplitude: NDArray[np.float32]
    envelope: NDArray[np.float32]
    rate_hz: float
