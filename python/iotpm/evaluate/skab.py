"""SKAB, the Skoltech Anomaly Benchmark: 8 sensors of a water-circulation testbed at 1 Hz, labelled rows.

Each file is a task of its own: the model is fitted to its first 400 rows, the file then runs through it from its first
row, and the rows behind the 400th are judged. Counts of all files add up. Its change-point score is not printed: a
blind alarm every 60 s beats every published result there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iotpm.errors import SourceError
from iotpm.evaluate import controls, files, rows
from iotpm.evaluate.configurations import Configuration, fit, many_signals, score_rows
from iotpm.evaluate.metrics.points import Counts, Sweep
from iotpm.evaluate.report import Cell, Options, Report, Table
from iotpm.evaluate.rows import Figures

Floats = NDArray[np.float64]
Judged = tuple[NDArray[np.bool_], Floats]
"""Labels and scores of the rows behind the training part."""

LAYOUT = """  valve1/*.csv valve2/*.csv other/*.csv     `;` between, columns datetime, 8 sensors, anomaly, changepoint
  anomaly-free/anomaly-free.csv             the same without labels (any subset)"""

TRAINING_ROWS = 400

BEST: dict[str, Any] = {}

COLUMNS = {
    "f1": "F1",
    "far": "FAR %",
    "mar": "MAR %",
    "mar_at_far_13_5": "MAR % at FAR 13.5 %, threshold by labels",
    "normal_far": "FAR % on the anomaly-free file",
}

NOTE = (
    "F1, FAR and MAR at the label-free limit 1.0, rows of all files together, no point adjustment. blind_20_80 alarms "
    "from 20 % to 80 % of what is judged of each file, without looking: what the layout of the files gives away."
)


def run(directory: Path, options: Options) -> Report:
    """Score the files found.

    Raises:
        InputError: no labelled file.
        SourceError: a file that cannot be read or is too short.
    """
    found = [path for path in files.below(directory, "*.csv") if _is_one(path)]
    labelled = [path for path in found if read(path)[1] is not None]
    if not labelled:
        raise files.none_found(directory, LAYOUT)
    configurations = many_signals(options.ablation, BEST)
    work = [(path, configuration) for configuration in configurations for path in found]
    results = iter(options.map(_judged, work, "SKAB"))
    judged = {c.name: {path: next(results) for path in found} for c in configurations}
    configured = {name: _figures(each, labelled) for name, each in judged.items()}
    ignorant = {name: _control(name, judged["default"], labelled) for name in (*controls.CONTROLS, "blind_20_80")}
    tables = [rows.table("SKAB, outliers", COLUMNS, configured | ignorant, NOTE)]
    tables.append(_by_file(judged["default"], labelled))
    result = _nested(rows.as_json(configured, ignorant)) | {"files": len(labelled)}
    return Report(f"SKAB, {len(labelled)} labelled files", tables, result)


def _is_one(path: Path) -> bool:
    with path.open(encoding="utf-8-sig") as file:
        return file.readline().startswith("datetime;")


def read(path: Path) -> tuple[Floats, NDArray[np.bool_] | None]:
    """Sensors (n, p) and labels (n), None without a column `anomaly`."""
    table = files.columns(path, ";")
    if len(table["datetime"]) <= TRAINING_ROWS:
        raise SourceError(f"{path} has {len(table['datetime'])} rows: more than {TRAINING_ROWS} are needed")
    sensors = [name for name in table if name not in ("datetime", "anomaly", "changepoint")]
    values = np.column_stack([files.numbers(path, table, name) for name in sensors])
    return values, files.numbers(path, table, "anomaly") > 0.5 if "anomaly" in table else None


def _judged(work: tuple[Path, Configuration]) -> Judged:
    path, configuration = work
    values, labels = read(path)
    scores = score_rows(fit(values[:TRAINING_ROWS], configuration), values)[TRAINING_ROWS:]
    truth = np.zeros(len(values), dtype=bool) if labels is None else labels
    return truth[TRAINING_ROWS:], scores


def _figures(judged: dict[Path, Judged], labelled: list[Path]) -> Figures:
    parts = [judged[path] for path in labelled]
    counts = sum((Counts.of(labels, scores >= 1.0) for labels, scores in parts), Counts())
    labels, scores = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    normal = [scores >= 1.0 for path, (_, scores) in judged.items() if path not in labelled]
    return {
        "f1": counts.f1,
        "far": counts.far,
        "mar": counts.mar,
        "mar_at_far_13_5": Sweep.of(labels, scores).mar_at_far(13.5),
        "normal_far": 100.0 * float(np.concatenate(normal).mean()) if normal else None,
    }


def _control(name: str, judged: dict[Path, Judged], labelled: list[Path]) -> Figures:
    """Figures of scores that know nothing but a file's length."""
    variants = {path: _variants(name, path, len(scores)) for path, (_, scores) in judged.items()}
    runs = [dict(zip(variants, scores, strict=True)) for scores in zip(*variants.values(), strict=True)]
    return rows.mean([_figures({path: (judged[path][0], s) for path, s in one.items()}, labelled) for one in runs])


def _variants(name: str, path: Path, length: int) -> list[Floats]:
    return [controls.blind(length)] if name == "blind_20_80" else controls.variants(name, length, _name(path))


def _name(path: Path) -> str:
    return "/".join(path.parts[-2:])


def _by_file(judged: dict[Path, Judged], labelled: list[Path]) -> Table:
    lines: list[tuple[Cell, ...]] = []
    for path in labelled:
        counts = Counts.of(judged[path][0], judged[path][1] >= 1.0)
        lines.append((_name(path), counts.f1, counts.far, counts.mar))
    return Table("SKAB by file, default", ("file", "F1", "FAR %", "MAR %"), lines)


def _nested(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures of every row under `outliers`."""
    kinds = ("controls", "configurations")
    beside = {kind: {name: {"outliers": row} for name, row in figures[kind].items()} for kind in kinds}
    return {"outliers": {key: value for key, value in figures.items() if key not in kinds}, **beside}
