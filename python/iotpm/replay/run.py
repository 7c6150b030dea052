"""A source through a stream, or straight into an engine: the same messages both ways."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .. import subjects
from ..virtual import EMBEDDED, EngineLike, Messages, PublisherLike, publish, rebatched, run_embedded
from .messages import replay_messages
from .source import Source

if TYPE_CHECKING:
    from .._core import Output

_LONGEST_SLEEP_S: Final = 0.25


@dataclass(slots=True)
class Progress:
    """How far a replay is."""

    messages: int = 0
    readings: int = 0
    stream_time_us: int = 0

    def add(self, batch: Messages) -> None:
        """Counts a batch that went out."""
        self.messages += len(batch)
        self.readings += batch.readings
        self.stream_time_us = batch.stream_times_us[-1]


@dataclass(slots=True)
class Pacer:
    """Keeps stream time at `speed` times wall time; `clock` and `sleep` are those of `time`, or a test's."""

    speed: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _anchor: tuple[int, float] | None = None

    def reanchor(self) -> None:
        """The next message is due at once: a new file has begun."""
        self._anchor = None

    def due_us(self, stream_time_us: int) -> int:
        """Stream time up to which messages are due now; waits for that of `stream_time_us`."""
        if self._anchor is None:
            self._anchor = (stream_time_us, self.clock())
        first_us, began = self._anchor
        while (now_us := first_us + int((self.clock() - began) * self.speed * 1e6)) < stream_time_us:
            self.sleep(min(_LONGEST_SLEEP_S, (stream_time_us - now_us) / 1e6 / self.speed))
        return now_us


def replay_stream(
    source: Source,
    publisher: PublisherLike,
    name: str,
    speed: float | None = None,
    start_us: int | None = None,
    *,
    idle_timeout_s: float = 0.0,
    pacer: Pacer | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Publishes a source to the virtual stream `name`; returns when the broker has acknowledged everything.

    `speed` is stream time over wall time (60.0 for `60x`), None for as fast as it goes; each file starts at once.
    Rows before `start_us` are left out. Raises SourceError for what cannot be read, ValueError for a speed that is not
    above 0, and what the publisher raises.
    """
    if speed is not None and not speed > 0:
        raise ValueError(f"speed {speed}: must be above 0, or None for as fast as it goes")
    batches = rebatched(replay_messages(source, subjects.replay(name), start_us, idle_timeout_s))
    if speed is not None:
        batches = _paced(batches, pacer or Pacer(speed), subjects.replay(name).control(subjects.END))
    done = Progress()
    for batch in batches:
        publish(publisher, batch)
        done.add(batch)
        if progress is not None:
            progress(done)
    publisher.flush()
    return done


def _paced(batches: Iterator[Messages], pacer: Pacer, end_subject: str) -> Iterator[Messages]:
    """Cuts batches into what is due at once, and waits in between."""
    for batch in batches:
        begin = 0
        while begin < len(batch):
            due_us, end = pacer.due_us(batch.stream_times_us[begin]), begin
            while end < len(batch) and batch.stream_times_us[end] <= due_us:
                end += 1
                if batch.subjects[end - 1] == end_subject:
                    pacer.reanchor()
                    break
            yield batch.slice(begin, end)
            begin = end


def replay_engine(
    source: Source, engine: EngineLike, start_us: int | None = None, *, idle_timeout_s: float = 0.0
) -> Iterator[tuple[Messages, Output]]:
    """Runs a source through a fresh `iotpm.Engine`, a batch at a time: what went in, and what it caused.

    The rows are those of a node that reads the replay's stream. Raises SourceError for what cannot be read.
    """
    return run_embedded(engine, rebatched(replay_messages(source, EMBEDDED, start_us, idle_timeout_s)))


def parse_speed(text: str) -> float | None:
    """`max` is None; `60x`, `1x` or `2.5` are times. Raises ValueError for anything else."""
    if text.strip().lower() == "max":
        return None
    try:
        speed = float(text.strip().lower().removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ValueError(f"speed {text!r}: must be max, or a number above 0 such as 1x or 60x")
    return speed
