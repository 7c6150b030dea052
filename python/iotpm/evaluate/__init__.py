"""Benchmarks of the detectors on public data sets, each by its own protocol, with controls in every table.

`iotpm evaluate NAME DIR` imports the module of `BENCHMARKS[NAME]` and calls its `run(directory, options)`, which
returns a `Report`. Detectors run causally and read nothing of the labels; no prediction is ever point-adjusted,
because that lets random scores reach an F1 of .9 (Kim et al., "Towards a Rigorous Evaluation of Time-Series Anomaly
Detection", AAAI 2022).
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from iotpm.errors import InputError
from iotpm.evaluate.report import Options, Report, Table

__all__ = ["BENCHMARKS", "SIMULATED", "Benchmark", "Options", "Report", "Table", "benchmark"]

BENCHMARKS: dict[str, str] = {
    "nab": "iotpm.evaluate.nab",
    "skab": "iotpm.evaluate.skab",
    "tsb": "iotpm.evaluate.tsb",
    "tep": "iotpm.evaluate.tep",
    "smd": "iotpm.evaluate.smd",
    "asd": "iotpm.evaluate.asd",
    "cwru": "iotpm.evaluate.cwru",
    "ims": "iotpm.evaluate.ims",
    "pronostia": "iotpm.evaluate.pronostia",
    "false-alarms": "iotpm.evaluate.false_alarms",
    "feedback": "iotpm.evaluate.feedback",
    "faults": "iotpm.evaluate.faults",
}
"""Name on the command line -> module with `LAYOUT` and `run`."""

SIMULATED = frozenset({"false-alarms", "faults", "feedback"})
"""Benchmarks that make their own data and ignore the directory."""


class Benchmark(Protocol):
    """What a benchmark's module offers."""

    LAYOUT: str
    """The files that it expects, for `--help` and for the error of a wrong directory."""

    def run(self, directory: Path, options: Options) -> Report:
        """Score every file found below `directory`; InputError, with the layout, if there is none."""
        ...


def benchmark(name: str) -> Benchmark:
    """The benchmark called `name`.

    Raises:
        InputError: there is none of that name.
    """
    if name not in BENCHMARKS:
        raise InputError(f"no benchmark is called {name!r}: there are {', '.join(BENCHMARKS)}")
    return cast("Benchmark", importlib.import_module(BENCHMARKS[name]))
