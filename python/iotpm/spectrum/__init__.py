"""Spectra, envelopes and what they tell of a machine, of arrays of any stride with time along any axis.

`x` is f32 or f64, finite, equally spaced; everything runs in f64 whatever it is (`channels` alone stays in f32).
Results are small frozen objects of plain arrays (`iotpm.spectrum.types`): batch axes first, lines or samples last.
Each formula, with its source, is in `iotpm-core`, `vibration`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from iotpm import _core
from iotpm.cepstrum import Cepstrum, QuefrencyPeaks, cepstrum, quefrency_peaks
from iotpm.errors import InputError
from iotpm.features import as_count, as_rows, as_samples
from iotpm.spectrum.types import (
    Band,
    Channels,
    Envelope,
    Kurtogram,
    Peaks,
    Quantity,
    Spectrum,
    Waveform,
    WindowName,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]
    Samples = NDArray[np.float64] | NDArray[np.float32]

__all__ = [
    "Band",
    "Cepstrum",
    "Channels",
    "Envelope",
    "Kurtogram",
    "Peaks",
    "Quantity",
    "QuefrencyPeaks",
    "Spectrum",
    "Waveform",
    "WindowName",
    "amplitude",
    "band",
    "cepstrum",
    "channels",
    "envelope",
    "kurtogram",
    "peaks",
    "psd",
    "quefrency_peaks",
    "velocity",
    "velocity_rms",
    "welch",
]

Detrend = Literal["none", "constant", "linear"]
SEGMENT = 256
# Interpolation that is exact for one sine; other windows, and spectra lengthened by zeros, use the parabola.
_EXACT = {"hann": "hann", "boxcar": "boxcar"}


def _frequencies(n: int, rate_hz: float) -> Array:
    return np.arange(n // 2 + 1, dtype=np.float64) * np.float64(rate_hz / n)


def psd(
    x: ArrayLike,
    rate_hz: float,
    window: WindowName = "hann",
    scaling: Literal["density", "spectrum"] = "density",
    axis: int = -1,
) -> tuple[Array, Array]:
    """One-sided power spectrum: `scipy.signal.periodogram(x, rate_hz, window, detrend="constant", scaling=scaling)`.

    Args:
        x: samples, finite; any shape, n along `axis`.
        rate_hz: sample rate in Hz.
        window: weight of the samples, periodic.
        scaling: `density`: power per Hz; `spectrum`: power, a sine of amplitude A on a line has A * A / 2 there.
        axis: the axis of time.

    Returns:
        Frequencies in Hz (n // 2 + 1), and the power in squared units of `x` (per Hz), of the shape of `x` with
        n // 2 + 1 lines along `axis`.

    Raises:
        InputError: no samples, samples that are not finite, a rate that is not positive, an unknown window or scaling.
    """
    rows, batch = as_rows(x, axis)
    lines = _core.psd(rows.astype(np.float64, copy=False), rate_hz, window, scaling)
    power = lines.reshape(*batch, rows.shape[-1] // 2 + 1)
    return _frequencies(rows.shape[-1], rate_hz), np.moveaxis(power, -1, axis)


def welch(
    x: ArrayLike,
    rate_hz: float,
    *,
    window: WindowName = "hann",
    segment: int | None = None,
    overlap: int | None = None,
    fft_length: int | None = None,
    detrend: Detrend = "constant",
    scaling: Literal["density", "spectrum"] = "density",
    average: Literal["mean", "median"] = "mean",
    unit: str | None = None,
    axis: int = -1,
) -> Spectrum:
    """Welch's power spectrum: `scipy.signal.welch` with the same arguments.

    Args:
        x: samples, finite; any shape.
        rate_hz: sample rate in Hz.
        window: weight of the samples of a segment, periodic.
        segment: samples in a segment; default: 256, or all if there are fewer.
        overlap: samples that neighbouring segments share; default: half a segment.
        fft_length: samples transformed at a time, zeros added; default: a segment.
        detrend: what is taken out of each segment.
        scaling: `density`: power per Hz; `spectrum`: power.
        average: `median` does not count what happens in a few segments only (its bias is taken out).
        unit: UCUM unit of the samples, for the result.
        axis: the axis of time.

    Raises:
        InputError: no samples, samples that are not finite, a rate that is not positive, unknown names, a segment
            longer than `x`, an overlap that is not shorter, an `fft_length` that is.
    """
    rows, batch = as_rows(x, axis)
    segment = min(SEGMENT, rows.shape[-1]) if segment is None else as_count("segment", segment)
    overlap = segment // 2 if overlap is None else as_count("overlap", overlap)
    length = segment if fft_length is None else as_count("fft_length", fft_length)
    lines = _core.welch(rows, rate_hz, window, segment, overlap, length, detrend, scaling, average)
    quantity: Quantity = "density" if scaling == "density" else "power"
    value = lines.reshape(*batch, lines.shape[-1])
    return Spectrum(_frequencies(length, rate_hz), value, quantity, unit, window, rate_hz, segment)


def amplitude(
    x: ArrayLike,
    rate_hz: float,
    *,
    window: WindowName = "hann",
    detrend: Detrend = "constant",
    unit: str | None = None,
    axis: int = -1,
) -> Spectrum:
    """Amplitude of a sine on each line: `np.abs(np.fft.rfft(x * w)) * 2 / w.sum()` (once at 0 and half the rate).

    Args:
        x: samples, finite; any shape, n along `axis`: lines are `rate_hz / n` apart.
        rate_hz: sample rate in Hz.
        window: weight of the samples, periodic.
        detrend: what is taken out before.
        unit: UCUM unit of the samples, for the result.
        axis: the axis of time.

    Raises:
        InputError: no samples, samples that are not finite, a rate that is not positive, an unknown name.
    """
    _check_rate(rate_hz)
    rows, batch = as_rows(x, axis)
    lines = _core.amplitude_spectrum(rows, window, detrend)
    value = lines.reshape(*batch, lines.shape[-1])
    return Spectrum(_frequencies(rows.shape[-1], rate_hz), value, "amplitude", unit, window, rate_hz, rows.shape[-1])


def _check_rate(rate_hz: float) -> None:
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise InputError(f"rate_hz = {rate_hz}: must be finite and greater than 0")


def envelope(
    x: ArrayLike,
    rate_hz: float,
    band_hz: tuple[float, float] | None = None,
    *,
    window: WindowName = "hann",
    levels: int | None = None,
    unit: str | None = None,
    axis: int = -1,
) -> Envelope:
    """Envelope of a band, `np.abs(scipy.signal.hilbert(b))` with `b` of the lines of `x` in the band, and its spectrum.

    Args:
        x: samples, finite; any shape.
        rate_hz: sample rate in Hz.
        band_hz: lower and upper limit, included; default: for each waveform the band of the greatest kurtosis.
        window: weight of the envelope's samples for its spectrum.
        levels: depth of the kurtogram that chooses; see `kurtogram`.
        unit: UCUM unit of the samples, for the result.
        axis: the axis of time.

    Raises:
        InputError: no samples, samples that are not finite, a rate that is not positive, a band beyond half the rate.
    """
    rows, batch = as_rows(x, axis)
    if band_hz is None:
        bands = _kurtogram(rows, rate_hz, None if levels is None else as_count("levels", levels)).band_hz
    else:
        bands = _bands(band_hz, len(rows))
    value = _core.envelope(rows, rate_hz, [(float(low), float(high)) for low, high in bands])
    spectrum = amplitude(value.reshape(*batch, rows.shape[-1]), rate_hz, window=window, unit=unit)
    chosen: Literal["given", "kurtogram"] = "kurtogram" if band_hz is None else "given"
    return Envelope(value.reshape(*batch, rows.shape[-1]), rate_hz, bands.reshape(*batch, 2), chosen, unit, spectrum)


def _bands(band_hz: ArrayLike, rows: int) -> Array:
    """Two limits for each row."""
    bands = as_samples(band_hz, "band_hz").astype(np.float64, copy=False)
    if bands.shape[-1:] != (2,) or bands.size not in (2, 2 * rows):
        raise InputError(f"band_hz has the shape {bands.shape}: must be two limits, for all waveforms or for each")
    return np.broadcast_to(bands.reshape(-1, 2), (rows, 2))


def kurtogram(x: ArrayLike, rate_hz: float, *, levels: int | None = None, axis: int = -1) -> Kurtogram:
    """Kurtosis of each band of each width: where impacts stand out most.

    The 1/3-binary grid of Antoni, Mech. Syst. Signal Process. 21 (2007) 108, with sharp bands cut from one transform.

    Args:
        x: samples, finite, 16 or more; any shape.
        rate_hz: sample rate in Hz.
        levels: deepest level, with `2**levels` bands; default: `log2(n) - 7`.
        axis: the axis of time.

    Raises:
        InputError: too few samples, samples that are not finite, a rate that is not positive, too many levels.
    """
    rows, batch = as_rows(x, axis)
    found = _kurtogram(rows, rate_hz, None if levels is None else as_count("levels", levels))
    return Kurtogram(found.level, found.low_hz, found.high_hz, found.kurtosis.reshape(*batch, -1), rate_hz)


def _kurtogram(rows: Samples, rate_hz: float, levels: int | None) -> Kurtogram:
    if not len(rows):
        raise InputError("x holds no waveform: a kurtogram needs one")
    cells, kurtosis = _core.kurtogram(rows, rate_hz, levels)
    level, low_hz, high_hz = np.ascontiguousarray(cells.T)
    return Kurtogram(level, low_hz, high_hz, kurtosis, rate_hz)


def peaks(
    spectrum: Spectrum,
    *,
    count: int | None = None,
    prominence: float = 0.0,
    band_hz: tuple[float, float] | None = None,
) -> Peaks:
    """Peaks of one spectrum: the lines of `scipy.signal.find_peaks`, frequencies and heights told between lines.

    Hann and boxcar spectra use the ratio of the two greatest lines, exact for one sine (Grandke 1983; Jain 1979);
    others and those lengthened by zeros the parabola through three logarithms.

    Args:
        spectrum: one-dimensional.
        count: only so many, the most prominent.
        prominence: least prominence, in the unit of the spectrum's values.
        band_hz: only peaks whose line is within these limits.

    Raises:
        InputError: a spectrum of more dimensions, a `prominence` that is not a number.
    """
    if spectrum.value.ndim != 1:
        raise InputError(f"spectrum has shape {spectrum.value.shape}: must be one-dimensional; take one of them")
    padded = 2 * (len(spectrum.frequency_hz) - 1) > spectrum.samples
    how = "parabola" if padded else _EXACT.get(spectrum.window, "parabola")
    squared = spectrum.quantity != "amplitude"
    wanted = None if count is None or band_hz is not None else as_count("count", count)
    line, frequency, value, prominences = _core.spectrum_peaks(
        spectrum.value, spectrum.resolution_hz, how, squared, prominence, wanted
    )
    found = Peaks(frequency, value, prominences, line.astype(np.intp), spectrum.value_unit)
    return found if band_hz is None else _within(found, spectrum.frequency_hz[found.line], band_hz, count)


def _within(found: Peaks, at_hz: Array, band_hz: tuple[float, float], count: int | None) -> Peaks:
    low, high = band_hz
    held = np.flatnonzero((at_hz >= low) & (at_hz <= high))
    if count is not None:
        held = np.sort(held[np.argsort(-found.prominence[held], kind="stable")[: as_count("count", count)]])
    return Peaks(found.frequency_hz[held], found.value[held], found.prominence[held], found.line[held], found.unit)


def band(spectrum: Spectrum, low_hz: float, high_hz: float, *, roll_off: float = 0.95) -> Band:
    """Power, centroid, roll-off, entropy and flatness of the lines from `low_hz` to `high_hz`, both included.

    Args:
        spectrum: of any quantity (amplitudes count as `amplitude**2 / 2`, save lines 0 and half the rate) and shape.
            The power of a band is that of the waveform only for a density, or without a window: windows widen lines.
        low_hz: lower limit.
        high_hz: upper limit.
        roll_off: share of the power below the roll-off.

    Raises:
        InputError: limits that are not `0 <= low_hz < high_hz` within the spectrum, a `roll_off` beyond 0 to 1.
    """
    powers = _powers(spectrum)
    batch, lines = powers.shape[:-1], powers.shape[-1]
    spacing = spectrum.resolution_hz
    unit_power = spacing if spectrum.quantity == "density" else 1.0
    found = _core.spectrum_band(powers.reshape(-1, lines), spacing, unit_power, low_hz, high_hz, roll_off)
    power, centroid, roll, entropy, flatness = (column.reshape(batch) for column in np.ascontiguousarray(found.T))
    return Band(low_hz, high_hz, power, centroid, roll, entropy, flatness)


def _powers(spectrum: Spectrum) -> Array:
    if spectrum.quantity != "amplitude":
        return spectrum.value
    powers = np.asarray(spectrum.value**2 / 2)
    powers[..., 0] *= 2
    if spectrum.samples % 2 == 0:
        powers[..., -1] *= 2
    return powers


def velocity(
    x: ArrayLike,
    rate_hz: float,
    *,
    unit: str,
    high_pass_hz: float = 10.0,
    order: int = 4,
    axis: int = -1,
) -> Waveform:
    """Velocity of an acceleration, mm/s, integrated in the frequency domain behind a zero-phase high-pass.

    The gain of the high-pass is `r / (1 + r)`, `r = (f / high_pass_hz)**(2 * order)`: one half at `high_pass_hz`. The
    velocity at either end is unknown: of a sine up to half of its height is wrong there, 2 % a period of `high_pass_hz`
    further in, 0.2 % after two.

    Args:
        x: acceleration, finite; any shape.
        rate_hz: sample rate in Hz.
        unit: UCUM unit of the acceleration, such as `m/s2`, `mm/s2` or `[g]`.
        high_pass_hz: what is slower goes.
        order: steepness of the high-pass, 1 to 16.
        axis: the axis of time.

    Raises:
        InputError: samples that are not finite, a rate or cut-off that is not positive, a unit that is no acceleration.
    """
    rows, batch = as_rows(x, axis)
    v = _core.velocity(rows, rate_hz, unit, high_pass_hz, as_count("order", order))
    n = rows.shape[-1]
    return Waveform(np.arange(n) / rate_hz, v.reshape(*batch, n), "mm/s", rate_hz)


def velocity_rms(
    x: ArrayLike,
    rate_hz: float,
    *,
    unit: str,
    low_hz: float = 10.0,
    high_hz: float = 1000.0,
    axis: int = -1,
) -> Array:
    """Velocity RMS of an acceleration within a band, mm/s: for ISO 20816 the band is 10 to 1000 Hz.

    `np.sqrt(np.sum(P / (2 * np.pi * f)**2) * rate_hz / n)` over the lines of the band, with
    `f, P = scipy.signal.periodogram(x, rate_hz, "hann")`. The window lets the middle count more than the ends.

    Args:
        x: acceleration, finite; any shape.
        rate_hz: sample rate in Hz.
        unit: UCUM unit of the acceleration, such as `m/s2`, `mm/s2` or `[g]`.
        low_hz: lower limit, included, greater than 0.
        high_hz: upper limit, included.
        axis: the axis of time.

    Returns:
        An array of the shape of `x` without `axis`.

    Raises:
        InputError: samples that are not finite, a rate that is not positive, a band beyond half the rate or without a
            line, a unit that is no acceleration.
    """
    rows, batch = as_rows(x, axis)
    return _core.velocity_rms(rows, rate_hz, unit, low_hz, high_hz).reshape(batch)


def channels(
    x: ArrayLike,
    rate_hz: float,
    *,
    velocity_hz: tuple[float, float] = (10.0, 1000.0),
    envelope_hz: tuple[float, float] = (2_000.0, 10_000.0),
) -> Channels:
    """RMS, peak, crest, skewness, kurtosis, velocity RMS, amplitude and envelope spectrum of channels, at once.

    The fast path: f32 throughout, within 1e-4 of the same figures in f64; no more than three transforms a channel.

    Args:
        x: (channels, samples), finite, 16 samples or more; converted to f32.
        rate_hz: sample rate in Hz.
        velocity_hz: limits of the velocity RMS.
        envelope_hz: limits of the band of the envelope.

    Raises:
        InputError: another number of dimensions, samples that are not finite or too large for f32, a rate that is not
            positive, bands beyond half the rate.
    """
    with np.errstate(over="ignore"):  # what is too large for f32 is refused as not finite
        blocks = as_samples(x).astype(np.float32, copy=False)
    if blocks.ndim != 2:
        raise InputError(f"x has shape {blocks.shape}: must be (channels, samples)")
    figures, amplitudes, envelopes = _core.channels(blocks, rate_hz, velocity_hz, envelope_hz)
    named = dict(zip(_core.channel_feature_names(), np.ascontiguousarray(figures.T), strict=True))
    frequencies = _frequencies(blocks.shape[-1], rate_hz)
    return Channels(**named, frequency_hz=frequencies, amplitude=amplitudes, envelope=envelopes, rate_hz=rate_hz)
