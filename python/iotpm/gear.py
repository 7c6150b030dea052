"""Gears: the lines of a mesh and its sidebands in a spectrum.

>>> from iotpm import gear, spectrum
>>> import numpy as np
>>> t = np.arange(25_600) / 25_600
>>> x = (1 + 0.2 * np.cos(2 * np.pi * 25 * t)) * np.sin(2 * np.pi * 25 * 23 * t)
>>> found = gear.mesh(spectrum.amplitude(x, 25_600), rpm=1500, teeth=23)
>>> round(found.mesh_hz), round(found.sideband_ratio, 2)
(575, 0.14)
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iotpm.errors import InputError
from iotpm.gear_pair import GearFrequencies, GearPair, MeshFamily, mesh_families

if TYPE_CHECKING:
    from iotpm.spectrum.types import Spectrum

__all__ = ["GearFrequencies", "GearPair", "Line", "Mesh", "MeshFamily", "mesh", "mesh_families"]

HARMONICS = 3
SIDEBANDS = 2


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the mesh: harmonic, sideband (0: the harmonic itself), amplitude, and power over the local noise."""

    harmonic: int
    sideband: int
    frequency_hz: float
    amplitude: float
    over_noise: float


@dataclass(frozen=True, slots=True)
class Mesh:
    """Lines of a gear mesh; what is missing from a spectrum that ends below them is left out."""

    mesh_hz: float
    lines: tuple[Line, ...]

    @property
    def harmonics(self) -> tuple[Line, ...]:
        """The lines that are no sidebands."""
        return tuple(line for line in self.lines if line.sideband == 0)

    @property
    def sideband_ratio(self) -> float:
        """RMS of the first harmonic's sidebands over its own, NaN if that is 0: grows with wear and eccentricity."""
        first = [line for line in self.lines if line.harmonic == 1]
        own = sum(line.amplitude**2 for line in first if line.sideband == 0)
        return math.sqrt(sum(line.amplitude**2 for line in first if line.sideband) / own) if own else math.nan

    def rows(self) -> list[dict[str, Any]]:
        """A row a line, for a table."""
        return [
            {"line": f"mesh {line.harmonic}" + (f" {line.sideband:+} shaft" if line.sideband else ""), **asdict(line)}
            for line in self.lines
        ]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "sideband_ratio": self.sideband_ratio}


def mesh(spectrum: Spectrum, rpm: float, teeth: int) -> Mesh:
    """Mesh frequency (teeth times shaft), three harmonics, and two sidebands a shaft frequency apart on either side.

    ISO 13373-2:2016; Randall, Vibration-based Condition Monitoring (2011), section 2.2.

    Args:
        spectrum: amplitudes, one-dimensional, with lines less than a fifth of the shaft's frequency apart.
        rpm: speed of the gear's shaft.
        teeth: of the gear.

    Raises:
        InputError: another kind of spectrum, lines too far apart, a speed or number of teeth that is not positive.
    """
    if spectrum.quantity != "amplitude" or spectrum.value.ndim != 1:
        raise InputError(f"spectrum: must be of amplitudes, one-dimensional; is of {spectrum.quantity}")
    if not (math.isfinite(rpm) and rpm > 0 and teeth >= 2):
        raise InputError(f"rpm = {rpm}, teeth = {teeth}: must be positive, and at least 2 teeth")
    shaft_hz = rpm / 60
    if spectrum.resolution_hz > shaft_hz / 5:
        raise InputError(
            f"lines are {spectrum.resolution_hz:.3g} Hz apart: sidebands of a shaft at {shaft_hz:.3g} Hz need at most "
            f"{shaft_hz / 5:.3g} Hz, a record of {5 / shaft_hz:.3g} s"
        )
    wanted = [(h, s) for h in range(1, HARMONICS + 1) for s in range(-SIDEBANDS, SIDEBANDS + 1)]
    lines = (_line(spectrum, shaft_hz, teeth, harmonic, sideband) for harmonic, sideband in wanted)
    return Mesh(teeth * shaft_hz, tuple(line for line in lines if line is not None))


def _line(spectrum: Spectrum, shaft_hz: float, teeth: int, harmonic: int, sideband: int) -> Line | None:
    frequency_hz = (harmonic * teeth + sideband) * shaft_hz
    at, around = round(frequency_hz / spectrum.resolution_hz), max(3, round(shaft_hz / 2 / spectrum.resolution_hz))
    if at + 1 >= spectrum.value.size:
        return None
    amplitude = float(spectrum.value[max(at - 1, 0) : at + 2].max())
    # The median of an exponential is ln 2 of its mean.
    noise = float(np.median(spectrum.value[max(at - around, 0) : at + around + 1] ** 2)) / math.log(2)
    return Line(harmonic, sideband, frequency_hz, amplitude, amplitude**2 / noise if noise else math.inf)
