"""Faults injected into a simulated plant whose assets have been learned: how many are found, and who is named.

A fault is found by the rule of `iotpm.simulate.score`: an anomaly told as one of its signals begins while it lasts or
shortly after. Of the anomalies of assets that touch a fault it is counted how often one of the fault's signals is among
the first three contributors. As many alarms at random signals and times are the control.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from iotpm.evaluate.report import Cell, Options, Report
from iotpm.evaluate.report import Table as Lines
from iotpm.evaluate.simulated import DAY_S, INTERVAL_S, LEARNING_DAYS, SEED, Begun, anomalies, batch_sizes
from iotpm.simulate.faults import Fault, FaultSchedule
from iotpm.simulate.score import Alarm, HitRule, Score, score_run
from iotpm.subjects import asset_of_signal

LAYOUT = "  nothing: the data are simulated"

FAULT_DAYS = 1.0
TICK_INTERVALS = 3
"""Intervals between two looks for signals that fell silent."""
FIRST = 3
"""Contributors among which an injected signal is looked for."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some assets of the plant; every batch is a plant of its own."""

    seed: int
    assets: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of the faults of one batch."""

    counted: Counter[str]
    found: Counter[str]
    false: Counter[str]
    random_found: float
    named: int
    """Anomalies of assets that touch a fault and name one of its signals among the first contributors."""
    touching: int


def run(_directory: Path, options: Options) -> Report:
    """Learn `options.assets` assets, inject faults for a day, and judge what is told."""
    work = [Batch(SEED + number, size) for number, size in enumerate(batch_sizes(options.assets))]
    judged = options.map(simulate, work, "faults")
    counted, found, false = (
        sum((getattr(batch, name) for batch in judged), Counter[str]()) for name in ("counted", "found", "false")
    )
    touching = sum(batch.touching for batch in judged)
    figures = {
        "recall": found.total() / max(1, counted.total()),
        "precision": found.total() / max(1, found.total() + false.total()),
        "random_recall": sum(batch.random_found for batch in judged) / max(1, counted.total()),
        "false_per_asset_day": false.total() / (options.assets * FAULT_DAYS),
        "top_3_contributors": sum(batch.named for batch in judged) / max(1, touching),
        "anomalies_of_assets": touching,
        "faults": counted.total(),
        "assets": options.assets,
    }
    kinds: list[tuple[Cell, ...]] = [
        (kind, counted[kind], found[kind], found[kind] / counted[kind]) for kind in sorted(counted)
    ]
    wrong: list[tuple[Cell, ...]] = list(false.most_common())
    tables = [
        Lines("Faults in learned assets", ("figure", "value"), list(figures.items())),
        Lines("By kind", ("kind", "faults", "found", "share"), kinds),
        Lines("False alarms", ("detector", "alarms"), wrong),
    ]
    title = f"Faults injected for a day into {options.assets} simulated assets, every 10 s, after {LEARNING_DAYS} days"
    return Report(
        title, tables, {**figures, "by_kind": {kind: found[kind] / counted[kind] for kind in sorted(counted)}}
    )


def simulate(batch: Batch) -> Judged:
    """Run one batch through an engine of its own."""
    from iotpm.engine import Engine
    from iotpm.simulate.plant import Plant

    plant = Plant(batch.assets, interval_s=INTERVAL_S, seed=batch.seed)
    start_us = plant.start_us + int(LEARNING_DAYS * DAY_S * 1e6)
    end_us = start_us + int(FAULT_DAYS * DAY_S * 1e6)
    faults = FaultSchedule(batch.seed).faults(plant, start_us, end_us)
    plant.inject(faults)
    intervals = round((LEARNING_DAYS + FAULT_DAYS) * DAY_S / INTERVAL_S)
    begun = anomalies(plant, Engine(plant.templates()), intervals, TICK_INTERVALS)
    told = [one for one in begun if one.time_us >= start_us]
    rule = HitRule.for_interval(INTERVAL_S)
    alarms = [Alarm(one.signal, one.time_us, one.kind, one.detector) for one in told]
    score = score_run(faults, alarms, plant.names, start_us, end_us, rule, batch.seed)
    return _judged(score, [_names(one, faults, rule) for one in told if one.contributors])


def _judged(score: Score, named: list[bool | None]) -> Judged:
    verdict = score.verdict
    touching = [one for one in named if one is not None]
    return Judged(
        Counter(fault.kind for fault in verdict.counted),
        Counter(fault.kind for fault in verdict.found),
        Counter(alarm.detector for alarm in verdict.false),
        (score.random_recall or 0.0) * len(verdict.counted),
        sum(touching),
        len(touching),
    )


def _names(begun: Begun, faults: list[Fault], rule: HitRule) -> bool | None:
    """Whether a signal of the fault it touches is among the first contributors; None where it touches none."""
    asset = asset_of_signal(begun.signal)
    near = [f for f in faults if f.asset == asset and f.start_us <= begun.time_us <= rule.last_us(f)]
    if not near:
        return None
    first = begun.contributors[:FIRST]
    return any(signal in first for fault in near for signal in fault.signals)
