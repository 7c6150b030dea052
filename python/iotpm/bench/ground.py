"""Where a benchmark runs: a directory, a broker with the node's own streams, configurations of nodes."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from iotpm import streams, subjects
from iotpm.broker import Broker, BrokerOptions
from iotpm.config import Config, Nats, Node, Store, Stream, Template
from iotpm.node.control import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

T = TypeVar("T")
Durability = Literal["process", "power"]
"""Of the broker: what is acknowledged survives kill -9, or power loss too."""

WINDOW_S = 30.0
HOP_S = 10.0
# The stream is filled long before it is drained: no signal shall count as silent at the ticks that come after it.
TEMPLATE = Template(window_s=WINDOW_S, hop_s=HOP_S, idle_timeout_s=86_400.0)
STREAM_BYTES = 8 << 30


@dataclass(frozen=True, slots=True)
class Scene:
    """What all modes share: how many signals, event time between a signal's readings, where to work, whom to tell."""

    signals: int
    interval_ms: float
    directory: Path | None
    say: Callable[[str], None]
    durability: Durability = "process"


class Ground:
    """A directory that goes at the end, and a broker in it with fresh streams; a context manager."""

    def __init__(
        self,
        parent: str | Path | None = None,
        *,
        stream_bytes: int = STREAM_BYTES,
        durability: Durability = "process",
    ) -> None:
        """Nothing is made yet.

        Args:
            parent: where the directory is made; default: the system's for temporary files.
            stream_bytes: size of the RAW stream.
            durability: of the broker; with `power` the load comes in atomic batches.
        """
        self.names = subjects.live()
        self.stream = Stream(max_bytes=stream_bytes)
        self.durability = durability
        self._parent = parent
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        self.path = Path(tempfile.mkdtemp(prefix="iotpm-bench-", dir=self._parent))
        self._opened.callback(shutil.rmtree, self.path, ignore_errors=True)
        try:
            self.broker = self._opened.enter_context(
                Broker(self.path / "broker", BrokerOptions(durability=self.durability))
            )
            self._control = ControlPlane(Nats(), self.broker.url)
            self._opened.callback(self._control.stop)
            self.run(streams.ensure_streams(self._control.js, self.names, self.stream))
        except BaseException:
            self._opened.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    @property
    def connection(self) -> str:
        """Options of `_core`'s connections."""
        return json.dumps({"url": self.broker.url})

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float = 120.0) -> T:
        """Run a coroutine beside this thread and wait for it."""
        return self._control.run(work, timeout_s)

    @property
    def js(self) -> Any:
        """JetStream context; use it inside `run`."""
        return self._control.js

    def last_seq(self) -> int:
        """Sequence of the RAW stream's last message."""
        return self.run(streams.stream_facts(self.js, self.names.raw_stream)).last_seq

    def config(
        self, directory: str, *, node: dict[str, Any] | None = None, store: dict[str, Any] | None = None
    ) -> Config:
        """Configuration of a node with a data directory of its own."""
        return Config(
            nats=Nats(url=self.broker.url),
            stream=self.stream,
            node=Node(data_dir=str(self.path / directory), log_level="warning", **(node or {})),
            store=Store(**(store or {})),
            templates=(TEMPLATE,),
        )
