"""Severity after ISO 20816-3: the table, units, both quantities, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotpm import iso20816, units
from iotpm.errors import InputError

RATE_HZ = 25_600.0
T = np.arange(int(RATE_HZ)) / RATE_HZ
PUMP: dict[str, Any] = {"rpm": 1500.0, "group": 2, "support": "rigid"}


def sine(rms: float, hz: float = 50.0) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(rms * np.sqrt(2) * np.sin(2 * np.pi * hz * T), np.float64)


@pytest.mark.parametrize(
    ("group", "support", "boundaries"),
    [
        (1, "rigid", (2.3, 4.5, 7.1)),
        (1, "flexible", (3.5, 7.1, 11.0)),
        (2, "rigid", (1.4, 2.8, 4.5)),
        (2, "flexible", (2.3, 4.5, 7.1)),
    ],
)
def test_boundaries_of_the_standard(group: int, support: Any, boundaries: tuple[float, float, float]) -> None:
    assert iso20816.zones(group, support).velocity_mm_s == boundaries
    edges = [0.0, *boundaries]
    assert [iso20816.zone(edge + 0.01, group, support) for edge in edges] == ["A", "B", "C", "D"]


def test_all_groups_ascend_and_flexible_supports_allow_more() -> None:
    for group in ("1", "2", "3", "4"):
        rigid, flexible = (iso20816.zones(group, support) for support in ("rigid", "flexible"))
        assert all(r < f for r, f in zip(rigid.velocity_mm_s, flexible.velocity_mm_s, strict=True))
        assert rigid.machines
        assert "20816-3" in rigid.standard


@pytest.mark.parametrize(
    ("unit", "rms"),
    [("mm/s", 3.0), ("m/s", 0.003), ("[in_i]/s", 3 / 25.4), ("um", 3e3 / (2 * np.pi * 50)),
     ("m/s2", 3e-3 * 2 * np.pi * 50), ("[g]", 3e-3 * 2 * np.pi * 50 / 9.80665)],
)  # fmt: skip
def test_the_same_vibration_in_any_unit(unit: str, rms: float) -> None:
    found = iso20816.severity(sine(rms), RATE_HZ, unit=unit, **PUMP)
    assert found.velocity_mm_s == pytest.approx(3.0, rel=1e-3)
    assert found.displacement_um == pytest.approx(3e3 / (2 * np.pi * 50), rel=1e-3)
    assert (found.zone, found.velocity_zone, found.displacement_zone) == ("C", "C", "A")


def test_slow_motion_is_judged_by_its_displacement() -> None:
    found = iso20816.severity(sine(3.0, 11.0), RATE_HZ, unit="mm/s", **{**PUMP, "support": "flexible"})
    assert found.velocity_zone == "B"
    assert found.displacement_zone == "B"
    slow = iso20816.severity(sine(2.0, 4.0), RATE_HZ, unit="mm/s", **{**PUMP, "rpm": 240.0})
    assert slow.band_hz == (2.0, 1000.0)
    assert (slow.velocity_zone, slow.displacement_zone, slow.zone) == ("B", "D", "D")


def test_what_lies_outside_the_band_does_not_count() -> None:
    x = sine(1.0) + sine(50.0, 3.0) + sine(50.0, 5000.0)
    assert iso20816.severity(x, RATE_HZ, unit="mm/s", **PUMP).velocity_mm_s == pytest.approx(1.0, rel=1e-3)


def test_everything_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match=r"unit.*speed.*group.*support"):
        iso20816.severity(sine(1.0), RATE_HZ)
    with pytest.raises(InputError, match=r"without speed of the shaft \(rpm\)$"):
        iso20816.severity(sine(1.0), RATE_HZ, unit="mm/s", group=2, support="rigid")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"unit": "g"}, r"gram.*\[g\]"),
        ({"unit": "bar"}, "bar"),
        ({"unit": "flurble"}, "flurble"),
        ({"group": 7}, "group = 7.*1, 2, 3, 4"),
        ({"support": "soft"}, "soft"),
        ({"rpm": 50.0}, "120 to 30000"),
        ({"rpm": float("nan")}, "rpm = nan"),
    ],
)
def test_wrong_values_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        iso20816.severity(sine(1.0), RATE_HZ, **{"unit": "mm/s", **PUMP, **change})


def test_a_sensor_that_says_nothing_is_in_no_zone() -> None:
    with pytest.raises(InputError, match=r"x = 3.3 throughout.*connected"):
        iso20816.severity(np.full(25_600, 3.3), RATE_HZ, unit="mm/s", **PUMP)


def test_a_rate_below_the_band_is_refused() -> None:
    with pytest.raises(InputError, match="high_hz = 1000"):
        iso20816.severity(sine(1.0)[::20], RATE_HZ / 20, unit="mm/s", **PUMP)


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('standard = "ours"\nspeed_rpm = [1, 1e6]\n[group.x]\nrigid = { velocity_mm_s = [1, 2, 3] }\n')
    found = iso20816.severity(sine(2.5), RATE_HZ, unit="mm/s", rpm=9, group="x", support="rigid", table=path)
    assert (found.zone, found.displacement_zone, found.zones.standard) == ("C", None, "ours")
    with pytest.raises(InputError, match=r"mine.toml.*velocity_mm_s is missing"):
        iso20816.zones("x", "flexible", path)
    path.write_text("[group.x]\nrigid = { velocity_mm_s = [3, 2, 1] }\n")
    other = tmp_path / "other.toml"
    path.rename(other)
    with pytest.raises(InputError, match="ascending"):
        iso20816.zones("x", "rigid", other)


@given(st.floats(1e-3, 1e3), st.sampled_from([("[g]", "m/s2", 9.80665), ("[in_i]/s", "mm/s", 25.4), ("mm", "um", 1e3)]))
def test_conversions_are_the_published_ones(value: float, case: tuple[str, str, float]) -> None:
    from_unit, to_unit, expected = case
    assert value * units.factor(from_unit, to_unit) == pytest.approx(value * expected, rel=1e-9)


def test_no_unit_is_no_factor() -> None:
    with pytest.raises(InputError, match="missing"):
        units.factor("", "mm/s")
    with pytest.raises(InputError, match="zeros differ"):
        units.factor("Cel", "K")
