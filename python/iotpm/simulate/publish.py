"""The plant as a process of its own: `python -m iotpm.simulate.publish` publishes it in virtual time.

Its standard input has a JSON object (`run`, `name`, `connection`), and later a line that lets it go live after the
pre-roll. It prints JSON lines with `phase`, `plant_time_us`, `readings`, `messages` and `elapsed_s` now and then.
Phases: `preroll`, `ready` (waiting for that line), `live`, and `done` when the broker has stored everything. SIGTERM
ends the series where it is, cleanly.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from dataclasses import dataclass

from iotpm import _core, subjects
from iotpm.simulate.faults import FaultSchedule
from iotpm.simulate.plant import Plant, end_message, plant_messages
from iotpm.virtual import Messages, publish

REPORT_S = 0.25
SLICES = 10
"""Parts into which an interval's messages are spread."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is simulated, and how fast; the same values give the same plant, faults and messages."""

    assets: int
    seed: int
    interval_s: float
    preroll_intervals: int
    live_intervals: int
    time_scale: float
    fault_rate: float

    def plant(self) -> Plant:
        """The plant with its faults injected."""
        plant = Plant(self.assets, interval_s=self.interval_s, seed=self.seed)
        plant.inject(FaultSchedule(self.seed, self.fault_rate).faults(plant, self.live_us(plant), self.end_us(plant)))
        return plant

    def live_us(self, plant: Plant) -> int:
        """Plant time at which the pre-roll ends."""
        return plant.start_us + round(self.preroll_intervals * self.interval_s * 1e6)

    def end_us(self, plant: Plant) -> int:
        """Plant time at which the run ends."""
        return self.live_us(plant) + round(self.live_intervals * self.interval_s * 1e6)


class PlantPublisher:
    """Publishes the pre-roll as fast as the broker takes it, then interval by interval at the time scale."""

    def __init__(self, run: Run, names: subjects.Names, connection: str) -> None:
        self._run = run
        self._names = names
        self._plant = run.plant()
        self._publisher = _core.Publisher(connection)
        self._stopping = False
        self._began = time.monotonic()
        self._reported = 0.0
        self._readings = 0
        self._messages = 0

    def stop(self) -> None:
        """End the series after the slice under way."""
        self._stopping = True

    def publish(self) -> None:
        """Publish the whole run and report."""
        for batch in plant_messages(self._plant, self._names, self._run.preroll_intervals):
            self._send(batch, "preroll")
            if self._stopping:
                break
        self._publisher.flush()
        if not self._stopping:
            self._report("ready")
            sys.stdin.readline()
            self._live()
        self._send(end_message(self._plant, self._names), "live")
        self._publisher.flush()
        self._report("done")

    def _live(self) -> None:
        start, slice_s = time.monotonic(), self._run.interval_s / self._run.time_scale / SLICES
        turn = 0
        for batch in plant_messages(self._plant, self._names, self._run.live_intervals):
            if self._stopping:
                return
            size = -(-len(batch) // SLICES)
            for begin in range(0, len(batch), size):
                self._send(batch.slice(begin, begin + size), "live")
                turn += 1
                time.sleep(max(0.0, start + turn * slice_s - time.monotonic()))

    def _send(self, messages: Messages, phase: str) -> None:
        publish(self._publisher, messages)
        self._readings += messages.readings
        self._messages += len(messages)
        if time.monotonic() - self._reported >= REPORT_S:
            self._report(phase)

    def _report(self, phase: str) -> None:
        self._reported = time.monotonic()
        plant_time_us = self._plant.start_us + round(self._plant.tick_count * self._plant.interval_s * 1e6)
        line = {
            "phase": phase,
            "plant_time_us": plant_time_us,
            "readings": self._readings,
            "messages": self._messages,
            "elapsed_s": round(self._reported - self._began, 3),
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Publish a plant as told on standard input: one JSON object with `run`, `name` and `connection`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    told = json.loads(sys.stdin.readline())
    publisher = PlantPublisher(Run(**told["run"]), subjects.replay(told["name"]), json.dumps(told["connection"]))
    # Ctrl-C in a terminal reaches the whole group; the demo decides when the plant ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: publisher.stop())
    publisher.publish()


if __name__ == "__main__":
    main()
