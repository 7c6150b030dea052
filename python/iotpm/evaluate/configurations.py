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
BEST_HERE = "best here"


@dataclass(frozen=True)
class Configuration:
    """A row: its name and the arguments that differ from the default."""

    name: str = DEFAULT
    arguments: dict[str, Any] = field(default_factory=dict)


def one_signal(ablation: bool, best_here: dict[str, Any]) -> list[Configuration]:
    """Rows for benchmarks of single signals; `best_here` was chosen by looking at this benchmark."""
    from iotpm.detect import DEFAULT_DETECTORS

    rows = [
        Configuration(),
        Configuration(BEST_HERE, best_here),
        Configuration("basic", {"detectors": ("modified_z",)}),
    ]
    if ablation:
        for left_out in DEFAULT_DETECTORS:
            kept = tuple(name for name in DEFAULT_DETECTORS if name != left_out)
            rows.append(Configuration(f"without {left_out}", {"detectors": kept}))
    return rows


def many_signals(ablation: bool, best_here: dict[str, Any]) -> list[Configuration]:
    """Rows for benchmarks of assets; `best_here` was chosen by looking at this benchmark."""
    rows = [Configuration(), Configuration(BEST_HERE, best_here)]
    if ablation:
        rows.append(Configuration("without energy", {"energy": False}))
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
