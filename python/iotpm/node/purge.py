"""Keeps room in the RAW stream: what no snapshot needs any more goes before producers are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from iotpm import streams

if TYPE_CHECKING:
    from iotpm.node.control import ControlPlane
    from iotpm.node.upkeep import SnapshotSchedule
    from iotpm.store.snapshots import Snapshots
    from iotpm.streams import StreamFacts

log = structlog.get_logger(__name__)

STUCK_CHECKS = 3
"""Checks in a row without a new message after which a full stream counts as stuck."""


class StreamRoom:
    """Purges up to the older of the two kept snapshots once the stream is filled to `purge_fill`.

    Until there is room again it asks for snapshots as often as may be. A full stream takes no message, so nothing would
    ever make a newer snapshot of a node that has read it to its end: then, and only then, the newest one is enough.
    """

    def __init__(
        self,
        control: ControlPlane,
        stream: str,
        snapshots: Snapshots,
        schedule: SnapshotSchedule,
        *,
        fill: float,
        committed: Callable[[], int],
    ) -> None:
        self._control = control
        self._stream = stream
        self._snapshots = snapshots
        self._schedule = schedule
        self._fill = fill
        self._committed = committed
        self._last_seq = 0
        self._unchanged = 0

    async def check(self) -> None:
        """Look at the stream; repeated by the control plane."""
        if not self._control.client.is_connected:
            return
        facts = await streams.stream_facts(self._control.js, self._stream)
        self._unchanged = self._unchanged + 1 if facts.last_seq == self._last_seq else 0
        self._last_seq = facts.last_seq
        self._schedule.urgent = facts.fill >= self._fill
        if self._schedule.urgent:
            await self._make_room(facts)

    async def _make_room(self, facts: StreamFacts) -> None:
        through = await asyncio.to_thread(self._purgeable, facts)
        if through is None or through < facts.first_seq:
            return
        log.info("purging", through=through, fill=round(facts.fill, 3))
        await streams.purge_through(self._control.js, self._stream, through)

    def _purgeable(self, facts: StreamFacts) -> int | None:
        committed = self._committed()
        through = self._snapshots.purgeable(committed)
        stuck = self._unchanged >= STUCK_CHECKS and committed == facts.last_seq
        if not stuck or (through is not None and through >= facts.first_seq):
            return through
        newest = self._snapshots.newest(committed)
        if newest is None or newest.seq != committed:
            return None
        log.warning("stream_full", reason="no message gets in: purging what the newest snapshot covers")
        # Message W stays: by it the next start recognises the stream.
        return committed - 1
