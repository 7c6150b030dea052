"""Condition monitoring on one core, beside the Python libraries that have the same, on the same data in the same run.

First everything at once, as one core would watch a plant, then each family of features (`family_*.py`) by itself.
Libraries of the extra `peers` that are not installed are named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iotpm import spectrum
from iotpm.bench import families, family_machines, family_spectra, family_time
from iotpm.bench.memory import multiresolution_memory
from iotpm.errors import IotpmError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["measure"]

RATE_HZ = 25_600.0
VELOCITY_HZ = (10.0, 1000.0)
ENVELOPE_HZ = (2_000.0, 10_000.0)
ROUNDS = 7


def measure(*, channels: int = 64, rounds: int = ROUNDS) -> dict[str, Any]:
    """One second of 25.6 kHz f32 channels through everything at once, then each family of features.

    Args:
        channels: in a batch.
        rounds: the best of so many counts.

    Returns:
        `channels_per_core`: seconds of a channel a second of one core, arrays in and out of Python included;
        `ratio_to_scipy`: over the same features by plain calls of SciPy and NumPy, `ratio_to_tuned_scipy` over the same
        with the transforms shared by hand; `multiresolution_bytes_per_signal`: state of a month of readings;
        `families`: as `iotpm.bench.families.measured`; `absent`: peers that are not installed.

    Raises:
        IotpmError: SciPy is missing, or figures differ by more than 1e-4.
    """
    modules = families.installed()
    x = waveforms(channels)

    def ours() -> spectrum.Channels:
        return spectrum.channels(x, RATE_HZ, velocity_hz=VELOCITY_HZ, envelope_hz=ENVELOPE_HZ)

    _check_channel(ours(), _plain(x[0]), _tuned(x[0]))
    works = {"ours": ours, "plain": lambda: _plain(x[0]), "tuned": lambda: _tuned(x[0])}
    best = families.best_of(works, rounds)
    each = best["ours"] / channels
    return {
        "channels_per_core": round(1 / each),
        "ratio_to_scipy": round(best["plain"] / each, 1),
        "ratio_to_tuned_scipy": round(best["tuned"] / each, 1),
        "scipy_channels_per_core": round(1 / best["plain"]),
        "multiresolution_bytes_per_signal": multiresolution_memory(),
        "families": {family.name: families.measured(family, modules, rounds) for family in _families(x[0])},
        "absent": [name for name in families.PEERS if name not in modules],
    }


def _families(x: Samples) -> list[families.Family]:
    full = x.astype(np.float64)
    of_waveforms = (family_spectra.of(full, RATE_HZ), family_machines.of(full, RATE_HZ))
    return [*family_time.of(full), *(family for several in of_waveforms for family in several)]


def waveforms(channels: int) -> Samples:
    """A second of a machine a channel: shaft, mesh, impacts that ring at 4 kHz, noise."""
    rng = np.random.default_rng(5)
    t = np.arange(int(RATE_HZ)) / RATE_HZ
    impacts = np.exp(-900 * (t % (1 / 107.3))) * np.sin(2 * np.pi * 4000 * t)
    turning = np.sin(2 * np.pi * 29.7 * t) + 0.4 * np.sin(2 * np.pi * 611 * t)
    noise = rng.normal(size=(channels, len(t)))
    return np.asarray(0.3 + turning + 2 * impacts + 0.5 * noise, dtype=np.float32)


def _plain(x: Samples) -> list[Any]:
    """The eight features as a user writes them with SciPy and NumPy."""
    from scipy import fft, signal, stats

    n = len(x)
    rms, peak = np.sqrt(np.mean(x**2)), np.max(np.abs(x))
    window = signal.get_window("hann", n)
    f, density = signal.periodogram(x, RATE_HZ, "hann")
    held = (f >= VELOCITY_HZ[0]) & (f <= VELOCITY_HZ[1])
    velocity = np.sqrt(np.sum(density[held] / (2 * np.pi * f[held]) ** 2) * RATE_HZ / n)
    lines = fft.rfft(x)
    lines[(f < ENVELOPE_HZ[0]) | (f > ENVELOPE_HZ[1])] = 0
    envelope = np.abs(signal.hilbert(fft.irfft(lines, n)))
    amplitude, of_envelope = (
        np.abs(fft.rfft(signal.detrend(y, type="constant") * window)) * 2 / window.sum() for y in (x, envelope)
    )
    return [rms, peak, peak / rms, stats.skew(x), stats.kurtosis(x), velocity, amplitude, of_envelope]


def _tuned(x: Samples) -> list[Any]:
    """The same, f32 throughout, moments from powers, one transform for amplitude, velocity and band."""
    from scipy import fft

    n = len(x)
    mean = x.mean(dtype=np.float64)
    d = x - np.float32(mean)
    square = d * d
    second, third, fourth = np.mean(square), np.mean(square * d), np.mean(square * square)
    rms, peak = np.sqrt(second + mean**2), max(x.max(), -x.min())
    lines = fft.rfft(d)
    amplitude = _hann_amplitude(lines, n)
    k = np.arange(int(VELOCITY_HZ[0] * n / RATE_HZ), int(VELOCITY_HZ[1] * n / RATE_HZ) + 1)
    velocity = np.sqrt(np.sum((amplitude[k] / (2 * np.pi * k * RATE_HZ / n)) ** 2) / 3)
    analytic = np.zeros(n, dtype=np.complex64)
    low, high = (int(limit * n / RATE_HZ) for limit in ENVELOPE_HZ)
    analytic[low : high + 1] = 2 * lines[low : high + 1]
    envelope = np.abs(fft.ifft(analytic, overwrite_x=True))
    of_envelope = _hann_amplitude(fft.rfft(envelope), n)
    return [rms, peak, peak / rms, third / second**1.5, fourth / second**2 - 3, velocity, amplitude, of_envelope]


def _hann_amplitude(lines: NDArray[np.complex64], n: int) -> Any:
    """The window applied to the lines, those of 0 Hz and half the rate apart."""
    lines[0] = 0
    weighted = np.zeros_like(lines)
    weighted[1:-1] = lines[1:-1] / 2 - (lines[:-2] + lines[2:]) / 4
    return np.abs(weighted) * np.float32(4 / n)


def _check_channel(ours: spectrum.Channels, *peers: list[Any]) -> None:
    names = ("rms", "peak", "crest_factor", "skewness", "kurtosis", "velocity_rms", "amplitude", "envelope")
    for peer in peers:
        for name, theirs in zip(names, peer, strict=True):
            if not families.agree(getattr(ours, name)[0], theirs):
                raise IotpmError(
                    f"{name} differs from SciPy's by more than {families.TOLERANCE}: measure nothing, report it"
                )
