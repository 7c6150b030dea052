"""The demo: a simulated plant through a real broker, node and store, and an honest account of what was found."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from iotpm import subjects
from iotpm.config import Config, Limits, Template
from iotpm.config import Node as NodeSettings
from iotpm.errors import IotpmError
from iotpm.node.service import Node
from iotpm.simulate.faults import Fault, FaultSchedule
from iotpm.simulate.publish import Run
from iotpm.simulate.score import Alarm, HitRule, Score, score_run
from iotpm.simulate.screen import AnomalyLine, Screen, ScreenState
from iotpm.store.database import Database

NAME = "demo"
MARK = ".demo"
REFRESH_S = 0.25
NEWEST = 30


class Demo:
    """One run of the demo in `data_dir`, which an earlier demo may have left and this one starts anew."""

    def __init__(self, run: Run, data_dir: Path) -> None:
        self.run = run
        self.data_dir = data_dir
        self.plant = run.plant()
        start_us, end_us = run.live_us(self.plant), run.end_us(self.plant)
        self.faults = FaultSchedule(run.seed, run.fault_rate).faults(self.plant, start_us, end_us)
        self.state = ScreenState(
            assets=run.assets,
            signals=len(self.plant.names),
            total_s=run.live_intervals * run.interval_s / run.time_scale,
            time_scale=run.time_scale,
        )
        self.progress: dict[str, Any] = {"phase": "starting", "readings": 0, "messages": 0, "plant_time_us": None}
        self._stopping = threading.Event()
        self._baseline: dict[str, Any] | None = None
        self._failure: BaseException | None = None
        self._counted = (time.monotonic(), 0)

    def stop(self) -> None:
        """End the plant early; what was published is still stored, scored and judged."""
        self._stopping.set()

    def play(self, screen: Screen) -> dict[str, Any]:
        """Run broker, node and plant to the end and return the account.

        Raises:
            IotpmError: what ended the node or the plant.
        """
        prepare(self.data_dir)
        with Node(self._config(), names=subjects.replay(NAME)) as node:
            watcher = threading.Thread(target=self._watch, args=(node, screen), name="iotpm-demo", daemon=True)
            watcher.start()
            node.run()
            stats = node.stats()
            watcher.join()
        if self._failure:
            raise self._failure
        return self._account(stats)

    def _config(self) -> Config:
        templates = tuple(msgspec.convert(self.plant.templates(), list[Template]))
        node = NodeSettings(data_dir=str(self.data_dir), site=self.plant.site)
        limits = Limits(max_signals=max(100_000, len(self.plant.names)))
        return Config(node=node, limits=limits, templates=templates)

    def _watch(self, node: Node, screen: Screen) -> None:
        """Feed the plant's reports to the screen until everything published is committed, then drain the node."""
        try:
            with screen, self._plant_process(node.url) as process:
                self._follow(process, node, screen)
        except BaseException as error:
            self._failure = error
        finally:
            node.drain()

    @contextmanager
    def _plant_process(self, url: str) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "iotpm.simulate.publish"]
        told = {"run": asdict(self.run), "name": NAME, "connection": {"url": url}}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdin is not None
                process.stdin.write(json.dumps(told) + "\n")
                process.stdin.flush()
                threading.Thread(target=self._read_reports, args=(process,), daemon=True).start()
                yield process
            finally:
                process.terminate()

    def _read_reports(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.progress = json.loads(line)

    def _follow(self, process: subprocess.Popen[str], node: Node, screen: Screen) -> None:
        told_to_stop = False
        while not self._is_done(node):
            if process.poll() not in (None, 0):
                assert process.stderr is not None
                raise IotpmError(f"the simulated plant ended early: {process.stderr.read()[-2000:]}")
            if self._stopping.is_set() and not told_to_stop:
                process.terminate()
                told_to_stop = True
            self._go_live_when_caught_up(process, node)
            self._refresh(node)
            screen.show(self.state)
            time.sleep(REFRESH_S)
        self._refresh(node)
        screen.show(self.state)

    def _go_live_when_caught_up(self, process: subprocess.Popen[str], node: Node) -> None:
        """The pre-roll came as fast as the broker took it; latency is worth measuring once it has been worked off."""
        if self._baseline is None and self.progress["phase"] == "ready" and self._has_committed(node):
            assert process.stdin is not None
            self._baseline = node.stats()
            process.stdin.write("go\n")
            process.stdin.flush()

    def _is_done(self, node: Node) -> bool:
        return self.progress["phase"] == "done" and self._has_committed(node)

    def _has_committed(self, node: Node) -> bool:
        return node.writer.position.seq >= int(self.progress["messages"])

    def _refresh(self, node: Node) -> None:
        stats, state, progress = node.stats(), self.state, self.progress
        state.phase = progress["phase"]
        if self._baseline is not None:
            state.latency_p50_ms = percentile_ms(stats["scoring_seconds"], self._baseline["scoring_seconds"], 0.50)
            state.latency_p99_ms = percentile_ms(stats["scoring_seconds"], self._baseline["scoring_seconds"], 0.99)
        self._measure_rate(stats["accepted"])
        state.lag_messages = stats["lag"]
        state.anomalies = stats["anomalies"]
        state.plant_time_us = progress["plant_time_us"]
        live_us = self.run.live_us(self.plant)
        if state.plant_time_us is not None:
            state.elapsed_s = max(0.0, (state.plant_time_us - live_us) / 1e6 / self.run.time_scale)
            state.injected = self._injected_until(state.plant_time_us)
        with node.database.cursor() as cursor:
            state.newest = [AnomalyLine(*row) for row in cursor.execute(NEWEST_SQL, [NEWEST]).fetchall()]

    def _measure_rate(self, readings: int) -> None:
        """Once a second; between two chunks the count stands still."""
        now, (then, before) = time.monotonic(), self._counted
        self.state.readings = readings
        if now - then >= 1.0:
            self.state.add_rate((readings - before) / (now - then))
            self._counted = (now, readings)

    def _injected_until(self, time_us: int) -> dict[str, int]:
        counts: dict[str, int] = {}
        for fault in self.faults:
            if fault.start_us <= time_us:
                counts[fault.kind] = counts.get(fault.kind, 0) + 1
        return counts

    def _account(self, stats: dict[str, Any]) -> dict[str, Any]:
        """What was stored, found, missed and falsely raised."""
        database = Database.read_only(self.data_dir, Config().store)
        with database, database.cursor() as cursor:
            stored = int((cursor.execute("SELECT count(*) FROM readings").fetchone() or (0,))[0])
            alarms = [Alarm(*row) for row in cursor.execute(ALARMS_SQL).fetchall()]
        score = self._score(alarms)
        accounted = stored + stats["late"] + stats["duplicates"] + stats["dead_letters"]
        baseline = (self._baseline or stats)["scoring_seconds"]
        latency = {
            f"p{share}": percentile_ms(stats["scoring_seconds"], baseline, share / 100) for share in (50, 95, 99)
        }
        return {
            "readings": stored,
            "published": self.progress["readings"],
            "lost": self.progress["readings"] - accounted,
            **score.to_dict(),
            "preroll_anomalies": sum(alarm.time_us < self.run.live_us(self.plant) for alarm in alarms),
            "latency_ms": latency,
            "readings_per_s": round(max(self.state.rate_history, default=0)),
            "database": str(database.path.absolute()),
            "score": score,
        }

    def _score(self, alarms: list[Alarm]) -> Score:
        start_us = self.run.live_us(self.plant)
        end_us = min(self.run.end_us(self.plant), self.progress["plant_time_us"] or start_us)
        faults: list[Fault] = [fault for fault in self.faults if fault.start_us < end_us]
        rule = HitRule.for_interval(self.run.interval_s)
        return score_run(faults, alarms, self.plant.names, start_us, end_us, rule, self.run.seed)


NEWEST_SQL = """
    SELECT epoch_us(time), name, kind, severity, peak_score, peak_value, expected
    FROM anomaly_log WHERE state = 'begin' ORDER BY seq DESC, position DESC, name LIMIT ?"""
ALARMS_SQL = "SELECT name, epoch_us(time), kind, detector FROM anomaly_log WHERE state = 'begin'"


def prepare(data_dir: Path) -> None:
    """Make an empty directory; one that an earlier demo left is emptied.

    Raises:
        IotpmError: it holds something else.
    """
    if data_dir.exists() and any(data_dir.iterdir()):
        if not (data_dir / MARK).exists():
            raise IotpmError(f"{data_dir} is not empty and no demo's: choose another --data-dir")
        shutil.rmtree(data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / MARK).touch()


def percentile_ms(now: dict[str, Any], before: dict[str, Any], share: float) -> float | None:
    """Quantile of what a histogram recorded since an earlier reading of it, milliseconds.

    Within its bucket the values are taken to lie evenly, as Prometheus' `histogram_quantile` does: the figure is exact
    to the width of a bucket, and no further.
    """
    earlier = dict(before["buckets"])
    counts = [(bound, count - earlier.get(bound, 0)) for bound, count in now["buckets"]]
    total = now["count"] - before["count"]
    if total <= 0:
        return None
    low, below = 0.0, 0
    for bound, count in counts:
        if count >= share * total:
            within = (share * total - below) / (count - below)
            return float(round((low + within * (bound - low)) * 1e3, 2))
        low, below = bound, count
    return round(float(now["max"]) * 1e3, 2)
