"""Families of spectra: ours, and the same by the plain calls of SciPy and NumPy, PyWavelets, librosa and tsfresh."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from iotpm import cepstrum, spectrum
from iotpm.bench import families
from iotpm.bench.families import Family, Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ENVELOPE_HZ = (2_000.0, 10_000.0)
VELOCITY_HZ = (10.0, 1000.0)


def of(x: Array, rate_hz: float) -> Iterator[Family]:
    """Families of one waveform."""
    n, density = len(x), spectrum.welch(x, rate_hz, segment=len(x))
    yield Family(
        "welch", "density, segments of 256", lambda: spectrum.welch(x, rate_hz).value,
        {"scipy": lambda _: lambda: _welch(x, rate_hz), "tsfresh": lambda _: _tsfresh_welch(x, rate_hz)},
    )  # fmt: skip
    yield Family(
        "amplitude", f"{n} samples, Hann", lambda: spectrum.amplitude(x, rate_hz).value,
        {"scipy": lambda _: lambda: _amplitude(x)},
    )  # fmt: skip
    yield Family(
        "envelope", "spectrum of a band's envelope",
        lambda: spectrum.envelope(x, rate_hz, ENVELOPE_HZ).spectrum.value,
        {"scipy": lambda _: lambda: _amplitude(_envelope(x, rate_hz))},
    )  # fmt: skip
    yield Family(
        "kurtogram", f"{len(_cells(n))} bands", lambda: spectrum.kurtogram(x, rate_hz).kurtosis,
        {"scipy": lambda _: lambda: _kurtogram(x), "pywt": lambda pywt: _packet_kurtosis(pywt, x)},
        loose=frozenset({"pywt"}),
    )  # fmt: skip
    yield Family(
        "peaks", f"prominences in {len(density.value)} lines", lambda: spectrum.peaks(density).prominence,
        {"scipy": lambda _: lambda: _prominences(density.value)},
    )  # fmt: skip
    yield Family(
        "band", "power, centroid, roll-off, entropy, flatness", lambda: _band(density, rate_hz),
        {"scipy": lambda _: lambda: _plain_band(density), "librosa": lambda of: _librosa_band(of, density, rate_hz)},
    )  # fmt: skip
    yield Family(
        "velocity", "waveform of mm/s behind a high-pass",
        lambda: spectrum.velocity(x, rate_hz, unit="m/s2").value,
        {"scipy": lambda _: lambda: _velocity(x, rate_hz)},
        agree=_agree_inside,
    )  # fmt: skip
    yield Family(
        "velocity RMS", "10 to 1000 Hz, as ISO 20816", lambda: spectrum.velocity_rms(x, rate_hz, unit="m/s2"),
        {"scipy": lambda _: lambda: _velocity_rms(x, rate_hz)},
    )  # fmt: skip
    yield Family(
        "cepstrum", "real", lambda: cepstrum.cepstrum(x, rate_hz, window="boxcar", detrend="none").value,
        {"scipy": lambda _: lambda: np.fft.irfft(np.log(np.abs(np.fft.rfft(x))), n)},
    )  # fmt: skip


def _agree_inside(ours: Any, theirs: Any) -> bool:
    """A longer row of zeros behind the block changes its ends."""
    quarter = len(ours) // 4
    return families.agree(ours[quarter:-quarter], theirs[quarter:-quarter])


def _welch(x: Array, rate_hz: float) -> Any:
    from scipy import signal

    return signal.welch(x, rate_hz, nperseg=256)[1]


def _tsfresh_welch(x: Array, rate_hz: float) -> Work:
    found = importlib.import_module("tsfresh.feature_extraction.feature_calculators").spkt_welch_density
    every = [{"coeff": line} for line in range(129)]
    return lambda: np.array([value for _, value in found(x, every)]) / rate_hz


def _amplitude(x: Array) -> Any:
    from scipy import fft, signal

    window = signal.get_window("hann", len(x))
    return np.abs(fft.rfft((x - x.mean()) * window)) * 2 / window.sum()


def _envelope(x: Array, rate_hz: float) -> Any:
    from scipy import fft, signal

    f, lines = np.fft.rfftfreq(len(x), 1 / rate_hz), fft.rfft(x)
    lines[(f < ENVELOPE_HZ[0]) | (f > ENVELOPE_HZ[1])] = 0
    return np.abs(signal.hilbert(fft.irfft(lines, len(x))))


def _kurtogram(x: Array) -> Any:
    """Of each band's lines at the rate that its width needs."""
    lines, half = np.fft.rfft(x), (len(x) - 1) // 2
    lines[0] = 0
    return np.array([_kurtosis(lines, len(x), half, *cell) for cell in _cells(len(x))])


def _cells(n: int) -> list[tuple[int, int]]:
    levels = int(np.log2(n)) - 7
    bands = sorted([2**level for level in range(levels + 1)] + [3 * 2 ** (level - 1) for level in range(1, levels)])
    return [(band, count) for count in bands for band in range(count)]


def _kurtosis(lines: NDArray[np.complex128], n: int, half: int, band: int, bands: int) -> float:
    from scipy import fft

    low, high = min(band * n // (2 * bands), half), min((band + 1) * n // (2 * bands), half)
    square = np.abs(fft.ifft(lines[low + 1 : high + 1], fft.next_fast_len(2 * (high - low)))) ** 2
    return float((square**2).mean() / square.mean() ** 2 - 2)


def _packet_kurtosis(pywt: Any, x: Array) -> Work:
    """Kurtosis of each packet of a wavelet tree: another filter bank, bands half as many."""
    from scipy import stats

    def work() -> list[float]:
        tree = pywt.WaveletPacket(x, "db8", maxlevel=7)
        return [stats.kurtosis(node.data) for level in range(1, 8) for node in tree.get_level(level)]

    return work


def _prominences(lines: Array) -> Any:
    from scipy import signal

    return signal.find_peaks(lines, prominence=0.0)[1]["prominences"]


def _band(density: spectrum.Spectrum, rate_hz: float) -> dict[str, Any]:
    found = spectrum.band(density, 0, rate_hz / 2)
    return {name: getattr(found, name) for name in ("power", "centroid_hz", "roll_off_hz", "entropy", "flatness")}


def _plain_band(density: spectrum.Spectrum) -> dict[str, Any]:
    from scipy import stats

    f, p = density.frequency_hz, density.value
    share = p / p.sum()
    return {
        "power": p.sum() * f[1],
        "centroid_hz": (f * share).sum(),
        "roll_off_hz": f[np.searchsorted(np.cumsum(share), 0.95)],
        "entropy": stats.entropy(p) / np.log(len(p)),
        "flatness": stats.gmean(p) / p.mean(),
    }


def _librosa_band(librosa: Any, density: spectrum.Spectrum, rate_hz: float) -> Work:
    """Of powers in place of the magnitudes that librosa takes unless told; its least power is below ours."""
    powers, of = density.value[:, None], librosa.feature

    def work() -> dict[str, Any]:
        return {
            "centroid_hz": of.spectral_centroid(S=powers, sr=rate_hz)[0, 0],
            "roll_off_hz": of.spectral_rolloff(S=powers, sr=rate_hz, roll_percent=0.95)[0, 0],
            "flatness": of.spectral_flatness(S=powers, power=1.0, amin=1e-30)[0, 0],
        }

    return work


def _velocity(x: Array, rate_hz: float) -> Any:
    n = len(x)
    omega = np.concatenate([[np.inf], 2j * np.pi * np.fft.rfftfreq(2 * n, 1 / rate_hz)[1:]])
    lines = np.fft.rfft(x - x.mean(), 2 * n)
    r = (np.abs(omega) / (20 * np.pi)) ** 8
    return np.fft.irfft(lines * np.where(np.isinf(r), 0, 1 / (1 + 1 / r)) / omega)[:n] * 1e3


def _velocity_rms(x: Array, rate_hz: float) -> Any:
    from scipy import signal

    f, p = signal.periodogram(x, rate_hz, "hann")
    held = (f >= VELOCITY_HZ[0]) & (f <= VELOCITY_HZ[1])
    return np.sqrt(np.sum(p[held] / (2 * np.pi * f[held]) ** 2) * rate_hz / len(x)) * 1e3
