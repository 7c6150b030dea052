"""The node's slow side: one asyncio thread with the official client for ticks, lease, queries and purges.

Readings never pass through here; they go from the broker to Rust (`iotpm._core.DataPlane`).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import nats.errors
import structlog
import uvloop
from nats.aio.client import Client
from nats.js import JetStreamContext

from iotpm import streams
from iotpm.config import Nats
from iotpm.errors import BrokerError

CLOSE_S = 1.0

T = TypeVar("T")
log = structlog.get_logger(__name__)


class ControlPlane:
    """An event loop in a thread, with a connection that is kept for ever; call into it from any thread."""

    client: Client
    js: JetStreamContext

    def __init__(self, settings: Nats, url: str) -> None:
        """Connect to `url`.

        Raises:
            BrokerError: no server answers there, or it refuses the credentials.
        """
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="iotpm-control", daemon=True)
        self._repeating: list[Future[None]] = []
        self._thread.start()
        try:
            self.client = self.run(streams.connect(settings, url=url, name="iotpm-node"))
        except BaseException:
            self._end_thread()
            raise
        self.js = self.client.jetstream()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float = 30.0) -> T:
        """Run a coroutine there and wait for its result.

        Raises:
            BrokerError: the broker refuses, or does not answer in time; whether it did the work is then unknown.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except (nats.errors.Error, TimeoutError) as error:
            future.cancel()
            raise BrokerError(f"the broker refuses or does not answer: {_words(error)}") from error

    def every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` again and again until stopped; a failure is logged and does not end the repetition."""
        self._repeating.append(asyncio.run_coroutine_threadsafe(_repeat(seconds, work), self._loop))

    def stop(self) -> None:
        """End repetitions, connection and thread."""
        for task in self._repeating:
            task.cancel()
        with contextlib.suppress(BrokerError):
            self.run(self.client.close(), CLOSE_S)
        self._end_thread()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self._loop.close()


def _words(error: Exception) -> str:
    """What a person understands of an error of the client library."""
    return streams.without_secrets(getattr(error, "description", None) or str(error) or type(error).__name__)


async def _repeat(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        try:
            await work()
        except Exception as error:
            log.warning("periodic_work_failed", work=getattr(work, "__name__", "work"), error=_words(error))
        # Missed turns are skipped, not made up for.
        due = max(due + seconds, loop.time())
        await asyncio.sleep(due - loop.time())
