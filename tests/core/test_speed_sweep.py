"""A machine that stops, starts and changes its speed is no faulty machine: the simulator's sweeps raise nothing."""

from __future__ import annotations

from functools import cache

import msgspec
import numpy as np
import pytest

from iotpm import Config, Engine
from iotpm.simulate import FaultSchedule, Plant, Sweep, SweepSchedule
from iotpm.simulate.plant import plant_messages
from iotpm.simulate.trial import alarms_of, machine_config, run_trial
from iotpm.virtual import EMBEDDED, rebatched, run_embedded

ASSETS, INTERVAL_S, HEALTHY_S, RUN_S = 8, 10.0, 7_200.0, 14_400.0


def plant(seed: int, sweep: bool) -> Plant:
    made = Plant(ASSETS, interval_s=INTERVAL_S, seed=seed)
    if sweep:
        begin_us = made.start_us + int(HEALTHY_S * 1e6)
        made.sweep(SweepSchedule(seed).sweeps(made, begin_us, begin_us + int(RUN_S * 1e6)))
    return made


def signals_alone(config: Config) -> Config:
    """No asset has a model in the time of a test."""
    month_s = 30 * 86_400.0
    templates = (msgspec.structs.replace(template, asset_learning_s=month_s) for template in config.all_templates)
    return Config(templates=tuple(templates))


@cache
def alarms(seed: int, sweep: bool, states: bool) -> int:
    """Anomalies begun by a plant without any fault."""
    engine = Engine(machine_config() if states else signals_alone(machine_config(states=False)))
    intervals = round((HEALTHY_S + RUN_S) / INTERVAL_S)
    messages = rebatched(plant_messages(plant(seed, sweep), EMBEDDED, intervals))
    return sum(1 for _, output in run_embedded(engine, messages) for _ in alarms_of(output.anomalies))


@pytest.mark.parametrize("seed", [7, 8])
def test_a_sweep_adds_no_false_anomaly(seed: int) -> None:
    assert alarms(seed, sweep=True, states=True) <= alarms(seed, sweep=False, states=True)


@pytest.mark.parametrize("seed", [7, 8])
def test_without_operating_states_it_would(seed: int) -> None:
    assert alarms(seed, sweep=True, states=False) > alarms(seed, sweep=False, states=False) + ASSETS


def test_states_muffle_no_machine_that_only_runs() -> None:
    engine = Engine(machine_config())
    for _ in run_embedded(engine, rebatched(plant_messages(plant(7, sweep=False), EMBEDDED, 720))):
        pass
    counters = engine.counters()
    assert counters["transient"] == 0
    assert counters["scored"] == counters["accepted"]


def test_and_still_finds_what_is_wrong() -> None:
    healthy, faults = Plant(24, interval_s=INTERVAL_S, seed=7), FaultSchedule(7, 0.5)
    score, _ = run_trial(healthy, Engine(machine_config()), faults, 5_400.0, 7_200.0)
    found, counted = len(score.verdict.found), len(score.verdict.counted)
    assert counted >= 20
    assert found >= 0.75 * counted, "0.83 with states and bins of speed, 0.88 without, when this was written"


def test_a_sweep_stops_the_machine_and_everything_that_turns_with_it() -> None:
    swept, usual = Plant(4, seed=3), Plant(4, seed=3)
    begin_us = swept.start_us + 600_000_000
    points = tuple(begin_us + s * 1_000_000 for s in (0, 60, 660, 720))
    swept.sweep([Sweep(swept.assets[0], points, (1.0, 0.0, 0.0, 1.0))])
    ticks = [(swept.step(), usual.step()) for _ in range(180)]
    column = {name.rsplit("/", 1)[1]: i for i, name in enumerate(swept.names[:10])}
    still = ticks[100][0].values[0]
    for name in ("speed", "load", "motor_current", "power", "vibration_x", "flow"):
        assert still[column[name]] < 0.05 * ticks[30][0].values[0][column[name]] + 1.0, name
    assert still[column["bearing_temperature"]] > 20.0
    for before, (with_sweep, without) in enumerate(ticks):
        np.testing.assert_array_equal(with_sweep.values[1:], without.values[1:])
        if before < 59:
            np.testing.assert_array_equal(with_sweep.values, without.values)
    # What has no memory is back where it would have been.
    assert ticks[-1][0].values[0][column["speed"]] == ticks[-1][1].values[0][column["speed"]]


def test_sweeps_are_drawn_from_seed_and_name_alone() -> None:
    few, many = Plant(2, seed=5), Plant(6, seed=5)
    end_us = few.start_us + 20_000_000_000
    some = SweepSchedule(5).sweeps(few, few.start_us, end_us)
    assert some
    assert some == [s for s in SweepSchedule(5).sweeps(many, many.start_us, end_us) if s.asset in few.assets]
    assert all(s.factor(s.start_us - 1) == 1.0 == s.factor(s.end_us + 1) and 0.0 in s.factors for s in some)


def test_a_sweep_of_an_unknown_asset_is_refused() -> None:
    with pytest.raises(KeyError, match="no asset of this plant"):
        Plant(1).sweep([Sweep("plant/none", (0, 1), (1.0, 1.0))])
