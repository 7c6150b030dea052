"""A TCP link that can fall silent without closing, as behind a dead switch or a firewall that forgot it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"
PIECE_BYTES = 1 << 16
TO_SERVER, TO_CLIENT = "to_server", "to_client"
BOTH = (TO_SERVER, TO_CLIENT)


class Link:
    """One connection and what it leads to; `lost` is set when its packets never arrive again."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.ends = {TO_SERVER: (client, server), TO_CLIENT: (server, client)}
        self.lost = threading.Event()

    def close(self) -> None:
        for end in self.ends[TO_SERVER]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Listens on a free port and passes on what comes; a context manager.

    Args:
        url: the server behind it.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or LOOPBACK, parts.port or 4222)
        self._listener = socket.create_server((LOOPBACK, 0))
        self.url = f"{parts.scheme}://{LOOPBACK}:{self._listener.getsockname()[1]}"
        self._open = {way: threading.Event() for way in BOTH}
        self._links: list[Link] = []
        self._threads = [threading.Thread(target=self._accept, name="proxy", daemon=True)]
        self.heal()

    @property
    def links(self) -> int:
        """Connections so far."""
        return len(self._links)

    def silence(self, ways: Iterable[str] = BOTH) -> None:
        """Nothing arrives any more that way, and nobody is told; new connections get no answer either."""
        for way in ways:
            self._open[way].clear()

    def heal(self, *, lost: bool = False) -> None:
        """Pass on again; what was held arrives late, or (`lost`) never, like all else of connections from before."""
        if lost:
            for link in self._links:
                link.lost.set()
        for gate in self._open.values():
            gate.set()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        self.heal()
        for link in self._links:
            link.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                link = Link(client, socket.create_connection(self._server))
                self._links.append(link)
                for way in BOTH:
                    pump = threading.Thread(target=self._pump, args=(link, way), name=f"proxy-{way}", daemon=True)
                    self._threads.append(pump)
                    pump.start()

    def _pump(self, link: Link, way: str) -> None:
        source, sink = link.ends[way]
        with suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                self._open[way].wait()
                if not link.lost.is_set():
                    sink.sendall(piece)
        self._open[way].wait()
        if not link.lost.is_set():
            link.close()
