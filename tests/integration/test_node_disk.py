"""Disk budget and full streams: what goes first, what is refused, and how a node comes back by itself."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nats.js.errors import APIError
from tests.support.feed import Message, Session, arrow, at, await_committed, reading, send
from tests.support.nodes import configuration, probe_url, running, stream_counts, wait_until

from iotpm.broker import Broker
from iotpm.node.service import Node
from iotpm.store import retention
from iotpm.store.database import Database
from iotpm.store.lake import Lake
from iotpm.store.retention import Retention

PUMP = "iotpm.raw.plant.pump"
BUDGET = 16 << 20
MEGABYTE = 1 << 20
STREAM_FULL = 10077


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as server:
        yield server


def batch(number: int, rows: int = 20_000) -> Message:
    """Readings that do not compress: about 300 KB on any disk."""
    values = np.random.default_rng(number).normal(size=rows)
    times = at(0) + np.arange(number * rows, (number + 1) * rows, dtype=np.int64) * 1_000
    return Message(PUMP, arrow({"timestamp": times.tolist(), "value": values.tolist(), "signal": ["vib"] * rows}))


def bytes_on_disk(directory: Path) -> int:
    """Store, log and lake as the file system counts them."""
    files = [directory / "iotpm.duckdb", directory / "iotpm.duckdb.wal", *(directory / "lake").rglob("*.parquet")]
    return sum(file.stat().st_size for file in files if file.exists())


def test_the_budget_holds_and_the_oldest_readings_go_first(tmp_path: Path, broker: Broker) -> None:
    store = {
        "disk_budget_bytes": BUDGET,
        "disk_reserve_bytes": 0,
        "lake_after_rows": 100_000,
        "lake_slice_rows": 50_000,
    }
    template = {"match": "*", "detectors": ["limits"], "window_s": 60.0}
    config = configuration(tmp_path / "data", broker.url, [template], store=store)
    node, peak = Node(config), 0
    with running(node):
        for first in range(0, 100, 10):
            sequences = send(broker.url, [batch(number) for number in range(first, first + 10)])
            await_committed(node, sequences[-1])
            wait_until(lambda: node.status()["disk"]["room_bytes"] > 0, "room within the budget")
            peak = max(peak, bytes_on_disk(config.data_dir))
        assert node.status()["problems"] == {}
        assert node.stats()["accepted"] == 2_000_000
    with Database(config.data_dir, config.store) as database:
        used = Retention(database, Lake(database)).usage().used_bytes
    session = Session(config, [])
    files = session.rows("SELECT min(seq_lo), sum(bytes) FROM lake_files WHERE table_name = 'readings'")[0]
    oldest = files[0] or session.rows("SELECT min(seq) FROM readings")[0][0]
    assert oldest > sequences[0] - 100
    kept = session.rows("SELECT count(*) FROM readings")[0][0]
    moved = session.rows("SELECT coalesce(sum(rows), 0) FROM lake_files WHERE table_name = 'readings'")[0][0]
    assert 100_000 <= kept + moved < 2_000_000
    assert used <= BUDGET
    # Blocks that were freed stay in DuckDB's file and are used again.
    assert peak <= 1.5 * BUDGET


def letters(number: int) -> list[Message]:
    """Messages that can only become dead letters, a megabyte each: nothing of them may be dropped."""
    chance = random.Random(number)
    return [Message(f"{PUMP}.temp", b"\0" + chance.randbytes(MEGABYTE)) for _ in range(number)]


def test_a_full_budget_refuses_by_name_and_goes_on_with_a_larger_one(tmp_path: Path, broker: Broker) -> None:
    def settings(budget: int) -> Any:
        store = {"disk_budget_bytes": budget, "disk_reserve_bytes": 0}
        node = {"chunk_max_bytes": 1 << 20, "drain_timeout_s": 2.0}
        return configuration(tmp_path / "data", broker.url, store=store, node=node, stream={"max_bytes": 26 << 20})

    config, messages = settings(BUDGET), letters(40)
    node, sent = Node(config), 0
    with running(node):
        while taken(broker.url, messages[sent]):
            sent += 1
        wait_until(lambda: "store" in node.status()["problems"], "the refusal")
        status, body = probe_url(node.http.url + "/readyz")
        assert status == 503
        assert f"budget {BUDGET}" in body["problems"]["store"]
        assert "disk_budget_bytes" in body["problems"]["store"]
        assert node.stats()["lag"] > 0
    stored = len(Session(config, []).dead())
    assert 12 <= stored <= 20
    larger = Node(settings(4 * BUDGET))
    with running(larger):
        for message in messages[sent:]:
            wait_until(lambda message=message: taken(broker.url, message) > 0, "room in the stream")  # type: ignore[misc]
        await_committed(larger, stream_counts(broker.url, "RAW_0")[0])
        wait_until(lambda: probe_url(larger.http.url + "/readyz")[0] == 200, "ready again")
    assert [payload for _, _, _, payload in Session(config, []).dead()] == [message.payload for message in messages]


def taken(url: str, message: Message) -> int:
    """The message's sequence; 0 if the broker refuses it because the stream is full."""
    try:
        return send(url, [message])[0]
    except APIError as error:
        if error.err_code == STREAM_FULL:
            return 0
        raise


def test_a_full_disk_refuses_and_the_node_goes_on_by_itself(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(tmp_path / "data", broker.url, store={"disk_reserve_bytes": 64 << 20})
    real, free = os.statvfs, [1 << 40]

    class Disk:
        """A disk with as much room as the test says."""

        def __init__(self, path: Any) -> None:
            self.f_frsize, self.f_bavail = 1, free[0]
            assert real(path).f_frsize > 0

    monkeypatch.setattr(retention.os, "statvfs", Disk)  # type: ignore[attr-defined]
    node = Node(config)
    with running(node):
        await_committed(node, send(broker.url, [Message(PUMP, reading(0, 0.0, metric="temp"))])[-1])
        free[0] = 1 << 20
        # Ticks arrive every second, so that there is always something to commit.
        wait_until(lambda: "store" in node.status()["problems"], "the refusal")
        assert "raise [store] disk_budget_bytes or free space" in node.status()["problems"]["store"]
        sequences = send(broker.url, [Message(PUMP, reading(n, 1.0, metric="temp")) for n in range(1, 50)])
        free[0] = 1 << 40
        await_committed(node, sequences[-1])
        wait_until(lambda: node.status()["problems"] == {}, "ready again")
    times = [time for _, time, _ in Session(config, []).readings()]
    assert times == [at(n) for n in range(50)]
