"""The simulated plant: reproducible, physical, and disturbed exactly where a fault says so."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from iotpm import subjects
from iotpm.simulate import FAULT_KINDS, Fault, FaultKind, FaultSchedule, Plant, end_message, plant_messages

S = 1_000_000
NAMES = subjects.replay("demo")
Floats = npt.NDArray[np.float64]


def run(plant: Plant, intervals: int) -> Floats:
    return np.stack([plant.step().values for _ in range(intervals)])


def test_the_same_seed_gives_the_same_messages_and_another_seed_others() -> None:
    def payloads(seed: int) -> list[bytes]:
        plant = Plant(8, seed=seed)
        plant.inject(FaultSchedule(seed, 20.0).faults(plant, plant.start_us, plant.start_us + 3600 * S))
        return [payload for batch in plant_messages(plant, NAMES, 60) for payload in batch.payloads]

    assert payloads(7) == payloads(7)
    assert payloads(7) != payloads(8)


def test_the_number_of_assets_changes_no_asset() -> None:
    few, many = Plant(5), Plant(13)
    assert np.array_equal(run(few, 50), run(many, 50)[:, :5])
    span = (few.start_us, few.start_us + 36_000 * S)
    of_few = FaultSchedule(1, 1.0).faults(few, *span)
    of_many = [fault for fault in FaultSchedule(1, 1.0).faults(many, *span) if fault.asset in few.assets]
    assert of_few
    assert of_few == of_many


def test_the_values_follow_the_physics() -> None:
    plant = Plant(40)
    values = run(plant, 720)
    column = {name.rsplit("/", 1)[1]: i for i, name in enumerate(plant.names[:10])}  # pump-0001
    pump = values[:, 0]
    load, speed = pump[:, column["load"]], pump[:, column["speed"]]
    assert np.corrcoef(load, pump[:, column["motor_current"]])[0, 1] > 0.9
    assert np.corrcoef(speed, pump[:, column["flow"]])[0, 1] > 0.8
    # The winding follows the load late: the lagged correlation beats the direct one.
    winding = pump[:, column["winding_temperature"]]
    smooth = np.convolve(load, np.ones(6) / 6, mode="same")
    lagged = [np.corrcoef(smooth[: 720 - lag], winding[lag:])[0, 1] for lag in range(30)]
    assert int(np.argmax(lagged)) >= 3


def test_scatter_is_the_standard_deviation_over_some_minutes() -> None:
    plant = Plant(40)
    values = run(plant, 540)
    minutes = values.reshape(9, 60, 40, 10)  # ten minutes each: the sensor and the cycles, hardly the day
    measured = minutes.std(axis=1).mean(axis=0)
    ratio = measured / plant.scatter
    assert 0.8 < np.median(ratio) < 1.25
    assert (ratio > 0.5).all()
    assert (ratio < 2.5).all()


def test_sensors_have_range_resolution_and_noise() -> None:
    plant = Plant(4)
    values = run(plant, 200).reshape(200, -1)
    templates = {t["match"]: t for t in plant.templates()}
    assert len(templates) == 40
    for i, name in enumerate(plant.names):
        site, asset, signal = name.split("/")
        template = templates[f"{site}/{asset.split('-')[0]}-*/{signal}"]
        steps = values[:, i] / template["resolution"]
        assert np.allclose(steps, np.round(steps), atol=1e-6)
        assert (values[:, i] >= template["physical_min"]).all()
        assert (values[:, i] <= template["physical_max"]).all()
        assert np.diff(values[:, i]).std() > 0


def disturbed(
    kind: FaultKind, magnitude: float, seconds: int = 300
) -> tuple[Floats, npt.NDArray[np.bool_], Floats, int]:
    """Values and presence with a fault on vibration_x of pump-0001 from interval 50 on, values without, its column."""
    healthy, plant = Plant(2), Plant(2)
    name, start_us = "plant/pump-0001/vibration_x", plant.start_us + 500 * S
    also = tuple(n for n in plant.bearing_signals(0) if n != name) if kind == "bearing" else ()
    plant.inject([Fault(name, kind, start_us, start_us + seconds * S, magnitude, also)])
    ticks = [plant.step() for _ in range(120)]
    return (
        np.stack([t.values for t in ticks]),
        np.stack([t.present for t in ticks]),
        run(healthy, 120),
        plant.names.index(name),
    )


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_a_fault_changes_its_signals_in_its_time_and_nothing_else(kind: FaultKind) -> None:
    values, present, healthy, column = disturbed(kind, 10.0)
    shown = {"bearing": [5, 6, 7]}.get(kind, [column])
    changed = (values != healthy) | ~present
    during = changed[51:79, 0][:, shown]
    assert during.mean() > 0.5
    changed[50:81, 0, shown] = False
    assert not changed.any()


def test_what_each_kind_does() -> None:
    scatter = Plant(2).scatter[0, 6]

    def change(kind: FaultKind) -> Floats:
        values, _, healthy, column = disturbed(kind, 10.0)
        return np.asarray((values - healthy)[50:80, 0, column] / scatter)

    assert change("level_shift")[1:-1] == pytest.approx(10.0, abs=0.2)
    drift, bearing = change("drift")[1:-1], change("bearing")[1:-1]
    assert np.diff(drift) == pytest.approx(10.0 / 30.0, abs=0.2)
    assert drift[-1] == pytest.approx(10.0, abs=0.6)
    assert bearing[14] == pytest.approx(10.0 / 4.0, abs=0.5)
    assert bearing[-1] == pytest.approx(10.0, abs=0.9)
    noise = change("noise")[1:-1]
    assert 5.0 < noise.std() < 15.0
    stuck, _, _, column = disturbed("stuck", 0.0)
    assert len(set(stuck[51:79, 0, column])) == 1
    _, present, _, column = disturbed("dropout", 0.0)
    assert not present[51:79, 0, column].any()
    assert present[:, 0, [c for c in range(10) if c != column]].all()


def test_a_schedule_is_labelled_spaced_and_leaves_the_pre_roll_alone() -> None:
    plant = Plant(60)
    start_us, end_us = plant.start_us + 3600 * S, plant.start_us + 40_000 * S
    schedule = FaultSchedule(3, 0.5)
    faults = schedule.faults(plant, start_us, end_us)
    assert {fault.kind for fault in faults} == set(FAULT_KINDS)
    assert [f.start_us for f in faults] == sorted(f.start_us for f in faults)
    by_asset = defaultdict(list)
    for fault in faults:
        assert start_us <= fault.start_us < min(fault.end_us, end_us)
        by_asset[fault.asset].append(fault)
    for own in by_asset.values():
        assert all(b.start_us - a.end_us >= 600 * S for a, b in pairwise(own))
    assert schedule.faults(plant, start_us, start_us + 9000 * S) == [
        f for f in faults if f.start_us < start_us + 9000 * S
    ]
    hours = 60 * (end_us - start_us) / 3.6e9
    assert 0.3 < len(faults) / hours < 0.5  # 0.5 an hour, less the time that faults and guards take


def test_messages_are_json_arrays_of_one_asset_in_order_of_time() -> None:
    plant = Plant(20)
    plant.inject([Fault("plant/pump-0001/flow", "dropout", plant.start_us, plant.start_us + 30 * S)])
    batches = [*plant_messages(plant, NAMES, 5), end_message(plant, NAMES)]
    times = [t for batch in batches for t in batch.stream_times_us]
    assert times == sorted(times)
    assert len({t % (10 * S) for t in batches[0].stream_times_us}) > 15  # not all at once
    assert [b.subjects[-1] for b in batches] == ["iotpm.tick.demo"] * 5 + ["iotpm.ctl.demo.end"]
    first = dict(zip(batches[0].subjects, [json.loads(p or b"null") for p in batches[0].payloads], strict=True))
    assert len(first) == 21
    pump, motor = first["iotpm.demo.raw.plant.pump-0001"], first["iotpm.demo.raw.plant.motor-0002"]
    assert [len(pump), len(motor)] == [9, 10]
    assert {reading["sensor_id"] for reading in pump} == {"pump-0001"}
    assert "flow" not in {reading["metric"] for reading in pump}
    assert [batch.readings for batch in batches] == [199, 199, 199, 200, 200, 0]
    reference = Plant(20).step()
    assert [reading["value"] for reading in motor] == pytest.approx(reference.values[1].tolist())
    assert {reading["timestamp"] for reading in motor} == {int(reference.times_us[1])}


def test_an_asset_without_any_reading_sends_nothing() -> None:
    plant = Plant(1, signals_per_asset=1)
    plant.inject([Fault(plant.names[0], "dropout", plant.start_us, plant.start_us + 30 * S)])
    assert [len(batch) for batch in plant_messages(plant, NAMES, 4)] == [1, 1, 1, 2]


@pytest.mark.parametrize("wrong", [{"assets": 0}, {"signals_per_asset": 11}, {"interval_s": 0.0}])
def test_sizes_out_of_range_are_refused_by_name(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Plant(**wrong)  # type: ignore[arg-type]


def test_a_fault_on_no_signal_is_refused_by_name() -> None:
    with pytest.raises(KeyError, match="plant/nothing/x"):
        Plant(1).inject([Fault("plant/nothing/x", "spike", 0, 1, 1.0)])
