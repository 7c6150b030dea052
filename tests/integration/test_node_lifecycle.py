"""A node's life as a process: start, refusals, drains, a broker that dies, configuration that changes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.support.nodes import (
    NodeProcess,
    Producer,
    identity,
    probe_url,
    stream_counts,
    stream_messages,
)
from tests.support.nodes import configuration as basic_configuration
from tests.support.plant import TEMPLATES, Plant

from iotpm import _core
from iotpm.broker import Broker
from iotpm.config import Config
from iotpm.node.nodefile import NodeFile
from iotpm.store.database import Database

START_US = 1_767_323_045_000_000
KEPT = {"raw_days": 36_500.0}
"""The readings of these tests are older than what a store keeps by default."""


def configuration(data_dir: Path, url: str, templates: list[dict[str, Any]] | None = None, **sections: Any) -> Config:
    """Keeps everything."""
    return basic_configuration(data_dir, url, templates, **({"store": KEPT} | sections))


def publish(url: str, values: list[float], *, first: int = 0, signal: str = "plant/pump/temp") -> None:
    """One JSON reading a message, a second apart."""
    publisher = _core.Publisher(json.dumps({"url": url}))
    payloads = [
        json.dumps({"timestamp": START_US + (first + n) * 1_000_000, "value": value}).encode()
        for n, value in enumerate(values)
    ]
    publisher.publish_many(["iotpm.raw." + signal.replace("/", ".")] * len(values), payloads)
    publisher.flush()
    publisher.close()


def query(config: Config, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a stopped node's store."""
    with Database.read_only(config.data_dir, config.store) as database, database.cursor() as cursor:
        return cursor.execute(sql).fetchall()


def probe(node: NodeProcess, path: str) -> tuple[int, dict[str, Any]]:
    """Status and body of a health check of a process."""
    found = NodeFile.of_running_node(node.config.data_dir)
    assert found is not None
    return probe_url(found.http + path)


@pytest.fixture
def broker(tmp_path: Path) -> Any:
    with Broker(tmp_path / "broker") as server:
        yield server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_drain_under_load_stores_all_it_read_and_the_next_start_reads_nothing_again(
    tmp_path: Path, broker: Broker, number: signal.Signals
) -> None:
    config = configuration(tmp_path / "data", broker.url, TEMPLATES)
    node = NodeProcess(config, tmp_path / "node")
    node.start_and_wait()
    plant = Plant(3)
    with Producer(broker.url, plant, rate_hz=3000.0) as producer:
        node.wait(lambda: node.committed() > 1500, "1500 messages under load")
        assert node.process is not None
        node.process.send_signal(number)
        assert node.ended() == 0, node.log()[-3000:]
        assert node.events("drained"), node.log()
        assert not node.events("events_left")
        producer.finish()
    committed = query(config, "SELECT seq FROM progress")[0][0]
    assert node.events("drained")[0]["committed"] == committed
    assert not NodeFile.path(config.data_dir).exists()
    node.start_and_wait()
    resuming = node.events("resuming")[0]
    assert (resuming["start"] - 1, resuming["committed"]) == (committed, committed)
    last, _ = stream_counts(broker.url, "RAW_0")
    node.wait(lambda: node.committed() >= last, "the rest")
    assert node.drain() == 0
    planned = sum(plant.outcomes.stored.values())
    assert query(config, "SELECT count(*), count(DISTINCT (signal, ts)) FROM readings") == [(planned, planned)]


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path, broker: Broker) -> None:
    node = NodeProcess(configuration(tmp_path / "data", broker.url), tmp_path / "node")
    node.start_and_wait()
    broker.pause()
    try:
        assert node.process is not None
        node.process.send_signal(signal.SIGINT)
        node.wait_event("draining")
        node.process.send_signal(signal.SIGINT)
        assert node.ended() == -signal.SIGINT
    finally:
        broker.resume()
    node.start_and_wait()
    assert node.drain() == 0


def test_a_signal_during_the_start_drains_as_soon_as_it_has_started(tmp_path: Path, broker: Broker) -> None:
    config = configuration(tmp_path / "data", broker.url)
    node = NodeProcess(config, tmp_path / "node")
    node.start()
    node.wait_event("store_begins")
    assert node.drain() == 0, node.log()
    assert not NodeFile.path(config.data_dir).exists()


def test_a_broker_that_is_gone_does_not_hold_up_the_end(tmp_path: Path, broker: Broker) -> None:
    config = configuration(tmp_path / "data", broker.url)
    node = NodeProcess(config, tmp_path / "node")
    node.start_and_wait()
    publish(broker.url, [20.0] * 50)
    node.wait(lambda: node.committed() >= 50, "the readings")
    broker.kill()
    node.wait(lambda: probe(node, "/readyz")[0] == 503, "the loss of the broker")
    assert node.drain() == 0, node.log()
    assert query(config, "SELECT count(*) FROM readings") == [(50,)]


class TestSecondNode:
    """What is held names its holder, on one line, with exit status 1."""

    @pytest.fixture
    def first(self, tmp_path: Path, broker: Broker) -> Any:
        node = NodeProcess(configuration(tmp_path / "data", broker.url), tmp_path / "node")
        node.start_and_wait()
        yield node
        assert node.drain() == 0, node.log()

    def refusal(self, config: Config, directory: Path) -> str:
        node = NodeProcess(config, directory)
        node.start()
        assert node.ended() == 1
        lines = [line for line in node.log().splitlines() if not line.startswith("{")]
        assert len(lines) == 1, node.log()
        return lines[0]

    def test_on_the_same_data_is_refused(self, first: NodeProcess, tmp_path: Path) -> None:
        line = self.refusal(first.config, tmp_path / "second")
        assert line.startswith(f"Error: {first.config.data_dir} is in use by {identity(first.pid)} since ")

    def test_on_the_same_partition_is_refused_and_leaves_the_streams_alone(
        self, first: NodeProcess, tmp_path: Path, broker: Broker
    ) -> None:
        other = configuration(tmp_path / "other", broker.url, stream={"max_bytes": 1 << 20})
        line = self.refusal(other, tmp_path / "second")
        assert line.startswith(f"Error: partition 0 is held by {identity(first.pid)} since ")
        assert '"stream_adjusted"' not in (tmp_path / "second" / "node-1.log").read_text()


def test_the_embedded_broker_is_started_again_and_nothing_is_lost(tmp_path: Path) -> None:
    config = configuration(tmp_path / "data", "")
    node = NodeProcess(config, tmp_path / "node")
    node.start()
    url = node.wait_event("node_started")["url"]
    publish(url, [20.0] * 30)
    node.wait(lambda: node.committed() >= 30, "the first readings")
    server = json.loads((config.data_dir / "broker" / "broker.pid").read_bytes())["server"]["pid"]
    os.kill(server, signal.SIGKILL)
    node.wait_event("broker_restarted")
    node.wait(lambda: probe(node, "/readyz")[0] == 200, "ready again")
    publish(url, [20.0] * 30, first=30)
    node.wait(lambda: node.metrics().get("iotpm_events_processed_total") == 60, "the other readings")
    assert probe(node, "/healthz") == (200, {"status": "ok", "problems": {}})
    assert node.drain() == 0, node.log()
    assert query(config, "SELECT count(*), count(DISTINCT ts) FROM readings") == [(60, 60)]


def test_an_external_broker_is_waited_for_beyond_the_lease(tmp_path: Path, broker: Broker) -> None:
    config = configuration(tmp_path / "data", broker.url)
    node = NodeProcess(config, tmp_path / "node")
    node.start_and_wait()
    publish(broker.url, [20.0] * 30)
    node.wait(lambda: node.committed() >= 30, "the first readings")
    broker.kill()
    node.wait(lambda: probe(node, "/readyz")[0] == 503, "not ready")
    assert probe(node, "/readyz")[1]["problems"]["broker"] == f"not connected to {broker.url}"
    assert probe(node, "/healthz")[0] == 200
    node.wait(lambda: "lease" in probe(node, "/readyz")[1]["problems"], "the end of the lease")
    broker.start()
    publish(broker.url, [20.0] * 30, first=30)
    node.wait(lambda: node.metrics().get("iotpm_events_processed_total") == 60, "the other readings")
    node.wait(lambda: probe(node, "/readyz")[0] == 200, "ready again")
    assert node.drain() == 0, node.log()
    assert query(config, "SELECT count(*), count(DISTINCT ts) FROM readings") == [(60, 60)]


def test_a_changed_configuration_acts_from_its_own_message_on(tmp_path: Path, broker: Broker) -> None:
    values = [50.0, 50.5, 51.0, 50.2, 50.7, 50.1]

    def session(high: float, first: int) -> Config:
        template = {"match": "plant/*", "limits": {"hi": high}, "detectors": ["limits"], "repeat_s": 0.0}
        config = configuration(tmp_path / "data", broker.url, [template])
        node = NodeProcess(config, tmp_path / "node")
        node.start_and_wait()
        publish(broker.url, values, first=first)
        node.wait(lambda: node.metrics().get("iotpm_consumer_lag") == 0, "the readings")
        last, _ = stream_counts(broker.url, "RAW_0")
        node.wait(lambda: node.committed() >= last, "the readings")
        assert node.drain() == 0, node.log()
        return config

    session(80.0, 0)
    lower = session(40.0, 6)
    config = session(40.0, 12)
    control = [m for m in stream_messages(broker.url, "RAW_0") if m.payload.startswith(b"[")]
    assert [m.payload.decode() for m in control] == [lower.templates_json()]
    rows = query(config, "SELECT epoch, seq, hash FROM configurations ORDER BY seq")
    assert [(epoch, seq) for epoch, seq, _ in rows] == [(1, 0), (1, control[0].seq)]
    assert rows[1][2] == lower.hash
    raised = query(config, "SELECT min(seq), max(seq) FROM anomaly_log")[0]
    assert control[0].seq < raised[0]


def test_variables_and_env_file_reach_the_node(tmp_path: Path, broker: Broker) -> None:
    config = configuration(tmp_path / "data", broker.url)
    node = NodeProcess(config, tmp_path / "node", IOTPM_NODE__SITE="ulm", IOTPM_STREAM__PARTITION="7")
    (tmp_path / "node" / ".env").write_text("IOTPM_NODE__SITE=bonn\nIOTPM_NODE__SOURCE=/works/3\n")
    node.start_and_wait()
    found = NodeFile.of_running_node(config.data_dir)
    assert found is not None
    assert found.partition == "7"
    with urllib.request.urlopen(f"{found.http}/metrics", timeout=30) as answer:
        assert '{partition="7",site="ulm"}' in answer.read().decode()
    assert node.drain() == 0


def test_a_mistake_in_a_variable_is_one_line_and_no_start(tmp_path: Path) -> None:
    node = NodeProcess(configuration(tmp_path / "data", ""), tmp_path / "node", IOTPM_NODE__SHARDS="many")
    node.start()
    assert node.ended() == 1
    assert (
        node.log()
        == 'Error: environment IOTPM_NODE__SHARDS: node.shards = "many": must be a whole number from 0 to 256\n'
    )


def test_a_stream_that_lost_its_last_message_is_refused_and_continued_only_on_demand(
    tmp_path: Path, broker: Broker
) -> None:
    config = configuration(tmp_path / "data", broker.url)
    node = NodeProcess(config, tmp_path / "node")
    node.start_and_wait()
    publish(broker.url, [20.0] * 10)
    node.wait(lambda: node.committed() >= 10, "the readings")
    assert node.drain() == 0
    broker.stop()
    shutil.rmtree(broker.data_dir / "broker")
    broker.start()
    node.start()
    assert node.ended() == 1
    assert "the stream was re-created" in node.log().splitlines()[-1]
    assert "--new-epoch REASON" in node.log().splitlines()[-1]
    node.start("--new-epoch", "the broker's disk was replaced")
    node.wait_event("node_started")
    publish(broker.url, [20.0] * 10, first=10)
    node.wait(lambda: node.metrics().get("iotpm_events_processed_total") == 10, "the new readings")
    assert node.drain() == 0
    assert query(config, "SELECT count(*) FROM readings") == [(20,)]
    reasons = query(config, "SELECT epoch, reason FROM epochs ORDER BY epoch")
    assert reasons == [(1, "new store"), (2, "the broker's disk was replaced")]
    assert [row[0] for row in query(config, "SELECT epoch FROM configurations ORDER BY epoch")] == [1, 2]
