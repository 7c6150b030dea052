"""Atomic batches: all or none, once, in order, whatever the broker thinks of some of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from nats.js.api import StreamConfig
from tests.support.nodes import stream_messages

from iotpm import _core
from iotpm.broker import Broker, BrokerOptions

SUBJECT = "iotpm.raw.s.a"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker", BrokerOptions(durability="power")) as broker:
        make_stream(broker.url, StreamConfig(name="RAW_0", subjects=["iotpm.raw.>"], allow_atomic=True))
        yield broker


def make_stream(url: str, config: StreamConfig) -> None:
    async def ask() -> None:
        client = await nats.connect(url)
        await client.jetstream().add_stream(config)
        await client.close()

    asyncio.run(ask())


def publisher(broker: Broker, ack_every: int = 100) -> _core.Publisher:
    return _core.Publisher(json.dumps({"url": broker.url}), ack_every=ack_every, atomic=True)


def publish(to: _core.Publisher, numbers: range) -> None:
    to.publish_many([SUBJECT] * len(numbers), [b"%d" % n for n in numbers], msg_ids=[f"g:1:{n}" for n in numbers])


def stored(broker: Broker) -> list[int]:
    return [int(message.payload) for message in stream_messages(broker.url, "RAW_0")]


def test_messages_are_stored_in_batches_and_what_is_left_at_a_flush(broker: Broker) -> None:
    to = publisher(broker)
    publish(to, range(250))
    to.flush()
    headers = [message.headers for message in stream_messages(broker.url, "RAW_0")]
    commits = [number for number, header in enumerate(headers) if "Nats-Batch-Commit" in header]
    assert stored(broker) == list(range(250))
    assert commits == [99, 199, 249]
    assert to.stats() == {"acknowledged": 250, "refused": 0, "resent": 0, "gaps": 0}
    to.close()


def test_a_batch_with_messages_that_are_known_stores_the_others(broker: Broker) -> None:
    """As after a crash of the producer, whose batches were cut elsewhere before."""
    first = publisher(broker)
    publish(first, range(130))
    first.close()
    second = publisher(broker)
    publish(second, range(70, 300))
    second.close()
    assert stored(broker) == list(range(300))


def test_messages_of_two_streams_in_one_batch_are_all_stored(broker: Broker) -> None:
    make_stream(broker.url, StreamConfig(name="OTHER", subjects=["other.>"], allow_atomic=True))
    to = publisher(broker, ack_every=10)
    subjects = [SUBJECT if n % 3 else "other.x" for n in range(10)]
    to.publish_many(subjects, [b"%d" % n for n in range(10)])
    to.flush()
    to.close()
    found = [*stored(broker), *(int(message.payload) for message in stream_messages(broker.url, "OTHER"))]
    assert sorted(found) == list(range(10))


def test_a_killed_broker_costs_nothing(broker: Broker) -> None:
    to = publisher(broker, ack_every=50)
    publish(to, range(500))
    broker.kill()
    broker.start()
    publish(to, range(500, 1000))
    to.flush()
    to.close()
    assert stored(broker) == list(range(1000))
