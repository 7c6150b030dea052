"""A simulated plant through the embedded engine: what it begins to report, for the benchmarks that need no data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from iotpm._core import Table
    from iotpm.engine import Engine
    from iotpm.simulate.plant import Plant

BATCH_ASSETS, SEED, INTERVAL_S = 25, 20_260, 10.0
"""Assets of one task, first seed, seconds between the readings of a signal."""
LEARNING_DAYS = 1.05
"""Time in which an asset is learned by default."""
AT_ONCE = 180
"""Plant intervals handed to the engine in one call, by default."""
DAY_S, WEEK_S = 86_400.0, 604_800.0


@dataclass(frozen=True, slots=True)
class Begun:
    """An anomaly that began."""

    signal: str
    detector: str
    kind: str
    time_us: int
    contributors: tuple[str, ...]
    """Of an anomaly of an asset: its signals, greatest share first."""


def batch_sizes(assets: int) -> list[int]:
    """Numbers of assets of the tasks that `assets` are spread over."""
    return [min(BATCH_ASSETS, assets - at) for at in range(0, assets, BATCH_ASSETS)]


def anomalies(plant: Plant, engine: Engine, intervals: int, at_once: int = AT_ONCE) -> Iterator[Begun]:
    """What the engine begins to report over the next intervals of the plant, a tick after each `at_once` of them."""
    numbers = np.array([engine.signal_id(name) for name in plant.names], dtype=np.uint32)
    width = plant.signals_per_asset
    for first in range(0, intervals, at_once):
        ticks = [plant.step() for _ in range(min(at_once, intervals - first))]
        values = np.concatenate([tick.values.ravel() for tick in ticks])
        times = np.concatenate([np.repeat(tick.times_us, width) for tick in ticks])
        order = np.argsort(times, kind="stable")
        present = np.concatenate([tick.present.ravel() for tick in ticks])
        order = order[present[order]]
        signals = np.tile(numbers, len(ticks))[order]
        yield from _begun(engine.push(signals, times[order], values[order], times[order]).anomalies)
        yield from _begun(engine.tick(ticks[-1].end_us).anomalies)


def _begun(table: Table) -> Iterator[Begun]:
    import duckdb

    if not len(table):
        return
    query = "SELECT name, detector, kind, epoch_us(time), contributors FROM told WHERE state = 'begin'"
    with duckdb.connect() as connection:
        rows = connection.register("told", table).execute(query).fetchall()
    for signal, detector, kind, time_us, contributors in rows:
        yield Begun(signal, detector, kind, time_us, tuple(one["signal"] for one in json.loads(contributors or "[]")))
