"""What a node says about itself over HTTP, and the webhook that it feeds from its outbox."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from tests.support.feed import Message, Session, await_committed, reading, send
from tests.support.nodes import configuration, probe_url, running, wait_until

from iotpm.broker import Broker
from iotpm.errors import ConfigError
from iotpm.node.service import Node

TEMP = "iotpm.raw.plant.pump.temp"
LIMIT: list[dict[str, Any]] = [
    {"match": "*", "limits": {"hi": 50.0}, "detectors": ["limits"], "repeat_s": 0.0}
    | {"begin_count": 1, "begin_of": 1, "end_count": 1}
]
COUNTERS = {"events_processed", "anomalies_detected", "dead_letters", "late_readings", "duplicate_readings"}
GAUGES = {"consumer_lag", "reader_queue_messages", "commit_queue_chunks", "outbox_queue_events", "store_bytes"}
HISTOGRAMS = {"processing_latency_seconds", "scoring_latency_seconds", "commit_seconds", "chunk_messages"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as server:
        yield server


def alarms(count: int, first: int = 0) -> list[Message]:
    """Readings of which every fourth is far above its limit: an alarm begins with it and ends with the next."""
    return [Message(TEMP, reading(n, 200.0 if n % 4 == 2 else 20.0)) for n in range(first, first + 4 * count)]


def scraped(node: Node) -> dict[str, Metric]:
    with urllib.request.urlopen(f"{node.http.url}/metrics", timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {family.name.removeprefix("iotpm_"): family for family in families}


def value(families: dict[str, Metric], name: str, suffix: str = "") -> float:
    return next(s.value for s in families[name].samples if s.name == f"iotpm_{name}{suffix}")


def test_the_metrics_have_the_promised_names_and_add_up(tmp_path: Path, broker: Broker) -> None:
    config = configuration(tmp_path / "data", broker.url, LIMIT, node={"site": "ulm"})
    node = Node(config)
    sent = [*alarms(5), Message(TEMP, b"{"), Message(TEMP, reading(19, 200.0)), Message(TEMP, reading(2.5, 1.0))]
    with running(node):
        await_committed(node, send(broker.url, sent)[-1])
        wait_until(lambda: value(scraped(node), "outbox_published", "_total") == 10, "ten events")
        families = scraped(node)
    assert {name for name, family in families.items() if family.type == "counter"} >= COUNTERS
    assert {name for name, family in families.items() if family.type == "gauge"} >= GAUGES
    assert {name for name, family in families.items() if family.type == "histogram"} >= HISTOGRAMS
    counts = {name: value(families, name, "_total") for name in COUNTERS}
    assert counts == {
        "events_processed": 20, "anomalies_detected": 5, "dead_letters": 1, "late_readings": 1, "duplicate_readings": 1,
    }  # fmt: skip
    labels = {tuple(sorted(sample.labels)) for family in families.values() for sample in family.samples}
    assert labels <= {("partition", "site"), ("le", "partition", "site")}
    for name in HISTOGRAMS:
        buckets = [s.value for s in families[name].samples if s.name.endswith("_bucket")]
        assert buckets == sorted(buckets)
        assert buckets[-1] == value(families, name, "_count")
    assert value(families, "scoring_latency_seconds", "_count") == 10
    assert value(families, "store_bytes") > 0


def test_health_is_answered_and_anything_else_is_not(tmp_path: Path, broker: Broker) -> None:
    with running(Node(configuration(tmp_path / "data", broker.url))) as node:
        ok = (200, {"status": "ok", "problems": {}})
        assert [probe_url(node.http.url + path) for path in ("/healthz", "/readyz", "/readyz?x=1")] == [ok] * 3
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            urllib.request.urlopen(f"{node.http.url}/secrets", timeout=30)
        with refused.value:
            assert b"/metrics, /healthz, /readyz" in refused.value.read()
        node._draining.set()
        assert probe_url(node.http.url + "/readyz")[1]["problems"] == {"draining": "the node is ending"}
        node._draining.clear()


def test_a_port_that_is_taken_is_a_mistake_of_the_configuration(tmp_path: Path, broker: Broker) -> None:
    with running(Node(configuration(tmp_path / "data", broker.url))) as node:
        port = int(node.http.url.rpartition(":")[2])
        other = configuration(
            tmp_path / "other", broker.url, node={"http_port": port}, stream={"partition": "1", "partitions": 2}
        )
        with pytest.raises(ConfigError, match=rf"node\.http_port = {port}: Address already in use"):
            Node(other).start()


class Receiver:
    """Takes events, or refuses them while `down`."""

    def __init__(self) -> None:
        self.got: list[tuple[int, dict[str, Any]]] = []
        self.down = False
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if not receiver.down:
                    receiver.got.append((int(self.headers["Idempotency-Key"]), body))
                self.send_response(503 if receiver.down else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/alarms"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Receiver:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def test_a_webhook_gets_every_event_in_order_across_restarts_and_never_holds_up_a_commit(
    tmp_path: Path, broker: Broker
) -> None:
    with Receiver() as receiver:
        webhook = {"url": receiver.url, "allow_private": True, "max_attempts": 1000}
        config = configuration(tmp_path / "data", broker.url, LIMIT, webhook=webhook)
        node = Node(config)
        with running(node):
            send(broker.url, alarms(5))
            wait_until(lambda: len(receiver.got) == 10, "begin and end of five alarms")
            receiver.down = True
            await_committed(node, send(broker.url, alarms(5, first=20))[-1])
            assert node.stats()["webhook_delivered"] == 10
        receiver.down = False
        with running(Node(config)):
            wait_until(lambda: len(receiver.got) == 20, "what was left")
    outbox = Session(config, []).rows("SELECT outbox_seq, payload FROM outbox ORDER BY outbox_seq")
    assert receiver.got == [(number, json.loads(payload)) for number, payload in outbox]
    assert Session(config, []).rows("SELECT delivered FROM webhook") == [(20,)]


def test_a_new_receiver_is_not_flooded_with_the_past(tmp_path: Path, broker: Broker) -> None:
    with running(Node(configuration(tmp_path / "data", broker.url, LIMIT))) as node:
        await_committed(node, send(broker.url, alarms(5))[-1])
    with Receiver() as receiver:
        webhook = {"url": receiver.url, "allow_private": True}
        with running(Node(configuration(tmp_path / "data", broker.url, LIMIT, webhook=webhook))):
            send(broker.url, alarms(1, first=20))
            wait_until(lambda: len(receiver.got) == 2, "the new alarm")
        assert [key for key, _ in receiver.got] == [11, 12]
