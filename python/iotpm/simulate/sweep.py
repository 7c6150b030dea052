"""Speed sweeps: coast-down, standstill, run-up, running at other speeds. They are no faults: nothing is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .noise import generator_of

if TYPE_CHECKING:
    from .noise import Floats
    from .plant import Plant

STILL = 0.02
"""Share of the usual speed below which the shaft counts as standing."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One asset's speed over time, as a factor on what it would be otherwise; 1 outside of its points."""

    asset: str
    """`site/asset`."""
    times_us: tuple[int, ...]
    """Event times, ascending."""
    factors: tuple[float, ...]
    """Factor at each of them, 0 to 1; straight lines between."""

    @property
    def start_us(self) -> int:
        """When the speed begins to change."""
        return self.times_us[0]

    @property
    def end_us(self) -> int:
        """When it is back at what it was."""
        return self.times_us[-1]

    def factor(self, time_us: int) -> float:
        """Factor on the speed at an event time."""
        return float(np.interp(time_us, self.times_us, self.factors, left=1.0, right=1.0))


@dataclass(frozen=True, slots=True)
class SweepSchedule:
    """One sweep of every asset in each `every_s`, drawn from (seed, asset name), like faults."""

    seed: int
    every_s: float = 7200.0
    levels: int = 2
    """Speeds at which it runs for a while before it is back at the usual one."""

    def sweeps(self, plant: Plant, start_us: int, end_us: int) -> list[Sweep]:
        """Sweeps that begin and end in [start_us, end_us), by asset and time."""
        return [sweep for name in plant.assets for sweep in self._of_asset(name, start_us, end_us)]

    def _of_asset(self, name: str, start_us: int, end_us: int) -> list[Sweep]:
        rng = generator_of(self.seed, "sweeps", name)
        found: list[Sweep] = []
        for begin_us in range(start_us, end_us, int(self.every_s * 1e6)):
            sweep = self._draw(rng, name, begin_us)
            if sweep.end_us <= end_us:
                found.append(sweep)
        return found

    def _draw(self, rng: np.random.Generator, name: str, begin_us: int) -> Sweep:
        """Coast-down, 5 to 10 min of standstill, a run-up to each level and 5 to 10 min there, then back."""
        at_s = self.every_s * 0.2 * rng.random()
        times, factors = [at_s], [1.0]

        def go(factor: float, ramp_s: float, hold_s: float) -> None:
            for seconds in (ramp_s, hold_s):
                times.append(times[-1] + seconds)
                factors.append(factor)

        go(0.0, rng.uniform(30.0, 60.0), rng.uniform(300.0, 600.0))
        for _ in range(self.levels):
            go(rng.uniform(0.5, 0.9), rng.uniform(30.0, 60.0), rng.uniform(300.0, 600.0))
        times.append(times[-1] + rng.uniform(30.0, 60.0))
        factors.append(1.0)
        return Sweep(name, tuple(begin_us + int(t * 1e6) for t in times), tuple(factors))


class Sweeps:
    """The sweeps of a plant by asset."""

    def __init__(self, assets: list[str]) -> None:
        self._index = {name: i for i, name in enumerate(assets)}
        self._of: dict[int, list[Sweep]] = {}

    def add(self, sweep: Sweep) -> None:
        """Adds a sweep. Raises KeyError for an asset that the plant does not have."""
        if sweep.asset not in self._index:
            raise KeyError(f"sweep of {sweep.asset!r}, which is no asset of this plant")
        self._of.setdefault(self._index[sweep.asset], []).append(sweep)

    def factors(self, times_us: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Floats:
        """Factor on the speed of every asset at its time, [A]."""
        factors = np.ones(len(times_us))
        for asset, sweeps in self._of.items():
            factors[asset] = min(sweep.factor(int(times_us[asset])) for sweep in sweeps)
        return factors

    def __bool__(self) -> bool:
        return bool(self._of)
