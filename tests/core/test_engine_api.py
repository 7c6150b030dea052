"""The embedded engine: what goes in, what comes out, and what does not matter."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import iotpm
from iotpm import _core
from iotpm.config import Config
from iotpm.config import Template as ConfigTemplate

START_US = 1_700_000_000_000_000
TABLES = ("readings", "late_readings", "windows", "anomalies", "outbox", "scores")
NAMES = [f"plant/pump-{i // 3}/t{i % 3}" for i in range(7)]
TEMPLATES: list[dict[str, Any]] = [
    {
        "match": "plant/*",
        "window_s": 20.0,
        "hop_s": 5.0,
        "lateness_s": 2.0,
        "limits": {"hi": 3.5},
        "begin_at_once": 1.0,
        "end_count": 2,
    }
]


def frame(table: iotpm.Table) -> pl.DataFrame:
    return pl.DataFrame(table)


def plant(rows: int, seed: int) -> tuple[list[str], NDArray[np.int64], NDArray[np.float64]]:
    """Interleaved signals, one reading a second each, some of them late, doubled or absent."""
    rng = np.random.default_rng(seed)
    signals = rng.integers(0, len(NAMES), rows)
    times = START_US + (np.arange(rows) // len(NAMES) + rng.integers(-3, 1, rows)) * 1_000_000
    values = rng.normal(size=rows)
    values[rng.random(rows) < 0.02] = np.nan
    values[rng.random(rows) < 0.02] = 9.0
    return [NAMES[i] for i in signals], times, values


def run(engine: iotpm.Engine, data: tuple[list[str], Any, Any], cuts: list[int]) -> dict[str, pl.DataFrame]:
    signals, times, values = data
    ends = [0, *sorted(min(cut, len(signals)) for cut in cuts), len(signals)]
    outs = [engine.push(signals[a:b], times[a:b], values[a:b], times[a:b]) for a, b in pairwise(ends)]
    return {name: pl.concat([frame(getattr(out, name)) for out in outs]) for name in TABLES}


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(0, 800), max_size=6),
    shards=st.integers(1, 4),
    restart=st.integers(0, 800),
)
def test_cuts_shards_and_restarts_change_nothing(seed: int, cuts: list[int], shards: int, restart: int) -> None:
    signals, times, values = plant(800, seed)
    whole = run(iotpm.Engine(TEMPLATES, emit_scores=True), (signals, times, values), [])
    first = iotpm.Engine(TEMPLATES, shards=shards, emit_scores=True)
    head = run(first, (signals[:restart], times[:restart], values[:restart]), cuts)
    second = iotpm.Engine.restore(first.snapshot(), shards=5 - shards, emit_scores=True)
    tail = run(second, (signals[restart:], times[restart:], values[restart:]), cuts)
    for name in TABLES:
        assert pl.concat([head[name], tail[name]]).equals(whole[name]), name
    assert whole["anomalies"].height > 0
    assert whole["windows"].height > 0


def test_signals_by_name_by_number_and_as_one_name_are_the_same() -> None:
    times, values = START_US + np.arange(200) * 1_000_000, np.sin(np.arange(200.0))
    by_one, by_list, by_array, by_id = (iotpm.Engine(TEMPLATES) for _ in range(4))
    wanted = frame(by_one.push(NAMES[0], times, values).windows)
    assert frame(by_list.push([NAMES[0]] * 200, times, values).windows).equals(wanted)
    assert frame(by_array.push(np.array([NAMES[0]] * 200), times, values).windows).equals(wanted)
    number = by_id.signal_id(NAMES[0])
    out = by_id.push(np.full(200, number), times, values)
    assert frame(out.windows).equals(wanted)
    assert frame(out.signals)["name"].to_list() == [NAMES[0]]
    assert by_id.signal_id(NAMES[0]) == number


def test_datetimes_lists_and_arrow_are_the_same() -> None:
    times, values = START_US + np.arange(200) * 1_000_000, np.arange(200.0) % 7
    rows = pl.DataFrame({"signal": [NAMES[0]] * 200, "timestamp": times.astype("datetime64[us]"), "value": values})
    wanted = frame(iotpm.Engine(TEMPLATES).push(NAMES[0], times, values).windows)
    assert wanted.height > 0
    lists = iotpm.Engine(TEMPLATES).push(NAMES[0], times.tolist(), values.tolist())
    assert frame(lists.windows).equals(wanted)
    series = iotpm.Engine(TEMPLATES).push(rows["signal"], rows["timestamp"], rows["value"])
    assert frame(series.windows).equals(wanted)
    datetimes = iotpm.Engine(TEMPLATES).push(NAMES[0], times.astype("datetime64[us]"), values)
    assert frame(datetimes.windows).equals(wanted)
    relation: Any = duckdb.sql(
        f"select '{NAMES[0]}' as signal, make_timestamp({START_US} + i * 1000000) as timestamp, i % 7 as value "
        "from range(200) t(i)"
    )
    zoned = rows.with_columns(pl.col("timestamp").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"))
    for form in (rows, rows.with_columns(pl.col("signal").cast(pl.Categorical)), zoned, relation):
        assert frame(iotpm.Engine(TEMPLATES).push(form).windows).equals(wanted)


def test_an_output_goes_straight_back_in() -> None:
    out = iotpm.Engine().push(NAMES[0], [START_US], [1.0])
    names = frame(out.signals).select(signal="id", name="name")
    rows = frame(out.readings).join(names, on="signal").select(signal="name", timestamp="ts", value="value")
    assert len(iotpm.Engine().push(rows).readings) == 1


def test_a_bad_reading_is_stored_and_not_scored() -> None:
    engine = iotpm.Engine(emit_scores=True)
    out = engine.push(NAMES[0], START_US + np.arange(4), [1.0, np.inf, 2.0, 3.0], quality=[0, 0, 2, 1])
    assert frame(out.readings)["quality"].to_list() == [0, 3, 2, 1]
    assert frame(out.readings)["value"].to_list() == [1.0, None, 2.0, 3.0]
    assert frame(out.scores)["ts"].dt.timestamp("us").to_list() == [START_US, START_US + 3]


def test_without_stream_time_nothing_is_from_the_future() -> None:
    later = START_US + 3_600_000_000
    assert len(iotpm.Engine().push(NAMES[0], [later], [1.0]).readings) == 1
    out = iotpm.Engine().push(NAMES[0], [later], [1.0], stream_times_us=[START_US])
    assert (len(out.readings), frame(out.dead_letters)["reason"].to_list()) == (0, ["future_timestamp"])
    assert json.loads(frame(out.dead_letters)["payload"][0]) == {"signal": NAMES[0], "time_us": later, "value": 1.0}


def test_a_tick_makes_silent_signals_idle() -> None:
    engine = iotpm.Engine(TEMPLATES)
    times = START_US + np.arange(40) * 1_000_000
    engine.push(NAMES[0], times, np.zeros(40), times)
    out = engine.tick(int(times[-1]) + 600_000_000)
    assert len(out.windows) > 0
    assert frame(engine.signal_stats())["idle"].to_list() == [True]
    assert frame(out.anomalies)["detector"].to_list() == ["gap"]


def test_end_closes_open_windows() -> None:
    engine = iotpm.Engine(TEMPLATES)
    closed = engine.push(NAMES[0], START_US + np.arange(40) * 1_000_000, np.arange(40.0))
    assert len(engine.end().windows) > 0
    assert frame(engine.signal_stats())["windows"].item() > len(closed.windows)


def test_a_configuration_is_controlled_from_outside() -> None:
    engine = iotpm.Engine()
    assert len(engine.push(NAMES[0], [START_US], [9.0]).anomalies) == 0
    strict = json.dumps([{"match": "*", "limits": {"hi": 5.0}, "begin_count": 1, "begin_of": 1}]).encode()
    assert engine.control("configuration", strict).counters["controls"] == 1
    out = engine.push(NAMES[0], [START_US + 1_000_000], [9.0])
    assert frame(out.anomalies)["detector"].to_list() == ["limits"]
    assert frame(engine.control("configuration", b"{}").dead_letters)["reason"].item() == "invalid_configuration"


def test_a_configuration_file_and_its_templates_are_the_same() -> None:
    config = Config(templates=(ConfigTemplate(pattern="plant/*", window_s=20.0, hop_s=5.0),))
    data = plant(300, 1)
    wanted = run(iotpm.Engine([{"match": "plant/*", "window_s": 20.0, "hop_s": 5.0}]), data, [])
    for form in (config, config.templates_json()):
        assert run(iotpm.Engine(form), data, [])["windows"].equals(wanted["windows"])


def test_messages_of_every_kind() -> None:
    engine = iotpm.Engine()
    second = 1_000_000
    out = engine.push_messages(
        ["iotpm.raw.plant.p1.t", "iotpm.raw.plant.p1", "iotpm.tick.0", "iotpm.raw.plant.p1", "iotpm.raw.plant.p1.t"],
        [b'{"value": 1.5}', b"cpu load=2.5,idle=3i", b"", b"\x00", b'{"value": 2.5}'],
        [10, 11, 12, 13, 20],
        [START_US + i * second for i in range(5)],
        content_types=["application/json", None, None, None, None],
        message_ids=["gate:1:1", None, None, None, "gate:1:1"],
        virtual_times_us=[None, None, START_US + 7 * second, None, None],
    )
    assert frame(out.readings)["seq"].to_list() == [10, 11, 11]
    assert frame(out.signals)["signal"].to_list()[0] == "t"
    assert frame(out.dead_letters)["reason"].to_list() == ["unknown_format"]
    assert frame(out.sources).row(0) == ("gate", 1, 1, 10)
    assert (out.last_seq, out.counters["source_duplicates"], out.counters["ticks"]) == (20, 1, 1)


def test_messages_and_columns_give_the_same_rows() -> None:
    values = np.sin(np.arange(300.0)) * 3
    values[100:110] = 9.0
    times = START_US + np.arange(300) * 1_000_000
    columns = iotpm.Engine(TEMPLATES).push(NAMES[0], times, values, times)
    subject = "iotpm.raw." + NAMES[0].replace("/", ".")
    payloads = [
        json.dumps({"timestamp": int(t), "value": float(v)}).encode() for t, v in zip(times, values, strict=True)
    ]
    messages = iotpm.Engine(TEMPLATES).push_messages(
        [subject] * 300, payloads, list(range(1, 301)), [int(t) for t in times]
    )
    assert len(columns.anomalies) > 0
    for name in TABLES:
        assert frame(getattr(messages, name)).equals(frame(getattr(columns, name))), name


def test_a_waveform_is_a_window_of_its_own() -> None:
    rate_hz, n = 1000.0, 500
    wave = 2 * np.sin(2 * np.pi * 50 * np.arange(n) / rate_hz)
    out = iotpm.Engine().push_waveform(NAMES[0], START_US, rate_hz, wave)
    window = frame(out.windows).row(0, named=True)
    assert window["dominant_frequency"] == pytest.approx(50.0)
    assert window["dominant_amplitude"] == pytest.approx(2.0, rel=1e-5)
    assert frame(out.waveforms)["samples"].item().to_list() == pytest.approx(wave, abs=1e-6)


def test_crossings_do_not_grow_with_the_rows() -> None:
    def crossings(rows: int) -> int:
        engine = iotpm.Engine()
        before = _core.crossings()
        out = engine.push(NAMES[0], START_US + np.arange(rows) * 1_000_000, np.zeros(rows))
        assert frame(out.readings).height == rows
        return _core.crossings() - before

    assert crossings(1_000) == crossings(64_000) > 0


def test_message_hash_separates_subject_and_payload() -> None:
    import xxhash

    assert _core.message_hash("a.b", b"payload") == xxhash.xxh3_64_intdigest(b"a.b\0payload")
    assert _core.message_hash("a", b"b") != _core.message_hash("ab", b"")
