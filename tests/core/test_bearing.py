"""Bearings: published frequencies, made faults at any speed, sound machines, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.bearings import machine, strikes

from iotpm import bearing
from iotpm.errors import InputError

SKF_6205 = bearing.find("6205")
RATE_HZ = 25_600.0


@pytest.mark.parametrize(
    ("name", "bpfo", "bpfi", "ftf", "ball_strikes"),
    [
        # Case Western Reserve University Bearing Data Center: its "rolling element" is a strike on one race a turn.
        ("6205", 3.5848, 5.4152, 0.39828, 4.7135),
        ("6203", 3.0530, 4.9469, 0.3817, 3.9874),
    ],
)
def test_published_multiples_of_the_shaft(name: str, bpfo: float, bpfi: float, ftf: float, ball_strikes: float) -> None:
    orders = bearing.find(name).orders
    assert orders.bpfo == pytest.approx(bpfo, rel=1e-3)
    assert orders.bpfi == pytest.approx(bpfi, rel=1e-3)
    assert orders.ftf == pytest.approx(ftf, rel=1e-3)
    assert 2 * orders.bsf == pytest.approx(ball_strikes, rel=1e-3)


def test_the_published_line_of_the_ims_rig() -> None:
    # Qiu et al., Journal of Sound and Vibration 289 (2006) 1066: BPFO of 236.4 Hz at 2000 rpm.
    assert bearing.lines("ZA-2115", rpm=2000).bpfo_hz == pytest.approx(236.4, rel=1e-3)


@given(
    balls=st.integers(3, 60),
    share=st.floats(0.05, 0.99),
    pitch=st.floats(5, 2000),
    angle=st.floats(0, 60),
)
def test_laws_of_rolling(balls: int, share: float, pitch: float, angle: float) -> None:
    orders = bearing.Bearing(balls, share * pitch * math.sin(math.pi / balls), pitch, angle).orders
    assert orders.bpfo + orders.bpfi == pytest.approx(balls)
    assert orders.bpfo == pytest.approx(balls * orders.ftf)
    assert 0 < orders.ftf < 0.5


@settings(max_examples=25)
@given(
    rpm=st.floats(600, 3600),
    element=st.sampled_from(["outer race", "inner race", "ball"]),
    slip=st.floats(-0.015, 0.015),
    jitter=st.floats(0, 0.02),
    level=st.floats(0.1, 2),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_made_fault_is_named_rightly_or_not_at_all(
    rpm: float, element: str, slip: float, jitter: float, level: float, seed: int
) -> None:
    rng, seconds = np.random.default_rng(seed), min(100 * 60 / rpm, 5.0)
    fault = strikes(rng, SKF_6205, element, rate_hz=RATE_HZ, seconds=seconds, rpm=rpm, slip=slip, jitter=jitter)
    x = machine(rng, rate_hz=RATE_HZ, seconds=seconds, rpm=rpm) + level * fault
    assert bearing.diagnose(x, RATE_HZ, rpm, SKF_6205).verdict in (element, "undetermined", "none")


@pytest.mark.parametrize("element", ["outer race", "inner race", "ball"])
@pytest.mark.parametrize("rpm", [900.0, 1797.0, 3000.0])
def test_a_clear_fault_is_named_with_its_frequency_and_slip(element: str, rpm: float) -> None:
    rng = np.random.default_rng(7)
    fault = strikes(rng, SKF_6205, element, rate_hz=RATE_HZ, seconds=4, rpm=rpm, slip=-0.01, jitter=0.002)
    found = bearing.diagnose(machine(rng, rate_hz=RATE_HZ, seconds=4, rpm=rpm) + fault, RATE_HZ, rpm, "6205")
    assert found.verdict == element
    assert found.strongest is not None
    assert found.strongest.slip == pytest.approx(-0.01, abs=0.004)
    assert found.reason is None


@settings(max_examples=25)
@given(
    rpm=st.floats(300, 6000),
    name=st.sampled_from(sorted(bearing.catalogue())),
    coloured=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_nothing_is_named_on_a_sound_machine(rpm: float, name: str, coloured: bool, seed: int) -> None:
    rng, seconds = np.random.default_rng(seed), min(60 * 60 / rpm, 5.0)
    noise = rng.standard_normal(int(seconds * RATE_HZ))
    x = machine(rng, rate_hz=RATE_HZ, seconds=seconds, rpm=rpm) if coloured else noise
    assert bearing.diagnose(x, RATE_HZ, rpm, name).verdict in ("none", "undetermined")


def test_scale_offset_and_stride_change_nothing() -> None:
    rng = np.random.default_rng(3)
    x = machine(rng, rate_hz=RATE_HZ, seconds=2, rpm=1800)
    x += strikes(rng, SKF_6205, "inner race", rate_hz=RATE_HZ, seconds=2, rpm=1800)
    plain = bearing.diagnose(x, RATE_HZ, 1800, "6205")
    both = np.column_stack([x, x])
    other = bearing.diagnose(1000 * both[:, 1] + 5000, RATE_HZ, 1800, "6205")
    assert plain.verdict == other.verdict == "inner race"
    strengths = [[found.strength for found in each.evidence] for each in (plain, other)]
    assert strengths[0] == pytest.approx(strengths[1], rel=1e-6)


def test_lines_of_a_belt_are_no_bearing() -> None:
    # Impacts every third of a second have a line at every multiple of 3 Hz: those of the bearing are among them.
    rng, n = np.random.default_rng(5), int(6 * RATE_HZ)
    x = 0.05 * rng.standard_normal(n)
    ring = np.exp(-np.arange(400) / 60) * np.sin(np.arange(400))
    for at in range(0, n - 400, int(RATE_HZ / 3)):
        x[at : at + 400] += ring
    found = bearing.diagnose(x, RATE_HZ, 1790, "6205")
    assert found.verdict in ("undetermined", "none")


def test_strikes_once_a_turn_of_the_cage_are_the_cages() -> None:
    rng, rpm, seconds = np.random.default_rng(11), 1790.0, 8.0
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    turn_s = 60 / rpm / SKF_6205.orders.ftf
    swell = np.exp(-(((t / turn_s) % 1 - 0.5) ** 2) / (2 * 0.055**2))
    x = rng.standard_normal(t.size) * (0.3 + 3 * swell)
    assert bearing.diagnose(x, RATE_HZ, rpm, "6205").verdict == "cage"


def test_a_swelling_with_the_cage_is_undetermined() -> None:
    rng, rpm = np.random.default_rng(12), 1790.0
    t = np.arange(int(8 * RATE_HZ)) / RATE_HZ
    x = rng.standard_normal(t.size) * (1 + 0.5 * np.cos(2 * np.pi * SKF_6205.orders.ftf * rpm / 60 * t))
    found = bearing.diagnose(x, RATE_HZ, rpm, "6205")
    assert found.verdict == "undetermined"
    assert "cage" in str(found.reason)


def test_two_damaged_elements_are_undetermined() -> None:
    rng = np.random.default_rng(13)
    both = [strikes(rng, SKF_6205, e, rate_hz=RATE_HZ, seconds=4, rpm=1800) for e in ("outer race", "inner race")]
    found = bearing.diagnose(sum(both) + 0.3 * rng.standard_normal(both[0].size), RATE_HZ, 1800, "6205")
    assert found.verdict == "undetermined"
    assert "outer race" in str(found.reason)
    assert "inner race" in str(found.reason)


@pytest.mark.parametrize(
    ("seconds", "rate_hz", "value", "says"),
    [(0.1, 25_600, 1.0, "0.67 s"), (4.0, 1000, 1.0, "Hz are needed"), (4.0, 25_600, 0.0, "equal")],
)
def test_records_that_cannot_tell_say_what_they_lack(seconds: float, rate_hz: float, value: float, says: str) -> None:
    x = value * np.random.default_rng(1).standard_normal(int(seconds * rate_hz)) + 3
    found = bearing.diagnose(x, rate_hz, 1800, "6205")
    assert found.verdict == "undetermined"
    assert says in str(found.reason)
    assert found.evidence == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rpm": 0.0}, "rpm = 0.0"),
        ({"rpm": math.nan}, "rpm = nan"),
        ({"rate_hz": -1.0}, "rate_hz = -1"),
        ({"slip": 0.5}, "slip = 0.5"),
        ({"bearing": "6204"}, "6205"),
        ({"x": np.zeros((2, 3))}, "one record at a time"),
        ({"x": np.array([1.0, math.nan])}, r"x\[1\] = NaN"),
        ({"x": np.array([])}, "samples = 0"),
    ],
)
def test_refusals_name_the_value(change: dict[str, object], says: str) -> None:
    arguments = {"x": np.ones(9), "rate_hz": 1000.0, "rpm": 1800.0, "bearing": "6205", **change}
    with pytest.raises(InputError, match=says):
        bearing.diagnose(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["6205", "SKF 6205", "6205-2RS JEM", "skf 6205-2rs"])
def test_makers_and_suffixes_do_not_matter(name: str) -> None:
    assert bearing.find(name) == SKF_6205


def test_an_unknown_bearing_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"6207.*6205.*geometry"):
        bearing.find("6207")


@pytest.mark.parametrize(
    "text", ["9,7.94", "nine,7.94,39.04", "9.5,7.94,39", "2,7.94,39", "20,7.94,39", "9,7.94,39,95"]
)
def test_impossible_geometries_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        bearing.geometry(text)


def test_a_catalogue_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[X1]\nballs = 9\nball_diameter_mm = 7.94\npitch_diameter_mm = 39.04\n")
    assert bearing.find("x1", path).orders == SKF_6205.orders
    path.write_text("[X1]\nballs = 9\nrollers = 3\n")
    with pytest.raises(InputError, match=r"mine.toml.*\[X1\].*rollers"):
        bearing.find("x1", path)


def test_every_entry_of_the_catalogue_has_a_source() -> None:
    assert len(bearing.catalogue()) >= 8
    assert all(entry.source and entry.name for entry in bearing.catalogue().values())
