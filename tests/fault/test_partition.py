"""A link that falls silent without closing: noticed, said, and harmless, whatever of it arrives later."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.exactly_once import verdict
from tests.support.figures import Figures
from tests.support.nodes import (
    FOREVER,
    NodeProcess,
    Producer,
    configuration,
    probe_url,
    stream_counts,
    wait_until,
)
from tests.support.plant import TEMPLATES, Plant
from tests.support.proxy import BOTH, TO_CLIENT, Proxy

from iotpm.broker import Broker
from iotpm.config import Config, Nats
from iotpm.node.nodefile import NodeFile

RATE_HZ = 1500.0
LINK_TIMEOUT_S = 3
"""The least that a configuration allows: the tests shall be over soon."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def proxy(broker: Broker) -> Iterator[Proxy]:
    with Proxy(broker.url) as proxy:
        yield proxy


def settings(data_dir: Path, url: str) -> Config:
    node = {"snapshot_interval_s": 0.3, "snapshot_messages": 1000}
    nats = {"url": url, "link_timeout_s": LINK_TIMEOUT_S}
    return configuration(data_dir, url, TEMPLATES, node=node, nats=nats, store=dict(FOREVER))


def problems(config: Config) -> dict[str, Any]:
    """What /readyz says is wrong."""
    found = NodeFile.of_running_node(config.data_dir)
    if found is None:
        return {}
    try:
        _, body = probe_url(f"{found.http}/readyz")
    except urllib.error.URLError:
        return {}
    named: dict[str, Any] = body["problems"]
    return named


def test_a_link_counts_as_dead_within_15_s_unless_told_otherwise() -> None:
    assert Nats().link_timeout_s <= 15


@pytest.mark.parametrize(
    ("silent", "lost"),
    [(BOTH, True), (BOTH, False), ((TO_CLIENT,), True)],
    ids=["never arrives", "arrives late", "only answers are lost"],
)
def test_a_half_open_link_of_a_node_is_noticed_and_costs_nothing(
    tmp_path: Path, broker: Broker, proxy: Proxy, record_property: Figures, silent: tuple[str, ...], lost: bool
) -> None:
    plant, config = Plant(9), settings(tmp_path / "data", proxy.url)
    node = NodeProcess(config, tmp_path / "node")
    node.start_and_wait()
    with Producer(broker.url, plant, rate_hz=RATE_HZ) as producer:
        node.wait(lambda: node.committed() > 1000, "1000 messages")
        begin = time.monotonic()
        proxy.silence(silent)
        node.wait(lambda: "reader" in problems(config), "/readyz says that nothing can be read")
        noticed_s = time.monotonic() - begin
        node.wait(lambda: node.metrics().get("iotpm_disconnects_total", 0.0) > 0, "the connection is given up")
        given_up_s = time.monotonic() - begin
        last = stream_counts(broker.url, "RAW_0")[0]
        proxy.heal(lost=lost)
        begin = time.monotonic()
        node.wait(lambda: node.committed() > last, "it goes on")
        resumed_s = time.monotonic() - begin
        node.wait(lambda: not problems(config), "all is well again")
        producer.finish()
    assert any("reader" in event for event in node.events("not_ready"))
    assert node.events("reading_again")
    assert node.drain() == 0
    record_property(
        "figures",
        f"link silent, at {LINK_TIMEOUT_S} s: said after {noticed_s:.1f} s, given up after {given_up_s:.1f} s, "
        f"next rows {resumed_s:.1f} s after it healed",
    )
    assert verdict(config, broker.url, plant.outcomes, tmp_path).findings == []


@pytest.mark.parametrize("lost", [True, False], ids=["never arrives", "arrives late"])
def test_a_half_open_link_of_a_producer_costs_nothing(tmp_path: Path, broker: Broker, proxy: Proxy, lost: bool) -> None:
    """It sends again what was not confirmed; what then comes twice, in whatever order, is dropped by its number."""
    plant, config = Plant(10), settings(tmp_path / "data", broker.url)
    node = NodeProcess(config, tmp_path / "node")
    node.start_and_wait()
    with Producer(proxy.url, plant, rate_hz=RATE_HZ, link_timeout_s=LINK_TIMEOUT_S) as producer:
        node.wait(lambda: node.committed() > 1000, "1000 messages")
        proxy.silence()
        stuck = producer.published
        wait_until(lambda: proxy.links > 1, "the producer tries a new connection")
        proxy.heal(lost=lost)
        wait_until(lambda: producer.published > stuck + 1000, "the producer goes on")
        producer.finish()
    last = stream_counts(broker.url, "RAW_0")[0]
    node.wait(lambda: node.committed() >= last, "all is stored")
    assert node.drain() == 0
    assert verdict(config, broker.url, plant.outcomes, tmp_path).findings == []
