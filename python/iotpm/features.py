"""The 17 features of windows, each defined by one NumPy or SciPy expression (see `iotpm-core`, `features`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iotpm import _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["FEATURES", "SPECTRAL_FEATURES", "time_domain", "window_features"]

FEATURES: tuple[str, ...] = tuple(_core.feature_names())
SPECTRAL_FEATURES: tuple[str, ...] = (
    "dominant_frequency",
    "dominant_amplitude",
    "spectral_entropy",
    "spectral_centroid",
)


def window_features(x: ArrayLike, rate_hz: float | None = None, axis: int = -1) -> dict[str, NDArray[np.float64]]:
    """All 17 features along an axis.

    Args:
        x: samples, finite; any shape.
        rate_hz: sample rate in Hz; without it, and below 16 samples, the spectral features are NaN.
        axis: the axis of time.

    Returns:
        An array for each name in `FEATURES`, of the shape of `x` without `axis`; NaN where undefined (a constant window
        has no skewness, kurtosis, crest factor or spectrum).

    Raises:
        InputError: samples that are not finite, or a rate that is not positive.
    """
    windows = np.moveaxis(as_samples(x), axis, -1)
    rows = windows.reshape(-1, windows.shape[-1]) if windows.size else np.empty((_rows(windows.shape), 0))
    features = _core.window_features(rows, rate_hz)
    return {name: features[:, at].reshape(windows.shape[:-1]) for at, name in enumerate(FEATURES)}


def as_samples(x: ArrayLike) -> NDArray[np.float64] | NDArray[np.float32]:
    """Samples as floats, without a copy if they are `float64` or `float32` already."""
    samples = np.asarray(x)
    return samples if samples.dtype in (np.float64, np.float32) else samples.astype(np.float64)


def _rows(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape[:-1], dtype=np.int64))


def time_domain(x: ArrayLike, axis: int = -1) -> dict[str, NDArray[np.float64]]:
    """The 13 features that need no sample rate; otherwise as `window_features`."""
    features = window_features(x, None, axis)
    return {name: values for name, values in features.items() if name not in SPECTRAL_FEATURES}
