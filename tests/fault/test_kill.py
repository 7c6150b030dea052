"""kill -9 of node, broker or both, again and again under load: nothing lost, nothing twice, nothing different.

`FAULT_KILLS` is the number of kills (25), `FAULT_SEED` chooses moments and data.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace
from tests.support.exactly_once import Verdict, verdict
from tests.support.figures import Figures
from tests.support.nodes import FOREVER, NodeProcess, Producer, configuration, wait_until
from tests.support.plant import TEMPLATES, Plant

from iotpm.broker import Broker, BrokerOptions
from iotpm.config import Config, Nats
from iotpm.errors import IotpmError

KILLS = int(os.environ.get("FAULT_KILLS", "25"))
SEED = int(os.environ.get("FAULT_SEED", "7"))
RATE_HZ = 1500.0
CALM = [{"match": "*", "unit": "Cel", "lateness_s": 0.5, "idle_timeout_s": 3600.0, "detectors": ["flatline"]}]
LAUNCHER = [sys.executable, str(Path(__file__).with_name("launch_node.py"))]


def settings(directory: Path, url: str, templates: list[dict[str, Any]] = TEMPLATES) -> Config:
    """Snapshots, checkpoints and moves to the lake all the time, and a broker that forgets message ids at once."""
    # One asset of each shard after a chunk: as in large plants, a snapshot is taken over several chunks.
    node = {"snapshot_interval_s": 1.0, "snapshot_messages": 100_000, "snapshot_slice_ms": 0, "emit_scores": True}
    store = FOREVER | {"checkpoint_wal_bytes": 1 << 20, "lake_after_rows": 5_000, "lake_slice_rows": 1_000}
    stream = {"duplicate_window_s": 0.1}
    return configuration(directory / "data", url, templates, node=node, store=store, stream=stream)


@dataclass(slots=True)
class Kill:
    """What was killed, and what that left behind: newest snapshot S and committed message W."""

    what: str
    snapshot: int = 0
    committed: int = 0
    through: int | None = None
    recovery_s: float | None = None


@dataclass(frozen=True, slots=True)
class EmbeddedBroker:
    """The nats-server of a node, which starts it again by itself."""

    directory: Path

    def kill(self) -> None:
        found = json.loads((self.directory / "broker.pid").read_bytes())
        with contextlib.suppress(ProcessLookupError):
            os.kill(found["server"]["pid"], signal.SIGKILL)

    def start(self) -> None:
        """The node does."""


@dataclass(slots=True)
class Killer:
    """Kills at random moments, and notes what the next start finds."""

    node: NodeProcess
    broker: Broker | EmbeddedBroker
    chance: random.Random
    kills: list[Kill] = field(default_factory=list)
    restarted: float = 0.0

    def strike(self, what: str, *, early: bool) -> None:
        """Kill and start again; `early` while the node is still recovering from the kill before."""
        if early:
            time.sleep(self.chance.uniform(0.1, 1.5))
        else:
            self._work()
        self._note()
        committed = self._committed() if what == "broker" else 0
        if "node" in what:
            self.node.kill()
            self._note()
        self.kills.append(Kill(what, self._newest_snapshot(), committed))
        if "broker" in what:
            self.broker.kill()
        self.restarted = time.monotonic()
        if "broker" in what:
            self.broker.start()
        if "node" in what:
            self.node.start()

    def recover(self) -> None:
        """Wait until something new is stored, and note how long that took since the start."""
        if self.kills and "node" in self.kills[-1].what:
            self.node.wait_event("resuming")
        self._note()
        before = self.kills[-1].committed if self.kills else 0
        self.node.wait(lambda: self.node.committed() > before, f"more than message {before} committed")
        if self.kills and self.kills[-1].recovery_s is None:
            self.kills[-1].recovery_s = time.monotonic() - self.restarted

    def _work(self) -> None:
        """Let it commit a random number of messages, and then go on for the length of a few chunks."""
        self.recover()
        goal = self.node.committed() + self.chance.randrange(300, 2000)
        self.node.wait(lambda: self.node.committed() >= goal, f"message {goal} committed")
        time.sleep(self.chance.uniform(0.0, 0.03))

    def _committed(self) -> int:
        self.node.wait(lambda: self.node.committed() > 0, "an answer")
        return self.node.committed()

    def _note(self) -> None:
        """A start that came as far as looking at the store says what the kills before it left."""
        for found in self.node.events("resuming"):
            for kill in self.kills:
                if "node" in kill.what and kill.committed == 0:
                    kill.snapshot, kill.committed = found["start"] - 1, found["committed"]
                    kill.through = found["snapshot_through"]

    def _newest_snapshot(self) -> int:
        names = [path.stem for path in (self.node.config.data_dir / "state").glob("*.snap")]
        return max(map(int, names), default=0)


def plan(kills: int, chance: random.Random) -> list[tuple[str, bool]]:
    """Of ten kills four hit the node, four both, two the broker; a node that just starts is hit too."""
    kinds = [("node", "node and broker", "node", "node and broker", "broker")[n % 5] for n in range(kills)]
    chance.shuffle(kinds)
    return [(kind, n > 0 and "node" in kind and chance.random() < 0.2) for n, kind in enumerate(kinds)]


def test_kills_at_random_moments_change_nothing(tmp_path: Path, record_property: Figures) -> None:
    chance = random.Random(SEED)
    with Broker(tmp_path / "broker") as broker:
        config = settings(tmp_path, broker.url)
        node = NodeProcess(config, tmp_path / "node")
        killer = Killer(node, broker, chance)
        plant = Plant(SEED)
        node.start_and_wait()
        begin = time.monotonic()
        with Producer(broker.url, plant, rate_hz=RATE_HZ) as producer:
            for what, early in plan(KILLS, chance):
                killer.strike(what, early=early)
            killer.recover()
            producer.finish()
        assert node.drain() == 0, node.log()[-3000:]
        seconds = time.monotonic() - begin
        found = verdict(config, broker.url, plant.outcomes, tmp_path)
    record_property("figures", f"{report(killer.kills, found, producer)}; {seconds:.0f} s under load")
    assert not found.findings, "\n".join(found.findings[:20])
    assert telling(killer.kills, found) >= 0.8 * KILLS, [
        (kill.what, kill.snapshot, kill.committed, found.stored.open_at(kill.committed)) for kill in killer.kills
    ]
    assert spread(killer.kills) > 0
    assert producer.repeated > 0
    assert found.repeats_dropped > 0
    assert {"limit", "gap"} <= found.stored.kinds


def test_kills_of_a_node_and_its_embedded_broker_change_nothing(tmp_path: Path, record_property: Figures) -> None:
    chance, plant = random.Random(SEED + 1), Plant(SEED + 1)
    url = f"nats://127.0.0.1:{free_port()}"
    config = settings(tmp_path, url)
    embedded = replace(config, nats=Nats(port=urlsplit(url).port or 0))
    node = NodeProcess(embedded, tmp_path / "node")
    killer = Killer(node, EmbeddedBroker(config.data_dir / "broker"), chance)
    node.start_and_wait()
    with Producer(url, plant, rate_hz=RATE_HZ) as producer:
        for what, early in plan(max(5, KILLS // 3), chance):
            killer.strike(what, early=early)
        killer.recover()
        producer.finish()
    assert node.drain() == 0, node.log()[-3000:]
    with Broker(config.data_dir / "broker", BrokerOptions(port=urlsplit(url).port or 0)):
        found = verdict(config, url, plant.outcomes, tmp_path)
    record_property("figures", f"embedded broker: {report(killer.kills, found, producer)}")
    assert not found.findings, "\n".join(found.findings[:20])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def telling(kills: list[Kill], found: Verdict) -> int:
    """Kills after which state had to be computed again while an alarm was open."""
    return sum(kill.snapshot < kill.committed and found.stored.open_at(kill.committed) > 0 for kill in kills)


def spread(kills: list[Kill]) -> int:
    """Kills after which a start went on from signals that were captured after different messages."""
    return sum(kill.through is not None and kill.through > kill.snapshot for kill in kills)


def report(kills: list[Kill], found: Verdict, producer: Producer) -> str:
    recoveries = sorted(kill.recovery_s for kill in kills if kill.recovery_s is not None)
    p95 = statistics.quantiles(recoveries, n=20, method="inclusive")[-1] if len(recoveries) > 1 else recoveries[0]
    with_snapshot = sum(kill.snapshot > 0 for kill in kills)
    return (
        f"kills {len(kills)}: lost {found.lost}, twice {found.twice}, tables that differ {found.different}; "
        f"{telling(kills, found)} with S < W and anomalies open ({with_snapshot} with a snapshot, {spread(kills)} with "
        f"one taken over several chunks); "
        f"messages {producer.published}, sent again {producer.repeated}, dropped as repeats {found.repeats_dropped}; "
        f"revisions {len(found.stored.revisions)}, lake files {found.stored.lake_files}; "
        f"recovery p50 {statistics.median(recoveries):.2f} s, p95 {p95:.2f} s"
    )


class Control:
    """The same checks over a few kills at chosen points of the commit: as it is, and broken on purpose."""

    def __init__(self, directory: Path, broken: str, *, numbered: bool = True, calm: bool = False) -> None:
        self._directory, self._broken, self._numbered = directory, broken, numbered
        self._templates = CALM if calm else TEMPLATES

    def findings(self, deaths: list[str]) -> list[str]:
        """What is wrong in the end; a node that refuses to go on is a finding too."""
        with Broker(self._directory / "broker") as broker:
            config = settings(self._directory, broker.url, self._templates)
            plant = Plant(SEED)
            with Producer(broker.url, plant, rate_hz=RATE_HZ, numbered=self._numbered) as producer:
                for number, death in enumerate(deaths):
                    node = self._run(config, number, death)
                    if node.ended() != -signal.SIGKILL:
                        return [f"the node ended by itself: {node.log()[-1000:]}"]
                wait_until(lambda: producer.repeated > 0 or producer.failed, "the producer repeats itself")
                producer.finish()
            try:
                return verdict(config, broker.url, plant.outcomes, self._directory).findings
            except IotpmError as error:
                return [repr(error)]

    def _run(self, config: Config, number: int, death: str) -> NodeProcess:
        environment = {"FAULT_DIE": death, "FAULT_BREAK": self._broken}
        node = NodeProcess(config, self._directory / f"node-{number}", LAUNCHER, **environment)
        node.start()
        return node


DEATHS = ["rows:40", "begun:60", "before_commit:80", "committed:30"]


def test_kills_at_every_point_of_a_commit_change_nothing(tmp_path: Path) -> None:
    assert Control(tmp_path, "").findings(DEATHS) == []


def test_moving_the_position_before_the_rows_is_caught(tmp_path: Path) -> None:
    """Without alarms, whose numbers the node itself would miss at the next start. An even visit is one of the rows'."""
    findings = Control(tmp_path, "progress_first", calm=True).findings(["rows:8"])
    assert any(line.startswith("lost: reading") for line in findings), findings[:10]


def test_storing_again_what_is_read_again_is_caught(tmp_path: Path) -> None:
    """The store itself refuses a chunk that it has; the comparison sees one that it has in part."""
    findings = Control(tmp_path, "no_discard").findings(DEATHS)
    assert any("is stored" in line or line.startswith("twice") for line in findings), findings[:10]


def test_a_producer_without_numbers_is_caught(tmp_path: Path) -> None:
    findings = Control(tmp_path, "", numbered=False).findings(["committed:40"])
    assert any(line.startswith("twice") for line in findings), findings[:10]
