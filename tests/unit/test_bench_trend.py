"""The line through a soak's samples, and what may be said about it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from iotpm.bench.soak import BLOCKS, STUDENT_95, trend
from iotpm.errors import IotpmError

DAY_S = 86_400.0


def test_the_quantile_is_students() -> None:
    assert pytest.approx(stats.t.ppf(0.975, BLOCKS - 2), abs=5e-4) == STUDENT_95


@given(st.floats(-0.5, 0.5), st.integers(2, 20), st.integers(0, 1000))
def test_the_line_is_that_of_scipy_through_the_means_of_blocks(slope: float, per_block: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    at_s = np.arange(BLOCKS * per_block) * 0.5
    values = 1e6 + slope * at_s + rng.normal(0, 10, at_s.size)
    found = trend(list(at_s), list(values))
    means = [part.reshape(BLOCKS, per_block).mean(axis=1) for part in (at_s, values)]
    line = stats.linregress(*means)
    scale = 100 * DAY_S / means[1].mean()
    assert found.percent_per_day == pytest.approx(line.slope * scale, abs=0.01)
    assert found.high - found.low == pytest.approx(2 * STUDENT_95 * line.stderr * scale, abs=0.02)


def test_what_grows_is_said_to_grow_and_a_short_look_decides_nothing() -> None:
    rng = np.random.default_rng(1)
    day_s, minute_s = np.linspace(0, DAY_S, 2_000), np.linspace(0, 60, 200)
    flat, leak = rng.normal(1e8, 1e5, 2_000), np.linspace(1e8, 1.05e8, 2_000)
    assert trend(list(day_s), list(flat)).verdict == "flat"
    assert trend(list(day_s), list(leak + flat - 1e8)).verdict == "grows"
    assert trend(list(minute_s), list(flat[:200])).verdict == "undecided"


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(IotpmError, match="run longer"):
        trend([0.0] * (2 * BLOCKS - 1), [1.0] * (2 * BLOCKS - 1))
