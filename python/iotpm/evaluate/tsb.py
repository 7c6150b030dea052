"""TSB-AD-U: single series with labelled rows and a training prefix, whose length is in the file's name (`_tr_N_`).

The score is 0 in the training prefix; `iotpm.detect.ranking_level` of it ranks the rows. VUS-PR is computed over the
whole series with the series' period as greatest buffer, as TSB-AD does, and averaged over the series.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iotpm.evaluate import controls, files, rows
from iotpm.evaluate.configurations import Configuration, one_signal, score_signal
from iotpm.evaluate.metrics.points import Counts, Sweep
from iotpm.evaluate.metrics.vus import period, vus_pr
from iotpm.evaluate.report import Options, Report, Table
from iotpm.evaluate.rows import Figures

Floats = NDArray[np.float64]

LAYOUT = "  <number>_<set>_id_<n>_<domain>_tr_<rows>_1st_<row>.csv     columns Data, Label (any subset of TSB-AD-U)"

BEST: dict[str, Any] = {}

COLUMNS = {
    "vus_pr": "VUS-PR",
    "vus_pr_raw": "VUS-PR, not smoothed",
    "average_precision": "average precision",
    "f1_oracle": "F1, threshold by labels",
    "f1_frozen": "F1 at 1.0",
    "far": "FAR % at 1.0",
    "mar": "MAR % at 1.0",
}

NOTE = (
    "Means over the series. F1, FAR and MAR count single rows of the raw score, without point adjustment; the score "
    "alarms at the start of an event, so MAR of rows is high by nature. The constant controls are smoothed like all "
    "others: knowing where the training prefix ends is worth what they show."
)


def run(directory: Path, options: Options) -> Report:
    """Score the series found.

    Raises:
        InputError: no series.
        SourceError: a file that cannot be read.
    """
    found = [path for path in files.below(directory, "*.csv") if _prefix(path) is not None]
    if not found:
        raise files.none_found(directory, LAYOUT)
    configurations = one_signal(options.ablation, BEST, timed=False)
    work = [(path, configuration) for configuration in configurations for path in found]
    results = iter(options.map(_judged, work, "TSB-AD"))
    each = {c.name: [next(results) for _ in found] for c in configurations}
    ignorant = dict(zip(controls.CONTROLS, _controls(found, options), strict=True))
    configured = {name: rows.mean(figures) for name, figures in each.items()}
    tables = [rows.table("TSB-AD-U", COLUMNS, configured | ignorant, NOTE), _by_series(found, each["default"])]
    result = rows.as_json(configured, ignorant) | {"files": len(found)}
    return Report(f"TSB-AD-U, {len(found)} series", tables, result)


def _prefix(path: Path) -> int | None:
    """Length of the training prefix that a file's name states."""
    match = re.search(r"_tr_(\d+)(?:_|\.)", path.name)
    return int(match[1]) if match else None


def read(path: Path) -> tuple[Floats, NDArray[np.bool_], int]:
    """Values (n), labels (n) and the training prefix of one series."""
    table = files.columns(path)
    labels = files.numbers(path, table, "Label") > 0.5
    return files.numbers(path, table, "Data"), labels, min(_prefix(path) or 0, len(labels))


def _judged(work: tuple[Path, Configuration]) -> Figures:
    path, configuration = work
    values, labels, prefix = read(path)
    return _figures(values, labels, prefix, score_signal(values, None, prefix, configuration))


def _figures(values: Floats, labels: NDArray[np.bool_], prefix: int, scores: Floats) -> Figures:
    """Figures of one series; what is said of the training prefix does not count."""
    from iotpm.detect import ranking_level

    scores = scores.copy()
    scores[:prefix] = 0.0
    level, window = ranking_level(scores), period(values)
    behind = Counts.of(labels[prefix:], scores[prefix:] >= 1.0)
    return {
        "vus_pr": vus_pr(labels, level, window),
        "vus_pr_raw": vus_pr(labels, scores, window),
        "average_precision": Sweep.of(labels, level).average_precision(),
        "f1_oracle": Sweep.of(labels, level).best_f1()[0],
        "f1_frozen": behind.f1,
        "far": behind.far,
        "mar": behind.mar,
    }


def _controls(found: list[Path], options: Options) -> list[Figures]:
    work = [(path, name) for name in controls.CONTROLS for path in found]
    results = options.map(_control, work, "TSB-AD controls")
    return [rows.mean(results[at : at + len(found)]) for at in range(0, len(results), len(found))]


def _control(work: tuple[Path, str]) -> Figures:
    path, name = work
    values, labels, prefix = read(path)
    runs = controls.variants(name, len(values), path.name)
    return rows.mean([_figures(values, labels, prefix, scores) for scores in runs])


def _by_series(found: list[Path], figures: list[Figures]) -> Table:
    lines = [(path.stem, row["vus_pr"], row["f1_oracle"]) for path, row in zip(found, figures, strict=True)]
    return Table("TSB-AD-U by series, default", ("series", "VUS-PR", "F1, threshold by labels"), list(lines))
