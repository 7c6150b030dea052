"""A node that keeps times: when its drain began, when each chunk was committed, what each cost."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from iotpm import _core
from iotpm.bench.usage import cpu_seconds, thread_cpu_seconds
from iotpm.errors import IotpmError
from iotpm.node.service import Node

if TYPE_CHECKING:
    from iotpm.bench.ground import Ground
    from iotpm.config import Config
    from iotpm.store.progress import Resume

_POLL_S = 0.01
_END_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Committed:
    """One chunk: its last sequence, when its transaction was durable, how many messages and crossings it took."""

    seq: int
    at: float
    messages: int
    readings: int
    crossings: int


class MeasuredNode(Node):
    """The node as it is, with a stopwatch at both ends of a chunk."""

    began = 0.0

    def _open_plane(self, found: Resume) -> None:
        self.chunks: list[Committed] = []
        self.upkeep_s: list[float] = []
        self.began = time.perf_counter()
        super()._open_plane(found)

    def _store(self, chunk: _core.Chunk) -> bool:
        before = _core.crossings()
        stored = super()._store(chunk)
        # The call that handed the chunk out is one more.
        crossings = _core.crossings() - before + 1
        self.chunks.append(Committed(chunk.last_seq, self._at, chunk.messages, chunk.readings_count, crossings))
        return stored

    def _upkeep(self, *, snapshot_taken: bool) -> None:
        began = time.perf_counter()
        super()._upkeep(snapshot_taken=snapshot_taken)
        self.upkeep_s.append(time.perf_counter() - began)

    def _committed(self, chunk: _core.Chunk) -> bool:
        done = super()._committed(chunk)
        self._at = time.perf_counter()
        return done


class Running:
    """A measured node in a thread of its own; a context manager that drains it at the end."""

    def __init__(self, ground: Ground, config: Config) -> None:
        self.node = MeasuredNode(config)
        self._broker_pid = ground.broker.pid
        self._thread = threading.Thread(target=self._run, name="committer")
        self._ready = threading.Event()
        self._error: BaseException | None = None

    def __enter__(self) -> Running:
        self._cpu_before = self._cpu()
        self._thread.start()
        self._ready.wait()
        self._raise()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._thread.is_alive():
            self.node.drain()
        self._thread.join(_END_TIMEOUT_S)
        if error is None:
            self._raise()

    @property
    def committed_seq(self) -> int:
        """Sequence of the last message that is stored."""
        chunks = self.node.chunks
        return chunks[-1].seq if chunks else 0

    def wait_for(self, seq: int, timeout_s: float) -> float:
        """Wait until message `seq` is stored; returns when (`time.perf_counter`).

        Raises:
            IotpmError: the node ended before, or it took too long.
        """
        deadline = time.monotonic() + timeout_s
        while self.committed_seq < seq:
            self._raise()
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise IotpmError(f"message {seq} was not stored within {timeout_s:.0f} s, only {self.committed_seq}")
            time.sleep(_POLL_S)
        return next(chunk.at for chunk in self.node.chunks if chunk.seq >= seq)

    def cpu(self) -> dict[str, float]:
        """Processor seconds since the start, by thread of the node, and of the broker."""
        now = self._cpu()
        spent = {name: round(seconds - self._cpu_before.get(name, 0.0), 2) for name, seconds in now.items()}
        return {name: seconds for name, seconds in sorted(spent.items()) if seconds > 0}

    def _cpu(self) -> dict[str, float]:
        threads = {self._thread.native_id: "committer"} if self._thread.native_id else {}
        times = thread_cpu_seconds(threads)
        return {**times, "broker": cpu_seconds(self._broker_pid or os.getpid())}

    def _run(self) -> None:
        try:
            with self.node:
                self._ready.set()
                self.node.run()
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


def crossings_per_chunk(chunks: list[Committed], *, at_least: int = 0, below: int = 1 << 40) -> float | None:
    """Calls between Rust and Python a chunk (the median) over chunks of so many readings; None if there is none."""
    counts = [chunk.crossings for chunk in chunks if at_least <= chunk.readings < below]
    return median(counts) if counts else None


def stages(node: MeasuredNode, stats: dict[str, Any], cpu: dict[str, float], readings: int) -> dict[str, Any]:
    """Where the time went: processor nanoseconds a reading by thread and broker, and the plane's own histograms."""
    return {
        "cpu_ns_per_reading": {name: round(seconds / readings * 1e9) for name, seconds in cpu.items()},
        "chunk_messages": summary(stats["chunk_messages"]),
        "pipeline_seconds": summary(stats["pipeline_seconds"]),
        "commit_seconds": summary(stats["commit_seconds"]),
        # Checkpoints, statistics with a snapshot, the last step of a lake move.
        "upkeep_seconds": {"sum": round(sum(node.upkeep_s), 3), "max": round(max(node.upkeep_s, default=0.0), 4)},
    }


def summary(histogram: dict[str, Any]) -> dict[str, float]:
    """A histogram without its buckets; quantiles are bucket bounds."""
    return {key: round(histogram[key], 5) for key in ("count", "sum", "p50", "p95", "p99", "max")}
