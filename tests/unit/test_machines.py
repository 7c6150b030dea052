"""A machine's name plate makes its templates; every mistake says where it is, what it is and what is allowed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from iotpm import Engine
from iotpm.cli.config import command
from iotpm.config import Config, Machine, Template, example
from iotpm.config.library import KINDS, bearing_named, failure_modes, library
from iotpm.config.machines import expand
from iotpm.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

START_US = 1_700_000_000_000_000
PUMP = Machine(
    pattern="plant/pump-*",
    kind="pump",
    speed_rpm=1480.0,
    speed_signal="speed",
    load_signal="load",
    power_kw=22.0,
    mounting="rigid",
    vibration_unit="mm/s",
    bearing="6205",
    gear_teeth=(18,),
)


def of(machine: Machine, signal: str) -> Template:
    """The template that the engine would take for a signal of the machine's first asset."""
    name = f"{machine.pattern.replace('*', '1')}/{signal}"
    return next(t for t in expand(machine) if re.fullmatch(re.escape(t.pattern).replace(r"\*", ".*"), name))


def mistakes(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "plant.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Config.load(path, environ={}, dotenv=None)
    return [str(mistake).removeprefix(f"{tmp_path}/") for mistake in caught.value.mistakes]


def test_facts_of_the_name_plate_reach_every_template() -> None:
    facts = {template.machine for template in expand(PUMP)}
    assert len(facts) == 1
    machine = facts.pop()
    assert (machine.kind, machine.speed_rpm, machine.power_kw, machine.mounting) == ("pump", 1480.0, 22.0, "rigid")
    assert (machine.bearing.name, machine.bearing.elements, machine.gear_teeth) == ("6205", 9, (18,))
    assert machine.group == 2, "15 to 300 kW"


def test_lines_of_the_bearing_reach_the_waveforms() -> None:
    waveform = of(PUMP, "vibration_x").waveform
    assert waveform.speed_hz == pytest.approx(1480 / 60)
    orders = (waveform.bpfo, waveform.bpfi, waveform.bsf, waveform.ftf)
    # Published by the Case Western Reserve University Bearing Data Center for this bearing (the ball's order is twice
    # its spin there).
    assert orders == pytest.approx((3.5848, 5.4152, 4.7135 / 2, 0.39828), rel=1e-3)


def test_zones_become_limits_only_where_the_standard_can_judge() -> None:
    limits = of(PUMP, "vibration_x").limits
    assert (limits.hi, limits.hi_hi) == (2.8, 4.5)
    assert of(PUMP, "flow").limits.hi is None
    assert of(Machine(pattern="a/b", kind="pump", power_kw=22.0, mounting="rigid"), "vibration").limits.hi is None
    small = Machine(pattern="a/b", kind="pump", power_kw=4.0, mounting="rigid", vibration_unit="mm/s")
    assert of(small, "vibration").limits.hi is None


def test_the_speed_signal_tells_the_state() -> None:
    state = of(PUMP, "flow").state
    assert (state.signal, state.off_below, state.running_above, state.rate_per_s) == ("speed", 74.0, 1184.0, 7.4)
    assert (state.load_signal, state.settle_s, state.regimes) == ("load", 30.0, ())
    assert of(PUMP, "winding_temperature").state.settle_s > of(PUMP, "vibration_x").state.settle_s


def test_a_drive_of_variable_speed_gets_bins_between_its_speeds() -> None:
    state = of(
        Machine(pattern="a/b", kind="fan", speed_rpm=1000.0, speed_min_rpm=400.0, speed_signal="n"), "flow"
    ).state
    assert state.running_above == pytest.approx(360.0)
    assert 5 <= len(state.regimes) <= 15
    assert 400.0 < state.regimes[0] < state.regimes[-1] < 1000.0


def test_power_or_current_tell_it_where_there_is_no_speed() -> None:
    power = of(Machine(pattern="a/b", kind="fan", power_kw=100.0, power_signal="power"), "flow").state
    assert (power.signal, power.off_below, power.rate_per_s) == ("power", 2.0, None)
    assert power.coast_down_s == library("fan").coast_down_s > 0
    current = of(Machine(pattern="a/b", kind="fan", current_signal="amps", off_below=3.0), "flow").state
    assert (current.signal, current.off_below) == ("amps", 3.0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_runs_end_to_end(kind: str) -> None:
    text = {"kind": kind, "pattern": "plant/x-*", "speed_rpm": 1500.0, "speed_signal": "speed"}
    engine = Engine(Config(machines=(Machine(**text),)))  # type: ignore[arg-type]
    seconds = np.arange(600)
    stops = (seconds >= 400) & (seconds < 500)
    speed = np.where(stops, 0.0, 1500.0)
    vibration = np.where(stops, 0.0, 2.0) + 0.1 * np.sin(seconds * 1.7)
    vibration[300] = 60.0
    times_us = np.repeat(START_US + seconds * 1_000_000, 2)
    names = ["plant/x-1/speed", "plant/x-1/vibration"] * len(seconds)
    values = np.stack([speed, vibration], axis=1).ravel()
    out = engine.push(names, times_us, values, sequences=np.repeat(seconds + 1, 2))
    raised = pl.DataFrame(out.anomalies).filter(pl.col("revision") == 0)
    assert raised["name"].to_list() == ["plant/x-1/vibration"], "the spike, and not the stop"
    assert raised["failure_mode"].to_list() == ["VIB"]
    event = json.loads(pl.DataFrame(out.outbox)["payload"][0])
    assert event["data"]["failure_mode"] == "VIB"
    assert {"running", "off", "run_up"} <= set(pl.DataFrame(out.windows)["state"].to_list())
    assert engine.counters()["transient"] > 150


@pytest.mark.parametrize("kind", KINDS)
def test_the_library_is_whole(kind: str) -> None:
    plan = library(kind)
    assert plan.kind == kind
    assert plan.entries[-1].signal == "*", "no signal of a machine is left out"
    assert {entry.failure_mode for entry in plan.entries} - {None} <= failure_modes().keys()
    assert "VIB" in {entry.failure_mode for entry in plan.entries}


def test_templates_of_the_file_stand_before_those_of_machines() -> None:
    config = Config(templates=(Template(pattern="plant/pump-1/flow"),), machines=(PUMP,))
    assert config.all_templates[0].pattern == "plant/pump-1/flow"
    assert config.hash != Config(templates=config.templates).hash


def test_catalogue_names_are_found_in_any_case() -> None:
    assert bearing_named("za-2115") == bearing_named("ZA-2115")
    assert bearing_named("SKF 6205-2RS") == bearing_named("6205"), "as `iotpm spectrum` finds it"
    assert bearing_named("Rexnord ZA-2115") == bearing_named("ZA-2115")
    assert bearing_named("no such bearing") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[[machine]]\nkind = "pomp"',
            'plant.toml:2: machine[0].kind = "pomp": must be one of '
            '"compressor", "conveyor", "fan", "gearbox", "motor", "pump", "spindle"',
        ),
        ("[[machine]]\nspeed = 3.0", "plant.toml:2: machine[0].speed: unknown key; did you mean"),
        ('[[machine]]\nmatch = "pump"', 'plant.toml:2: machine[0].match = "pump": must be a pattern on site/asset'),
        ("[[machine]]\ngroup = 9", "plant.toml:2: machine[0].group = 9: must be a whole number from 1 to 4"),
        (
            '[[machine]]\nmounting = "soft"',
            'plant.toml:2: machine[0].mounting = "soft": must be one of "flexible", "rigid"',
        ),
        ("[[machine]]\nspeed_rpm = 0.0", "plant.toml:2: machine[0].speed_rpm = 0.0: must be a number above 0"),
        (
            "[[machine]]\nspeed_rpm = 900.0\nspeed_min_rpm = 900.0",
            "plant.toml:3: machine[0].speed_min_rpm = 900.0: must be below speed_rpm = 900.0",
        ),
        (
            '[[machine]]\nspeed_signal = "n"',
            'plant.toml:2: machine[0].speed_signal = "n": needs speed_rpm or off_below, to know standstill',
        ),
        (
            '[[machine]]\ncurrent_signal = "i"',
            'plant.toml:2: machine[0].current_signal = "i": needs off_below, to know standstill',
        ),
        ("[[machine]]\noff_below = 3.0", "plant.toml:2: machine[0].off_below = 3.0: needs speed_signal, power_signal"),
        (
            '[[machine]]\nspeed_signal = "a/b"',
            'plant.toml:2: machine[0].speed_signal = "a/b": must be the name of a signal of the same asset',
        ),
        ('[[machine]]\nbearing = "0815"', 'plant.toml:2: machine[0].bearing = "0815": must be one of 6203, 6205'),
        (
            '[[machine]]\nbearing = "6205"\n[machine.bearing_geometry]\nelements = 9\n'
            "element_diameter_mm = 8.0\npitch_diameter_mm = 39.0",
            'plant.toml:2: machine[0].bearing = "6205": give a catalogue name or [machine.bearing_geometry], not both',
        ),
        (
            "[[machine]]\n[machine.bearing_geometry]\nelements = 9",
            "plant.toml:3: machine[0].bearing_geometry.elements = 9: needs element_diameter_mm, pitch_diameter_mm too",
        ),
        (
            '[[template]]\nfailure_mode = "XYZ"',
            'plant.toml:2: template[0].failure_mode = "XYZ": must be one of "AIR", "BRD"',
        ),
        (
            "[[template]]\n[template.state]\noff_below = 5.0\nrunning_above = 3.0",
            "plant.toml:4: template[0].state.running_above = 3.0: must be at least off_below = 5.0",
        ),
        (
            "[[template]]\n[template.state]\nregimes = [3.0, 2.0]\noff_below = 1.0",
            "plant.toml:3: template[0].state.regimes = [3.0, 2.0]: must ascend",
        ),
        (
            '[[template]]\n[template.state]\nsignal = "speed"',
            'plant.toml:3: template[0].state.signal = "speed": needs off_below',
        ),
        (
            '[[template]]\n[template.state]\nscore_in = ["stopped"]',
            "plant.toml:3: template[0].state.score_in = ['stopped']: must be a list, each item one of "
            '"coast_down", "off", "run_up", "running"',
        ),
    ],
)
def test_one_mistake(tmp_path: Path, text: str, expected: str) -> None:
    found = mistakes(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_the_example_has_a_machine_as_a_comment(tmp_path: Path) -> None:
    text = example()
    block = text[text.index("#[[machine]]") :]
    assert not re.search(r"^[^#\n]", block, re.M), "every line of it is a comment"
    for key in Machine.__struct_encode_fields__:
        assert re.search(rf"^#({key} = |\[machine\.{key}\])", block, re.M), key
    live = re.sub(r"^#(?! )", "", block.split("#[machine.")[0], flags=re.M)
    path = tmp_path / "plant.toml"
    path.write_text(live)
    (machine,) = Config.load(path, environ={}, dotenv=None).machines
    assert (machine.pattern, machine.kind, machine.bearing) == ("plant/pump-*", "pump", "6205")


def test_config_templates_lists_the_library() -> None:
    plain = CliRunner().invoke(command, ["templates"])
    assert plain.exit_code == 0
    assert all(f"{kind}: " in plain.output for kind in KINDS)
    found = json.loads(CliRunner().invoke(command, ["templates", "--json"]).output)
    assert [kind["kind"] for kind in found["kinds"]] == list(KINDS)
    assert found["failure_modes"]["VIB"].startswith("vibration")


def test_config_check_counts_the_templates_of_machines(tmp_path: Path) -> None:
    path = tmp_path / "plant.toml"
    path.write_text('[[machine]]\nmatch = "plant/pump-*"\nkind = "pump"\n')
    result = CliRunner().invoke(command, ["check", str(path)])
    assert f"0 templates, {len(library('pump').entries)} more of 1 machines" in result.output
