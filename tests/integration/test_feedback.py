"""Labels through a real broker, node and store: they act from their message on, survive a crash, and are all kept."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import nats
import numpy as np
import pytest
from click.testing import CliRunner
from tests.integration.test_cli_queries import NODE
from tests.support.nodes import NodeProcess, configuration, wait_until

from iotpm import Engine, _core, feedback
from iotpm.cli import main
from iotpm.client import connect
from iotpm.errors import InputError, StoreError
from iotpm.node.nodefile import NodeFile

START_US = 1_600_000_000_000_000
QUIET, HIGH = 150, 12
TEMPLATE: dict[str, Any] = {
    "match": "*", "detectors": ["modified_z"], "begin_count": 2, "begin_of": 4, "end_count": 5, "repeat_s": 0.0,
}  # fmt: skip
NAMES = "id name kind state start end revision peak_score direction seq"


class Pump:
    """A node with one signal, whose excursions are published one by one."""

    def __init__(self, root: Path) -> None:
        self.config = configuration(root / "data", "", [TEMPLATE])
        self.node = NodeProcess(self.config, root / "node", [sys.executable, "-c", NODE])
        self.second = 0
        self.start()

    def start(self) -> None:
        self.node.start()
        self.node.wait_event("node_started")
        found = NodeFile.of_running_node(self.data_dir)
        assert found is not None
        self.url = found.url

    @property
    def data_dir(self) -> Path:
        return self.config.data_dir

    def excursion(self, height: float, quiet: int = QUIET) -> list[dict[str, Any]]:
        """Publish quiet readings, an excursion and quiet ones; the anomalies told for the first time."""
        before = {row["id"] for row in self.anomalies()}
        values = 20.0 + np.random.default_rng(5).uniform(-0.5, 0.5, 2 * quiet + HIGH)
        values[quiet : quiet + HIGH] += height
        times = START_US + (self.second + np.arange(len(values))) * 1_000_000
        self.second += len(values)
        rows = [{"metric": "flow", "timestamp": t, "value": v} for t, v in zip(times.tolist(), values, strict=True)]
        publisher = _core.Publisher(json.dumps({"url": self.url}))
        publisher.publish_many(
            ["iotpm.trial.raw.plant.pump"], [json.dumps(rows).encode()], stream_times_us=[int(times[-1])]
        )
        publisher.flush()
        publisher.close()
        last = asyncio.run(messages(self.url))[-1][0]
        wait_until(lambda: self.committed() >= last, "everything committed")
        return [row for row in self.anomalies() if row["id"] not in before]

    def committed(self) -> int:
        with connect(self.data_dir) as source:
            return int(source.status()["committed_sequence"])

    def anomalies(self) -> list[dict[str, Any]]:
        with connect(self.data_dir) as source:
            return list(source.anomalies())

    def say(self, *words: str) -> list[dict[str, Any]]:
        result = CliRunner().invoke(main, ["feedback", *words, "--json", "--data-dir", str(self.data_dir)])
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]


async def messages(url: str) -> list[tuple[int, str, bytes, int, int]]:
    """Sequence, subject, payload, stored time and stream time of everything in the stream."""
    client = await nats.connect(url)
    js = client.jetstream()
    info = await js.stream_info("RAW_trial")
    out = []
    for seq in range(info.state.first_seq, info.state.last_seq + 1):
        found = await js.get_msg("RAW_trial", seq)
        stored_us = 0 if found.time is None else int(found.time.timestamp() * 1e6)
        stream_us = int((found.headers or {}).get("Iotpm-Time", stored_us))
        out.append((seq, str(found.subject), found.data or b"", stored_us, stream_us))
    await client.close()
    return out


@pytest.fixture(scope="module")
def pump(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pump]:
    pump = Pump(tmp_path_factory.mktemp("feedback"))
    try:
        yield pump
    finally:
        if pump.node.running:
            pump.node.kill()


def test_a_label_acts_is_withdrawn_survives_a_crash_and_is_kept(pump: Pump) -> None:
    (first,) = pump.excursion(6.0, 2 * QUIET)
    (said,) = pump.say(first["id"][:8], "false", "--by", "ana", "--note", "a flush")
    assert pump.excursion(6.0) == []
    (greater,) = pump.excursion(20.0)

    pump.node.kill()
    pump.start()
    assert pump.excursion(6.0) == []

    pump.say("withdraw", said["id"], "--by", "bob")
    (again,) = pump.excursion(6.0)
    pump.say(again["id"], "true")

    when = START_US + pump.second * 1_000_000
    span = [f"{np.datetime64(us, 'us')}Z" for us in (when, when + 3600 * 1_000_000)]
    (worked,) = pump.say("maintenance", "--asset", "plant/pump", "--from", span[0], "--to", span[1])
    assert (worked["name"], pump.excursion(20.0)) == ("plant/pump", [])

    in_force = pump.say("list")
    assert [(row["label"], row["anomaly"]) for row in in_force] == [("true", again["id"]), ("maintenance", None)]
    with connect(pump.data_dir) as source:
        status = source.status()
        assert (status["muted"], status["maintenance"]) == (2, 2 * QUIET + HIGH)
        assert feedback.by_anomaly(source)[again["id"]]["label"] == "true"
        _refusals(source, greater["id"])
    told = CliRunner().invoke(main, ["explain", again["id"], "--data-dir", str(pump.data_dir)])
    assert "true (label" in told.stdout

    stored = asyncio.run(messages(pump.url))
    assert pump.node.drain() == 0, pump.node.log()
    _audit(pump, said["id"])
    _embedded_agrees(pump, stored)


def _refusals(source: Any, anomaly_id: str) -> None:
    with pytest.raises(InputError, match="must be one of true, false, maintenance"):
        feedback.label(source, anomaly_id, "perhaps")
    with pytest.raises(InputError, match="none of that number is in force"):
        feedback.withdraw(source, "nothing")
    with pytest.raises(InputError, match="no such asset or signal"):
        feedback.label_span(source, "plant/fan", 0, 1, "maintenance")
    # One that the node refuses: it comes back with the reason, and as a dead letter.
    row = next(row for row in source.anomalies() if row["id"] == anomaly_id)
    with pytest.raises(InputError, match=r"author: must not be empty"):
        feedback.label(source, row["id"], "true", author="")


def _audit(pump: Pump, label_id: str) -> None:
    """Every message has its row, withdrawn labels too; a stopped node takes none."""
    with connect(pump.data_dir) as source:
        rows = list(source.feedback())
        with pytest.raises(StoreError, match="no node runs"):
            feedback.withdraw(source, rows[-1]["id"])
    assert [row["action"] for row in rows] == ["label", "withdraw", "label", "label"]
    assert [row["author"] for row in rows if row["id"] == label_id] == ["ana", "bob"]
    assert rows[0]["note"] == "a flush"
    assert all(row["said_at"] is not None and row["stored_at"] is not None for row in rows)


def _embedded_agrees(pump: Pump, stored: list[tuple[int, str, bytes, int, int]]) -> None:
    """The engine gives what the node stored, from the stream alone."""
    engine = Engine([TEMPLATE], shards=2)
    own = [(s, subject.replace("iotpm.trial.raw", "iotpm.raw").replace(".trial.", ".0."), p, t, v)
           for s, subject, p, t, v in stored]  # fmt: skip
    sequences, subjects, payloads, stored_us, stream_us = map(list, zip(*own, strict=True))
    output = engine.push_messages(subjects, payloads, sequences, stored_us, virtual_times_us=stream_us)
    names = ", ".join(f'"{name}"' for name in NAMES.split())
    with duckdb.connect() as memory, duckdb.connect(str(pump.data_dir / "iotpm.duckdb"), read_only=True) as store:
        memory.register("anomaly_log", output.anomalies)
        query = f"SELECT {names} FROM anomaly_log ORDER BY seq, position, id, revision"
        assert memory.execute(query).fetchall() == store.execute(query).fetchall()
    assert engine.counters()["muted"] == 2
