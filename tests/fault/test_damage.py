"""Damaged files and frozen servers: repaired or refused, never silently wrong.

`FAULT_ROUNDS` is how often each file is damaged (6).
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.exactly_once import Stored, verdict
from tests.support.figures import Figures
from tests.support.nodes import FOREVER, NodeProcess, Producer, configuration, running, stream_counts, wait_until
from tests.support.plant import TEMPLATES, Plant

from iotpm.broker import Broker
from iotpm.config import Config
from iotpm.errors import ResumeRefused
from iotpm.node.service import Node

RATE_HZ = 1500.0
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "6"))


def settings(data_dir: Path, url: str) -> Config:
    node = {"snapshot_interval_s": 0.3, "snapshot_messages": 1000}
    store = FOREVER | {"lake_after_rows": 5_000, "lake_slice_rows": 1_000}
    return configuration(data_dir, url, TEMPLATES, node=node, store=store)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as broker:
        yield broker


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_log_of_the_store_is_read_again_from_the_stream(tmp_path: Path, broker: Broker, damage: str) -> None:
    """What DuckDB drops, position and rows alike, comes again; what was published is not published again."""
    chance, plant = random.Random(5), Plant(5)
    config = settings(tmp_path / "data", broker.url)
    node = NodeProcess(config, tmp_path / "node")
    noticed = 0
    node.start_and_wait()
    with Producer(broker.url, plant, rate_hz=RATE_HZ) as producer:
        for _ in range(ROUNDS):
            goal = node.committed() + 1000
            node.wait(lambda goal=goal: node.committed() > goal, "a thousand messages more")  # type: ignore[misc]
            before = node.committed()
            node.kill()
            noticed += went_on_with_damage(node, before, damage, chance)
            node.wait_event("node_started")
        producer.finish()
    assert node.drain() == 0
    assert noticed > 0
    assert verdict(config, broker.url, plant.outcomes, tmp_path).findings == []


def went_on_with_damage(node: NodeProcess, committed: int, damage: str, chance: random.Random) -> bool:
    """Damage the log and start; a node that refuses gets its log back. Whether the damage showed."""
    log = Path(f"{node.config.data_dir}/iotpm.duckdb.wal")
    sound = log.read_bytes() if log.exists() else b""
    if sound:
        (cut if damage == "cut" else flip)(log, chance)
    node.start()
    wait_until(lambda: not node.running or bool(node.events("resuming")), "it starts or refuses")
    if node.running:
        return bool(node.events("resuming")[0]["committed"] < committed)
    assert "iotpm.duckdb" in node.log(), node.log()
    log.write_bytes(sound)
    node.start()
    return True


def cut(path: Path, chance: random.Random) -> None:
    """Take up to half of a file's end away."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - chance.randrange(len(data) // 2 + 1)])


def test_a_flipped_bit_in_the_stream_is_refused_or_does_not_matter(tmp_path: Path, broker: Broker) -> None:
    """The broker cuts its stream off where it finds damage, without a word: the store knows better."""
    chance, plant, refused = random.Random(6), Plant(6), 0
    config = settings(tmp_path / "data", broker.url)
    node = Node(config)
    with running(node), Producer(broker.url, plant, rate_hz=1e6, limit=2_000) as producer:
        producer.finish()
        last = stream_counts(broker.url, "RAW_0")[0]
        wait_until(lambda: node.writer.position.seq >= last, "all is stored")
    broker.stop()
    data, sound = tmp_path / "broker" / "broker", tmp_path / "sound"
    shutil.copytree(data, sound)
    before = Stored.of(config)
    for _ in range(ROUNDS):
        shutil.rmtree(data)
        shutil.copytree(sound, data)
        block = chance.choice(sorted(data.glob("**/RAW_0/msgs/*.blk")))
        flip(block, chance)
        # What the broker knows of it by heart would hide the damage until later.
        block.with_name("index.db").unlink(missing_ok=True)
        broker.start()
        refused += is_refused(config)
        assert Stored.of(config).readings == before.readings
        broker.stop()
    assert refused > 0


def is_refused(config: Config) -> bool:
    """Whether a node refuses to start because store and stream differ."""
    try:
        with running(Node(config)):
            return False
    except ResumeRefused as error:
        return "RAW_0 do not belong together" in str(error)


def flip(path: Path, chance: random.Random) -> None:
    """Turn one bit."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def test_a_frozen_broker_is_noticed_and_costs_nothing(tmp_path: Path, broker: Broker, record_property: Figures) -> None:
    """Longer than the lease, and than the reader takes a silent link for dead."""
    plant = Plant(8)
    config = settings(tmp_path / "data", broker.url)
    node = NodeProcess(config, tmp_path / "node")
    node.start_and_wait()
    with Producer(broker.url, plant, rate_hz=RATE_HZ) as producer:
        node.wait(lambda: node.committed() > 1000, "1000 messages")
        begin = time.monotonic()
        broker.pause()
        try:
            node.wait(lambda: node.metrics().get("iotpm_consumers_recreated_total", 0.0) > 0, "the silence is noticed")
        finally:
            broker.resume()
        noticed_s, last = time.monotonic() - begin, stream_counts(broker.url, "RAW_0")[0]
        node.wait(lambda: node.committed() > last, "it goes on")
        resumed_s = time.monotonic() - begin - noticed_s
        producer.finish()
    assert node.drain() == 0
    record_property(
        "figures", f"frozen broker: noticed after {noticed_s:.1f} s, next rows {resumed_s:.1f} s after it went on"
    )
    assert verdict(config, broker.url, plant.outcomes, tmp_path).findings == []
