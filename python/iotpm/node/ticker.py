"""Tells the stream once a second what time it is, and notices a stream that takes nothing any more.

After a write that found the disk full, nats-server leaves its stream as it is until it is started again: it answers all
questions and no publisher, also when there is room again. Ticks are acknowledged, so their silence shows it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import nats.errors
import structlog
from nats.js.errors import APIError

from iotpm import streams

if TYPE_CHECKING:
    from iotpm.node.control import ControlPlane
    from iotpm.node.keeper import BrokerKeeper
    from iotpm.subjects import Names

log = structlog.get_logger(__name__)

ANSWER_S = 1.0
"""Time for an acknowledgement."""
SILENT_TICKS = 3
"""Ticks in a row without one after which the stream counts as stuck."""
ROOM_BYTES = 4 << 20
"""Free bytes below which starting the broker again would help for a moment only."""
RESTART_S = 20.0
"""Least time between two such starts."""


class Ticker:
    """Ticks through the control plane; its reports go to `note`: a problem, or None once there is none.

    Args:
        control: where requests are made.
        names: the partition's streams and subjects.
        data_dir: on the disk of the embedded broker.
        keeper: of the embedded broker, if there is one.
        note: takes what is wrong with the stream.
    """

    def __init__(
        self,
        control: ControlPlane,
        names: Names,
        data_dir: Path,
        keeper: BrokerKeeper | None,
        note: Callable[[str | None], None],
    ) -> None:
        self._control = control
        self._names = names
        self._data_dir = data_dir
        self._keeper = keeper
        self._note = note
        self._silent = 0
        self._next_restart = 0.0

    async def tick(self) -> None:
        """One tick. Not while the link is down: the client would keep it and send it when it is no longer true."""
        if not self._control.client.is_connected:
            return
        try:
            await self._control.js.publish(self._names.tick, b"", timeout=ANSWER_S)
        except APIError as error:
            self._silent = 0
            self._note(f"{self._names.raw_stream} refuses messages: {error.description}")
        except nats.errors.TimeoutError:
            self._silent += 1
            await self._judge()
        else:
            self._silent = 0
            self._note(None)

    async def _judge(self) -> None:
        """A broker that answers questions but takes no message is stuck; one that is silent is not judged here."""
        if self._silent < SILENT_TICKS:
            return
        facts = await streams.stream_facts(self._control.js, self._names.raw_stream)
        self._note(
            f"{facts.name} takes no message since {facts.last_seq}, as after a full disk: "
            + ("its broker is started again as soon as there is room" if self._keeper else "start its broker again")
        )
        self._start_again()

    def _start_again(self) -> None:
        disk = os.statvfs(self._data_dir)
        has_room = disk.f_bavail * disk.f_frsize >= ROOM_BYTES
        if self._keeper is None or not has_room or time.monotonic() < self._next_restart:
            return
        self._next_restart = time.monotonic() + RESTART_S
        self._silent = 0
        log.error("broker_stuck", stream=self._names.raw_stream, next="it is started again")
        self._keeper.start_again()
