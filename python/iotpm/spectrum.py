"""Power spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from iotpm import _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["psd"]


def psd(
    x: ArrayLike,
    rate_hz: float,
    window: Literal["hann", "boxcar"] = "hann",
    scaling: Literal["density", "spectrum"] = "density",
    axis: int = -1,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One-sided power spectrum: `scipy.signal.periodogram(x, rate_hz, window, detrend="constant", scaling=scaling)`.

    Args:
        x: samples, finite; any shape, n along `axis`.
        rate_hz: sample rate in Hz.
        window: `hann` (periodic) or `boxcar`.
        scaling: `density`: power per Hz; `spectrum`: power, a sine of amplitude A on a line has A * A / 2 there.
        axis: the axis of time.

    Returns:
        Frequencies in Hz (n // 2 + 1), and the power in squared units of `x` (per Hz), of the shape of `x` with
        n // 2 + 1 lines along `axis`.

    Raises:
        InputError: no samples, samples that are not finite, a rate that is not positive, an unknown window or scaling.
    """
    samples = np.moveaxis(np.asarray(x, dtype=np.float64), axis, -1)
    n = samples.shape[-1]
    lines = _core.psd(samples.reshape(-1, n) if n else np.empty((1, 0)), rate_hz, window, scaling)
    power = lines.reshape(*samples.shape[:-1], n // 2 + 1)
    return np.fft.rfftfreq(n, 1 / rate_hz).astype(np.float64, copy=False), np.moveaxis(power, -1, axis)
