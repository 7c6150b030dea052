"""Detectors of one signal against plain definitions in NumPy and SciPy, and the contract of scorer and stream."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime
from itertools import pairwise
from typing import get_args
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal, stats

from iotpm import detect
from iotpm.config.model import DetectorName
from iotpm.errors import InputError, SnapshotError

Floats = NDArray[np.float64]

WARM_UP = 200
MINUTE_US = 60_000_000


def walk(seed: int, n: int = 3000) -> Floats:
    """A wandering level with noise, spikes and a shift: what scores are not trivial on."""
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.normal(0, 0.05, n)) + rng.normal(0, 1.0, n)
    x[rng.integers(0, n, 20)] += rng.normal(0, 15, 20)
    x[n // 2 :] += 4.0
    return x.round(3)


def times(n: int, interval_us: int = 5 * MINUTE_US) -> NDArray[np.int64]:
    return 1_709_510_400_000_000 + np.arange(n) * interval_us


def channel(feature: Floats, tau: float) -> Floats:
    """Novelty as published with the experiment: distance to the nearest of 256 remembered values, in tau deviations."""
    out = np.zeros(len(feature))
    known: list[float] = []
    stamps: list[int] = []
    mean, variance, low, high = feature[0], 0.0, feature[0], feature[0]
    for i, f in enumerate(feature.tolist()):
        rate = max(5e-4, 1.0 / (i + 2))
        departure = f - mean
        mean += rate * departure
        variance = (1 - rate) * (variance + rate * departure**2)
        low, high = min(low, f), max(high, f)
        scale = tau * (variance**0.5 + 1e-3 * (high - low))
        if i >= 40:
            remember(known, stamps, float(feature[i - 40]), i, 0.1 * scale)
        if known and scale > 0:
            out[i] = min(abs(k - f) for k in known) / scale
    return out


def remember(known: list[float], stamps: list[int], f: float, now: int, grain: float) -> None:
    if known:
        nearest = min(range(len(known)), key=lambda k: abs(known[k] - f))
        if abs(known[nearest] - f) <= grain:
            stamps[nearest] = now
            return
    at = bisect_left(known, f)
    known.insert(at, f)
    stamps.insert(at, now)
    if len(known) > 256:
        oldest = stamps.index(min(stamps))
        del known[oldest], stamps[oldest]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_novelty_is_the_distance_to_what_was_seen(seed: int) -> None:
    x = walk(seed)
    difference = np.diff(x, prepend=x[0])
    spread = np.array([x[max(0, i - 9) : i + 1].std() for i in range(len(x))])
    channels = [channel(f, tau) for f, tau in ((x, 0.25), (difference, 2.0), (spread, 1.0))]
    expected = np.maximum.reduce(channels)
    expected[:WARM_UP] = 0.0
    found = detect.score_series(x, warm_up=WARM_UP, detectors=["novelty"])
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert found.max() > 1.0


def standardised(x: Floats) -> Floats:
    healthy = x[:WARM_UP]
    return np.asarray((x[WARM_UP:] - healthy.mean()) / healthy.std(ddof=1))


def test_the_ewma_chart_is_scipys_filter_in_exact_limits() -> None:
    x = walk(4)
    z = standardised(x)
    statistic = signal.lfilter([0.1], [1.0, -0.9], z)
    t = np.arange(1, len(z) + 1)
    limit = 5.0 * np.sqrt(0.1 / 1.9 * (1.0 - 0.9 ** (2 * t)))
    found = detect.score_series(x, warm_up=WARM_UP, detectors=["ewma"])
    assert np.allclose(found[WARM_UP:], np.abs(statistic) / limit, rtol=1e-9)


def test_the_cusum_is_the_tabular_one() -> None:
    x = walk(5)
    up = down = 0.0
    expected = []
    for z in np.clip(standardised(x), -6, 6).tolist():
        up, down = min(max(0.0, up + z - 0.5), 24.0), min(max(0.0, down - z - 0.5), 24.0)
        expected.append(max(up, down) / 12.0)
    found = detect.score_series(x, warm_up=WARM_UP, detectors=["cusum"])
    assert np.allclose(found[WARM_UP:], expected, rtol=1e-9, atol=1e-12)


def page_hinkley(values: list[float], *, delta: float, threshold: float, alpha: float) -> list[float]:
    """The recursion that `test_detectors_peers.py` holds to river, with its statistic over the threshold."""
    out, fresh = [], True
    n, mean, rising, least, falling, greatest = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for x in values:
        if fresh:
            n, mean, rising, least, falling, greatest = 0, 0.0, 0.0, 0.0, 0.0, 0.0
        n += 1
        mean += (x - mean) / n
        rising = alpha * rising + x - mean - delta
        falling = alpha * falling + x - mean + delta
        least, greatest = min(least, rising), max(greatest, falling)
        out.append(max(rising - least, greatest - falling) / threshold)
        fresh = out[-1] >= 1.0
    return out


def test_page_hinkley_is_its_recursion_on_standardised_readings() -> None:
    x = walk(6)
    expected = page_hinkley(standardised(x).tolist(), delta=0.1, threshold=50.0, alpha=0.9999)
    found = detect.score_series(x, warm_up=WARM_UP, detectors=["page_hinkley"])
    assert np.allclose(found[WARM_UP:], expected, rtol=1e-6, atol=1e-9)
    assert max(expected) >= 1.0


def test_the_level_shift_compares_medians_by_their_scatter() -> None:
    x = walk(7, 1200)
    found = detect.score_series(x, warm_up=0, detectors=["level_shift"])
    for i in range(287, len(x), 7):
        recent, reference = x[i - 31 : i + 1], x[i - 287 : i - 31]
        scatter = max(stats.median_abs_deviation(recent), stats.median_abs_deviation(reference))
        expected = abs(np.median(recent) - np.median(reference)) / (5.0 * 1.4826 * scatter)
        assert found[i] == pytest.approx(expected, rel=1e-9)
    assert not found[:287].any()


def test_the_seasonal_baseline_is_each_hours_mean_and_deviation() -> None:
    rng = np.random.default_rng(8)
    n = 24 * 12 * 7 * 6
    hours = np.arange(n) // 12
    x = 10.0 * np.sin(2 * np.pi * (hours % 168) / 168) + rng.normal(0, 1, n)
    found = detect.score_series(x, times(n), warm_up=0, detectors=["seasonal"])
    week = 24 * 12 * 7
    visits = x[: 5 * week].reshape(5, 168, 12)
    mean = visits.mean(axis=(0, 2))
    # The five visits weigh the same; their variance is that of all their readings together.
    deviation = np.sqrt(visits.var(axis=2).mean(axis=0) + visits.mean(axis=2).var(axis=0))
    expected = np.abs(x[5 * week :].reshape(168, 12) - mean[:, None]) / (5.0 * deviation[:, None])
    assert np.allclose(found[5 * week :].reshape(168, 12), expected, rtol=1e-6)


def test_record_filter_and_level_follow_their_definitions() -> None:
    scores = np.abs(np.random.default_rng(9).normal(0, 1, 2000))
    records = [s if s > max(scores[max(0, i - 100) : i], default=0.0) else 0.0 for i, s in enumerate(scores.tolist())]
    assert detect.record_filter(scores).tolist() == records
    assert np.allclose(detect.ranking_level(scores), signal.lfilter([0.02], [1.0, -0.98], scores**1.5))


def test_the_score_is_the_greatest_part() -> None:
    x = walk(10)
    names = detect.series_detectors()
    parts = detect.score_parts(x, times(len(x)), WARM_UP, names)
    assert tuple(parts) == names
    fused = detect.score_series(x, times(len(x)), WARM_UP, names)
    assert np.array_equal(fused, np.maximum.reduce(list(parts.values())))
    assert not fused[:WARM_UP].any()
    assert fused[WARM_UP:].any()


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, 1200), max_size=6), seed=st.integers(0, 50), keep=st.booleans())
def test_a_stream_scores_as_the_whole_however_it_is_cut(cuts: list[int], seed: int, keep: bool) -> None:
    x, t = walk(seed, 1200), times(1200, 60 * MINUTE_US)
    whole = detect.score_series(x, t, WARM_UP, detect.series_detectors(), "Europe/Berlin")
    scorer = detect.SeriesScorer(WARM_UP, detect.series_detectors(), "Europe/Berlin")
    edges = [0, *sorted(cuts), 1200]
    parts = []
    for first, last in pairwise(edges):
        parts.append(scorer.update(x[first:last], t[first:last]))
        if keep:
            scorer = detect.SeriesScorer.from_bytes(scorer.to_bytes())
    assert np.array_equal(np.concatenate(parts), whole)


def test_missing_values_are_neither_scored_nor_learned() -> None:
    x = walk(11)
    holes = np.insert(x, np.arange(0, len(x), 10), np.nan)
    found = detect.score_series(holes, warm_up=WARM_UP)
    assert np.array_equal(np.isnan(found), np.isnan(holes))
    assert np.array_equal(found[~np.isnan(holes)], detect.score_series(x, warm_up=WARM_UP))


def test_an_explanation_says_what_was_expected() -> None:
    scorer = detect.SeriesScorer(warm_up=WARM_UP)
    x = np.random.default_rng(12).normal(20.0, 0.5, 1500)
    assert scorer.maturity == "cold"
    scorer.update(np.append(x, 12.0), times(1501))
    why = scorer.explain()
    assert why["detector"] == "novelty"
    assert why["aspect"] == "value"
    assert why["expected"] == pytest.approx(x.min(), abs=0.3)
    assert (why["direction"], why["baseline_readings"], why["maturity"]) == (-1, 1501, "mature")
    assert why["baseline_from_us"] == times(1)[0]
    assert why["score"] >= 1.0


def test_memory_is_bounded() -> None:
    scorer = detect.SeriesScorer()
    scorer.update(walk(13, 20_000), times(20_000))
    early = scorer.memory_bytes
    scorer.update(walk(14, 60_000), times(60_000) + times(20_000)[-1] - times(1)[0])
    assert early <= scorer.memory_bytes < 128_000


def test_a_template_may_name_every_detector() -> None:
    basic = {"limits", "rate_of_change", "flatline", "modified_z", "ema_baseline"}
    assert set(get_args(DetectorName)) == {"basic", "default", "asset_model"} | basic | set(detect.series_detectors())
    assert set(detect.DEFAULT_DETECTORS) < set(detect.series_detectors())


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_zone_changes_give_the_offsets_of_the_database(zone: str) -> None:
    changes = detect.zone_changes(zone)
    seconds = [second for second, _ in changes]
    for second in np.random.default_rng(15).integers(0, 4_000_000_000, 300).tolist():
        offset = changes[max(np.searchsorted(seconds, second, side="right") - 1, 0)][1]
        expected = datetime.fromtimestamp(second, UTC).astimezone(ZoneInfo(zone)).utcoffset()
        assert expected is not None
        assert offset == expected.total_seconds()


def test_arguments_that_cannot_be_used_are_named() -> None:
    x = walk(16, 100)
    with pytest.raises(InputError, match="magic"):
        detect.score_series(x, detectors=["magic"])
    with pytest.raises(InputError, match="day"):
        detect.score_series(x, detectors=["day"])
    with pytest.raises(InputError, match="warm_up"):
        detect.score_series(x, warm_up=-1)
    with pytest.raises(InputError, match="zone"):
        detect.SeriesScorer(zone="Mars/Olympus")
    with pytest.raises(InputError, match="as many"):
        detect.score_series(x, times(99))
    with pytest.raises(InputError, match="must not fall"):
        detect.score_series(x, times(100)[::-1])
    with pytest.raises(InputError, match="recent"):
        detect.record_filter(x, 0)
    with pytest.raises(SnapshotError):
        detect.SeriesScorer.from_bytes(b"nothing")
