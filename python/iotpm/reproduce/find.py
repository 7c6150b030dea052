"""What there is to reproduce an anomaly from: its revisions, where the engine may begin, and where the input is."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iotpm.errors import InputError, IotpmError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from iotpm.client import Row
    from iotpm.node.nodefile import NodeFile
    from iotpm.store.database import Cursor, Database
    from iotpm.store.progress import Position
    from iotpm.store.snapshots import Snapshot


class CannotReproduce(IotpmError):  # noqa: N818 - names the finding, as the whole tree does
    """What it takes is no longer there; the message names what is missing."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a data directory knows about an anomaly and its cause."""

    data_dir: Path
    revisions: list[Row]
    """In order, as stored; times in microseconds."""
    snapshot: Snapshot | None
    """The newest usable state before the first revision."""
    base_seq: int | None
    """Where the epoch began, with an empty engine; None where a running node keeps it."""
    seed: bytes | None
    """The state that the epoch began with instead."""
    templates: list[Any] | None
    """Templates of an engine that starts at `base_seq`."""
    stream: str
    partition: str
    created_us: int | None
    node: NodeFile | None
    """The node, if one runs."""

    @property
    def first_seq(self) -> int:
        """The message that raised it."""
        return int(self.revisions[0]["seq"])

    @property
    def last_seq(self) -> int:
        """The message that caused its last revision."""
        return int(self.revisions[-1]["seq"])

    @property
    def start_seq(self) -> int | None:
        """The message after which the engine's state is known; None if it is not."""
        return self.base_seq if self.snapshot is None else self.snapshot.seq

    @property
    def start(self) -> str:
        """Where the engine begins, in words."""
        if self.snapshot is not None:
            return f"the snapshot after message {self.snapshot.seq}"
        how = "empty" if self.seed is None else "with its seed"
        return f"the beginning of the epoch, {how} after message {self.base_seq}"


def facts(data_dir: Path, anomaly_id: str) -> Facts:
    """Collect them.

    Raises:
        InputError: no anomaly, or several, have this id.
        CannotReproduce: it belongs to an earlier epoch, or no state before it is known.
        StoreError, BrokerError: the data directory cannot be asked.
    """
    from iotpm.client import connect
    from iotpm.explain import find
    from iotpm.node.nodefile import NodeFile

    with connect(data_dir) as source:
        anomaly = find(source, anomaly_id)
        revisions = [row for row in source.revisions(0, signal=anomaly["name"])[0] if row["id"] == anomaly["id"]]
        status, running = source.status(), source.running
    if not revisions:
        raise InputError(f"anomaly {anomaly_id!r}: the store has none of its revisions")
    node = NodeFile.of_running_node(data_dir) if running else None
    if node is None:
        return _of_files(data_dir, revisions)
    snapshot = _snapshot(data_dir, int(revisions[0]["seq"]))
    if snapshot is None:
        raise CannotReproduce(
            f"no kept snapshot is older than message {revisions[0]['seq']}, which raised it, and what the epoch began "
            "with is in the store of a running node: drain the node, then try again"
        )
    where = (str(status["stream"]), str(status["partition"]))
    return Facts(data_dir, revisions, snapshot, None, None, None, *where, None, node)


def _of_files(data_dir: Path, revisions: list[Row]) -> Facts:
    from iotpm.store.progress import read_position
    from iotpm.store.seeds import recorded

    with opened(data_dir) as database, database.cursor() as cursor:
        position = read_position(cursor)
        partition = _one(cursor, "SELECT partition FROM store_info")
        if position is None:
            raise StoreError(f"{data_dir}: the store has no position: no node has run on it")
        _check_epoch(cursor, position, revisions[0])
        templates = _templates(cursor, position)
        seed = _seed(data_dir, recorded(cursor, position.epoch))
    snapshot = _snapshot(data_dir, int(revisions[0]["seq"]))
    where = (position.stream, str(partition), position.created_us)
    return Facts(data_dir, revisions, snapshot, position.base_seq, seed, templates, *where, None)


def _seed(data_dir: Path, known: dict[str, Any] | None) -> bytes | None:
    """The state that the epoch began with, if it began with one and it is still there."""
    from iotpm.seed import Seed

    seed = None if known is None else Seed.read(data_dir)
    if known is not None and (seed is None or seed.facts.sha256 != known["sha256"]):
        raise CannotReproduce(f"the seed that the epoch began with (SHA-256 {known['sha256'][:16]}..) is gone")
    return None if seed is None else seed.state


def _snapshot(data_dir: Path, first_seq: int) -> Snapshot | None:
    from iotpm.store.snapshots import Snapshots

    return Snapshots(data_dir).newest(first_seq - 1)


@contextmanager
def opened(data_dir: Path) -> Iterator[Database]:
    """The store of a stopped node, for reading."""
    from iotpm.config import Store
    from iotpm.store.database import Database

    with Database.read_only(data_dir, Store()) as database:
        yield database


def _check_epoch(cursor: Cursor, position: Position, first: Row) -> None:
    """Sequences of a re-created stream begin anew, so an older anomaly's say nothing about this stream."""
    if position.epoch == 1:
        return
    began_us = _one(cursor, "SELECT epoch_us(began) FROM epochs WHERE epoch = ?", [position.epoch])
    cause_us = _one(cursor, "SELECT epoch_us(min(cause_time)) FROM outbox WHERE seq = ?", [first["seq"]])
    if cause_us is None or began_us is None or cause_us < began_us or first["seq"] <= position.base_seq:
        raise CannotReproduce(
            f"message {first['seq']}, which raised it, belongs to an earlier epoch than the stream's {position.epoch}: "
            "its stream, or the state of its engine, is gone"
        )


def _templates(cursor: Cursor, position: Position) -> list[Any] | None:
    import json

    text = _one(
        cursor,
        "SELECT json FROM configurations WHERE epoch = ? AND seq <= ? ORDER BY seq DESC LIMIT 1",
        [position.epoch, position.base_seq],
    )
    return None if text is None else list(json.loads(text))


def _one(cursor: Cursor, sql: str, values: list[Any] | None = None) -> Any:
    row = cursor.execute(sql, values or []).fetchone()
    return None if row is None else row[0]
