"""Severity of a machine's vibration after ISO 20816-3: zones A to D from broad-band RMS on non-rotating parts.

Nothing is assumed: without unit, speed, group or support there is no verdict, and the error says what is missing.

>>> from iotpm import iso20816
>>> iso20816.zone(3.1, group=2, support="rigid")
'C'
"""

from __future__ import annotations

import importlib
import tomllib
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from iotpm import _core, units
from iotpm.errors import InputError
from iotpm.features import as_samples

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Severity", "Support", "Zones", "severity", "zone", "zones"]

Support = Literal["rigid", "flexible"]
Zone = Literal["A", "B", "C", "D"]
Boundaries = tuple[float, float, float]

TABLE = Path(__file__).parent / "data" / "iso20816.toml"
"""The zone table that comes with the package, with its provenance."""


@dataclass(frozen=True, slots=True)
class Zones:
    """Boundaries A/B, B/C and C/D of a group of machines on a support, RMS."""

    group: str
    support: Support
    machines: str
    velocity_mm_s: Boundaries
    displacement_um: Boundaries | None
    """None where the table has none."""
    standard: str


@dataclass(frozen=True, slots=True)
class Severity:
    """How severe a vibration is, and by what."""

    zone: Zone
    """The worse of both."""
    velocity_mm_s: float
    velocity_zone: Zone
    displacement_um: float | None
    displacement_zone: Zone | None
    band_hz: tuple[float, float]
    rpm: float
    zones: Zones

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def plot(self, **options: Any) -> Any:
        """A Plotly figure of the velocity among its zones, made by `iotpm.plot.draw`; needs the extra `plot`."""
        return importlib.import_module("iotpm.plot").draw(self, **options)


@cache
def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: no zone table ({error})") from error


def zones(group: int | str, support: Support, table: str | Path | None = None) -> Zones:
    """The boundaries of a group of machines.

    Args:
        group: 1: above 300 kW; 2: 15 to 300 kW; 3 and 4: pumps, of ISO 10816-3:1998 (see the table).
        support: `rigid` or `flexible`, at the lowest natural frequency in the direction of measurement.
        table: a TOML file of the form of `TABLE` in its place.

    Raises:
        InputError: a group or support that the table does not have; a file that is no table.
    """
    path = Path(table) if table is not None else TABLE
    data = _table(path)
    groups = data.get("group", {})
    if str(group) not in groups:
        raise InputError(f"group = {group}: {path.name} has the groups {', '.join(groups) or 'none'}")
    if support not in get_args(Support):
        raise InputError(f"support = {support}: must be rigid or flexible")
    entry = groups[str(group)]
    limits = entry.get(support, {})
    velocity = _boundaries(path, group, support, limits, "velocity_mm_s")
    if velocity is None:
        raise InputError(f"{path}: group {group}, {support}: velocity_mm_s is missing")
    displacement = _boundaries(path, group, support, limits, "displacement_um")
    return Zones(
        str(group), support, entry.get("machines", ""), velocity, displacement, data.get("standard", path.name)
    )


def _boundaries(path: Path, group: int | str, support: str, limits: dict[str, Any], key: str) -> Boundaries | None:
    given = limits.get(key)
    if given is None:
        return None
    try:
        ab, bc, cd = map(float, given)
        _core.severity_zone(0.0, (ab, bc, cd))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path}: group {group}, {support}, {key} = {given}: must be three ascending numbers ({error})"
        ) from error
    return ab, bc, cd


def zone(velocity_mm_s: float, group: int | str, support: Support, table: str | Path | None = None) -> Zone:
    """The zone of a velocity RMS that was measured elsewhere, in mm/s.

    Raises:
        InputError: as `zones`; a velocity that is negative or not finite.
    """
    return _zone(velocity_mm_s, zones(group, support, table).velocity_mm_s)


def _zone(magnitude: float, boundaries: Boundaries) -> Zone:
    found: Any = _core.severity_zone(magnitude, boundaries)
    return found  # type: ignore[no-any-return]


def severity(
    x: ArrayLike,
    rate_hz: float,
    *,
    unit: str | None = None,
    rpm: float | None = None,
    group: int | str | None = None,
    support: Support | None = None,
    table: str | Path | None = None,
) -> Severity:
    """The severity of a record of acceleration, velocity or displacement of a bearing housing.

    RMS of velocity, and of displacement where the table has boundaries for it, from 10 Hz (2 Hz below 600 rpm) to
    1000 Hz; the worse zone counts.

    Args:
        x: samples, finite, one-dimensional, of any stride.
        rate_hz: sample rate, above 2 kHz.
        unit: of the samples (UCUM): `m/s2`, `[g]`, `mm/s`, `um` ..
        rpm: speed of the shaft.
        group: machine group, as in `zones`.
        support: `rigid` or `flexible`.
        table: a zone table in the packaged one's place.

    Raises:
        InputError: unit, speed, group or support missing (all that are missing are named); a unit of something else; a
            speed outside the standard; a rate too low for 1000 Hz; samples that are not finite, or all the same.
    """
    _refuse_missing(unit=unit, rpm=rpm, group=group, support=support)
    assert unit is not None
    assert rpm is not None
    assert group is not None
    assert support is not None
    limits = zones(group, support, table)
    band_hz = _band(Path(table) if table is not None else TABLE, rpm)
    motion, factor = units.motion(unit)
    samples = as_samples(x).astype(np.float64, copy=False)
    if samples.ndim != 1:
        raise InputError(f"x has the shape {samples.shape}: judge one record at a time")
    if samples.size and np.all(samples == samples[0]):
        raise InputError(f"x = {samples[0]:g} throughout: a machine that runs vibrates; is the sensor connected?")
    rms = _Rms(samples * factor, rate_hz, band_hz, motion)
    return _judged(rms, limits, rpm)


def _refuse_missing(**given: object) -> None:
    help_of = {
        "unit": "unit of the samples (m/s2, [g], mm/s, um)",
        "rpm": "speed of the shaft (rpm)",
        "group": "machine group (1: above 300 kW, 2: 15 to 300 kW, 3 and 4: pumps)",
        "support": "support (rigid or flexible)",
    }
    missing = [help_of[name] for name, value in given.items() if value is None]
    if missing:
        raise InputError(f"no severity without {'; '.join(missing)}")


def _band(path: Path, rpm: float) -> tuple[float, float]:
    data = _table(path)
    low, high = data.get("speed_rpm", [0.0, np.inf])
    if not low <= rpm <= high:
        raise InputError(f"rpm = {rpm}: {data.get('standard', path.name)} covers {low:g} to {high:g} rpm")
    slow = rpm <= data.get("slow_below_rpm", 0.0)
    band = data.get("slow_band_hz" if slow else "band_hz", [10.0, 1000.0])
    return float(band[0]), float(band[1])


@dataclass(frozen=True, slots=True, eq=False)
class _Rms:
    samples: Any
    rate_hz: float
    band_hz: tuple[float, float]
    motion: units.Motion

    def of(self, wanted: units.Motion) -> float:
        """In mm/s or um: displacement samples are in um, the others in mm."""
        rms = _core.band_rms(self.samples, self.rate_hz, self.band_hz, self.motion, wanted)
        um = (wanted == "displacement") - (self.motion == "displacement")
        return rms * 1000.0**um


def _judged(rms: _Rms, limits: Zones, rpm: float) -> Severity:
    velocity = rms.of("velocity")
    velocity_zone = _zone(velocity, limits.velocity_mm_s)
    displacement = rms.of("displacement") if limits.displacement_um else None
    displacement_zone = (
        _zone(displacement, limits.displacement_um) if limits.displacement_um and displacement is not None else None
    )
    worst = max(velocity_zone, displacement_zone or velocity_zone)
    return Severity(worst, velocity, velocity_zone, displacement, displacement_zone, rms.band_hz, rpm, limits)
