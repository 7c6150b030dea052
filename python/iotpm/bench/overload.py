"""`overload`: twice what is held, for some time, then nothing. What gets done meanwhile, and how soon all is done?

The load is open-loop: readings are due by the clock, whatever the node has done. What it has not done yet waits in the
stream; a stream that is full refuses, and its producers wait. Nothing is thrown away anywhere. Messages hold a reading
of each of an asset's 50 signals: single ones would overload the broker long before the node.

Generator and broker are on the same cores and take twice the work too, so the node gets less processor time than at its
capacity: what it does with each second of it is printed beside the goodput, and tells a collapse from a smaller share.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iotpm.bench import load
from iotpm.bench.checks import check
from iotpm.bench.ground import Ground, Scene
from iotpm.bench.measured import Running

if TYPE_CHECKING:
    from collections.abc import Callable

FACTOR = 2.0
_FIRST_HZ = 300_000.0
_GROWTH = 1.25
_STEP_S = 6.0
_WARM_UP_S = 10.0
_STEPS_MAX = 8
_PER_ASSET = 50
_BEHIND_MAX_S = 1.0
_HELD = 0.99
_RECOVERY_MAX_S = 240.0
# Rows and snapshots as in a node that runs for long: the lake takes what the store holds too much of.
_NODE = {"snapshot_interval_s": 30.0}
_STORE = {"lake_after_rows": 1_000_000, "lake_slice_rows": 100_000}


@dataclass(frozen=True, slots=True)
class Phase:
    """A time of constant load: what came, what was committed until it ended, how long the rest took."""

    offered_hz: float
    seconds: float
    report: dict[str, Any]
    committed: int
    behind_s: float
    lag: int
    node_cpu_s: float

    @property
    def arrived_hz(self) -> float:
        """Readings that the broker stored, a second."""
        return float(self.report["readings"]) / self.seconds

    @property
    def goodput_hz(self) -> float:
        """Readings committed while the load lasted, a second."""
        return self.committed / self.seconds

    @property
    def per_cpu_s(self) -> float:
        """Readings committed a second of the node's processor time."""
        return self.committed / self.node_cpu_s

    @property
    def held(self) -> bool:
        """Whether all that was due came, and was committed within a second."""
        late_s = max(self.behind_s, float(self.report["worst_lag_s"]))
        return self.arrived_hz >= _HELD * self.offered_hz and late_s < _BEHIND_MAX_S


def measure(scene: Scene, *, seconds: float, capacity_hz: float | None, stream_bytes: int) -> dict[str, Any]:
    """Find the capacity (or take `capacity_hz`), then load twice as much for `seconds`, then wait.

    Args:
        scene: signals, and where to work.
        seconds: how long the overload lasts.
        capacity_hz: readings a second; None measures it: the highest rate that one running node holds, in steps.
        stream_bytes: size of the stream, which bounds what can wait.

    Returns:
        `capacity_readings_per_s`, `goodput_readings_per_s` and their ratio `goodput`; `recovery_s` from the end of the
        load to the commit of its last message; `per_cpu_s`, readings a second of the node's processor time in the
        overload over those at the last rate that held; what was offered and what arrived; and SQL's word on all of it.
    """
    with Ground(scene.directory, stream_bytes=stream_bytes, durability=scene.durability) as ground:
        config = ground.config("node", node=_NODE, store=_STORE)
        with Running(ground, config) as running:
            course = _Course(ground, running, scene)
            calm = course.phase(_FIRST_HZ / 2, _WARM_UP_S)
            if capacity_hz is None:
                calm = course.capacity()
            capacity = capacity_hz or calm.goodput_hz
            over = course.phase(FACTOR * capacity, seconds)
            purges = running.node.stats()
            last = ground.last_seq()
        counts = check(config.data_dir, course.total(), last)
    return {
        "capacity_readings_per_s": round(capacity),
        "goodput_readings_per_s": round(over.goodput_hz),
        "goodput": round(over.goodput_hz / capacity, 3),
        "recovery_s": round(over.behind_s, 2),
        "lost": counts.pop("lost"),
        "per_cpu_s": round(over.per_cpu_s / calm.per_cpu_s, 3),
        "node_cores": round(over.node_cpu_s / over.seconds, 2),
        "seconds": round(over.seconds, 1),
        "offered_readings_per_s": round(over.offered_hz),
        "arrived_readings_per_s": round(over.arrived_hz),
        "waiting_messages": over.lag,
        "refused": over.report["refused"],
        "steps": course.steps,
        "signals": scene.signals,
        "snapshots": purges["snapshots"],
        **counts,
    }


class _Course:
    """One node through times of different load."""

    def __init__(self, ground: Ground, running: Running, scene: Scene) -> None:
        self._ground, self._running = ground, running
        self._say: Callable[[str], None] = scene.say
        self._signals = scene.signals
        self._reports: list[dict[str, Any]] = []
        self.steps: list[dict[str, Any]] = []

    def capacity(self) -> Phase:
        """The last step that held, each a quarter above the one before; the first one if even that did not."""
        rate_hz, best = _FIRST_HZ, None
        for _ in range(_STEPS_MAX):
            step = self.phase(rate_hz, _STEP_S)
            self.steps.append({"rate": round(rate_hz), "held": step.held, "behind_s": round(step.behind_s, 2)})
            if not step.held:
                return best or step
            best, rate_hz = step, rate_hz * _GROWTH
        assert best is not None
        return best

    def phase(self, rate_hz: float, seconds: float) -> Phase:
        """Offer so many readings a second, then wait until all are committed."""
        self._say(f"{rate_hz:,.0f} readings/s for {seconds:.0f} s")
        before = self._committed_readings()
        assets = max(1, self._signals // _PER_ASSET)
        each = {
            "format": "json_array",
            "assets": assets,
            "readings_per_message": self._signals // assets,
            "spike_every": 0,
        }
        options = load.options(signals=self._signals, rate_hz=rate_hz, patient=True, **each)
        cpu = time.process_time()
        generator = load.start_paced(self._ground, options, seconds)
        report = load.report_of(generator, seconds + _RECOVERY_MAX_S)
        ended, committed = time.perf_counter(), self._committed_readings() - before
        cpu = time.process_time() - cpu
        last = self._ground.last_seq()
        lag = last - self._running.committed_seq
        behind_s = max(0.0, self._running.wait_for(last, _RECOVERY_MAX_S) - ended)
        self._reports.append(report)
        return Phase(rate_hz, report["seconds"], report, committed, behind_s, lag, cpu)

    def _committed_readings(self) -> int:
        return sum(chunk.readings for chunk in self._running.node.chunks)

    def total(self) -> dict[str, Any]:
        """All phases as one report."""
        spikes = [spike for report in self._reports for spike in report["spikes"]]
        return {"readings": sum(report["readings"] for report in self._reports), "spikes": spikes}
