"""Waveform frames through the embedded engine: rows, time rules, trends, and which samples are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import iotpm
from iotpm import _core, errors, frames
from iotpm.simulate.waveform import BearingVibration, frame_messages
from iotpm.store.tables import VIBRATION
from iotpm.virtual import EMBEDDED, Messages

NAME = "plant/pump/vibration"
START_US = 1_700_000_000_000_000
SECOND_US = 1_000_000
RATE_HZ = 1_000.0
SMALL: dict[str, Any] = {
    "match": "*", "modified_z_window": 16, "detectors": ["modified_z"], "begin_count": 1, "begin_of": 1, "end_count": 2,
}  # fmt: skip


def frame(table: iotpm.Table) -> pl.DataFrame:
    return pl.DataFrame(table)


def starts(table: iotpm.Table) -> list[int]:
    """Starts in seconds behind the first."""
    return [round((us - START_US) / SECOND_US) for us in frame(table)["start"].dt.epoch("us").to_list()]


def noise(number: int, scale: float = 1.0, n: int = 200) -> NDArray[np.float32]:
    return np.asarray(scale * np.random.default_rng(number).normal(size=n), dtype=np.float32)


def push(engine: iotpm.Engine, second: float, samples: Any, **keys: Any) -> iotpm.Output:
    return engine.push_waveform(NAME, START_US + round(second * SECOND_US), RATE_HZ, samples, **keys)


def test_a_frame_has_a_row_of_windows_and_one_of_vibration() -> None:
    template = {"match": "*", "unit": "m/s2", "waveform": {"bands_hz": [[10, 100], [100, 400]], "speed_hz": 25.0}}
    t = np.arange(5_000) / 5_000
    wave = 3 * np.sin(2 * np.pi * 50 * t) + 0.5 * np.sin(2 * np.pi * 200 * t)
    out = iotpm.Engine([template]).push_waveform(NAME, START_US, 5_000.0, wave)
    window, row = frame(out.windows).row(0, named=True), frame(out.vibration).row(0, named=True)
    assert list(row) == ["signal", "start", "rate_hz", "n", *VIBRATION, "bands", "seq"]
    assert (row["start"], row["n"], row["rate_hz"], row["seq"]) == (window["start"], 5_000, 5_000.0, window["seq"])
    velocity = np.hypot(3 / 50, 0.5 / 200) / (2 * np.pi) / np.sqrt(2) * 1e3
    assert row["velocity_rms"] == pytest.approx(velocity, rel=1e-3)
    assert row["bands"] == pytest.approx([3 / np.sqrt(2), 0.5 / np.sqrt(2)], rel=1e-3)
    assert row["peak"] == pytest.approx(np.abs(wave).max(), rel=1e-6)
    assert row["impulse_factor"] == pytest.approx(np.abs(wave).max() / np.abs(wave).mean(), rel=1e-6)
    assert row["zero_crossing_rate"] == pytest.approx(100, abs=2)
    assert row["envelope_rms"] is not None
    assert (row["bpfo"], row["ftf"]) == (None, None), "no bearing is configured"


@pytest.mark.parametrize(
    ("unit", "factor"), [("m/s2", 1.0), ("mm/s2", 1e-3), ("[g]", 9.80665), ("Cel", None), (None, None)]
)
def test_velocity_is_in_mm_per_s_whatever_the_unit_and_unknown_without(unit: str | None, factor: float | None) -> None:
    wave = np.sin(2 * np.pi * 100 * np.arange(5_000) / 5_000)
    out = iotpm.Engine().push_waveform(NAME, START_US, 5_000.0, wave, unit=unit)
    found = frame(out.vibration)["velocity_rms"].item()
    if factor is None:
        assert found is None
    else:
        assert found == pytest.approx(factor * 1e3 / (2 * np.pi * 100) / np.sqrt(2), rel=1e-3)


def test_samples_are_converted_to_the_signals_unit_or_refused() -> None:
    engine = iotpm.Engine([{"match": "*", "unit": "m/s2"}])
    assert frame(push(engine, 0, [1.0, 2.0], unit="[g]").windows)["max"].item() == pytest.approx(19.6133)
    with pytest.raises(errors.InputError, match=r"unit = bar.*UCUM"):
        push(engine, 1, [1.0], unit="bar")


def test_frames_follow_the_time_rules_of_readings() -> None:
    engine = iotpm.Engine()
    for second in (0, 1, 1, 0.5, 3):
        out = push(engine, second, noise(1), stream_time_us=START_US + 5 * SECOND_US)
    assert engine.counters()["duplicates"] == 1
    assert engine.counters()["late"] == 1
    out = push(engine, 3600, noise(1), stream_time_us=START_US + 5 * SECOND_US)
    assert frame(out.dead_letters)["reason"].to_list() == ["future_timestamp"]
    assert engine.counters()["windows"] == 3


def test_frames_wait_for_late_ones_within_the_lateness() -> None:
    engine = iotpm.Engine([{"match": "*", "lateness_s": 2.0}])
    outs = [push(engine, second, noise(second)) for second in (0, 2, 1, 3, 4)]
    assert [starts(out.windows) for out in [*outs, engine.end()]] == [[], [0], [], [1], [2], [3, 4]]
    assert engine.counters()["late"] == 0


def test_a_clock_that_was_set_back_begins_a_new_segment() -> None:
    engine = iotpm.Engine([{"match": "*", "waveform": {"keep_every": 1}}])
    push(engine, 10_000, noise(0))
    outs = [push(engine, second, noise(second)) for second in range(64)]
    assert [len(out.late_readings) for out in outs] == [1] * 63 + [0]
    assert frame(outs[-1].windows)["segment"].item() == 1
    assert engine.counters()["clock_steps"] == 1


@pytest.mark.parametrize(("bad", "counter"), [(np.nan, "non_finite"), (1e9, "out_of_range")])
def test_a_bad_sample_makes_a_bad_frame(bad: float, counter: str) -> None:
    engine = iotpm.Engine([{"match": "*", "physical_max": 100.0}])
    samples = noise(1)
    samples[7] = bad
    out = push(engine, 0, samples)
    assert (len(out.windows), len(out.vibration), len(out.waveforms)) == (0, 0, 1), "its samples are evidence"
    assert engine.counters()[counter] == 1
    assert frame(engine.signal_stats())["bad"].item() == 1


def test_silence_is_a_gap_measured_by_the_interval_of_frames() -> None:
    engine = iotpm.Engine([{"match": "*", "waveform": {"keep_every": 0}}])
    for second in range(0, 300, 10):
        push(engine, second, noise(second), stream_time_us=START_US + second * SECOND_US)
    assert len(engine.tick(START_US + 389 * SECOND_US).anomalies) == 0
    out = engine.tick(START_US + 391 * SECOND_US)
    assert frame(out.anomalies)["detector"].to_list() == ["gap"]
    assert starts(out.waveforms) == [280, 290], "what came before the silence is kept"
    back = push(engine, 400, noise(1), stream_time_us=START_US + 400 * SECOND_US)
    assert frame(back.anomalies)["state"].to_list() == ["end"]
    assert starts(back.waveforms) == [400]


def test_a_trend_raises_anomalies_that_name_the_feature() -> None:
    engine = iotpm.Engine([SMALL | {"waveform": {"features": ["rms", "kurtosis"]}}])
    for second in range(30):
        assert len(push(engine, second, noise(second)).anomalies) == 0
    out = push(engine, 30, noise(30, scale=5.0))
    rows = frame(out.anomalies)
    assert rows["detector"].to_list() == ["modified_z.rms"]
    row = rows.row(0, named=True)
    window = frame(out.windows).row(0, named=True)
    assert (row["value"], row["direction"], row["start"]) == (window["rms"], 1, window["start"])
    assert row["expected"] == pytest.approx(1.0, abs=0.1)
    assert window["score"] == row["score"] > 1
    assert '"detector":"modified_z.rms"' in frame(out.outbox)["payload"].item()
    states = [s for k in range(31, 36) for s in frame(push(engine, k, noise(k)).anomalies)["state"].to_list()]
    assert states == ["end"]


def test_a_templates_limits_act_on_the_feature_they_are_meant_for() -> None:
    template = {"match": "*", "limits": {"hi": 2.0}, "begin_at_once": 1.0, "detectors": ["limits"]}
    on_rms = iotpm.Engine([template])
    assert frame(push(on_rms, 0, noise(0, scale=3.0)).anomalies)["detector"].to_list() == ["limits.rms"]
    on_peak = iotpm.Engine([template | {"waveform": {"limits_on": "peak"}}])
    assert frame(push(on_peak, 0, noise(0)).anomalies)["detector"].to_list() == ["limits.peak"]


def kept_by_definition(alarms: list[int], count: int, every: int, around: int) -> list[int]:
    near = {frame for alarm in alarms for frame in range(alarm - around, alarm + around + 1)}
    return [at for at in range(count) if at in near or (every and at % every == 0)]


@settings(max_examples=60)
@given(
    every=st.integers(0, 7),
    around=st.integers(0, 4),
    loud=st.sets(st.integers(20, 79), max_size=5),
    cut=st.integers(0, 80),
    shards=st.integers(1, 4),
)
def test_kept_are_every_nth_frame_and_those_around_an_anomaly(
    every: int, around: int, loud: set[int], cut: int, shards: int
) -> None:
    policy = {"keep_every": every, "keep_around_anomaly": around, "features": ["rms"]}
    engine = iotpm.Engine([SMALL | {"waveform": policy}])
    kept, alarms = list[int](), set[int]()
    for second in range(80):
        if second == cut:
            engine = iotpm.Engine.restore(engine.snapshot(), shards=shards)
        out = push(engine, second, noise(second, 5.0 if second in loud else 1.0))
        kept += starts(out.waveforms)
        alarms |= {second} if len(out.anomalies) else set()
    assert sorted(kept) == kept_by_definition(sorted(alarms), 80, every, around)
    counters = engine.counters()
    assert counters["waveforms_kept"] == len(kept)
    assert 0 <= 80 - counters["waveforms_kept"] - counters["waveforms_dropped"] <= around


def test_rows_of_frames_that_an_anomaly_saves_have_its_sequence() -> None:
    engine = iotpm.Engine([SMALL | {"waveform": {"keep_every": 0, "keep_around_anomaly": 3, "features": ["rms"]}}])
    for second in range(30):
        push(engine, second, noise(second))
    out = push(engine, 30, noise(30, scale=9.0))
    rows = frame(out.waveforms)
    assert starts(out.waveforms) == [27, 28, 29, 30]
    assert rows["seq"].to_list() == [out.last_seq] * 4
    assert rows["samples"].to_list()[0] == pytest.approx(noise(27).tolist())


def test_new_settings_add_and_end_trends() -> None:
    engine = iotpm.Engine([SMALL | {"waveform": {"features": ["rms"]}}], emit_scores=True)
    for second in range(20):
        push(engine, second, noise(second))
    engine.control("configuration", b'[{"match":"*","detectors":["modified_z"],"waveform":{"features":["std"]}}]')
    outs = [push(engine, second, noise(second)) for second in range(20, 60)]
    assert {name for out in outs for name in frame(out.scores)["detector"].to_list()} == {None, "modified_z.std"}


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        ({"features": ["loudness"]}, "loudness.*feature columns"),
        ({"features": ["rms", "rms"]}, "each once"),
        ({"limits_on": "x"}, "limits_on"),
        ({"keep_around_anomaly": 65}, "between 0 and 64"),
        ({"envelope_low_hz": 9.0, "envelope_high_hz": 8.0}, "envelope_low_hz = .*below"),
        ({"bands_hz": [[5.0, 5.0]]}, "bands_hz"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_wrong_policy_is_refused_by_name(waveform: dict[str, Any], message: str) -> None:
    """By the engine itself: it is what checks a control message."""
    with pytest.raises(errors.ConfigError, match=message):
        _core.Engine(json.dumps({"templates": [{"match": "*", "waveform": waveform}]}))
    with pytest.raises(errors.ConfigError, match=next(iter(waveform))):
        iotpm.Engine([{"match": "*", "waveform": waveform}])


def test_a_machines_bearing_and_speed_give_the_lines() -> None:
    bearing = {"elements": 9, "element_diameter_mm": 7.94, "pitch_diameter_mm": 39.04}
    machine = {"machine": {"speed_rpm": 1500.0, "bearing": bearing}}
    source = BearingVibration(onset_s=0.0, growth_per_s=5.0)
    samples = source.frame(10.0)
    rows = []
    for template in ({"waveform": {"speed_hz": 25.0, "bpfo": 3.5848, "bpfi": 5.4152}}, machine, {}):
        out = iotpm.Engine([{"match": "*"} | template]).push_waveform(NAME, START_US, source.rate_hz, samples)
        rows.append(frame(out.vibration).row(0, named=True))
    told, derived, unknown = rows
    assert derived["bpfo"] == told["bpfo"] > 5 * derived["bpfi"] > 0
    assert derived["bsf"] is not None
    assert [unknown[name] for name in ("shaft", "bpfo", "bpfi", "bsf", "ftf")] == [None] * 5


def simulated(count: int) -> Messages:
    """A bearing whose outer race fails, and a second channel."""
    whole = Messages()
    sources = (BearingVibration(onset_s=30.0), BearingVibration(onset_s=1e9, seed=1))
    channels = [frame_messages(EMBEDDED, s, START_US, count, asset=f"pump{k}") for k, s in enumerate(sources)]
    for pair in zip(*channels, strict=True):
        for messages in pair:
            whole.extend(messages)
    return whole


def outputs(messages: Messages, cuts: list[int], shards: int, *, restart: bool = False) -> Iterator[iotpm.Output]:
    engine = iotpm.Engine(TEMPLATES, shards=shards, emit_scores=True)
    for begin, end in pairwise([0, *sorted(cuts), len(messages)]):
        part = messages.slice(begin, end)
        sequences = list(range(begin + 1, end + 1))
        yield engine.push_messages(part.subjects, part.payloads, sequences, part.stream_times_us)
        if restart:
            engine = iotpm.Engine.restore(engine.snapshot(), shards=5 - shards, emit_scores=True)


TEMPLATES = [
    {
        "match": "*",
        "modified_z_window": 24,
        "waveform": {
            "keep_every": 5, "speed_hz": 25.0, "bpfo": 3.5848, "bpfi": 5.4152,
            "features": ["rms", "kurtosis", "peak", "velocity_rms", "envelope_rms", "bpfo"],
        },
    }
]  # fmt: skip
TABLES = ("signals", "windows", "vibration", "waveforms", "anomalies", "outbox", "scores", "late_readings")


def tables(outs: Iterator[iotpm.Output]) -> dict[str, pl.DataFrame]:
    found = list(outs)
    return {name: pl.concat([frame(getattr(out, name)) for out in found]) for name in TABLES}


@pytest.fixture(scope="module")
def bearing() -> tuple[Messages, dict[str, pl.DataFrame]]:
    messages = simulated(70)
    return messages, tables(outputs(messages, [], 1))


def test_a_growing_defect_is_seen_in_its_trends_and_nowhere_else(
    bearing: tuple[Messages, dict[str, pl.DataFrame]],
) -> None:
    _, rows = bearing
    began = rows["anomalies"].filter(pl.col("state") == "begin")
    assert set(began["name"]) == {"plant/pump0/vibration"}
    assert {"modified_z.bpfo", "modified_z.kurtosis", "modified_z.envelope_rms"} <= set(began["detector"])
    first = (min(began["start"].dt.epoch("us").to_list()) - START_US) / 1e6
    assert 30 <= first < 50
    late = rows["vibration"].filter(pl.col("start") == pl.col("start").max())
    assert max(late["bpfo"].to_list()) > 5 * max(late["bpfi"].to_list())


@settings(max_examples=8)
@given(cuts=st.lists(st.integers(0, 280), max_size=8), shards=st.integers(1, 4), restart=st.booleans())
def test_cuts_shards_and_restarts_change_nothing(
    bearing: tuple[Messages, dict[str, pl.DataFrame]], cuts: list[int], shards: int, restart: bool
) -> None:
    messages, whole = bearing
    found = tables(outputs(messages, cuts, shards, restart=restart))
    for name in TABLES:
        assert found[name].equals(whole[name]), name


@pytest.mark.parametrize(
    ("samples", "rate_hz"), [(np.zeros(0), 1.0), (np.zeros((2, 2)), 1.0), (np.zeros(4), 0.0), (np.zeros(4), np.nan)]
)
def test_a_frame_that_the_format_cannot_hold_is_refused(samples: NDArray[np.float64], rate_hz: float) -> None:
    with pytest.raises(errors.InputError):
        frames.encode(samples, start_us=0, rate_hz=rate_hz)
