"""The hit rule, by cases worked out by hand and by its own laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotpm.simulate import Alarm, Fault, FaultKind, HitRule, judge, random_control, score_run

S = 1_000_000
RULE = HitRule(slack_us=60 * S, idle_timeout_us=110 * S)
SHIFT = Fault("p/a/x", "level_shift", 1000 * S, 1300 * S, 10.0)
BEARING = Fault("p/b/vx", "bearing", 1000 * S, 2000 * S, 15.0, ("p/b/vy", "p/b/t"))
DROPOUT = Fault("p/c/x", "dropout", 1000 * S, 1200 * S)
END = 5000 * S


def at(signal: str, second: float) -> Alarm:
    return Alarm(signal, int(second * S))


@pytest.mark.parametrize(
    ("fault", "alarm", "hit"),
    [
        (SHIFT, at("p/a/x", 999.999999), False),
        (SHIFT, at("p/a/x", 1000), True),
        (SHIFT, at("p/a/x", 1360), True),
        (SHIFT, at("p/a/x", 1360.000001), False),
        (SHIFT, at("p/a/y", 1100), False),
        (SHIFT, at("p/b/x", 1100), False),
        (BEARING, at("p/b/vx", 1500), True),
        (BEARING, at("p/b/t", 1500), True),
        (BEARING, at("p/b/load", 1500), False),
        (DROPOUT, at("p/c/x", 1370), True),
        (DROPOUT, at("p/c/x", 1370.000001), False),
    ],
)
def test_one_alarm_against_one_fault(fault: Fault, alarm: Alarm, hit: bool) -> None:
    verdict = judge([fault], [alarm], END, RULE)
    assert (verdict.recall, verdict.precision) == ((1.0, 1.0) if hit else (0.0, 0.0))
    assert (len(verdict.found), len(verdict.false), verdict.neither) == ((1, 0, 0) if hit else (0, 1, 0))


def test_a_fault_is_found_once_and_what_follows_is_an_echo() -> None:
    alarms = [at("p/a/x", 1010), at("p/a/x", 1310), at("p/a/y", 1020), at("p/a/y", 1005)]
    verdict = judge([SHIFT], alarms, END, RULE)
    assert verdict.found == {SHIFT: alarms[0]}
    assert (verdict.neither, verdict.false) == (3, [])


def test_alarms_beside_a_missed_fault_are_false() -> None:
    alarms = [at("p/a/y", 1020), at("p/a/z", 1030)]
    verdict = judge([SHIFT], alarms, END, RULE)
    assert (verdict.missed, verdict.false) == ([SHIFT], alarms)


def test_a_mixed_run_worked_out_by_hand() -> None:
    alarms = [at("p/a/x", 1010), at("p/c/x", 1400), at("p/d/x", 2000), at("p/b/vy", 1900), at("p/b/vx", 1950)]
    verdict = judge([SHIFT, BEARING, DROPOUT], alarms, END, RULE)
    # Found: the shift and the bearing; the dropout's alarm is 30 s too late, the one on asset d is of nothing.
    assert verdict.recall == 2 / 3
    assert verdict.precision == 2 / 4
    assert verdict.neither == 1


def test_a_fault_without_time_left_is_not_counted_and_its_alarms_are_neither() -> None:
    last_end = RULE.last_us(SHIFT)
    assert judge([SHIFT], [], last_end, RULE).counted == [SHIFT]
    verdict = judge([SHIFT], [at("p/a/x", 1100)], last_end - 1, RULE)
    assert (verdict.counted, verdict.not_counted) == ([], [SHIFT])
    assert (verdict.recall, verdict.precision, verdict.neither) == (None, None, 1)


def test_alarms_of_the_pre_roll_do_not_count() -> None:
    score = score_run([SHIFT], [at("p/a/x", 10), at("p/a/x", 1100)], ["p/a/x"], 500 * S, END, RULE)
    assert (score.alarms, score.verdict.precision) == (1, 1.0)
    assert score.by_kind() == {"level_shift": (1, 1)}


SIGNALS = [f"p/{asset}/{signal}" for asset in "ab" for signal in "xyz"]
alarms = st.lists(
    st.builds(Alarm, st.sampled_from(SIGNALS), st.integers(0, 6000).map(lambda t: t * S)), max_size=40, unique=True
)


KINDS: list[FaultKind] = ["spike", "drift", "dropout"]


@st.composite
def schedules(draw: st.DrawFn) -> list[Fault]:
    """Faults that do not overlap on one asset, slack and idle timeout included."""
    faults = []
    for asset in "ab":
        at_s = 0
        for gap, length in draw(st.lists(st.tuples(st.integers(200, 900), st.integers(1, 600)), max_size=4)):
            kind = draw(st.sampled_from(KINDS))
            signal = f"p/{asset}/{draw(st.sampled_from('xyz'))}"
            faults.append(Fault(signal, kind, (at_s + gap) * S, (at_s + gap + length) * S, 9.0))
            at_s += gap + length
    return faults


@given(schedules(), alarms)
def test_every_fault_and_alarm_has_one_fate(faults: list[Fault], raised: list[Alarm]) -> None:
    verdict = judge(faults, raised, END, RULE)
    assert len(verdict.counted) + len(verdict.not_counted) == len(faults)
    assert len(verdict.found) + len(verdict.missed) == len(verdict.counted)
    assert len(verdict.found) + len(verdict.false) + verdict.neither == len(raised)
    for fault, alarm in verdict.found.items():
        assert alarm.signal in fault.signals
        assert fault.start_us <= alarm.time_us <= RULE.last_us(fault)


@given(schedules(), alarms, st.randoms())
def test_the_order_of_faults_and_alarms_does_not_matter(faults: list[Fault], raised: list[Alarm], rng: object) -> None:
    shuffled, other = list(faults), list(raised)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    rng.shuffle(other)  # type: ignore[attr-defined]
    one, two = judge(faults, raised, END, RULE), judge(shuffled, other, END, RULE)
    assert (one.found, one.false, one.neither) == (two.found, two.false, two.neither)


@given(schedules(), alarms)
def test_more_alarms_never_find_less(faults: list[Fault], raised: list[Alarm]) -> None:
    half = raised[: len(raised) // 2]
    assert set(judge(faults, half, END, RULE).found) <= set(judge(faults, raised, END, RULE).found)


def test_the_control_is_the_share_of_signal_and_time_that_faults_cover() -> None:
    # One signal, one fault whose interval covers 360 of 3600 s: one random alarm hits it with probability 0.1.
    fault = Fault("p/a/x", "drift", 1000 * S, 1300 * S, 9.0)
    recall, precision = random_control([fault], ["p/a/x"], 1, 0, 3600 * S, RULE, seed=3, draws=4000)
    assert recall == pytest.approx(0.1, abs=0.02)
    assert precision == pytest.approx(0.1, abs=0.02)
    assert random_control([fault], SIGNALS, 50, 0, END, RULE, 3) == random_control(
        [fault], SIGNALS, 50, 0, END, RULE, 3
    )


def test_default_times_follow_the_sampling_interval() -> None:
    assert HitRule.for_interval(10.0) == HitRule(120 * S, 110 * S)
    assert HitRule.for_interval(1.0) == HitRule(60 * S, 31 * S)
