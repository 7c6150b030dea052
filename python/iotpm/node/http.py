"""The node's loopback HTTP port: /metrics, /healthz, /readyz."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

Checks = Callable[[], dict[str, str]]
"""Returns what is wrong, name -> reason; empty when all is well."""

LOOPBACK = "127.0.0.1"


class HealthServer:
    """Serves metrics and health until closed; every request is answered from a thread of its own."""

    def __init__(self, registry: CollectorRegistry, alive: Checks, ready: Checks, port: int = 0) -> None:
        """Listen on loopback at `port`; 0 takes a free one."""
        answers = {
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
            "/healthz": lambda: _checked(alive()),
            "/readyz": lambda: _checked(ready()),
        }
        self._server = ThreadingHTTPServer((LOOPBACK, port), _handler(answers))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="iotpm-http", daemon=True)
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
        def do_GET(self) -> None:
            answer = answers.get(self.path.split("?")[0])
            status, content_type, body = answer() if answer else _unknown(self.path, answers)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Scrapes are no events worth a log line."""

    return Handler


def _unknown(path: str, answers: dict[str, Callable[[], Answer]]) -> Answer:
    return 404, "text/plain", f"no {path} here; there are {', '.join(answers)}\n".encode()
