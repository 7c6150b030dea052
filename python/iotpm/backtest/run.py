"""A history through the engine, under one or several configurations at once: what would have been raised."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError
from ..subjects import asset_of_signal
from .history import Piece, Told, asset_of
from .pool import Advance, run_all

if TYPE_CHECKING:
    from .._core import Table
    from ..config import Config
    from .history import History, Portion

TICK_MAX_S: Final = 5.0
"""Silence is looked for at least so often, in stream time."""
TICK_MIN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Raised:
    """An anomaly as its last revision tells it; times in microseconds."""

    id: str
    name: str
    """`site/asset/signal`; of an asset's own anomalies `site/asset`."""
    detector: str
    kind: str
    severity: str
    maturity: str
    raised_us: int
    """When it was decided: the time of its first revision."""
    start_us: int
    end_us: int | None
    """None while it was open at the end of the history."""
    last_us: int
    peak_score: float

    @property
    def asset(self) -> str:
        """`site/asset`."""
        return "/".join(self.name.split("/")[:2])

    @property
    def until_us(self) -> int:
        """The end of what it covers."""
        return max(self.start_us, self.last_us if self.end_us is None else self.end_us)


@dataclass(slots=True)
class Seen:
    """What of an asset was run."""

    readings: int = 0
    first_us: int = 2**62
    last_us: int = -(2**62)

    def add(self, readings: int, first_us: int, last_us: int) -> None:
        """Takes more readings."""
        self.readings += readings
        self.first_us, self.last_us = min(self.first_us, first_us), max(self.last_us, last_us)


@dataclass(slots=True)
class Ran:
    """What came of a history: a list of anomalies for each configuration, in order of time."""

    raised: list[list[Raised]]
    assets: dict[str, Seen] = field(default_factory=dict)

    @property
    def readings(self) -> int:
        """Readings that were run under each configuration."""
        return sum(seen.readings for seen in self.assets.values())


@dataclass(frozen=True, slots=True)
class Job:
    """A worker's part."""

    portion: Portion
    configurations: tuple[str, ...]
    """Templates, as JSON lists."""
    tick_every_s: float


def run(
    history: History,
    configurations: Sequence[Config],
    workers: int = 1,
    advance: Advance = lambda _readings: None,
) -> Ran:
    """Run all of a history under each configuration; the number of workers never changes what comes of it.

    Args:
        history: what to run.
        configurations: whose templates act, each in engines of its own; the history is read once.
        workers: processes.
        advance: called with the readings that were run since the last call.

    Raises:
        InputError: no configuration, or a history without readings.
        SourceError, StoreError: what cannot be read.
    """
    if not configurations:
        raise InputError("nothing to run: give a configuration")
    texts = tuple(configuration.templates_json() for configuration in configurations)
    ticks = tick_every_s(configurations)
    jobs = [Job(portion, texts, ticks) for portion in history.portions(workers)]
    found = _joined(run_all(run_portion, jobs, workers, advance), len(texts))
    if not found.readings:
        raise InputError("the history has no readings within these times: see --from and --to")
    return found


def tick_every_s(configurations: Sequence[Config]) -> float:
    """Half of the shortest idle timeout, within bounds; the same for all, so that they see the same."""
    stated = [t.idle_timeout_s for c in configurations for t in c.all_templates if t.idle_timeout_s is not None]
    return min(TICK_MAX_S, max(TICK_MIN_S, min(stated, default=2 * TICK_MAX_S) / 2))


def run_portion(job: Job, advance: Advance) -> Ran:
    """Run a worker's part."""
    import duckdb

    with duckdb.connect(config={"threads": 1}) as log:
        runs: dict[str, _KeyRun] = {}
        assets: dict[str, Seen] = {}
        for piece in job.portion.pieces():
            if piece.key not in runs:
                runs[piece.key] = _KeyRun(job, log)
            runs[piece.key].take(piece, assets)
            advance(len(piece))
        for one in runs.values():
            one.end()
        return Ran([_raised(log, number) for number in range(len(job.configurations))], assets)


class _KeyRun:
    """The engines of one key, one a configuration."""

    def __init__(self, job: Job, log: Any) -> None:
        from ..engine import Engine

        self._engines = [Engine(json.loads(text), tick_every_s=job.tick_every_s) for text in job.configurations]
        self._log = log
        self._names = 0
        self._now_us = -(2**62)
        self._sequence = 0

    def take(self, piece: Piece | Told, assets: dict[str, Seen]) -> None:
        if isinstance(piece, Told):
            self._take_messages(piece, assets)
        else:
            self._take_columns(piece, assets)

    def _take_columns(self, piece: Piece, assets: dict[str, Seen]) -> None:
        stream_us = np.maximum(np.maximum.accumulate(piece.times_us), self._now_us)
        self._now_us = int(stream_us[-1])
        for number, engine in enumerate(self._engines):
            for name in piece.names[self._names :]:
                engine.signal_id(name)
            columns = (piece.signals, piece.times_us, piece.values, stream_us, piece.quality, piece.sequences)
            self._note(number, engine.push(*columns).anomalies)
        self._names = max(self._names, len(piece.names))
        _see(piece, assets)

    def _take_messages(self, told: Told, assets: dict[str, Seen]) -> None:
        batch = told.messages
        numbers = list(range(self._sequence + 1, self._sequence + 1 + len(batch)))
        self._sequence += len(batch)
        for number, engine in enumerate(self._engines):
            output = engine.push_messages(batch.subjects, batch.payloads, numbers, batch.stream_times_us)
            self._note(number, output.anomalies)
        for subject, time_us, count in zip(batch.subjects, batch.stream_times_us, batch.counts, strict=True):
            if count and (asset := asset_of(subject)) is not None:
                assets.setdefault(asset, Seen()).add(count, time_us, time_us)

    def end(self) -> None:
        """The series has ended."""
        for number, engine in enumerate(self._engines):
            self._note(number, engine.end().anomalies)

    def _note(self, number: int, revisions: Table) -> None:
        if not len(revisions):
            return
        self._log.register("revisions", revisions)
        select = f"SELECT {number} AS configuration, * EXCLUDE (signal) FROM revisions"
        self._log.execute(f"CREATE TABLE IF NOT EXISTS told AS {select} LIMIT 0").fetchall()
        self._log.execute(f"INSERT INTO told {select}").fetchall()
        self._log.unregister("revisions")


def _see(piece: Piece, assets: dict[str, Seen]) -> None:
    """Counts the readings of each asset among the piece's signals."""
    names = [asset_of_signal(name) for name in piece.names]
    if len(set(names)) == 1:
        low, high = int(piece.times_us.min()), int(piece.times_us.max())
        assets.setdefault(names[0], Seen()).add(len(piece), low, high)
        return
    for asset in dict.fromkeys(names):
        own = np.isin(piece.signals, [at for at, name in enumerate(names) if name == asset])
        if own.any():
            times_us = piece.times_us[own]
            assets.setdefault(asset, Seen()).add(len(times_us), int(times_us.min()), int(times_us.max()))


def _raised(log: Any, number: int) -> list[Raised]:
    if not log.execute("SELECT 1 FROM information_schema.tables WHERE table_name = 'told'").fetchone():
        return []
    rows = log.execute(
        """SELECT id, name, detector, kind, severity, maturity,
                  epoch_us(min(time) OVER (PARTITION BY id)), epoch_us(start), epoch_us("end"), epoch_us(time),
                  peak_score
           FROM told WHERE configuration = $1
           QUALIFY row_number() OVER (PARTITION BY id ORDER BY revision DESC) = 1""",
        [number],
    ).fetchall()
    return [Raised(*row) for row in rows]


def _joined(parts: Sequence[Ran], configurations: int) -> Ran:
    whole = Ran([[] for _ in range(configurations)])
    for part in parts:
        for into, found in zip(whole.raised, part.raised, strict=True):
            into += found
        for asset, seen in part.assets.items():
            whole.assets.setdefault(asset, Seen()).add(seen.readings, seen.first_us, seen.last_us)
    for found in whole.raised:
        found.sort(key=lambda one: (one.raised_us, one.name, one.id))
    whole.assets = dict(sorted(whole.assets.items()))
    return whole
