"""Keeps the embedded broker alive: started, watched and started again from a thread of its own."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

import structlog

from iotpm.errors import BrokerError

if TYPE_CHECKING:
    from iotpm.broker import Broker

log = structlog.get_logger(__name__)

WATCH_S = 0.2
RETRY_S = 1.0


class BrokerKeeper:
    """The server ends with the thread that started it, so that thread lives as long as the node and does only this.

    Args:
        broker: not started yet.
    """

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.problem: str | None = None
        """Why the server is down, if it is."""
        self._first: Future[None] = Future()
        self._stopping = threading.Event()
        self._stuck = threading.Event()
        self._thread = threading.Thread(target=self._run, name="iotpm-broker", daemon=True)

    def start(self) -> None:
        """Start the server and watch it.

        Raises:
            BrokerError: it cannot be started.
        """
        self._thread.start()
        self._first.result()

    def start_again(self) -> None:
        """End the server and start it, soon; from any thread."""
        self._stuck.set()

    def stop(self) -> None:
        """End the server."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self.broker.start()
        except BaseException as error:
            self._first.set_exception(error)
            return
        self._first.set_result(None)
        try:
            self._watch()
        finally:
            self.broker.stop()

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_S if self.problem is None else RETRY_S):
            if self._stuck.is_set():
                self._stuck.clear()
                self.broker.stop()
                self._restart("the embedded broker was stuck and is started again")
            elif not self.broker.running:
                log.error("broker_died", log=str(self.broker.log_path))
                self._restart("the embedded broker died and is started again")

    def _restart(self, reason: str) -> None:
        self.problem = reason
        try:
            self.broker.start()
        except (BrokerError, OSError) as error:
            self.problem = str(error)
            log.error("broker_not_restarted", error=str(error))
            return
        self.problem = None
        log.info("broker_restarted", pid=self.broker.pid)
