"""Statistics over long horizons against NumPy on the same readings."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from iotpm.errors import InputError, SnapshotError
from iotpm.features import Horizon, MultiResolution

Array = NDArray[np.float64]
US = 1_000_000
DAY_S = 86_400
START_US = 1_700_000_000 * US


def readings(n: int, interval_s: float, seed: int = 0) -> tuple[NDArray[np.int64], Array]:
    rng = np.random.default_rng(seed)
    times = START_US + (np.arange(n) * interval_s * US).astype(np.int64)
    return times, 20 + np.sin(np.arange(n) / 500) + 0.2 * rng.gamma(2.0, size=n)


def inside(times: NDArray[np.int64], x: Array, horizon: Horizon) -> Array:
    return x[times >= horizon.start_us]


def assert_quantiles(x: Array, horizon: Horizon) -> None:
    """Each quantile's rank is within the bound that the horizon states."""
    ordered, n = np.sort(x), len(x)
    for q, value in horizon.quantiles.items():
        below, upto = np.searchsorted(ordered, value, "left"), np.searchsorted(ordered, value, "right")
        slack = horizon.rank_error * n + 1
        assert below - slack <= q * (n - 1) <= upto - 1 + slack, (q, value)


@pytest.mark.parametrize(
    ("horizon_s", "pane_s"),
    [(60, 10), (600, 60), (3_600, 600), (DAY_S, 3_600), (7 * DAY_S, DAY_S), (30 * DAY_S, DAY_S)],
)
def test_every_horizon_is_numpy_on_its_readings(horizon_s: int, pane_s: int) -> None:
    times, x = readings(40_000, 97.0)
    statistics = MultiResolution()
    statistics.push(times, x)
    got = statistics.over(horizon_s)
    assert got.end_us == times[-1]
    assert got.end_us - (horizon_s - pane_s) * US >= got.start_us > got.end_us - horizon_s * US
    within = inside(times, x, got)
    assert got.n == len(within)
    assert (got.min, got.max) == (within.min(), within.max())
    assert got.mean == pytest.approx(within.mean(), rel=1e-12)
    assert got.rms == pytest.approx(np.sqrt(np.mean(within**2)), rel=1e-12)
    if len(within) > 1:
        assert got.std == pytest.approx(within.std(), rel=1e-9)
    if len(within) > 2:
        assert got.skewness == pytest.approx(scipy.stats.skew(within), rel=1e-9)
        assert got.kurtosis == pytest.approx(scipy.stats.kurtosis(within), rel=1e-9)
    assert_quantiles(within, got)


def test_where_all_readings_are_held_quantiles_are_exact() -> None:
    times, x = readings(500, 30.0)
    statistics = MultiResolution()
    statistics.push(times, x)
    got = statistics.over(3_600, [0.0, 0.1, 0.5, 0.99, 1.0])
    assert got.rank_error == 0.0
    np.testing.assert_allclose(list(got.quantiles.values()), np.quantile(inside(times, x, got), list(got.quantiles)))


@settings(max_examples=25)
@given(
    rate=st.sampled_from([0.01, 1.0, 100.0]),
    points=st.sampled_from([8, 32, 128]),
    shape=st.sampled_from(["normal", "lognormal", "steps", "ascending", "descending", "sawtooth"]),
    seed=st.integers(0, 5),
)
def test_no_data_breaks_the_bound_on_quantiles(rate: float, points: int, shape: str, seed: int) -> None:
    n = 30_000
    times, rng = START_US + (np.arange(n) / rate * US).astype(np.int64), np.random.default_rng(seed)
    x = {
        "normal": rng.normal(size=n),
        "lognormal": rng.lognormal(sigma=3, size=n),
        "steps": rng.integers(0, 4, n).astype(np.float64),
        "ascending": np.arange(n, dtype=np.float64),
        "descending": -np.arange(n, dtype=np.float64),
        "sawtooth": np.arange(n, dtype=np.float64) % 977,
    }[shape]
    statistics = MultiResolution(points=points)
    statistics.push(times, x)
    for horizon_s in (60, 600, 3_600, DAY_S, 30 * DAY_S):
        got = statistics.over(horizon_s, [0.0, 0.01, 0.05, 0.25, 0.5, 0.9, 0.99, 1.0])
        within = inside(times, x, got)
        assert got.n == len(within)
        assert_quantiles(within, got)
        assert (got.quantiles[0.0], got.quantiles[1.0]) == (within.min(), within.max())


def test_more_points_make_quantiles_finer() -> None:
    times, x = readings(200_000, 1.0)
    bounds = []
    for points in (8, 32, 128, 512):
        statistics = MultiResolution(points=points)
        statistics.push(times, x)
        bounds.append(statistics.over(DAY_S).rank_error)
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] < 0.01


@given(seed=st.integers(0, 100), scale=st.sampled_from([0.5, 4.0, -2.0]), shift=st.integers(-64, 64))
@settings(max_examples=25)
def test_scale_and_offset_move_quantiles_as_they_move_readings(seed: int, scale: float, shift: int) -> None:
    times, _ = readings(5_000, 1.0)
    x = np.random.default_rng(seed).integers(-1_000, 1_000, 5_000) / 8
    quantiles = [0.0, 0.25, 0.5, 0.75, 1.0]
    here, there = MultiResolution(), MultiResolution()
    here.push(times, x)
    there.push(times, x * scale + shift)
    got, wanted = there.over(3_600, quantiles), here.over(3_600, quantiles)
    assert got.mean == pytest.approx(wanted.mean * scale + shift, rel=1e-9, abs=1e-9)
    assert got.std == pytest.approx(wanted.std * abs(scale), rel=1e-9)
    if scale > 0:
        moved = [value * scale + shift for value in wanted.quantiles.values()]
        np.testing.assert_allclose(list(got.quantiles.values()), moved, rtol=1e-12, atol=1e-12)


@given(cuts=st.lists(st.integers(0, 3_000), max_size=5), restored=st.booleans())
@settings(max_examples=25)
def test_neither_batches_nor_snapshots_change_anything(cuts: list[int], restored: bool) -> None:
    times, x = readings(3_000, 60.0)
    whole = MultiResolution(lateness_s=5)
    whole.push(times, x)
    parts = MultiResolution(lateness_s=5)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 3_000], strict=True):
        parts.push(times[start:end], x[start:end])
        parts = MultiResolution.restore(parts.snapshot()) if restored else parts
    assert parts.snapshot() == whole.snapshot()


def test_order_within_the_lateness_does_not_matter_and_what_is_later_is_counted() -> None:
    times, x = readings(5_000, 1.0)
    order = np.argsort(np.arange(5_000) + np.random.default_rng(1).uniform(0, 25, 5_000))
    mixed = MultiResolution(lateness_s=30)
    mixed.push(times[order], x[order])
    straight = MultiResolution(lateness_s=30)
    straight.push(times, x)
    assert mixed.late == 0
    got, wanted = mixed.over(3_600), straight.over(3_600)
    assert (got.n, got.start_us, got.min, got.max) == (wanted.n, wanted.start_us, wanted.min, wanted.max)
    assert got.mean == pytest.approx(wanted.mean, rel=1e-12)
    mixed.push([times[-1] - 31 * US, times[-1] - 29 * US, times[-1]], [1e9, 25.0, np.nan])
    assert (mixed.late, mixed.refused) == (1, 1)
    assert mixed.over(3_600).max < 1e9


def test_a_gap_of_weeks_leaves_what_is_still_within() -> None:
    times, x = readings(1_000, 60.0)
    statistics = MultiResolution()
    statistics.push(times, x)
    statistics.push([times[-1] + 20 * DAY_S * US], [7.0])
    assert statistics.over(DAY_S).n == 1
    assert statistics.over(30 * DAY_S).n == 1_001
    statistics.push([times[-1] + 70 * DAY_S * US], [8.0])
    assert (statistics.over(30 * DAY_S).n, statistics.over(30 * DAY_S).mean) == (1, 8.0)


def test_memory_does_not_grow_with_readings() -> None:
    times, x = readings(100_000, 30.0)
    statistics = MultiResolution()
    statistics.push(times[:90_000], x[:90_000])
    before = statistics.nbytes
    statistics.push(times[90_000:], x[90_000:])
    assert before < 64 * 1024
    assert statistics.nbytes < 1.1 * before


def test_nothing_yet_is_undefined() -> None:
    empty = MultiResolution().over(60)
    assert empty.n == 0
    assert np.isnan([empty.mean, empty.std, empty.min, empty.rms, empty.kurtosis, *empty.quantiles.values()]).all()


@pytest.mark.parametrize(
    ("tiers", "lateness_s", "points", "text"),
    [
        ([], 0, 32, "tiers"),
        ([(10, 6), (45, 10)], 0, 32, "multiple"),
        ([(10, 3), (60, 10)], 0, 32, "cover"),
        ([(0, 3)], 0, 32, "width_us"),
        ([(10, 0)], 0, 32, "panes"),
        (None, -1, 32, "lateness_us"),
        (None, 61, 32, "lateness_us"),
        (None, 0, 4, "points"),
    ],
)
def test_what_cannot_be_is_refused(
    tiers: list[tuple[float, int]] | None, lateness_s: float, points: int, text: str
) -> None:
    with pytest.raises(InputError, match=text):
        MultiResolution(tiers, lateness_s=lateness_s, points=points)


def test_questions_that_cannot_be_answered_are_refused() -> None:
    statistics = MultiResolution([(1, 60)])
    for horizon_s, quantiles, text in ((61, [], "horizon_us"), (0.5, [], "horizon_us"), (60, [1.5], "quantile")):
        with pytest.raises(InputError, match=text):
            statistics.over(horizon_s, quantiles)
    with pytest.raises(InputError, match="nan s"):
        statistics.over(float("nan"))
    with pytest.raises(InputError, match="entries"):
        statistics.push([1, 2], [1.0])
    for times in ([0.5], np.array(["2026-01-01"], "datetime64[ns]")):
        with pytest.raises(InputError, match="whole microseconds"):
            statistics.push(times, [1.0])
    with pytest.raises(SnapshotError):
        MultiResolution.restore(b"no snapshot")
