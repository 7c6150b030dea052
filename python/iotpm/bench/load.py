"""What the benchmarks publish, by `_core.LoadGenerator`: in this process, or paced in one of its own.

python -m iotpm.bench.load URL OPTIONS_JSON UNTIL_JSON      prints the generator's report as JSON
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from iotpm import _core
from iotpm.errors import BrokerError

if TYPE_CHECKING:
    from iotpm.bench.ground import Ground, Scene

SPIKE_AFTER = 150
"""Readings of a signal before its first spike: its detectors have then learned."""
_HOUR_US = 3_600_000_000
# No common factor with the number of signals, so that every spike falls on another one.
_SPIKE_EVERY = 2_003


def past_us() -> int:
    """An hour ago: event times of a stream that is filled first and drained later."""
    return int(time.time() * 1e6) - _HOUR_US


def options(*, signals: int, **more: Any) -> dict[str, Any]:
    """Options of `LoadGenerator`: ten signals an asset, spikes at known places."""
    return {
        "signals": signals,
        "assets": max(1, signals // 10),
        "spike_every": _SPIKE_EVERY,
        "spike_after": SPIKE_AFTER,
        **more,
    }


def of_the_past(scene: Scene, **more: Any) -> dict[str, Any]:
    """Options of a stream that is filled first and drained later."""
    times = {"start_us": past_us(), "interval_us": round(scene.interval_ms * 1000)}
    return options(signals=scene.signals, **times, **more)


def fill(ground: Ground, load: dict[str, Any], messages: int) -> dict[str, Any]:
    """Publish as fast as the broker confirms; returns the generator's report.

    Raises:
        BrokerError: the broker did not confirm every message.
    """
    generator = _core.LoadGenerator(ground.connection, json.dumps(_as_durable(ground, load)))
    report: dict[str, Any] = generator.run(messages=messages)
    if report["acknowledged"] != messages:
        raise BrokerError(f"{messages} messages published, the broker confirmed {report['acknowledged']}")
    return report


def start_paced(ground: Ground, load: dict[str, Any], seconds: float) -> subprocess.Popen[str]:
    """A generator in a process of its own, that ends by itself after so many seconds."""
    until = json.dumps({"seconds": seconds})
    command = [
        sys.executable,
        "-m",
        "iotpm.bench.load",
        ground.connection,
        json.dumps(_as_durable(ground, load)),
        until,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _as_durable(ground: Ground, load: dict[str, Any]) -> dict[str, Any]:
    """Where every write is synced, batches are stored as one write."""
    return load | {"atomic": True} if ground.durability == "power" else load


def report_of(generator: subprocess.Popen[str], timeout_s: float) -> dict[str, Any]:
    """Wait for a paced generator and read its report.

    Raises:
        BrokerError: it failed.
    """
    try:
        out, _ = generator.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        generator.kill()
        raise BrokerError(f"the load generator did not end within {timeout_s:.0f} s") from None
    if generator.returncode != 0:
        raise BrokerError(f"the load generator ended with status {generator.returncode}")
    report: dict[str, Any] = json.loads(out)
    return report


def main() -> None:
    """Entry point of the process."""
    connection, load, until = sys.argv[1:]
    print(json.dumps(_core.LoadGenerator(connection, load).run(**json.loads(until))))


if __name__ == "__main__":
    main()
