"""Features of waveforms against the NumPy and SciPy expressions that define them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from iotpm import features

Array = NDArray[np.float64]
SCALE_FREE = (
    "crest_factor",
    "shape_factor",
    "impulse_factor",
    "clearance_factor",
    "skewness",
    "kurtosis",
    "complexity",
)
FACTORS = ("crest_factor", "shape_factor", "impulse_factor", "clearance_factor")


def oracle(x: Array) -> dict[str, float]:
    rms, peak, size = np.sqrt(np.mean(x**2)), np.max(np.abs(x)), np.mean(np.abs(x))
    dx = np.diff(x)
    mobility = np.sqrt(np.var(dx) / np.var(x))
    return {
        "mean": np.mean(x),
        "std": np.std(x),
        "min": np.min(x),
        "max": np.max(x),
        "rms": rms,
        "peak": peak,
        "peak_to_peak": np.ptp(x),
        "crest_factor": peak / rms,
        "shape_factor": rms / size,
        "impulse_factor": peak / size,
        "clearance_factor": peak / np.mean(np.sqrt(np.abs(x))) ** 2,
        "skewness": scipy.stats.skew(x),
        "kurtosis": scipy.stats.kurtosis(x),
        "zero_crossings": np.count_nonzero(np.diff(x < 0)),
        "mean_crossings": np.count_nonzero(np.diff(x < np.mean(x))),
        "activity": np.var(x),
        "mobility": mobility,
        "complexity": np.sqrt(np.var(np.diff(dx)) / np.var(dx)) / mobility,
    }


def waveform(n: int, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    wave: Array = np.sin(2 * np.pi * 0.01 * np.arange(n)) + 0.3 * rng.normal(size=n)
    return wave + 5 * (rng.random(n) < 0.01) + 0.1


def values(x: Any, axis: int = -1) -> dict[str, Array]:
    return features.time_domain(x, axis).as_dict()


@pytest.mark.parametrize("n", [3, 4, 7, 8, 9, 100, 1_023, 25_600])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_every_feature_is_its_definition(n: int, offset: float) -> None:
    x = waveform(n, seed=n) + offset
    wanted, got = oracle(x), values(x)
    assert list(got) == list(wanted)
    for name, value in wanted.items():
        assert float(got[name]) == pytest.approx(value, rel=1e-9), name


def test_single_precision_is_read_as_it_is() -> None:
    x = waveform(4_096).astype(np.float32)
    wanted = values(x.astype(np.float64))
    for name, value in values(x).items():
        assert value == wanted[name], name
        assert float(value) == pytest.approx(oracle(x.astype(np.float64))[name], rel=1e-4), name


@pytest.mark.parametrize("axis", [0, 1, 2, -2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
def test_any_axis_and_stride_is_read_as_numpy_reads_it(axis: int, dtype: type) -> None:
    x: NDArray[Any] = (1_000 * waveform(12 * 20 * 24)).astype(dtype).reshape(12, 20, 24)[::2, ::-1, 1::3]
    got = values(x, axis)
    wanted = np.apply_along_axis(lambda row: values(np.ascontiguousarray(row))["clearance_factor"], axis, x)
    np.testing.assert_array_equal(got["clearance_factor"], wanted)


def test_more_rows_than_a_block_holds() -> None:
    x = waveform(600 * 1_000).reshape(600, 1_000)
    np.testing.assert_allclose(values(x)["kurtosis"], scipy.stats.kurtosis(x, axis=-1), rtol=1e-9)
    np.testing.assert_allclose(values(np.asfortranarray(x))["rms"], np.sqrt(np.mean(x**2, axis=-1)), rtol=1e-9)


@given(
    steps=hnp.arrays(np.int64, st.integers(4, 100), elements=st.integers(-1_000, 1_000)),
    scale=st.sampled_from([0.001, 7.0, 1e5]),
)
def test_scale_changes_only_what_has_the_unit(steps: Array, scale: float) -> None:
    x = steps.astype(np.float64)
    small, large = values(x), values(x * scale)
    for name in SCALE_FREE:
        np.testing.assert_allclose(large[name], small[name], rtol=1e-7, atol=1e-9, err_msg=name)
    for name in ("rms", "peak", "peak_to_peak", "std"):
        np.testing.assert_allclose(large[name], small[name] * scale, rtol=1e-9, atol=1e-12 * scale, err_msg=name)


@given(
    steps=hnp.arrays(np.int64, st.integers(4, 100), elements=st.integers(-1_000, 1_000)), offset=st.integers(-500, 500)
)
def test_an_offset_changes_no_shape(steps: Array, offset: int) -> None:
    here, there = values(steps), values(steps + offset)
    for name in ("std", "peak_to_peak", "skewness", "kurtosis", "activity", "mobility", "complexity"):
        np.testing.assert_allclose(there[name], here[name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_a_sine_has_the_factors_of_a_sine() -> None:
    got = features.time_domain(2 * np.sin(2 * np.pi * np.arange(100_000) / 1_000 + 1e-3))
    assert float(got.crest_factor) == pytest.approx(np.sqrt(2), rel=1e-5)
    assert float(got.shape_factor) == pytest.approx(np.pi / np.sqrt(8), rel=1e-5)
    assert float(got.impulse_factor) == pytest.approx(np.pi / 2, rel=1e-5)
    assert float(got.kurtosis) == pytest.approx(-1.5, rel=1e-5)
    assert float(got.mobility) == pytest.approx(2 * np.pi / 1_000, rel=1e-4)
    assert float(got.complexity) == pytest.approx(1.0, rel=1e-4)
    assert int(got.zero_crossings) == 199


def test_what_cannot_be_told_is_nan() -> None:
    still = values(np.full(10, 3.0))
    assert np.isnan([still[name] for name in ("skewness", "kurtosis", "mobility", "complexity")]).all()
    assert float(still["crest_factor"]) == 1.0
    assert np.isnan([values(np.zeros(10))[name] for name in FACTORS]).all()
    ramp = values(np.arange(10.0))
    assert float(ramp["mobility"]) == 0.0
    assert np.isnan(ramp["complexity"])
    assert np.isnan(list(values(np.empty(0)).values())).all()
    assert values(np.empty((0, 7)))["rms"].shape == (0,)
