"""IMS, bearings run to failure at the University of Cincinnati: a mean absolute amplitude a snapshot.

Set 1 ended with a defect of the inner race of bearing 3 and of a roller of bearing 4, set 2 with one of the outer
race of bearing 1. The others are healthy, but share shaft and housing with what fails: an alarm on any of them is a
false one, whenever it comes. The rule is in `iotpm.evaluate.run_to_failure`.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import numpy as np

from iotpm.errors import SourceError
from iotpm.evaluate import files, run_to_failure
from iotpm.evaluate.report import Options, Report
from iotpm.evaluate.run_to_failure import Trend

LAYOUT = """  merged_dataset_BearingTest_1.csv  ..._2.csv   a time, then `Bearing 1 C1` .. or `Bearing 1` .. (any)"""

_FAILED = {"1": {"Bearing 3", "Bearing 4"}, "2": {"Bearing 1"}}


def run(directory: Path, options: Options) -> Report:
    """Follow the runs found.

    Raises:
        InputError: none.
        SourceError: a file that cannot be read or is too short.
    """
    found = [path for path in files.below(directory, "*BearingTest_*.csv") if _number(path) in _FAILED]
    if not found:
        raise files.none_found(directory, LAYOUT)
    trends = [trend for path in found for trend in read(path)]
    if options.html is not None:
        run_to_failure.page(options.html, "IMS", trends)
    tables = [run_to_failure.changes_table("IMS", trends), run_to_failure.table("IMS", trends)]
    notes = ["the files hold mean absolute amplitudes only: no waveforms, so no element is diagnosed"]
    return Report(f"IMS, {len(found)} runs", tables, run_to_failure.json(trends), notes)


def _number(path: Path) -> str:
    match = re.search(r"BearingTest_(\d+)", path.stem)
    return match[1] if match else ""


def read(path: Path) -> list[Trend]:
    """The bearings of one run.

    Raises:
        SourceError: no times, no bearings, or values that are not finite.
    """
    table = files.columns(path)
    time, *sensors = table
    hours = _hours(path, table[time])
    bearings = dict.fromkeys(match[0] for name in sensors if (match := re.match(r"Bearing \d+", name)))
    if not bearings:
        raise SourceError(f"{path} has no column 'Bearing ..': it has {', '.join(table)}")
    values = {name: files.numbers(path, table, name) for name in sensors if name.startswith("Bearing ")}
    shared = run_to_failure.shared_ratio(list(values.values()), len(bearings))
    number = _number(path)
    return [
        Trend(f"set {number}", bearing, bearing in _FAILED[number], hours,
              {name: amplitude for name, amplitude in values.items() if re.match(rf"{bearing}\b", name)}, shared)
        for bearing in bearings
    ]  # fmt: skip


def _hours(path: Path, texts: list[str]) -> run_to_failure.Floats:
    try:
        times = [datetime.fromisoformat(text) for text in texts]
    except ValueError as error:
        raise SourceError(f"{path}: the first column must be times ({error})") from error
    return np.array([(time - times[0]).total_seconds() / 3600 for time in times])
