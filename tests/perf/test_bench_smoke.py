"""Each stream benchmark, tiny: what it counts must be right; how fast it was is nobody's business here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iotpm.bench import backtest, drain, live, memory, overload, soak
from iotpm.bench.ground import Scene
from iotpm.store.tables import CHUNK_TABLES

SIGNALS = 20
INTERVAL_MS = 1_000.0


def silent(_text: str) -> None:
    """Nothing needs to be said."""


def scene(directory: Path, *, signals: int = SIGNALS) -> Scene:
    """A small one."""
    return Scene(signals, INTERVAL_MS, directory, silent)


def assert_agrees(counts: dict[str, Any], readings: int) -> None:
    assert counts["stored"] == readings
    assert counts["lost"] == counts["dead_letters"] == counts["late"] == 0
    assert counts["windows"] == counts["windows_by_formula"] > 0
    assert counts["found"] == counts["injected"]
    assert counts["agrees"]


def test_catchup_stores_what_was_published(tmp_path: Path) -> None:
    result = drain.catchup(scene(tmp_path), messages=6_000)
    assert_agrees(result, 6_000)
    assert result["injected"] > 0
    assert result["windows"] == pytest.approx(SIGNALS * (300 - 30) / 10, rel=0.1)
    assert result["ratio"] > 0
    assert "broker" in result["stages"]["cpu_ns_per_reading"]


def test_crossings_do_not_grow_with_the_chunk(tmp_path: Path) -> None:
    result = drain.catchup(scene(tmp_path, signals=1_000), messages=70_000)
    small, large = (result["crossings_per_chunk"][size] for size in ("1000", "64000"))
    assert small is not None
    assert large is not None
    # A table that holds rows is asked for its stream twice, however many rows they are.
    assert large <= small + 2 * len(CHUNK_TABLES)


def test_batched_stores_every_reading_of_every_message(tmp_path: Path) -> None:
    result = drain.batched(scene(tmp_path), readings=20_000, per_message=100)
    for wire_format in ("arrow", "json_array"):
        assert_agrees(result[wire_format], 20_000)


def test_live_loses_nothing_and_does_its_housekeeping(tmp_path: Path) -> None:
    result = live.measure(scene(tmp_path), rate_hz=2_000.0, seconds=5.0, find_max=False)
    assert result["lost"] == result["dead_letters"] == 0
    assert result["windows"] == result["windows_by_formula"]
    assert result["found"] == result["injected"] > 0
    assert result["latency_ms"]["events"] >= result["injected"]


def test_an_overload_is_offered_by_the_clock_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overload, "_WARM_UP_S", 1.0)
    result = overload.measure(scene(tmp_path, signals=100), seconds=2.0, capacity_hz=5_000.0, stream_bytes=64 << 20)
    assert result["offered_readings_per_s"] == 10_000
    assert result["lost"] == result["dead_letters"] == result["late"] == 0
    assert result["stored"] == pytest.approx(150_000 * 1.0 + 10_000 * 2.0, rel=0.2)
    assert result["goodput"] > 0
    assert result["recovery_s"] >= 0


def test_a_soak_says_what_it_watched_and_how_far_it_extrapolates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "_SAMPLE_S", 0.05)
    result = soak.measure(scene(tmp_path, signals=100), minutes=0.1, rate_hz=2_000.0)
    assert result["readings"] == pytest.approx(12_000, rel=0.2)
    assert result["lost"] == 0
    assert result["memory"]["low"] <= result["memory"]["percent_per_day"] <= result["memory"]["high"]
    assert result["extrapolated_by"] == pytest.approx(86_400 / result["judged_s"], rel=0.05)
    assert result["memory"]["verdict"] == "undecided"
    assert result["open_files"]["most"] > 0
    assert result["threads"]["most"] > 0


def test_memory_is_weighed_for_every_number_of_signals(tmp_path: Path) -> None:
    (tmp_path / "iotpm-0-py3-none-any.whl").write_bytes(b"wheel")
    result = memory.measure(counts=(50, 100), dist=tmp_path, say=silent)
    assert [engine["signals"] for engine in result["signals"]] == [50, 100]
    assert result["signals"][1]["snapshot_bytes"] > result["signals"][0]["snapshot_bytes"] > 0
    assert result["wheel_bytes"] == 5
    assert result["start_seconds"] > 0


def test_backtest_gives_the_same_on_one_core_and_two() -> None:
    result = backtest.measure(readings=40_000, assets=4, interval_s=1.0, say=silent)
    assert result["readings"] == 40_000
    assert result["readings_per_s_core"] > 0
    assert result.get("equal", True)
