"""A node whose clock is wrong, or jumps while it runs, stores what any other node stores: it asks no clock for it."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest
from tests.support.clock import DAY_S, WrongClock
from tests.support.exactly_once import verdict
from tests.support.nodes import FOREVER, NodeProcess, Producer, configuration
from tests.support.plant import TEMPLATES, Plant

from iotpm.broker import Broker
from iotpm.store.database import Database

RATE_HZ = 1500.0
STEP = 700
"""Messages between two jumps."""
TOLERANCE_S = 600.0


@pytest.mark.parametrize("off_s", [3600.0, 30 * DAY_S], ids=["an hour", "thirty days"])
def test_a_wrong_clock_changes_nothing(tmp_path: Path, off_s: float) -> None:
    """Ahead at the start, then behind, then right; and behind at the start, then ahead."""
    clock, plant = WrongClock(tmp_path / "clock"), Plant(11)
    with Broker(tmp_path / "broker") as broker:
        config = configuration(
            tmp_path / "data",
            broker.url,
            TEMPLATES,
            node={"snapshot_interval_s": 0.3, "snapshot_messages": 1000, "emit_scores": True},
            store=FOREVER | {"lake_after_rows": 5_000, "lake_slice_rows": 1_000},
        )
        node = NodeProcess(config, tmp_path / "node", None, **clock.environment)
        with Producer(broker.url, plant, rate_hz=RATE_HZ) as producer:
            for offsets in ((off_s, -off_s, 0.0), (-off_s, off_s)):
                run(node, clock, offsets)
            producer.finish()
        assert verdict(config, broker.url, plant.outcomes, tmp_path).findings == []
    with Database.read_only(config.data_dir, config.store) as database:
        ((made,),) = database.connection.execute("SELECT epoch(created) FROM store_info").fetchall()
    assert abs(made - time.time() - off_s) < TOLERANCE_S, "the store's own clock was not turned"


def run(node: NodeProcess, clock: WrongClock, offsets: tuple[float, ...]) -> None:
    """One life of a node, in which the clock jumps; its log shows that it did."""
    clock.set(offsets[0])
    node.start()
    assert off_by(node, "node_started") == pytest.approx(offsets[0], abs=TOLERANCE_S)
    for offset_s in offsets:
        clock.set(offset_s)
        goal = node.committed() + STEP
        node.wait(lambda goal=goal: node.committed() > goal, f"{STEP} messages more")  # type: ignore[misc]
    assert node.drain() == 0, node.log()[-3000:]
    assert off_by(node, "drained") == pytest.approx(offsets[-1], abs=TOLERANCE_S)


def off_by(node: NodeProcess, event: str) -> float:
    """By how much the clock of a log line differs from ours, seconds."""
    logged = datetime.fromisoformat(node.wait_event(event)["timestamp"])
    return logged.timestamp() - time.time()
