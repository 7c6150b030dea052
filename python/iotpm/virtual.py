"""Messages of a stream with virtual time: what simulator and replay publish, live or embedded, from one generator.

Subjects and headers are those of `docs/interfaces.md`: raw data on `iotpm.<name>.raw.<site>.<asset>`, ticks on
`iotpm.tick.<name>`, control on `iotpm.ctl.<name>.<kind>`; the stream time of each travels in the header `Iotpm-Time`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from .subjects import END, Names, live

if TYPE_CHECKING:
    from ._core import Output

EMBEDDED: Final = live()
"""Names that `iotpm.Engine` understands; payloads and rows are those of a stream of any other name."""

RAW_BATCH: Final = 5_000
"""Messages that `rebatched` joins."""


@dataclass(slots=True)
class Messages:
    """Messages in order; all lists have the same length."""

    subjects: list[str] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    stream_times_us: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    """Readings in each message."""

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def readings(self) -> int:
        """Readings in all messages."""
        return sum(self.counts)

    def add(self, subject: str, payload: bytes, stream_time_us: int, readings: int = 0) -> None:
        """Appends one message."""
        self.subjects.append(subject)
        self.payloads.append(payload)
        self.stream_times_us.append(stream_time_us)
        self.counts.append(readings)

    def extend(self, other: Messages) -> None:
        """Appends all messages of `other`."""
        self.subjects += other.subjects
        self.payloads += other.payloads
        self.stream_times_us += other.stream_times_us
        self.counts += other.counts

    def slice(self, begin: int, end: int) -> Messages:
        """Messages [begin, end)."""
        counts = self.counts[begin:end]
        return Messages(self.subjects[begin:end], self.payloads[begin:end], self.stream_times_us[begin:end], counts)

    def tick(self, names: Names, stream_time_us: int) -> None:
        """Appends a tick."""
        self.add(names.tick, b"", stream_time_us)

    def end(self, names: Names, stream_time_us: int) -> None:
        """Appends the control message that ends the series."""
        self.add(names.control(END), b"", stream_time_us)


def rebatched(batches: Iterable[Messages], size: int = RAW_BATCH) -> Iterator[Messages]:
    """The same messages in the same order, joined into batches of at least `size` messages (the last may be less)."""
    joined = Messages()
    for batch in batches:
        joined.extend(batch)
        if len(joined) >= size:
            yield joined
            joined = Messages()
    if len(joined):
        yield joined


class PublisherLike(Protocol):
    """What is used of `iotpm._core.Publisher`."""

    def publish_many(
        self,
        subjects: list[str],
        payloads: list[bytes],
        content_type: str | None = None,
        stream_times_us: list[int] | None = None,
        msg_ids: list[str] | None = None,
    ) -> Any:
        """Publishes within the ack window; raises with the broker's refusal."""

    def flush(self) -> Any:
        """Returns when every message is acknowledged; raises with the refusal otherwise."""


def publish(publisher: PublisherLike, messages: Messages) -> None:
    """Publishes `messages` with their stream times. Raises what the publisher raises."""
    publisher.publish_many(messages.subjects, messages.payloads, stream_times_us=messages.stream_times_us)


class EngineLike(Protocol):
    """What is used of `iotpm.Engine`."""

    def push_messages(
        self,
        subjects: list[str],
        payloads: list[bytes],
        sequences: list[int],
        stored_us: list[int],
        content_types: list[str | None] | None = None,
        message_ids: list[str | None] | None = None,
        virtual_times_us: list[int | None] | None = None,
    ) -> Output:
        """Runs messages as a node would."""


def run_embedded(
    engine: EngineLike, batches: Iterable[Messages], first_sequence: int = 1
) -> Iterator[tuple[Messages, Output]]:
    """Runs messages (of `EMBEDDED` names) through an engine, numbered as a fresh stream would number them."""
    sequence = first_sequence
    for batch in batches:
        numbers = list(range(sequence, sequence + len(batch)))
        sequence += len(batch)
        times = batch.stream_times_us
        yield batch, engine.push_messages(batch.subjects, batch.payloads, numbers, times)
