"""Messages of a stream with virtual time: what simulator and replay publish, live or embedded, from one generator.

Subjects and headers are those of `docs/interfaces.md`: raw data on `iotpm.<name>.raw.<site>.<asset>`, ticks on
`iotpm.tick.<name>`, control on `iotpm.ctl.<name>.<kind>`; the stream time of each travels in the header `Iotpm-Time`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from . import subjects

RAW_BATCH: Final = 5_000
"""Messages that `rebatched` joins."""


@dataclass(slots=True)
class Messages:
    """Messages in order; the three lists have the same length."""

    subjects: list[str] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    stream_times_us: list[int] = field(default_factory=list)
    readings: int = 0
    """Readings in these messages."""

    def __len__(self) -> int:
        return len(self.subjects)

    def add(self, subject: str, payload: bytes, stream_time_us: int, readings: int = 0) -> None:
        """Appends one message."""
        self.subjects.append(subject)
        self.payloads.append(payload)
        self.stream_times_us.append(stream_time_us)
        self.readings += readings

    def extend(self, other: Messages) -> None:
        """Appends all messages of `other`."""
        self.subjects += other.subjects
        self.payloads += other.payloads
        self.stream_times_us += other.stream_times_us
        self.readings += other.readings

    def tick(self, name: str, stream_time_us: int) -> None:
        """Appends a tick of the virtual stream `name`."""
        self.add(subjects.replay(name).tick, b"", stream_time_us)

    def end(self, name: str, stream_time_us: int) -> None:
        """Appends the control message that ends the series."""
        self.add(subjects.replay(name).control(subjects.END), b"", stream_time_us)


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
