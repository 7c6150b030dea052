"""What counts as false alarm, hit and lead time, and which anomalies of two configurations are the same: by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from iotpm.backtest import Label, Raised, Ran, Span, compare, judge, read_labels
from iotpm.backtest.judge import WEEK_US, rate
from iotpm.backtest.run import Seen
from iotpm.errors import SourceError

HOUR_US = 3_600_000_000


def anomaly(name: str, hours: float, lasts: float = 1.0, detector: str = "modified_z") -> Raised:
    start_us, end_us = round(hours * HOUR_US), round((hours + lasts) * HOUR_US)
    told = (f"{name}@{hours}", name, detector, "spike", "low", "mature")
    return Raised(*told, raised_us=start_us, start_us=start_us, end_us=end_us, last_us=end_us, peak_score=2.0)


def label(pattern: str, start: float, end: float) -> Label:
    return Label(pattern, round(start * HOUR_US), round(end * HOUR_US))


def ran(*anomalies: Raised, weeks: int = 1, assets: tuple[str, ...] = ("s/a", "s/b")) -> Ran:
    seen = {asset: Seen(1000, 0, weeks * WEEK_US) for asset in assets}
    return Ran([sorted(anomalies, key=lambda one: one.raised_us)], seen)


def test_without_labels_every_anomaly_is_a_false_alarm() -> None:
    verdict = judge(ran(anomaly("s/a/t", 1), anomaly("s/a/t", 5), anomaly("s/b/t", 9)), 0, Span())
    assert (len(verdict.false), verdict.asset_weeks, verdict.rate.per_asset_week) == (3, 2.0, 1.5)
    assert verdict.hits == []


def test_labelled_time_of_an_asset_counts_neither_alarms_nor_weeks() -> None:
    fault = label("s/a/t", 10, 94)
    told = ran(anomaly("s/a/t", 20), anomaly("s/a/other", 30), anomaly("s/b/t", 20))
    verdict = judge(told, 0, Span(), [fault])
    assert [one.name for one in verdict.false] == ["s/b/t"]
    assert verdict.asset_weeks == pytest.approx(2.0 - 84 / 168)


def test_a_hit_is_the_first_anomaly_of_the_labelled_signal_within_the_fault() -> None:
    told = ran(anomaly("s/a/other", 11), anomaly("s/a/t", 12), anomaly("s/a/t", 15), anomaly("s/b/t", 12))
    (hit,) = judge(told, 0, Span(), [label("s/a/t", 10, 20)]).hits
    assert hit.first is not None
    assert (hit.first.raised_us, hit.lead_us, hit.delay_us) == (12 * HOUR_US, 8 * HOUR_US, 2 * HOUR_US)


def test_a_label_of_an_asset_is_hit_by_any_of_its_signals_and_by_the_asset_itself() -> None:
    whole = label("s/a", 10, 20)
    for name in ("s/a/other", "s/a"):
        assert judge(ran(anomaly(name, 11)), 0, Span(), [whole]).missed == 0
    assert judge(ran(anomaly("s/b/t", 11), anomaly("s/a/t", 9.9)), 0, Span(), [whole]).missed == 1


def test_patterns_cover_names_as_everywhere() -> None:
    assert Label("s/*/t", 0, 1).covers("s/pump.1/t")
    assert not Label("s/pump.1/t", 0, 1).covers("s/pumpx1/t")
    assert Label("s/pump*", 0, 1).is_on("s/pump-7")


def test_faults_that_the_history_does_not_hold_are_neither_hit_nor_missed() -> None:
    unseen = [label("s/c/t", 1, 2), label("s/a/t", 200, 201)]
    assert judge(ran(), 0, Span(), unseen).hits == []
    assert len(judge(ran(), 0, Span(since_us=0, until_us=50 * HOUR_US), [label("s/a/t", 60, 70)]).hits) == 0


def test_only_what_was_raised_within_the_span_counts() -> None:
    span = Span(since_us=84 * HOUR_US, until_us=168 * HOUR_US)
    verdict = judge(ran(anomaly("s/a/t", 83), anomaly("s/a/t", 84), anomaly("s/a/t", 168)), 0, span)
    assert [one.raised_us // HOUR_US for one in verdict.raised] == [84]
    assert verdict.asset_weeks == pytest.approx(1.0)


def test_the_interval_of_a_rate() -> None:
    # Garwood: 0 -> (0, 3.689), 5 -> (1.623, 11.668); the approximation is good to a percent.
    none, five = rate([0, 0], [1.0, 1.0]), rate([5], [1.0])
    assert none.low == 0.0
    assert none.high == pytest.approx(3.689 / 2, rel=1e-3)
    assert five.low == pytest.approx(1.623, rel=0.02)
    assert five.high == pytest.approx(11.668, rel=0.02)
    bunched = rate([40, 0, 0, 0, 0, 0, 0, 0], [1.0] * 8)
    assert bunched.per_asset_week == 5.0
    assert bunched.low == 0.0
    assert bunched.high is not None
    assert bunched.high >= 2 * bunched.per_asset_week
    assert rate([], []).per_asset_week is None


def test_anomalies_are_the_same_where_they_overlap_on_one_signal() -> None:
    old = [anomaly("s/a/t", 1), anomaly("s/a/t", 5), anomaly("s/a/u", 9)]
    new = [anomaly("s/a/t", 1.5, detector="novelty"), anomaly("s/a/t", 8), anomaly("s/b/u", 9)]
    found = compare(old, new)
    assert [(one.start_us, other.detector) for one, other in found.both] == [(HOUR_US, "novelty")]
    assert [one.start_us // HOUR_US for one in found.only_old] == [5, 9]
    assert [one.name for one in found.only_new] == ["s/a/t", "s/b/u"]
    assert sum(row["only_old"] + row["only_new"] + 2 * row["both"] for row in found.rows()) == len(old) + len(new)


def test_each_anomaly_is_paired_once() -> None:
    found = compare([anomaly("s/a/t", 1, lasts=9)], [anomaly("s/a/t", 2), anomaly("s/a/t", 4), anomaly("s/a/t", 6)])
    assert (len(found.both), len(found.only_old), len(found.only_new)) == (1, 0, 2)
    same = compare([anomaly("s/a/t", at) for at in range(0, 50, 5)], [anomaly("s/a/t", at) for at in range(0, 50, 5)])
    assert (len(same.both), same.only_old, same.only_new) == (10, [], [])


def test_labels_are_read_with_their_times_and_refused_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "faults.csv"
    path.write_text("end,what,signal,start\n1970-01-01T02:00:00Z,leak,s/a/t,3600\n")
    assert read_labels(path) == [label("s/a/t", 1, 2)]
    for text, words in (
        ("signal,start\n", "'end'"),
        ("signal,start,end\nt,1,2\n", "line 2: signal 't': must be site/asset/signal"),
        ("signal,start,end\ns/a/t,2,1\n", "line 2: the end 1 lies before"),
        ("signal,start,end\ns/a/t,soon,1\n", "line 2: start 'soon' is no time"),
    ):
        path.write_text(text)
        with pytest.raises(SourceError, match=words):
            read_labels(path)
