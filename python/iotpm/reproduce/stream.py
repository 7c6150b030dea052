"""The slice of the RAW stream between a state and an anomaly, read from the broker that holds it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from iotpm import streams, subjects
from iotpm.errors import BrokerError

from .find import CannotReproduce, Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

    from iotpm.config import Nats

BATCH: Final = 1_000
TIMEOUT_S: Final = 10.0
OLD_ACK_TOKENS: Final = 9
"""Parts of an ack subject without domain; newer ones have more, and two before what both have (ADR-15)."""
IDLE_S: Final = 60.0
"""After so long the broker forgets the reader."""


@dataclass(slots=True)
class Slice:
    """Messages as the engine takes them; all lists have the same length."""

    subjects: list[str]
    payloads: list[bytes]
    sequences: list[int]
    stored_us: list[int]
    content_types: list[str | None]
    message_ids: list[str | None]
    virtual_times_us: list[int | None]

    def only(self, places: list[int]) -> Slice:
        """The messages at these places."""
        columns = [getattr(self, field.name) for field in fields(self)]
        return Slice(*([column[at] for at in places] for column in columns))


@dataclass(slots=True)
class StreamReader:
    """A stream that still holds what is needed."""

    runner: asyncio.Runner
    js: JetStreamContext
    facts: Facts
    raw_prefix: str

    def slices(self, start_seq: int) -> Iterator[Slice]:
        """Messages after `start_seq` up to the anomaly's last one, in order."""
        fetch = self.runner.run(_fetcher(self.js, self.facts.stream, start_seq + 1))
        at = start_seq
        while at < self.facts.last_seq:
            messages = self.runner.run(fetch())
            if not messages:
                raise BrokerError(f"stream {self.facts.stream}: nothing came after message {at} in {TIMEOUT_S:g} s")
            at = messages[-1].metadata.sequence.stream
            yield _slice([m for m in messages if m.metadata.sequence.stream <= self.facts.last_seq])


@contextmanager
def stream_reader(facts: Facts, settings: Nats | None) -> Iterator[StreamReader]:
    """Connect to the running node's broker, to `settings.url`, or start the stopped node's own for as long as it takes.

    Raises:
        CannotReproduce: there is no broker to ask, or its stream no longer has the slice; says what is missing.
        BrokerError, StoreHeld: the broker cannot be started or reached.
    """
    with ExitStack() as opened:
        connected = _broker(facts, settings, opened)
        runner = opened.enter_context(asyncio.Runner())
        client = runner.run(streams.connect(connected, name="iotpm-replay"))
        opened.callback(lambda: runner.run(client.close()))
        js = client.jetstream(timeout=TIMEOUT_S)
        found = runner.run(streams.stream_facts(js, facts.stream))
        _check(facts, found)
        info = runner.run(js.stream_info(facts.stream))
        yield StreamReader(runner, js, facts, _raw_prefix(info.config.subjects or []))


def _broker(facts: Facts, settings: Nats | None, opened: ExitStack) -> Nats:
    from iotpm.broker import Broker
    from iotpm.config import Nats
    from iotpm.store.lock import DirectoryLock

    if facts.node is not None:
        return Nats(url=facts.node.url, **facts.node.connection)  # type: ignore[arg-type]
    if settings is not None and settings.url:
        return settings
    if not (facts.data_dir / "broker").is_dir():
        raise CannotReproduce(
            f"{facts.data_dir} has no broker of its own, and none is named: --config with [nats] url says where "
            f"stream {facts.stream} is"
        )
    # The lock keeps a node from starting its broker on the same files.
    opened.enter_context(DirectoryLock(facts.data_dir))
    broker = Broker(facts.data_dir / "broker")
    opened.callback(broker.stop)
    return Nats(url=broker.start().url)


def _check(facts: Facts, found: streams.StreamFacts) -> None:
    start = (facts.start_seq or 0) + 1
    if facts.created_us is not None and found.created_us != facts.created_us:
        raise CannotReproduce(f"stream {found.name} was re-created since: the messages of this store are gone")
    if found.last_seq < facts.last_seq:
        raise CannotReproduce(f"stream {found.name} ends at message {found.last_seq}, needed is up to {facts.last_seq}")
    if found.first_seq > start:
        raise CannotReproduce(
            f"messages {start} to {found.first_seq - 1} are purged from stream {found.name}, and the newest usable "
            f"state before the anomaly is {facts.start}"
        )


def _raw_prefix(patterns: list[str]) -> str:
    for pattern in patterns:
        prefix = pattern.removesuffix(".>")
        if prefix != pattern and prefix.split(".")[-1] == "raw":
            return prefix
    return f"{subjects.ROOT}.raw"


async def _fetcher(js: JetStreamContext, stream: str, first: int) -> Callable[[], Coroutine[Any, Any, list[Msg]]]:
    from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=first,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=IDLE_S,
        mem_storage=True,
    )
    reader = await js.pull_subscribe("", stream=stream, config=config)

    return lambda: reader.fetch(BATCH, timeout=TIMEOUT_S)


def _slice(messages: list[Msg]) -> Slice:
    headers = [message.headers or {} for message in messages]
    times = [header.get(subjects.STREAM_TIME) for header in headers]
    return Slice(
        [message.subject for message in messages],
        [message.data for message in messages],
        [message.metadata.sequence.stream for message in messages],
        [_micros(message) for message in messages],
        [header.get(subjects.CONTENT_TYPE) for header in headers],
        [header.get(subjects.MESSAGE_ID) for header in headers],
        [None if time is None else int(time) for time in times],
    )


def _micros(message: Msg) -> int:
    """When the broker stored it, from its ack subject: a float, as the client's own `timestamp`, has no room for it."""
    tokens = message.reply.split(".")
    return int(tokens[7 if len(tokens) == OLD_ACK_TOKENS else 9]) // 1000
