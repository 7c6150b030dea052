"""Writes golden_vibration.json: waveforms and what NumPy and SciPy make of them; iotpm-core's Rust tests read it.

Run it from the root with NumPy >= 2 and SciPy >= 1.14 installed: python -m tests.core.golden.make_golden_vibration
The definitions are in tests/core/vibration_oracle.py.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
from numpy.typing import NDArray
from tests.core import vibration_oracle as oracle

Array = NDArray[np.float64]
RATE_HZ = 1000.0
VELOCITY_HZ = (10.0, 300.0)
BAND_HZ = (100.0, 350.0)
LEVELS = 3
WELCH = [
    {
        "window": window,
        "nperseg": 32,
        "noverlap": overlap,
        "nfft": 40,
        "detrend": detrend,
        "scaling": scaling,
        "average": average,
    }
    for window, overlap, detrend, scaling, average in [
        ("hann", 16, "constant", "density", "mean"),
        ("hamming", 0, "linear", "spectrum", "median"),
        ("flattop", 24, "none", "density", "median"),
        ("blackmanharris", 5, "linear", "density", "mean"),
        ("nuttall", 31, "constant", "spectrum", "mean"),
        ("blackman", 10, "constant", "spectrum", "median"),
        ("boxcar", 8, "none", "spectrum", "mean"),
    ]
]


def waveforms() -> dict[str, Array]:
    """Waveforms by name: noise, tones and impacts; even, odd and prime lengths."""
    rng = np.random.default_rng(4)
    t = np.arange(128) / RATE_HZ
    impacts = np.exp(-80 * (t % 0.031)) * np.sin(2 * np.pi * 230 * t)
    made = {
        "noise": rng.normal(size=127),
        "tones on a slope": 3 + 20 * t + np.sin(2 * np.pi * 61 * t) + 0.3 * np.cos(2 * np.pi * 411 * t),
        "impacts": impacts + 0.05 * rng.normal(size=128),
        "odd": rng.standard_t(4, size=125),
    }
    return {name: np.array([float(f"{value:.6g}") for value in x]) for name, x in made.items()}


def case(name: str, x: Array) -> dict[str, Any]:
    """One waveform with everything the tests compare."""
    f, p = scipy.signal.periodogram(x, RATE_HZ, "hann")
    cells = oracle.cells(len(x), RATE_HZ, LEVELS)
    peaks = scipy.signal.find_peaks(p, prominence=0.0)
    channel = oracle.channel(x, RATE_HZ, VELOCITY_HZ, BAND_HZ)
    return {
        "name": name,
        "rate_hz": RATE_HZ,
        "values": x.tolist(),
        "welch": [{**options, "lines": oracle.welch(x, RATE_HZ, **options).tolist()} for options in WELCH],
        "amplitude": oracle.amplitude(x, "hann", "linear").tolist(),
        "periodogram": p.tolist(),
        "band": oracle.band(f, p, f[1], *BAND_HZ, 0.85),
        "peaks": peaks[0].tolist(),
        "prominences": peaks[1]["prominences"].tolist(),
        "velocity_rms": oracle.velocity_rms(x, RATE_HZ, *VELOCITY_HZ),
        "velocity_hz": VELOCITY_HZ,
        "envelope": oracle.envelope(x, RATE_HZ, *BAND_HZ).tolist(),
        "band_hz": BAND_HZ,
        "cells": [[*cell, oracle.kurtosis(x, RATE_HZ, *cell[1:])] for cell in cells.tolist()],
        "levels": LEVELS,
        "channel": [float(channel[name]) for name in list(channel)[:6]],
        "channel_amplitude": channel["amplitude"].tolist(),
        "channel_envelope": channel["envelope"].tolist(),
    }


def main() -> None:
    """Writes the file beside this script."""
    lines = ",\n".join(json.dumps(case(name, x)) for name, x in waveforms().items())
    Path(__file__).with_name("golden_vibration.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
