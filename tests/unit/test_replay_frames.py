"""Files of waveforms become frames: cut by length, in the order in which a sensor would send them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import iotpm
from iotpm.errors import SourceError
from iotpm.replay import open_source, replay_engine

KEEP_ALL = [{"match": "*", "waveform": {"keep_every": 1}}]


def wave(n: int, hz: float = 50.0, rate_hz: float = 1_000.0) -> NDArray[np.float64]:
    return np.asarray(np.sin(2 * np.pi * hz * np.arange(n) / rate_hz), dtype=np.float64)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "pump.npz"
    np.savez(path, de=wave(3_400), fe=2 * wave(3_400), fs=1_000.0)
    return path


def replayed(path: Path, **told: object) -> tuple[pl.DataFrame, dict[str, int]]:
    """Kept frames with their signals' names, and the counters."""
    engine = iotpm.Engine(KEEP_ALL)
    outs = [out for _, out in replay_engine(open_source(path, **told), engine)]  # type: ignore[arg-type]
    signals = pl.concat([pl.DataFrame(out.signals) for out in outs]).select("id", "name", "unit")
    rows = pl.concat([pl.DataFrame(out.waveforms) for out in outs])
    return rows.join(signals, left_on="signal", right_on="id"), engine.counters()


def test_each_channel_is_a_signal_of_whole_frames(recording: Path) -> None:
    rows, counters = replayed(recording, unit="m/s2")
    assert rows["name"].to_list() == ["replay/pump/de", "replay/pump/fe"] * 3
    assert set(rows["unit"]) == {"m/s2"}
    first = rows["start"].dt.epoch("us").to_numpy()[0]
    assert (rows["start"].dt.epoch("us").to_numpy() - first).tolist() == [0, 0, 10**6, 10**6, 2 * 10**6, 2 * 10**6]
    back = np.concatenate(rows.filter(pl.col("name") == "replay/pump/fe")["samples"].to_list())
    assert np.array_equal(back, (2 * wave(3_000)).astype(np.float32))
    assert (counters["windows"], counters["dead_letters"], counters["late"]) == (6, 0, 0)
    assert counters["ticks"] >= 2


def test_what_is_left_out_is_noted(recording: Path) -> None:
    source = open_source(recording)
    assert [note for note in source.notes if "400 samples are no whole frame" in note] == source.notes
    assert len(source.notes) == 2
    summary = source.summary()
    assert (summary.frames, summary.readings, summary.signals, summary.span_s) == (6, 6, 2, 2.0)


@pytest.mark.parametrize(("frame_s", "lengths"), [(0.5, [500] * 6), (1.7, [1700] * 2), (10.0, [3400])])
def test_frames_have_the_length_that_is_told_and_a_short_file_is_one(
    recording: Path, frame_s: float, lengths: list[int]
) -> None:
    rows, _ = replayed(recording, frame_s=frame_s, value_columns=["de"])
    assert rows["samples"].list.len().to_list() == lengths


def test_a_table_of_fast_rows_is_a_waveform_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "fan.csv"
    path.write_text("x [m/s2],note\n" + "".join(f"{x!r},ok\n" for x in wave(2_000).tolist()))
    rows, counters = replayed(path, rate_hz=1_000.0)
    assert (rows["name"].unique().item(), rows["unit"].unique().item(), rows.height) == ("replay/fan/x", "m/s2", 2)
    assert counters["readings"] == 0
    single, slow = iotpm.Engine(), iotpm.Engine()
    list(replay_engine(open_source(path, rate_hz=1_000.0, frame_s=0.0), single))
    list(replay_engine(open_source(path, rate_hz=1.0), slow))
    assert single.counters()["readings"] == slow.counters()["readings"] == 2_000
    assert replayed(path, rate_hz=1.0, frame_s=500.0)[0].height == 4


def test_rows_before_the_start_are_left_out(recording: Path) -> None:
    source = open_source(recording, start_us=1_700_000_000_000_000)
    engine = iotpm.Engine(KEEP_ALL)
    outs = [out for _, out in replay_engine(source, engine, 1_700_000_001_000_000)]
    assert sum(len(out.windows) for out in outs) == 4


def test_a_growing_fault_in_a_file_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    samples = rng.normal(size=60_000) * np.where(np.arange(60_000) < 50_000, 1.0, 4.0)
    np.save(tmp_path / "motor.npy", samples)
    engine = iotpm.Engine([{"match": "*", "modified_z_window": 32, "waveform": {"features": ["rms"]}}])
    source = open_source(tmp_path / "motor.npy", rate_hz=1_000.0)
    outs = [out for _, out in replay_engine(source, engine)]
    payloads = [json.loads(text) for out in outs for text in pl.DataFrame(out.outbox)["payload"].to_list()]
    begun = [event["data"] for event in payloads if event["type"].endswith("begin")]
    assert [event["detector"] for event in begun] == ["modified_z.rms"]


@pytest.mark.parametrize(
    ("name", "told", "message"),
    [
        ("a.npy", {}, "give --rate-hz"),
        ("a.npy", {"rate_hz": 1_000.0, "frame_s": 0.0}, "must be above 0"),
        ("a.npy", {"rate_hz": 1_000.0, "frame_s": 3_000.0}, "set by --frame"),
        ("a.npy", {"rate_hz": 1_000.0, "frame_s": -1.0}, "--frame -1.0"),
        ("a.npy", {"rate_hz": 1_000.0, "value_columns": ["b"]}, "no channel 'b'"),
    ],
)
def test_what_cannot_be_cut_is_refused_by_name(
    tmp_path: Path, name: str, told: dict[str, object], message: str
) -> None:
    np.save(tmp_path / name, wave(100))
    with pytest.raises(SourceError, match=message):
        open_source(tmp_path / name, **told)  # type: ignore[arg-type]
