"""What a benchmark is given and what it gives back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Cell = str | float | int | None
"""A cell of a table; None is shown as `-`."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a report; the first column names what a row is about."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    note: str = ""
    """How the figures are to be read: protocol, unit, what is a control."""


@dataclass(slots=True)
class Report:
    """Result of one benchmark."""

    title: str
    """Name of the benchmark and what of it was found, such as `NAB, 43 of 43 labelled series`."""
    tables: list[Table]
    json: dict[str, Any]
    """The figures of the default configuration by name, `controls` with the same names, and the rest of the tables."""
    notes: list[str] = field(default_factory=list)
    """What was left out and why."""


Progress = Callable[[str, int, int], None]
"""Called with (what is being done, how many are done, of how many)."""


def _silent(_what: str, _done: int, _total: int) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a benchmark."""

    workers: int = field(default_factory=lambda: max(1, len(os.sched_getaffinity(0))))
    """Processes; 1 runs everything in this one. Never changes a figure."""
    ablation: bool = False
    """Also a row for the default configuration without each of its detectors."""
    progress: Progress = _silent
    html: Path | None = None
    """Where to write a page of figures, of the benchmarks that have some: cwru, ims, pronostia."""
    assets: int = 100
    """Simulated assets; only for benchmarks that need no data."""
    weeks: float = 4.0
    """Simulated weeks; only for benchmarks that need no data."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item], what: str) -> list[Result]:
        """`function` of each item, on all cores, in the items' order; an exception of any ends the others.

        `function` and the items must be picklable (a function of a module): workers are fresh processes.
        """
        from iotpm.evaluate.workers import run_all

        return run_all(function, list(items), self.workers, lambda done, total: self.progress(what, done, total))
