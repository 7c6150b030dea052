"""`live`: a paced generator, broker and node on one machine; what rate is held, and how soon an anomaly is out."""

from __future__ import annotations

import time
from typing import Any

import nats.errors
import numpy as np
from nats.js.api import AckPolicy, ConsumerConfig

from iotpm import subjects
from iotpm.bench import load
from iotpm.bench.checks import check
from iotpm.bench.ground import HOP_S, Ground, Scene
from iotpm.bench.measured import Running, stages, summary

# Everything that may hold up a commit happens inside the measured minute, a snapshot once, as by default.
_NODE = {"snapshot_interval_s": 40.0}
_STORE = {"lake_after_rows": 1_000_000, "lake_slice_rows": 100_000}
_HELD = 0.99
_BEHIND_MAX_S = 1.0
_STEP_HZ = 10_000.0
_STEP_S = 12.0
_BUDGET_S = 85.0
_BATCH = 500


def measure(scene: Scene, *, rate_hz: float, seconds: float, find_max: bool) -> dict[str, Any]:
    """Hold a rate for some time, or (`find_max`) raise it by 10,000/s from there until it no longer holds.

    Returns:
        `messages_per_s`, `held`, `latency_ms` (cause stored by the broker to anomaly stored by the broker), the checks,
        what happened meanwhile (checkpoints, snapshots, lake moves) and the stages; with `find_max` the last rate that
        held as `highest_held_messages_per_s`, and every step.
    """
    if not find_max:
        return _hold(scene, rate_hz, seconds)
    began, steps, highest = time.monotonic(), [], None
    while time.monotonic() - began < _BUDGET_S - 2 * _STEP_S:
        result = _hold(scene, rate_hz, _STEP_S)
        steps.append({key: result[key] for key in ("rate", "messages_per_s", "held", "behind_s", "latency_ms")})
        if not result["held"]:
            break
        highest, rate_hz = result["messages_per_s"], rate_hz + _STEP_HZ
    return {"highest_held_messages_per_s": highest, "ended_by_time": steps[-1]["held"], "steps": steps}


def _hold(scene: Scene, rate_hz: float, seconds: float) -> dict[str, Any]:
    scene.say(f"{rate_hz:,.0f} readings/s for {seconds:.0f} s")
    # Detectors have learned after so many readings of each signal: only then can a spike be expected to be found.
    options = load.options(signals=scene.signals, rate_hz=rate_hz)
    with Ground(scene.directory, durability=scene.durability) as ground:
        config = ground.config("node", node=_NODE, store=_STORE)
        with Running(ground, config) as running:
            generator = load.start_paced(ground, options, seconds)
            report = load.report_of(generator, seconds + 30.0)
            ended, last = time.perf_counter(), ground.last_seq()
            behind_s = max(0.0, running.wait_for(last, 30.0) - ended)
            cpu, stats = running.cpu(), running.node.stats()
            upkeep = running.node.housekeeping
            events = {
                "checkpoints": upkeep.checkpoints,
                "snapshots": stats["snapshots"],
                "lake_moves": upkeep.mover.moved,
            }
        latencies = ground.run(_latencies(ground))
        counts = check(config.data_dir, report, last)
    rate = report["messages_per_s"]
    held = rate >= _HELD * rate_hz and max(behind_s, report["worst_lag_s"]) < _BEHIND_MAX_S and counts["lost"] == 0
    return {
        "messages_per_s": round(rate),
        "rate": rate_hz,
        "held": held,
        "latency_ms": _quantiles(latencies),
        "commit_latency_ms": {
            key: round(summary(stats["storing_seconds"])[key] * 1e3, 1) for key in ("p50", "p95", "p99")
        },
        "seconds": round(report["seconds"], 2),
        "behind_s": round(behind_s, 3),
        "generator_behind_s": round(report["worst_lag_s"], 3),
        "signals": scene.signals,
        **counts,
        "windows_per_s_full": scene.signals / HOP_S,
        **events,
        "chunks": len(running.node.chunks),
        "stages": stages(running.node, stats, cpu, report["readings"]),
    }


async def _latencies(ground: Ground) -> list[float]:
    """Milliseconds from `Iotpm-Cause-Time` to the broker's own timestamp, for every event in the anomaly stream."""
    consumer = ConsumerConfig(ack_policy=AckPolicy.NONE, headers_only=True)
    names = ground.names
    subscription = await ground.js.pull_subscribe(
        names.anomaly_subjects[0], stream=names.anomaly_stream, config=consumer
    )
    milliseconds: list[float] = []
    while True:
        try:
            messages = await subscription.fetch(_BATCH, timeout=1.0)
        except (TimeoutError, nats.errors.TimeoutError):
            return milliseconds
        for message in messages:
            cause_us = int((message.headers or {})[subjects.CAUSE_TIME])
            milliseconds.append(message.metadata.timestamp.timestamp() * 1e3 - cause_us / 1e3)


def _quantiles(milliseconds: list[float]) -> dict[str, Any]:
    if not milliseconds:
        return {"p50": None, "p95": None, "p99": None, "events": 0}
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    worst = max(milliseconds)
    return {
        "p50": round(p50, 1),
        "p95": round(p95, 1),
        "p99": round(p99, 1),
        "max": round(worst, 1),
        "events": len(milliseconds),
    }
