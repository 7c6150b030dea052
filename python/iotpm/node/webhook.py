"""One HTTP receiver of anomalies, fed from the outbox in order, each event with its number as idempotency key."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import duckdb
import structlog

from iotpm.config import Webhook
from iotpm.errors import ConfigError, StoreError
from iotpm.store.database import Database

log = structlog.get_logger(__name__)

PAGE = 100
IDLE_S = 5.0
RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
NAT64 = ipaddress.ip_network("64:ff9b::/96")
COMPATIBLE = ipaddress.ip_network("::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the outbox."""

    outbox_seq: int
    payload: str


Fetch = Callable[[int, int], Sequence[Event]]
"""(after outbox_seq, at most) -> the next events, in order."""


def events_after(database: Database) -> Fetch:
    """Reads the outbox of a store."""

    def fetch(outbox_seq: int, at_most: int) -> list[Event]:
        with database.cursor() as cursor:
            rows = cursor.execute(
                "SELECT outbox_seq, payload FROM outbox WHERE outbox_seq > ? ORDER BY outbox_seq LIMIT ?",
                [outbox_seq, at_most],
            ).fetchall()
        return [Event(*row) for row in rows]

    return fetch


def delivered_through(database: Database) -> int | None:
    """Number of the last event that is delivered or given up; None in a store that never had a receiver."""
    row = database.connection.execute("SELECT max(delivered) FROM webhook").fetchone()
    return None if row is None or row[0] is None else int(row[0])


class WebhookSender:
    """Sends from a thread of its own: a slow or dead receiver never holds up a commit."""

    def __init__(
        self, config: Webhook, fetch: Fetch, delivered_through: int, *, retry_s: Sequence[float] = RETRY_S
    ) -> None:
        """Nothing is sent before `start`.

        Args:
            config: the receiver.
            fetch: where the events come from.
            delivered_through: sending begins with the event after this one.
            retry_s: waits after the first, second, ... failure of an event; the last one repeats.

        Raises:
            ConfigError: no http(s) URL, or a token file that cannot be read.
        """
        self._config = config
        self._fetch = fetch
        self._retry_s = retry_s
        self.delivered_through = delivered_through
        self._url = _checked_url(config.url or "")
        self._token = _read_token(config.token_file)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._socket: socket.socket | None = None
        self.delivered = 0
        self.failed = 0
        self._thread = threading.Thread(target=self._run, name="iotpm-webhook", daemon=True)

    def start(self) -> None:
        """Begin with the first event not delivered yet."""
        self._thread.start()

    def notify(self) -> None:
        """There may be new events."""
        self._wake.set()

    def stop(self) -> None:
        """End; a request under way is given up and sent again, with the same key, after the next start."""
        self._stopping.set()
        self._wake.set()
        link = self._socket
        if link is not None:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        self._thread.join(self._config.timeout_s + 1)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            events = self._next_events()
            if not all(map(self._deliver, events)):
                return
            if not events:
                self._wake.wait(IDLE_S)

    def _next_events(self) -> Sequence[Event]:
        """None while the store is being reopened."""
        try:
            return self._fetch(self.delivered_through, PAGE)
        except (StoreError, duckdb.Error) as error:
            log.warning("webhook_waits_for_the_store", error=str(error))
            return ()

    def _deliver(self, event: Event) -> bool:
        """Send until accepted or given up; False if stopped before either."""
        for attempt in range(self._config.max_attempts):
            if self._stopping.is_set():
                return False
            problem = self._send(event)
            if problem is None:
                self.delivered += 1
                self.delivered_through = event.outbox_seq
                return True
            log.warning("webhook_failed", outbox_seq=event.outbox_seq, attempt=attempt + 1, problem=problem)
            if self._stopping.wait(self._wait_s(attempt)):
                return False
        self._give_up(event)
        return True

    def _wait_s(self, attempt: int) -> float:
        last = attempt + 1 == self._config.max_attempts
        return 0.0 if last else self._retry_s[min(attempt, len(self._retry_s) - 1)]

    def _give_up(self, event: Event) -> None:
        self.failed += 1
        log.error("webhook_event_given_up", outbox_seq=event.outbox_seq, attempts=self._config.max_attempts)
        self.delivered_through = event.outbox_seq

    def _send(self, event: Event) -> str | None:
        """POST one event; what went wrong, or None. Redirects are refused like any other status but 2xx."""
        connection = None
        try:
            connection = self._connect()
            connection.request("POST", _target(self._url), event.payload.encode(), self._headers(event))
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            return repr(error)
        finally:
            self._socket = None
            if connection:
                connection.close()
        return None if 200 <= status < 300 else f"status {status}"

    def _headers(self, event: Event) -> dict[str, str]:
        headers = {"Content-Type": "application/cloudevents+json", "Idempotency-Key": str(event.outbox_seq)}
        return headers | ({"Authorization": f"Bearer {self._token}"} if self._token else {})

    def _connect(self) -> http.client.HTTPConnection:
        """Connect to an address that was checked, not to a name that may resolve differently the next time."""
        host, secure = self._url.hostname or "", self._url.scheme == "https"
        port = self._url.port or (443 if secure else 80)
        address = _allowed_address(host, port, allow_private=self._config.allow_private)
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(host, port, timeout=self._config.timeout_s)
        plain = socket.create_connection((address, port), self._config.timeout_s)
        self._socket = connection.sock = _secured(plain, host) if secure else plain
        return connection


def _secured(plain: socket.socket, host: str) -> ssl.SSLSocket:
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _checked_url(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError([f"webhook.url = {text!r}: must be an http:// or https:// URL with a host"])
    return url


def _read_token(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text("ascii").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError([f"webhook.token_file = {path!r}: {error}"]) from error


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _allowed_address(host: str, port: int, *, allow_private: bool) -> str:
    """The first address of a host; OSError if any of them is not public and private ones are not allowed."""
    addresses = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in addresses:
        if not allow_private and not _is_public(ipaddress.ip_address(address.split("%")[0])):
            raise OSError(f"{host} is {address}, no public address; webhook.allow_private = true allows it")
    return addresses[0]


def _is_public(address: Address) -> bool:
    """Whether neither the address nor an IPv4 address that it stands for is private, local, multicast or reserved."""
    return all(a.is_global and not a.is_multicast for a in (address, *_embedded(address)))


def _embedded(address: Address) -> list[Address]:
    """IPv4 addresses to which an IPv6 one leads."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[Address | None] = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64 or address in COMPATIBLE:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return [a for a in found if a is not None]
