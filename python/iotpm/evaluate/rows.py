"""From figures by row to tables and JSON, the same way for every benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from iotpm.evaluate.configurations import DEFAULT
from iotpm.evaluate.report import Cell, Table

Figures = dict[str, float | None]
"""Figures of one row by name."""


def table(title: str, columns: Mapping[str, str], rows: Mapping[str, Figures], note: str) -> Table:
    """A table with a line for each of `rows` and a column for each of `columns`: name of a figure -> heading."""
    lines: list[tuple[Cell, ...]] = [(name, *(row.get(key) for key in columns)) for name, row in rows.items()]
    return Table(title, ("configuration", *columns.values()), lines, note)


def as_json(configured: Mapping[str, Figures], controls: Mapping[str, Figures]) -> dict[str, Any]:
    """Figures of the default at the top, `controls` and the other `configurations` beside them."""
    others = {name: row for name, row in configured.items() if name != DEFAULT}
    return {**configured[DEFAULT], "controls": dict(controls), "configurations": others}


def mean(rows: list[Figures]) -> Figures:
    """Mean of each figure over rows of the same names; None where any has none."""
    return {key: _mean([row[key] for row in rows]) for key in rows[0]}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None
