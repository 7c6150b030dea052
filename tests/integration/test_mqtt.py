"""The wire formats over MQTT, through the broker's gateway, from a real MQTT client (QoS 1), into the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import aiomqtt
import pytest
from tests.support.feed import Session, arrow, at, await_committed, reading, waveform
from tests.support.nodes import configuration, running, stream_counts, wait_until

from iotpm.broker import Broker, BrokerOptions
from iotpm.node.service import Node

TEMPLATES = [{"match": "*/temp", "unit": "Cel"}]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker", BrokerOptions(mqtt_port=0)) as server:
        yield server


def send(broker: Broker, messages: Iterable[tuple[str, bytes]]) -> None:
    """Publish in order, each acknowledged by the gateway before the next."""

    async def publish() -> None:
        async with aiomqtt.Client("127.0.0.1", broker.mqtt_port or 0, identifier="gateway-3") as client:
            for topic, payload in messages:
                await client.publish(topic, payload, qos=1, timeout=60)

    asyncio.run(publish())


def through(directory: Path, broker: Broker, messages: list[tuple[str, bytes]]) -> Session:
    """Run a node over messages and drain it."""
    config = configuration(directory / "data", broker.url, TEMPLATES)
    node = Node(config)
    with running(node):
        send(broker, messages)
        wait_until(lambda: stream_counts(broker.url, "RAW_0")[1]["raw"] == len(messages), "all messages in the stream")
        await_committed(node, stream_counts(broker.url, "RAW_0")[0])
    return Session(config, [])


def test_every_format_arrives_over_mqtt(tmp_path: Path, broker: Broker) -> None:
    array = [json.loads(reading(n, n, metric="temp")) for n in (2, 3)]
    samples = [0.5, -0.5] * 50
    session = through(
        tmp_path,
        broker,
        [
            ("iotpm/raw/plant/pump/temp", reading(0, 0.0)),
            ("iotpm/raw/plant/pump", reading(1, 33.8, metric="temp", meta={"unit": "[degF]"})),
            ("iotpm/raw/plant/pump", json.dumps(array).encode()),
            ("iotpm/raw/plant/pump", f"pump temp=4 {at(4) * 1000}".encode()),
            ("iotpm/raw/plant/pump", arrow({"timestamp": [at(5)], "value": [5.0], "signal": ["temp"]})),
            ("iotpm/raw/plant/pump/vib", waveform(samples, start_us=at(6), rate_hz=100.0)),
            ("iotpm/raw/plant/pump/temp", b"{broken"),
        ],
    )
    names, times, values = zip(*session.readings(), strict=True)
    assert set(names) == {"plant/pump/temp"}
    assert times == tuple(at(n) for n in range(6))
    assert values == pytest.approx(range(6))
    assert session.rows("SELECT rate_hz, samples FROM waveforms") == [(100.0, samples)]
    assert [(reason, payload) for _, _, reason, payload in session.dead()] == [("invalid_json", b"{broken")]


def test_names_that_nats_forbids_arrive_percent_encoded(tmp_path: Path, broker: Broker) -> None:
    session = through(tmp_path, broker, [("iotpm/raw/plant/pump%203/temp", reading(0, 1.0))])
    assert session.readings() == [("plant/pump 3/temp", at(0), 1.0)]


def test_a_thousand_readings_arrive_once_and_in_order(tmp_path: Path, broker: Broker) -> None:
    session = through(tmp_path, broker, [("iotpm/raw/plant/fan/rpm", reading(n / 10, n)) for n in range(1000)])
    assert session.readings() == [("plant/fan/rpm", at(n / 10), float(n)) for n in range(1000)]
    assert session.dead() == []
