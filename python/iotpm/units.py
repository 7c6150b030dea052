"""Units of vibration (UCUM), converted explicitly; a wrong unit is an error, never a silent factor."""

from __future__ import annotations

from typing import Final, Literal

from iotpm import _core
from iotpm.errors import InputError

Motion = Literal["displacement", "velocity", "acceleration"]

BASE: Final[dict[Motion, str]] = {"displacement": "um", "velocity": "mm/s", "acceleration": "mm/s2"}
"""Unit of each motion here."""


def factor(from_unit: str, to_unit: str) -> float:
    """What to multiply by to come from one unit to the other.

    Raises:
        InputError: an unknown unit, or two of different quantities; names both.
    """
    if not from_unit or not to_unit:
        raise InputError(f"a unit is missing: from {from_unit!r} to {to_unit!r}")
    scale, offset = _core.unit_conversion(from_unit, to_unit)
    if offset:
        raise InputError(f"{from_unit} to {to_unit}: their zeros differ, so a factor does not convert them")
    return scale


def motion(unit: str) -> tuple[Motion, float]:
    """What a unit of vibration measures, and the factor to its unit in `BASE`.

    >>> motion("mm/s")
    ('velocity', 1.0)

    Raises:
        InputError: a unit of something else. `g` is the gram in UCUM; acceleration in multiples of gravity is `[g]`.
    """
    for kind, base in BASE.items():
        try:
            return kind, factor(unit, base)
        except InputError:
            continue
    hint = " (g is the gram: multiples of gravity are [g])" if unit.strip() == "g" else ""
    raise InputError(f"unit {unit!r}{hint}: must be one of acceleration, velocity or displacement: m/s2, [g], mm/s, um")
