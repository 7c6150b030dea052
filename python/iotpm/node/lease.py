"""The partition's lease over a node's life: renewed, taken again after an outage, or lost to another node."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from iotpm import streams
from iotpm.errors import IotpmError, LeaseHeld, LeaseLost

if TYPE_CHECKING:
    from iotpm.node.control import ControlPlane

log = structlog.get_logger(__name__)

RELEASE_S = 1.0


class LeaseKeeper:
    """Holds the lease through the control plane; its requests take turns, so each knows the last one's revision."""

    def __init__(self, control: ControlPlane, partition: str, ttl_s: int) -> None:
        """Take the lease.

        Raises:
            LeaseHeld: another node has the partition; the message says which.
        """
        self._control = control
        self._lost_to: LeaseHeld | None = None
        self._turn = asyncio.Lock()
        self._released = False
        self._lease = control.run(streams.Lease.acquire(control.js, partition, ttl_s=ttl_s))

    @property
    def valid(self) -> bool:
        """Whether this node may write."""
        return self._lease.valid

    def check(self) -> None:
        """The fence of every transaction.

        Raises:
            LeaseHeld: another node took the partition over: this one must end.
            LeaseLost: not renewed in time, for example because the broker is away; it may come back.
        """
        self.raise_if_taken()
        self._lease.check()

    def raise_if_taken(self) -> None:
        """Raise LeaseHeld if another node took the partition over."""
        if self._lost_to is not None:
            raise self._lost_to

    async def renew(self) -> None:
        """Extend the lease, or take it again; called every third of its life."""
        async with self._turn:
            if self._released or self._lost_to is not None or not self._control.client.is_connected:
                return
            try:
                await self._lease.renew()
            except LeaseLost as error:
                log.warning("lease_lost", reason=str(error))
                await self._regain()

    async def _regain(self) -> None:
        try:
            await self._lease.regain()
        except LeaseHeld as error:
            self._lost_to = error
            return
        log.info("lease_regained")

    def release(self) -> None:
        """Give it back if the broker is there; else it expires by itself."""
        if not self._control.client.is_connected:
            return
        try:
            self._control.run(self.give_back(), RELEASE_S)
        except IotpmError as error:
            log.warning("lease_not_released", error=str(error))

    async def give_back(self) -> None:
        """Release it after a renewal that is under way, and before none: one sent later would take it again."""
        async with self._turn:
            self._released = True
            await self._lease.release()
