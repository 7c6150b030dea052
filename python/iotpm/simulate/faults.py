"""Labelled faults: what they do to a signal is in `plant.py`, how large and how long they are is here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from ..subjects import asset_of_signal
from .noise import generator_of

if TYPE_CHECKING:
    import numpy as np

    from .plant import Plant

FaultKind = Literal["spike", "drift", "stuck", "noise", "level_shift", "dropout", "bearing"]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


@dataclass(frozen=True, slots=True)
class Fault:
    """One injected fault, labelled; active for event times in [start_us, end_us)."""

    signal: str
    """Full name `site/asset/signal`; of an asset-wide fault, the signal that shows it most."""
    kind: FaultKind
    start_us: int
    end_us: int
    magnitude: float = 0.0
    """In units of the signal's scatter (see `Plant.scatter`), signed; unused by `stuck` and `dropout`."""
    also: tuple[str, ...] = ()
    """Other signals of the same asset that show it."""

    @property
    def signals(self) -> tuple[str, ...]:
        """All signals that show it."""
        return (self.signal, *self.also)

    @property
    def asset(self) -> str:
        """`site/asset`."""
        return asset_of_signal(self.signal)


@dataclass(frozen=True, slots=True)
class FaultSize:
    """Ranges from which a fault of one kind is drawn, uniformly."""

    duration_s: tuple[float, float]
    duration_intervals: tuple[int, int]
    """It lasts at least this many sampling intervals, whatever the interval."""
    magnitude: tuple[float, float]


SIZES: dict[FaultKind, FaultSize] = {
    "spike": FaultSize((0.0, 0.0), (1, 2), (10.0, 20.0)),
    "drift": FaultSize((600.0, 900.0), (60, 90), (12.0, 20.0)),
    "stuck": FaultSize((480.0, 720.0), (48, 72), (0.0, 0.0)),
    "noise": FaultSize((180.0, 360.0), (18, 36), (4.0, 8.0)),
    "level_shift": FaultSize((300.0, 600.0), (30, 60), (8.0, 14.0)),
    "dropout": FaultSize((240.0, 480.0), (24, 48), (0.0, 0.0)),
    "bearing": FaultSize((900.0, 1200.0), (90, 120), (12.0, 20.0)),
}
"""Sizes by kind; reasons in `docs/simulator.md`."""


@dataclass(frozen=True, slots=True)
class FaultSchedule:
    """Faults at random: on each asset a Poisson process of `rate_per_asset_hour`, with `guard_s` of health after each.

    Drawn from a generator seeded by (seed, asset name): an asset's faults do not depend on the other assets, nor on how
    long the run is.
    """

    seed: int
    rate_per_asset_hour: float = 0.25
    guard_s: float = 600.0
    kinds: Sequence[FaultKind] = FAULT_KINDS

    def faults(self, plant: Plant, start_us: int, end_us: int) -> list[Fault]:
        """Faults of all assets that start in [start_us, end_us), by start; `start_us` is the end of the pre-roll.

        Raises ValueError for a rate that is not a finite number >= 0.
        """
        if not (math.isfinite(self.rate_per_asset_hour) and self.rate_per_asset_hour >= 0):
            raise ValueError(f"rate_per_asset_hour {self.rate_per_asset_hour} is not a finite number >= 0")
        if self.rate_per_asset_hour == 0:
            return []
        found = [f for asset in range(plant.asset_count) for f in self._of_asset(plant, asset, start_us, end_us)]
        return sorted(found, key=lambda fault: (fault.start_us, fault.signal))

    def _of_asset(self, plant: Plant, asset: int, start_us: int, end_us: int) -> list[Fault]:
        rng = generator_of(self.seed, "faults", plant.assets[asset])
        mean_gap_us = 3.6e9 / self.rate_per_asset_hour
        faults: list[Fault] = []
        at_us = start_us + int(rng.exponential(mean_gap_us))
        while at_us < end_us:
            faults.append(self._draw(rng, plant, asset, at_us))
            at_us = faults[-1].end_us + int(self.guard_s * 1e6 + rng.exponential(mean_gap_us))
        return faults

    def _draw(self, rng: np.random.Generator, plant: Plant, asset: int, at_us: int) -> Fault:
        kind = self.kinds[int(rng.integers(len(self.kinds)))]
        column, share, size = int(rng.integers(plant.signals_per_asset)), rng.random(), SIZES[kind]
        duration_s = max(
            _between(size.duration_s, share), round(_between(size.duration_intervals, share)) * plant.interval_s
        )
        magnitude = _between(size.magnitude, rng.random()) * (1.0 if rng.random() < 0.5 else -1.0)
        end_us = at_us + int(duration_s * 1e6)
        shown = plant.bearing_signals(asset)
        if kind == "bearing" and shown:
            return Fault(shown[0], kind, at_us, end_us, abs(magnitude), shown[1:])
        kind = "drift" if kind == "bearing" else kind
        name = plant.names[asset * plant.signals_per_asset + column]
        return Fault(name, kind, at_us, end_us, plant.fitting_direction(name, magnitude))


def _between(span: tuple[float, float], share: float) -> float:
    return span[0] + (span[1] - span[0]) * share
