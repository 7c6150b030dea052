"""Detectors of many signals: invariances, prefixes, missing values, both kinds of fault, frames, oracles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf, MinCovDet
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from iotpm import _core
from iotpm.detect import Multivariate
from iotpm.errors import InputError, SnapshotError
from iotpm.multivariate import align

Floats = NDArray[np.float64]
METHODS = ("mewma", "mahalanobis", "pca", "isolation_forest")
NAMES = ("current", "pressure", "temperature", "flow")


def healthy(n: int, seed: int = 1, columns: int = 4) -> Floats:
    """Correlated, autocorrelated columns."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, columns)) + 0.7 * rng.standard_normal((n, 1))
    x = np.zeros((n, columns))
    for i in range(1, n):
        x[i] = 0.5 * x[i - 1] + noise[i]
    return x + np.arange(1, columns + 1)


@pytest.fixture(scope="module")
def model() -> Multivariate:
    return Multivariate.fit(healthy(500), columns=NAMES)


@settings(max_examples=15)
@given(
    units=st.lists(st.floats(1e-2, 1e4), min_size=4, max_size=4),
    offsets=st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4),
)
def test_scores_do_not_depend_on_the_columns_units(units: list[float], offsets: list[float]) -> None:
    train, test = healthy(200), healthy(50, 2)
    expected = Multivariate.fit(train).score(test)
    unit, offset = np.array(units), np.array(offsets) * np.array(units)
    found = Multivariate.fit(train * unit + offset).score(test * unit + offset)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@settings(max_examples=10)
@given(order=st.permutations(range(4)))
def test_scores_do_not_depend_on_the_order_of_columns(order: list[int]) -> None:
    train, test = healthy(200), healthy(50, 2)
    test[20:, 1] += 6
    straight, permuted = Multivariate.fit(train), Multivariate.fit(train[:, order])
    np.testing.assert_allclose(permuted.score(test[:, order]), straight.score(test), rtol=1e-6)
    assert order[int(permuted.explain().contributors[0].name)] == int(straight.explain().contributors[0].name)


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 120), max_size=4))
def test_a_series_in_pieces_scores_as_the_whole_to_the_bit(model: Multivariate, cuts: list[int]) -> None:
    rows = healthy(120, 3)
    model.reset()
    whole = model.score(rows)
    model.reset()
    pieces = [model.score(piece) for piece in np.split(rows, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("method", METHODS)
def test_a_stored_stream_goes_on(method: str) -> None:
    rows = healthy(100, 4)
    one = Multivariate.fit(healthy(300), method=method)
    whole = one.score(rows)
    one.reset()
    one.score(rows[:60])
    other = Multivariate.from_bytes(one.to_bytes())
    other.restore(one.state())
    np.testing.assert_array_equal(other.score(rows[60:]), whole[60:])
    assert other.hash == one.hash


@pytest.mark.parametrize("method", METHODS)
def test_a_large_shift_is_an_alarm_and_healthy_rows_hardly_ever(method: str) -> None:
    one = Multivariate.fit(healthy(1000), method=method)
    assert (one.score(healthy(2000, 5)) >= 1).mean() < 0.02
    shifted = healthy(100, 6)
    shifted += 12 * np.array([1, -1, 1, -1])
    one.reset()
    assert (one.score(shifted)[10:] >= 1).mean() > 0.9


def test_the_channels_see_different_faults(model: Multivariate) -> None:
    drift, noise = healthy(200, 7), healthy(200, 7)
    drift[100:, 0] += 3
    noise[100:, 0] += np.where(np.arange(100) % 2, 5, -5)
    model.reset()
    model.score(drift)
    assert model.explain().channel == "level"
    assert model.explain().contributors[0].name == "current"
    model.reset()
    score = model.score(noise)
    assert model.explain().channel == "energy"
    assert model.explain().contributors[0].name == "current"
    np.testing.assert_allclose(score, np.hypot(model.parts["level"], model.parts["energy"]))


def test_an_explanation_says_what_was_expected(model: Multivariate) -> None:
    rows = healthy(100, 8)
    rows[60:, 3] += 8
    model.reset()
    model.score(rows)
    found = model.explain(70)
    first = found.contributors[0]
    assert (first.name, first.direction, first.actual) == ("flow", 1, rows[70, 3])
    assert first.usual == pytest.approx(4, abs=0.5)
    assert sum(part.share for part in found.contributors) == pytest.approx(1)
    assert (found.maturity, found.model) == ("mature", model.hash)
    assert found.score == pytest.approx(np.hypot(*(model.parts[c][70] for c in model.channels)))
    assert model.explain(70 - 100) == found
    with pytest.raises(InputError, match="one of the 100 rows"):
        model.explain(100)


def test_a_silent_column_is_named_and_many_stop_the_score(model: Multivariate) -> None:
    rows = healthy(100, 9)
    rows[40:, 1] = np.nan
    model.reset()
    assert np.isfinite(model.score(rows)).all()
    assert model.explain().missing == ("pressure",)
    assert model.explain(45).missing == ()
    rows[60:, 0] = rows[60:, 2] = np.nan
    model.reset()
    score = model.score(rows)
    assert np.isfinite(score[:70]).all()
    assert np.isnan(score[70:]).all()


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(InputError, match=r"49 \(of 4 columns, 50 needed"):
        Multivariate.fit(healthy(49))
    with pytest.raises(InputError, match="method"):
        Multivariate.fit(healthy(100), method="magic")
    with pytest.raises(InputError, match="3 names"):
        Multivariate.fit(healthy(100), columns=["a", "b", "c"])
    with pytest.raises(InputError, match="shape"):
        Multivariate.fit(np.zeros(100))
    learning = Multivariate.fit(healthy(100))
    assert learning.maturity == "learning"
    with pytest.raises(InputError, match="3 columns"):
        learning.score(np.zeros((1, 3)))
    with pytest.raises(SnapshotError):
        learning.restore(Multivariate.fit(healthy(101)).state())


def test_without_energy_the_score_is_the_level() -> None:
    rows = healthy(100, 3)
    both, alone = Multivariate.fit(healthy(300)), Multivariate.fit(healthy(300), energy=False)
    both.score(rows)
    score = alone.score(rows)
    assert (alone.channels, tuple(alone.parts)) == (("level",), ("level",))
    np.testing.assert_allclose(score, alone.parts["level"])
    share = np.sqrt(rows.shape[1] / (rows.shape[1] + 2))
    np.testing.assert_allclose(score * alone.limit * share, both.parts["level"] * both.limit)


def test_frames_hold_the_last_value_within_the_age_limit() -> None:
    frames = align([0, 1, 0, 0, 0], [0, 500_000, 1_000_000, 2_000_000, 3_000_000], [1, 5, 2, 3, 4],
                   count=2, period_us=1_000_000, age_max_us=1_500_000)  # fmt: skip
    assert frames.times_us.tolist() == [0, 1_000_000, 2_000_000, 3_000_000]
    np.testing.assert_array_equal(frames.rows, [[1, np.nan], [2, 5], [3, 5], [4, np.nan]])
    assert (frames.late, frames.empty, frames.bad) == (0, 0, 0)
    with pytest.raises(InputError, match="age_max_us"):
        align([0], [0], [1.0], count=1, period_us=10, age_max_us=5)


@pytest.mark.parametrize(("n", "p"), [(200, 4), (30, 12), (10, 20)])
def test_shrunk_covariance_is_scikit_learns(n: int, p: int) -> None:
    rows = healthy(n, columns=p)
    oracle = LedoitWolf(assume_centered=True).fit(rows)
    covariance, weight = _core.ledoit_wolf(rows)
    np.testing.assert_allclose(covariance, oracle.covariance_, rtol=1e-9)
    assert weight == pytest.approx(oracle.shrinkage_)


def test_robust_distances_agree_with_scikit_learns_on_contaminated_rows() -> None:
    rows = np.random.default_rng(3).standard_normal((400, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.3], [0, 0, 1]])
    rows[:100] += [8, -8, 8]
    oracle = MinCovDet(random_state=0).fit(rows)
    distances, centre = _core.robust_distances(rows, 0)
    np.testing.assert_allclose(centre, oracle.location_, atol=0.1)
    expected = np.sqrt(oracle.mahalanobis(rows) / 3)
    assert np.corrcoef(np.log(distances), np.log(expected))[0, 1] > 0.99
    assert distances[:100].min() > distances[100:].max()


def test_principal_axes_are_scikit_learns() -> None:
    rows = healthy(300, columns=6)
    rows -= rows.mean(0)
    oracle = PCA().fit(rows)
    variances, axes = _core.principal_axes(rows)
    np.testing.assert_allclose(variances * 300 / 299, oracle.explained_variance_, rtol=1e-9)
    np.testing.assert_allclose(np.abs((axes * oracle.components_).sum(1)), 1, rtol=1e-9)
    assert (axes[np.arange(6), np.abs(axes).argmax(1)] > 0).all()


def test_isolation_scores_agree_with_scikit_learns() -> None:
    rows = np.random.default_rng(4).standard_normal((1000, 5))
    rows[:20] *= 4
    oracle = -IsolationForest(random_state=0).fit(rows).score_samples(rows)
    found = _core.isolation_scores(rows, 0)
    assert np.corrcoef(found, oracle)[0, 1] > 0.95
    assert abs(found.mean() - oracle.mean()) < 0.02
