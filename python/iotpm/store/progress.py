"""Where the store stands in its stream, and whether the two still belong together (docs: reliability, step 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from iotpm.errors import ResumeRefused

if TYPE_CHECKING:
    from iotpm.store.database import Cursor, Database
    from iotpm.store.snapshots import Snapshot, Snapshots
    from iotpm.streams import StoredMessage, StreamFacts

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Position:
    """The progress row: everything up to message `seq` (W) is in the store. Times in microseconds UTC."""

    stream: str
    created_us: int
    epoch: int
    seq: int
    time_us: int | None
    hash: int | None
    next_outbox_seq: int
    base_seq: int
    """Where the epoch began: without a snapshot the engine starts empty after this message."""


@dataclass(frozen=True, slots=True)
class Resume:
    """What the data plane needs to go on."""

    position: Position
    snapshot: Snapshot | None
    seed: bytes | None = None
    """Without a snapshot: the state that the epoch began with, else the engine starts empty."""

    @property
    def start_sequence(self) -> int:
        """S + 1: the first message to read."""
        return (self.snapshot.seq if self.snapshot else self.position.base_seq) + 1

    @property
    def discard_through(self) -> int:
        """W: outputs caused by messages up to it are in the store already."""
        return self.position.seq


def read_position(cursor: Cursor) -> Position | None:
    """The progress row; None in a new store."""
    row = cursor.execute(
        """SELECT stream, created, p.epoch, seq, epoch_us(ts), hash, next_outbox_seq, coalesce(e.base_seq, 0)
           FROM progress p LEFT JOIN epochs e ON e.epoch = p.epoch"""
    ).fetchone()
    return None if row is None else Position(*row)


def resume(
    database: Database, snapshots: Snapshots, facts: StreamFacts, message: StoredMessage | None, new_epoch: str | None
) -> Resume:
    """Decide where to go on.

    Args:
        database: the store.
        snapshots: its state files.
        facts: the RAW stream as it is now.
        message: the stream's message W (`position.seq`), None if it has none.
        new_epoch: the operator's reason to continue although stream and store differ.

    Raises:
        ResumeRefused: they do not belong together; the message says what was found.
    """
    position = read_position(database.connection)
    if position is None:
        return Resume(_begin(database, facts), None)
    snapshot = snapshots.newest(position.seq)
    found = findings(position, facts, message, snapshot)
    if found and new_epoch is None:
        raise ResumeRefused(_refusal(database, facts, found))
    if found and new_epoch is not None:
        return Resume(_begin_epoch(database, snapshots, position, facts, new_epoch, "; ".join(found)), None)
    snapshots.drop_after(position.seq)
    return Resume(position, snapshot)


def findings(
    position: Position, facts: StreamFacts, message: StoredMessage | None, snapshot: Snapshot | None
) -> list[str]:
    """Everything that says that this stream is not the one the store was filled from; empty if nothing does."""
    if position.stream != facts.name:
        return [f"the store was filled from stream {position.stream}, not {facts.name}"]
    if position.created_us != facts.created_us:
        known = position.created_us
        return [f"the stream was re-created (created {facts.created_us} us, the store knows {known} us)"]
    found = _end_findings(position, facts, message)
    start = (snapshot.seq if snapshot else position.base_seq) + 1
    if facts.first_seq > start:
        state = (
            f"the newest usable snapshot is of message {snapshot.seq}" if snapshot else "there is no usable snapshot"
        )
        found.append(f"messages {start} to {facts.first_seq - 1} are gone and {state}")
    return found


def _end_findings(position: Position, facts: StreamFacts, message: StoredMessage | None) -> list[str]:
    if facts.last_seq < position.seq:
        return [f"the stream ends at message {facts.last_seq}, the store has up to {position.seq}: messages were lost"]
    if position.hash is None or position.seq == position.base_seq:
        return []
    if message is None:
        return [f"message {position.seq}, the last one stored, is missing in the stream"]
    if message.hash != position.hash:
        return [f"message {position.seq} has hash {message.hash:016x}, the store knows {position.hash:016x}"]
    if message.time_us != position.time_us:
        return [f"message {position.seq} was stored at {message.time_us} us, the store knows {position.time_us} us"]
    return []


def _refusal(database: Database, facts: StreamFacts, found: list[str]) -> str:
    return (
        f"{database.path} and stream {facts.name} do not belong together: {'; '.join(found)}. Restore the stream or "
        f"the data directory, or accept the gap with --new-epoch REASON"
    )


def _begin(database: Database, facts: StreamFacts) -> Position:
    """A new store begins with what the stream still has."""
    base = max(facts.first_seq - 1, 0)
    found = f"messages 1 to {base} are no longer in the stream" if base else "the stream is complete"
    log.info("store_begins", stream=facts.name, after_message=base)
    position = Position(facts.name, facts.created_us, 1, base, None, None, 1, base)
    _write(database, position, reason="new store", found=found, previous=None)
    return position


def _begin_epoch(
    database: Database, snapshots: Snapshots, old: Position, facts: StreamFacts, reason: str, found: str
) -> Position:
    """Continue on another history: all of a re-created stream is new; of the same one, what lies beyond W.

    The old state is not used: the engine starts empty at the first message that is left.
    """
    base = max(facts.first_seq - 1, 0)
    same = (old.stream, old.created_us) == (facts.name, facts.created_us)
    seq = max(base, min(old.seq, facts.last_seq)) if same else base
    log.warning("new_epoch", epoch=old.epoch + 1, reason=reason, found=found, after_message=seq)
    position = Position(facts.name, facts.created_us, old.epoch + 1, seq, None, None, old.next_outbox_seq, base)
    snapshots.clear()
    _write(database, position, reason=reason, found=found, previous=old)
    return position


def _write(database: Database, new: Position, *, reason: str, found: str, previous: Position | None) -> None:
    cursor = database.connection
    cursor.execute("BEGIN")
    cursor.execute("DELETE FROM progress")
    cursor.execute(
        "INSERT INTO progress VALUES (?, ?, ?, ?, NULL, NULL, ?)",
        [new.stream, new.created_us, new.epoch, new.seq, new.next_outbox_seq],
    )
    cursor.execute(
        "INSERT INTO epochs VALUES (?, ?, ?, ?, ?, ?, now()::TIMESTAMP)",
        [
            new.epoch,
            reason,
            found,
            previous.stream if previous else None,
            previous.seq if previous else None,
            new.base_seq,
        ],
    )
    cursor.execute("COMMIT")
