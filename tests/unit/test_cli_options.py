"""What users type and read: times, patterns, durations, sizes, and tables that fit."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from datetime import UTC, datetime
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotpm.cli.options import moment, now_us, pattern, size, time_us, with_duration
from iotpm.cli.output import _fitting, _short_ids, print_rows
from iotpm.durations import duration

NOW_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW_US - 90_000_000),
        ("1.5h", NOW_US - HOUR_US * 3 // 2),
        ("2 d", NOW_US - 48 * HOUR_US),
        ("1w", NOW_US - 168 * HOUR_US),
        ("1970-01-01T01:00:00Z", HOUR_US),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01", 0),
        ("1970-01-01T00:00:00.000001", 1),
    ],
)
def test_times_count_back_or_are_rfc_3339_in_utc(text: str, expected: int) -> None:
    assert time_us(text, NOW_US, "--since") == expected


@pytest.mark.parametrize("text", ["", "h", "1 fortnight", "-1h", "1h30m", "25:00", "2026-02-30"])
def test_other_times_name_option_and_value(text: str) -> None:
    with pytest.raises(click.BadParameter) as refusal:
        time_us(text, NOW_US, "--since")
    assert repr(text) in str(refusal.value)
    assert refusal.value.param_hint == "--since"


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))
def test_a_moment_shown_and_typed_again_is_the_same(when: datetime) -> None:
    typed = time_us(when.isoformat(), 0, "--since")
    assert moment(typed) == when.replace(tzinfo=UTC)


def test_a_moment_beyond_the_calendar_is_not_shown() -> None:
    assert moment(1 << 62) is None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (None, None),
        ("temp", "*temp*"),
        ("pump-7/", "*pump-7/*"),
        ("*temp", "*temp"),
        ("plant/pump-1/temp", "plant/pump-1/temp"),
    ],
)
def test_a_word_means_names_that_hold_it_and_a_whole_name_itself(typed: str | None, meant: str | None) -> None:
    assert pattern(typed) == meant


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0s"),
        (0.25, "0.25s"),
        (59.0, "59s"),
        (60.0, "1m 00s"),
        (624.0, "10m 24s"),
        (3600.0, "1h 00m"),
        (90_000.0, "1d 01h"),
    ],
)
def test_durations_show_two_units(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_an_anomaly_without_an_end_is_open() -> None:
    assert with_duration({"start": NOW_US, "end": None})["lasted"] == "open"
    assert with_duration({"start": NOW_US, "end": NOW_US + 61_000_000})["lasted"] == "1m 01s"


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e12, "2.5 TB")])
def test_sizes(count: float, shown: str) -> None:
    assert size(count) == shown


def test_back_from_now_means_the_last_reading_where_time_is_not_the_clocks() -> None:
    stored = {"last_reading_us": 5_000_000}
    assert now_us({"running": True, "partition": "pump", "stored": stored}) == 5_000_001
    assert now_us({"running": False, "partition": "0", "stored": stored}) == 5_000_001
    assert now_us({"running": True, "partition": "0", "stored": stored}) > NOW_US


def test_a_narrow_terminal_gets_whole_columns_and_those_that_are_needed() -> None:
    widths = dict.fromkeys("abcdef", 10)
    assert _fitting(widths, None, "af") == list("abcdef")
    assert _fitting(widths, 70, "af") == list("abcdef")
    assert _fitting(widths, 69, "af") == list("abcdf")
    assert _fitting(widths, 40, "af") == list("abf")
    assert _fitting(widths, 5, "af") == list("af"), "never fewer than these"
    assert _fitting({"a": 10, "b": 50, "c": 10}, 30, "a") == list("ac"), "a wide column makes room for the next"


class Terminal(io.StringIO):
    """A terminal of 80 columns."""

    def isatty(self) -> bool:
        return True


def on_80_columns(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], **told: Any) -> list[str]:
    """The lines of a table of all columns."""
    monkeypatch.setenv("COLUMNS", "80")
    with redirect_stdout(Terminal()) as terminal:
        print_rows(rows, tuple(rows[0]), as_json=False, empty="", **told)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= 80
    return lines


def anomaly(number: int, day: int) -> dict[str, Any]:
    return {
        "severity": "critical", "kind": "level shift", "name": "plant/compressor-0004/discharge_temperature",
        "start": datetime(2026, 3, day, 8, 40, number, tzinfo=UTC), "lasted": "12m 03s", "peak_score": 3.5,
        "id": f"{number:x}b1c2d3e4f5a6b7c8"[:16],
    }  # fmt: skip


def test_on_80_columns_an_anomaly_keeps_what_explain_asks_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [anomaly(number, 2) for number in range(1, 4)]
    first, *lines = on_80_columns(monkeypatch, rows, keep=("name", "start", "id"))
    assert first.split() == ["severity", "name", "start", "id"]
    assert [line.split()[1:] for line in lines] == [
        ["plant/compressor-0004/discharge_temperature", f"08:40:0{number}", f"{number}b1c2d3e"] for number in (1, 2, 3)
    ]
    told = capsys.readouterr().err
    assert "all times are of 2026-03-02 UTC" in told
    assert "not shown for want of room: kind, lasted, peak_score" in told


def test_days_that_differ_are_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = on_80_columns(monkeypatch, [anomaly(1, 2), anomaly(2, 3)], keep=("name", "start", "id"))
    assert "2026-03-02 08:40:01" in lines[1]
    assert "all times" not in capsys.readouterr().err


def test_ids_are_cut_no_shorter_than_tells_them_apart() -> None:
    assert _short_ids(["0123456789abcdef", "fedcba9876543210"]) == ["01234567", "fedcba98"]
    assert _short_ids(["0123456789abcdef", "0123456789ffffff"]) == ["0123456789a", "0123456789f"]
    assert _short_ids(["0123456789abcdef"] * 2) == ["01234567"] * 2


def test_a_pipe_gets_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [anomaly(1, 2)]
    print_rows(rows, tuple(rows[0]), as_json=False, empty="")
    said = capsys.readouterr()
    assert "2026-03-02 08:40:01" in said.out
    assert str(rows[0]["id"]) in said.out
    assert said.err == ""


def test_long_texts_go_over_several_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"reason": "invalid_json", "subject": "iotpm.raw.plant.pump.temperature", "detail": "word " * 40}]
    assert "\n".join(on_80_columns(monkeypatch, rows, fold="detail")).count("word") == 40
