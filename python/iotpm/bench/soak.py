"""`soak`: a node process under steady load; whether its memory, open files and threads grow.

The slope is a straight line through the means of equal blocks of time after the warm-up (neighbouring samples resemble
each other, means of blocks hardly do), with Student's 95 % interval. What it means for a day is an extrapolation, and
the result says by how much.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iotpm.bench import load
from iotpm.bench.ground import Ground, Scene
from iotpm.errors import IotpmError
from iotpm.node.nodefile import NodeFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotpm.config import Config

BLOCKS = 20
STUDENT_95 = 2.101
"""Two-sided 95 % point of Student's distribution with `BLOCKS` - 2 degrees of freedom."""
JUDGED_LEAST_S = 3600.0
"""Below it buffers may still be filling, which looks like growth: nothing is decided."""
BAR_PERCENT = 1.0
"""Growth in 24 h that counts as none."""
_WARM_UP = 0.4
"""Part of the time in which buffers fill and detectors learn."""
_DAY_S = 86_400.0
_SAMPLE_S = 0.5
_START_S = 60.0
_END_S = 120.0
_STREAM_BYTES = 1 << 30
_INGEST = "from iotpm.cli.ingest import main; main()"
# Small enough that retention, checkpoints, moves and purges all happen within minutes; DuckDB's cache is full soon.
_NODE = {"snapshot_interval_s": 15.0}
_STORE = {"lake_after_rows": 500_000, "lake_slice_rows": 100_000, "memory_bytes": 256 << 20}


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process holds: seconds since the start, bytes, open files, threads."""

    at_s: float
    resident_bytes: int
    open_files: int
    threads: int


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through blocks: value at the middle, growth a day in percent with its 95 % interval."""

    mean: float
    percent_per_day: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """`flat`, `grows`, or `undecided`: watched too short a time to tell."""
        if self.low > BAR_PERCENT:
            return "grows"
        return "flat" if self.high <= BAR_PERCENT else "undecided"


def trend(at_s: Sequence[float], values: Sequence[float]) -> Trend:
    """Least squares through the means of `BLOCKS` equal parts of the samples.

    Raises:
        IotpmError: fewer than two samples a block.
    """
    if len(at_s) < 2 * BLOCKS:
        raise IotpmError(f"{len(at_s)} samples after the warm-up: at least {2 * BLOCKS} are needed, run longer")
    x = np.array([part.mean() for part in np.array_split(np.asarray(at_s, float), BLOCKS)])
    y = np.array([part.mean() for part in np.array_split(np.asarray(values, float), BLOCKS)])
    offset = x - x.mean()
    slope = float(offset @ y / (offset @ offset))
    residuals = y - y.mean() - slope * offset
    error = float(np.sqrt(residuals @ residuals / (BLOCKS - 2) / (offset @ offset)))
    mean = float(y.mean())
    scale = 100.0 * _DAY_S / mean if mean else 0.0
    low, high = slope - STUDENT_95 * error, slope + STUDENT_95 * error
    return Trend(round(mean, 1), *(round(value * scale, 2) for value in (slope, low, high)))


def measure(scene: Scene, *, minutes: float, rate_hz: float) -> dict[str, Any]:
    """Run a node for so many minutes at a steady rate and watch it from outside.

    Returns:
        `memory`, the broker's too: `mean` bytes, `percent_per_day` with its 95 % interval, `verdict` against
        `bar_percent_per_day`; `open_files` and `threads` as least, last and most; `ran_s`, `judged_s`, and
        `extrapolated_by`: how many times as long as what was judged a day is; `lost`.
    """
    with Ground(scene.directory, stream_bytes=_STREAM_BYTES) as ground:
        config = ground.config("node", node=_NODE, store=_STORE)
        with _node(ground.path, config) as node:
            scene.say(f"{rate_hz:,.0f} messages/s for {minutes:g} min; the first {_WARM_UP:.0%} are warm-up")
            options = load.options(signals=scene.signals, rate_hz=rate_hz, patient=True)
            generator = load.start_paced(ground, options, minutes * 60)
            pids = {"memory": node.pid, "broker_memory": ground.broker.pid or 0}
            samples = _watch(pids, generator, node)
            report = load.report_of(generator, _END_S)
            metrics = _settled(config, report["readings"])
    return {**_judged(samples), "rate": rate_hz, "signals": scene.signals, **_accounted(metrics, report)}


def _watch(
    pids: dict[str, int], generator: subprocess.Popen[str], node: subprocess.Popen[bytes]
) -> dict[str, list[Sample]]:
    began, samples = time.monotonic(), {name: list[Sample]() for name in pids}
    while generator.poll() is None and node.poll() is None:
        for name, pid in pids.items():
            samples[name].append(_sample(pid, time.monotonic() - began))
        time.sleep(_SAMPLE_S)
    return samples


def _sample(pid: int, at_s: float) -> Sample:
    process = Path(f"/proc/{pid}")
    lines = (process / "status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines if ":" in line)
    resident = int(status["VmRSS"].split()[0]) << 10
    return Sample(at_s, resident, sum(1 for _ in (process / "fd").iterdir()), int(status["Threads"]))


def _judged(samples: dict[str, list[Sample]]) -> dict[str, Any]:
    ran_s = samples["memory"][-1].at_s if samples["memory"] else 0.0
    warm = {name: [s for s in taken if s.at_s >= _WARM_UP * ran_s] for name, taken in samples.items()}
    judged_s = ran_s * (1 - _WARM_UP)
    found: dict[str, Any] = {}
    for name, taken in warm.items():
        line = trend([s.at_s for s in taken], [s.resident_bytes for s in taken])
        verdict = line.verdict if judged_s >= JUDGED_LEAST_S else "undecided"
        found[name] = {**asdict(line), "verdict": verdict}
    node = warm["memory"]
    return {
        **found,
        "bar_percent_per_day": BAR_PERCENT,
        "open_files": _range([s.open_files for s in node]),
        "threads": _range([s.threads for s in node]),
        "ran_s": round(ran_s, 1),
        "judged_s": round(judged_s, 1),
        "extrapolated_by": round(_DAY_S / judged_s, 1),
    }


def _range(values: Sequence[int]) -> dict[str, int]:
    return {"least": min(values), "last": values[-1], "most": max(values)}


def _accounted(metrics: dict[str, float], report: dict[str, Any]) -> dict[str, Any]:
    """Readings sent, and what the node says became of them."""
    kinds = ("events_processed", "late_readings", "dead_letters", "duplicate_readings")
    known = {kind: round(metrics.get(f"iotpm_{kind}_total", 0.0)) for kind in kinds}
    return {
        "readings": report["readings"],
        "refused": report["refused"],
        "lost": report["readings"] - sum(known.values()),
        "late": known["late_readings"],
        "dead_letters": known["dead_letters"],
        "lake_bytes": round(metrics.get("iotpm_lake_bytes", 0.0)),
    }


def _settled(config: Config, readings: int) -> dict[str, float]:
    """The node's metrics once all readings are committed, or after a while in which they were not."""
    deadline, metrics = time.monotonic() + _END_S, _metrics(config)
    while metrics.get("iotpm_consumer_lag", 1.0) > 0 and time.monotonic() < deadline:
        if metrics.get("iotpm_events_processed_total", 0.0) >= readings:
            break
        time.sleep(_SAMPLE_S)
        metrics = _metrics(config)
    return metrics


def _metrics(config: Config) -> dict[str, float]:
    found = NodeFile.of_running_node(config.data_dir)
    if found is None:
        raise IotpmError(f"{config.data_dir}: the node ended before its time")
    with urllib.request.urlopen(f"{found.http}/metrics", timeout=10) as answer:  # noqa: S310 - our own loopback port
        lines = answer.read().decode().splitlines()
    return {line.split("{")[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


@contextmanager
def _node(directory: Path, config: Config) -> Iterator[subprocess.Popen[bytes]]:
    """A node as a process of its own, drained at the end."""
    path, log_path = directory / "node.toml", directory / "node.log"
    path.write_text(_toml(config), "utf-8")
    with log_path.open("wb") as log:
        node = subprocess.Popen([sys.executable, "-c", _INGEST, "--config", str(path)], stdout=log, stderr=log)
    try:
        _wait(lambda: NodeFile.path(config.data_dir).exists(), node, log_path)
        yield node
        node.terminate()
        node.wait(_END_S)
    finally:
        node.kill()
        node.wait()


def _wait(ready: Callable[[], bool], node: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not ready():
        if node.poll() is not None or time.monotonic() > deadline:
            raise IotpmError(f"the node did not start: {log.read_text('utf-8', errors='replace')[-1000:]}")
        time.sleep(_SAMPLE_S / 10)


def _toml(config: Config) -> str:
    """The keys that this benchmark sets."""
    (template,) = config.templates
    sections: dict[str, dict[str, Any]] = {
        "nats": {"url": config.nats.url},
        "stream": {"max_bytes": config.stream.max_bytes},
        "node": {"data_dir": config.node.data_dir, "log_level": "warning", **_NODE},
        "store": _STORE,
    }
    lines = [f"[{name}]\n" + _keys(keys) for name, keys in sections.items()]
    window = {name: getattr(template, name) for name in ("window_s", "hop_s", "idle_timeout_s")}
    return "\n".join([*lines, "[[template]]\n" + _keys({"match": "*", **window})])


def _keys(keys: dict[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
