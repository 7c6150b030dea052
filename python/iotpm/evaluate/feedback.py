"""What operators' labels are worth: a simulated plant with recurring nuisances and faults, and twenty labels.

Some signals have a nuisance that comes back every few hours, a little greater or smaller, longer or shorter each time:
a flush, a door, a neighbour's start. Faults of every kind happen on all assets, the ones with nuisances too. The plant
runs three times through the embedded engine:

1. without labels;
2. with an operator, who looks in every half hour and labels what has ended since, in order, until the labels are used
   up: `true` (three in ten) where it hit a fault, `false` where nothing was wrong; each acts from its own message on;
3. as a replay, with those labels in force from the beginning.

*Repeats* are the false anomalies of a signal, detector and side that one of the false labels names, the labelled ones
themselves left out. The control mutes as many anomalies of the first run, drawn at random.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from iotpm.evaluate.report import Cell, Options, Report, Table

LAYOUT = "  nothing: the data are simulated"

ASSETS_MAX, WEEKS_MAX, SEED, INTERVAL_S = 20, 2.0, 20_261, 10.0
LABELS, NUISANCES, TRUE_SHARE = 20, 5, 0.3
LEARNING_S, LOOK_S = 1.1 * 86_400.0, 1_800.0
"""Signals and assets are learned before anything happens; an operator looks in this often."""
NUISANCE_EVERY_S: Final = (6.0 * 3600.0, 10.0 * 3600.0)
NUISANCE_LASTS_S: Final = (120.0, 900.0)
NUISANCE_SIZE: Final = (6.0, 14.0)
"""In units of the signal's short-term scatter, as faults are."""
NUISANCE_VARIES: Final = 0.1
"""Standard deviation of one event's size and length, as a share of its source's."""
FAULTS_PER_ASSET_HOUR = 0.05
WEEK_S = 604_800.0
DRAWS = 100
"""Of the control."""

FIGURES: Final = ("false", "repeats", "faults_found", "labelled_faults_told", "muted")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """A plant and what happens to it."""

    assets: int
    weeks: float
    seed: int = SEED
    labels: int = LABELS
    interval_s: float = INTERVAL_S


@dataclass(frozen=True, slots=True)
class Run:
    """What one run told: latest rows of its anomalies, each with `began` (when it was told) and `verdict`."""

    anomalies: list[Row]
    found: frozenset[Any]
    """Faults found."""
    counted: int
    muted: int

    def false(self) -> list[Row]:
        """The anomalies at which nothing was wrong."""
        return [row for row in self.anomalies if row["verdict"] == "false"]


def run(_directory: Path, options: Options) -> Report:
    """Three runs; `options.assets` and `options.weeks` up to 20 and 2."""
    trial = Trial(min(options.assets, ASSETS_MAX), min(options.weeks, WEEKS_MAX))
    return report(trial, *trial_runs(trial, options.progress))


def trial_runs(
    trial: Trial, progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None
) -> tuple[Run, Run, Run, list[Row]]:
    """The runs without labels, with the operator and as a replay, and what was labelled."""
    said: list[Row] = []
    progress("runs", 0, 3)
    without = simulate(trial)
    progress("runs", 1, 3)
    live = simulate(trial, operator=Operator(trial.labels, said))
    progress("runs", 2, 3)
    replayed = simulate(trial, labels=[row["message"] for row in said])
    progress("runs", 3, 3)
    return without, live, replayed, said


class Operator:
    """Labels what has ended, in the order in which it was told, until there are no labels left."""

    def __init__(self, labels: int, said: list[Row]) -> None:
        faults = round(labels * TRUE_SHARE)
        self._left, self._said = {"true": faults, "false": labels - faults}, said
        self._seen: set[str] = set()

    def look(self, rows: Iterable[Row]) -> list[bytes]:
        """The messages of this look; `rows` are judged."""
        from iotpm.feedback import message

        out = []
        for row in sorted(rows, key=lambda row: (row["began"], row["id"])):
            if row["id"] in self._seen or row["end"] is None or row["kind"] == "gap" or row["verdict"] == "neither":
                continue
            self._seen.add(row["id"])
            if self._left[row["verdict"]]:
                self._left[row["verdict"]] -= 1
                told = {
                    **message(row, row["verdict"], author="operator"),
                    "id": f"label-{len(self._said)}",
                    "said_us": row["time"],
                }
                self._said.append({**row, "message": json.dumps(told).encode()})
                out.append(self._said[-1]["message"])
        return out


def simulate(trial: Trial, *, labels: Iterable[bytes] = (), operator: Operator | None = None) -> Run:
    """One run through an engine of its own."""
    from iotpm.engine import Engine
    from iotpm.simulate.plant import Plant
    from iotpm.simulate.score import HitRule

    plant = Plant(trial.assets, interval_s=trial.interval_s, seed=trial.seed)
    faults = _happenings(plant, trial)
    engine, rule, watch = Engine(plant.templates()), HitRule.for_interval(trial.interval_s), _Watch()
    for one in labels:
        watch.take(engine.control("feedback", one))
    intervals, look = round(trial.weeks * WEEK_S / trial.interval_s), round(LOOK_S / trial.interval_s)
    learnt_us = plant.start_us + int(LEARNING_S * 1e6)
    for _ in range(0, intervals, look):
        for output in _pushed(plant, engine, look):
            watch.take(output)
        if operator is not None:
            for one in operator.look(_judged(watch.later(learnt_us), faults, rule)):
                watch.take(engine.control("feedback", one))
    end_us = plant.start_us + int(trial.weeks * WEEK_S * 1e6)
    return _run_of(_judged(watch.later(learnt_us), faults, rule), faults, rule, end_us, engine.counters()["muted"])


def _pushed(plant: Any, engine: Any, intervals: int) -> Iterable[Any]:
    """What the next intervals of the plant cause, readings in the order of their times, and a tick behind them."""
    numbers = np.array([engine.signal_id(name) for name in plant.names], dtype=np.uint32)
    ticks = [plant.step() for _ in range(intervals)]
    values = np.concatenate([tick.values.ravel() for tick in ticks])
    times = np.concatenate([np.repeat(tick.times_us, plant.signals_per_asset) for tick in ticks])
    present = np.concatenate([tick.present.ravel() for tick in ticks])
    order = np.argsort(times, kind="stable")
    order = order[present[order]]
    yield engine.push(np.tile(numbers, len(ticks))[order], times[order], values[order], times[order])
    yield engine.tick(ticks[-1].end_us)


def _happenings(plant: Any, trial: Trial) -> list[Any]:
    """Injects nuisances and faults; the faults."""
    from iotpm.simulate.faults import FaultSchedule

    learnt_us = plant.start_us + int(LEARNING_S * 1e6)
    end_us = plant.start_us + int(trial.weeks * WEEK_S * 1e6)
    faults = FaultSchedule(trial.seed, FAULTS_PER_ASSET_HOUR).faults(plant, learnt_us, end_us)
    plant.inject([*faults, *_nuisances(plant, learnt_us, end_us, trial.seed)])
    return faults


def _nuisances(plant: Any, from_us: int, to_us: int, seed: int) -> list[Any]:
    from iotpm.simulate.faults import Fault

    rng = np.random.default_rng([seed, 1])
    found = []
    for at in rng.choice(len(plant.names), min(NUISANCES, len(plant.names)), replace=False):
        name, every_s = plant.names[int(at)], rng.uniform(*NUISANCE_EVERY_S)
        size = plant.fitting_direction(name, rng.uniform(*NUISANCE_SIZE))
        lasts_s, when_us = rng.uniform(*NUISANCE_LASTS_S), float(from_us)
        while (when_us := when_us + every_s * 1e6 * rng.uniform(0.7, 1.3)) < to_us - 3.6e9:
            factors = np.clip(1.0 + NUISANCE_VARIES * rng.standard_normal(2), 0.5, 1.5)
            begin_us = int(when_us)
            end_us = begin_us + int(lasts_s * factors[0] * 1e6)
            found.append(Fault(name, "level_shift", begin_us, end_us, float(size * factors[1])))
    return found


class _Watch:
    """The latest revision of every anomaly of an engine."""

    def __init__(self) -> None:
        self._latest: dict[str, Row] = {}

    def take(self, output: Any) -> None:
        import duckdb

        if not len(output.anomalies):
            return
        with duckdb.connect() as connection:
            found = connection.register("told", output.anomalies).execute(
                """SELECT id, name, detector, kind, direction, peak_score, revision, epoch_us("start") AS start,
                          epoch_us("end") AS "end", epoch_us(time) AS time
                   FROM told ORDER BY seq, position, id, revision"""
            )
            names = [str(item[0]) for item in found.description or ()]
            for values in found.fetchall():
                row = dict(zip(names, values, strict=True))
                row["began"] = self._latest[row["id"]]["began"] if row["id"] in self._latest else row["time"]
                self._latest[row["id"]] = row

    def later(self, than_us: int) -> list[Row]:
        return [row for row in self._latest.values() if row["began"] >= than_us]


def _judged(rows: list[Row], faults: list[Any], rule: Any) -> list[Row]:
    """With `verdict`: true where an anomaly hits a fault, neither where it only touches one, else false."""
    by_asset: dict[str, list[Any]] = {}
    for fault in faults:
        by_asset.setdefault(fault.asset, []).append(fault)

    def verdict(row: Row) -> str:
        asset = row["name"].rpartition("/")[0]
        near = [f for f in by_asset.get(asset, ()) if f.start_us <= row["began"] <= rule.last_us(f)]
        return "true" if any(row["name"] in f.signals for f in near) else "neither" if near else "false"

    return [{**row, "verdict": verdict(row)} for row in rows]


def _run_of(rows: list[Row], faults: list[Any], rule: Any, end_us: int, muted: int) -> Run:
    from iotpm.simulate.score import Alarm, judge

    verdict = judge(faults, [Alarm(row["name"], row["began"]) for row in rows], end_us, rule)
    return Run(rows, frozenset(verdict.found), len(verdict.counted), muted)


def report(trial: Trial, without: Run, live: Run, replayed: Run, said: list[Row]) -> Report:
    """Figures of the runs, side by side."""
    labelled = _Labelled(said)
    last_us = max((row["time"] for row in said), default=0)
    whole = {"without": labelled.figures(without), "replayed": labelled.figures(replayed)}
    whole["control"] = labelled.control(without, replayed.muted, trial.seed)
    onward = {"without": labelled.figures(without, last_us), "live": labelled.figures(live, last_us)}
    found = {
        "labels": len(said),
        "labels_false": len(labelled.false_ones),
        "labels_true": len(labelled.faults),
        "faults": without.counted,
        "repeats_cut": _cut(whole, "replayed", "repeats"),
        "false_cut": _cut(whole, "replayed", "false"),
        "onward_repeats_cut": _cut(onward, "live", "repeats"),
        "labelled_faults_missed": len(labelled.faults) - whole["replayed"]["labelled_faults_told"],
        "faults_lost": len(without.found - replayed.found),
    }
    control = {**whole["control"], "repeats_cut": _cut(whole, "control", "repeats")}
    title = f"Operators' labels, {trial.assets} simulated assets, {trial.weeks:g} weeks, {len(said)} labels"
    rest = {"runs": whole, "onward": onward, "controls": {"muted_at_random": control}}
    return Report(title, _tables(whole, onward, found, control["repeats_cut"]), {**found, **rest})


class _Labelled:
    """What was labelled, and how a run did by it."""

    def __init__(self, said: list[Row]) -> None:
        self.false_ones = {row["id"] for row in said if row["verdict"] == "false"}
        self.faults = {row["id"] for row in said if row["verdict"] == "true"}
        self._about = {_looks(row) for row in said if row["verdict"] == "false"}

    def figures(self, one: Run, since_us: int = 0) -> dict[str, Any]:
        rows = [row for row in one.false() if row["began"] >= since_us]
        return {
            "false": len(rows),
            "repeats": sum(self._repeats(row) for row in rows),
            "faults_found": len(one.found),
            "labelled_faults_told": len(self.faults & {row["id"] for row in one.anomalies}),
            "muted": one.muted,
        }

    def _repeats(self, row: Row) -> bool:
        return _looks(row) in self._about and row["id"] not in self.false_ones

    def control(self, without: Run, muted: int, seed: int) -> dict[str, Any]:
        """Means over draws of as many muted anomalies; a fault may still be found by a later alarm."""
        rng, rows, draws = np.random.default_rng([seed, 2]), without.anomalies, []
        for _ in range(DRAWS):
            gone = set(rng.choice(len(rows), min(muted, len(rows)), replace=False).tolist())
            left = [row for at, row in enumerate(rows) if at not in gone]
            draws.append(self.figures(Run(left, without.found, without.counted, len(gone))))
        means = {key: float(np.mean([draw[key] for draw in draws])) for key in draws[0]}
        return {**means, "faults_found": None}


def _looks(row: Row) -> tuple[str, str, int]:
    return row["name"], row["detector"], row["direction"]


def _cut(runs: dict[str, Any], run: str, what: str) -> float | None:
    before = runs["without"][what]
    return (before - runs[run][what]) / before if before else None


def _tables(
    whole: dict[str, Any], onward: dict[str, Any], found: dict[str, Any], control_cut: float | None
) -> list[Table]:
    names = {
        "without": "no labels",
        "replayed": "replayed with the labels",
        "control": "control: as many muted at random",
        "live": "with the operator",
    }
    columns = ("run", "false anomalies", "repeats", "faults found", "labelled faults told", "muted")

    def rows(of: dict[str, Any]) -> list[tuple[Cell, ...]]:
        return [(names[key], *(figures[one] for one in FIGURES)) for key, figures in of.items()]

    lines: list[tuple[Cell, ...]] = [
        ("labels: false, true", f"{found['labels_false']}, {found['labels_true']}"),
        ("repeats cut on replay, share", found["repeats_cut"]),
        ("  the same of the control", control_cut),
        ("false anomalies cut on replay, share", found["false_cut"]),
        ("repeats cut after the last label, share", found["onward_repeats_cut"]),
        ("labelled faults missed on replay", found["labelled_faults_missed"]),
        ("faults found without labels and not with them", found["faults_lost"]),
        ("faults", found["faults"]),
    ]
    return [
        Table("Labels", ("figure", "value"), lines),
        Table(
            "The whole run but the time of learning", columns, rows(whole), "Repeats are of what a false label names."
        ),
        Table("After the last label", columns, rows(onward), "Faults and muted ones are counted over the whole run."),
    ]
