"""The node's loopback HTTP port: /metrics, /healthz, /readyz."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from iotpm.errors import ConfigError

log = structlog.get_logger(__name__)

Checks = Callable[[], dict[str, str]]
"""Returns what is wrong, name -> reason; empty when all is well."""

LOOPBACK = "127.0.0.1"
REQUEST_S = 10.0
"""Time for a client to send its request and take the answer."""


class HealthServer:
    """Serves metrics and health until closed; every request is answered from a thread of its own."""

    def __init__(self, registry: CollectorRegistry, alive: Checks, ready: Checks, port: int = 0) -> None:
        """Listen on loopback at `port`; 0 takes a free one.

        Raises:
            ConfigError: the port is taken.
        """
        answers = {
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
            "/healthz": lambda: _checked(alive()),
            "/readyz": lambda: _checked(ready()),
        }
        try:
            self._server = ThreadingHTTPServer((LOOPBACK, port), _handler(answers))
        except OSError as error:
            raise ConfigError(
                [f"node.http_port = {port}: {error.strerror}; choose another, or 0 for a free one"]
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="iotpm-http", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Base URL, such as `http://127.0.0.1:9464`."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


Answer = tuple[int, str, bytes]


def _checked(problems: dict[str, str]) -> Answer:
    body = json.dumps({"status": "failing" if problems else "ok", "problems": problems}).encode()
    return (503 if problems else 200), "application/json", body


def _handler(answers: dict[str, Callable[[], Answer]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_S

        def do_GET(self) -> None:
            status, content_type, body = _answer(self.path, answers)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Scrapes are no events worth a log line."""

    return Handler


def _answer(path: str, answers: dict[str, Callable[[], Answer]]) -> Answer:
    answer = answers.get(path.split("?")[0])
    if answer is None:
        return _unknown(path, answers)
    try:
        return answer()
    except Exception as error:
        log.exception("request_failed", path=path)
        return 500, "text/plain", f"{type(error).__name__}: {error}\n".encode()


def _unknown(path: str, answers: dict[str, Callable[[], Answer]]) -> Answer:
    return 404, "text/plain", f"no {path} here; there are {', '.join(answers)}\n".encode()
