"""Memory of the engine's state per signal, start-up of a node, size of the wheel.

    python -m iotpm.bench.memory SIGNALS      prints what an engine of so many signals takes, as JSON

Each engine runs in a process of its own, so that nothing of another one is counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iotpm import _core
from iotpm.bench.usage import resident_bytes
from iotpm.errors import IotpmError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SECOND_US = 1_000_000
_START_US = 1_700_000_000 * _SECOND_US
# One reading a second and windows of 300 readings, as in `iotpm bench engine`: every ring is full after so many rounds.
_TEMPLATE = {"match": "*", "window_s": 300.0, "hop_s": 100.0}
_ROUNDS = 320
_TIMEOUT_S = 85.0
_POLL_S = 0.005


def measure(*, counts: Sequence[int], dist: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Memory for each number of signals, times of a fresh node's start and end, size of the newest wheel.

    Returns:
        `signals`: a list with `bytes_per_signal`, `resident_bytes` and `snapshot_bytes`;
        `multiresolution_bytes_per_signal`; `start_seconds` from the command to ready, `drain_seconds` from SIGTERM to
        the end, `import_seconds`, `wheel_bytes` (None without one).
    """
    engines = []
    for count in counts:
        say(f"{count:,} signals")
        engines.append(_in_child(count))
    say("a month of one signal in multi-resolution statistics")
    statistics = {"multiresolution_bytes_per_signal": multiresolution_memory()}
    say("starting a node")
    return {"signals": engines, **statistics, **_node(), "wheel_bytes": _wheel_bytes(dist)}


def multiresolution_memory() -> int:
    """State of the statistics of one signal over all horizons, once a month of a reading a second has filled them."""
    import numpy as np

    from iotpm.features import MultiResolution

    statistics = MultiResolution()
    rng = np.random.default_rng(1)
    day = np.arange(86_400, dtype=np.int64) * _SECOND_US
    for at in range(31):
        statistics.push(_START_US + at * 86_400 * _SECOND_US + day, rng.normal(20.0, 1.0, day.size))
    return statistics.nbytes


def engine_memory(signals: int) -> dict[str, Any]:
    """Fill an engine of so many signals in this process and weigh it."""
    import numpy as np

    options = {"templates": [_TEMPLATE], "max_signals": signals, "shards": 1}
    rng = np.random.default_rng(1)
    before = resident_bytes()
    engine = _core.Engine(json.dumps(options))
    ids = np.array([engine.signal_id(f"plant/pump-{i // 10:05}/signal_{i % 10}") for i in range(signals)], np.uint32)
    for step in range(_ROUNDS):
        times = np.full(signals, _START_US + step * _SECOND_US, np.int64)
        engine.push(ids, times, rng.normal(20.0, 1.0, signals).round(2))
    after = resident_bytes()
    return {
        "signals": signals,
        "bytes_per_signal": round((after - before) / signals),
        "resident_bytes": after,
        "snapshot_bytes": len(engine.snapshot()),
    }


def _in_child(signals: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "iotpm.bench.memory", str(signals)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise IotpmError(f"the engine of {signals} signals failed: {done.stderr.strip()[-500:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _node() -> dict[str, Any]:
    """A node with an embedded broker and an empty directory, from the command to ready and from SIGTERM to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import iotpm"], check=True)
    imported = time.perf_counter() - began
    with tempfile.TemporaryDirectory(prefix="iotpm-bench-") as directory:
        command = [sys.executable, "-c", "from iotpm.cli.ingest import main; main()", "--data-dir", directory]
        began = time.perf_counter()
        node = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            ready = _wait(node, Path(directory) / "node.json") - began
            resident = resident_bytes(node.pid)
            node.terminate()
            began = time.perf_counter()
            node.wait(_TIMEOUT_S)
        finally:
            node.kill()
            node.wait()
    return {
        "import_seconds": round(imported, 3),
        "start_seconds": round(ready, 3),
        "drain_seconds": round(time.perf_counter() - began, 3),
        "node_resident_bytes": resident,
    }


def _wait(node: subprocess.Popen[bytes], file: Path) -> float:
    """When the node had left its file; that is the last step of its start."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not file.exists():
        if node.poll() is not None or time.monotonic() > deadline:
            raise IotpmError(f"the node was not ready within {_TIMEOUT_S:.0f} s (status {node.returncode})")
        time.sleep(_POLL_S)
    return time.perf_counter()


def _wheel_bytes(dist: Path) -> int | None:
    wheels = sorted(dist.glob("iotpm-*.whl"), key=lambda path: path.stat().st_mtime)
    return wheels[-1].stat().st_size if wheels else None


if __name__ == "__main__":
    print(json.dumps(engine_memory(int(sys.argv[1]))))
