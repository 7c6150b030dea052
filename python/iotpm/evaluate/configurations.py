"""The configurations that become rows of the tables: one default for everything, and what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from iotpm.detect import Multivariate

Floats = NDArray[np.float64]

DEFAULT = "default"
BASIC = "basic"


@dataclass(frozen=True)
class Configuration:
    """A row: its name and the arguments that differ from the default."""

    name: str = DEFAULT
    arguments: dict[str, Any] = field(default_factory=dict)


TIMED = ("day", "seasonal", "frozen_baseline")
"""Detectors of one signal that need the readings' times."""


def _best(arguments: dict[str, Any]) -> Configuration:
    """The row of the arguments that did best on one benchmark."""
    told = [f"{key} {'+'.join(value) if isinstance(value, tuple) else value}" for key, value in arguments.items()]
    return Configuration(f"best here: {', '.join(told) or 'the default'}", arguments)


def one_signal(ablation: bool, best_here: dict[str, Any], *, timed: bool) -> list[Configuration]:
    """Rows for benchmarks of single signals; `best_here` was chosen by looking at this benchmark.

    `basic` is the modified z-score of the last 100 readings, the statistic behind the detector set of that name.
    """
    rows = [Configuration(), _best(best_here), Configuration(BASIC)]
    if not ablation:
        return rows
    used, opt_in = _detectors(timed)
    for name in used:
        rows.append(Configuration(f"without {name}", {"detectors": tuple(kept for kept in used if kept != name)}))
    return rows + [Configuration(f"with {name}", {"detectors": (*used, name)}) for name in opt_in]


def _detectors(timed: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Detectors of one signal that the default uses, and those that it does not."""
    from iotpm.detect import DEFAULT_DETECTORS, series_detectors

    usable = [name for name in series_detectors() if timed or name not in TIMED]
    return tuple(n for n in usable if n in DEFAULT_DETECTORS), tuple(n for n in usable if n not in DEFAULT_DETECTORS)


def score_signal(
    values: Floats, times_us: NDArray[np.int64] | None, warm_up: int, configuration: Configuration
) -> Floats:
    """Scores (n) of one signal, causal; 1.0 is the boundary, 0 in the first `warm_up` readings."""
    from iotpm.detect import modified_z, score_series

    if configuration.name == BASIC:
        scores = np.nan_to_num(modified_z(values), nan=0.0)
        scores[:warm_up] = 0.0
        return scores
    raw = score_series(values, times_us, warm_up=warm_up, **configuration.arguments)
    return np.nan_to_num(np.asarray(raw, dtype=np.float64), nan=0.0)


def many_signals(ablation: bool, best_here: dict[str, Any]) -> list[Configuration]:
    """Rows for benchmarks of assets; `best_here` was chosen by looking at this benchmark."""
    rows = [Configuration(), _best(best_here), Configuration("without energy", {"energy": False})]
    if ablation:
        rows.append(Configuration("without cleaning", {"clean": False}))
        rows += [Configuration(m, {"method": m}) for m in ("mahalanobis", "pca", "isolation_forest")]
    return rows


def fit(train: Floats, configuration: Configuration) -> Multivariate:
    """A model of the healthy rows `train` (n, p)."""
    from iotpm.detect import Multivariate

    return Multivariate.fit(train, **configuration.arguments)


def score_rows(model: Multivariate, rows: Floats) -> Floats:
    """Scores (m) of rows (m, p), a fresh stream; 1.0 is the boundary, 0 where the model says nothing."""
    model.reset()
    return np.nan_to_num(np.asarray(model.score(rows), dtype=np.float64), nan=0.0)
