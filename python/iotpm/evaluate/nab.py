"""NAB, the Numenta Anomaly Benchmark: 5-minute series of one value with labelled windows.

A detector sees a file from its first reading; scores of the first 15 %, at most 750 readings, count for nothing. An
alarm must exceed every score of the last 100 readings (`record_filter`). The benchmark chooses the threshold that is
best by the labels; the frozen score beside it alarms at 1.0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iotpm.errors import InputError, SourceError
from iotpm.evaluate import controls, files, rows
from iotpm.evaluate.configurations import DEFAULT, Configuration, one_signal, score_signal
from iotpm.evaluate.metrics.nab import PROFILES, Labelled, curve, probation, record_filter
from iotpm.evaluate.report import Cell, Options, Report, Table
from iotpm.evaluate.rows import Figures

Floats = NDArray[np.float64]

LAYOUT = """  labels/combined_windows.json     windows by file (also found in a folder above)
  data/<group>/<name>.csv          columns timestamp, value (any subset)"""

BEST: dict[str, Any] = {}

COLUMNS = {
    "standard": "standard",
    "low_fp": "low FP",
    "low_fn": "low FN",
    "standard_frozen_threshold": "standard at 1.0",
    "low_fp_frozen_threshold": "low FP at 1.0",
    "low_fn_frozen_threshold": "low FN at 1.0",
    "windows_missed": "windows missed at 1.0",
    "false_alarms_per_1000": "false alarms per 1000 at 1.0",
}

NOTE = (
    "0: no alarm at all, 100: the first row of each window and nothing else. The first three columns choose their "
    "threshold by the labels, as the benchmark does; at 1.0 no label is used."
)


@dataclass(frozen=True, slots=True)
class File:
    """One labelled series."""

    name: str
    path: Path
    windows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Series:
    """What a file holds: times (n) in microseconds, values (n), windows as (first, last) row."""

    times_us: NDArray[np.int64]
    values: Floats
    windows: list[tuple[int, int]]


def run(directory: Path, options: Options) -> Report:
    """Score the labelled series found.

    Raises:
        InputError: no labels, or no labelled series.
        SourceError: a file that cannot be read.
    """
    found, notes = find(directory)
    labelled = {file.name: _labelled(file) for file in found}
    configurations = one_signal(options.ablation, BEST, timed=True)
    work = [(file, configuration) for configuration in configurations for file in found]
    scores = iter(options.map(_scores, work, "NAB"))
    scored = {c.name: [(labelled[f.name], next(scores)) for f in found] for c in configurations}
    configured = {name: _figures(each) for name, each in scored.items()}
    ignorant = {name: _control(name, labelled) for name in controls.CONTROLS}
    title = f"NAB, {len(found)} labelled series, {sum(each.windows for each in labelled.values())} windows"
    result = rows.as_json(configured, ignorant) | {"files": len(found)}
    tables = [rows.table("NAB", COLUMNS, configured | ignorant, NOTE), _by_file(found, scored[DEFAULT])]
    return Report(title, tables, result, notes)


def find(directory: Path) -> tuple[list[File], list[str]]:
    """The labelled series below `directory`, and notes on what is left out."""
    labels = _labels(directory)
    named = list(files.shared_root(files.below(directory, "*.csv"), 2))
    found = [File(name, path, tuple((a, b) for a, b in labels[name])) for name, path in named if name in labels]
    if not found:
        raise files.none_found(directory, LAYOUT)
    unlabelled = [name for name, _ in named if name not in labels]
    missing = len(labels) - len(found)
    notes = [f"{missing} of {len(labels)} labelled series are not there"] if missing else []
    notes += [f"{len(unlabelled)} series without labels left out, such as {unlabelled[0]}"] if unlabelled else []
    return found, notes


def _labels(directory: Path) -> dict[str, list[list[str]]]:
    """The label file in the directory, below it or in one above."""
    inside = files.below(directory, "combined_windows.json") if directory.is_dir() else []
    above = [folder / "labels" / "combined_windows.json" for folder in directory.resolve().parents[:4]]
    for path in [*inside, *(path for path in above if path.is_file())]:
        try:
            labels: dict[str, list[list[str]]] = json.loads(path.read_text())
        except ValueError as error:
            raise SourceError(f"{path} is not JSON: {error}") from error
        return labels
    raise InputError(f"{directory}: no combined_windows.json in it or above; pass the folder that holds\n{LAYOUT}")


def read(file: File) -> Series:
    """The series of one file, with its windows as rows."""
    table = files.columns(file.path)
    values = files.numbers(file.path, table, "value")
    times = _microseconds(file.path, table.get("timestamp", []))
    ends = [_microseconds(file.path, list(window)) for window in file.windows]
    return Series(times, values, [_rows(file, times, first, last) for first, last in ends])


def _microseconds(path: Path, texts: list[str]) -> NDArray[np.int64]:
    try:
        stamps = [datetime.fromisoformat(text) for text in texts]
        return np.array(stamps, dtype="datetime64[us]").astype(np.int64)
    except ValueError as error:
        raise SourceError(f"{path}, column 'timestamp': {error}") from error


def _rows(file: File, times: NDArray[np.int64], first_us: int, last_us: int) -> tuple[int, int]:
    """First and last row of a window; times may repeat where a clock was set back."""
    inside = np.flatnonzero((times >= first_us) & (times <= last_us))
    if len(inside) == 0:
        raise SourceError(f"{file.path}: a labelled window of {file.name} lies outside its readings")
    first, last = np.flatnonzero(times == first_us), np.flatnonzero(times == last_us)
    return int(first[0] if len(first) else inside[0]), int(last[0] if len(last) else inside[-1])


def _labelled(file: File) -> Labelled:
    series = read(file)
    return Labelled.of(len(series.values), series.windows)


def _scores(work: tuple[File, Configuration]) -> Floats:
    """What one configuration says of one file, record filter applied."""
    file, configuration = work
    series = read(file)
    warm_up = probation(len(series.values))
    return output(score_signal(series.values, series.times_us, warm_up, configuration), warm_up)


def output(raw: Floats, warm_up: int) -> Floats:
    """Raw scores (n) as the benchmark gets them: records only, nothing in the warm-up."""
    told = record_filter(raw)
    told[:warm_up] = 0.0
    return told


def _figures(scored: list[tuple[Labelled, Floats]]) -> Figures:
    figures: Figures = {}
    for name, profile in PROFILES.items():
        of = curve(scored, profile)
        figures[name], threshold = of.optimised()
        figures[f"{name}_threshold"] = threshold if np.isfinite(threshold) else None
        figures[f"{name}_frozen_threshold"] = of.frozen()
    return figures | _alarms(scored)


def _alarms(scored: list[tuple[Labelled, Floats]]) -> Figures:
    """What is missed and falsely raised at the frozen boundary."""
    found = sum(len(np.unique(f.window[(f.window >= 0) & (s >= 1.0)])) for f, s in scored)
    false = sum(int(((f.window == -1) & (s >= 1.0)).sum()) for f, s in scored)
    normal = sum(int((f.window == -1).sum()) for f, _ in scored)
    missed = sum(f.windows for f, _ in scored) - found
    return {"windows_missed": missed, "false_alarms": false, "false_alarms_per_1000": 1000.0 * false / max(normal, 1)}


def _by_file(found: list[File], scored: list[tuple[Labelled, Floats]]) -> Table:
    """Files with a miss or a false alarm at the frozen boundary."""
    lines: list[tuple[Cell, ...]] = []
    for file, each in zip(found, scored, strict=True):
        figures = _alarms([each])
        if figures["windows_missed"] or figures["false_alarms"]:
            lines.append((file.name, each[0].windows, figures["windows_missed"], figures["false_alarms"]))
    title = "NAB by file, default at 1.0, where something is missed or falsely raised"
    return Table(title, ("file", "windows", "missed", "false alarms"), lines)


def _control(name: str, labelled: dict[str, Labelled]) -> Figures:
    """Figures of a control; only the random one goes through the record filter, which would silence the others."""
    variants = {file: controls.variants(name, len(each.gain), file) for file, each in labelled.items()}
    runs = zip(*variants.values(), strict=True)
    told = [[record_filter(s) if name == "random" else s for s in scores] for scores in runs]
    return rows.mean([_figures(list(zip(labelled.values(), scores, strict=True))) for scores in told])
