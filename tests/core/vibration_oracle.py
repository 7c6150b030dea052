"""What `iotpm.spectrum` must equal, written with NumPy and SciPy the plain way, at full rate and without shortcuts."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.signal
import scipy.stats
from numpy.typing import NDArray

Array = NDArray[np.float64]


def welch(x: Array, rate_hz: float, **options: Any) -> Array:
    """Power of the lines; options as SciPy's, `detrend` also `none`."""
    detrend = options.pop("detrend", "constant")
    chosen = False if detrend == "none" else detrend
    return np.asarray(scipy.signal.welch(x, rate_hz, detrend=chosen, **options)[1])


def amplitude(x: Array, window: str = "hann", detrend: str = "constant") -> Array:
    """Amplitude of a sine on each line."""
    n = x.shape[-1]
    w = scipy.signal.get_window(window, n)
    level = x if detrend == "none" else scipy.signal.detrend(x, type=detrend)
    lines = np.abs(np.fft.rfft(level * w)) * 2 / w.sum()
    lines[..., 0] /= 2
    if n % 2 == 0:
        lines[..., -1] /= 2
    return np.asarray(lines)


def band(f: Array, p: Array, unit_power: float, low: float, high: float, roll_off: float) -> list[float]:
    """Power, centroid, roll-off, entropy, flatness."""
    held = (f >= low) & (f <= high)
    f, p = f[held], p[held]
    roll = f[np.searchsorted(np.cumsum(p), roll_off * p.sum())]
    entropy = scipy.stats.entropy(p) / np.log(len(p))
    return [p.sum() * unit_power, (f * p).sum() / p.sum(), roll, entropy, scipy.stats.gmean(p) / p.mean()]


def analytic(x: Array, rate_hz: float, low: float, high: float, *, low_included: bool = True) -> NDArray[np.complex128]:
    """Analytic signal of the lines within a band."""
    f = np.fft.rfftfreq(x.shape[-1], 1 / rate_hz)
    above = f >= low if low_included else f > low
    kept = np.where(above & (f <= high), np.fft.rfft(x), 0)
    return np.asarray(scipy.signal.hilbert(np.fft.irfft(kept, x.shape[-1])))


def envelope(x: Array, rate_hz: float, low: float, high: float) -> Array:
    """Magnitude of the band's analytic signal."""
    return np.abs(analytic(x, rate_hz, low, high))


def kurtosis(x: Array, rate_hz: float, low: float, high: float) -> float:
    """Of the complex envelope of a cell of the kurtogram, at the full rate; neither 0 nor half the rate take part."""
    n = x.shape[-1]
    lines = np.fft.rfft(x)
    lines[0] = 0
    if n % 2 == 0:
        lines[-1] = 0
    square = np.abs(analytic(np.fft.irfft(lines, n), rate_hz, low, high, low_included=False)) ** 2
    return float((square**2).mean() / square.mean() ** 2 - 2)


def cells(n: int, rate_hz: float, levels: int) -> Array:
    """Level, lower and upper limit of every cell of Antoni's 1/3-binary grid."""
    bands = [2**level for level in range(levels + 1)] + [3 * 2 ** (level - 1) for level in range(1, levels)]
    return np.array(
        [(np.log2(m), i * rate_hz / (2 * m), (i + 1) * rate_hz / (2 * m)) for m in sorted(bands) for i in range(m)]
    )


def velocity_rms(x: Array, rate_hz: float, low: float, high: float) -> float:
    """Unit of `x` times a second."""
    f, p = scipy.signal.periodogram(x, rate_hz, "hann")
    held = (f >= low) & (f <= high)
    return float(np.sqrt(np.sum(p[held] / (2 * np.pi * f[held]) ** 2) * rate_hz / len(x)))


def channel(x: Array, rate_hz: float, velocity_hz: tuple[float, float], band_hz: tuple[float, float]) -> dict[str, Any]:
    """Everything the fast path computes."""
    rms, peak = np.sqrt(np.mean(x**2)), np.max(np.abs(x))
    return {
        "rms": rms,
        "peak": peak,
        "crest_factor": peak / rms,
        "skewness": scipy.stats.skew(x),
        "kurtosis": scipy.stats.kurtosis(x),
        "velocity_rms": velocity_rms(x, rate_hz, *velocity_hz),
        "amplitude": amplitude(x),
        "envelope": amplitude(envelope(x, rate_hz, *band_hz)),
    }
