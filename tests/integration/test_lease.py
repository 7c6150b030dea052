"""A lease that changes hands at the worst moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.js.kv import KeyValue

from iotpm import subjects
from iotpm.broker import Broker
from iotpm.config import Nats
from iotpm.errors import LeaseLost
from iotpm.streams import Lease, connect


@pytest.fixture
async def js(tmp_path: Path) -> AsyncIterator[Any]:
    with Broker(tmp_path / "broker") as broker:
        client = await connect(Nats(url=broker.url))
        yield client.jetstream()
        await client.close()


async def test_a_lease_that_expires_while_one_looks_at_it_is_free(js: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker refuses the key because it is there; when it is read to see who has it, it is gone."""
    other = await Lease.acquire(js, "0", ttl_s=60)
    look = KeyValue.get

    async def gone(kv: KeyValue, key: str, *arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(KeyValue, "get", look)
        await js.purge_stream(f"KV_{subjects.LEASE_BUCKET}")
        return await look(kv, key, *arguments, **named)

    monkeypatch.setattr(KeyValue, "get", gone)
    taken = await Lease.acquire(js, "0", ttl_s=2)
    assert taken.valid
    with pytest.raises(LeaseLost):
        await other.renew()


async def test_a_renewal_that_a_dead_holder_left_on_its_way_changes_nothing(
    js: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed while its renewal travels, which reaches the broker between a successor's look and its attempt."""
    dead = await Lease.acquire(js, "0", ttl_s=60)
    dead.holder = msgspec.structs.replace(dead.holder, started=dead.holder.started + 1)
    await dead.renew()
    look = KeyValue.get

    async def overtaken(kv: KeyValue, key: str, *arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(KeyValue, "get", look)
        seen = await look(kv, key, *arguments, **named)
        await dead.renew()
        return seen

    monkeypatch.setattr(KeyValue, "get", overtaken)
    assert (await Lease.acquire(js, "0", ttl_s=2)).valid
