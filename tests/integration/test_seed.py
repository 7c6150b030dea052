"""`iotpm seed`: the first live readings are scored mature, and a seeded node gives the same bytes at every start."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result
from tests.support.history import START_S, plant, stored
from tests.support.nodes import QUIET

from iotpm import subjects
from iotpm.backtest import FileHistory, Span, run
from iotpm.cli import main
from iotpm.client import connect
from iotpm.config import Config, Store
from iotpm.engine import Engine
from iotpm.errors import InputError, ResumeRefused, SnapshotError
from iotpm.node.service import Node
from iotpm.replay import open_source
from iotpm.replay.session import replay_config
from iotpm.reproduce import reproduce
from iotpm.seed import FILE, Seed
from iotpm.store.database import Database
from iotpm.store.digest import Digest, digests

HOUR_S = 3_600


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("history") / "files", rows=3_000, pumps=2)


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pumps two hours later; `flow` jumps at the third reading."""
    directory = tmp_path_factory.mktemp("later")
    for pump in range(2):
        values = np.round(50.0 + np.random.default_rng(100 + pump).normal(size=(600, 2)), 3)
        values[2:8, 0] += 40.0
        start = START_S + 2 * HOUR_S
        rows = [f"{start + second},{flow},{heat}" for second, (flow, heat) in enumerate(values.tolist())]
        (directory / f"pump-{pump}.csv").write_text("\n".join(["time,flow,heat", *rows, ""]))
    return directory


@pytest.fixture(scope="module")
def seed(history: Path) -> Seed:
    return learned(history)


def learned(files: Path, config: Config | None = None, shards: int = 1) -> Seed:
    return Seed.learn(FileHistory(open_source(files), Span(), 0.0), config or Config(), "history", shards=shards)


def node_store(later: Path, data_dir: Path, seed: Seed | None, config: Config | None = None) -> Path:
    if seed is not None:
        seed.write(data_dir)
    return stored(later, data_dir, config)


def digest(data_dir: Path) -> dict[str, Digest]:
    with Database(data_dir, Store(disk_reserve_bytes=0), partition="plant") as database:
        return digests(database)


def scored(engine: Engine, values: list[float]) -> pl.DataFrame:
    start_us = (START_S + 2 * HOUR_S) * 1_000_000
    times_us = start_us + 1_000_000 * np.arange(len(values))
    output = engine.push("replay/pump-0/flow", times_us, values, times_us)
    return pl.DataFrame(output.scores)


def test_the_first_readings_are_scored_by_mature_detectors(seed: Seed) -> None:
    values = [50.0, 51.0, 90.0, 50.0]
    warm, cold = scored(seed.engine(emit_scores=True), values), scored(Engine(emit_scores=True), values)
    assert set(warm["maturity"]) == {2}
    assert 2 not in set(cold["maturity"])
    assert warm["score"][2] > 2.0
    assert not (cold["score"].fill_nan(0.0) >= 1.0).any()


def test_a_seed_holds_no_counts_and_no_messages(seed: Seed) -> None:
    engine = seed.engine()
    stats = pl.DataFrame(engine.signal_stats())
    assert stats["readings"].sum() == stats["anomalies"].sum() == 0
    assert engine.counters()["readings"] == 0
    assert len(engine.push("replay/pump-0/flow", [(START_S + 9_000) * 1_000_000], [50.0]).signals) == 0


def test_the_same_history_gives_the_same_seed(history: Path, seed: Seed, tmp_path: Path) -> None:
    assert learned(history, shards=3) == seed
    path = seed.write(tmp_path)
    assert Seed.read(tmp_path) == seed
    assert path == tmp_path / FILE


def test_anomalies_that_were_open_do_not_end_in_the_new_stream(tmp_path: Path) -> None:
    """The history ends in the middle of one."""
    values = np.round(50.0 + np.random.default_rng(3).normal(size=1_000), 3)
    values[-4:] += 40.0
    rows = [f"{START_S + second},{value}" for second, value in enumerate(values.tolist())]
    (tmp_path / "pump.csv").write_text("\n".join(["time,flow", *rows, ""]))
    opened = run(FileHistory(open_source(tmp_path / "pump.csv"), Span(), 0.0), [Config()]).raised[0]
    assert [one.end_us for one in opened] == [None]
    engine = learned(tmp_path / "pump.csv").engine()
    times_us = (START_S + 9_000 + np.arange(100)) * 1_000_000
    calm = np.round(50.0 + np.random.default_rng(4).normal(size=100), 3)
    told = pl.DataFrame(engine.push("replay/pump/flow", times_us, calm, times_us).anomalies)
    assert opened[0].id not in set(told["id"])
    assert set(told["id"]) == set(told.filter(pl.col("revision") == 0)["id"])


def test_a_seeded_node_finds_at_once_what_a_cold_one_misses(seed: Seed, later: Path, tmp_path: Path) -> None:
    warm, cold = node_store(later, tmp_path / "warm", seed), node_store(later, tmp_path / "cold", None)
    jump_us = (START_S + 2 * HOUR_S + 2) * 1_000_000
    found = []
    for data_dir in (warm, cold):
        with connect(data_dir) as source:
            rows = [row for row in source.anomalies() if abs(row["start"] - jump_us) < 10_000_000]
            found.append({row["name"] for row in rows})
            signals = sorted(row["name"] for row in source.signals())
            assert len(signals) == len(set(signals)) == 4
    assert found == [{"replay/pump-0/flow", "replay/pump-1/flow"}, set()]


def test_the_store_records_its_seed(seed: Seed, later: Path, tmp_path: Path) -> None:
    data_dir = node_store(later, tmp_path / "data", seed)
    with connect(data_dir) as source:
        told = source.status()["seed"]
        rows = source.status()["stored"]["rows"]
    assert told == seed.facts.told
    assert (told["signals"], told["mature"]) == (4, 4)
    assert rows["readings"] == 2 * 2 * 600
    shown = CliRunner().invoke(main, ["status", "--data-dir", str(data_dir)]).stdout
    assert "4 signals, 4 mature, from history" in shown


def test_every_start_from_the_seed_gives_the_same_rows(seed: Seed, later: Path, tmp_path: Path) -> None:
    """Also a start that has lost all snapshots: it runs again from the seed and stores nothing twice."""
    first = node_store(later, tmp_path / "first", seed)
    second = node_store(later, tmp_path / "second", seed)
    wanted = digest(first)
    assert digest(second) == wanted
    for snapshot in (second / "state").glob("*.snap"):
        snapshot.unlink()
    with Node(replay_config(Config(), second), names=subjects.replay("plant"), harness=QUIET) as node:
        node.drain()
        node.run()
    assert digest(second) == wanted


def test_a_seeded_store_needs_its_seed(seed: Seed, later: Path, tmp_path: Path) -> None:
    data_dir = node_store(later, tmp_path / "data", seed)
    for snapshot in (data_dir / "state").glob("*.snap"):
        snapshot.unlink()
    other = Seed(seed.facts, seed.state[:-1])
    for spoil, words in (
        (lambda: other.write(data_dir), "damaged"),
        (lambda: (data_dir / FILE).unlink(), "is missing: this store began with it"),
    ):
        spoil()
        with pytest.raises(ResumeRefused, match=words):
            Node(replay_config(Config(), data_dir), names=subjects.replay("plant")).start()


def test_another_seed_than_the_recorded_one_is_refused(seed: Seed, later: Path, tmp_path: Path) -> None:
    data_dir = node_store(later, tmp_path / "data", seed)
    for snapshot in (data_dir / "state").glob("*.snap"):
        snapshot.unlink()
    learned(later).write(data_dir)
    with pytest.raises(ResumeRefused, match="not the seed that this store began with"):
        Node(replay_config(Config(), data_dir), names=subjects.replay("plant")).start()


def test_a_seed_of_another_configuration_is_refused(seed: Seed, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[[template]]\nema_boundary = 9.0\n")
    seed.write(tmp_path / "data")
    config = replay_config(Config.load(tmp_path / "other.toml"), tmp_path / "data")
    with pytest.raises(ResumeRefused, match="learned under another configuration"):
        Node(config, names=subjects.replay("plant")).start()


def test_alarms_of_a_seeded_node_are_reproduced(seed: Seed, later: Path, tmp_path: Path) -> None:
    data_dir = node_store(later, tmp_path / "data", seed)
    with connect(data_dir) as source:
        rows = list(source.anomalies())
    assert rows
    for row in rows:
        found = reproduce(data_dir, row["id"])
        assert found.equal, found.differences
        assert "with its seed" in found.start
    (data_dir / FILE).unlink()
    result = CliRunner().invoke(main, ["replay", "--anomaly", rows[0]["id"], "--data-dir", str(data_dir)])
    assert result.exit_code == 1
    assert "the seed that the epoch began with" in result.output


def seeded(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["seed", *map(str, arguments)])


def test_the_command_seeds_from_files_and_from_a_store(history: Path, seed: Seed, tmp_path: Path) -> None:
    from_files = seeded(history, "--data-dir", tmp_path / "a", "--json")
    assert from_files.exit_code == 0, from_files.output
    told: dict[str, Any] = json.loads(from_files.stdout)
    assert (told["readings"], told["maturity"]) == (seed.facts.readings, {"mature": 4})
    old = stored(history, tmp_path / "old")
    from_store = seeded("--dir", old, "--data-dir", tmp_path / "b")
    assert from_store.exit_code == 0, from_store.output
    assert "4 mature" in from_store.stdout
    learnt = Seed.read(tmp_path / "b")
    assert learnt is not None
    assert learnt.facts.readings == seed.facts.readings
    assert set(scored(learnt.engine(emit_scores=True), [50.0, 51.0])["maturity"]) == {2}


def test_a_node_that_has_begun_takes_no_seed(history: Path, later: Path, tmp_path: Path) -> None:
    data_dir = node_store(later, tmp_path / "data", None)
    result = seeded(history, "--data-dir", data_dir)
    assert result.exit_code == 1
    assert "its node has begun" in result.output
    assert not (data_dir / FILE).exists()


def test_what_cannot_seed_is_named(seed: Seed, tmp_path: Path) -> None:
    np.save(tmp_path / "motor.npy", np.zeros(3_000))
    refused = seeded(tmp_path / "motor.npy", "--rate-hz", "1000", "--data-dir", tmp_path / "data")
    assert refused.exit_code == 1
    assert "waveforms do not seed" in refused.output
    with pytest.raises(InputError):
        Seed.learn(FileHistory(open_source(_one_row(tmp_path)), Span(since_us=2**60), 0.0), Config(), "x")
    path = seed.write(tmp_path)
    whole = path.read_bytes()
    for data in (b"", whole[:50], whole[:-1], whole[:4] + b"\x09" + whole[5:], whole[:20] + b"\xff" + whole[21:]):
        path.write_bytes(data)
        with pytest.raises(SnapshotError):
            Seed.read(tmp_path)
    shutil.rmtree(tmp_path / "state")
    assert Seed.read(tmp_path) is None


def _one_row(directory: Path) -> Path:
    path = directory / "one.csv"
    path.write_text(f"time,x\n{START_S},1.0\n{START_S + 1},2.0\n")
    return path
