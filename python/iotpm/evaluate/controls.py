"""Scores that know nothing, to be printed beside every result: a measure that rewards them measures nothing.

`random`: independent uniform scores between 0 and 2, so that half of the rows are at or above the boundary of 1.0;
figures are means over `SEEDS`. `all_ones`: every row alarms. `constant`: the same score below the boundary for every
row, so none alarms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SEEDS = range(5)
"""Seeds of the random control."""

CONTROLS = ("random", "all_ones", "constant")


def random(rows: int, name: str, seed: int) -> Floats:
    """Uniform scores (rows) between 0 and 2 that depend on the file's name and the seed only."""
    key = np.frombuffer(name.encode(), dtype=np.uint8).tolist()
    return 2.0 * np.random.default_rng([seed, *key]).random(rows)


def all_ones(rows: int) -> Floats:
    """Every row alarms (rows)."""
    return np.ones(rows)


def constant(rows: int) -> Floats:
    """No row alarms (rows)."""
    return np.full(rows, 0.5)


def variants(control: str, rows: int, name: str) -> list[Floats]:
    """The scores (rows) of a control: one array for each seed, or one if it is not random."""
    match control:
        case "random":
            return [random(rows, name, seed) for seed in SEEDS]
        case "all_ones":
            return [all_ones(rows)]
        case _:
            return [constant(rows)]


def blind(rows: int, first: float = 0.2, last: float = 0.8) -> Floats:
    """An alarm from `first` to `last` of the rows (rows) and none elsewhere: what knowing the layout is worth."""
    position = np.arange(rows) / rows
    return np.where((position >= first) & (position < last), 1.0, 0.0)
