"""Nodes as processes and in this process, a producer that never gives up, and what a broker holds."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import nats

from iotpm import _core
from iotpm.config import Config
from iotpm.errors import BrokerError
from iotpm.node.nodefile import NodeFile
from iotpm.node.service import Node
from iotpm.processes import Identity
from iotpm.store.writer import Harness

if TYPE_CHECKING:
    from iotpm.subjects import Names
    from tests.support.plant import Planned, Plant

LIMIT_S = 60.0
"""Deadline of every wait: far beyond what a loaded machine needs."""
POLL_S = 0.01
INGEST = [sys.executable, "-c", "from iotpm.cli.ingest import main; main()"]
QUIET = Harness(adds=False)
"""A node that adds nothing to the stream it reads."""
FOREVER = {"raw_days": 36_500.0, "minute_days": 36_500.0, "hour_days": 36_500.0, "disk_reserve_bytes": 0}
"""The plant lives in the past: nothing of it is too old to keep."""
SPOOL = 20
"""Batches that a producer remembers; now and then it sends the oldest again, long after the broker's memory of it."""


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    """Poll until `condition` holds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {limit_s} s"
        time.sleep(POLL_S)


def configuration(data_dir: Path, url: str, templates: list[dict[str, Any]] | None = None, **sections: Any) -> Config:
    """A node's configuration; `sections` are tables of keys beside those given here."""
    node = {"data_dir": str(data_dir), "log_format": "json", "shards": 2, "lease_ttl_s": 2} | sections.pop("node", {})
    values = {"nats": {"url": url}, "node": node, "template": templates or [], **sections}
    return msgspec.convert(values, Config, strict=True)


def toml(config: Config) -> str:
    """A configuration as a file."""
    lines: list[str] = []
    for name, section in msgspec.to_builtins(config).items():
        tables = section if isinstance(section, (list, tuple)) else [section]
        for table in tables:
            lines += [f"[[{name}]]" if isinstance(section, (list, tuple)) else f"[{name}]", *_keys(table), ""]
    return "\n".join(lines)


def _keys(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key} = {json.dumps(value)}"


_started: list[subprocess.Popen[bytes]] = []


def kill_left_nodes() -> None:
    """End what a failed test left running."""
    while _started:
        process = _started.pop()
        process.kill()
        process.wait()


class NodeProcess:
    """`iotpm-ingest` as a process that is killed and started again; every start has a log of its own."""

    def __init__(self, config: Config, directory: Path, command: list[str] | None = None, **environment: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.config = config
        self.directory = directory
        self.starts = 0
        self._path = directory / "node.toml"
        self._path.write_text(toml(config))
        self._command = [*(command or INGEST), "--config", str(self._path)]
        self._environment = {**os.environ, **environment}
        self.process: subprocess.Popen[bytes] | None = None
        self.spawned = 0.0

    def start(self, *arguments: str) -> None:
        """Start without waiting for anything."""
        self.starts += 1
        self.spawned = time.monotonic()
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*self._command, *arguments], cwd=self.directory, env=self._environment, stdout=log, stderr=log
            )
        _started.append(self.process)

    def start_and_wait(self) -> None:
        """Start, and wait until it says so."""
        self.start()
        self.wait_event("node_started")

    @property
    def log_path(self) -> Path:
        return self.directory / f"node-{self.starts}.log"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def drain(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT_S)

    def ended(self) -> int:
        """The exit status once it has ended by itself."""
        assert self.process is not None
        return self.process.wait(LIMIT_S)

    def log(self) -> str:
        return self.log_path.read_text("utf-8", errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log lines of one event."""
        lines = [line for line in self.log().splitlines() if line.startswith("{") and f'"{name}"' in line]
        return [line for line in map(json.loads, lines) if line["event"] == name]

    def wait_event(self, name: str) -> dict[str, Any]:
        """Wait for a log line."""
        self.wait(lambda: bool(self.events(name)), name)
        return self.events(name)[0]

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait while the node lives."""

        def holds() -> bool:
            done = condition()
            assert done or self.running, f"{what}: the node ended with {self.process}: {self.log()[-3000:]}"
            return done

        wait_until(holds, f"node start {self.starts}: {what}")

    def metrics(self) -> dict[str, float]:
        """Numbers of /metrics by name; empty while it does not answer."""
        found = NodeFile.of_running_node(self.config.data_dir)
        if found is None or found.pid != self.pid:
            return {}
        with suppress(OSError), urllib.request.urlopen(f"{found.http}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
            return {line.split("{")[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}
        return {}

    def committed(self) -> int:
        """Sequence up to which this process has committed, 0 while it does not say."""
        return int(self.metrics().get("iotpm_committed_sequence", 0))


def probe_url(url: str) -> tuple[int, dict[str, Any]]:
    """Status and body of a health check."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def identity(pid: int) -> str:
    """How a message names a process."""
    return f"process {pid} on {Identity.of_this_process().host}"


@contextmanager
def running(node: Node) -> Iterator[Node]:
    """A node that runs in a thread of its own, and is drained at the end; its error is raised here."""
    failures: list[BaseException] = []
    started = threading.Event()

    def work() -> None:
        try:
            with node:
                started.set()
                node.run()
        except BaseException as error:
            failures.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=work, name="node-under-test")
    thread.start()
    started.wait(LIMIT_S)
    try:
        if not failures:
            yield node
    finally:
        if not failures:
            node.drain()
        thread.join(LIMIT_S)
    if failures:
        raise failures[0]


def run_through(config: Config, sequence: int, *, names: Names | None = None) -> dict[str, Any]:
    """Run a node that adds nothing until it has committed message `sequence`; its counters."""
    node = Node(config, names=names, harness=QUIET)
    with running(node):
        wait_until(lambda: _committed(node) >= sequence, f"message {sequence} of {config.data_dir}")
        return dict(node.plane.counters())


def _committed(node: Node) -> int:
    return int(node.plane.stats()["committed_sequence"])


class Producer:
    """Publishes a plant's messages at a pace from a thread, in order, each until the broker has acknowledged it.

    Now and then it sends old messages again with their old numbers, as after a crash of its own.
    """

    def __init__(
        self, url: str, plant: Plant, *, rate_hz: float, numbered: bool = True, limit: int = 0, **connection: Any
    ) -> None:
        self.published = 0
        self.repeated = 0
        self.retries = 0
        self._random = random.Random(rate_hz)
        self._connection = {"url": url, **connection}
        self._plant = plant
        self._rate_hz = rate_hz
        self._numbered = numbered
        self._limit = limit
        self._insisting = True
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)

    def __enter__(self) -> Producer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(LIMIT_S)

    def give_up(self) -> None:
        """Forget what the broker refuses."""
        self._insisting = False
        self.__exit__()

    @property
    def failed(self) -> bool:
        """Whether it gave up; `finish` raises why."""
        return self._failure is not None

    def finish(self) -> None:
        """Publish no more, or up to the limit if there is one; returns when everything is acknowledged."""
        if self._limit:
            self._thread.join(LIMIT_S)
        self.__exit__()
        assert not self._thread.is_alive(), "the producer still waits for acknowledgements"
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._publish_all()
        except BaseException as error:
            self._failure = error

    def _publish_all(self) -> None:
        publisher = _core.Publisher(json.dumps(self._connection), window=2, ack_every=50)
        due = time.monotonic()
        recent: deque[list[Planned]] = deque(maxlen=SPOOL)
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            if self._limit and self.published >= self._limit:
                break
            batch = self._plant.messages(50)
            if len(recent) == SPOOL and self._random.random() < 0.05:
                self._publish(publisher, recent[0])
                self.repeated += len(recent[0])
            recent.append(batch)
            self._publish(publisher, batch)
            self.published += len(batch)
            due = max(due + len(batch) / self._rate_hz, time.monotonic() - 1.0)
        self._insist(publisher.flush)
        publisher.close()

    def _publish(self, publisher: _core.Publisher, batch: list[Planned]) -> None:
        subjects, payloads = [m.subject for m in batch], [m.payload for m in batch]
        ids = [m.message_id for m in batch] if self._numbered else None
        while True:
            try:
                return publisher.publish_many(subjects, payloads, msg_ids=ids)
            except BrokerError:
                self._insist(publisher.flush)

    def _insist(self, flush: Callable[[], None]) -> None:
        while True:
            try:
                return flush()
            except BrokerError:
                self.retries += 1
                if not self._insisting:
                    raise


def fill_up(path: Path) -> None:
    """Write until the disk has no room."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


@dataclass(frozen=True, slots=True)
class Published:
    """A message as a stream holds it."""

    seq: int
    headers: dict[str, str]
    payload: bytes


def stream_messages(url: str, stream: str) -> list[Published]:
    """All messages of a stream, in order."""

    async def read() -> list[Published]:
        client = await nats.connect(url)
        try:
            js = client.jetstream()
            state = (await js.stream_info(stream)).state
            consumer = await js.subscribe(stream=stream, subject=">", ordered_consumer=True)
            found = []
            for _ in range(state.messages):
                message = await consumer.next_msg(timeout=LIMIT_S)
                headers = {str(key): str(value) for key, value in (message.headers or {}).items()}
                found.append(Published(message.metadata.sequence.stream, headers, message.data))
            return found
        finally:
            await client.close()

    return asyncio.run(read())


def stream_counts(url: str, stream: str) -> tuple[int, Counter[str]]:
    """Last sequence of a stream, and its messages by the second token of their subjects (raw, tick, ctl)."""

    async def read() -> tuple[int, Counter[str]]:
        client = await nats.connect(url)
        try:
            info = await client.jetstream().stream_info(stream, subjects_filter=">")
            counts: Counter[str] = Counter()
            for subject, number in (info.state.subjects or {}).items():
                counts[subject.split(".")[1]] += number
            return info.state.last_seq, counts
        finally:
            await client.close()

    return asyncio.run(read())


def elsewhere(config: Config, data_dir: Path, *, shards: int = 2) -> Config:
    """The same node with another store."""
    node = msgspec.structs.replace(config.node, data_dir=str(data_dir), shards=shards)
    return msgspec.structs.replace(config, node=node)
