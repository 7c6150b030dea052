"""Condition monitoring on one core, beside the Python libraries that have the same, on the same data in the same run.

Best of several rounds, ours and theirs in turn, so that what else runs there counts against neither. Figures are
compared too: what is not equal is not timed. Libraries of the extra `peers` that are not installed are named; tsflex is
not among them, since it runs the functions of others over windows and has none of its own.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from iotpm import cepstrum, features, spectrum
from iotpm.errors import IotpmError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["measure"]

RATE_HZ = 25_600.0
VELOCITY_HZ = (10.0, 1000.0)
ENVELOPE_HZ = (2_000.0, 10_000.0)
PEERS = ("scipy", "tsfresh", "pywt", "librosa")
ROUNDS = 7
# What single precision leaves of equal figures.
TOLERANCE = 1e-4

Work = Callable[[], Any]
Agree = Callable[[Any, Any], bool]


def measure(*, channels: int = 64, rounds: int = ROUNDS) -> dict[str, Any]:
    """One second of 25.6 kHz f32 channels through everything at once, then each family of features.

    Args:
        channels: in a batch.
        rounds: the best of so many counts.

    Returns:
        `channels_per_core`: seconds of a channel a second of one core, arrays in and out of Python included;
        `ratio_to_scipy`: over the same features by plain calls of SciPy and NumPy, `ratio_to_tuned_scipy` over the same
        with the transforms shared by hand; `families`: microseconds a channel, and each peer's over ours; `absent`.

    Raises:
        IotpmError: SciPy is missing, or figures differ by more than 1e-4.
    """
    peers = {name: module for name in PEERS if (module := _module(name)) is not None}
    if "scipy" not in peers:
        raise IotpmError("SciPy is missing, without which there is nothing to compare with: pip install 'iotpm[peers]'")
    x = waveforms(channels)

    def ours() -> spectrum.Channels:
        return spectrum.channels(x, RATE_HZ, velocity_hz=VELOCITY_HZ, envelope_hz=ENVELOPE_HZ)

    _check_channel(ours(), _plain(x[0]), _tuned(x[0]))
    best = _best({"ours": ours, "plain": lambda: _plain(x[0]), "tuned": lambda: _tuned(x[0])}, rounds)
    each = best["ours"] / channels
    return {
        "channels_per_core": round(1 / each),
        "ratio_to_scipy": round(best["plain"] / each, 1),
        "ratio_to_tuned_scipy": round(best["tuned"] / each, 1),
        "scipy_channels_per_core": round(1 / best["plain"]),
        "families": {family.name: _family(family, rounds) for family in _families(x[0], peers)},
        "absent": [name for name in PEERS if name not in peers],
    }


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def waveforms(channels: int) -> Samples:
    """A second of a machine a channel: shaft, mesh, impacts that ring at 4 kHz, noise."""
    rng = np.random.default_rng(5)
    t = np.arange(int(RATE_HZ)) / RATE_HZ
    impacts = np.exp(-900 * (t % (1 / 107.3))) * np.sin(2 * np.pi * 4000 * t)
    turning = np.sin(2 * np.pi * 29.7 * t) + 0.4 * np.sin(2 * np.pi * 611 * t)
    noise = rng.normal(size=(channels, len(t)))
    return np.asarray(0.3 + turning + 2 * impacts + 0.5 * noise, dtype=np.float32)


def _best(works: dict[str, Work], rounds: int) -> dict[str, float]:
    """Least processor seconds of each, in turn: none of these libraries starts a thread for this."""
    best = dict.fromkeys(works, np.inf)
    for _ in range(rounds):
        for name, work in works.items():
            best[name] = min(best[name], _seconds(work))
    return best


def _seconds(work: Work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


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
            if not _agree(getattr(ours, name)[0], theirs):
                raise IotpmError(f"{name} differs from SciPy's by more than {TOLERANCE}: measure nothing, report it")


def _agree(ours: Any, theirs: Any) -> bool:
    """Within the tolerance of the greatest; the ends of a spectrum, which have one side, apart."""
    a, b = (np.atleast_1d(np.asarray(values, dtype=np.float64)) for values in (ours, theirs))
    if len(a) > 64:
        a, b = a[1:-1], b[1:-1]
    return a.shape == b.shape and bool(np.max(np.abs(a - b)) <= TOLERANCE * max(np.max(np.abs(b)), 1e-2))


@dataclass(frozen=True, slots=True)
class _Family:
    """A family of features: ours, and by peer the same; `loose` are peers whose definition differs."""

    name: str
    ours: Work
    peers: dict[str, Work]
    agree: Agree = _agree
    loose: dict[str, Work] = field(default_factory=dict)


def _family(family: _Family, rounds: int) -> dict[str, Any]:
    """Microseconds of a call, and of each peer's over ours; None where the figures differ."""
    wanted = family.ours()
    equal = {name: work for name, work in family.peers.items() if family.agree(wanted, work())}
    best = _best({"ours": family.ours, **equal, **family.loose}, rounds)
    ours = best.pop("ours")
    ratios: dict[str, Any] = {name: round(seconds / ours, 1) for name, seconds in best.items()}
    differ = {name: None for name in family.peers if name not in equal}
    return {"us": round(ours * 1e6, 1), "ratio": {**ratios, **differ}}


def _families(x: Samples, peers: dict[str, Any]) -> list[_Family]:
    """What is compared; only with peers that are here."""
    from scipy import fft, signal, stats

    n, full = len(x), x.astype(np.float64)
    density = spectrum.welch(full, RATE_HZ, segment=n)
    f, p = density.frequency_hz, density.value
    window = signal.get_window("hann", n)
    omega = np.concatenate([[np.inf], 2j * np.pi * np.fft.rfftfreq(2 * n, 1 / RATE_HZ)[1:]])
    moments = ("rms", "peak", "crest_factor", "skewness", "kurtosis")

    def of_time() -> list[float]:
        found = features.time_domain(full)
        return [float(getattr(found, name)) for name in moments]

    def scipy_of_time() -> list[Any]:
        rms, peak = np.sqrt(np.mean(full**2)), np.max(np.abs(full))
        return [rms, peak, peak / rms, stats.skew(full), stats.kurtosis(full)]

    def scipy_envelope() -> Any:
        lines = fft.rfft(full)
        lines[(f < ENVELOPE_HZ[0]) | (f > ENVELOPE_HZ[1])] = 0
        envelope = np.abs(signal.hilbert(fft.irfft(lines, n)))
        return np.abs(fft.rfft((envelope - envelope.mean()) * window)) * 2 / window.sum()

    def scipy_kurtogram() -> Any:
        lines, half = np.fft.rfft(full), (n - 1) // 2
        lines[0] = 0
        return np.array([_scipy_kurtosis(lines, n, half, *cell) for cell in _cells(int(np.log2(n)) - 7)])

    def scipy_band() -> list[Any]:
        share = p / p.sum()
        roll = f[np.searchsorted(np.cumsum(share), 0.95)]
        return [p.sum() * f[1], (f * share).sum(), roll, stats.entropy(p) / np.log(len(p)), stats.gmean(p) / p.mean()]

    def scipy_velocity() -> Any:
        lines = np.fft.rfft(full - full.mean(), 2 * n)
        r = (np.abs(omega) / (20 * np.pi)) ** 8
        return np.fft.irfft(lines * np.where(np.isinf(r), 0, 1 / (1 + 1 / r)) / omega)[:n] * 1e3

    def of_band() -> list[Any]:
        found = spectrum.band(density, 0, RATE_HZ / 2)
        return [found.power, found.centroid_hz, found.roll_off_hz, found.entropy, found.flatness]

    def inner(ours: Any, theirs: Any) -> bool:
        # A longer row of zeros behind the block changes its ends.
        return _agree(ours[n // 4 : -n // 4], theirs[n // 4 : -n // 4])

    return [
        _Family("time", of_time, {"scipy": scipy_of_time, **_of_peer(_tsfresh_time, peers, "tsfresh", full)}),
        _Family(
            "welch",
            lambda: spectrum.welch(full, RATE_HZ, segment=2048).value,
            {"scipy": lambda: signal.welch(full, RATE_HZ, nperseg=2048)[1]},
        ),
        _Family(
            "amplitude",
            lambda: spectrum.amplitude(full, RATE_HZ).value,
            {"scipy": lambda: np.abs(fft.rfft((full - full.mean()) * window)) * 2 / window.sum()},
        ),
        _Family(
            "envelope", lambda: spectrum.envelope(full, RATE_HZ, ENVELOPE_HZ).spectrum.value, {"scipy": scipy_envelope}
        ),
        _Family(
            "kurtogram",
            lambda: spectrum.kurtogram(full, RATE_HZ).kurtosis,
            {"scipy": scipy_kurtogram},
            loose=_of_peer(_packet_kurtosis, peers, "pywt", full),
        ),
        _Family(
            "peaks",
            lambda: spectrum.peaks(density).prominence,
            {"scipy": lambda: signal.find_peaks(p, prominence=0.0)[1]["prominences"]},
        ),
        _Family("band", of_band, {"scipy": scipy_band}, loose=_of_peer(_librosa_band, peers, "librosa", p)),
        _Family(
            "velocity",
            lambda: spectrum.velocity(full, RATE_HZ, unit="m/s2").value,
            {"scipy": scipy_velocity},
            agree=inner,
        ),
        _Family(
            "cepstrum",
            lambda: cepstrum.cepstrum(full, RATE_HZ, window="boxcar", detrend="none").value,
            {"scipy": lambda: np.fft.irfft(np.log(np.abs(np.fft.rfft(full))), n)},
        ),
    ]


def _of_peer(make: Callable[[Any, Any], Work], peers: dict[str, Any], name: str, x: Any) -> dict[str, Work]:
    return {name: make(peers[name], x)} if name in peers else {}


def _cells(levels: int) -> list[tuple[int, int]]:
    bands = sorted([2**level for level in range(levels + 1)] + [3 * 2 ** (level - 1) for level in range(1, levels)])
    return [(band, count) for count in bands for band in range(count)]


def _scipy_kurtosis(lines: NDArray[np.complex128], n: int, half: int, band: int, bands: int) -> float:
    """Of the band's lines at the rate that its width needs."""
    from scipy import fft

    low, high = min(band * n // (2 * bands), half), min((band + 1) * n // (2 * bands), half)
    square = np.abs(fft.ifft(lines[low + 1 : high + 1], fft.next_fast_len(2 * (high - low)))) ** 2
    return float((square**2).mean() / square.mean() ** 2 - 2)


def _packet_kurtosis(pywt: Any, x: Any) -> Work:
    """Kurtosis of each packet of a wavelet tree: another filter bank, bands half as many."""
    from scipy import stats

    def work() -> list[float]:
        tree = pywt.WaveletPacket(x, "db8", maxlevel=7)
        return [stats.kurtosis(node.data) for level in range(1, 8) for node in tree.get_level(level)]

    return work


def _librosa_band(librosa: Any, powers: Any) -> Work:
    """Centroid, roll-off and flatness, of librosa's magnitudes."""
    magnitude = np.sqrt(powers)[:, None]
    feature = librosa.feature

    def work() -> list[Any]:
        centroid = feature.spectral_centroid(S=magnitude, sr=RATE_HZ)
        return [centroid, feature.spectral_rolloff(S=magnitude, sr=RATE_HZ), feature.spectral_flatness(S=magnitude)]

    return work


def _tsfresh_time(_tsfresh: Any, x: Any) -> Work:
    of = importlib.import_module("tsfresh.feature_extraction.feature_calculators")

    def work() -> list[Any]:
        rms, peak = of.root_mean_square(x), of.absolute_maximum(x)
        return [rms, peak, peak / rms, of.skewness(x), of.kurtosis(x)]

    return work
