"""The seed of a store: recorded with the epoch that began with it, and the state of its engine before message one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from iotpm.errors import ResumeRefused, SnapshotError
from iotpm.seed import FILE, Seed, SeedFacts

if TYPE_CHECKING:
    from iotpm.store.database import Cursor, Database
    from iotpm.store.progress import Position, Resume

log = structlog.get_logger(__name__)


def with_seed(database: Database, configuration: str, found: Resume) -> Resume:
    """Take over the seed of a new store, or begin again with the one that the epoch began with.

    Args:
        database: the store, for the thread that writes.
        configuration: hash of the node's configuration.
        found: where the node goes on.

    Raises:
        ResumeRefused: the seed belongs to another configuration, or the one that this epoch began with is needed and
            no longer what it was.
    """
    known = recorded(database.connection, found.position.epoch)
    if known is not None:
        return found if found.snapshot is not None else replace(found, seed=_same(database, known))
    if not (database.data_dir / FILE).exists():
        return found
    if found.position.seq != found.position.base_seq or found.snapshot is not None or found.position.epoch != 1:
        log.warning("seed_ignored", reason="the store has begun without it")
        return found
    seed = _read(database)
    if seed.facts.configuration != configuration:
        raise ResumeRefused(
            f"{database.data_dir / FILE} was learned under another configuration ({seed.facts.configuration[:16]}, the "
            f"node has {configuration[:16]}): make it again with `iotpm seed --config`, or remove it"
        )
    _record(database, found.position, seed.facts)
    log.info("seeded", **seed.facts.told)
    return replace(found, seed=seed.state)


def recorded(cursor: Cursor, epoch: int) -> dict[str, Any] | None:
    """What the epoch began with; None if it began empty."""
    if not cursor.execute("SELECT 1 FROM information_schema.tables WHERE table_name = 'seeds'").fetchone():
        return None
    row = cursor.execute(
        """SELECT source, readings, epoch_us(first), epoch_us(last), signals, mature, sha256
           FROM seeds WHERE epoch = ?""",
        [epoch],
    ).fetchone()
    names = ("source", "readings", "first_us", "last_us", "signals", "mature", "sha256")
    return None if row is None else dict(zip(names, row, strict=True))


def _same(database: Database, known: dict[str, Any]) -> bytes:
    seed = _read(database)
    if seed.facts.sha256 != known["sha256"]:
        raise ResumeRefused(
            f"{database.data_dir / FILE} is not the seed that this store began with, SHA-256 {known['sha256'][:16]}..: "
            "put that one back, or accept an empty start with --new-epoch REASON"
        )
    return seed.state


def _read(database: Database) -> Seed:
    path = database.data_dir / FILE
    try:
        seed = Seed.read(database.data_dir)
    except SnapshotError as error:
        raise ResumeRefused(f"{error}; put a whole one there, or remove it before the first start") from error
    if seed is None:
        raise ResumeRefused(
            f"{path} is missing: this store began with it and there is no usable snapshot: put it back, or accept an "
            "empty start with --new-epoch REASON"
        )
    return seed


def _record(database: Database, position: Position, facts: SeedFacts) -> None:
    """One transaction: the seed, and its signals by the numbers that the engine has for them."""
    told, connection = facts.told, database.connection
    connection.execute("BEGIN")
    connection.execute(
        """CREATE TABLE IF NOT EXISTS seeds (epoch UBIGINT, source VARCHAR, readings UBIGINT, first TIMESTAMP,
           last TIMESTAMP, signals UBIGINT, mature UBIGINT, configuration VARCHAR, sha256 VARCHAR)"""
    )
    connection.execute(
        "INSERT INTO seeds VALUES (?, ?, ?, make_timestamp(?), make_timestamp(?), ?, ?, ?, ?)",
        [position.epoch, *(told[key] for key in ("source", "readings", "first_us", "last_us", "signals", "mature")),
         facts.configuration, facts.sha256],
    )  # fmt: skip
    names = [signal.name for signal in facts.signals]
    parts = [name.split("/", 2) for name in names]
    connection.execute(
        """INSERT INTO signals SELECT unnest(range($1)), unnest($2::VARCHAR[]), unnest($3::VARCHAR[]),
           unnest($4::VARCHAR[]), unnest($5::VARCHAR[]), unnest($6::VARCHAR[]), unnest($7::VARCHAR[]), $8""",
        [len(names), names, *(list(column) for column in zip(*parts, strict=True)),
         [signal.unit for signal in facts.signals], [signal.kind for signal in facts.signals], position.base_seq],
    )  # fmt: skip
    connection.execute("COMMIT")
