"""When stream, store or node are not as they must be, a node says what it found and writes nothing."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js import JetStreamContext
from tests.support.exactly_once import Stored, verdict
from tests.support.figures import Figures
from tests.support.nodes import (
    FOREVER,
    QUIET,
    NodeProcess,
    Producer,
    configuration,
    fill_up,
    identity,
    running,
    stream_counts,
    wait_until,
)
from tests.support.plant import TEMPLATES, Plant

from iotpm.broker import Broker
from iotpm.config import Config
from iotpm.errors import LeaseHeld, ResumeRefused, StoreHeld
from iotpm.node.nodefile import NodeFile
from iotpm.node.service import Node
from iotpm.store.database import Database
from iotpm.store.progress import read_position

RATE_HZ = 2000.0


@dataclass(slots=True)
class Site:
    """A broker, a node's configuration and a plant."""

    directory: Path
    broker: Broker
    config: Config
    plant: Plant

    @property
    def url(self) -> str:
        return self.broker.url

    def publish(self, count: int) -> None:
        """Publish some messages of the plant."""
        with Producer(self.url, self.plant, rate_hz=1e6, limit=count) as producer:
            producer.finish()

    def last(self) -> int:
        return stream_counts(self.url, "RAW_0")[0]

    def first(self) -> int:
        found: list[int] = []

        async def ask(js: JetStreamContext) -> None:
            found.append((await js.stream_info("RAW_0")).state.first_seq)

        self.broker_does(ask)
        return found[0]

    def fill(self, count: int) -> None:
        """A node stores some messages and drains."""
        node = Node(self.config)
        with running(node):
            self.publish(count)
            last = self.last()
            wait_until(lambda: node.writer.position.seq >= last, "all is stored")

    def broker_does(self, work: Callable[[JetStreamContext], Awaitable[object]]) -> None:
        async def connected() -> None:
            client = await nats.connect(self.url)
            try:
                await work(client.jetstream())
            finally:
                await client.close()

        asyncio.run(connected())

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the stopped node's store."""
        with Database.read_only(self.config.data_dir, self.config.store) as database:
            return database.connection.execute(sql).fetchall()

    def process(self, name: str = "node", config: Config | None = None) -> NodeProcess:
        return NodeProcess(config or self.config, self.directory / name)


def settings(data_dir: Path, url: str, **sections: Any) -> Config:
    node = {"snapshot_interval_s": 0.2, "snapshot_messages": 1000}
    return configuration(data_dir, url, TEMPLATES, node=node, store=dict(FOREVER), **sections)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Broker(tmp_path / "broker") as broker:
        yield Site(tmp_path, broker, settings(tmp_path / "data", broker.url), Plant(1))


def refusal(site: Site) -> str:
    """Why a node does not start; the store must be as before."""
    before = site.query("SELECT * FROM progress")
    with pytest.raises(ResumeRefused) as caught:
        Node(site.config).start()
    assert site.query("SELECT * FROM progress") == before
    assert "--new-epoch REASON" in str(caught.value)
    return str(caught.value)


def test_a_recreated_stream_is_refused(site: Site) -> None:
    site.fill(500)
    site.broker_does(lambda js: js.delete_stream("RAW_0"))
    assert "the stream was re-created" in refusal(site)


def test_a_missing_last_message_is_refused(site: Site) -> None:
    site.fill(500)
    ((committed,),) = site.query("SELECT seq FROM progress")
    site.broker_does(lambda js: js.delete_msg("RAW_0", committed))
    assert f"message {committed}, the last one stored, is missing" in refusal(site)


def test_a_broker_restored_from_a_backup_is_refused(site: Site) -> None:
    """First it ends too early; once others have published, its message of that number is another one."""
    site.fill(500)
    site.broker.stop()
    data, backup = site.directory / "broker" / "broker", site.directory / "backup"
    shutil.copytree(data, backup)
    site.broker.start()
    site.fill(200)
    ((committed,),) = site.query("SELECT seq FROM progress")
    site.broker.stop()
    shutil.rmtree(data)
    shutil.move(backup, data)
    site.broker.start()
    early = refusal(site)
    assert "messages were lost" in early
    assert f"the store has up to {committed}" in early
    site.publish(400)
    assert site.last() > committed
    assert f"message {committed} has hash" in refusal(site)


def test_messages_purged_before_they_were_read_are_refused(site: Site) -> None:
    site.fill(500)
    for path in (site.config.data_dir / "state").glob("*.snap"):
        path.unlink()
    site.broker_does(lambda js: js.purge_stream("RAW_0", seq=100))
    found = refusal(site)
    assert "messages 1 to 99 are gone and there is no usable snapshot" in found


def test_a_new_epoch_continues_and_is_recorded(site: Site) -> None:
    site.fill(500)
    stored = len(site.query("SELECT * FROM readings"))
    site.broker_does(lambda js: js.delete_stream("RAW_0"))
    node = site.process()
    node.start()
    assert node.ended() == 1
    assert "re-created" in node.log()
    node.start("--new-epoch", "the broker's disk was replaced")
    node.wait_event("node_started")
    site.publish(300)
    last = site.last()
    node.wait(lambda: node.committed() >= last, "the new stream is stored")
    assert node.drain() == 0
    _, (epoch, reason, found) = site.query("SELECT epoch, reason, found FROM epochs ORDER BY epoch")
    assert (epoch, reason) == (2, "the broker's disk was replaced")
    assert "re-created" in found
    assert len(site.query("SELECT * FROM readings")) > stored
    numbers = [row[0] for row in site.query("SELECT outbox_seq FROM outbox ORDER BY outbox_seq")]
    assert numbers == list(range(1, len(numbers) + 1))
    site.fill(10)


@pytest.mark.parametrize("holder", ["store", "partition"])
def test_a_second_node_is_told_who_holds_store_or_partition(site: Site, holder: str) -> None:
    node = site.process()
    node.start_and_wait()
    second = site.config if holder == "store" else settings(site.directory / "other", site.url)
    with pytest.raises(StoreHeld if holder == "store" else LeaseHeld, match=identity(node.pid)):
        Node(second).start()
    assert node.drain() == 0


@pytest.mark.parametrize("damaged", [1, 2])
def test_a_damaged_snapshot_is_passed_over_loudly(site: Site, damaged: int) -> None:
    """The older one takes its place, and the stream takes theirs."""
    node = site.process()
    node.start_and_wait()
    with Producer(site.url, site.plant, rate_hz=RATE_HZ) as producer:
        node.wait(lambda: len(node.events("snapshot_written")) > 2, "snapshots")
        node.kill()
        producer.finish()
    files = sorted((site.config.data_dir / "state").glob("*.snap"), key=lambda path: int(path.stem))
    for path in files[-damaged:]:
        flip(path, random.Random(damaged))
    left = [0, *(int(path.stem) for path in files[:-damaged])]
    node.start()
    found = node.wait_event("resuming")
    assert len(node.events("snapshot_unusable")) == damaged
    assert found["start"] == left[-1] + 1
    assert node.drain() == 0
    assert verdict(site.config, site.url, site.plant.outcomes, site.directory).findings == []


def flip(path: Path, chance: random.Random) -> None:
    """Turn one bit."""
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def test_a_node_that_was_frozen_longer_than_its_lease_writes_nothing_more(site: Site) -> None:
    """Another node takes the partition over meanwhile, with a store of its own, and misses nothing."""
    frozen, other = site.process("frozen"), settings(site.directory / "other", site.url)
    frozen.start()
    frozen.wait_event("node_started")
    with Producer(site.url, site.plant, rate_hz=RATE_HZ) as producer:
        frozen.wait(lambda: frozen.committed() > 1000, "1000 messages")
        os.kill(frozen.pid, signal.SIGSTOP)
        last = stream_counts(site.url, "RAW_0")[0]
        successor = site.process("successor", other)
        wait_until(lambda: takes_over(successor), "the lease expires")
        os.kill(frozen.pid, signal.SIGCONT)
        assert frozen.ended() == 1
        assert identity(successor.pid) in frozen.log()
        producer.finish()
    assert successor.drain() == 0
    assert stored_through(site.config) <= last, "the commit that was under way may end, no other may begin"
    assert verdict(other, site.url, site.plant.outcomes, site.directory).findings == []


def stored_through(config: Config) -> int:
    """The last message whose rows a stopped node's store holds."""
    with Database.read_only(config.data_dir, config.store) as database, database.cursor() as cursor:
        position = read_position(cursor)
    return 0 if position is None else position.seq


def takes_over(node: NodeProcess) -> bool:
    """Start it, again if it was refused."""
    if not node.running:
        node.start()
    wait_until(lambda: not node.running or bool(node.events("node_started")), "it starts or is refused")
    return node.running


def test_a_full_disk_is_refused_and_left_unaided(site: Site, small_disk: Path, record_property: Figures) -> None:
    config = settings(small_disk / "data", site.url)
    node, ballast = site.process(config=config), small_disk / "ballast"
    node.start_and_wait()
    with Producer(site.url, site.plant, rate_hz=RATE_HZ) as producer:
        node.wait(lambda: node.committed() > 1000, "1000 messages")
        begin = time.monotonic()
        fill_up(ballast)
        node.wait(lambda: "store" in unready(config), "the node says that its disk is full")
        refused_s = time.monotonic() - begin
        ballast.unlink()
        last = site.last()
        begin = time.monotonic()
        node.wait(lambda: node.committed() >= last, "it goes on")
        resumed_s = time.monotonic() - begin
        producer.finish()
    assert node.drain() == 0
    record_property("figures", f"full disk: refused after {refused_s:.2f} s, resumed after {resumed_s:.2f} s")
    assert verdict(config, site.url, site.plant.outcomes, site.directory).findings == []


def unready(config: Config) -> str:
    """What /readyz says is wrong; empty if nothing."""
    found = NodeFile.of_running_node(config.data_dir)
    if found is None:
        return ""
    try:
        with urllib.request.urlopen(f"{found.http}/readyz", timeout=5):
            return ""
    except urllib.error.HTTPError as error:
        return error.read().decode()


def test_a_full_stream_makes_its_producer_wait_and_loses_nothing(site: Site) -> None:
    """Without a node the stream fills up and refuses; a node that comes back makes room by itself."""
    config = settings(site.directory / "data", site.url, stream={"max_bytes": 1 << 20, "purge_fill": 0.5})
    with running(Node(config)):
        pass
    node = site.process(config=config)
    with Producer(site.url, site.plant, rate_hz=1e6) as producer:
        wait_until(lambda: producer.retries > 0, "the broker refuses")
        node.start()
        full = producer.published
        node.wait(lambda: producer.published > full + 10_000, "the producer goes on")
        producer.finish()
    last = site.last()
    node.wait(lambda: node.committed() >= last, "all is stored")
    assert node.drain() == 0
    found, planned = Stored.of(config), site.plant.outcomes
    assert (found.readings == planned.stored, found.late == planned.late, found.dead == planned.dead) == (True,) * 3


def test_a_stream_purged_to_its_end_is_recognised_at_the_next_start(site: Site) -> None:
    """The message at the store's position stays, whatever is purged: a node that ends right then starts again."""
    config = settings(site.directory / "data", site.url, stream={"max_bytes": 1 << 20, "purge_fill": 0.5})
    with running(Node(config, harness=QUIET)):
        pass
    with Producer(site.url, site.plant, rate_hz=1e6) as producer:
        wait_until(lambda: producer.retries > 0, "the broker refuses")
        producer.give_up()
    last = site.last()
    with running(Node(config, harness=QUIET)):
        wait_until(lambda: site.first() >= last, "all but the last message is purged")
    with running(Node(config, harness=QUIET)) as node:
        assert node.writer.position.seq == last
