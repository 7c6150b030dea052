"""Vibration of a bearing as frames: shaft harmonics, noise, and impacts of an outer race that grow.

A defect strikes once a ball pass; each strike rings the housing like a damped oscillator, and balls slip, so that
strikes come at intervals that scatter by a percent (Randall and Antoni, Rolling element bearing diagnostics - a
tutorial, Mechanical Systems and Signal Processing 25 (2011) 485, section 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from .. import frames
from ..virtual import Messages
from .noise import generator_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..subjects import Names

_HARMONICS: Final = (1.0, 0.5, 0.25)
_SLIP: Final = 0.01
_DAMPING: Final = 0.05
_RING_PERIODS: Final = 20


@dataclass(frozen=True, slots=True)
class BearingVibration:
    """Acceleration of a housing, m/s2; a frame depends on its start, its length and the seed alone."""

    rate_hz: float = 12_800.0
    speed_hz: float = 25.0
    bpfo: float = 3.5848
    """Ball passes of the outer race a turn (6205: 3.5848)."""
    resonance_hz: float = 3_000.0
    unbalance: float = 1.0
    """Amplitude at the speed of the shaft; two harmonics follow with a half and a quarter."""
    noise_sd: float = 0.3
    onset_s: float = 60.0
    """When the defect begins."""
    growth_per_s: float = 0.2
    """How much the amplitude of a strike grows a second."""
    seed: int = 0

    def frame(self, start_s: float, seconds: float = 1.0) -> NDArray[np.float32]:
        """Samples from `start_s` on, [seconds * rate_hz]."""
        n = round(seconds * self.rate_hz)
        at_s = start_s + np.arange(n) / self.rate_hz
        random = generator_of(self.seed, "bearing", f"{start_s:.6f}")
        turns = 2 * np.pi * self.speed_hz * at_s
        shaft = sum(self.unbalance * part * np.sin((k + 1) * turns) for k, part in enumerate(_HARMONICS))
        x = shaft + self.noise_sd * random.standard_normal(n) + self._strikes(start_s, n, random)
        return np.asarray(x, dtype=np.float32)

    def _strikes(self, start_s: float, n: int, random: np.random.Generator) -> NDArray[np.float64]:
        passes_hz = self.bpfo * self.speed_hz
        first, last = start_s * passes_hz, (start_s + n / self.rate_hz) * passes_hz
        numbers = np.arange(np.ceil(first), np.floor(last))
        when_s = (numbers + _SLIP * random.standard_normal(numbers.size)) / passes_hz
        at = np.clip(np.round((when_s - start_s) * self.rate_hz).astype(np.int64), 0, n - 1)
        struck = np.zeros(n)
        np.add.at(struck, at, self.growth_per_s * np.maximum(when_s - self.onset_s, 0.0))
        return np.convolve(struck, self._ring())[:n]

    def _ring(self) -> NDArray[np.float64]:
        """What the housing does after one strike of 1 m/s2."""
        t = np.arange(round(_RING_PERIODS * self.rate_hz / self.resonance_hz)) / self.rate_hz
        turns = 2 * np.pi * self.resonance_hz * t
        return np.asarray(np.exp(-_DAMPING * turns) * np.sin(turns), dtype=np.float64)


def frame_messages(
    names: Names,
    source: BearingVibration,
    start_us: int,
    count: int,
    *,
    site: str = "plant",
    asset: str = "pump",
    signal: str = "vibration",
    seconds: float = 1.0,
    interval_s: float = 1.0,
) -> Iterator[Messages]:
    """`count` frames of a signal, one every `interval_s`, each when its last sample was taken, and ticks between."""
    subject = names.raw(site, asset)
    for number in range(count):
        offset_s = number * interval_s
        first_us = start_us + round(offset_s * 1e6)
        payload = frames.encode(
            source.frame(offset_s, seconds), start_us=first_us, rate_hz=source.rate_hz, signal=signal, unit="m/s2"
        )
        out = Messages()
        out.add(subject, payload, first_us + round(seconds * 1e6), 1)
        out.tick(names, first_us + round(max(seconds, interval_s) * 1e6))
        yield out
