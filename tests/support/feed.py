"""Messages of every wire format through a real broker and node into a store."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nats
import polars as pl

from iotpm.node.service import Node
from iotpm.store.database import Database
from tests.support.nodes import configuration, running, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotpm.config import Config

T0_US = (int(time.time()) - 3600) * 1_000_000
"""An hour ago: neither in the future nor older than what a store keeps."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a producer publishes; without a content type the node looks at the first bytes."""

    subject: str
    payload: bytes
    content_type: str | None = None


def at(second: float) -> int:
    """Microseconds of a second of these tests."""
    return T0_US + round(second * 1_000_000)


def reading(second: float, value: float, **keys: Any) -> bytes:
    """A JSON reading."""
    return json.dumps({"timestamp": at(second), "value": value, **keys}).encode()


def arrow(rows: Mapping[str, Sequence[Any]]) -> bytes:
    """An Arrow IPC stream."""
    out = io.BytesIO()
    pl.DataFrame(dict(rows)).write_ipc_stream(out)
    return out.getvalue()


def waveform(
    samples: Sequence[float],
    *,
    start_us: int,
    rate_hz: float,
    name: str = "",
    unit: str = "",
    scale: float | None = None,
) -> bytes:
    """A frame of f32 samples, or of i16 ones if there is a scale."""
    texts = name.encode() + unit.encode()
    head = struct.pack(
        "<4sBBHqdddIHH", b"IPMW", 1, int(scale is not None), 0, start_us, rate_hz, scale or 1.0, 0.0, len(samples),
        len(name.encode()), len(unit.encode()),
    )  # fmt: skip
    padding = b"\0" * (-len(texts) % 4)
    kind = "f" if scale is None else "h"
    values = samples if scale is None else [round(sample / scale) for sample in samples]
    return head + texts + padding + struct.pack(f"<{len(samples)}{kind}", *values)


def send(url: str, messages: Iterable[Message]) -> list[int]:
    """Publish in order; the stream's sequences."""

    async def publish() -> list[int]:
        client = await nats.connect(url)
        try:
            js = client.jetstream()
            kinds = [{"Content-Type": m.content_type} if m.content_type else None for m in ordered]
            return [
                (await js.publish(m.subject, m.payload, headers=k)).seq for m, k in zip(ordered, kinds, strict=True)
            ]
        finally:
            await client.close()

    ordered = list(messages)
    return asyncio.run(publish())


@dataclass(frozen=True, slots=True)
class Session:
    """A drained node's store and the sequences of what was sent."""

    config: Config
    sequences: list[int]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Answer of the store."""
        with Database.read_only(self.config.data_dir, self.config.store) as database, database.cursor() as cursor:
            return cursor.execute(sql).fetchall()

    def readings(self) -> list[tuple[str, int, float]]:
        """(signal, event time, value), in the order of the stream."""
        return self.rows(
            """SELECT s.name, epoch_us(r.ts), r.value FROM readings r JOIN signals s ON s.id = r.signal
               ORDER BY r.seq, r.ts"""
        )

    def dead(self) -> list[tuple[int, int, str, bytes]]:
        """(sequence, position, reason, payload) of the dead letters."""
        return self.rows("SELECT seq, position, reason, payload FROM dead_letters ORDER BY seq, position")


def through(
    directory: Path,
    url: str,
    messages: Iterable[Message],
    templates: list[dict[str, Any]] | None = None,
    **sections: Any,
) -> Session:
    """Run a node over messages and drain it."""
    config = configuration(directory / "data", url, templates, **sections)
    node = Node(config)
    with running(node):
        sequences = send(url, messages)
        await_committed(node, sequences[-1])
    return Session(config, sequences)


def await_committed(node: Node, sequence: int) -> None:
    """Wait until the node has stored a message."""
    wait_until(lambda: node.writer.position.seq >= sequence, f"message {sequence} committed")
