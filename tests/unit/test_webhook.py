"""The webhook sender against a real HTTP server: order, keys, retries, refusals, restarts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.support.nodes import wait_until

from iotpm.config import Webhook
from iotpm.errors import ConfigError, StoreError
from iotpm.node import webhook
from iotpm.node.webhook import Event, WebhookSender

NO_WAIT = (0.0,)


@dataclass
class Receiver:
    """A server that notes what it gets and answers what it is told, 204 when it is told nothing."""

    answers: list[int] = field(default_factory=list)
    got: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    path: str = "/hook"
    silent: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Receiver:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.silent.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}{self.path}"

    @property
    def keys(self) -> list[int]:
        return [int(headers["Idempotency-Key"]) for _, _, headers in self.got]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                receiver.got.append((self.path, body, dict(self.headers)))
                status = receiver.answers.pop(0) if receiver.answers else 204
                if status == 0:
                    receiver.silent.wait()
                    return
                self.send_response(status)
                self.send_header("Location", receiver.url)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


def events(count: int) -> Callable[[int, int], Sequence[Event]]:
    def fetch(after: int, at_most: int) -> list[Event]:
        return [Event(n, f'{{"n":{n}}}') for n in range(after + 1, min(count, after + at_most) + 1)]

    return fetch


class sending:  # noqa: N801
    """A sender that runs while the block does."""

    def __init__(self, receiver: Receiver, count: int, after: int = 0, fetch: Any = None, **keys: Any) -> None:
        values: dict[str, Any] = {"url": receiver.url, "allow_private": True, "timeout_s": 30.0} | keys
        config = Webhook(**values)
        self.sender = WebhookSender(config, fetch or events(count), after, retry_s=NO_WAIT)

    def __enter__(self) -> WebhookSender:
        self.sender.start()
        return self.sender

    def __exit__(self, *_: object) -> None:
        self.sender.stop()


def test_events_arrive_in_order_each_with_its_number_as_key(receiver: Receiver) -> None:
    with sending(receiver, 250) as sender:
        wait_until(lambda: sender.delivered_through == 250, "all events")
    assert receiver.keys == list(range(1, 251))
    path, body, headers = receiver.got[6]
    assert (path, body) == ("/hook", '{"n":7}')
    assert headers["Content-Type"] == "application/cloudevents+json"
    assert (sender.delivered, sender.failed) == (250, 0)


def test_a_failure_is_repeated_with_the_same_key_before_anything_else(receiver: Receiver) -> None:
    receiver.answers = [204, 500, 503, 204]
    with sending(receiver, 3) as sender:
        wait_until(lambda: sender.delivered_through == 3, "all events")
    assert receiver.keys == [1, 2, 2, 2, 3]
    assert (sender.delivered, sender.failed) == (3, 0)


def test_after_max_attempts_the_next_event_has_its_turn(receiver: Receiver) -> None:
    receiver.answers = [500] * 3
    with sending(receiver, 2, max_attempts=3) as sender:
        wait_until(lambda: sender.delivered_through == 2, "the second event")
    assert receiver.keys == [1, 1, 1, 2]
    assert (sender.delivered, sender.failed) == (1, 1)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_refusal_and_never_followed(receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    with sending(receiver, 1, max_attempts=1) as sender:
        wait_until(lambda: sender.delivered_through == 1, "the event")
    assert receiver.keys == [1]
    assert sender.failed == 1


def test_a_restart_continues_after_the_last_one_delivered(receiver: Receiver) -> None:
    with sending(receiver, 3) as sender:
        wait_until(lambda: sender.delivered_through == 3, "the first three")
    with sending(receiver, 5, after=sender.delivered_through) as sender:
        wait_until(lambda: sender.delivered_through == 5, "the rest")
    assert receiver.keys == [1, 2, 3, 4, 5]


def test_a_stop_in_the_middle_of_a_request_ends_it_and_counts_nothing(receiver: Receiver) -> None:
    receiver.answers = [0]
    with sending(receiver, 2, timeout_s=3600.0) as sender:
        wait_until(lambda: len(receiver.got) == 1, "the request")
    assert not sender._thread.is_alive()
    assert (sender.delivered, sender.failed, sender.delivered_through) == (0, 0, 0)


def test_new_events_are_sent_when_notified(receiver: Receiver) -> None:
    known = [0]
    with sending(receiver, 0, fetch=lambda after, at_most: events(known[0])(after, at_most)) as sender:
        for count in (1, 4):
            known[0] = count
            sender.notify()
            wait_until(lambda count=count: sender.delivered_through == count, f"{count} events")  # type: ignore[misc]
    assert receiver.keys == [1, 2, 3, 4]


def test_a_store_that_is_being_reopened_is_waited_for(receiver: Receiver) -> None:
    failures = [StoreError("reopening")]

    def fetch(after: int, at_most: int) -> Sequence[Event]:
        if failures:
            raise failures.pop()
        return events(1)(after, at_most)

    with sending(receiver, 1, fetch=fetch) as sender:
        wait_until(lambda: not failures, "the failure")
        wait_until(lambda: not sender.notify() and sender.delivered_through == 1, "the event")  # type: ignore[func-returns-value]
    assert receiver.keys == [1]


def test_the_token_is_sent_as_a_bearer(receiver: Receiver, tmp_path: Any) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    with sending(receiver, 1, token_file=str(tmp_path / "token")) as sender:
        wait_until(lambda: sender.delivered_through == 1, "the event")
    assert receiver.got[0][2]["Authorization"] == "Bearer s3cret"


def test_a_local_receiver_gets_nothing_unless_allowed(receiver: Receiver) -> None:
    with sending(receiver, 1, allow_private=False, max_attempts=1) as sender:
        wait_until(lambda: sender.delivered_through == 1, "the refusal")
    assert receiver.got == []
    assert sender.failed == 1


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "::1", "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe", "2002:7f00:1::1", "::7f00:1",
    ],
)  # fmt: skip
def test_no_private_local_or_mapped_address_is_public(address: str) -> None:
    with pytest.raises(OSError, match="no public address"):
        webhook._allowed_address(address, 443, allow_private=False)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert webhook._allowed_address(address, 443, allow_private=False) == address


def test_one_private_address_among_public_ones_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(2, 1, 6, "", (address, 443)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr("iotpm.node.webhook.socket.getaddrinfo", lambda *_, **__: found)
    with pytest.raises(OSError, match=r"plant\.example is 10\.0\.0\.1"):
        webhook._allowed_address("plant.example", 443, allow_private=False)


@pytest.mark.parametrize("url", ["ftp://h/x", "https:///x", "http://h:99999/", "h/x", "http://[::1/"])
def test_a_url_that_cannot_be_used_is_a_mistake_of_the_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match=r"webhook\.url"):
        WebhookSender(Webhook(url=url), events(0), 0)


def test_a_missing_token_file_is_named(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match=r"webhook\.token_file .*missing"):
        WebhookSender(Webhook(url="https://h/x", token_file=str(tmp_path / "missing")), events(0), 0)
