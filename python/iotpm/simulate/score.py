"""The hit rule: which injected faults were found, and which alarms were false.

1. An alarm is the `begin` revision of an anomaly: its signal, and the event time at which it was decided.
2. The interval of a fault is [start, end + slack], the slack being `slack_us`; for a dropout, of which nobody can
   know before the idle timeout has passed, it is `slack_us + idle_timeout_us`.
3. An alarm *touches* a fault if it is on the fault's asset and in its interval; it *hits* it if it is also on one of
   the signals that show the fault. A fault is found once: its first hit is a true alarm.
4. Every other alarm that touches a fault which was hit is an echo of it: neither true nor false.
5. An alarm that only touches faults which cannot be counted (6) is neither as well. Every other alarm is false.
6. A fault is counted if its whole interval lies before the end of the run; the others had too little time.
7. recall = found / counted, precision = true / (true + false); nothing counted or raised gives None.

The control raises as many alarms as there were (true + false + echoes), at signals and times drawn uniformly, and
goes through the same rule; its figures are means over `draws` repetitions with fixed seeds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..subjects import asset_of_signal
from .faults import FAULT_KINDS, Fault


@dataclass(frozen=True, slots=True)
class Alarm:
    """The begin of one anomaly."""

    signal: str
    time_us: int
    kind: str = ""
    detector: str = ""


@dataclass(frozen=True, slots=True)
class HitRule:
    """The rule's two times."""

    slack_us: int
    idle_timeout_us: int

    @classmethod
    def for_interval(cls, interval_s: float) -> HitRule:
        """Slack of the larger of 60 s and 12 sampling intervals; idle timeout as the engine's default and one tick."""
        idle_s = max(30.0, 10.0 * interval_s) + max(1.0, interval_s)
        return cls(int(max(60.0, 12.0 * interval_s) * 1e6), int(idle_s * 1e6))

    def last_us(self, fault: Fault) -> int:
        """Last time at which an alarm touches the fault."""
        return fault.end_us + self.slack_us + (self.idle_timeout_us if fault.kind == "dropout" else 0)


@dataclass(slots=True)
class Verdict:
    """What became of every fault and alarm."""

    counted: list[Fault] = field(default_factory=list)
    not_counted: list[Fault] = field(default_factory=list)
    found: dict[Fault, Alarm] = field(default_factory=dict)
    false: list[Alarm] = field(default_factory=list)
    neither: int = 0
    """Echoes of faults found, and alarms within faults that had too little time."""

    @property
    def missed(self) -> list[Fault]:
        """Faults counted and not found."""
        return [fault for fault in self.counted if fault not in self.found]

    @property
    def recall(self) -> float | None:
        """Found / counted."""
        return len(self.found) / len(self.counted) if self.counted else None

    @property
    def precision(self) -> float | None:
        """True / (true + false)."""
        raised = len(self.found) + len(self.false)
        return len(self.found) / raised if raised else None


def judge(faults: Iterable[Fault], alarms: Iterable[Alarm], end_us: int, rule: HitRule) -> Verdict:
    """Applies the rule; the order of `faults` and `alarms` does not matter."""
    faults, ordered = list(faults), sorted(alarms, key=lambda a: (a.time_us, a.signal, a.detector, a.kind))
    verdict = Verdict(counted=[f for f in faults if rule.last_us(f) <= end_us])
    verdict.not_counted = [f for f in faults if rule.last_us(f) > end_us]
    index = _Index(faults, rule)
    touched = [(alarm, index.touched(alarm)) for alarm in ordered]
    excused = set(verdict.not_counted)
    for alarm, near in touched:
        for fault in near:
            if fault not in excused and alarm.signal in fault.signals:
                verdict.found.setdefault(fault, alarm)
    true = {id(alarm) for alarm in verdict.found.values()}
    for alarm, near in touched:
        if id(alarm) in true:
            continue
        if any(fault in excused or fault in verdict.found for fault in near):
            verdict.neither += 1
        else:
            verdict.false.append(alarm)
    return verdict


class _Index:
    """Faults by asset and start, to find those that an alarm touches."""

    def __init__(self, faults: Sequence[Fault], rule: HitRule) -> None:
        self._rule = rule
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        for fault in sorted(faults, key=lambda f: f.start_us):
            self._faults[fault.asset].append(fault)
        self._starts = {asset: [f.start_us for f in list_] for asset, list_ in self._faults.items()}

    def touched(self, alarm: Alarm) -> list[Fault]:
        asset = asset_of_signal(alarm.signal)
        begun = bisect_right(self._starts.get(asset, []), alarm.time_us)
        return [f for f in self._faults.get(asset, [])[:begun] if alarm.time_us <= self._rule.last_us(f)]


def random_control(
    faults: Sequence[Fault],
    signals: Sequence[str],
    alarms: int,
    start_us: int,
    end_us: int,
    rule: HitRule,
    seed: int,
    draws: int = 20,
) -> tuple[float | None, float | None]:
    """Mean recall and precision of `alarms` alarms at random signals and times in [start_us, end_us)."""
    verdicts = []
    for draw in range(draws):
        rng = np.random.Generator(np.random.PCG64([seed, draw]))
        where, when = (
            rng.integers(len(signals), size=alarms),
            rng.integers(start_us, max(end_us, start_us + 1), size=alarms),
        )
        drawn = [Alarm(signals[i], t) for i, t in zip(where.tolist(), when.tolist(), strict=True)]
        verdicts.append(judge(faults, drawn, end_us, rule))
    return _mean([v.recall for v in verdicts]), _mean([v.precision for v in verdicts])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


@dataclass(frozen=True, slots=True)
class Score:
    """A run's verdict beside its control."""

    verdict: Verdict
    alarms: int
    random_recall: float | None
    random_precision: float | None
    asset_hours: float
    """Assets times length of run; unlike precision, false alarms over these do not hang on the rate of faults."""

    @property
    def false_per_asset_hour(self) -> float | None:
        """False alarms per asset and hour; None for an empty run."""
        return len(self.verdict.false) / self.asset_hours if self.asset_hours else None

    def by_kind(self) -> dict[str, tuple[int, int]]:
        """(found, counted) for each kind of fault that was counted."""
        found, counted = Counter(f.kind for f in self.verdict.found), Counter(f.kind for f in self.verdict.counted)
        return {kind: (found[kind], counted[kind]) for kind in FAULT_KINDS if counted[kind]}

    def false_by_kind(self) -> dict[str, int]:
        """False alarms by `detector/kind` of the anomaly, most frequent first."""
        return dict(Counter(f"{a.detector}/{a.kind}" for a in self.verdict.false).most_common())

    def false_by_signal(self) -> dict[str, int]:
        """False alarms by the last part of the signal's name, most frequent first."""
        return dict(Counter(a.signal.rsplit("/", 1)[1] for a in self.verdict.false).most_common())

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; rates rounded to 4 digits."""
        v = self.verdict
        return {
            "injected": len(v.counted) + len(v.not_counted),
            "counted": len(v.counted),
            "found": len(v.found),
            "missed": len(v.missed),
            "alarms": self.alarms,
            "false": len(v.false),
            "neither": v.neither,
            "recall": _rounded(v.recall),
            "precision": _rounded(v.precision),
            "random_recall": _rounded(self.random_recall),
            "random_precision": _rounded(self.random_precision),
            "false_per_asset_hour": _rounded(self.false_per_asset_hour),
            "by_kind": {kind: {"found": f, "counted": n} for kind, (f, n) in self.by_kind().items()},
            "false_by_kind": self.false_by_kind(),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def score_run(
    faults: Sequence[Fault],
    alarms: Sequence[Alarm],
    signals: Sequence[str],
    start_us: int,
    end_us: int,
    rule: HitRule,
    seed: int = 0,
) -> Score:
    """Judges the alarms from `start_us` (the end of the pre-roll) on, beside the control of as many random ones."""
    judged = [alarm for alarm in alarms if alarm.time_us >= start_us]
    recall, precision = random_control(faults, signals, len(judged), start_us, end_us, rule, seed)
    asset_hours = len({asset_of_signal(signal) for signal in signals}) * max(0, end_us - start_us) / 3.6e9
    return Score(judge(faults, judged, end_us, rule), len(judged), recall, precision, asset_hours)
