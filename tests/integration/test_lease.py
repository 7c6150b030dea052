"""A lease that changes hands, or is given back, at the worst moment."""

from __future__ import annotations

import asyncio
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
from iotpm.node.control import ControlPlane
from iotpm.node.lease import LeaseKeeper
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


async def test_a_lease_whose_renewal_was_never_answered_is_given_back(js: Any) -> None:
    lease = await Lease.acquire(js, "0", ttl_s=60)
    unanswered = lease.revision
    await lease.renew()
    lease.revision = unanswered
    await lease.release()
    assert (await Lease.acquire(js, "0", ttl_s=60)).valid


def test_a_lease_given_back_among_renewals_stays_given_back(tmp_path: Path) -> None:
    """Renewals are under way when the node ends, and more are due: none keeps the partition from a successor."""
    with Broker(tmp_path / "broker") as broker:
        control = ControlPlane(Nats(), broker.url)
        keeper = LeaseKeeper(control, "0", ttl_s=60)

        async def end_of_a_node() -> None:
            await asyncio.gather(keeper.renew(), keeper.give_back(), keeper.renew())

        control.run(end_of_a_node())
        assert LeaseKeeper(control, "0", ttl_s=60).valid
        control.stop()
