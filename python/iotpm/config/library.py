"""The library of templates by kind of machine, and the tables of bearings and severity zones that they draw on."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta

from iotpm.config.model import BearingFacts, FailureMode, MachineKind, NotNegative, Section

KINDS: tuple[str, ...] = get_args(MachineKind)


class Entry(Section, frozen=True, kw_only=True):
    """What the library says of the signals of a machine whose name matches `signal`."""

    signal: Annotated[str, Meta(min_length=1)]
    kind: str | None = None
    failure_mode: FailureMode | None = None
    settle_s: NotNegative = 0.0
    severity: bool = False
    """Broad-band vibration that the zones of ISO 20816-3 apply to, if its unit is mm/s."""


class Library(Section, frozen=True, kw_only=True, rename={"entries": "template"}):
    """One file of the library; keys and provenance are explained in the files themselves."""

    kind: MachineKind
    description: str
    off_share: Annotated[float, Meta(gt=0, lt=1)]
    running_share: Annotated[float, Meta(gt=0, le=1)]
    rate_share_per_s: Annotated[float, Meta(gt=0)]
    coast_down_s: NotNegative
    entries: tuple[Entry, ...]


@cache
def library(kind: str) -> Library:
    """The templates of a kind of machine, one of `KINDS`."""
    return msgspec.convert(_toml("templates", f"{kind}.toml"), Library, strict=True)


@cache
def failure_modes() -> dict[str, str]:
    """Codes of ISO 14224 and what they mean."""
    return msgspec.convert(_toml("templates", "failure_modes.toml"), dict[str, str])


def bearing_named(name: str) -> BearingFacts | None:
    """Geometry of the catalogue entry that `iotpm.bearing.find` takes a name for, or None."""
    from iotpm import bearing

    key = bearing.catalogue_key(name)
    if key is None:
        return None
    found = bearing.catalogue()[key]
    return BearingFacts(
        name=key,
        elements=found.balls,
        element_diameter_mm=found.ball_diameter_mm,
        pitch_diameter_mm=found.pitch_diameter_mm,
        contact_angle_deg=found.contact_angle_deg,
    )


def bearing_names() -> list[str]:
    """Names of the catalogue."""
    return sorted(_toml("data", "bearings.toml"))


def zone_limits(group: int, mounting: str) -> tuple[float, float]:
    """Boundaries B/C and C/D of velocity RMS, mm/s, of ISO 20816-3 (`iotpm/data/iso20816.toml`)."""
    _, unsatisfactory, unacceptable = _toml("data", "iso20816.toml")["group"][str(group)][mounting]["velocity_mm_s"]
    return float(unsatisfactory), float(unacceptable)


@cache
def _toml(folder: str, name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("iotpm").joinpath(folder, name).read_text("utf-8"))
