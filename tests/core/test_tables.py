"""Tables are plain Arrow: readable by everything, as often as one likes, without a copy."""

from __future__ import annotations

import duckdb
import numpy as np
import polars as pl
import pytest

import iotpm
from iotpm.features import FEATURES
from iotpm.store.tables import VIBRATION

START_US = 1_700_000_000_000_000
COLUMNS = {
    "signals": "id name site asset signal unit kind seq",
    "readings": "signal ts value quality seq stored_at",
    "late_readings": "signal ts value quality seq stored_at watermark",
    "vibration": f"signal start rate_hz n {' '.join(VIBRATION)} bands seq",
    "windows": f"signal start end segment n truncated {' '.join(FEATURES)} score maturity state speed load seq",
    "waveforms": "signal start rate_hz scale samples seq",
    "anomalies": "id signal site asset name detector kind revision state severity start time end peak_time peak_score "
    "peak_value score value expected direction maturity failure_mode contributors quality agreeing seq position",
    "outbox": "outbox_seq seq subject payload cause_time",
    "dead_letters": "seq position subject reason detail payload stored_at",
    "feedback": "id action label anomaly name detector kind direction peak_score start end author note said_at "
    "stored_at seq",
    "sources": "source epoch source_seq seq",
    "scores": "signal ts score detector expected maturity seq",
}


@pytest.fixture(scope="module")
def out() -> iotpm.Output:
    engine = iotpm.Engine([{"match": "*", "limits": {"hi": 50.0}, "begin_at_once": 1.0}], emit_scores=True)
    times = START_US + np.arange(1000) * 1_000_000
    values = np.sin(np.arange(1000.0))
    values[500], values[700] = 99.0, np.nan
    times[900] = times[100]
    return engine.push("plant/pump 1/t.1", times, values, times)


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_those_of_the_contract(out: iotpm.Output, name: str) -> None:
    table = getattr(out, name)
    assert table.column_names == COLUMNS[name].split()
    assert pl.DataFrame(table).columns == table.column_names
    assert pl.DataFrame(table).height == len(table)


def test_types_are_those_of_the_contract(out: iotpm.Output) -> None:
    rows = out.readings  # noqa: F841 - DuckDB finds it by its name
    with duckdb.connect() as db:
        types = db.execute("describe from rows").fetchall()
    assert {row[0]: row[1] for row in types} == {
        "signal": "UINTEGER",
        "ts": "TIMESTAMP",
        "value": "DOUBLE",
        "quality": "UTINYINT",
        "seq": "UBIGINT",
        "stored_at": "TIMESTAMP",
    }


def test_duckdb_inserts_more_than_once(out: iotpm.Output) -> None:
    rows = out.readings  # noqa: F841 - DuckDB finds it by its name
    with duckdb.connect() as db:
        db.execute("create table readings as from rows limit 0")
        db.execute("insert into readings from rows")
        db.execute("insert into readings from rows")
        counted = db.execute("select count(*), count(value), min(ts) from readings").fetchone()
    assert counted is not None
    assert counted[:2] == (2 * len(out.readings), 2 * (len(out.readings) - 1))


def test_a_column_is_the_same_memory_at_every_read(out: iotpm.Output) -> None:
    def address() -> int:
        column = pl.DataFrame(out.readings)["seq"].to_numpy(allow_copy=False)
        return int(column.__array_interface__["data"][0])

    assert address() == address()


def test_numpy_takes_a_column_without_a_copy(out: iotpm.Output) -> None:
    seq = pl.DataFrame(out.readings)["seq"].to_numpy(allow_copy=False)
    assert not seq.flags.owndata
    assert seq.dtype == np.uint64


def test_rows_outlive_their_engine() -> None:
    table = iotpm.Engine().push("s/a/t", np.arange(10) * 1_000_000, np.arange(10.0)).readings
    assert pl.DataFrame(table)["value"].to_list() == list(range(10))


def test_names_are_percent_encoded_in_subjects_only(out: iotpm.Output) -> None:
    assert pl.DataFrame(out.signals).select("name", "asset", "signal").row(0) == ("plant/pump 1/t.1", "pump 1", "t.1")
    assert pl.DataFrame(out.outbox)["subject"].unique().to_list() == ["iotpm.anomaly.plant.pump%201"]


def test_every_revision_is_an_event_and_numbers_are_dense(out: iotpm.Output) -> None:
    log, events = pl.DataFrame(out.anomalies), pl.DataFrame(out.outbox)
    assert log.height > 0
    assert events["outbox_seq"].to_list() == list(range(1, log.height + 1))
    ids = events["payload"].str.json_path_match("$.id").to_list()
    assert ids == [f"{row['id']}:{row['revision']}" for row in log.iter_rows(named=True)]


def test_a_table_says_what_it_is(out: iotpm.Output) -> None:
    assert repr(out.sources) == "Table(0 rows: source, epoch, source_seq, seq)"
    assert not hasattr(out.readings, "__dict__")
    with pytest.raises(AttributeError):
        out.readings.rows = 1  # type: ignore[attr-defined]
