"""The data plane, the publisher and the load generator against a real nats-server."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import nats
import polars as pl
import pytest

from iotpm import _core
from iotpm.broker import Broker
from iotpm.errors import ConfigError, PublishRefused, ResumeRefused, SnapshotError, StreamMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMIT_S = 60.0
START_US = 1_767_323_045_000_000


class Server:
    """A broker and what a test asks of it."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    @property
    def connection(self) -> str:
        return json.dumps({"url": self.broker.url})

    def api(self, subject: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = asyncio.run(self._request(f"$JS.API.{subject}", json.dumps(payload or {})))
        assert "error" not in answer, answer
        return answer

    async def _request(self, subject: str, payload: str) -> dict[str, Any]:
        client = await nats.connect(self.broker.url)
        try:
            return dict(json.loads((await client.request(subject, payload.encode(), timeout=10)).data))
        finally:
            await client.close()

    def create(self, name: str, subjects: list[str], **config: Any) -> None:
        base = {"name": name, "subjects": subjects, "storage": "file", "discard": "new", "allow_batched": True}
        self.api(f"STREAM.CREATE.{name}", base | config)

    def create_both(self) -> None:
        self.create("RAW_0", ["iotpm.raw.>", "iotpm.tick.0", "iotpm.ctl.0.*"])
        self.create("ANOMALY_0", ["iotpm.anomaly.>"])

    def state(self, name: str) -> dict[str, Any]:
        return dict(self.api(f"STREAM.INFO.{name}")["state"])

    def fill(self, messages: int, **options: Any) -> dict[str, Any]:
        options = {"signals": 100, "assets": 10, "start_us": START_US} | options
        return dict(_core.LoadGenerator(self.connection, json.dumps(options)).run(messages=messages))

    def plane(self, snapshot: bytes | None = None, **options: Any) -> _core.DataPlane:
        base = {"url": self.broker.url, "raw_stream": "RAW_0", "anomaly_stream": "ANOMALY_0"}
        return _core.DataPlane(json.dumps(base | options), snapshot)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Broker(tmp_path) as broker:
        yield Server(broker)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {LIMIT_S} s"
        time.sleep(0.005)


def next_chunk(plane: _core.DataPlane) -> _core.Chunk:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        chunk = plane.next_chunk(200)
        if chunk is not None:
            return chunk
    raise AssertionError(f"no chunk within {LIMIT_S} s: {plane.stats()}")


class Reader:
    """Commits chunks and checks that each continues where the one before ended."""

    def __init__(self, plane: _core.DataPlane, position: int = 0) -> None:
        self.plane = plane
        self.position = position
        self.sequences: list[int] = []

    def take(self) -> _core.Chunk:
        chunk = next_chunk(self.plane)
        assert chunk.first_seq > self.position
        self.position = chunk.last_seq
        self.sequences += pl.DataFrame(chunk.readings)["seq"].to_list()
        self.plane.committed(chunk)
        return chunk

    def take_through(self, sequence: int) -> None:
        while self.position < sequence:
            self.take()


def drained(plane: _core.DataPlane, reader: Reader) -> None:
    plane.drain()
    while not plane.finished:
        chunk = plane.next_chunk(200)
        if chunk is not None:
            reader.position = chunk.last_seq
            reader.sequences += pl.DataFrame(chunk.readings)["seq"].to_list()
            plane.committed(chunk)


def test_100_000_messages_arrive_once_and_in_order(server: Server) -> None:
    server.create_both()
    report = server.fill(100_000)
    assert report["acknowledged"] == 100_000
    plane = server.plane()
    plane.start()
    reader = Reader(plane)
    reader.take_through(100_000)
    assert reader.sequences == list(range(1, 100_001))
    stats = plane.stats()
    assert (stats["messages"], stats["consumers_recreated"], stats["committed_sequence"]) == (100_000, 0, 100_000)
    wait_until(lambda: plane.stats()["lag"] == 0, "no lag")
    plane.stop()
    assert server.state("RAW_0")["consumer_count"] == 0


def test_a_killed_server_costs_nothing(server: Server) -> None:
    server.create_both()
    server.fill(100_000)
    plane = server.plane(chunk_max_messages=1_000)
    plane.start()
    reader = Reader(plane)
    reader.take_through(5_000)
    server.broker.kill()
    server.broker.start()
    reader.take_through(100_000)
    plane.stop()
    assert reader.sequences == list(range(1, 100_001))


def test_a_deleted_consumer_is_made_again_behind_the_last_message(server: Server) -> None:
    server.create_both()
    server.fill(100_000)
    plane = server.plane(chunk_max_messages=1_000)
    plane.start()
    reader = Reader(plane)
    reader.take_through(3_000)
    (name,) = server.api("CONSUMER.NAMES.RAW_0")["consumers"]
    server.api(f"CONSUMER.DELETE.RAW_0.{name}")
    reader.take_through(100_000)
    assert reader.sequences == list(range(1, 100_001))
    assert plane.stats()["consumers_recreated"] >= 1
    plane.stop()


def test_a_message_out_of_place_is_not_accepted(server: Server) -> None:
    """One that does not continue the consumer's sequence: the consumer is made again, nothing is lost or doubled."""
    server.create_both()
    plane = server.plane()

    async def forge() -> None:
        client = await nats.connect(server.broker.url)
        pulls = await client.subscribe("$JS.API.CONSUMER.MSG.NEXT.RAW_0.>")
        await client.flush()
        await asyncio.to_thread(plane.start)
        inbox = (await pulls.next_msg(timeout=LIMIT_S)).reply
        await client.publish(inbox, b'{"sensor_id":"x","metric":"forged","value":1}')
        await client.close()

    asyncio.run(forge())
    wait_until(lambda: plane.stats()["sequence_gaps"] == 1, "the gap is counted")
    server.fill(1_000)
    reader = Reader(plane)
    reader.take_through(1_000)
    assert reader.sequences == list(range(1, 1_001))
    plane.stop()


def test_messages_deleted_one_by_one_are_no_loss(server: Server) -> None:
    server.create_both()
    server.fill(2_000)
    for sequence in (500, 501, 1_500):
        server.api("STREAM.MSG.DELETE.RAW_0", {"seq": sequence})
    plane = server.plane()
    plane.start()
    reader = Reader(plane)
    reader.take_through(2_000)
    plane.stop()
    assert reader.sequences == [s for s in range(1, 2_001) if s not in (500, 501, 1_500)]


def test_messages_purged_before_they_were_read_end_the_plane(server: Server) -> None:
    server.create_both()
    server.fill(100_000)
    plane = server.plane(chunk_max_messages=1_000)
    plane.start()
    reader = Reader(plane)
    reader.take()
    server.api("STREAM.PURGE.RAW_0", {"seq": 90_000})
    with pytest.raises(ResumeRefused, match="no longer holds messages"):
        reader.take_through(100_000)
    plane.stop()
    assert reader.sequences == list(range(1, reader.position + 1))


def test_a_start_behind_the_first_message_is_refused(server: Server) -> None:
    server.create_both()
    server.fill(100)
    server.api("STREAM.PURGE.RAW_0", {"seq": 51})
    plane = server.plane(start_sequence=50)
    plane.start()
    with pytest.raises(ResumeRefused, match="no longer holds messages 50 to 50"):
        next_chunk(plane)


def test_a_start_beyond_the_last_message_is_refused(server: Server) -> None:
    server.create_both()
    server.fill(100)
    plane = server.plane(start_sequence=102)
    plane.start()
    with pytest.raises(ResumeRefused, match="last sequence is 100, but 101 was already read"):
        next_chunk(plane)


def test_a_recreated_stream_ends_the_plane(server: Server) -> None:
    server.create_both()
    server.fill(100)
    plane = server.plane()
    plane.start()
    Reader(plane).take_through(100)
    server.api("STREAM.DELETE.RAW_0")
    server.create("RAW_0", ["iotpm.raw.>"])
    with pytest.raises(ResumeRefused, match="re-created"):
        next_chunk(plane)


def test_a_deleted_stream_ends_the_plane(server: Server) -> None:
    server.create_both()
    plane = server.plane()
    plane.start()
    server.api("STREAM.DELETE.RAW_0")
    with pytest.raises(StreamMismatch, match="RAW_0 does not exist"):
        next_chunk(plane)


def test_start_names_what_is_missing(server: Server) -> None:
    with pytest.raises(StreamMismatch, match="RAW_0 does not exist"):
        server.plane().start()
    with pytest.raises(ConfigError, match="chunk_ages"):
        server.plane(chunk_ages=1)


def test_a_drain_hands_over_what_was_pulled_and_the_next_start_continues(server: Server) -> None:
    server.create_both()
    server.fill(50_000)
    plane = server.plane(chunk_max_messages=500)
    plane.start()
    reader = Reader(plane)
    reader.take()
    drained(plane, reader)
    assert plane.flush_outbox(1_000)
    assert plane.next_chunk(0) is None
    sequence, snapshot = plane.snapshot_now()
    plane.stop()
    assert sequence == reader.position < 50_000
    plane = server.plane(snapshot, start_sequence=sequence + 1)
    plane.start()
    rest = Reader(plane, sequence)
    rest.take_through(50_000)
    plane.stop()
    assert reader.sequences + rest.sequences == list(range(1, 50_001))


def test_a_requested_snapshot_comes_with_a_chunk(server: Server, tmp_path: Path) -> None:
    server.create_both()
    plane = server.plane()
    plane.start()
    plane.request_snapshot()
    server.fill(100)
    reader = Reader(plane)
    chunk = reader.take()
    path = tmp_path / "state"
    assert chunk.snapshot_span == (chunk.last_seq, chunk.last_seq)
    assert chunk.write_snapshot(path) == path.stat().st_size
    snapshot = path.read_bytes()
    with pytest.raises(SnapshotError, match="nowhere"):
        chunk.write_snapshot(tmp_path / "nowhere" / "state")
    reader.take_through(100)
    plane.stop()
    again = server.plane(snapshot, start_sequence=chunk.last_seq + 1)
    again.start()
    assert again.snapshot_now()[0] == chunk.last_seq
    again.stop()


def test_backpressure_holds_the_reader_and_loses_nothing(server: Server) -> None:
    server.create_both()
    server.fill(100_000)
    plane = server.plane(chunk_max_messages=1_000)
    plane.start()
    wait_until(lambda: plane.stats()["backpressure"] > 0, "the chunk is full")
    assert plane.stats()["growing_messages"] == 1_000
    reader = Reader(plane)
    reader.take_through(100_000)
    plane.stop()
    assert reader.sequences == list(range(1, 100_001))


def outbox(first: int, last: int) -> list[tuple[int, str, str, int]]:
    return [(n, "iotpm.anomaly.site.asset", json.dumps({"n": n}), START_US) for n in range(first, last + 1)]


def published(server: Server) -> list[tuple[int, int, int]]:
    """(stream sequence, Iotpm-Outbox-Seq, number in the payload) of every event."""

    async def read() -> list[tuple[int, int, int]]:
        client = await nats.connect(server.broker.url)
        js = client.jetstream()
        info = await js.stream_info("ANOMALY_0")
        rows = []
        for sequence in range(info.state.first_seq, info.state.last_seq + 1):
            message = await js.get_msg("ANOMALY_0", sequence)
            assert message.headers is not None
            assert message.data is not None
            rows.append((sequence, int(message.headers["Iotpm-Outbox-Seq"]), json.loads(message.data)["n"]))
        await client.close()
        return rows

    return asyncio.run(read())


def test_the_outbox_continues_where_the_stream_ends(server: Server) -> None:
    server.create_both()
    plane = server.plane()
    plane.start()
    assert plane.last_published_outbox_seq() == 0
    plane.publish_outbox(outbox(1, 1_000))
    assert plane.flush_outbox(30_000)
    plane.stop()
    plane = server.plane()
    plane.start()
    assert plane.last_published_outbox_seq() == 1_000
    plane.publish_outbox(outbox(900, 1_500))
    assert plane.flush_outbox(30_000)
    stats = plane.stats()
    plane.stop()
    assert (stats["outbox_published"], stats["outbox_already_published"]) == (500, 101)
    assert published(server) == [(n, n, n) for n in range(1, 1_501)]


def test_a_new_anomaly_stream_takes_over_the_numbers(server: Server) -> None:
    server.create_both()
    plane = server.plane()
    plane.start()
    plane.publish_outbox(outbox(501, 510))
    assert plane.flush_outbox(30_000)
    plane.stop()
    assert published(server) == [(n, n, n) for n in range(501, 511)]


def publish_and_look(plane: _core.DataPlane, first: int, last: int) -> None:
    """What the broker refuses surfaces from the next call, whichever that is."""
    plane.publish_outbox(outbox(first, last))
    next_chunk(plane)


def test_a_hole_in_the_outbox_is_refused(server: Server) -> None:
    server.create_both()
    plane = server.plane()
    plane.start()
    plane.publish_outbox(outbox(1, 3))
    with pytest.raises(StreamMismatch, match="outbox_seq 5 instead of 4"):
        publish_and_look(plane, 5, 6)


def test_another_writer_of_the_anomaly_stream_is_noticed(server: Server) -> None:
    server.create_both()
    first, second = server.plane(), server.plane()
    first.start()
    second.start()
    first.publish_outbox(outbox(1, 10))
    assert first.flush_outbox(30_000)
    with pytest.raises(StreamMismatch, match="this node has not sent"):
        publish_and_look(second, 1, 3)
    first.stop()
    assert published(server) == [(n, n, n) for n in range(1, 11)]


def test_events_survive_kills_of_the_broker(server: Server) -> None:
    server.create_both()
    plane = server.plane()
    plane.start()
    for batch in range(6):
        plane.publish_outbox(outbox(batch * 500 + 1, batch * 500 + 500))
        if batch % 2:
            server.broker.kill()
            server.broker.start()
    assert plane.flush_outbox(60_000), plane.stats()["outbox_last_failure"]
    plane.stop()
    assert published(server) == [(n, n, n) for n in range(1, 3_001)]


def test_stop_ends_a_plane_whose_broker_is_away(server: Server) -> None:
    server.create_both()
    plane = server.plane()
    plane.start()
    server.broker.kill()
    plane.publish_outbox(outbox(1, 10))
    assert not plane.flush_outbox(50)
    plane.drain()
    plane.stop()
    assert plane.finished


def publish(publisher: _core.Publisher, first: int, last: int, size: int = 100) -> None:
    numbers = range(first, last + 1)
    payloads = [json.dumps({"n": n}).encode().ljust(size) for n in numbers]
    publisher.publish_many(["iotpm.raw.s.a"] * len(numbers), payloads)


def stored_numbers(server: Server) -> list[int]:
    async def read() -> list[int]:
        client = await nats.connect(server.broker.url)
        consumer = await client.jetstream().subscribe("iotpm.raw.>", ordered_consumer=True)
        count = (await client.jetstream().stream_info("RAW_0")).state.messages
        numbers = [json.loads((await consumer.next_msg(timeout=10)).data)["n"] for _ in range(count)]
        await client.close()
        return numbers

    return asyncio.run(read())


@pytest.mark.parametrize("batched", [True, False])
def test_a_publisher_stores_everything_once_and_in_order(server: Server, batched: bool) -> None:
    server.create("RAW_0", ["iotpm.raw.>"], allow_batched=batched)
    publisher = _core.Publisher(server.connection, window=4, ack_every=100)
    publish(publisher, 1, 12_345)
    publisher.flush()
    assert publisher.stats()["acknowledged"] == 12_345
    publish(publisher, 12_346, 12_400)
    publisher.close()
    assert stored_numbers(server) == list(range(1, 12_401))


@pytest.mark.parametrize("batched", [True, False])
def test_a_full_stream_refuses_and_a_later_flush_stores_the_rest(server: Server, batched: bool) -> None:
    server.create("RAW_0", ["iotpm.raw.>"], allow_batched=batched, max_bytes=200_000)
    publisher = _core.Publisher(server.connection, window=2, ack_every=100)
    publish(publisher, 1, 1_900)
    with pytest.raises(PublishRefused, match="maximum bytes exceeded"):
        publisher.flush()
    with pytest.raises(PublishRefused):
        publish(publisher, 1_901, 1_902)
    stored = server.state("RAW_0")["last_seq"]
    assert 0 < stored < 1_900
    assert stored_numbers(server) == list(range(1, stored + 1))
    config = server.api("STREAM.INFO.RAW_0")["config"]
    server.api("STREAM.UPDATE.RAW_0", config | {"max_bytes": 2_000_000})
    publisher.flush()
    publisher.close()
    assert sorted(stored_numbers(server)) == list(range(1, 1_901))
    if batched:
        assert stored_numbers(server) == list(range(1, 1_901))


def test_a_publisher_outlives_a_killed_broker(server: Server) -> None:
    """Message ids keep what was in flight from being stored twice."""
    server.create("RAW_0", ["iotpm.raw.>"])
    publisher = _core.Publisher(server.connection)
    for part in range(4):
        numbers = range(part * 1_000 + 1, part * 1_000 + 1_001)
        payloads = [json.dumps({"n": n}).encode() for n in numbers]
        ids = [f"test:1:{n}" for n in numbers]
        publisher.publish_many(["iotpm.raw.s.a"] * 1_000, payloads, msg_ids=ids)
        if part % 2:
            server.broker.kill()
            server.broker.start()
    publisher.flush()
    publisher.close()
    assert stored_numbers(server) == list(range(1, 4_001))


def test_a_subject_that_no_stream_takes_is_refused(server: Server) -> None:
    publisher = _core.Publisher(server.connection)
    publish(publisher, 1, 3)
    with pytest.raises(PublishRefused, match="no stream"):
        publisher.flush()


@pytest.mark.parametrize(("kind", "readings"), [("json", 1), ("json_array", 50), ("arrow", 50)])
def test_generated_readings_are_read_as_generated(server: Server, kind: str, readings: int) -> None:
    server.create_both()
    options = {"format": kind, "readings_per_message": readings, "spike_every": 1_000}
    report = server.fill(20_000 // readings, **options)
    plane = server.plane()
    plane.start()
    rows = []
    last = server.state("RAW_0")["last_seq"]
    position = 0
    while position < last:
        chunk = next_chunk(plane)
        rows.append(pl.DataFrame(chunk.readings))
        assert len(chunk.dead_letters) == 0
        position = chunk.last_seq
        plane.committed(chunk)
    plane.stop()
    table = pl.concat(rows)
    assert table.height == report["readings"] == 20_000
    assert table["signal"].n_unique() == 100
    assert len(report["spikes"]) > 0
    found = {(int(t.timestamp() * 1e6 + 0.5), v) for t, v in zip(table["ts"], table["value"], strict=True)}
    assert len(found) > 19_000


def test_a_paced_load_keeps_its_schedule(server: Server) -> None:
    server.create_both()
    generator = _core.LoadGenerator(server.connection, json.dumps({"rate_hz": 2_000.0, "signals": 10, "assets": 2}))
    report = generator.run(messages=400)
    assert report["acknowledged"] == 400
    assert report["seconds"] >= 0.19
    with pytest.raises(ConfigError, match="give seconds, messages or both"):
        generator.run()


def test_an_idle_plane_notices_a_restart_by_the_connection_not_by_silence(server: Server) -> None:
    server.create_both()
    server.fill(100)
    plane = server.plane()
    plane.start()
    reader = Reader(plane)
    reader.take_through(100)
    server.broker.kill()
    server.broker.start()
    server.fill(100, start_us=START_US + 3_600_000_000)
    reader.take_through(200)
    stats = plane.stats()
    plane.stop()
    assert reader.sequences == list(range(1, 201))
    assert (stats["consumers_recreated"] >= 1, stats["stalls"]) == (True, 0)
