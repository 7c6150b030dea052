"""Pages of answers: whole, without repeats, bounded, and of one moment, however they are cut and whatever happens."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.support.chunks import T0, ArrowTable, FakeChunk, reading, signal

from iotpm.config import Store
from iotpm.errors import InputError, StoreError
from iotpm.store.answers import Answers
from iotpm.store.database import Database
from iotpm.store.lake import Lake
from iotpm.store.progress import resume
from iotpm.store.snapshots import Snapshots
from iotpm.store.writer import Writer
from iotpm.streams import StreamFacts

FACTS = StreamFacts("RAW_0", T0, 1, 100, 100, 1000, 1 << 30)
SETTINGS = Store(lake_slice_rows=100, lake_after_rows=1000, disk_reserve_bytes=0)
MESSAGES = 60


def revision(seq: int, number: int, state: str = "begin", position: int = 0) -> dict[str, Any]:
    return {
        "id": f"{number:016x}", "signal": number % 2, "site": "plant", "asset": "pump",
        "name": f"plant/pump/s{number % 2}",
        "detector": "limits", "kind": "limit", "revision": {"begin": 0, "worse": 1, "end": 2}[state], "state": state,
        "severity": "low", "start": T0, "time": T0 + seq * 1_000_000, "peak_time": T0, "peak_score": 1.5, "score": 1.5,
        "direction": 1, "maturity": "mature", "seq": seq, "position": position,
    }  # fmt: skip


def message(seq: int) -> FakeChunk:
    """One chunk of one message: 1 to 40 readings of two signals, and now and then a revision of some anomaly."""
    readings = [reading(seq, i % 2, value=seq + i / 100) for i in range(1 + (seq * 7) % 40)]
    revisions = [revision(seq, seq // 3, ("begin", "worse", "end")[seq % 3])] if seq % 2 else []
    rows = {"readings": readings, "anomaly_log": revisions}
    return FakeChunk(seq, rows | ({"signals": [signal(0), signal(1)]} if seq == 1 else {}))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[Database, Writer]]:
    """Sixty messages, the first third of their readings in the lake."""
    with Database(tmp_path, SETTINGS) as database:
        writer = Writer(database, resume(database, Snapshots(tmp_path), FACTS, None, None).position)
        messages = [message(seq).rows for seq in range(1, MESSAGES + 1)]
        tables = ("signals", "readings", "anomaly_log")
        rows = {table: [row for tables in messages for row in tables.get(table, [])] for table in tables}
        writer.commit(FakeChunk(MESSAGES, rows))
        lake = Lake(database)
        assert lake.step_table("readings", keep_rows=800)
        assert lake.step_table("readings", keep_rows=800)
        yield database, writer


def pages(answers: Answers, name: str, **question: Any) -> Iterator[list[dict[str, Any]]]:
    """Page after page of a JSON answer."""
    token = None
    while True:
        page = json.loads(getattr(answers, name)(question if token is None else {**question, "after": token}))
        yield [dict(zip(page["columns"], row, strict=True)) for row in page["rows"]]
        if (token := page["next"]) is None:
            return


def exported(answers: Answers, **question: Any) -> Iterator[pl.DataFrame]:
    token = None
    while True:
        page = answers.export_page(question if token is None else {**question, "after": token})
        frame = pl.read_parquet(io.BytesIO(page.data))
        assert len(frame) == page.rows
        yield frame
        if (token := page.next) is None:
            return


def whole(database: Database, sql: str) -> list[tuple[Any, ...]]:
    with database.cursor() as cursor:
        return cursor.execute(sql).fetchall()


def all_values() -> list[tuple[int, float]]:
    """Readings in the order of their sequences, and by name within one."""
    rows = [(seq, i % 2, seq + i / 100) for seq in range(1, MESSAGES + 1) for i in range(1 + (seq * 7) % 40)]
    return [(seq, value) for seq, _, value in sorted(rows)]


@pytest.mark.parametrize("limit", [7, 39, 100, 1000, 10**6])
def test_an_export_has_every_row_once_in_order_for_any_page_length(store: tuple[Database, Writer], limit: int) -> None:
    frames = list(exported(Answers(store[0]), kind="readings", limit=limit))
    assert max(map(len, frames)) <= limit
    found = pl.concat(frames)
    assert found.select("seq", "value").rows() == all_values()


@pytest.mark.parametrize("max_bytes", [2_000, 4_000, 1 << 20])
def test_a_page_shrinks_until_it_fits_a_message(store: tuple[Database, Writer], max_bytes: int) -> None:
    answers = Answers(store[0], max_bytes=max_bytes)
    assert len(pl.concat(exported(answers, kind="readings", limit=1000))) == len(all_values())
    listed = [row for page in pages(answers, "revisions", limit=1000) for row in page]
    assert [row["seq"] for row in listed] == list(range(1, MESSAGES + 1, 2))


def test_a_row_that_fits_no_message_is_named(store: tuple[Database, Writer]) -> None:
    with pytest.raises(StoreError, match="larger than 100 bytes"):
        Answers(store[0], max_bytes=100).revisions({"limit": 5})
    with pytest.raises(StoreError, match="larger than 100 bytes"):
        Answers(store[0], max_bytes=100).export_page({"kind": "readings", "limit": 5})


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_anomalies_come_last_changed_first_and_once(store: tuple[Database, Writer], limit: int) -> None:
    rows = [row for page in pages(Answers(store[0]), "anomalies", limit=limit) for row in page]
    latest = whole(store[0], "SELECT id, max(seq) AS seq FROM anomaly_log GROUP BY id ORDER BY seq DESC")
    assert [(row["id"], row["seq"]) for row in rows] == latest
    assert "signal" not in rows[0], "numbers of this store mean nothing outside"


@pytest.mark.parametrize("kind", ["anomalies", "readings"])
def test_pages_are_of_the_moment_of_the_first_one(store: tuple[Database, Writer], kind: str) -> None:
    """Rows that are committed, revised and moved between two pages change nothing."""
    database, writer = store
    expected = pl.concat(exported(Answers(database), kind=kind, limit=10**6))
    found, lake = [], Lake(database)
    for seq, frame in enumerate(
        exported(Answers(database), kind=kind, limit=5 if kind == "anomalies" else 50), MESSAGES + 1
    ):
        writer.commit(message(seq))
        if kind == "readings" and seq % 5 == 0:
            lake.step_table("readings", keep_rows=600)
        found.append(frame)
    assert len(found) >= 4
    assert pl.concat(found).equals(expected)


def test_listed_anomalies_are_of_the_moment_of_the_first_page(store: tuple[Database, Writer]) -> None:
    database, writer = store
    expected = [row for page in pages(Answers(database), "anomalies", limit=1000) for row in page]
    found = []
    for seq, page in enumerate(pages(Answers(database), "anomalies", limit=2), MESSAGES + 1):
        rows = [revision(seq, int(row["id"], 16), "end") for row in expected[-3:]]
        writer.commit(FakeChunk(seq, {"anomaly_log": rows}))
        found += page
    assert found == expected


def test_revisions_go_on_behind_what_was_seen(store: tuple[Database, Writer]) -> None:
    database, writer = store
    answers = Answers(database)
    before = json.loads(answers.revisions({"behind": 0}))
    assert (len(before["rows"]), before["through"]) == (MESSAGES // 2, MESSAGES)
    assert json.loads(answers.revisions({"behind": before["through"]}))["rows"] == []
    writer.commit(FakeChunk(70, {"anomaly_log": [revision(65, 1, "end"), revision(66, 9)]}))
    after = json.loads(answers.revisions({"behind": before["through"]}))
    assert [row[after["columns"].index("seq")] for row in after["rows"]] == [65, 66]


def test_live_counters_take_the_place_of_stored_ones(store: tuple[Database, Writer]) -> None:
    stats = pl.DataFrame({
        "id": [0, 1], "name": ["plant/pump/s0", "plant/pump/s1"], "last_seen": [T0, T0 + 1], "rate_hz": [1.0, None],
        "readings": [5, 6], "late": [0, 1], "duplicates": [0, 0], "bad": [0, 0], "windows": [1, 1],
        "anomalies": [0, 2], "maturity": ["cold", "mature"], "idle": [False, True],
    }).with_columns(pl.col("last_seen").cast(pl.Datetime("us")))  # fmt: skip
    (live,) = pages(Answers(store[0], live_signals=lambda: ArrowTable(stats)), "signals")
    assert [(row["name"], row["late"], row["last_seen"]) for row in live] == [
        ("plant/pump/s0", 0, T0), ("plant/pump/s1", 1, T0 + 1)]  # fmt: skip
    (stored,) = pages(Answers(store[0]), "signals")
    assert [row["late"] for row in stored] == [None, None], "no snapshot was taken yet"


def test_figures_of_a_store_are_brought_up_to_its_rows(store: tuple[Database, Writer]) -> None:
    """As a kill leaves them: written with the first of two snapshots, rows stored behind."""
    database, writer = store
    stats = pl.DataFrame({
        "id": [0, 1], "name": ["plant/pump/s0", "plant/pump/s1"], "last_seen": [T0 + MESSAGES * 1_000_000] * 2,
        "rate_hz": [1.0, 2.0], "readings": [500, 600], "late": [0, 1], "duplicates": [0, 0], "bad": [0, 0],
        "windows": [1, 1], "anomalies": [10, 0], "maturity": ["cold", "mature"], "idle": [False, True],
    }).with_columns(pl.col("last_seen").cast(pl.Datetime("us")))  # fmt: skip
    writer.replace_signal_stats(ArrowTable(stats))
    clean = Answers(database).stored()
    assert clean["figures_us"] == clean["last_reading_us"] == T0 + MESSAGES * 1_000_000
    writer.commit(FakeChunk(70, {"readings": [reading(seq, 1) for seq in range(61, 71)]}))
    (rows,) = pages(Answers(database), "signals")
    assert [(row["readings"], row["last_seen"], row["windows"]) for row in rows] == [
        (500, T0 + 60_000_000, 1), (610, T0 + 70_000_000, 1)]  # fmt: skip
    killed = Answers(database).stored()
    assert killed["last_reading_us"] - killed["figures_us"] == 10_000_000


def test_counts_include_the_lake(store: tuple[Database, Writer]) -> None:
    stored = Answers(store[0]).stored()
    assert stored["lake_files"] == 2
    assert stored["rows"]["readings"] == len(all_values())
    assert stored["rows"]["anomalies"] == len(whole(store[0], "SELECT DISTINCT id FROM anomaly_log"))
    assert stored["committed_sequence"] == MESSAGES
    assert stored["bytes"]["store"] > 0


def test_rows_of_an_epoch_before_are_not_forgotten(store: tuple[Database, Writer]) -> None:
    """A re-created stream counts from 1 again: the position is then behind rows that are in the store."""
    database, _ = store
    facts = StreamFacts("RAW_0", T0 + 5, 1, 3, 3, 1000, 1 << 30)
    position = resume(database, Snapshots(database.data_dir), facts, None, "the disk was lost").position
    Writer(database, position).commit(FakeChunk(2, {"readings": [reading(2)]}))
    assert len(pl.concat(exported(Answers(database), kind="readings", limit=50))) == len(all_values()) + 1


@pytest.mark.parametrize(
    ("name", "question", "named"),
    [
        ("signals", {"since_us": 1}, "since_us"),
        ("anomalies", {"sql": "SELECT 1"}, "sql"),
        ("anomalies", {"limit": 0}, "limit 0"),
        ("anomalies", {"limit": True}, "limit True"),
        ("anomalies", {"limit": "5; DROP TABLE readings"}, "DROP"),
        ("anomalies", {"after": "1:2"}, "after '1:2'"),
        ("anomalies", {"after": "1:2:-3"}, "after"),
        ("anomalies", {"signal": 5}, "signal 5"),
        ("anomalies", {"since_us": "1"}, "since_us '1'"),
        ("anomalies", {"since_us": 1 << 70}, "since_us"),
        ("revisions", {"behind": -1}, "behind -1"),
        ("export_page", {"kind": "outbox"}, "kind 'outbox'"),
        ("export_page", {"kind": "readings; DROP TABLE readings"}, "kind"),
    ],
)
def test_questions_outside_the_list_are_refused(
    store: tuple[Database, Writer], name: str, question: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError) as refusal:
        getattr(Answers(store[0]), name)(question)
    assert named in str(refusal.value)


@pytest.mark.parametrize("text", ["' OR 1=1 --", "*'; DROP TABLE readings; --", "[a", "plant/pump/s?"])
def test_a_pattern_is_a_value_and_never_sql(store: tuple[Database, Writer], text: str) -> None:
    answers = Answers(store[0])
    assert answers.export_page({"kind": "readings", "signal": text, "limit": 10}).rows == 0
    assert json.loads(answers.anomalies({"asset": text}))["rows"] == []
    assert Answers(store[0]).stored()["rows"]["readings"] == len(all_values())


def test_a_page_never_exceeds_the_limit_of_the_configuration(store: tuple[Database, Writer]) -> None:
    answers = Answers(store[0], max_rows=10)
    assert len(json.loads(answers.revisions({"limit": 10**6}))["rows"]) == 10
    assert answers.export_page({"kind": "readings", "limit": 10**6}).rows == 10
