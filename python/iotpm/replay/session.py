"""A replay from beginning to end: through a broker, a node and a store of its own, or embedded; and what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from .. import subjects
from ..errors import SourceError
from .run import Pacer, Progress, replay_engine, replay_stream

if TYPE_CHECKING:
    from .._core import Table
    from ..config import Config
    from ..node.service import Node
    from .source import Source

Row = dict[str, Any]
Report = Callable[[str, int], None]
"""Told the stage (`published`, `stored`, `run`) and the readings so far."""

LAG_MAX: Final = 200_000
"""Messages that the node may be behind the publisher, so that the stream's bound is never met."""
POLL_S: Final = 0.02
END_S: Final = 5.0
"""Time for the publisher to notice that the node has failed."""
MARKER: Final = "replay.json"
_STORED: Final = ("iotpm.duckdb", "iotpm.duckdb.wal", "node.json", MARKER)
_FOLDERS: Final = ("broker", "state", "lake", "tmp")


class Stopped(Exception):  # noqa: N818 - names what happened
    """The user ended the replay."""


@dataclass(slots=True)
class Outcome:
    """What a replay caused; rows are dictionaries with times in microseconds."""

    readings: int = 0
    """Readings accepted: scored unless their quality was bad."""
    windows: int = 0
    late: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    anomalies: list[Row] = field(default_factory=list)
    """Latest revisions."""
    signals: list[Row] = field(default_factory=list)
    ended_after: int | None = None
    """Readings after which the user ended it; None if all were run."""


def default_name(path: Path) -> str:
    """A stream's name made from a path: its stem, with the folder's name before a bare number."""
    resolved = path.resolve()
    candidates = (resolved.stem, f"{resolved.parent.name}-{resolved.stem}", f"replay-{resolved.stem}")
    for candidate in candidates:
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", candidate).strip("-")[:64]
        with contextlib.suppress(ValueError):
            return subjects.replay(name).partition
    return "replay"


def replay_config(config: Config, data_dir: Path) -> Config:
    """The configuration without what belongs to a live plant: own broker, no webhook."""
    from ..config import Nats, Stream, Webhook

    replace = msgspec.structs.replace
    return replace(
        config,
        nats=Nats(),
        webhook=Webhook(),
        stream=Stream(max_bytes=config.stream.max_bytes, anomaly_max_bytes=config.stream.anomaly_max_bytes),
        node=replace(config.node, data_dir=str(data_dir), http_port=0),
    )


def prepare(data_dir: Path, source: Path, *, fresh: bool) -> bool:
    """Make room for a replay in `data_dir`; says whether an earlier one was removed.

    A replay of the same file replaces the earlier one. Anything else stays, unless `fresh` says otherwise.

    Raises:
        SourceError: the directory holds a live node's store, or another replay and `fresh` is not set.
        StoreHeld: a node runs on it.
    """
    from ..store.lock import DirectoryLock

    marker, here = data_dir / MARKER, str(source.resolve())
    data_dir.mkdir(parents=True, exist_ok=True)
    with DirectoryLock(data_dir):
        used = [name for name in (*_STORED, *_FOLDERS) if (data_dir / name).exists()]
        if used:
            _check_replaceable(data_dir, marker, here, fresh=fresh)
            _remove(data_dir)
        marker.write_text(json.dumps({"source": here}) + "\n")
    return bool(used)


def _check_replaceable(data_dir: Path, marker: Path, here: str, *, fresh: bool) -> None:
    try:
        there = json.loads(marker.read_text())["source"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SourceError(
            f"{data_dir} holds data that no replay made: give another --data-dir, or remove it yourself"
        ) from None
    if there != here and not fresh:
        raise SourceError(
            f"{data_dir} holds the replay of {there}: --fresh replaces it, --name or --data-dir keeps both"
        )


def _remove(data_dir: Path) -> None:
    for name in _STORED:
        (data_dir / name).unlink(missing_ok=True)
    for name in _FOLDERS:
        shutil.rmtree(data_dir / name, ignore_errors=True)


def through_node(
    source: Source,
    config: Config,
    name: str,
    *,
    speed: float | None = None,
    start_us: int | None = None,
    report: Report = lambda _stage, _readings: None,
    stop: threading.Event | None = None,
) -> None:
    """Publish a source to the virtual stream `name` of a broker and node of its own; returns when all is stored.

    Call it from a thread that lives as long as the replay (the broker ends with it). `stop` ends it early, drained.

    Raises:
        Stopped: `stop` was set; what was published until then is stored.
        SourceError: what cannot be read.
        BrokerError, StoreError: as the node raises them.
    """
    from ..node.service import Node

    with Node(config, names=subjects.replay(name)) as node:
        feeder = _Feeder(source, node, name, speed, start_us, report, stop or threading.Event())
        thread = threading.Thread(target=feeder.run, name="iotpm-replay", daemon=True)
        thread.start()
        try:
            node.run()
        finally:
            feeder.stop.set()
            thread.join(END_S)
    if feeder.error is not None:
        raise feeder.error


class _Feeder:
    """Publishes, waits until everything is stored, then drains the node: in a thread beside the node's."""

    def __init__(
        self,
        source: Source,
        node: Node,
        name: str,
        speed: float | None,
        start_us: int | None,
        report: Report,
        stop: threading.Event,
    ) -> None:
        self._source = source
        self._node = node
        self._name = name
        self._speed = speed
        self._start_us = start_us
        self._report = report
        self._idle_timeout_s = max((t.idle_timeout_s or 0.0 for t in node.config.all_templates), default=0.0)
        self.stop = stop
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            done = self._publish()
            self._await_stored(done)
        except BaseException as error:
            self.error = error
        finally:
            self._node.drain()

    def _publish(self) -> Progress:
        from .. import _core

        # Nothing waits for single messages unless they are paced; a sync of the disk for each would take hours.
        atomic = self._node.config.nats.durability == "power" and not self._speed
        publisher = _core.Publisher(json.dumps({"url": self._node.url}), atomic=atomic)
        try:
            return replay_stream(
                self._source,
                publisher,
                self._name,
                self._speed,
                self._start_us,
                idle_timeout_s=self._idle_timeout_s,
                pacer=Pacer(self._speed, sleep=self._sleep) if self._speed else None,
                progress=self._published,
            )
        finally:
            publisher.close()

    def _published(self, done: Progress) -> None:
        self._report("published", done.readings)
        self._sleep(0.0)
        while self._node.plane.stats()["lag"] > LAG_MAX:
            self._sleep(POLL_S)

    def _await_stored(self, done: Progress) -> None:
        from .. import streams

        control, names = self._node.control, self._node.names
        last_seq = control.run(streams.stream_facts(control.js, names.raw_stream)).last_seq
        while self._node.writer.position.seq < last_seq:
            self._sleep(POLL_S)
        self._report("stored", done.readings)

    def _sleep(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise Stopped(f"what was replayed until then is in {self._node.config.data_dir}")


def outcome_of_store(data_dir: Path) -> Outcome:
    """What the store of a finished replay holds."""
    from ..client import connect

    with connect(data_dir) as store:
        rows = store.status()["stored"]["rows"]
        signals = list(store.signals())
        return Outcome(
            readings=rows["readings"],
            windows=rows["windows"],
            late=rows["late_readings"],
            duplicates=sum(row["duplicates"] or 0 for row in signals),
            dead_letters=rows["dead_letters"],
            anomalies=list(store.anomalies()),
            signals=signals,
        )


def embedded(
    source: Source,
    config: Config,
    *,
    start_us: int | None = None,
    report: Report = lambda _stage, _readings: None,
    stop: threading.Event | None = None,
) -> Outcome:
    """Run a source through `iotpm.Engine`, without broker, node or store; `stop` ends it early.

    Raises:
        SourceError: what cannot be read.
    """
    import duckdb

    from ..engine import Engine

    engine = Engine(config, shards=config.node.shards or min(os.cpu_count() or 1, 4))
    idle_timeout_s = max((t.idle_timeout_s or 0.0 for t in config.all_templates), default=0.0)
    outcome, read = Outcome(), 0
    with duckdb.connect() as tables:
        for batch, output in replay_engine(source, engine, start_us, idle_timeout_s=idle_timeout_s):
            read += batch.readings
            outcome.readings += len(output.readings)
            outcome.windows += len(output.windows)
            outcome.late += len(output.late_readings)
            outcome.dead_letters += len(output.dead_letters)
            _append(tables, output.anomalies)
            report("run", read)
            if stop is not None and stop.is_set():
                outcome.ended_after = read
                break
        outcome.anomalies = _latest(tables) if read else []
        tables.register("signal_stats", engine.signal_stats())
        outcome.signals = rows_of(tables, "SELECT * FROM signal_stats")
    outcome.duplicates = sum(row["duplicates"] for row in outcome.signals)
    return outcome


def _append(tables: Any, revisions: Table) -> None:
    tables.register("revisions", revisions)
    tables.execute("CREATE TABLE IF NOT EXISTS anomaly_log AS SELECT * FROM revisions LIMIT 0").fetchall()
    tables.execute("INSERT INTO anomaly_log SELECT * FROM revisions").fetchall()
    tables.unregister("revisions")


def _latest(tables: Any) -> list[Row]:
    from ..store.query import LATEST

    return rows_of(tables, f"SELECT * EXCLUDE (signal) FROM anomaly_log {LATEST} ORDER BY seq DESC, position, id")


def rows_of(tables: Any, query: str) -> list[Row]:
    """Rows of a query as dictionaries, times in microseconds."""
    found = tables.execute(query)
    names = [str(column[0]) for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    for row in rows:
        row.update({name: _micros(value) for name, value in row.items() if isinstance(value, datetime)})
    return rows


def _micros(when: datetime) -> int:
    return (when.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def counted(rows: list[Row], *columns: str) -> Iterator[tuple[tuple[Any, ...], int]]:
    """How often each combination of values occurs, most often first."""
    yield from Counter(tuple(row[column] for column in columns) for row in rows).most_common()
