"""Whether a store holds exactly what was published: every finding is one line, none is a proof."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iotpm.store.database import Database
from iotpm.store.digest import Digest, digests
from iotpm.store.query import relation
from tests.support.nodes import Published, elsewhere, run_through, stream_counts, stream_messages

if TYPE_CHECKING:
    from pathlib import Path

    from iotpm.config import Config
    from tests.support.plant import Outcomes


@dataclass(frozen=True, slots=True)
class Stored:
    """What a stopped node's store holds."""

    digests: dict[str, Digest]
    readings: Counter[tuple[str, int]]
    late: Counter[tuple[str, int]]
    dead: Counter[str]
    dead_places: Counter[tuple[int, int]]
    outbox: list[tuple[int, str, str]]
    revisions: list[tuple[str, int, int, str]]
    """(anomaly, revision, seq, state) in order"""
    kinds: frozenset[str]
    lake_files: int
    statistics: list[tuple[Any, ...]]
    sources: list[tuple[Any, ...]]

    @classmethod
    def of(cls, config: Config) -> Stored:
        """Read a store."""
        with Database.read_only(config.data_dir, config.store) as database, database.cursor() as cursor:
            rows = cursor.execute

            def places(table: str) -> Counter[tuple[str, int]]:
                found = relation(cursor, database.data_dir, table, None)
                sql = f"SELECT s.name, epoch_us(t.ts) FROM {found} t JOIN signals s ON s.id = t.signal"
                return Counter(rows(sql).fetchall())

            return cls(
                digests(database),
                places("readings"),
                places("late_readings"),
                Counter(row[0] for row in rows("SELECT reason FROM dead_letters").fetchall()),
                Counter(rows("SELECT seq, position FROM dead_letters").fetchall()),
                rows("SELECT outbox_seq, subject, payload FROM outbox ORDER BY outbox_seq").fetchall(),
                rows("SELECT id, revision, seq, state FROM anomaly_log ORDER BY seq, position, id").fetchall(),
                frozenset(row[0] for row in rows("SELECT DISTINCT kind FROM anomaly_log").fetchall()),
                len(rows("SELECT path FROM lake_files").fetchall()),
                rows("SELECT * EXCLUDE (id) FROM signal_stats ORDER BY name").fetchall(),
                rows("SELECT DISTINCT ON (source) * FROM sources ORDER BY source, seq DESC").fetchall(),
            )

    def open_at(self, sequence: int) -> int:
        """Anomalies open after message `sequence`."""
        latest = {anomaly: state for anomaly, _, seq, state in self.revisions if seq <= sequence}
        return sum(state != "end" for state in latest.values())


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that is wrong, and the figures."""

    findings: list[str]
    lost: int
    twice: int
    different: int
    stored: Stored
    repeats_dropped: int


def verdict(config: Config, url: str, outcomes: Outcomes, directory: Path) -> Verdict:
    """Bring the stopped node up to the end of its stream, and compare it with the plan and with a fresh node.

    The fresh node has another number of shards.

    Raises:
        IotpmError: the node refuses to go on.
    """
    last, counts = stream_counts(url, "RAW_0")
    counters = run_through(config, last)
    fresh_config = elsewhere(config, directory / "fresh", shards=3)
    fresh_counters = run_through(fresh_config, last)
    found, fresh = Stored.of(config), Stored.of(fresh_config)
    lost, twice = _differences(found, outcomes)
    differing = [table for table in found.digests if found.digests[table] != fresh.digests[table]]
    findings = [
        *(f"lost: {line}" for line in lost),
        *(f"twice or unplanned: {line}" for line in twice),
        *(f"{table}: {found.digests[table]}, a fresh node has {fresh.digests[table]}" for table in differing),
        *_count_findings(counters, outcomes, counts["raw"]),
        *(f"{name} = {n}, a fresh node counts {fresh_counters[name]}" for name, n in counters.items()
          if n != fresh_counters[name]),
        *_outbox_findings(found, stream_messages(url, "ANOMALY_0")),
    ]  # fmt: skip
    if found.statistics != fresh.statistics or found.sources != fresh.sources:
        findings.append("signal_stats or sources: not as a fresh node has them")
    return Verdict(findings, len(lost), len(twice), len(differing), found, counters["source_duplicates"])


def _differences(found: Stored, outcomes: Outcomes) -> tuple[list[str], list[str]]:
    """What is missing, and what should not be there."""
    pairs: list[tuple[str, Counter[Any], Counter[Any]]] = [
        ("reading", outcomes.stored, found.readings),
        ("late reading", outcomes.late, found.late),
        ("dead letter", outcomes.dead, found.dead),
        ("place of a dead letter", found.dead_places & Counter(found.dead_places.keys()), found.dead_places),
    ]
    lost = [f"{what} {item}" for what, planned, stored in pairs for item in (planned - stored).elements()]
    twice = [f"{what} {item}" for what, planned, stored in pairs for item in (stored - planned).elements()]
    return lost, twice


def _count_findings(counters: dict[str, int], outcomes: Outcomes, messages: int) -> Iterator[str]:
    accounted = counters["accepted"] + counters["late"] + counters["dead_letters"] + counters["duplicates"]
    if accounted != outcomes.readings:
        yield f"published {outcomes.readings} readings, accounted for are {accounted}"
    if counters["duplicates"] != outcomes.duplicates:
        yield f"duplicates: {counters['duplicates']} of {outcomes.duplicates}"
    if counters["source_duplicates"] != messages - outcomes.messages:
        yield f"{counters['source_duplicates']} repeats dropped, {messages} messages instead of {outcomes.messages}"


def _outbox_findings(found: Stored, published: list[Published]) -> Iterator[str]:
    numbers = [row[0] for row in found.outbox]
    if numbers != list(range(1, len(numbers) + 1)):
        yield "outbox_seq is not dense"
    if len(numbers) != len(found.revisions):
        yield f"{len(found.revisions)} revisions, {len(numbers)} events"
    sent = [int(message.headers["Iotpm-Outbox-Seq"]) for message in published]
    if sent != numbers:
        yield f"{len(numbers)} events, ANOMALY_0 has {len(sent)} or in another order"
    if [message.payload.decode() for message in published] != [row[2] for row in found.outbox]:
        yield "ANOMALY_0 has other events than the outbox"
