"""False alarms on normal data: a simulated plant without any fault through the embedded engine.

Every begin of an anomaly that the engine reports is a false alarm: what a person would have been told, suppression and
fusion applied. They are counted from the first reading on, and without the day and a twentieth in which assets are
learned. The interval is a bootstrap over assets (false alarms of one asset come in bunches, so single ones are not
independent); without any alarm it is the exact Poisson bound.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iotpm.evaluate.report import Cell, Options, Report
from iotpm.evaluate.report import Table as Lines
from iotpm.evaluate.simulated import DAY_S, INTERVAL_S, LEARNING_DAYS, SEED, WEEK_S, anomalies, batch_sizes
from iotpm.subjects import asset_of_signal

LAYOUT = "  nothing: the data are simulated"

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Batch:
    """Some assets of the plant; every batch is a plant of its own."""

    seed: int
    assets: int
    weeks: float


@dataclass(frozen=True, slots=True)
class Told:
    """What was reported of one batch."""

    learning: NDArray[np.int64]
    """Anomalies begun on each asset while they were learned."""
    later: NDArray[np.int64]
    """Anomalies begun on each asset after it."""
    kinds: Counter[str]
    """Detector and kind of the later ones."""
    readings: int


def run(_directory: Path, options: Options) -> Report:
    """Simulate `options.assets` assets for `options.weeks` weeks and count what is reported."""
    work = [Batch(SEED + number, size, options.weeks) for number, size in enumerate(batch_sizes(options.assets))]
    told = options.map(simulate, work, "false alarms")
    later = np.concatenate([batch.later for batch in told])
    learning = np.concatenate([batch.learning for batch in told])
    weeks = options.weeks - LEARNING_DAYS / 7.0
    rate, low, high = interval(later, weeks)
    rate_all, low_all, high_all = interval(learning + later, options.weeks)
    kinds = sum((batch.kinds for batch in told), Counter[str]())
    figures = {
        "per_asset_week": rate,
        "per_asset_week_low": low,
        "per_asset_week_high": high,
        "per_asset_week_from_the_start": rate_all,
        "per_asset_week_from_the_start_low": low_all,
        "per_asset_week_from_the_start_high": high_all,
        "per_asset_while_learning": float(learning.mean()),
        "assets_without_any": float((later == 0).mean()),
        "assets": options.assets,
        "weeks": options.weeks,
        "readings": sum(batch.readings for batch in told),
    }
    return Report(_title(options), _tables(figures, kinds), {**figures, "by_kind": dict(kinds.most_common())})


def _title(options: Options) -> str:
    return f"False alarms, {options.assets} simulated assets without a fault, {options.weeks:g} weeks, every 10 s"


def _tables(figures: dict[str, float | int], kinds: Counter[str]) -> list[Lines]:
    names: dict[str, str] = {
        "per_asset_week": "false alarms per asset and week, once it is learned",
        "per_asset_week_low": "  95 % interval, low",
        "per_asset_week_high": "  95 % interval, high",
        "per_asset_week_from_the_start": "false alarms per asset and week, nothing excluded",
        "per_asset_week_from_the_start_low": "  95 % interval, low",
        "per_asset_week_from_the_start_high": "  95 % interval, high",
        "per_asset_while_learning": "false alarms per asset in the first 25.2 hours, in which it is learned",
        "assets_without_any": "share of the assets without any after it",
        "readings": "readings",
    }
    lines: list[tuple[Cell, ...]] = [(text, figures[key]) for key, text in names.items()]
    total = max(1, kinds.total())
    shares: list[tuple[Cell, ...]] = [(kind, count, count / total) for kind, count in kinds.most_common(20)]
    return [
        Lines("False alarms", ("figure", "value"), lines, "Every begin of an anomaly that the engine reports counts."),
        Lines("By detector and kind, once learned", ("detector, kind", "alarms", "share"), shares),
    ]


def interval(counts: NDArray[np.int64], weeks: float) -> tuple[float, float, float]:
    """Rate per asset and week of counts (assets), with its 95 % interval."""
    rate, exposure = float(counts.mean()) / weeks, len(counts) * weeks
    if not counts.any():
        return 0.0, 0.0, float(-np.log((1.0 - CONFIDENCE) / 2.0)) / exposure
    drawn = np.random.default_rng(SEED).integers(0, len(counts), (RESAMPLES, len(counts)))
    means = counts[drawn].mean(axis=1) / weeks
    low, high = np.quantile(means, [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0])
    return rate, float(low), float(high)


def simulate(batch: Batch) -> Told:
    """Run one batch through an engine of its own; no message is encoded, readings are pushed as arrays."""
    from iotpm.engine import Engine
    from iotpm.simulate.plant import Plant

    plant = Plant(batch.assets, interval_s=INTERVAL_S, seed=batch.seed)
    engine = Engine(plant.templates())
    position = {asset: at for at, asset in enumerate(plant.assets)}
    counts, kinds = np.zeros((2, batch.assets), dtype=np.int64), Counter[str]()
    learnt_us, intervals = plant.start_us + int(LEARNING_DAYS * DAY_S * 1e6), round(batch.weeks * WEEK_S / INTERVAL_S)
    for begun in anomalies(plant, engine, intervals):
        later = begun.time_us >= learnt_us
        counts[int(later), position[asset_of_signal(begun.signal)]] += 1
        kinds[f"{begun.detector}, {begun.kind}"] += int(later)
    return Told(counts[0], counts[1], +kinds, intervals * len(plant.names))
