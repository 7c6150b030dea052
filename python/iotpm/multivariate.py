"""Detectors of many signals of one asset: rows in, scores out, 1.0 is the label-free alarm boundary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iotpm import _core
from iotpm.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Contributor", "Explanation", "Frames", "Multivariate", "align"]


@dataclass(frozen=True)
class Contributor:
    """One column's part in a score."""

    name: str
    share: float
    """Of all contributions to the channel, 0 to 1 (reconstruction-based: Alcala and Qin, Automatica 45, 2009)."""
    expected: float
    """What the model expected of this row, given the rows before it, in the column's unit."""
    usual: float
    """Median of the training rows."""
    actual: float
    """What came; NaN where it was missing."""
    direction: int
    """1: higher than the past and the other columns make it, -1: lower, 0: no side (energy)."""


@dataclass(frozen=True)
class Explanation:
    """Why a row has its score."""

    score: float
    channel: str
    """The channel that has the greater part in the score."""
    contributors: tuple[Contributor, ...]
    """Largest share first."""
    missing: tuple[str, ...]
    """Columns without a value that is young enough: they say nothing."""
    maturity: str
    model: str
    """Hash of the model, 16 hex digits."""


class Multivariate:
    """A model of an asset's healthy rows, and the stream that it scores.

    Method `mewma`: residual of a vector autoregression, adaptive multivariate EWMA of it and its shrunk T (`level`),
    and the mean square around that average (`energy`), which sees noise and oscillation that averages cancel; both are
    one statistic with one limit.
    """

    def __init__(self, model: _core.MultivariateModel, columns: Sequence[str]) -> None:
        """Wrap a fitted model; use `fit` or `from_bytes`."""
        self._model = model
        self._columns = tuple(columns)
        self.reset()

    @classmethod
    def fit(
        cls,
        train: ArrayLike,
        *,
        columns: Sequence[str] | None = None,
        false_alarm_rate: float = 1e-3,
        energy: bool = True,
        clean: bool = True,
        method: str = "mewma",
        resolution: Sequence[float] | None = None,
        seed: int = 0,
    ) -> Multivariate:
        """Fit to healthy rows.

        Args:
            train: rows (n, p) in time order, at equal intervals; a row with NaN is left out of every estimate.
            columns: names of the columns; else "0", "1", ...
            false_alarm_rate: share of healthy rows that score above 1.0, at most 0.1.
            energy: whether the second channel counts.
            clean: whether training rows far outside are left out of the limit, if they are few.
            method: "mewma", "mahalanobis", "pca" or "isolation_forest".
            resolution: smallest step of each column's sensor, a floor of its spread.
            seed: of random starts and trees.

        Raises:
            InputError: fewer than max(50, 3 p) usable rows, or an argument out of range.
        """
        rows = _rows(train, "train")
        names = _names(columns, rows.shape[1])
        steps = [float(step) for step in resolution] if resolution is not None else []
        model = _core.MultivariateModel.fit(rows, method, false_alarm_rate, energy, clean, seed, steps)
        return cls(model, names)

    def score(self, rows: ArrayLike) -> NDArray[np.float64]:
        """Score the next rows (n, p) of the stream: (n), the root of the sum of their channels' squares.

        A missing value (NaN) is its column's last for at most 10 rows; then the column says nothing. With more than
        half of the columns silent the score is NaN and the stream does not move.

        Raises:
            InputError: rows with another number of columns.
        """
        found = _rows(rows, "rows")
        if found.shape[1] != self._model.columns:
            raise InputError(f"rows: {found.shape[1]} columns, the model has {self._model.columns}")
        self._before, self._rows = self._scorer.state(), found
        self._parts = self._scorer.score(found)
        return np.asarray(np.sqrt((self._parts**2).sum(axis=1)), dtype=np.float64)

    @property
    def parts(self) -> dict[str, NDArray[np.float64]]:
        """Each channel (n) of the rows of the latest `score`: their squares sum to the square of the score."""
        return {name: self._parts[:, k] for k, name in enumerate(self._model.channels)}

    def explain(self, row: int = -1) -> Explanation:
        """Why a row of the latest `score` has its score; the rows before it are run again from the state kept.

        Raises:
            InputError: no such row.
        """
        n = len(self._rows)
        if not -n <= row < n:
            raise InputError(f"row = {row}: must be one of the {n} rows scored last")
        end = row % n + 1
        scorer = _core.MultivariateScorer(self._model, self._before)
        scorer.score(self._rows[:end])
        channel, score, parts, missing = scorer.explain(self._rows[end - 1])
        contributors = tuple(Contributor(self._columns[part[0]], *part[1:]) for part in parts)
        names = tuple(self._columns[j] for j in missing)
        return Explanation(score, channel, contributors, names, self.maturity, self.hash)

    def reset(self) -> None:
        """Begin a new stream: forget the state, keep the model."""
        self._attach(None)

    def state(self) -> bytes:
        """Return the stream's state, for `restore`."""
        return self._scorer.state()

    def restore(self, state: bytes) -> None:
        """Continue a stream where `state` left it.

        Raises:
            SnapshotError: a state of another model, or something else.
        """
        self._attach(state)

    def _attach(self, state: bytes | None) -> None:
        self._scorer = _core.MultivariateScorer(self._model, state)
        self._before = self._scorer.state()
        self._rows = np.empty((0, self._model.columns))
        self._parts = np.empty((0, 2))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self._columns

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels that count."""
        return tuple(self._model.channels)

    @property
    def limit(self) -> float:
        """Raw statistic at 1.0."""
        return self._model.limit

    @property
    def maturity(self) -> str:
        """`learning` below max(300, 6 p) training rows, when twice as many faults are missed, else `mature`."""
        return self._model.maturity

    @property
    def training_rows(self) -> int:
        """Rows that the estimates are of."""
        return self._model.training_rows

    @property
    def cleaned_rows(self) -> int:
        """Training rows left out of the limit as contaminated."""
        return self._model.cleaned_rows

    @property
    def hash(self) -> str:
        """16 hex digits: equal rows, settings and seed give equal models."""
        return self._model.hash

    def to_bytes(self) -> bytes:
        """Return the model, without names of columns and state of the stream."""
        return self._model.to_bytes()

    @classmethod
    def from_bytes(cls, blob: bytes, *, columns: Sequence[str] | None = None) -> Multivariate:
        """Read a model from its bytes.

        Raises:
            SnapshotError: bytes of something else.
        """
        model = _core.MultivariateModel.from_bytes(blob)
        return cls(model, _names(columns, model.columns))


@dataclass(frozen=True)
class Frames:
    """Aligned rows of an asset."""

    times_us: NDArray[np.int64]
    rows: NDArray[np.float64]
    """(n, columns); NaN where a column has no value young enough."""
    late: int
    """Readings behind a row that was already complete."""
    empty: int
    """Instants without any value, which give no row."""
    bad: int
    """Readings that are not finite."""


def align(
    columns: ArrayLike,
    times_us: ArrayLike,
    values: ArrayLike,
    *,
    count: int,
    period_us: int,
    age_max_us: int,
    lateness_us: int = 0,
) -> Frames:
    """Rows of an asset from readings of its signals, in order of arrival.

    The row of an instant, a multiple of the period, is complete when a reading later than the instant plus
    `lateness_us` comes, and holds each column's last value at or before it, unless older than the age limit. Nothing is
    interpolated.

    Args:
        columns: which column each reading is of (n), 0 to count - 1.
        times_us: event times (n), microseconds.
        values: their values (n).
        count: columns of a row.
        period_us: distance of the rows.
        age_max_us: 1 to 1,000 periods.
        lateness_us: 0 to 1,000 periods.

    Raises:
        InputError: arrays of unequal length, or an argument out of range.
    """
    readings = (
        np.ascontiguousarray(columns, dtype=np.uint32),
        np.ascontiguousarray(times_us, dtype=np.int64),
        np.ascontiguousarray(values, dtype=np.float64),
    )
    times, rows, (late, empty, bad) = _core.align_frames(count, period_us, age_max_us, lateness_us, readings)
    return Frames(times, rows, late, empty, bad)


def _rows(rows: ArrayLike, name: str) -> NDArray[np.float64]:
    found = np.ascontiguousarray(rows, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] == 0:
        raise InputError(f"{name}: shape {found.shape}: must be (rows, columns)")
    return found


def _names(columns: Sequence[str] | None, count: int) -> tuple[str, ...]:
    names = tuple(columns) if columns is not None else tuple(str(k) for k in range(count))
    if len(names) != count or len(set(names)) != count:
        raise InputError(f"columns: {len(names)} names ({len(set(names))} different) for {count} columns")
    return names
