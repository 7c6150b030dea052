"""The benchmarks' measures against cases computed by hand and against their definitions written out plainly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from iotpm.errors import InputError
from iotpm.evaluate.metrics.nab import PROFILES, Labelled, curve, probation, record_filter
from iotpm.evaluate.metrics.points import Counts, Sweep
from iotpm.evaluate.metrics.vus import period, vus_pr

Floats = NDArray[np.float64]


def alarms(rows: int, *at: int) -> Floats:
    scores = np.zeros(rows)
    scores[list(at)] = 1.0
    return scores


def sigma(position: float) -> float:
    return 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


# Points


def test_counts_of_a_case_by_hand() -> None:
    counts = Counts.of([1, 1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0, 0, 0])

    assert counts == Counts(tp=1, fp=1, tn=4, fn=2)
    assert counts.f1 == pytest.approx(2 / 5)
    assert counts.far == pytest.approx(20.0)
    assert counts.mar == pytest.approx(200 / 3)


def test_counts_add_up_over_files() -> None:
    one, other = Counts.of([1, 0], [1, 1]), Counts.of([0, 1, 0], [0, 0, 1])

    assert one + other == Counts.of([1, 0, 0, 1, 0], [1, 1, 0, 0, 1])


def test_no_alarm_and_no_anomaly_have_rates_of_zero() -> None:
    counts = Counts.of([0, 0], [0, 0])

    assert (counts.f1, counts.far, counts.mar) == (0.0, 0.0, 0.0)


def test_labels_and_alarms_of_different_length_are_refused() -> None:
    with pytest.raises(InputError, match="3 labels and 2 alarms"):
        Counts.of([1, 0, 0], [1, 0])


def test_no_point_is_adjusted() -> None:
    # Point adjustment would count the whole anomaly as found and give F1 = 1.
    assert Counts.of([0, 1, 1, 1, 1], [0, 0, 0, 0, 1]).f1 == pytest.approx(0.4)


scored = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=30)


@given(scored)
def test_the_best_f1_is_the_best_of_all_thresholds(rows: list[tuple[bool, int]]) -> None:
    labels, scores = np.array([r[0] for r in rows]), np.array([float(r[1]) for r in rows])
    brute = max([Counts.of(labels, scores >= t).f1 for t in {*scores, math.inf}])

    best, threshold = Sweep.of(labels, scores).best_f1()

    assert best == pytest.approx(brute)
    assert Counts.of(labels, scores >= threshold).f1 == pytest.approx(best)


@given(scored, st.floats(0, 100))
def test_mar_at_far_is_the_least_that_keeps_the_far(rows: list[tuple[bool, int]], far: float) -> None:
    labels, scores = np.array([r[0] for r in rows]), np.array([float(r[1]) for r in rows])
    all_counts = [Counts.of(labels, scores >= t) for t in {*scores, math.inf}]
    brute = min([c.mar for c in all_counts if c.fp <= far / 100 * (c.fp + c.tn)])

    assert Sweep.of(labels, scores).mar_at_far(far) == pytest.approx(brute)


def test_average_precision_by_hand() -> None:
    # Ranked: hit, false, hit: precision 1 at recall 1/2, 2/3 at recall 1.
    assert Sweep.of([1, 0, 1], [3.0, 2.0, 1.0]).average_precision() == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


# NAB


@pytest.mark.parametrize("profile", PROFILES)
def test_nab_no_alarm_is_0_and_the_first_row_of_each_window_is_100(profile: str) -> None:
    file = Labelled.of(200, [(60, 79), (120, 139)])

    assert curve([(file, np.zeros(200))], PROFILES[profile]).frozen() == 0.0
    assert curve([(file, alarms(200, 60, 120))], PROFILES[profile]).frozen() == pytest.approx(100.0)
    assert curve([(file, alarms(200, 60, 120))], PROFILES[profile]).optimised() == pytest.approx((100.0, 1.0))


def test_nab_an_alarm_in_the_middle_of_a_window_by_hand() -> None:
    # Row 50 of the window 40..59 is at -(59 - 50 + 1) / 20 = -0.5; the first row's value of sigma(-1) counts as 1.
    gain = sigma(-0.5) / sigma(-1.0)
    files = [(Labelled.of(100, [(40, 59)]), alarms(100, 50))]

    assert curve(files, PROFILES["standard"]).frozen() == pytest.approx(100 * (gain + 1) / 2)
    assert curve(files, PROFILES["low_fn"]).frozen() == pytest.approx(100 * (gain + 2) / 3)


def test_nab_false_alarms_by_hand() -> None:
    file = Labelled.of(100, [(40, 59)])
    behind = 0.11 * sigma((70 - 59) / 19)

    assert curve([(file, alarms(100, 20))], PROFILES["standard"]).frozen() == pytest.approx(100 * -0.11 / 2)
    assert curve([(file, alarms(100, 70))], PROFILES["standard"]).frozen() == pytest.approx(100 * behind / 2)
    assert curve([(file, alarms(100, 20))], PROFILES["low_fp"]).frozen() == pytest.approx(100 * -0.22 / 2)
    assert curve([(file, alarms(100, 20, 70))], PROFILES["low_fn"]).frozen() == pytest.approx(100 * (behind - 0.11) / 3)


def test_nab_three_widths_behind_a_window_a_false_alarm_costs_all() -> None:
    file = Labelled.of(200, [(60, 69)])

    assert file.gain[69 + 27] == -1.0
    assert -1.0 < file.gain[69 + 26] < -0.999


def test_nab_the_earliest_alarm_of_a_window_counts_whatever_its_score() -> None:
    file = Labelled.of(100, [(40, 59)])
    early_and_weak = alarms(100, 45) + 5 * alarms(100, 58)

    assert curve([(file, early_and_weak)], PROFILES["standard"]).frozen() == pytest.approx(
        curve([(file, alarms(100, 45))], PROFILES["standard"]).frozen()
    )


def test_nab_nothing_counts_in_the_first_15_per_cent() -> None:
    assert (probation(100), probation(4032), probation(15_831)) == (15, 604, 750)
    file = Labelled.of(100, [(40, 59)])
    assert curve([(file, alarms(100, 14))], PROFILES["standard"]).frozen() == 0.0
    assert curve([(file, alarms(100, 15))], PROFILES["standard"]).frozen() < 0.0


def test_nab_one_threshold_serves_all_files() -> None:
    # The second file's window is found only below its false alarm, the first file's at its own height.
    one = (Labelled.of(100, [(40, 59)]), 3 * alarms(100, 40))
    other = (Labelled.of(100, [(40, 59)]), 2 * alarms(100, 30) + alarms(100, 40))
    standard = curve([one, other], PROFILES["standard"])

    assert standard.thresholds.tolist() == [math.inf, 3.0, 2.0, 1.0, 0.0]
    assert standard.scores[:4] == pytest.approx([0.0, 50.0, 100 * (2 - 0.11) / 4, 100 * (4 - 0.11) / 4])


def test_nab_without_a_window_is_undefined() -> None:
    with pytest.raises(InputError, match="no labelled window"):
        curve([(Labelled.of(100, []), np.zeros(100))], PROFILES["standard"])


def plain_nab(files: list[tuple[int, list[tuple[int, int]], Floats]], threshold: float, fp: float, fn: float) -> float:
    """The score at one threshold, alarm by alarm, from its publication."""
    total, windows = 0.0, 0
    for rows, limits, scores in files:
        said = [i for i in range(probation(rows), rows) if scores[i] >= threshold]
        for first, last in limits:
            windows += 1
            inside = [i for i in said if first <= i <= last]
            width = last - first + 1
            total += sigma(-(last - inside[0] + 1) / width) / sigma(-1.0) if inside else -fn
        for i in said:
            if any(first <= i <= last for first, last in limits):
                continue
            before = [(first, last) for first, last in limits if last < i]
            away = (i - before[-1][1]) / (before[-1][1] - before[-1][0]) if before else 3.0
            total += fp * (-1.0 if away >= 3 else sigma(away))
    return 100 * (total + fn * windows) / (windows + fn * windows)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("profile", PROFILES)
def test_nab_curve_is_the_plain_score_at_every_threshold(profile: str, seed: int) -> None:
    rng, files = np.random.default_rng(seed), []
    for _ in range(3):
        rows = int(rng.integers(150, 300))
        first = int(rng.integers(50, 70))
        limits = [(first, first + 11), (first + 30, first + 47)][: int(rng.integers(1, 3))]
        files.append((rows, limits, np.round(rng.exponential(0.4, rows), 1)))
    weights = PROFILES[profile]
    found = curve([(Labelled.of(rows, limits), scores) for rows, limits, scores in files], weights)

    plain = [plain_nab(files, threshold, weights.fp, weights.fn) for threshold in found.thresholds]

    assert found.scores == pytest.approx(plain)
    assert found.frozen() == pytest.approx(plain_nab(files, 1.0, weights.fp, weights.fn))


def test_the_record_filter_tells_an_event_once() -> None:
    scores = np.array([0.0, 2.0, 2.0, 1.5, 3.0, 2.5, 0.0, 2.6])

    assert record_filter(scores, recent=3).tolist() == [0.0, 2.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0]
    assert record_filter(scores, recent=2).tolist() == [0.0, 2.0, 0.0, 0.0, 3.0, 0.0, 0.0, 2.6]


# VUS-PR


def plain_vus_pr(labels: NDArray[np.int64], scores: Floats, window: int) -> float:
    """The publication's definition, one buffer and one threshold after the other."""
    rows = len(labels)
    ranked = sorted(scores, reverse=True)
    thresholds = [ranked[int(i)] for i in np.linspace(0, rows - 1, 250)]
    return float(np.mean([plain_area(labels, scores, thresholds, width) for width in range(window + 1)]))


def plain_area(labels: NDArray[np.int64], scores: Floats, thresholds: list[float], width: int) -> float:
    rows, reach, soft = len(labels), width // 2, labels.astype(float)
    spans = [[i, i] for i in range(rows) if labels[i]]
    runs: list[list[int]] = []
    for first, last in spans:
        if runs and runs[-1][1] == first - 1:
            runs[-1][1] = last
        else:
            runs.append([first, last])
    for first, last in runs:
        for d in range(1, reach + 1):
            for i in (first - d, last + d):
                if 0 <= i < rows:
                    soft[i] += math.sqrt(1 - d / width)
    soft = np.minimum(soft, 1.0)
    buffered: list[list[int]] = []
    for first, last in runs:
        if buffered and buffered[-1][1] >= first - reach:
            buffered[-1][1] = last + reach
        else:
            buffered.append([first - reach, last + reach])
    area, recall_before = 0.0, 0.0
    for threshold in thresholds:
        said = scores >= threshold
        hits = float((soft * said).sum())
        mass = (labels.sum() + np.where(labels == 1, 1.0, soft * said).sum()) / 2
        found = np.mean([said[max(0, a) : b + 1].any() for a, b in buffered])
        recall = min(hits / mass, 1.0) * found
        area += (recall - recall_before) * hits / said.sum()
        recall_before = recall
    return area


@pytest.mark.parametrize("seed", range(8))
def test_vus_pr_is_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(260, 400))
    labels = np.zeros(rows, dtype=np.int64)
    for first in rng.integers(0, rows, int(rng.integers(1, 7))):
        labels[first : first + int(rng.integers(1, 25))] = 1
    labels[:5] |= seed % 4 == 0
    labels[-4:] |= seed % 5 == 0
    scores = rng.normal(size=rows) + labels * rng.random()
    if seed % 3 == 0:
        scores = np.floor(scores)

    window = int(rng.integers(0, 22))

    assert vus_pr(labels, scores, window) == pytest.approx(plain_vus_pr(labels, scores, window), abs=1e-12)


def test_vus_pr_of_a_case_by_hand() -> None:
    # No buffer; ranked hit, false, hit. The first hit has half of the rows and half of the anomalies: recall 1/4.
    assert vus_pr([1, 0, 1], np.array([3.0, 2.0, 1.0]), 0) == pytest.approx(1 / 4 + 3 / 4 * 2 / 3)


def test_vus_pr_of_the_labels_themselves_is_1_without_a_buffer() -> None:
    labels = np.repeat([0, 1, 0], [300, 30, 300])

    assert vus_pr(labels, labels.astype(float), 0) == pytest.approx(1.0)


def test_vus_pr_forgives_an_alarm_just_beside_an_anomaly() -> None:
    labels = np.repeat([0, 1, 0], [300, 30, 300])
    near, far = np.roll(labels, 20).astype(float), np.roll(labels, 200).astype(float)

    assert vus_pr(labels, near, 40) > 2 * vus_pr(labels, far, 40)


def test_vus_pr_without_an_anomaly_or_with_gaps_is_refused() -> None:
    with pytest.raises(InputError, match="no row is labelled"):
        vus_pr(np.zeros(10), np.ones(10), 3)
    with pytest.raises(InputError, match="not finite"):
        vus_pr(np.ones(10), np.full(10, np.nan), 3)
    with pytest.raises(InputError, match="10 labels and 9 scores"):
        vus_pr(np.ones(10), np.ones(9), 3)


def test_the_period_of_a_sine_is_found() -> None:
    assert period(np.sin(np.arange(3000) * 2 * np.pi / 48)) == 48


@pytest.mark.parametrize("series", [np.ones(1000), np.arange(1000.0), np.ones(3), np.sin(np.arange(4000) / 60)])
def test_a_series_without_a_period_in_reach_counts_as_125(series: Floats) -> None:
    assert period(series) == 125
