"""The disk of the embedded broker runs full: the broker says nothing and never recovers, so the node does both."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.exactly_once import verdict
from tests.support.figures import Figures
from tests.support.nodes import FOREVER, NodeProcess, Producer, configuration, fill_up, stream_counts
from tests.support.plant import TEMPLATES, Plant

from iotpm.broker import Broker, BrokerOptions
from iotpm.config import Config, Nats
from iotpm.errors import BrokerError
from iotpm.node.service import Node

RATE_HZ = 1000.0
STREAM = {"max_bytes": 24 << 20, "anomaly_max_bytes": 4 << 20}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def settings(data_dir: Path, url: str) -> Config:
    node = {"snapshot_interval_s": 0.5, "snapshot_messages": 1000}
    return configuration(data_dir, url, TEMPLATES, node=node, store=dict(FOREVER), stream=STREAM)


def test_a_full_disk_under_the_embedded_broker_is_said_and_left_unaided(
    small_disk: Path, tmp_path: Path, record_property: Figures
) -> None:
    port, plant, ballast = free_port(), Plant(12), small_disk / "ballast"
    url = f"nats://127.0.0.1:{port}"
    config = settings(small_disk / "data", url)
    node = NodeProcess(replace(config, nats=Nats(port=port)), tmp_path / "node")
    node.start_and_wait()
    with Producer(url, plant, rate_hz=RATE_HZ) as producer:
        node.wait(lambda: node.committed() > 1000, "1000 messages")
        begin = time.monotonic()
        fill_up(ballast)
        node.wait(lambda: said(node, "stream"), "the node says that the stream takes nothing")
        said_s, last = time.monotonic() - begin, stream_counts(url, "RAW_0")[0]
        ballast.unlink()
        begin = time.monotonic()
        node.wait(lambda: node.committed() > last, "it takes messages again")
        resumed_s = time.monotonic() - begin
        producer.finish()
    assert node.events("broker_stuck")
    assert node.drain() == 0
    record_property("figures", f"broker's disk full: said after {said_s:.1f} s, resumed {resumed_s:.1f} s after room")
    with Broker(config.data_dir / "broker", BrokerOptions(port=port)):
        assert verdict(config, url, plant.outcomes, tmp_path).findings == []


def test_a_disk_too_small_for_the_streams_names_the_keys_that_size_them(small_disk: Path) -> None:
    config = configuration(small_disk / "data", "", stream={"max_bytes": 4 << 30})
    with pytest.raises(BrokerError, match=r"do not fit its disk: lower \[stream\] max_bytes"):
        Node(config).start()


def said(node: NodeProcess, problem: str) -> bool:
    """Whether the log has named this problem."""
    found: list[dict[str, Any]] = node.events("not_ready")
    return any(problem in event for event in found)
