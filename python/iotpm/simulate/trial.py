"""A trial without a broker: `python -m iotpm.simulate.trial` runs a plant through the embedded engine and judges it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..virtual import EMBEDDED, rebatched, run_embedded
from .faults import FaultSchedule
from .machines import MACHINES, MachineModel
from .plant import Plant, end_message, plant_messages
from .score import Alarm, HitRule, Score, score_run
from .sweep import SweepSchedule

if TYPE_CHECKING:
    from .._core import Table
    from ..config import Config, Machine
    from ..engine import Engine

LOWEST_SHARE = 0.33
"""Lowest speed in a sweep, as a share of the nominal one: half of what a fan runs at with the least load."""


def machine_config(site: str = "plant", *, states: bool = True) -> Config:
    """The plant's machines as `[[machine]]` entries; without `states` nothing tells their operating states."""
    from ..config import Config

    return Config(machines=tuple(_machine(site, model, states) for model in MACHINES))


def _machine(site: str, model: MachineModel, states: bool) -> Machine:
    from ..config import Machine

    rated = next(signal.gain for signal in model.signals if signal.name == "speed")
    nominal = rated * (model.speed_idle + max(0.0, model.speed_gain))
    return Machine(
        pattern=f"{site}/{model.kind}-*",
        kind=model.kind,
        speed_rpm=nominal,
        speed_min_rpm=LOWEST_SHARE * nominal,
        speed_signal="speed" if states else None,
        load_signal="load",
    )


def alarms_of(table: Table) -> Iterator[Alarm]:
    """The begins in a table of anomaly revisions, of an engine or a chunk."""
    if not len(table):
        return
    import duckdb

    with duckdb.connect() as connection:
        query = "SELECT name, epoch_us(time), kind, detector FROM anomaly_log WHERE state = 'begin'"
        rows = connection.register("anomaly_log", table).execute(query).fetchall()
    yield from (Alarm(*row) for row in rows)


def run_trial(
    plant: Plant, engine: Engine, schedule: FaultSchedule, preroll_s: float, run_s: float
) -> tuple[Score, dict[str, Any]]:
    """Runs pre-roll and run through a fresh engine; returns the score and what it took."""
    start_us = plant.start_us + int(preroll_s * 1e6)
    end_us = start_us + int(run_s * 1e6)
    faults = schedule.faults(plant, start_us, end_us)
    plant.inject(faults)
    intervals = round((preroll_s + run_s) / plant.interval_s)
    began, readings, alarms = time.perf_counter(), 0, list[Alarm]()
    for batch, output in run_embedded(engine, rebatched(_messages(plant, intervals))):
        readings += batch.readings
        alarms += alarms_of(output.anomalies)
    took_s = time.perf_counter() - began
    rule = HitRule.for_interval(plant.interval_s)
    score = score_run(faults, alarms, plant.names, start_us, end_us, rule, schedule.seed)
    preroll = sum(alarm.time_us < start_us for alarm in alarms)
    return score, {"readings": readings, "readings_per_s": round(readings / took_s), "preroll_alarms": preroll}


def _messages(plant: Plant, intervals: int) -> Iterator[Any]:
    yield from plant_messages(plant, EMBEDDED, intervals)
    yield end_message(plant, EMBEDDED)


def report_lines(score: Score) -> Iterable[str]:
    """The report that a person reads."""
    numbers = score.to_dict()
    yield (
        f"recall {numbers['recall']} ({numbers['found']} of {numbers['counted']} faults),"
        f" precision {numbers['precision']}"
        f" ({numbers['false']} false, {numbers['neither']} neither,"
        f" {numbers['false_per_asset_hour']} false per asset and hour); random alarms, as many: recall"
        f" {numbers['random_recall']}, precision {numbers['random_precision']}"
    )
    yield from (f"  {kind:12} {found:4} of {counted:4} found" for kind, (found, counted) in score.by_kind().items())
    yield f"  false by detector: {numbers['false_by_kind']}"
    yield f"  false by signal:   {score.false_by_signal()}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--interval-s", type=float, default=10.0)
    parser.add_argument("--preroll-s", type=float, default=5400.0)
    parser.add_argument("--run-s", type=float, default=7200.0)
    parser.add_argument("--rate", type=float, default=0.5, help="faults per asset and hour")
    parser.add_argument(
        "--sweeps", action="store_true", help="stops, starts and other speeds; operating states are told"
    )
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the report")
    parser.add_argument("--list", action="store_true", help="also list missed faults and false alarms")
    return parser.parse_args()


def main() -> None:
    """Runs a trial and prints its report."""
    from ..engine import Engine

    told = _arguments()
    plant = Plant(told.assets, interval_s=told.interval_s, seed=told.seed)
    if told.sweeps:
        begin_us = plant.start_us + int(told.preroll_s * 1e6)
        plant.sweep(SweepSchedule(told.seed).sweeps(plant, begin_us, begin_us + int(told.run_s * 1e6)))
    engine = Engine(machine_config() if told.sweeps else plant.templates(), shards=told.shards)
    score, took = run_trial(plant, engine, FaultSchedule(told.seed, told.rate), told.preroll_s, told.run_s)
    lines = [json.dumps(took | score.to_dict())] if told.json else [json.dumps(took), *report_lines(score)]
    if told.list:
        lines += [f"missed {fault}" for fault in score.verdict.missed]
        lines += [f"false  {alarm}" for alarm in score.verdict.false]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
