"""`catchup` and `batched`: a stream is filled, then drained through engine and store as fast as that goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotpm import _core
from iotpm.bench import load
from iotpm.bench.checks import check
from iotpm.bench.ground import Ground, Scene
from iotpm.bench.measured import Running, crossings_per_chunk, stages
from iotpm.bench.usage import resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMEOUT_S = 80.0
_SMALL, _LARGE = 1_000, 64_000
_CHUNKS = 12


def catchup(scene: Scene, *, messages: int) -> dict[str, Any]:
    """Single JSON readings from a filled stream into committed rows; the bare pull before and after it.

    Returns:
        `messages_per_s`, `pull_only_messages_per_s`, `ratio`, the checks and the stages.
    """
    options = load.of_the_past(scene)
    with Ground(scene.directory, durability=scene.durability) as ground:
        report = _filled(ground, options, messages, scene.say)
        last = ground.last_seq()
        pulled = [_pull_only(ground, messages)]
        drained = _drain(ground, report, last, scene.say)
        pulled.append(_pull_only(ground, messages))
        crossings = _crossings(ground, last)
    mean = sum(pulled) / len(pulled)
    rate = messages / drained["seconds"]
    return {
        "messages_per_s": round(rate),
        "pull_only_messages_per_s": round(mean),
        "ratio": round(rate / mean, 3),
        "messages": messages,
        "signals": scene.signals,
        "interval_ms": scene.interval_ms,
        "fill_messages_per_s": round(report["messages_per_s"]),
        **drained,
        "crossings_per_chunk": crossings,
    }


def batched(scene: Scene, *, readings: int, per_message: int) -> dict[str, Any]:
    """Messages of many readings each, as JSON arrays and as Arrow IPC.

    Returns:
        `readings_per_s` (Arrow), `readings_per_s_json`, and for each format its checks and stages.
    """
    result: dict[str, Any] = {}
    messages = max(1, readings // per_message)
    for key, name in (("readings_per_s", "arrow"), ("readings_per_s_json", "json_array")):
        options = load.of_the_past(scene, format=name, readings_per_message=per_message)
        with Ground(scene.directory, durability=scene.durability) as ground:
            report = _filled(ground, options, messages, scene.say)
            drained = _drain(ground, report, ground.last_seq(), scene.say)
        result[key] = round(report["readings"] / drained["seconds"])
        result[name] = drained
    return {
        **result,
        "readings": messages * per_message,
        "per_message": per_message,
        "signals": scene.signals,
        "interval_ms": scene.interval_ms,
    }


def _filled(ground: Ground, options: dict[str, Any], messages: int, say: Callable[[str], None]) -> dict[str, Any]:
    say(f"filling the stream: {messages:,} messages")
    return load.fill(ground, options, messages)


def _pull_only(ground: Ground, messages: int) -> float:
    """The same stream pulled by the same reader and thrown away, messages a second."""
    pulled = _core.drain_only(ground.connection, ground.names.raw_stream, messages, _TIMEOUT_S)
    return float(pulled["messages_per_s"])


def _drain(ground: Ground, report: dict[str, Any], last: int, say: Callable[[str], None]) -> dict[str, Any]:
    """From the first request to the last commit; then SQL has its say."""
    say("draining it into committed rows")
    config = ground.config("node")
    with Running(ground, config) as running:
        seconds = running.wait_for(last, _TIMEOUT_S) - running.node.began
        cpu, stats, resident = running.cpu(), running.node.stats(), resident_bytes()
    return {
        "seconds": round(seconds, 3),
        "node_resident_bytes": resident,
        "snapshots": stats["snapshots"],
        **check(config.data_dir, report, last),
        "stages": stages(running.node, stats, cpu, report["readings"]),
        "chunks": len(running.node.chunks),
    }


def _crossings(ground: Ground, last: int) -> dict[str, float | None]:
    """Calls between Rust and Python a chunk, for chunks of 1,000 and of 64,000 readings."""
    counts: dict[str, float | None] = {}
    for limit in (_SMALL, _LARGE):
        seq = min(last, limit * _CHUNKS)
        with Running(ground, ground.config(f"crossings-{limit}", node={"chunk_max_messages": limit})) as running:
            running.wait_for(seq, _TIMEOUT_S)
            full = min(limit, max(chunk.readings for chunk in running.node.chunks))
        counts[str(limit)] = crossings_per_chunk(running.node.chunks, at_least=full)
    return counts
