"""The tail of a healthy history's scores: greatest scores of short runs of readings, signal by signal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..backtest.history import Piece
from ..backtest.pool import Advance, run_all
from ..backtest.run import tick_every_s
from ..errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..backtest import History
    from ..backtest.history import Portion
    from ..config import Config

RUN_READINGS: Final = 20
"""Readings whose greatest score is kept: what is so close together is one alarm."""
RUNS_MAX: Final = 50_000
"""Runs of a signal that are kept, the latest."""
MATURE: Final = 2
TUNABLE: Final = ("modified_z", "ema_baseline")
"""Detectors whose boundary a template sets."""


@dataclass(frozen=True, slots=True)
class Job:
    """A worker's part."""

    portion: Portion
    templates: str
    tick_every_s: float


@dataclass(slots=True)
class Runs:
    """Scores of one signal, with what is left of the run under way; cuts into pieces change nothing."""

    greatest: list[NDArray[np.float64]] = field(default_factory=list)
    rest: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def add(self, scores: NDArray[np.float64]) -> None:
        """Takes further scores."""
        scores = np.concatenate([self.rest, scores])
        whole = len(scores) // RUN_READINGS * RUN_READINGS
        self.greatest.append(scores[:whole].reshape(-1, RUN_READINGS).max(axis=1))
        self.rest = scores[whole:]
        if sum(map(len, self.greatest)) > 2 * RUNS_MAX:
            self.greatest = [self.take()]

    def take(self) -> NDArray[np.float64]:
        """The latest runs."""
        return np.concatenate([*self.greatest, np.zeros(0)])[-RUNS_MAX:]


def greatest_scores(history: History, config: Config, workers: int, advance: Advance) -> dict[str, NDArray[np.float64]]:
    """For each signal the greatest score of every run of `RUN_READINGS` mature readings, in order of time.

    Only detectors with a boundary that a template sets count; readings that others judged worse score 0.
    """
    ticks = tick_every_s([config])
    jobs = [Job(portion, config.templates_json(), ticks) for portion in history.portions(workers)]
    parts = run_all(score_portion, jobs, workers, advance)
    return dict(sorted(item for part in parts for item in part.items()))


def score_portion(job: Job, advance: Advance) -> dict[str, NDArray[np.float64]]:
    """Run a worker's part.

    Raises:
        InputError: a file whose readings only come as messages.
    """
    import duckdb

    from ..engine import Engine

    engines: dict[str, tuple[Any, dict[str, Runs]]] = {}
    with duckdb.connect(config={"threads": 1}) as tables:
        for piece in job.portion.pieces():
            if not isinstance(piece, Piece):
                raise InputError(f"{piece.key}: NDJSON and waveforms are not tuned from: give tables or a store")
            if piece.key not in engines:
                engine = Engine(json.loads(job.templates), emit_scores=True, tick_every_s=job.tick_every_s)
                engines[piece.key] = (engine, {})
            _take(piece, *engines[piece.key], tables)
            advance(len(piece))
    return {name: runs.take() for _, signals in engines.values() for name, runs in signals.items()}


def _take(piece: Piece, engine: Any, signals: dict[str, Runs], tables: Any) -> None:
    numbers = [engine.signal_id(name) for name in piece.names]
    stream_us = np.maximum.accumulate(piece.times_us)
    columns = (piece.signals, piece.times_us, piece.values, stream_us, piece.quality, piece.sequences)
    output = engine.push(*columns)
    if not len(output.scores):
        return
    tables.register("scores", output.scores)
    listed = ", ".join(f"'{name}'" for name in TUNABLE)
    found = tables.execute(
        f"""SELECT signal, CASE WHEN detector IN ({listed}) THEN score ELSE 0.0 END AS score FROM scores
            WHERE maturity = {MATURE} AND isfinite(score)"""
    ).fetchnumpy()
    tables.unregister("scores")
    for name, number in zip(piece.names, numbers, strict=True):
        own = found["score"][found["signal"] == number]
        if len(own):
            signals.setdefault(name, Runs()).add(np.asarray(own, dtype=np.float64))


def joined(scores: Iterable[NDArray[np.float64]], most: int) -> NDArray[np.float64]:
    """Scores of several signals one after the other, as many signals as make about `most`."""
    kept: list[NDArray[np.float64]] = []
    for one in scores:
        if sum(map(len, kept)) >= most:
            break
        kept.append(one)
    return np.concatenate([*kept, np.zeros(0)])
