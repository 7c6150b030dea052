"""Files as users have them, and what is said about those that cannot be read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotpm.errors import SourceError
from iotpm.replay import Source, open_source
from iotpm.replay.times import epoch_us, number, rfc3339, time_us

NOON = 1_583_755_200_000_000  # 2020-03-09T12:00:00Z
Reading = tuple[str, int, float]


def readings(source: Source) -> list[Reading]:
    out = []
    for rows in source:
        names = rows.names
        columns = zip(rows.index.tolist(), rows.times_us.tolist(), rows.values.tolist(), strict=True)
        out += [(names[i], t, v) for i, t, v in columns]
    return out


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


WIDE = [("replay/m/a", NOON, 1.5), ("replay/m/b", NOON, 2.0), ("replay/m/a", NOON + 1_000_000, -3.0),
        ("replay/m/b", NOON + 1_000_000, 4.25)]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "timestamp,a,b\n2020-03-09 12:00:00,1.5,2\n2020-03-09 12:00:01,-3,4.25\n",
        "datetime;a;b\r\n2020-03-09T12:00:00Z;1,5;2\r\n2020-03-09T12:00:01Z;-3;4,25\r\n",
        "a\tb\tTime\n1.5\t2\t2020-03-09T13:00:00+01:00\n-3\t4.25\t2020-03-09T13:00:01+01:00\n",
        "\ufeffts|a|b\n1583755200|1.5|2\n1583755201|-3|4.25\n",
        "when,a,b\n09.03.2020 12:00:00,1.5,2\n\n09.03.2020 12:00:01,-3,4.25\n\n",
        "time,a,b\n1583755200000,1.5,2\n1583755201000,-3,4.25",
        '"date","a","b"\n"2020/03/09 12:00:00","1.5","2"\n"2020/03/09 12:00:01","-3","4.25"\n',
    ],
)
def test_wide_files_however_written(tmp_path: Path, text: str) -> None:
    assert readings(open_source(write(tmp_path / "m.csv", text))) == WIDE


def test_utf_16_by_its_mark(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "time;a\n2020-03-09 12:00:00;1,5\n", "utf-16")
    assert readings(open_source(path)) == WIDE[:1]


def test_long_files(tmp_path: Path) -> None:
    text = "time,sensor,value\n2020-03-09 12:00:00,a,1.5\n2020-03-09 12:00:00,b,2\n2020-03-09 12:00:01,a,-3\n"
    assert readings(open_source(write(tmp_path / "m.csv", text))) == WIDE[:3]
    told = open_source(tmp_path / "m.csv", "time", ["value"], "sensor", ",", "north", "pump")
    assert [name for name, _, _ in readings(told)] == ["north/pump/a", "north/pump/b", "north/pump/a"]


def test_parquet_wide_and_long(tmp_path: Path) -> None:
    rows = "(TIMESTAMP '2020-03-09 12:00:00', 1.5, 2), (TIMESTAMP '2020-03-09 12:00:01', -3, 4.25)"
    duckdb.execute(f"COPY (FROM (VALUES {rows}) t(time, a, b)) TO '{tmp_path / 'm.parquet'}'")
    assert readings(open_source(tmp_path / "m.parquet")) == WIDE
    long = "(1583755200, 'a', 1.5), (1583755200, 'b', 2), (1583755201, 'a', NULL)"
    duckdb.execute(f"COPY (FROM (VALUES {long}) t(ts, tag, value)) TO '{tmp_path / 'n.parquet'}'")
    assert readings(open_source(tmp_path / "n.parquet", asset="m")) == WIDE[:2]


def test_ndjson_keeps_every_reading_as_it_stands(tmp_path: Path) -> None:
    lines = [
        '{"sensor_id":"p1","timestamp":1583755200,"metric":"a","value":1.5,"quality":"good"}',
        '{"sensor_id":"p2","timestamp":"2020-03-09T12:00:00Z","metric":"a","value":null}',
        '{"sensor_id":"p2","timestamp":"2020-03-09T12:00:01Z","value":2}',
    ]
    source = open_source(write(tmp_path / "m.ndjson", "\n".join(lines) + "\n"))
    (rows,) = source
    assert rows.names == ["replay/p1/a", "replay/p2/a", "replay/p2/p2"]
    assert rows.raw == [line.encode() for line in lines]
    assert [t for _, t, _ in readings(source)] == [NOON, NOON, NOON + 1_000_000]
    told = open_source(tmp_path / "m.ndjson", asset="m")
    assert [name for name, _, _ in readings(told)] == ["replay/m/p1.a", "replay/m/p2.a", "replay/m/p2"]


def test_a_directory_is_one_asset_a_file_by_name(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv"):
        write(tmp_path / name, "time,x\n2020-03-09 12:00:00,1\n")
    write(tmp_path / "README.md", "about these files")
    source = open_source(tmp_path)
    assert [name for name, _, _ in readings(source)] == ["replay/a/x", "replay/b/x"]
    assert "README.md" in source.notes[0]


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    text = "time,a,place,anomaly\n2020-03-09 12:00:00,1.5,north,0\n2020-03-09 12:00:01,2.5,south,1.0\n"
    source = open_source(write(tmp_path / "m.csv", text))
    assert {name for name, _, _ in readings(source)} == {"replay/m/a"}
    assert ["place" in note or "anomaly" in note for note in source.notes] == [True, True]
    kept = open_source(tmp_path / "m.csv", value_columns=["a", "anomaly"])
    assert {name for name, _, _ in readings(kept)} == {"replay/m/a", "replay/m/anomaly"}
    assert {n for n, _, _ in readings(open_source(tmp_path / "m.csv", exclude=["a"], value_columns=["anomaly"]))} == {
        "replay/m/anomaly"
    }


def test_rows_stay_in_file_order_and_empty_is_not_nan(tmp_path: Path) -> None:
    text = "time,a\n2020-03-09 12:00:02,1\n2020-03-09 12:00:00,nan\n2020-03-09 12:00:01,\n2020-03-09 12:00:03,inf\n"
    source = open_source(write(tmp_path / "m.csv", text))
    found = [(t - NOON, v) for _, t, v in readings(source)]
    assert [t for t, _ in found] == [2_000_000, 0, 3_000_000]
    assert [math.isnan(v) for _, v in found] == [False, True, True]
    summary = source.summary()
    assert (summary.readings, summary.non_finite, summary.out_of_order) == (3, 2, 1)


def test_times_from_a_rate(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "m.csv", "a\n1\n2\n3\n"), rate_hz=4.0, start_us=NOON)
    assert readings(source) == [("replay/m/a", NOON + i * 250_000, float(i + 1)) for i in range(3)]


def test_a_file_without_header_names_its_columns_and_says_so(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "m.csv", "1,10\n2,20\n"), rate_hz=1.0, start_us=NOON)
    assert [(n, v) for n, _, v in readings(source)][:2] == [("replay/m/column_1", 1.0), ("replay/m/column_2", 10.0)]
    assert "no header" in source.notes[0]


def test_one_row_is_enough(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "m.csv", "time,a\n2020-03-09 12:00:00,1.5\n"))
    assert readings(source) == WIDE[:1]
    assert source.summary().to_dict() == {
        "files": 1, "readings": 1, "frames": 0, "signals": 1, "span_s": 0.0, "typical_interval_s": None, "gaps": 0,
        "duplicates": 0, "out_of_order": 0, "non_finite": 0,
    }  # fmt: skip


def test_the_summary_counts_gaps_and_duplicates(tmp_path: Path) -> None:
    seconds = [*range(100), 99, *range(140, 240), *range(260, 300)]
    text = "ts,a\n" + "".join(f"{1583755200 + s},1\n" for s in seconds)
    summary = open_source(write(tmp_path / "m.csv", text)).summary()
    assert (summary.typical_interval_s, summary.gaps, summary.duplicates) == (1.0, 1, 1)
    assert (summary.span_s, summary.readings, summary.first_us) == (299.0, 241, NOON)


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("", {}, ["empty"]),
        ("\n\n", {}, ["empty"]),
        ("time,a\n", {}, ["no row of data"]),
        ("a,b\n1,2\n", {}, ["no time column", "'a', 'b'", "--time-column", "--rate-hz"]),
        ("time,a,a\n2020-03-09,1,2\n", {}, ["columns 2 and 3", "'a'", "rename"]),
        ("time,a\n2020-03-09,1\n2020-03-10,1,2\n", {"separator": ","}, ["line 3", "3 cells", "2"]),
        ("time,a\n2020-03-09,1\n" + "2020-03-10,2\n" * 200 + "2020-03-11,oops\n", {}, ["line 203", "'a'", "'oops'"]),
        ("time,a\n2020-03-09,1\nyesterday,2\n", {}, ["line 3", "'time'", "'yesterday'", "--time-format"]),
        ("time,a\n2020-03-09,1\n", {"time_column": "zeit"}, ["'zeit'", "'time', 'a'"]),
        ("time,a\n2020-03-09,x\n", {}, ["no column of numbers"]),
        ("time,a\n2020-03-09,1\n", {"rate_hz": 0.0}, ["--rate-hz 0.0"]),
    ],
)
def test_errors_name_file_place_value_and_way_out(
    tmp_path: Path, text: str, options: dict[str, Any], says: list[str]
) -> None:
    path = write(tmp_path / "m.csv", text)
    with pytest.raises(SourceError) as error:
        readings(open_source(path, **options))
    message = str(error.value)
    assert all(part in message for part in says), message
    assert str(path) in message or "rate" in message


def test_a_separator_may_be_called_tab_and_has_one_character(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time\tx\n2026-01-01T00:00:00Z\t1\n")
    assert readings(open_source(path, separator="tab")) == readings(open_source(path, separator="\t")) != []
    with pytest.raises(SourceError, match="--separator ';;': must be one character, or 'tab'"):
        open_source(path, separator=";;")


def test_an_unknown_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,x\n2026-01-01T00:00:00Z,1\n")
    with pytest.raises(SourceError, match="--encoding 'klingon': unknown"):
        open_source(path, encoding="klingon")


def test_bytes_of_another_encoding_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(b"time,a\n2020-03-09 12:00:00,1\n2020-03-09 12:00:01,1 \xb0C\n")
    with pytest.raises(SourceError, match=r"line 3: byte 0xb0 .* is not utf-8.*--encoding"):
        readings(open_source(path))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("m.xlsx", b"PK", "cannot tell the format"),
        ("m.parquet", b"PAR1 no", "no readable Parquet"),
        ("m.ndjson", b'{"timestamp":1583755200,"metric":"a","value":1}\n{oops\n', "line 2"),
        ("m.ndjson", b'{"metric":"a","value":1}\n', "line 1"),
        ("m.ndjson", b'{"timestamp":1583755200,"value":1}\n', "neither sensor_id nor metric"),
        ("m.ndjson", b"\n", "empty"),
    ],
)
def test_other_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=says):
        readings(open_source(tmp_path / name))


def test_paths_that_are_nothing(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        open_source(tmp_path / "missing.csv")
    with pytest.raises(SourceError, match="no file here ends in"):
        open_source(tmp_path)


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_written_times_read_back(at_us: int) -> None:
    assert time_us(rfc3339(at_us)) == at_us


@pytest.mark.parametrize(
    ("written", "at_us"),
    [(1583755200, NOON), (1583755200.25, NOON + 250_000), (NOON // 1000, NOON), (NOON, NOON), (NOON * 1000, NOON)],
)
def test_the_magnitude_tells_the_unit(written: float, at_us: int) -> None:
    assert epoch_us(written) == at_us
    assert time_us(str(written)) == at_us


def test_a_date_that_nobody_can_tell_is_refused() -> None:
    with pytest.raises(ValueError, match="1/2/2020"):
        time_us("1/2/2020 10:00")
    assert time_us("9/3/2020 12:00", "%d/%m/%Y %H:%M") == NOON


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back(value: float) -> None:
    assert number(repr(value)) == value
    assert number(repr(value).replace(".", ","), decimal_comma=True) == value


def test_batches_are_bounded_and_lose_nothing(tmp_path: Path) -> None:
    rows = 20_000
    text = "ts,a,b\n" + "".join(f"{1583755200 + i},{i},{-i}\n" for i in range(rows))
    batches = list(open_source(write(tmp_path / "m.csv", text)))
    assert len(batches) > 3
    assert max(map(len, batches)) <= 8_192 + 2
    values = np.concatenate([batch.values for batch in batches])
    assert values.tolist() == [v for i in range(rows) for v in (i, -i)]


def test_names_are_written_as_json(tmp_path: Path) -> None:
    from iotpm import subjects
    from iotpm.replay import replay_messages

    source = open_source(write(tmp_path / "m 1.csv", 'time,"a ""q"" °C"\n2020-03-09 12:00:00,1\n'))
    (batch, _) = replay_messages(source, subjects.replay("r"))
    assert batch.subjects == ["iotpm.r.raw.replay.m%201"]
    assert json.loads(batch.payloads[0]) == [{"metric": 'a "q" °C', "timestamp": NOON, "value": 1.0}]
