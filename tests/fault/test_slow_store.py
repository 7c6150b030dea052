"""A disk that does not answer: the node holds a bounded number of messages, however many wait in the stream."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.support.figures import Figures
from tests.support.nodes import FOREVER, NodeProcess, configuration

from iotpm import _core
from iotpm.bench.usage import resident_bytes
from iotpm.broker import Broker
from iotpm.store.database import Database
from iotpm.store.query import relation

LAUNCHER = [sys.executable, str(Path(__file__).with_name("launch_node.py"))]
SIGNALS = 100
FIRST, MORE = 100_000, 300_000
"""Messages that fill every buffer, and that would be 60 MB or more of memory if they were held too."""
GROWTH_MAX_BYTES = 12 << 20


def test_a_store_that_hangs_fills_buffers_to_their_bounds_and_drops_nothing(
    tmp_path: Path, record_property: Figures
) -> None:
    hang = tmp_path / "hang"
    with Broker(tmp_path / "broker") as broker:
        node_keys = {"chunk_max_messages": 5_000, "chunk_max_bytes": 1 << 20}
        config = configuration(tmp_path / "data", broker.url, node=node_keys, store=dict(FOREVER))
        node = NodeProcess(config, tmp_path / "node", LAUNCHER, FAULT_HANG=str(hang))
        node.start_and_wait()
        load = {"signals": SIGNALS, "assets": 10, "interval_us": 10_000}
        generator = _core.LoadGenerator(json.dumps({"url": broker.url}), json.dumps(load))
        generator.run(messages=1_000)
        node.wait(lambda: node.metrics().get("iotpm_events_processed_total") == 1_000, "it works")
        hang.touch()
        generator.run(messages=FIRST)
        node.wait(lambda: node.metrics().get("iotpm_backpressure_total", 0) > 0, "the reader waits for the store")
        full = resident_bytes(node.pid)
        generator.run(messages=MORE)
        node.wait(lambda: node.metrics().get("iotpm_consumer_lag", 0) > MORE, "the node knows what waits")
        grown = resident_bytes(node.pid) - full
        hang.unlink()
        sent = 1_000 + FIRST + MORE
        node.wait(lambda: node.metrics().get("iotpm_events_processed_total") == sent, "all is committed")
        assert node.drain() == 0
    record_property("figures", f"store that hangs: {grown / 1e6:+.1f} MB while {MORE} more messages waited")
    assert grown < GROWTH_MAX_BYTES
    with Database.read_only(config.data_dir, config.store) as database, database.cursor() as cursor:
        rows = relation(cursor, config.data_dir, "readings", None)
        ((stored,),) = cursor.execute(f"SELECT count(*) FROM {rows}").fetchall()
    assert stored == sent
