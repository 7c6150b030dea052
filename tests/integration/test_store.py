"""The store against a real DuckDB file: one transaction is the only truth, whatever happens around it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from tests.support.chunks import SCHEMAS, T0, ArrowTable, FakeChunk, reading, signal, simple

from iotpm.config import Store
from iotpm.errors import LeaseLost, ProgressConflict, StoreError, StoreFull, StoreHeld
from iotpm.store.database import Database
from iotpm.store.digest import digest, digests
from iotpm.store.lake import Lake, verify
from iotpm.store.progress import Position, read_position, resume
from iotpm.store.query import Filter, Page, Query
from iotpm.store.retention import Retention
from iotpm.store.snapshots import Snapshots
from iotpm.store.writer import Harness, Writer  # noqa: F401 - the killed processes import Harness from here
from iotpm.streams import StreamFacts

FACTS = StreamFacts("RAW_0", T0, 1, 100, 100, 1000, 1 << 30)
SETTINGS = Store(lake_slice_rows=100, lake_after_rows=1000, disk_reserve_bytes=0)
DAY_US = 86_400_000_000


def opened(directory: Path, settings: Store = SETTINGS, **options: Any) -> tuple[Database, Writer]:
    database = Database(directory, settings)
    known = read_position(database.connection)
    at = known or resume(database, Snapshots(directory), FACTS, None, None).position
    return database, Writer(database, at, **options)


def seqs(database: Database) -> list[int]:
    with database.cursor() as cursor:
        return [row[0] for row in cursor.execute("SELECT seq FROM readings ORDER BY seq").fetchall()]


def position(database: Database) -> Position:
    found = read_position(database.connection)
    assert found is not None
    return found


@pytest.fixture
def store(tmp_path: Path) -> Any:
    database, writer = opened(tmp_path)
    yield database, writer
    database.close()


def test_a_chunk_of_every_table_is_stored_by_column_name(store: tuple[Database, Writer]) -> None:
    database, writer = store
    full = {name: [_filled(name)] for name in SCHEMAS}
    after = writer.commit(FakeChunk(5, full, last_hash=2**64 - 1))
    assert (after.seq, after.hash, after.next_outbox_seq, after.time_us) == (5, 2**64 - 1, 2, T0 + 5)
    assert position(database) == after
    with database.cursor() as cursor:
        for name in SCHEMAS:
            columns = [row[0] for row in cursor.execute(f"DESCRIBE {name}").fetchall()]
            assert sorted(columns) == sorted(SCHEMAS[name]), name
            assert cursor.execute(f"SELECT count(*) FROM {name}").fetchone() == (1,), name


def _filled(name: str) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys(SCHEMAS[name], 1)
    for column, kind in SCHEMAS[name].items():
        if kind == SCHEMAS["signals"]["name"]:
            values[column] = "x"
        elif kind == SCHEMAS["readings"]["ts"]:
            values[column] = T0
        elif kind == SCHEMAS["readings"]["value"]:
            values[column] = 1.5
    return values | {"samples": [1.0, 2.0], "payload": b"x" if name == "dead_letters" else "x"}


def test_an_unknown_column_is_refused_whole(store: tuple[Database, Writer]) -> None:
    database, writer = store
    chunk = simple(3)
    chunk.__dict__["signals"] = ArrowTable(pl.DataFrame({"id": [1], "surprise": [2]}))
    with pytest.raises(StoreError, match="surprise"):
        writer.commit(chunk)
    assert (seqs(database), position(database).seq) == ([], 0)


def test_a_statement_planned_before_stores_what_comes_later(store: tuple[Database, Writer]) -> None:
    """After its transaction was rolled back, the file reopened, the catalog changed, columns came in another order."""
    database, writer = store
    broken = simple(1)
    broken.__dict__["windows"] = ArrowTable(pl.DataFrame({"surprise": [1]}))
    with pytest.raises(StoreError):
        writer.commit(broken)
    writer.commit(simple(2))
    database.reopen()
    writer.commit(simple(3))
    with database.cursor() as cursor:
        cursor.execute("CREATE TABLE added_meanwhile (i INTEGER)")
    writer.commit(simple(4))
    reordered = simple(5)
    columns = list(reversed(SCHEMAS["readings"]))
    reordered.__dict__["readings"] = ArrowTable(pl.DataFrame([reading(5)], schema=SCHEMAS["readings"]).select(columns))
    writer.commit(reordered)
    writer.commit(simple(6))
    with database.cursor() as cursor:
        stored = cursor.execute("SELECT seq, value FROM readings ORDER BY seq").fetchall()
    assert stored == [(seq, float(seq)) for seq in (2, 3, 4, 5, 6)]


def test_rows_and_position_survive_a_reopen(tmp_path: Path) -> None:
    database, writer = opened(tmp_path)
    writer.commit(simple(3, 1))
    database.close()
    database, writer = opened(tmp_path)
    assert (seqs(database), writer.position.seq) == ([1, 2, 3], 3)
    database.close()


def test_a_position_that_moved_elsewhere_stops_the_writer(store: tuple[Database, Writer]) -> None:
    database, writer = store
    writer.commit(simple(1))
    stale = Writer(database, writer.position)
    writer.commit(simple(2))
    with pytest.raises(ProgressConflict, match="position is 2, this writer left 1"):
        stale.commit(simple(3))
    assert seqs(database) == [1, 2]
    assert writer.commit(simple(3)).seq == 3


def test_a_chunk_that_is_stored_already_changes_nothing_or_is_refused(store: tuple[Database, Writer]) -> None:
    database, writer = store
    writer.commit(simple(5))
    assert writer.commit(FakeChunk(4)).seq == 5
    with pytest.raises(ProgressConflict, match="has rows for readings"):
        writer.commit(simple(4))
    assert seqs(database) == [5]


@pytest.mark.parametrize("call", [1, 2])
def test_a_lost_lease_leaves_nothing_behind(tmp_path: Path, call: int) -> None:
    calls = 0

    def fence() -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise LeaseLost("gone")

    database, writer = opened(tmp_path, fence=fence)
    with pytest.raises(LeaseLost):
        writer.commit(simple(1))
    assert (seqs(database), position(database).seq) == ([], 0)
    assert writer.commit(simple(1)).seq == 1
    database.close()


class Ambiguous:
    """A connection whose COMMIT reports an error, after or instead of doing it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, durable: bool) -> None:
        self._connection, self._durable = connection, durable

    def execute(self, sql: str, *arguments: Any) -> Any:
        if sql != "COMMIT":
            # DuckDB looks for `rows` in the frame that calls it.
            rows = sys._getframe(1).f_locals.get("rows")  # noqa: F841
            return self._connection.execute(sql, *arguments)
        if self._durable:
            self._connection.execute("COMMIT")
        raise duckdb.FatalException("FATAL Error: Failed to commit: No space left on device")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_a_commit_that_reports_an_error_but_is_durable_is_kept(store: tuple[Database, Writer]) -> None:
    database, writer = store
    database._connection = Ambiguous(database.connection, durable=True)  # type: ignore[assignment]
    assert writer.commit(simple(1)).seq == 1
    writer.commit(simple(2))
    assert seqs(database) == [1, 2]


def test_a_commit_that_failed_may_be_repeated(store: tuple[Database, Writer]) -> None:
    database, writer = store
    database._connection = Ambiguous(database.connection, durable=False)  # type: ignore[assignment]
    with pytest.raises(StoreFull, match="disk is full"):
        writer.commit(simple(1))
    assert (seqs(database), writer.position.seq) == ([], 0)
    assert writer.commit(simple(1)).seq == 1
    assert seqs(database) == [1]


_KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from tests.integration.test_store import Harness, opened, simple
    directory, point, chunk = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    count = 0
    def at(where):
        global count
        count += where == "begun"
        if where == point and count == chunk:
            os.kill(os.getpid(), signal.SIGKILL)
    database, writer = opened(directory, harness=Harness(progress_first=sys.argv[4] == "broken", at=at))
    for seq in range(10, 60, 10):
        writer.commit(simple(seq, seq - 9))
    """
)


def killed(directory: Path, point: str, chunk: int, *, broken: bool = False) -> tuple[list[int], int]:
    """Rows and position after a `kill -9` at a point of the n-th transaction."""
    command = [sys.executable, "-c", _KILLED, str(directory), point, str(chunk), "broken" if broken else "right"]
    root = Path(__file__).parents[2]
    environ = os.environ | {"PYTHONPATH": f"{root}:{root / 'python'}"}
    done = subprocess.run(command, env=environ, cwd=root, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    with Database(directory, SETTINGS) as database:
        return seqs(database), position(database).seq


@pytest.mark.parametrize("point", ["begun", "rows", "before_commit", "committed"])
def test_kill_in_the_middle_leaves_rows_and_position_in_step(tmp_path: Path, point: str) -> None:
    stored, at = killed(tmp_path, point, 3)
    assert stored == list(range(1, at + 1))
    assert at == (30 if point == "committed" else 20)


def test_the_kill_test_notices_progress_before_rows(tmp_path: Path) -> None:
    stored, at = killed(tmp_path, "progress", 3, broken=True)
    assert stored != list(range(1, at + 1))


_FULL = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    from iotpm.errors import StoreFull
    from tests.integration.test_store import opened, seqs, simple, position
    database, writer = opened(Path(sys.argv[1]))
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    seq = refused = 0
    while not refused:
        try:
            writer.commit(simple(seq + 2000, seq + 1))
            seq += 2000
        except StoreFull as error:
            refused = 1
    for _ in range(3):
        try:
            writer.commit(simple(seq + 2000, seq + 1))
            raise SystemExit("stored on a full disk")
        except StoreFull:
            pass
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    writer.commit(simple(seq + 2000, seq + 1))
    assert seqs(database) == list(range(1, seq + 2001)), (seq, len(seqs(database)))
    assert position(database).seq == seq + 2000
    print("resumed after", seq)
    """
)


def test_a_full_disk_refuses_clearly_and_resumes_without_loss(tmp_path: Path) -> None:
    """A limit on file sizes makes the very writes fail that a full disk would."""
    root = Path(__file__).parents[2]
    environ = os.environ | {"PYTHONPATH": f"{root}:{root / 'python'}"}
    command = [sys.executable, "-c", _FULL, str(tmp_path)]
    done = subprocess.run(command, env=environ, cwd=root, capture_output=True, text=True)
    assert "\nresumed after " in done.stdout, done.stdout + done.stderr


def test_a_second_owner_is_told_who_holds_the_store(store: tuple[Database, Writer]) -> None:
    database, _ = store
    with pytest.raises(StoreHeld, match=f"in use by process {os.getpid()} on "):
        Database(database.data_dir, SETTINGS)


def test_another_process_cannot_even_read_and_is_told_who_holds_it(store: tuple[Database, Writer]) -> None:
    database, _ = store
    code = (
        "import sys; from iotpm.store.database import Database; from iotpm.config import Store\n"
        "from iotpm.errors import StoreHeld\n"
        "try: Database.read_only(sys.argv[1], Store())\n"
        "except StoreHeld as error: print(error)"
    )
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "python")}
    command = [sys.executable, "-c", code, str(database.data_dir)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert f"in use by process {os.getpid()} on " in done.stdout, done.stderr


def test_a_store_belongs_to_one_partition(tmp_path: Path) -> None:
    Database(tmp_path, SETTINGS, partition="0").close()
    with pytest.raises(StoreError, match="belongs to partition 0, not 1"):
        Database(tmp_path, SETTINGS, partition="1")
    Database(tmp_path, SETTINGS, partition="0").close()


def test_checkpoints_happen_only_when_due(store: tuple[Database, Writer]) -> None:
    database, writer = store
    writer.commit(simple(1))
    assert not database.checkpoint_if_due(idle=True)
    small = Database.__new__(Database)
    small.__dict__.update(database.__dict__ | {"settings": Store(checkpoint_wal_bytes=65_536)})
    while database.wal_bytes < 65_536:
        writer.commit(simple(writer.position.seq + 500, writer.position.seq + 1))
    assert small.checkpoint_if_due()
    assert database.wal_bytes < 65_536


# --- the lake ---------------------------------------------------------------------------------------------------------


def filled(directory: Path, rows: int = 1500, settings: Store = SETTINGS) -> tuple[Database, Writer]:
    database, writer = opened(directory, settings)
    writer.commit(simple(1, new_signal=True))
    for last in range(100, rows + 1, 100):
        writer.commit(simple(last, max(last - 99, 2)))
    return database, writer


def pages(database: Database, where: Filter | None = None, limit: int = 170) -> list[int]:
    found: list[int] = []
    page = Query(database).readings(where, limit=limit)
    found += [row["seq"] for row in page.dicts()]
    while page.next:
        page = Query(database).readings(where, limit=limit, after=page.next)
        found += [row["seq"] for row in page.dicts()]
    return found


def test_moving_changes_no_answer(tmp_path: Path) -> None:
    database, _ = filled(tmp_path)
    before = digests(database)
    lake = Lake(database)
    moved = []
    while file := lake.step():
        moved.append(file)
    assert [(f.seq_lo, f.seq_hi) for f in moved] == [(1 + 100 * n, 100 + 100 * n) for n in range(5)]
    assert seqs(database) == list(range(501, 1501))
    assert pages(database) == list(range(1, 1501))
    assert digests(database) == before
    assert all((tmp_path / f.path).exists() and "/date=2023-11-14/hour=22/" in f.path for f in moved)
    assert verify(tmp_path, database.connection) == []
    database.close()
    with Database.read_only(tmp_path, SETTINGS) as stopped:
        assert pages(stopped) == list(range(1, 1501))


def test_a_message_is_never_split_between_store_and_lake(tmp_path: Path) -> None:
    database, writer = opened(tmp_path, Store(lake_slice_rows=100, lake_after_rows=1000))
    rows = [reading(7, number) for number in range(250)] + [reading(8, number) for number in range(1000)]
    writer.commit(FakeChunk(8, {"readings": rows, "signals": [signal(number) for number in range(1000)]}))
    file = Lake(database).step()
    assert file is not None
    assert (file.seq_lo, file.seq_hi, file.rows) == (7, 7, 250)
    assert Lake(database).step() is None
    database.close()


def test_lag_pauses_the_moving(tmp_path: Path) -> None:
    database, _ = filled(tmp_path)
    assert Lake(database).step(lag=SETTINGS.lake_max_lag + 1) is None
    assert Lake(database).step(lag=SETTINGS.lake_max_lag) is not None
    database.close()


_MOVE_KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from iotpm.store.lake import Lake
    from tests.integration.test_store import filled
    def at(where):
        if where == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGKILL)
    database, _ = filled(Path(sys.argv[1]))
    Lake(database, at=at).step()
    """
)


@pytest.mark.parametrize("point", ["written", "renamed", "listed", "moved"])
def test_kill_while_moving_loses_and_repeats_nothing(tmp_path: Path, point: str) -> None:
    root = Path(__file__).parents[2]
    environ = os.environ | {"PYTHONPATH": f"{root}:{root / 'python'}"}
    command = [sys.executable, "-c", _MOVE_KILLED, str(tmp_path), point]
    assert subprocess.run(command, env=environ, cwd=root).returncode == -9
    with Database(tmp_path, SETTINGS) as database:
        assert pages(database) == list(range(1, 1501)), "before recovery"
        stray = Lake(database).recover()
        assert len(stray) == (0 if point == "moved" else 1)
        assert pages(database) == list(range(1, 1501))
        on_disk = [p for p in (tmp_path / "lake").rglob("*") if p.is_file()]
        assert len(on_disk) == (1 if point == "moved" else 0)


def test_a_missing_or_cut_lake_file_is_not_passed_over(tmp_path: Path) -> None:
    database, _ = filled(tmp_path)
    file = Lake(database).step()
    assert file is not None
    path = tmp_path / file.path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=rf"has {file.bytes - 1} bytes, listed are {file.bytes} bytes and 100 rows"):
        Lake(database).recover()
    path.unlink()
    with pytest.raises(StoreError, match="is missing"):
        Lake(database).recover()
    database.close()


# --- retention --------------------------------------------------------------------------------------------------------


def aged(directory: Path, days: float) -> tuple[Database, Writer, Lake]:
    """A lake of 500 readings, one a second, and a position that lies `days` later."""
    database, writer = filled(directory)
    lake = Lake(database)
    while lake.step():
        pass
    last = 1500 + int(days * DAY_US)
    writer.commit(FakeChunk(last))
    return database, writer, lake


def test_old_readings_become_minutes_and_then_hours(tmp_path: Path) -> None:
    database, writer, lake = aged(tmp_path, 91)
    retention = Retention(database, lake)
    assert retention.enforce() == 6  # five files, and one slice of hot rows that have expired too
    with database.cursor() as cursor:
        tiers = cursor.execute("SELECT tier, path FROM lake_files").fetchall()
        assert [tier for tier, _ in tiers] == ["minute"]
        sums = f"SELECT sum(n), sum(sum), min(min), max(max) FROM read_parquet('{tmp_path / tiers[0][1]}')"
        assert cursor.execute(sums).fetchone() == (600, 600 * 601 / 2, 1.0, 600.0)
    writer.commit(FakeChunk(1500 + 400 * DAY_US))
    while retention.enforce():
        pass
    with database.cursor() as cursor:
        found = cursor.execute("SELECT path FROM lake_files WHERE tier = 'hour'").fetchall()
        paths = [str(tmp_path / row[0]) for row in found]
        total = cursor.execute("SELECT sum(n), sum(sum) FROM read_parquet(?)", [paths]).fetchone()
        assert total == (1500, 1500 * 1501 / 2)
    on_disk = {str(p) for p in (tmp_path / "lake").rglob("*.parquet")}
    assert on_disk == set(paths)
    database.close()


def test_the_budget_drops_the_oldest_files_first_and_refuses_at_the_end(tmp_path: Path) -> None:
    database, writer, lake = aged(tmp_path, 0)
    used = Retention(database, lake).usage()
    tight = Store(lake_slice_rows=100, lake_after_rows=1000, disk_reserve_bytes=0,
                  disk_budget_bytes=max(used.used_bytes - 1, 1 << 24))  # fmt: skip
    retention = Retention(database, lake)
    retention._settings = tight
    assert retention.usage().budget_bytes == tight.disk_budget_bytes
    retention.check()
    never = Store(lake_slice_rows=100, disk_reserve_bytes=1 << 50)
    retention._settings = never
    assert retention.enforce() == 5
    with pytest.raises(StoreFull, match=r"reserve 1125899906842624: raise \[store\] disk_budget_bytes or free space"):
        retention.check()
    retention._settings = SETTINGS
    retention.check()
    assert writer.position.seq == position(database).seq
    database.close()


def test_the_forecast_follows_the_rate_of_growth(tmp_path: Path) -> None:
    database, _, lake = aged(tmp_path, 0)
    retention = Retention(database, lake)
    assert retention.forecast_days() is None
    room = retention.usage().room_bytes
    retention._samples.extend([(0, 1000), (DAY_US, 1000 + room // 10)])
    assert retention.forecast_days() == pytest.approx(10, rel=0.01)
    database.close()


# --- questions and digests --------------------------------------------------------------------------------------------


def anomaly(seq: int, name: str, revision: int, state: str = "open") -> dict[str, Any]:
    site, asset, _ = name.split("/")
    return {"id": name, "signal": 0, "site": site, "asset": asset, "name": name, "detector": "limits", "kind": "limit",
            "revision": revision, "state": state, "severity": "high", "start": T0, "time": T0 + seq, "peak_time": T0,
            "peak_score": 2.0, "score": 2.0, "direction": 1, "maturity": "cold", "seq": seq, "position": 0}  # fmt: skip


def test_anomalies_show_the_latest_revision_and_follow_shows_all(store: tuple[Database, Writer]) -> None:
    database, writer = store
    rows = [anomaly(1, "p/a/x", 0), anomaly(2, "p/b[1]/y", 0), anomaly(3, "p/a/x", 1, "closed")]
    writer.commit(FakeChunk(3, {"anomaly_log": rows}))
    query = Query(database)
    assert [(r["name"], r["state"]) for r in query.anomalies().dicts()] == [("p/b[1]/y", "open"), ("p/a/x", "closed")]
    assert [r["revision"] for r in query.revisions().dicts()] == [0, 0, 1]
    assert [r["name"] for r in query.anomalies(Filter(asset="b[1]")).dicts()] == ["p/b[1]/y"]
    assert [r["name"] for r in query.anomalies(Filter(asset="p/a")).dicts()] == ["p/a/x"]
    assert [r["seq"] for r in query.revisions(Filter(since_us=T0 + 2, until_us=T0 + 3)).dicts()] == [2]
    assert query.counts()["anomalies"] == 2


def test_pages_of_any_size_give_every_row_once(store: tuple[Database, Writer]) -> None:
    database, writer = store
    names = [signal(number) for number in range(7)]
    rows = [reading(seq, number) for seq in range(1, 12) for number in range(7)]
    writer.commit(FakeChunk(11, {"signals": names, "readings": rows}))
    everything = [(row["seq"], row["signal"]) for row in Query(database).readings().dicts()]
    assert len(everything) == len(set(everything)) == 77
    for limit in (1, 3, 7, 10, 76, 77):
        found, after = [], None
        while True:
            page: Page = Query(database).readings(limit=limit, after=after)
            found += [(row["seq"], row["signal"]) for row in page.dicts()]
            if (after := page.next) is None:
                break
        assert found == everything, limit
    assert [r["signal"] for r in Query(database).readings(Filter(signal="*/s3"), limit=2).dicts()] == [
        "plant/pump/s3"
    ] * 2
    with pytest.raises(StoreError, match="page token 'x'"):
        Query(database).readings(after="x")


def test_signals_come_with_the_counters_of_the_last_snapshot(store: tuple[Database, Writer]) -> None:
    database, writer = store
    writer.commit(FakeChunk(1, {"signals": [signal(0), signal(1)]}))
    stats = pl.DataFrame(
        {"id": [0], "name": ["plant/pump/s0"], "last_seen": [T0], "rate_hz": [2.0], "readings": [5], "late": [1],
         "duplicates": [0], "bad": [0], "windows": [0], "anomalies": [0], "maturity": ["cold"], "idle": [False]}
    ).with_columns(pl.col("last_seen").cast(pl.Datetime("us")))  # fmt: skip
    for _ in range(2):
        writer.replace_signal_stats(ArrowTable(stats))
    rows = Query(database).signals().dicts()
    shown = [(r["name"], r["late"], r["last_seen"]) for r in rows]
    assert shown == [
        ("plant/pump/s0", 1, T0),
        ("plant/pump/s1", None, None),
    ]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_export_writes_what_was_asked_for(store: tuple[Database, Writer], tmp_path: Path, ending: str) -> None:
    database, writer = store
    writer.commit(FakeChunk(3, {"signals": [signal(0)], "readings": [reading(seq) for seq in (1, 2, 3)]}))
    target = tmp_path / f"it's.{ending}"
    assert Query(database).export("readings", target, Filter(since_us=T0 + 2_000_000)) == 2
    found = duckdb.read_parquet(str(target)) if ending == "parquet" else duckdb.read_csv(str(target))
    assert found.select("signal, value").fetchall() == [("plant/pump/s0", 2.0), ("plant/pump/s0", 3.0)]
    with pytest.raises(StoreError, match="must be one of readings, windows, vibration, waveforms"):
        Query(database).export("secrets", target)
    with pytest.raises(StoreError, match=r"must end in \.parquet or \.csv"):
        Query(database).export("readings", tmp_path / "x.txt")


def test_digests_ignore_order_numbering_and_storage_time_but_nothing_else(tmp_path: Path) -> None:
    def made(name: str, rows: list[dict[str, Any]], ids: tuple[int, int]) -> Any:
        database, writer = opened(tmp_path / name)
        names = [signal(0) | {"id": ids[0]}, signal(1) | {"id": ids[1]}]
        numbered = [row | {"signal": ids[row["signal"]]} for row in rows]
        writer.commit(FakeChunk(9, {"signals": names, "readings": numbered}))
        found = digest(database, "readings")
        database.close()
        return found

    rows = [reading(1, 0), reading(2, 1), reading(3, 0, value=0.0)]
    same = made("a", rows, (0, 1))
    assert made("b", [row | {"stored_at": T0} for row in rows[::-1]], (7, 3)) == same
    for other in (
        [*rows, rows[0]],
        rows[:2],
        [rows[0] | {"value": 1.0000000000000002}, *rows[1:]],
        [*rows[:2], rows[2] | {"value": -0.0}],
        [rows[0] | {"signal": 1}, *rows[1:]],
        [rows[0] | {"ts": T0}, *rows[1:]],
    ):
        assert made(f"c{len(list(tmp_path.iterdir()))}", other, (0, 1)) != same


def test_small_notes(store: tuple[Database, Writer]) -> None:
    database, writer = store
    for _ in range(2):
        writer.record_configuration(4, "hash", "[]")
    writer.record_delivered(3)
    writer.record_delivered(7)
    assert database.connection.execute("SELECT * FROM configurations").fetchall() == [(1, 4, "hash", "[]")]
    assert Query(database).delivered() == 7
    events = [{"outbox_seq": n, "seq": n, "subject": "s", "payload": "{}", "cause_time": T0} for n in (1, 2, 3)]
    writer.commit(FakeChunk(3, {"outbox": events}))
    assert [row[0] for row in Query(database).outbox(2)] == [2, 3]
    assert writer.position.next_outbox_seq == 4
