"""One HTTP receiver of anomalies, fed from the outbox in order, each event with its number as idempotency key."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import structlog

from iotpm.config import Webhook
from iotpm.errors import ConfigError
from iotpm.store.database import Database

log = structlog.get_logger(__name__)

PAGE = 100
RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


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


def delivered_through(database: Database) -> int:
    """Number of the last event that the store knows to be delivered or given up."""
    row = database.connection.execute("SELECT max(delivered) FROM webhook").fetchone()
    return int(row[0]) if row and row[0] is not None else 0


class WebhookSender:
    """Sends from a thread of its own: a slow or dead receiver never holds up a commit."""

    def __init__(self, config: Webhook, fetch: Fetch, delivered_through: int) -> None:
        """Raises ConfigError for a URL that is no http(s) URL."""
        self._config = config
        self._fetch = fetch
        self.delivered_through = delivered_through
        self._url = _checked_url(config.url or "")
        self._token = Path(config.token_file).read_text().strip() if config.token_file else None
        self._wake = threading.Event()
        self._stopping = threading.Event()
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
        """End after the request under way."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(self._config.timeout_s + 1)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            events = self._fetch(self.delivered_through, PAGE)
            for event in events:
                if not self._deliver(event):
                    return
            if not events:
                self._wake.wait(5.0)

    def _deliver(self, event: Event) -> bool:
        """Send until accepted or given up; False if stopped before either."""
        for attempt in range(self._config.max_attempts):
            problem = self._send(event)
            if problem is None:
                self.delivered += 1
                self.delivered_through = event.outbox_seq
                return True
            log.warning("webhook failed", outbox_seq=event.outbox_seq, attempt=attempt + 1, problem=problem)
            if self._stopping.wait(RETRY_S[min(attempt, len(RETRY_S) - 1)]):
                return False
        self.failed += 1
        log.error("webhook event given up", outbox_seq=event.outbox_seq, attempts=self._config.max_attempts)
        self.delivered_through = event.outbox_seq
        return True

    def _send(self, event: Event) -> str | None:
        """POST one event; what went wrong, or None. Redirects are refused like any other status but 2xx."""
        connection = None
        try:
            connection = self._connect()
            connection.request("POST", _target(self._url), event.payload.encode(), self._headers(event))
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
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
        connection = http.client.HTTPConnection(host, port, timeout=self._config.timeout_s)
        plain = socket.create_connection((address, port), self._config.timeout_s)
        connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host) if secure else plain
        return connection


def _checked_url(text: str) -> SplitResult:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError([f"webhook.url = {text!r}: must be an http:// or https:// URL with a host"])
    return url


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _allowed_address(host: str, port: int, *, allow_private: bool) -> str:
    """The first address of a host; OSError if any of them is not public and private ones are not allowed."""
    addresses = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in addresses:
        plain = ipaddress.ip_address(address.split("%")[0])
        mapped = getattr(plain, "ipv4_mapped", None) or plain
        if not allow_private and not mapped.is_global:
            raise OSError(f"{host} is {address}, no public address; webhook.allow_private = true allows it")
    return addresses[0]
