"""Pairs of gears: mesh frequencies and the sidebands of both shafts; offered by `iotpm.gear`.

Formulas with their sources: `iotpm-core`, `vibration::gear`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from iotpm import _core
from iotpm.errors import InputError
from iotpm.features import as_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iotpm.orders import OrderSpectrum
    from iotpm.spectrum.types import Spectrum

    Array = NDArray[np.float64]

__all__ = ["GearFrequencies", "GearPair", "MeshFamily", "mesh_families"]


@dataclass(frozen=True, slots=True)
class GearFrequencies:
    """Frequencies of a pair of gears.

    Attributes:
        pinion_hz: shaft of the pinion.
        wheel_hz: shaft of the wheel.
        mesh_hz: teeth meeting.
        assembly_phase_hz: mesh over the greatest common divisor of the teeth.
        hunting_tooth_hz: the same two teeth meeting.
    """

    pinion_hz: float
    wheel_hz: float
    mesh_hz: float
    assembly_phase_hz: float
    hunting_tooth_hz: float


@dataclass(frozen=True, slots=True)
class GearPair:
    """Two gears that mesh.

    Attributes:
        pinion_teeth: of the gear whose speed is given.
        wheel_teeth: of the other one.
    """

    pinion_teeth: int
    wheel_teeth: int

    def frequencies(self, pinion_rpm: float) -> GearFrequencies:
        """Frequencies with the pinion at a speed in revolutions a minute.

        Raises:
            InputError: teeth that are not 1 to 10,000, a speed that is not positive.
        """
        return GearFrequencies(*_core.gear_frequencies(*self._teeth(), pinion_rpm / 60.0))

    def _teeth(self) -> tuple[int, int]:
        for name, teeth in (("pinion_teeth", self.pinion_teeth), ("wheel_teeth", self.wheel_teeth)):
            if not 1 <= teeth <= 10_000:
                raise InputError(f"{name} = {teeth}: must be 1 to 10000")
        return self.pinion_teeth, self.wheel_teeth


@dataclass(frozen=True, slots=True, eq=False)
class MeshFamily:
    """A harmonic of the mesh with the sidebands of one shaft, as found in a spectrum.

    Attributes:
        harmonic: 1 is the mesh frequency itself.
        shaft: whose sidebands.
        frequency: from the lowest sideband over the harmonic to the highest, in Hz or orders: the harmonic where it was
            found, the sidebands as far from it as that speed puts them.
        amplitude: greatest line within the tolerance of the harmonic, within one line of each sideband; NaN outside the
            spectrum.
        sideband_ratio: sum of the sidebands over the harmonic; NaN where a line is missing.
    """

    harmonic: int
    shaft: Literal["pinion", "wheel"]
    frequency: Array
    amplitude: Array
    sideband_ratio: float


def mesh_families(
    of: Spectrum | OrderSpectrum,
    pair: GearPair,
    pinion_rpm: float | None = None,
    *,
    harmonics: int = 3,
    sidebands: int = 6,
    tolerance: float = 0.002,
) -> list[MeshFamily]:
    """Families of both shafts around each harmonic of the mesh, in one amplitude spectrum.

    Args:
        of: `iotpm.spectrum.amplitude`, or `iotpm.orders.spectrum` with the pinion's speed; one-dimensional.
        pair: the gears.
        pinion_rpm: speed of the pinion; an order spectrum needs none.
        harmonics: of the mesh, 1 to 100.
        sidebands: on either side, at most 100. Six make the ratio the sideband energy ratio.
        tolerance: a harmonic may be off by this share of its frequency, as the speed may be.

    Raises:
        InputError: a spectrum that is not of amplitudes or has more than one dimension, no speed for a spectrum in Hz,
            arguments outside their range.
    """
    spacing, pinion = _axis(of, pinion_rpm)
    harmonics, sidebands = as_count("harmonics", harmonics), as_count("sidebands", sidebands)
    found = _core.gear_families(of.value, spacing, *pair._teeth(), pinion, harmonics, sidebands, tolerance)
    return [MeshFamily(h, shaft, np.array(f), np.array(a), ratio) for h, shaft, f, a, ratio in found]


def _axis(of: Spectrum | OrderSpectrum, pinion_rpm: float | None) -> tuple[float, float]:
    """Distance of the lines and speed of the pinion, both in Hz or in orders."""
    if of.value.ndim != 1 or of.value.size < 2:
        raise InputError(f"of: shape {of.value.shape}; give one spectrum of at least two lines")
    if hasattr(of, "order"):
        return float(of.order[1]), 1.0
    if of.quantity != "amplitude":
        raise InputError(f"of: a spectrum of {of.quantity}; give one of amplitudes: iotpm.spectrum.amplitude")
    if pinion_rpm is None:
        raise InputError("pinion_rpm: a spectrum in hertz needs the speed of the pinion")
    return float(of.frequency_hz[1]), pinion_rpm / 60.0
