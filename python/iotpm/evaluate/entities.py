"""What SMD and ASD share: entities with a training part, a test part and a label a row.

The model is fitted to an entity's training part, the test part is a fresh stream, every row counts for itself. F1 with
a threshold chosen by the labels (an oracle, for each entity its own), F1 at the frozen boundary 1.0, and VUS-PR with
the period of the first column as greatest buffer; means over the entities. Nothing is point-adjusted.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iotpm.errors import SourceError
from iotpm.evaluate import controls, files, rows
from iotpm.evaluate.configurations import Configuration, fit, many_signals, score_rows
from iotpm.evaluate.metrics.points import Counts, Sweep
from iotpm.evaluate.metrics.vus import period, vus_pr
from iotpm.evaluate.report import Options, Report, Table
from iotpm.evaluate.rows import Figures

Floats = NDArray[np.float64]

COLUMNS = {
    "f1_oracle": "F1, threshold by labels",
    "f1_frozen": "F1 at 1.0",
    "far": "FAR % at 1.0",
    "mar": "MAR % at 1.0",
    "vus_pr": "VUS-PR",
    "average_precision": "average precision",
}

NOTE = "Means over the entities; single rows count, without point adjustment."


@dataclass(frozen=True, slots=True)
class Entity:
    """Files of one machine or application."""

    name: str
    train: Path
    test: Path
    labels: Path


def run(directory: Path, options: Options, title: str, layout: str, best: dict[str, Any]) -> Report:
    """Score the entities found.

    Raises:
        InputError: no entity with all three files.
        SourceError: a file that cannot be read, or parts that do not fit together.
    """
    found, notes = find(directory)
    if not found:
        raise files.none_found(directory, layout)
    configurations = many_signals(options.ablation, best)
    work = [(entity, configuration) for configuration in configurations for entity in found]
    results = iter(options.map(_judged, work, title))
    each = {c.name: [next(results) for _ in found] for c in configurations}
    configured = {name: rows.mean(figures) for name, figures in each.items()}
    ignorant = dict(zip(controls.CONTROLS, _controls(found, options, title), strict=True))
    tables = [rows.table(title, COLUMNS, configured | ignorant, NOTE), _by_entity(title, found, each["default"])]
    result = rows.as_json(configured, ignorant) | {"entities": len(found)}
    return Report(f"{title}, {len(found)} entities", tables, result, notes)


def find(directory: Path) -> tuple[list[Entity], list[str]]:
    """Entities with all their files, and notes on those without."""
    whole, broken = list[Entity](), list[str]()
    for entity in [*_side_by_side(directory), *_in_folders(directory)]:
        missing = [path.name for path in (entity.train, entity.test, entity.labels) if not path.is_file()]
        if missing:
            broken.append(f"{entity.name} left out: {', '.join(missing)} is not there")
        else:
            whole.append(entity)
    return whole, broken


def _side_by_side(directory: Path) -> list[Entity]:
    """`<name>_train`, `<name>_test`, `<name>_test_label`, as `.npy` or `.pkl`."""
    found = []
    for ending in (".npy", ".pkl"):
        for path in _trains(directory, ending):
            name, parts = path.name.removesuffix(f"_train{ending}"), path.parent
            test, labels = parts / f"{name}_test{ending}", parts / f"{name}_test_label{ending}"
            found.append(Entity(name, path, test, labels))
    return found


def _trains(directory: Path, ending: str) -> list[Path]:
    """Training files below a directory, or the one that belongs to a single file."""
    if directory.is_dir():
        return files.below(directory, f"*_train{ending}")
    if directory.suffix != ending or "_t" not in directory.name:
        return []
    return [directory.parent / f"{directory.name.rpartition('_t')[0].removesuffix('_test')}_train{ending}"]


def _in_folders(directory: Path) -> list[Entity]:
    """`train/<name>.txt`, `test/<name>.txt`, `test_label/<name>.txt`: the layout of OmniAnomaly's repository."""
    found = []
    for path in files.below(directory, "train/*.txt"):
        root = path.parent.parent
        found.append(Entity(path.stem, path, root / "test" / path.name, root / "test_label" / path.name))
    return found


def read(entity: Entity) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Training rows (n, p), test rows (m, p) and labels (m).

    Raises:
        SourceError: shapes that do not fit together.
    """
    train, test = _matrix(entity.train), _matrix(entity.test)
    labels = _matrix(entity.labels).ravel() > 0.5
    if train.ndim != 2 or test.shape != (len(labels), train.shape[1]):
        raise SourceError(
            f"{entity.test}: training {train.shape}, test {test.shape} and {len(labels)} labels do not fit together"
        )
    return train, test, labels


def _matrix(path: Path) -> Floats:
    if path.suffix == ".pkl":
        return files.finite(path, _unpickled(path).astype(np.float64), "the file")
    if path.suffix == ".txt":
        try:
            return files.finite(path, np.loadtxt(path, delimiter=",", ndmin=2), "the file")
        except ValueError as error:
            raise SourceError(f"{path} cannot be read as numbers: {error}") from error
    return files.matrix(path)


class _ArraysOnly(pickle.Unpickler):
    """Reads pickled arrays and refuses everything else: a pickle could run any code."""

    ALLOWED = frozenset({"_reconstruct", "ndarray", "dtype", "_frombuffer"})

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy" and name in self.ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}, only NumPy arrays are read")


def _unpickled(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as file:
            return np.asarray(_ArraysOnly(file).load())
    except (pickle.UnpicklingError, EOFError, AttributeError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error


def _judged(work: tuple[Entity, Configuration]) -> Figures:
    entity, configuration = work
    train, test, labels = read(entity)
    return _figures(labels, score_rows(fit(train, configuration), test), period(test[:, 0]))


def _figures(labels: NDArray[np.bool_], scores: Floats, window: int) -> Figures:
    counts, sweep = Counts.of(labels, scores >= 1.0), Sweep.of(labels, scores)
    return {
        "f1_oracle": sweep.best_f1()[0],
        "f1_frozen": counts.f1,
        "far": counts.far,
        "mar": counts.mar,
        "vus_pr": vus_pr(labels, scores, window) if labels.any() else None,
        "average_precision": sweep.average_precision(),
    }


def _controls(found: list[Entity], options: Options, title: str) -> list[Figures]:
    work = [(entity, name) for name in controls.CONTROLS for entity in found]
    results = options.map(_control, work, f"{title} controls")
    return [rows.mean(results[at : at + len(found)]) for at in range(0, len(results), len(found))]


def _control(work: tuple[Entity, str]) -> Figures:
    entity, name = work
    _, test, labels = read(entity)
    runs = controls.variants(name, len(labels), entity.name)
    return rows.mean([_figures(labels, scores, period(test[:, 0])) for scores in runs])


def _by_entity(title: str, found: list[Entity], figures: list[Figures]) -> Table:
    lines = [(e.name, *(row[key] for key in COLUMNS)) for e, row in zip(found, figures, strict=True)]
    return Table(f"{title} by entity, default", ("entity", *COLUMNS.values()), list(lines))
