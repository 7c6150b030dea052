"""Features of windows and waveforms, each defined by one NumPy or SciPy expression, and statistics over long horizons.

The definitions, with their sources, are in `iotpm-core`: `features` (the 17 of every window), `vibration` (waveforms)
and `multiresolution`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from iotpm import _core
from iotpm.errors import InputError
from iotpm.multiresolution import Horizon, MultiResolution

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]
    Samples = NDArray[np.float64] | NDArray[np.float32]

__all__ = [
    "FEATURES",
    "SPECTRAL_FEATURES",
    "Horizon",
    "MultiResolution",
    "TimeFeatures",
    "time_domain",
    "window_features",
]

FEATURES: tuple[str, ...] = tuple(_core.feature_names())
SPECTRAL_FEATURES: tuple[str, ...] = (
    "dominant_frequency",
    "dominant_amplitude",
    "spectral_entropy",
    "spectral_centroid",
)


@dataclass(frozen=True, slots=True, eq=False)
class TimeFeatures:
    """Features of waveforms, arrays of their shape without the axis of time; NaN where undefined.

    Attributes:
        mean: `np.mean(x)`
        std: `np.std(x)`
        min: `np.min(x)`
        max: `np.max(x)`
        rms: `np.sqrt(np.mean(x**2))`
        peak: `np.max(np.abs(x))`
        peak_to_peak: `np.ptp(x)`
        crest_factor: `peak / rms`
        shape_factor: `rms / np.mean(np.abs(x))`
        impulse_factor: `peak / np.mean(np.abs(x))`
        clearance_factor: `peak / np.mean(np.sqrt(np.abs(x)))**2`
        skewness: `scipy.stats.skew(x)`
        kurtosis: `scipy.stats.kurtosis(x)`: excess, 0 for a normal distribution.
        zero_crossings: `np.count_nonzero(np.diff(x < 0))`
        mean_crossings: `np.count_nonzero(np.diff(x < np.mean(x)))`
        activity: `np.var(x)`, as the next two after Hjorth (1970).
        mobility: `np.sqrt(np.var(np.diff(x)) / np.var(x))`: radians a sample; times the rate radians a second.
        complexity: mobility of `np.diff(x)` over mobility of `x`: 1 for a sine.
    """

    mean: Array
    std: Array
    min: Array
    max: Array
    rms: Array
    peak: Array
    peak_to_peak: Array
    crest_factor: Array
    shape_factor: Array
    impulse_factor: Array
    clearance_factor: Array
    skewness: Array
    kurtosis: Array
    zero_crossings: Array
    mean_crossings: Array
    activity: Array
    mobility: Array
    complexity: Array

    def as_dict(self) -> dict[str, Array]:
        """An array for each name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def time_domain(x: ArrayLike, axis: int = -1) -> TimeFeatures:
    """Features of waveforms along an axis.

    Args:
        x: samples, finite; any shape, f32 or f64, any stride.
        axis: the axis of time.

    Returns:
        Arrays of the shape of `x` without `axis`. Constant samples have no skewness, kurtosis, mobility and complexity,
        samples that are all 0 no factors.

    Raises:
        InputError: samples that are not finite.
    """
    rows, batch = as_rows(x, axis)
    features = _core.waveform_features(rows)
    names = _core.waveform_feature_names()
    return TimeFeatures(**{name: features[:, at].reshape(batch) for at, name in enumerate(names)})


def window_features(x: ArrayLike, rate_hz: float | None = None, axis: int = -1) -> dict[str, Array]:
    """All 17 features of every window along an axis.

    Args:
        x: samples, finite; any shape, f32 or f64, any stride.
        rate_hz: sample rate in Hz; without it, and below 16 samples, the spectral features are NaN.
        axis: the axis of time.

    Returns:
        An array for each name in `FEATURES`, of the shape of `x` without `axis`; NaN where undefined (a constant window
        has no skewness, kurtosis, crest factor or spectrum).

    Raises:
        InputError: samples that are not finite, or a rate that is not positive.
    """
    rows, batch = as_rows(x, axis)
    features = _core.window_features(rows, rate_hz)
    return {name: features[:, at].reshape(batch) for at, name in enumerate(FEATURES)}


def as_samples(x: ArrayLike, name: str = "x") -> Samples:
    """Samples as f32 if they are that, else as f64.

    Raises:
        InputError: complex numbers, text or anything else that is not real numbers; masked values.
    """
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise InputError(f"{name} has masked values: fill them or leave them out")
    try:
        array = np.asarray(x)
        if array.dtype == np.float32:
            return array
        if array.dtype.kind in "biufO":
            return array.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: must be real numbers ({error})") from error
    raise InputError(f"{name} is of {array.dtype}: must be real numbers")


def as_vector(x: ArrayLike, name: str) -> Array:
    """One row of samples as f64.

    Raises:
        InputError: as `as_samples`; another number of dimensions.
    """
    samples = as_samples(x, name)
    if samples.ndim != 1:
        raise InputError(f"{name} has the shape {samples.shape}: must be one-dimensional")
    return samples.astype(np.float64, copy=False)


def as_count(name: str, value: int) -> int:
    """A number that Rust can take as unsigned.

    Raises:
        InputError: a negative one.
    """
    if value < 0:
        raise InputError(f"{name} = {value}: must be 0 or more")
    return value


def as_rows(x: ArrayLike, axis: int) -> tuple[Samples, tuple[int, ...]]:
    """Rows of samples, time last, and the shape of the batch: a view where there can be one, f32 or f64.

    Raises:
        InputError: as `as_samples`; a single number, or an axis that the array does not have.
    """
    array = as_samples(x)
    if not -array.ndim <= axis < array.ndim:
        raise InputError(f"axis = {axis}: x has the shape {array.shape}, and no such axis")
    samples = np.moveaxis(array, axis, -1)
    batch = samples.shape[:-1]
    return samples.reshape(math.prod(batch), samples.shape[-1]), batch
