"""`iotpm.spectrum` against SciPy, computed beside it, and against what physics says of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.core import vibration_oracle as oracle

from iotpm import spectrum
from iotpm.errors import InputError

Array = NDArray[np.float64]
RATE_HZ = 1000.0
# Of a sine found between lines: in lines, and of its height. A flat top hides where it is.
ACCURACY = {"hann": (2e-3, 5e-3), "boxcar": (5e-2, 5e-2), "blackmanharris": (2e-2, 2e-2), "flattop": (0.3, 2e-2)}
WINDOWS: tuple[spectrum.WindowName, ...] = (
    "boxcar",
    "hann",
    "hamming",
    "blackman",
    "blackmanharris",
    "nuttall",
    "flattop",
)


def noise(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(0.4, 1.0, shape)


def sine(frequency_hz: float, amplitude: float = 1.0, n: int = 1000, rate_hz: float = RATE_HZ) -> Array:
    return np.asarray(amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(n) / rate_hz + 0.3))


def close(got: Any, wanted: Any, relative: float = 1e-9) -> None:
    """Each to `relative` of itself, or of a millionth of the greatest: below lies the rounding of the greatest."""
    floor = 1e-6 * np.max(np.abs(wanted))
    np.testing.assert_allclose(got, wanted, rtol=relative, atol=relative * floor)


@settings(max_examples=60)
@given(
    n=st.integers(8, 300),
    window=st.sampled_from(WINDOWS),
    detrend=st.sampled_from(["none", "constant", "linear"]),
    scaling=st.sampled_from(["density", "spectrum"]),
    average=st.sampled_from(["mean", "median"]),
    shares=st.tuples(st.floats(0.1, 1), st.floats(0, 0.99), st.floats(1, 3)),
)
def test_welch_is_scipys(n: int, window: Any, detrend: Any, scaling: Any, average: Any, shares: Any) -> None:
    segment = max(4, int(shares[0] * n))
    overlap, length = int(shares[1] * segment), int(shares[2] * segment)
    x = noise(n, seed=n)
    found = spectrum.welch(
        x,
        RATE_HZ,
        window=window,
        segment=segment,
        overlap=overlap,
        fft_length=length,
        detrend=detrend,
        scaling=scaling,
        average=average,
    )
    wanted = oracle.welch(
        x,
        RATE_HZ,
        window=window,
        nperseg=segment,
        noverlap=overlap,
        nfft=length,
        detrend=detrend,
        scaling=scaling,
        average=average,
    )
    close(found.value, wanted)
    np.testing.assert_allclose(found.frequency_hz, np.fft.rfftfreq(length, 1 / RATE_HZ), rtol=1e-12)


def test_welch_does_by_default_what_scipys_does() -> None:
    for n in (100, 256, 5000):
        x = noise(n)
        close(spectrum.welch(x, RATE_HZ).value, scipy.signal.welch(x, RATE_HZ, nperseg=min(n, 256))[1])


@pytest.mark.parametrize("n", [64, 65, 97])
@pytest.mark.parametrize("window", WINDOWS)
def test_amplitude_is_numpys(n: int, window: spectrum.WindowName) -> None:
    kinds: tuple[Any, ...] = ("none", "constant", "linear")
    for detrend in kinds:
        found = spectrum.amplitude(noise(n), RATE_HZ, window=window, detrend=detrend, unit="m/s2")
        close(found.value, oracle.amplitude(noise(n), window, detrend))
        assert (found.quantity, found.value_unit, found.samples) == ("amplitude", "m/s2", n)


@pytest.mark.parametrize("n", [400, 401, 1021])
def test_envelope_is_the_magnitude_of_scipys_analytic_signal(n: int) -> None:
    x = noise(n)
    for band in ((100.0, 300.0), (0.0, 500.0), (20.0, 500.0)):
        found = spectrum.envelope(x, RATE_HZ, band, unit="[g]")
        close(found.value, oracle.envelope(x, RATE_HZ, *band))
        close(found.spectrum.value, oracle.amplitude(oracle.envelope(x, RATE_HZ, *band)))
        assert found.band_from == "given"
        np.testing.assert_array_equal(found.band_hz, band)


@pytest.mark.parametrize(("n", "levels"), [(512, 4), (777, 3), (1024, None)])
def test_kurtogram_is_that_of_the_analytic_signals_at_the_full_rate(n: int, levels: int | None) -> None:
    x = noise(n)
    found = spectrum.kurtogram(x, RATE_HZ, levels=levels)
    cells = oracle.cells(n, RATE_HZ, 3 if levels is None else levels)
    np.testing.assert_allclose(np.stack([found.level, found.low_hz, found.high_hz], axis=1), cells, rtol=1e-12)
    wanted = np.array([oracle.kurtosis(x, RATE_HZ, low, high) for _, low, high in cells])
    np.testing.assert_allclose(found.kurtosis, wanted, rtol=1e-9, atol=1e-9)
    assert found.best == np.argmax(wanted)


def test_without_a_band_the_envelope_takes_that_of_the_kurtogram_of_each_waveform() -> None:
    t = np.arange(8192) / 8192
    both = []
    for ring_hz in (900.0, 2600.0):
        ring = np.exp(-500 * (t % (1 / 19.0))) * np.sin(2 * np.pi * ring_hz * t)
        both.append(4 * ring + 0.5 * noise(8192))
    found = spectrum.envelope(np.array(both), 8192.0, levels=4)
    assert found.band_from == "kurtogram"
    for waveform, ring_hz, band, lines in zip(both, (900.0, 2600.0), found.band_hz, found.spectrum.value, strict=True):
        assert band[0] < ring_hz < band[1]
        np.testing.assert_array_equal(band, spectrum.kurtogram(waveform, 8192.0, levels=4).band_hz)
        of_one = dataclasses.replace(found.spectrum, value=lines)
        strongest = spectrum.peaks(of_one, count=1, band_hz=(5.0, 100.0))
        assert strongest.frequency_hz[0] == pytest.approx(19.0, abs=0.1)


@pytest.mark.parametrize("offset", [1e6, -1e9])
def test_an_offset_leaves_no_rounding_in_a_band_above_it(offset: float) -> None:
    x = np.round(noise(2001) * 2**10) / 2**10  # so that the offset itself rounds nothing
    close(spectrum.envelope(x + offset, RATE_HZ, (100, 300)).value, oracle.envelope(x, RATE_HZ, 100, 300))
    np.testing.assert_allclose(
        spectrum.kurtogram(x + offset, RATE_HZ).kurtosis, spectrum.kurtogram(x, RATE_HZ).kurtosis, rtol=1e-9, atol=1e-9
    )


def test_rounding_is_no_signal() -> None:
    assert np.isnan(spectrum.kurtogram(np.full(999, 3.3), RATE_HZ).kurtosis).all()


@given(lines=st.lists(st.integers(0, 30), min_size=3, max_size=80), prominence=st.integers(0, 20))
def test_peaks_are_scipys(lines: list[int], prominence: int) -> None:
    value = np.array(lines, dtype=np.float64)
    one = spectrum.Spectrum(
        np.arange(len(value), dtype=np.float64), value, "amplitude", None, "hann", 1.0, 2 * (len(value) - 1)
    )
    found = spectrum.peaks(one, prominence=float(prominence))
    wanted, facts = scipy.signal.find_peaks(value, prominence=prominence)
    np.testing.assert_array_equal(found.line, wanted)
    np.testing.assert_array_equal(found.prominence, facts["prominences"])
    few = spectrum.peaks(one, prominence=float(prominence), count=2)
    assert sorted(few.prominence)[::-1] == sorted(found.prominence)[::-1][:2]
    assert np.all(np.diff(few.line) > 0)


@given(
    frequency_hz=st.floats(20, 480),
    amplitude=st.floats(1e-3, 1e3),
    window=st.sampled_from(list(ACCURACY)),
)
def test_a_sine_is_found_between_the_lines(frequency_hz: float, amplitude: float, window: Any) -> None:
    x = sine(frequency_hz, amplitude)
    accuracy_hz, accuracy = ACCURACY[window]
    one = spectrum.amplitude(x, RATE_HZ, window=window)
    found = spectrum.peaks(one, count=1)
    assert found.frequency_hz[0] == pytest.approx(frequency_hz, abs=accuracy_hz)
    assert found.value[0] == pytest.approx(amplitude, rel=accuracy)
    power = spectrum.peaks(spectrum.welch(x, RATE_HZ, window=window, segment=1000, scaling="spectrum"), count=1)
    assert power.frequency_hz[0] == pytest.approx(found.frequency_hz[0], abs=1e-6)
    assert power.value[0] == pytest.approx(found.value[0] ** 2 / 2, rel=1e-6)


def test_zeros_behind_the_samples_do_not_mislead_the_interpolation() -> None:
    found = spectrum.peaks(spectrum.welch(sine(123.4), RATE_HZ, segment=1000, fft_length=4000), count=1)
    assert found.frequency_hz[0] == pytest.approx(123.4, abs=1e-3)


def test_two_tones_a_line_apart_are_two() -> None:
    apart = sine(100) - sine(102)
    lines = spectrum.peaks(spectrum.amplitude(apart, RATE_HZ, window="boxcar"), prominence=0.5)
    np.testing.assert_allclose(lines.line, [100, 102])
    neighbours = spectrum.amplitude(sine(100) - sine(101), RATE_HZ, window="boxcar")
    np.testing.assert_allclose(neighbours.value[99:103], [0, 1, 1, 0], atol=1e-9)


def test_peaks_of_a_band_are_the_most_prominent_within_it() -> None:
    one = spectrum.amplitude(sine(50, 5) + sine(200, 2) + sine(300, 1), RATE_HZ)
    found = spectrum.peaks(one, count=1, band_hz=(150, 400))
    np.testing.assert_allclose(found.frequency_hz, [200], atol=1e-3)
    assert len(spectrum.peaks(one, prominence=1e-6, band_hz=(401, 402))) == 0


@given(tenths=st.tuples(st.integers(0, 2000), st.integers(200, 2900)), roll_off=st.floats(0.05, 0.99))
def test_band_is_its_definition(tenths: tuple[int, int], roll_off: float) -> None:
    low, width = tenths[0] / 10, tenths[1] / 10
    x = noise(512)
    density = spectrum.welch(x, RATE_HZ, segment=128)
    found = spectrum.band(density, low, low + width, roll_off=roll_off)
    wanted = oracle.band(density.frequency_hz, density.value, density.resolution_hz, low, low + width, roll_off)
    got = [found.power, found.centroid_hz, found.roll_off_hz, found.entropy, found.flatness]
    np.testing.assert_allclose(got, wanted, rtol=1e-9)
    assert found.rms == pytest.approx(np.sqrt(wanted[0]))


@given(n=st.integers(16, 300), scale=st.floats(1e-3, 1e3), shift=st.integers(0, 299))
def test_parseval_scale_and_shift(n: int, scale: float, shift: int) -> None:
    x = noise(n, seed=n)
    one = spectrum.amplitude(x, RATE_HZ, window="boxcar")
    found = spectrum.band(one, 0, RATE_HZ / 2)
    assert found.power == pytest.approx(np.var(x), rel=1e-9)
    close(spectrum.amplitude(scale * x, RATE_HZ).value, scale * spectrum.amplitude(x, RATE_HZ).value)
    # Turned round in a circle, a periodic signal has the same lines without a window.
    close(spectrum.amplitude(np.roll(x, shift), RATE_HZ, window="boxcar").value[1:], one.value[1:])


@pytest.mark.parametrize("unit", ["m/s2", "mm/s2", "[g]"])
def test_velocity_of_a_sine_is_its_amplitude_over_its_angular_frequency(unit: str) -> None:
    in_mm = {"m/s2": 1e3, "mm/s2": 1.0, "[g]": 9806.65}[unit]
    x = sine(62.5, 4.0, n=4000)
    peak = 4.0 * in_mm / (2 * np.pi * 62.5)
    rms = spectrum.velocity_rms(x, RATE_HZ, unit=unit, high_hz=400)
    assert rms == pytest.approx(peak / np.sqrt(2), rel=1e-4)
    assert rms == pytest.approx(in_mm * oracle.velocity_rms(x, RATE_HZ, 10, 400), rel=1e-9)
    wave = spectrum.velocity(x, RATE_HZ, unit=unit, high_pass_hz=5)
    wanted = -peak * np.cos(2 * np.pi * 62.5 * wave.time_s + 0.3)
    np.testing.assert_allclose(wave.value[600:-600], wanted[600:-600], atol=2e-3 * peak)
    assert wave.unit == "mm/s"


@pytest.mark.parametrize("unit", ["", "g", "mm/s", "no unit"])
def test_velocity_refuses_what_is_no_acceleration(unit: str) -> None:
    for refused in (spectrum.velocity, spectrum.velocity_rms):
        with pytest.raises(InputError, match="unit"):
            refused(noise(100), RATE_HZ, unit=unit)


def results(x: Any, axis: int) -> list[Any]:
    """Every function along an axis, as arrays with time or lines last."""
    envelope = spectrum.envelope(x, RATE_HZ, (100, 400), axis=axis)
    one = spectrum.welch(x, RATE_HZ, segment=32, axis=axis)
    return [
        one.value,
        spectrum.amplitude(x, RATE_HZ, axis=axis).value,
        envelope.value,
        envelope.spectrum.value,
        spectrum.envelope(x, RATE_HZ, levels=2, axis=axis).band_hz,
        spectrum.kurtogram(x, RATE_HZ, levels=2, axis=axis).kurtosis,
        spectrum.velocity(x, RATE_HZ, unit="m/s2", axis=axis).value,
        spectrum.velocity_rms(x, RATE_HZ, unit="m/s2", high_hz=500, axis=axis)[..., None],
        spectrum.band(one, 50, 400).flatness[..., None],
    ]


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2])
def test_any_axis_and_any_stride(axis: int) -> None:
    x = noise(50, 52, 54)[::-2, ::3, ::2]
    longer = np.concatenate([x] * 4, axis=axis)
    whole = results(longer, axis)
    rows = np.moveaxis(longer, axis, -1)
    for at in [(0, 0), (1, 2), (-1, -1)]:
        for got, wanted in zip(whole, results(rows[at].copy(), -1), strict=True):
            np.testing.assert_array_equal(got[at], wanted)


def test_single_precision_is_read_as_it_is() -> None:
    x = noise(3, 200).astype(np.float32)
    for got, wanted in zip(results(x, -1), results(x.astype(np.float64), -1), strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("n", [1000, 1001, 25_600])
def test_channels_are_scipys_within_1e_4(n: int) -> None:
    rate_hz = 25_600.0
    t = np.arange(n) / rate_hz
    ring = np.exp(-900 * (t % 0.0093)) * np.sin(2 * np.pi * 4000 * t)
    x = (np.array([[0.0], [30.0]]) + np.sin(2 * np.pi * 530 * t) + 2 * ring + 0.3 * noise(2, n)).astype(np.float32)
    velocity_hz = (10.0, 1000.0) if n > 2000 else (100.0, 1000.0)
    found = spectrum.channels(x, rate_hz, velocity_hz=velocity_hz)
    for channel, waveform in enumerate(x.astype(np.float64)):
        for name, wanted in oracle.channel(waveform, rate_hz, velocity_hz, (2000.0, 10_000.0)).items():
            got = getattr(found, name)[channel]
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5 * np.max(np.abs(wanted)), err_msg=name)


def test_channels_of_any_stride_and_number() -> None:
    x = noise(2000, 70).astype(np.float32)
    strided = spectrum.channels(x.T[::2], RATE_HZ, velocity_hz=(10, 400), envelope_hz=(100, 400))
    copied = spectrum.channels(x.T[::2].copy(), RATE_HZ, velocity_hz=(10, 400), envelope_hz=(100, 400))
    for field in dataclasses.fields(strided):
        np.testing.assert_array_equal(getattr(strided, field.name), getattr(copied, field.name))
    assert strided.amplitude.shape == (35, 1001)
    none = spectrum.channels(np.empty((0, 100)), RATE_HZ, velocity_hz=(10, 400), envelope_hz=(100, 400))
    assert none.envelope.shape == (0, 51)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: spectrum.welch([1.0, 2.0], 0.0), "rate_hz"),
        (lambda: spectrum.welch([], 1.0), "samples|segment"),
        (lambda: spectrum.welch([1.0, np.nan, 2.0], 1.0), "NaN"),
        (lambda: spectrum.welch(noise(9), 1.0, segment=10), "segment = 10"),
        (lambda: spectrum.welch(noise(9), 1.0, overlap=-1), "overlap = -1"),
        (lambda: spectrum.welch(noise(9), 1.0, fft_length=3), "fft_length = 3"),
        (lambda: spectrum.welch(noise(9), 1.0, average="mode"), "average = mode"),  # type: ignore[arg-type]
        (lambda: spectrum.amplitude(noise(9), -1.0), "rate_hz = -1"),
        (lambda: spectrum.amplitude(noise(9), 1.0, window="round"), "window = round"),  # type: ignore[arg-type]
        (lambda: spectrum.amplitude(noise(9), 1.0, detrend="odd"), "detrend = odd"),  # type: ignore[arg-type]
        (lambda: spectrum.envelope(noise(99), 100.0, (60, 70)), "high_hz"),
        (lambda: spectrum.envelope(noise(99), 100.0, (20, 10)), "low_hz"),
        (lambda: spectrum.kurtogram(noise(15), 1.0), "at least 16"),
        (lambda: spectrum.kurtogram(noise(64), 1.0, levels=9), "levels = 9"),
        (lambda: spectrum.peaks(spectrum.welch(noise(2, 99), 1.0)), "one-dimensional"),
        (lambda: spectrum.peaks(spectrum.welch(noise(99), 1.0), count=-1), "count = -1"),
        (lambda: spectrum.band(spectrum.welch(noise(99), 1.0), 0.4, 0.2), "low_hz"),
        (lambda: spectrum.band(spectrum.welch(noise(99), 1.0), 0.1, 0.2, roll_off=2), "roll_off = 2"),
        (lambda: spectrum.velocity_rms(noise(99), 100.0, unit="m/s2", low_hz=0, high_hz=50), "low_hz = 0"),
        (lambda: spectrum.velocity(noise(99), 100.0, unit="m/s2", order=0), "order = 0"),
        (lambda: spectrum.channels(noise(99), 100.0), "must be"),
        (lambda: spectrum.channels(np.zeros((1, 9)), 100.0), "samples = 9"),
        (lambda: spectrum.channels(np.full((1, 99), np.inf), 5e4), "inf at sample 0"),
        (lambda: spectrum.channels(np.full((1, 99), 1e39), 5e4), "inf at sample 0"),
        (lambda: spectrum.psd(noise(9) + 1j, 1.0), "complex128"),
        (lambda: spectrum.channels(np.ones((1, 99), complex), 5e4), "complex128"),
        (lambda: spectrum.psd(["a", "b"], 1.0), "real numbers"),
        (lambda: spectrum.psd([[1.0, 2.0], [3.0]], 1.0), "real numbers"),
        (lambda: spectrum.psd(np.ma.masked_greater(noise(9), 0.5), 1.0), "masked"),
        (lambda: spectrum.psd(3.0, 1.0), r"axis = -1.*shape \(\)"),
        (lambda: spectrum.psd(noise(9), 1.0, axis=1), "axis = 1"),
        (lambda: spectrum.kurtogram(np.empty((0, 99)), 1.0), "no waveform"),
        (lambda: spectrum.envelope(np.empty((0, 99)), 1.0), "no waveform"),
        (lambda: spectrum.cepstrum(np.full(99, 3.3), 1.0), "x = 3.3 throughout"),
        (lambda: spectrum.envelope(noise(99), 100.0, (1, 2, 3)), r"band_hz has the shape \(3,\)"),  # type: ignore[arg-type]
        (lambda: spectrum.envelope(noise(99), 100.0, levels=-1), "levels = -1"),
        (lambda: spectrum.quefrency_peaks(spectrum.cepstrum(noise(99), 1.0), count=-1), "count = -1"),
    ],
)
def test_what_cannot_be_computed_is_refused_by_name(call: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        call()
