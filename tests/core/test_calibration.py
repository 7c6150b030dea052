"""Thresholds for an alarm budget, against SciPy's generalised Pareto distribution."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from iotpm.calibration import Calibration, peaks_over_threshold
from iotpm.errors import InputError


@pytest.mark.parametrize("shape", [-0.2, 0.05, 0.3])
def test_shape_and_scale_are_scipys_maximum_likelihood(shape: float) -> None:
    scores = scipy.stats.genpareto.rvs(shape, size=3000, random_state=5)
    found = Calibration.fit(scores, run_gap=0, tail_share=0.3)
    above = np.flatnonzero(scores > found.beginning)
    runs = np.split(above, np.flatnonzero(np.diff(above) > 1) + 1)
    peaks = np.array([scores[run].max() for run in runs])
    assert found.peaks == len(peaks)
    expected_shape, _, expected_scale = scipy.stats.genpareto.fit(peaks - found.beginning, floc=0)
    assert found.shape == pytest.approx(expected_shape, abs=2e-3)
    assert found.scale == pytest.approx(expected_scale, rel=5e-3)


def test_one_score_serves_any_budget() -> None:
    healthy = np.random.default_rng(1).exponential(size=20_000)
    tail = Calibration.fit(healthy, run_gap=0)
    later = np.random.default_rng(2).exponential(size=200_000)
    for alarms in (1000, 100, 20):
        found = tail.threshold(alarms, 200_000)
        assert 0.5 * alarms < (later > found.value).sum() < 2 * alarms
        assert found.low < -np.log(alarms / 200_000) < found.high
        assert tail.expected_alarms(found.value, 200_000) == pytest.approx(alarms, rel=1e-6)
    assert not tail.threshold(1000, 200_000).extrapolated
    assert tail.threshold(1, 1_000_000).extrapolated


def test_an_effect_below_the_resolution_never_counts() -> None:
    healthy = 20 + 0.001 * np.random.default_rng(1).standard_normal(5000)
    assert peaks_over_threshold(healthy, alarms=1, rows=5000, effect_min=0.1).value >= 20.1


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(InputError, match="longer healthy period"):
        Calibration.fit(np.ones(1000))
    with pytest.raises(InputError, match="shape"):
        Calibration.fit(np.ones((10, 10)))
    with pytest.raises(InputError, match="false alarms per row"):
        peaks_over_threshold(np.arange(1000.0) % 97, alarms=0, rows=10, run_gap=0)
