"""Writes golden_features.json: windows, their 17 features and their spectra as NumPy and SciPy compute them.

Run it with NumPy >= 2 and SciPy >= 1.14 installed: python tests/core/make_golden_features.py
The Rust tests of iotpm-core read the file; the definitions are those in the documentation of WindowFeatures.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
import scipy.stats
from numpy.typing import NDArray

Array = NDArray[np.float64]
SPECTRAL_MIN = 16


def spectral(x: Array, fs: float) -> list[float]:
    """Dominant frequency and amplitude, entropy, centroid."""
    f, p = scipy.signal.periodogram(x, fs, window="boxcar", detrend="constant", scaling="spectrum")
    f, p = f[1:], p[1:]
    k = np.argmax(p)
    amplitude = np.sqrt(p[k] * (1 if f[k] == fs / 2 else 2))
    return [f[k], amplitude, scipy.stats.entropy(p) / np.log(len(p)), np.sum(f * p) / np.sum(p)]


def features(x: Array, fs: float | None) -> list[float]:
    """The 17 features, in table order; NaN where undefined."""
    constant = np.var(x) <= (1e-15 * np.mean(x)) ** 2
    rms = np.sqrt(np.mean(x**2))
    q25, median, q75 = np.percentile(x, [25, 50, 75])
    return [
        np.mean(x),
        np.std(x),
        np.min(x),
        np.max(x),
        rms,
        np.ptp(x),
        scipy.stats.skew(x),
        scipy.stats.kurtosis(x),
        np.nan if constant else np.max(np.abs(x)) / rms,
        *([np.nan] * 4 if fs is None or constant or len(x) < SPECTRAL_MIN else spectral(x, fs)),
        q25,
        median,
        q75,
        q75 - q25,
    ]


def spectra(x: Array, fs: float) -> dict[str, list[float]]:
    """Periodograms for every window and scaling."""
    kinds = [(window, scaling) for window in ("boxcar", "hann") for scaling in ("density", "spectrum")]
    return {
        f"{window} {scaling}": scipy.signal.periodogram(x, fs, window, detrend="constant", scaling=scaling)[1].tolist()
        for window, scaling in kinds
    }


def rounded(x: Array) -> Array:
    """Six significant digits, so that the file stays small and the values are exact in it."""
    return np.array([float(f"{value:.6g}") for value in x])


def windows() -> dict[str, tuple[Array, float | None]]:
    """Windows by name, each with its rate in hertz."""
    rng = np.random.default_rng(3)
    t = np.arange(300) / 10.0
    made: dict[str, tuple[Array, float | None]] = {
        "normal 300": (rng.normal(size=300), 10.0),
        "offset and skewed": (1000.0 + rng.gamma(2.0, 3.0, size=300), 1.0),
        "two sines in noise": (20 + 3 * np.sin(2.6 * t) + np.sin(17 * t) + 0.2 * rng.normal(size=300), 10.0),
        "heavy tails": (rng.standard_t(2, size=257), 25_600.0),
        "one outlier": (np.where(np.arange(100) == 37, 1e6, rng.normal(size=100)), 2.0),
        "quantised": (np.round(rng.normal(size=200), 1), 5.0),
        "two values": (np.where(np.arange(64) % 5 < 2, 1.0, 3.0), 8.0),
        "ramp": (np.linspace(-4.0, 8.25, 50), 1.0),
        "alternating, Nyquist": (np.where(np.arange(32) % 2, -2.5, 2.5) + 0.1 * rng.normal(size=32), 32.0),
        "odd prime length": (rng.normal(size=211), 100.0),
        "tiny values": (1e-12 * rng.normal(size=90), 3.0),
        "huge values": (1e12 * rng.normal(size=90), 3.0),
        "negative": (-50 + rng.normal(size=48), 0.5),
        "sixteen": (rng.normal(size=16), 4.0),
        "fifteen": (rng.normal(size=15), 4.0),
        "no rate": (rng.normal(size=40), None),
        "seventeen": (rng.normal(size=17), 4.0),
        "two": (np.array([3.0, -1.0]), 1.0),
        "one": (np.array([2.5]), 1.0),
        "zeros": (np.zeros(20), 1.0),
        "constant": (np.full(300, 0.1), 1.0),
        "step of a constant": (np.where(np.arange(120) < 97, 7.0, 7.01), 1.0),
        "random walk 1024": (np.cumsum(rng.normal(size=1024)), 50.0),
    }
    return {name: (rounded(x), fs) for name, (x, fs) in made.items()}


def nullable(values: list[float]) -> list[float | None]:
    """NaN as null."""
    return [None if np.isnan(value) else float(value) for value in values]


def case(name: str, x: Array, fs: float | None) -> dict[str, Any]:
    """One window with everything the tests compare."""
    whole = {"name": name, "rate_hz": fs, "values": x.tolist(), "features": nullable(features(x, fs))}
    return whole | ({"spectra": spectra(x, fs)} if fs and len(x) <= 64 else {})


def main() -> None:
    """Writes the file beside this script."""
    warnings.simplefilter("ignore")  # SciPy warns of constant windows, where the answer is NaN
    lines = ",\n".join(json.dumps(case(name, *window)) for name, window in windows().items())
    Path(__file__).with_name("golden_features.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
