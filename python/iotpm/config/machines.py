"""From `[[machine]]` to templates: what a name plate says, put into the library's templates of that kind."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from iotpm.config.library import Entry, Library, bearing_named, bearing_names, library, zone_limits
from iotpm.config.model import (
    AlarmLimits,
    BearingFacts,
    BearingGeometry,
    DetectorName,
    Machine,
    MachineFacts,
    States,
    Template,
    Waveforms,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotpm.config.mistakes import Path

POWER_OFF_SHARE = 0.02
"""Power below this share of the rated one is standstill: even an unloaded machine draws more."""
DIMENSIONS = ("elements", "element_diameter_mm", "pitch_diameter_mm")
REGIMES_MAX = 16
"""Bins of speed of a drive of variable speed, at most; the engine takes no more."""
_RULES: list[DetectorName] = ["limits", "rate_of_change", "flatline", "asset_model"]
"""Detectors of the speed of a variable drive: it is set, so a new level is no departure."""
REGIME_SHARE = 0.05
"""Width of a bin, as a share of the nominal speed, unless that gives too many."""


def expand(machine: Machine) -> tuple[Template, ...]:
    """The templates of a machine, in the library's order; the first match wins."""
    plan = library(machine.kind)
    facts = _facts(machine)
    return tuple(_template(machine, plan, entry, facts) for entry in plan.entries)


def check(machine: Machine) -> Iterator[tuple[Path, object, str]]:
    """Findings `(path, value, problem)` of a machine whose keys are right one by one."""
    yield from _bearing_findings(machine)
    yield from _speed_findings(machine)
    if machine.pattern.count("/") != 1:
        yield ("match",), machine.pattern, 'must be a pattern on site/asset, such as "plant/pump-*"'
    signal, level = _state_signal(machine)
    if signal is not None and level is None:
        needs = {machine.speed_signal: "speed_rpm or off_below", machine.power_signal: "power_kw or off_below"}
        key = next(k for k in ("speed_signal", "power_signal", "current_signal") if getattr(machine, k) == signal)
        yield (key,), signal, f"needs {needs.get(signal, 'off_below')}, to know standstill"
    if machine.off_below is not None and signal is None:
        yield ("off_below",), machine.off_below, "needs speed_signal, power_signal or current_signal"


def geometry_findings(geometry: BearingGeometry) -> Iterator[tuple[str, object, str]]:
    """Findings `(key, value, problem)` of a geometry whose keys are right one by one."""
    given = _given(geometry)
    if given and len(given) < len(DIMENSIONS):
        missing = ", ".join(key for key in DIMENSIONS if key not in given)
        yield given[0], getattr(geometry, given[0]), f"needs {missing} too"
    small, large = geometry.element_diameter_mm, geometry.pitch_diameter_mm
    if small is not None and large is not None and small >= large:
        yield "element_diameter_mm", small, f"must be below pitch_diameter_mm = {large}"


def _given(geometry: BearingGeometry) -> list[str]:
    return [key for key in DIMENSIONS if getattr(geometry, key) is not None]


def _bearing_findings(machine: Machine) -> Iterator[tuple[Path, object, str]]:
    for key, value, problem in geometry_findings(machine.bearing_geometry):
        yield ("bearing_geometry", key), value, problem
    if machine.bearing is None:
        return
    if _given(machine.bearing_geometry):
        yield ("bearing",), machine.bearing, "give a catalogue name or [machine.bearing_geometry], not both"
    elif bearing_named(machine.bearing) is None:
        known = ", ".join(bearing_names())
        yield ("bearing",), machine.bearing, f"must be one of {known}, or give [machine.bearing_geometry]"


def _speed_findings(machine: Machine) -> Iterator[tuple[Path, object, str]]:
    lowest, nominal = machine.speed_min_rpm, machine.speed_rpm
    if lowest is not None and nominal is None:
        yield ("speed_min_rpm",), lowest, "needs speed_rpm"
    elif lowest is not None and nominal is not None and lowest >= nominal:
        yield ("speed_min_rpm",), lowest, f"must be below speed_rpm = {nominal}"


def _facts(machine: Machine) -> MachineFacts:
    return MachineFacts(
        kind=machine.kind,
        speed_rpm=machine.speed_rpm,
        power_kw=machine.power_kw,
        group=machine.group or _group(machine.power_kw),
        mounting=machine.mounting,
        bearing=_bearing(machine),
        gear_teeth=machine.gear_teeth,
    )


def _group(power_kw: float | None) -> int | None:
    """Group of ISO 20816-3 by rated power; smaller machines are outside of its scope."""
    if power_kw is None or power_kw < 15:
        return None
    return 1 if power_kw > 300 else 2


def _bearing(machine: Machine) -> BearingFacts:
    if machine.bearing is not None:
        return bearing_named(machine.bearing) or BearingFacts(name=machine.bearing)
    geometry = machine.bearing_geometry
    return BearingFacts(**{key: getattr(geometry, key) for key in geometry.__struct_fields__})


def _template(machine: Machine, plan: Library, entry: Entry, facts: MachineFacts) -> Template:
    return Template(
        pattern=f"{machine.pattern}/{entry.signal}",
        unit=machine.vibration_unit if entry.severity else None,
        kind=entry.kind,
        limits=_limits(machine, facts) if entry.severity else AlarmLimits(),
        state=_states(machine, plan, entry),
        machine=facts,
        waveform=_waveforms(facts),
        detectors=_RULES if entry.kind == "speed" and machine.speed_min_rpm is not None else None,
        failure_mode=entry.failure_mode,
    )


def _limits(machine: Machine, facts: MachineFacts) -> AlarmLimits:
    """Zone boundaries B/C and C/D; none without unit, group and mounting, for the standard judges nothing then."""
    if machine.vibration_unit != "mm/s" or facts.group is None or facts.mounting is None:
        return AlarmLimits()
    unsatisfactory, unacceptable = zone_limits(facts.group, facts.mounting)
    return AlarmLimits(hi=unsatisfactory, hi_hi=unacceptable)


def _state_signal(machine: Machine) -> tuple[str | None, float | None]:
    """The signal that tells the state, and the level below which the machine stands still."""
    if machine.speed_signal is not None:
        share = library(machine.kind).off_share
        return machine.speed_signal, machine.off_below or _scaled(machine.speed_rpm, share)
    if machine.power_signal is not None:
        return machine.power_signal, machine.off_below or _scaled(machine.power_kw, POWER_OFF_SHARE)
    return machine.current_signal, machine.off_below


def _scaled(value: float | None, share: float) -> float | None:
    return None if value is None else value * share


def _states(machine: Machine, plan: Library, entry: Entry) -> States:
    signal, off_below = _state_signal(machine)
    if signal is None:
        return States()
    settle_s, load = entry.settle_s, machine.load_signal
    if machine.speed_signal is None:
        return States(
            signal=signal, off_below=off_below, coast_down_s=plan.coast_down_s, settle_s=settle_s, load_signal=load
        )
    return States(
        signal=signal,
        off_below=off_below,
        running_above=_running_above(machine, plan, off_below),
        rate_per_s=_scaled(machine.speed_rpm, plan.rate_share_per_s),
        settle_s=settle_s,
        load_signal=load,
        regimes=_regimes(machine),
    )


def _running_above(machine: Machine, plan: Library, off_below: float | None) -> float | None:
    """A tenth below the lowest speed of a variable drive; else the library's share of the nominal speed."""
    level = _scaled(machine.speed_min_rpm, 0.9) or _scaled(machine.speed_rpm, plan.running_share)
    return level if level is None or off_below is None else max(level, off_below)


def _regimes(machine: Machine) -> tuple[float, ...]:
    """Equal bins of speed between the lowest and the nominal one."""
    if machine.speed_min_rpm is None or machine.speed_rpm is None:
        return ()
    span = machine.speed_rpm - machine.speed_min_rpm
    bins = min(REGIMES_MAX - 1, max(1, math.ceil(span / (REGIME_SHARE * machine.speed_rpm))))
    # The nominal speed lies within the last bin, not on a bound.
    return tuple(machine.speed_min_rpm + span * (number + 0.5) / bins for number in range(bins))


def _waveforms(facts: MachineFacts) -> Waveforms:
    speed_hz = _scaled(facts.speed_rpm, 1 / 60)
    orders = bearing_orders(facts.bearing)
    if orders is None:
        return Waveforms(speed_hz=speed_hz)
    bpfo, bpfi, bsf, ftf = orders
    return Waveforms(speed_hz=speed_hz, bpfo=bpfo, bpfi=bpfi, bsf=bsf, ftf=ftf)


def bearing_orders(bearing: BearingFacts) -> tuple[float, float, float, float] | None:
    """BPFO, BPFI, BSF, FTF as multiples of the shaft's speed; None without geometry."""
    from iotpm import _core

    elements, small, large = bearing.elements, bearing.element_diameter_mm, bearing.pitch_diameter_mm
    if elements is None or small is None or large is None:
        return None
    return _core.bearing_orders((elements, small, large, bearing.contact_angle_deg))
