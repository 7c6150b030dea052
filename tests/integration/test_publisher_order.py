"""Numbered messages keep their order, whatever is refused: a reader drops those that come after a later one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import nats
import pytest
from nats.js.api import DiscardPolicy, StreamConfig
from tests.support.nodes import stream_messages

from iotpm import _core
from iotpm.broker import Broker
from iotpm.errors import PublishRefused

COUNT = 1_500
ROOM = 200_000


def make_room(url: str, config: StreamConfig, *, first: bool) -> None:
    async def ask() -> None:
        client = await nats.connect(url)
        js = client.jetstream()
        await (js.add_stream(config) if first else js.update_stream(config))
        await client.close()

    asyncio.run(ask())


@pytest.mark.parametrize(("batched", "atomic"), [(True, False), (False, False), (True, True), (False, True)])
def test_a_refused_message_is_not_overtaken(tmp_path: Path, batched: bool, atomic: bool) -> None:
    """Large messages that are refused stand between small ones for which there is room."""
    config = StreamConfig(
        name="RAW_0",
        subjects=["iotpm.raw.>"],
        discard=DiscardPolicy.NEW,
        max_bytes=ROOM,
        duplicate_window=0.1,
        allow_batched=batched,
        allow_atomic=atomic,
    )
    ids = [f"gateway:1:{n}" for n in range(COUNT)]
    payloads = [json.dumps({"n": n}).encode().ljust(2_000 if n % 7 == 0 else 20) for n in range(COUNT)]
    with Broker(tmp_path) as broker:
        make_room(broker.url, config, first=True)
        publisher = _core.Publisher(json.dumps({"url": broker.url}), window=8, ack_every=100, atomic=atomic)
        publisher.publish_many(["iotpm.raw.s.a"] * COUNT, payloads, msg_ids=ids)
        with pytest.raises(PublishRefused, match="maximum bytes exceeded"):
            publisher.flush()
        make_room(broker.url, config.evolve(max_bytes=10 * ROOM), first=False)
        publisher.flush()
        publisher.close()
        found = [message.headers["Nats-Msg-Id"] for message in stream_messages(broker.url, "RAW_0")]
    assert found == ids
