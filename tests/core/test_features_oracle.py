"""Features, spectra and modified z against the NumPy and SciPy expressions that define them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import scipy.signal
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from iotpm import detect, features, spectrum

Array = NDArray[np.float64]
ORDER_STATISTICS = ("min", "max", "q25", "median", "q75")


def is_constant(x: Array) -> bool:
    """Where SciPy calls a sample constant: its moments are rounding noise there."""
    return bool(np.var(x) <= (1e-15 * np.mean(x)) ** 2)


def time_oracle(x: Array) -> dict[str, float]:
    rms = np.sqrt(np.mean(x**2))
    q25, median, q75 = np.percentile(x, [25, 50, 75])
    return {
        "mean": np.mean(x),
        "std": np.std(x),
        "min": np.min(x),
        "max": np.max(x),
        "rms": rms,
        "peak_to_peak": np.ptp(x),
        "skewness": scipy.stats.skew(x),
        "kurtosis": scipy.stats.kurtosis(x),
        "crest_factor": np.max(np.abs(x)) / rms,
        "q25": q25,
        "median": median,
        "q75": q75,
        "iqr": q75 - q25,
    }


def spectral_oracle(x: Array, rate_hz: float) -> dict[str, float]:
    f, p = scipy.signal.periodogram(x, rate_hz, window="boxcar", detrend="constant", scaling="spectrum")
    f, p = f[1:], p[1:]
    peak = np.argmax(p)
    return {
        "dominant_frequency": f[peak],
        "dominant_amplitude": np.sqrt(p[peak] * (1 if f[peak] == rate_hz / 2 else 2)),
        "spectral_entropy": scipy.stats.entropy(p) / np.log(len(p)),
        "spectral_centroid": np.sum(f * p) / np.sum(p),
    }


def samples(least: int, most: int) -> st.SearchStrategy[Array]:
    """Samples of a sensor: steps of its resolution around any level."""
    steps = hnp.arrays(np.int64, st.integers(least, most), elements=st.integers(-10_000, 10_000))
    scale = st.sampled_from([1e-6, 0.01, 1.0, 1e6])
    return st.builds(lambda x, scale, level: (x + level) * scale, steps, scale, st.integers(-1000, 1000))


@given(x=samples(1, 200))
def test_features_of_time_are_their_definitions(x: Array) -> None:
    got = {name: float(value) for name, value in features.window_features(x).items()}
    with np.errstate(invalid="ignore", divide="ignore"):
        wanted = time_oracle(x) if not is_constant(x) else {}
    if not wanted:
        assert got["mean"] == pytest.approx(np.mean(x), rel=1e-12)
        assert np.isnan([got["skewness"], got["kurtosis"], got["crest_factor"]]).all()
        return
    spread = float(np.max(np.abs(x)))
    for name, value in wanted.items():
        if name in ORDER_STATISTICS:
            assert got[name] == value, name
        elif name in ("skewness", "kurtosis", "crest_factor"):
            assert got[name] == pytest.approx(value, rel=1e-9, abs=1e-7), name
        else:
            assert got[name] == pytest.approx(value, rel=1e-9, abs=1e-12 * spread), name


@given(x=samples(16, 300), rate_hz=st.sampled_from([0.1, 1.0, 25_600.0]))
def test_features_of_frequency_are_their_definitions(x: Array, rate_hz: float) -> None:
    assume(not is_constant(x))
    got = features.window_features(x, rate_hz)
    _, p = scipy.signal.periodogram(x, rate_hz, window="boxcar", detrend="constant", scaling="spectrum")
    runner_up = np.sort(p[1:])[-2]
    for name, value in spectral_oracle(x, rate_hz).items():
        if name == "dominant_frequency" and runner_up > 0.999999 * p[1:].max():
            continue  # Two lines of equal height: rounding decides which is the greatest.
        assert float(got[name]) == pytest.approx(value, rel=1e-6, abs=1e-12), name


def test_below_16_samples_or_without_a_rate_there_is_no_spectrum() -> None:
    x = np.arange(16.0)
    for few in (features.window_features(x[:15], 1.0), features.window_features(x)):
        assert np.isnan([few[name] for name in features.SPECTRAL_FEATURES]).all()
    enough = features.window_features(x, 1.0)
    assert np.isfinite([enough[name] for name in features.SPECTRAL_FEATURES]).all()


def test_a_sine_is_found_with_its_amplitude() -> None:
    x = 3 * np.sin(2 * np.pi * 1200 * np.arange(1000) / 25_600 * 25.6 / 24)
    found = features.window_features(x, 25_600 * 24 / 25.6)
    assert float(found["dominant_frequency"]) == pytest.approx(1200.0, rel=1e-9)
    assert float(found["dominant_amplitude"]) == pytest.approx(3.0, rel=1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2])
def test_any_axis_is_the_axis_of_time(axis: int) -> None:
    x = np.random.default_rng(1).normal(size=(20, 21, 22))
    got = features.window_features(x, 10.0, axis=axis)
    assert list(got) == list(features.FEATURES)
    for name in ("mean", "median", "spectral_entropy"):
        rows = np.moveaxis(x, axis, -1)
        wanted = [[features.window_features(row, 10.0)[name] for row in page] for page in rows]
        np.testing.assert_array_equal(got[name], np.array(wanted))


def test_empty_windows_are_undefined_and_no_windows_are_none() -> None:
    assert np.isnan(features.window_features(np.empty((3, 0)))["mean"]).all()
    assert features.window_features(np.empty((0, 5)))["mean"].shape == (0,)


@given(
    x=samples(2, 300),
    rate_hz=st.sampled_from([0.5, 25_600.0]),
    window=st.sampled_from(["hann", "boxcar"]),
    scaling=st.sampled_from(["density", "spectrum"]),
)
def test_psd_is_scipys_periodogram(
    x: Array,
    rate_hz: float,
    window: Literal["hann", "boxcar"],
    scaling: Literal["density", "spectrum"],
) -> None:
    f, p = spectrum.psd(x, rate_hz, window, scaling)
    wanted_f, wanted_p = scipy.signal.periodogram(x, rate_hz, window, detrend="constant", scaling=scaling)
    np.testing.assert_allclose(f, wanted_f)
    level = float(np.max(np.abs(x))) ** 2 / (rate_hz if scaling == "density" else 1)
    np.testing.assert_allclose(p, wanted_p, rtol=1e-7, atol=1e-20 + 1e-24 * level * len(x) + 1e-13 * wanted_p.max())


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_psd_along_any_axis(axis: int) -> None:
    x = np.random.default_rng(2).normal(size=(33, 40))
    f, p = spectrum.psd(x, 100.0, axis=axis)
    wanted_f, wanted_p = scipy.signal.periodogram(x, 100.0, "hann", detrend="constant", axis=axis)
    np.testing.assert_allclose(f, wanted_f)
    np.testing.assert_allclose(p, wanted_p, rtol=1e-9, atol=1e-18)


def modified_z_oracle(x: Array, window: int, boundary: float, resolution: float) -> Array:
    scores = np.full(len(x), np.nan)
    for i in range(window, len(x)):
        before = x[i - window : i]
        median = np.median(before)
        mad = max(np.median(np.abs(before - median)), resolution)
        distance = abs(x[i] - median)
        z = 0.0 if distance == 0 else min(0.6745 * distance / mad, 1e6) if mad > 0 else 1e6
        scores[i] = z / boundary
    return scores


@given(
    x=samples(1, 150), window=st.integers(2, 40), boundary=st.sampled_from([1.0, 3.5]), floor=st.sampled_from([0, 0.1])
)
def test_modified_z_is_its_definition(x: Array, window: int, boundary: float, floor: float) -> None:
    got = detect.modified_z(x, window, boundary, floor)
    np.testing.assert_allclose(got, modified_z_oracle(x, window, boundary, floor), rtol=1e-12)


@given(x=samples(20, 100), cut=st.integers(0, 100))
def test_modified_z_is_causal(x: Array, cut: int) -> None:
    np.testing.assert_array_equal(detect.modified_z(x[:cut], 10), detect.modified_z(x, 10)[:cut])


def test_strided_input_is_read_as_numpy_reads_it() -> None:
    x: Any = np.random.default_rng(3).normal(size=(60, 40))
    np.testing.assert_array_equal(detect.modified_z(x[::-2, 3], 5), detect.modified_z(x[::-2, 3].copy(), 5))
    got, wanted = features.window_features(x.T[::2]), features.window_features(x.T[::2].copy())
    np.testing.assert_array_equal(got["mean"], wanted["mean"])
