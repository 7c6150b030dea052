"""Streams, leases and the start protocol against a real nats-server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.js.errors import APIError
from tests.support.chunks import FakeChunk, reading
from tests.support.states import state_after

from iotpm import subjects
from iotpm.broker import Broker
from iotpm.config import Nats, Store, Stream
from iotpm.errors import BrokerError, LeaseHeld, LeaseLost, ResumeRefused, StreamMismatch
from iotpm.processes import Identity
from iotpm.store.database import Database
from iotpm.store.progress import Resume, read_position, resume
from iotpm.store.snapshots import Snapshots
from iotpm.store.writer import Writer
from iotpm.streams import (
    Lease,
    connect,
    ensure_streams,
    last_outbox_seq,
    purge_through,
    raw_stream_config,
    stored_message,
    stream_facts,
)

NAMES = subjects.live("0")
SMALL = Stream(max_bytes=1 << 20, anomaly_max_bytes=1 << 20)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as running:
        yield running


@pytest.fixture
async def js(broker: Broker) -> AsyncIterator[Any]:
    client = await connect(Nats(), url=broker.url)
    yield client.jetstream()
    await client.close()


async def test_streams_are_made_verified_and_resized(js: Any) -> None:
    await ensure_streams(js, NAMES, SMALL)
    await ensure_streams(js, NAMES, msgspec.structs.replace(SMALL, max_bytes=1 << 21, max_age_s=60.0))
    config = (await js.stream_info("RAW_0")).config
    assert (config.max_bytes, config.max_age, config.duplicate_window) == (1 << 21, 60, 60)
    assert (config.discard, config.retention, config.allow_atomic, config.allow_direct) == ("new", "limits", True, True)


async def test_a_stream_of_another_kind_is_refused_by_name(js: Any) -> None:
    await js.add_stream(raw_stream_config(NAMES, SMALL).evolve(discard="old", subjects=["other"]))
    with pytest.raises(StreamMismatch, match="stream RAW_0: discard is old, needed is new; subjects is"):
        await ensure_streams(js, NAMES, SMALL)


async def test_a_full_stream_refuses_at_once(js: Any) -> None:
    await ensure_streams(js, NAMES, msgspec.structs.replace(SMALL, max_bytes=65_536))
    for _ in range(6):
        await js.publish(NAMES.raw("p", "a"), b"x" * 10_000)
    with pytest.raises(APIError) as caught:
        await js.publish(NAMES.raw("p", "a"), b"x" * 10_000)
    assert caught.value.err_code == 10077


async def test_messages_are_found_with_time_and_hash(js: Any) -> None:
    await ensure_streams(js, NAMES, SMALL)
    await js.publish(NAMES.raw("p", "a"), b"payload", headers={"Content-Type": "x"})
    await js.publish(NAMES.tick, b"")
    one, two = await stored_message(js, "RAW_0", 1), await stored_message(js, "RAW_0", 2)
    assert one is not None
    assert two is not None
    assert (one.subject, one.payload, one.headers) == ("iotpm.raw.p.a", b"payload", {"Content-Type": "x"})
    assert (two.payload, two.time_us >= one.time_us, two.hash != one.hash) == (b"", True, True)
    assert await stored_message(js, "RAW_0", 3) is None
    await purge_through(js, "RAW_0", 1)
    facts = await stream_facts(js, "RAW_0")
    assert (facts.first_seq, facts.last_seq, facts.messages) == (2, 2, 1)
    with pytest.raises(BrokerError, match="stream RAW_7 does not exist"):
        await stream_facts(js, "RAW_7")


async def test_the_anomaly_stream_says_where_publishing_goes_on(js: Any) -> None:
    await ensure_streams(js, NAMES, SMALL)
    assert await last_outbox_seq(js, NAMES) is None
    await js.publish(NAMES.anomaly("p", "a"), b"{}", headers={subjects.OUTBOX_SEQUENCE: "41"})
    assert await last_outbox_seq(js, NAMES) == 41


async def test_an_unreachable_broker_is_named(broker: Broker) -> None:
    url = broker.url
    broker.stop()
    with pytest.raises(BrokerError, match=f"cannot connect to {url}"):
        await connect(Nats(), url=url, timeout_s=1)


# --- the lease --------------------------------------------------------------------------------------------------------


async def test_a_second_holder_is_refused_and_told_who_holds_it(js: Any) -> None:
    me = Identity.of_this_process()
    lease = await Lease.acquire(js, "0", ttl_s=60)
    with pytest.raises(LeaseHeld, match=f"partition 0 is held by process {me.pid} on {me.host} since 20"):
        await Lease.acquire(js, "0", ttl_s=60)
    await lease.renew()
    lease.check()
    await lease.release()
    with pytest.raises(LeaseLost):
        lease.check()
    assert (await Lease.acquire(js, "0", ttl_s=60)).valid


async def test_a_holder_that_died_on_this_machine_is_replaced_at_once(js: Any) -> None:
    dead = await Lease.acquire(js, "0", ttl_s=60)
    dead.holder = msgspec.structs.replace(dead.holder, started=dead.holder.started + 1)
    await dead.renew()
    taken = await Lease.acquire(js, "0", ttl_s=60)
    with pytest.raises(LeaseLost, match="the lease was taken by process"):
        await dead.renew()
    assert not dead.valid
    await dead.release()
    await taken.renew()


async def test_a_holder_elsewhere_is_waited_out_and_then_fenced(js: Any) -> None:
    other = await Lease.acquire(js, "0", ttl_s=2)
    taken = await Lease.acquire(js, "0", ttl_s=2, wait_s=30)
    with pytest.raises(LeaseLost):
        await other.renew()
    await taken.renew()
    other.renewed -= 2
    assert not other.valid


# --- the start protocol -----------------------------------------------------------------------------------------------


class Plant:
    """A stream with messages 1 to 10 and a store that has the first six."""

    def __init__(self, js: Any, directory: Path) -> None:
        self.js, self.directory = js, directory
        self.database = Database(directory, Store())
        self.snapshots = Snapshots(directory)

    async def fill(self, count: int = 10) -> None:
        for number in range(count):
            await self.js.publish(NAMES.raw("p", "a"), b"%d" % number)

    async def store_up_to(self, seq: int) -> None:
        message = await stored_message(self.js, "RAW_0", seq)
        assert message is not None
        chunk = Seen(seq, {"readings": [reading(seq)]}, message.hash)
        chunk.time_us = message.time_us
        Writer(self.database, (await self.resume()).position).commit(chunk)

    async def resume(self, new_epoch: str | None = None) -> Resume:
        facts = await stream_facts(self.js, "RAW_0")
        at = read_position(self.database.connection)
        message = await stored_message(self.js, "RAW_0", at.seq) if at and at.seq else None
        return resume(self.database, self.snapshots, facts, message, new_epoch)


class Seen(FakeChunk):
    """A chunk that ends with a message of the stream."""

    time_us: int = 0

    @property
    def last_time_us(self) -> int:
        return self.time_us


@pytest.fixture
async def plant(js: Any, tmp_path: Path) -> AsyncIterator[Plant]:
    await ensure_streams(js, NAMES, SMALL)
    made = Plant(js, tmp_path / "data")
    await made.fill()
    await made.store_up_to(6)
    yield made
    made.database.close()


async def refused(plant: Plant, finding: str) -> None:
    """It refuses, saying what it found; with a reason it goes on and records both."""
    with pytest.raises(ResumeRefused, match=finding) as caught:
        await plant.resume()
    assert "--new-epoch REASON" in str(caught.value)
    await plant.resume("we know")
    row = plant.database.connection.execute("SELECT reason, found FROM epochs ORDER BY epoch DESC LIMIT 1").fetchone()
    assert row is not None
    assert row[0] == "we know"
    assert row[1] in str(caught.value)
    await plant.resume()


async def test_without_a_snapshot_everything_is_read_again_and_known_outputs_are_dropped(plant: Plant) -> None:
    found = await plant.resume()
    assert (found.start_sequence, found.discard_through, found.snapshot) == (1, 6, None)


async def test_the_newest_snapshot_up_to_the_position_is_where_it_starts(plant: Plant) -> None:
    for seq in (4, 9):
        plant.snapshots.write(seq, state_after(seq))
    found = await plant.resume()
    assert (found.start_sequence, found.discard_through) == (5, 6)
    assert plant.snapshots.sequences() == [4], "one beyond the position belongs to a commit that did not happen"


async def test_a_purged_stream_is_fine_as_long_as_the_snapshot_covers_it(plant: Plant) -> None:
    plant.snapshots.write(4, state_after(4))
    await purge_through(plant.js, "RAW_0", 4)
    assert (await plant.resume()).start_sequence == 5
    await purge_through(plant.js, "RAW_0", 5)
    await refused(plant, "messages 5 to 5 are gone and the newest usable snapshot is of message 4")
    assert (await plant.resume()).start_sequence == 6


async def test_a_damaged_only_snapshot_over_a_purged_stream_is_refused(plant: Plant) -> None:
    path = plant.snapshots.write(4, state_after(4))
    path.write_bytes(path.read_bytes()[:-1])
    await purge_through(plant.js, "RAW_0", 4)
    await refused(plant, "messages 1 to 4 are gone and there is no usable snapshot")


async def test_a_recreated_stream_is_refused(plant: Plant) -> None:
    await plant.js.delete_stream("RAW_0")
    await ensure_streams(plant.js, NAMES, SMALL)
    await plant.fill()
    await refused(plant, r"the stream was re-created \(created \d+ us, the store knows \d+ us\)")
    found = await plant.resume()
    assert (found.start_sequence, found.discard_through, found.position.epoch) == (1, 0, 2)


async def test_a_stream_that_went_backwards_is_refused(plant: Plant) -> None:
    at = await plant.resume()
    plant.database.connection.execute("UPDATE progress SET seq = 20")
    await refused(plant, "the stream ends at message 10, the store has up to 20: messages were lost")
    found = await plant.resume()
    assert (found.discard_through, found.position.next_outbox_seq) == (10, at.position.next_outbox_seq)


async def test_a_missing_last_message_is_refused(plant: Plant) -> None:
    await plant.js.delete_msg("RAW_0", 6)
    await refused(plant, "message 6, the last one stored, is missing in the stream")


async def test_another_message_in_its_place_is_refused(plant: Plant) -> None:
    plant.database.connection.execute("UPDATE progress SET hash = 1")
    await refused(plant, "message 6 has hash [0-9a-f]{16}, the store knows 0000000000000001")


async def test_the_same_message_stored_at_another_time_is_refused(plant: Plant) -> None:
    plant.database.connection.execute("UPDATE progress SET ts = make_timestamp(5)")
    await refused(plant, "message 6 was stored at [0-9]+ us, the store knows 5 us")


async def test_the_store_of_another_stream_is_refused(plant: Plant) -> None:
    plant.database.connection.execute("UPDATE progress SET stream = 'RAW_9'")
    await refused(plant, "the store was filled from stream RAW_9, not RAW_0")


async def test_a_new_epoch_removes_snapshots_and_keeps_the_outbox_dense(plant: Plant) -> None:
    plant.snapshots.write(4, state_after(4))
    plant.database.connection.execute("UPDATE progress SET hash = 1, next_outbox_seq = 12")
    found = await plant.resume("restored from backup")
    assert (found.snapshot, plant.snapshots.sequences()) == (None, [])
    assert (found.position.next_outbox_seq, found.discard_through) == (12, 6)


async def test_a_new_store_begins_with_what_is_left_and_says_so(js: Any, tmp_path: Path) -> None:
    await ensure_streams(js, NAMES, SMALL)
    plant = Plant(js, tmp_path / "late")
    await plant.fill()
    await purge_through(js, "RAW_0", 3)
    found = await plant.resume()
    assert (found.start_sequence, found.discard_through) == (4, 3)
    row = plant.database.connection.execute("SELECT found FROM epochs").fetchone()
    assert row == ("messages 1 to 3 are no longer in the stream",)
    assert (await plant.resume()).start_sequence == 4
    plant.database.close()
