"""Waveform frames through a real broker, node and store: the same rows live, replayed and embedded, and in the lake."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from tests.support.embedded import stored
from tests.support.equal import VIRTUAL, Publishing, digests_through_a_node

from iotpm import _core, frames, subjects
from iotpm.client import connect
from iotpm.config import Config
from iotpm.engine import Engine
from iotpm.replay import open_source, session
from iotpm.simulate.waveform import BearingVibration, frame_messages
from iotpm.store.database import Database
from iotpm.store.digest import Digest, digests
from iotpm.store.lake import Lake
from iotpm.store.query import Query
from iotpm.virtual import Messages

if TYPE_CHECKING:
    from iotpm._core import Output

START_US = 1_700_000_000_000_000
FRAMES = 60
TEMPLATES: list[dict[str, Any]] = [
    {
        "match": "*", "modified_z_window": 24, "lateness_s": 1.5, "begin_count": 2, "begin_of": 3, "end_count": 3,
        "waveform": {
            "keep_every": 7, "keep_around_anomaly": 3, "speed_hz": 25.0, "bpfo": 3.5848, "bands_hz": [[10, 1000]],
            "features": ["rms", "kurtosis", "velocity_rms", "envelope_rms", "bpfo"],
        },
    }
]  # fmt: skip


def history() -> Messages:
    """Three channels of two pumps, one of them failing; some frames come late, twice, broken or not at all."""
    sources = {"a": BearingVibration(onset_s=25.0, rate_hz=6_400.0, resonance_hz=2_000.0)}
    sources |= {name: replace(sources["a"], onset_s=1e9, seed=k + 1) for k, name in enumerate("bc")}
    channels = [
        frame_messages(VIRTUAL, source, START_US, FRAMES, asset="pump1" if name == "c" else "pump0", signal=name)
        for name, source in sources.items()
    ]
    chance, whole, last = random.Random(4), Messages(), Messages()
    for number, channel in enumerate(zip(*channels, strict=True)):
        for messages in channel:
            if chance.random() < 0.9:
                whole.extend(messages)
            if chance.random() < 0.1:
                whole.extend(last)
            last = messages
        _special(number, whole)
    whole.end(VIRTUAL, whole.stream_times_us[-1])
    for at in range(1, len(whole)):
        whole.stream_times_us[at] = max(whole.stream_times_us[at - 1 : at + 1])
    return whole


def _special(number: int, whole: Messages) -> None:
    now_us = START_US + (number + 1) * 1_000_000
    if number == 10:
        whole.add(VIRTUAL.raw("plant", "pump0"), b"IPMW\x01\x00\x00\x00", now_us)
    if number == 20:
        late = frames.encode(np.ones(100), start_us=START_US + 10_500_000, rate_hz=100.0, signal="a")
        whole.add(VIRTUAL.raw("plant", "pump0"), late, now_us)
        broken = frames.encode([1.0, np.nan], start_us=now_us - 500_000, rate_hz=100.0, signal="a")
        whole.add(VIRTUAL.raw("plant", "pump0"), broken, now_us)
    if number == 40:
        changed = [TEMPLATES[0] | {"waveform": TEMPLATES[0]["waveform"] | {"features": ["peak", "rms"]}}]
        whole.add(VIRTUAL.control(subjects.CONFIGURATION), json.dumps(changed).encode(), now_us)
    if number == 45:
        silence = range(now_us + 1_000_000, now_us + 60_000_000, 10_000_000)
        for tick_us in silence:
            whole.tick(VIRTUAL, tick_us)


def embedded(messages: Messages, shards: int, pieces: int, *, restart: bool = False) -> Iterator[Output]:
    chance = random.Random(pieces)
    inner = sorted(chance.randrange(len(messages) + 1) for _ in range(pieces - 1))
    engine = Engine(TEMPLATES, shards=shards, emit_scores=True)
    for begin, end in pairwise([0, *inner, len(messages)]):
        part = messages.slice(begin, end)
        numbers = list(range(begin + 1, end + 1))
        yield engine.push_messages(part.subjects, part.payloads, numbers, part.stream_times_us)
        if restart:
            engine = Engine.restore(engine.snapshot(), shards=shards % 3 + 1, emit_scores=True)


def publish(url: str, messages: Messages) -> None:
    publisher = _core.Publisher(json.dumps({"url": url}))
    publisher.publish_many(messages.subjects, messages.payloads, None, messages.stream_times_us)
    publisher.flush()
    publisher.close()


def node_digests(directory: Path, messages: Messages, *, live: bool, **settings: Any) -> dict[str, Digest]:
    publishing = Publishing(len(messages), lambda url: publish(url, messages))
    return digests_through_a_node(directory, publishing, TEMPLATES, live=live, **settings)


@pytest.fixture(scope="module")
def messages() -> Messages:
    return history()


@pytest.fixture(scope="module")
def whole(messages: Messages, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Digest]:
    """Embedded, in one go, on one shard: what all others must equal."""
    return stored(tmp_path_factory.mktemp("whole"), embedded(messages, 1, 1))


def test_the_frames_have_everything_in_them(messages: Messages, whole: dict[str, Digest]) -> None:
    assert [table for table, found in whole.items() if found.rows == 0] == ["readings", "feedback"]
    engine = Engine(TEMPLATES)
    out = engine.push_messages(
        messages.subjects, messages.payloads, list(range(1, len(messages) + 1)), messages.stream_times_us
    )
    counters = engine.counters()
    wanted = (
        "duplicates",
        "late",
        "idle",
        "non_finite",
        "dead_letters",
        "controls",
        "waveforms_kept",
        "waveforms_dropped",
    )
    assert [name for name in wanted if counters[name] == 0] == []
    found = pl.DataFrame(out.anomalies)
    assert {"gap", "modified_z.bpfo", "modified_z.rms"} <= set(found["detector"]), found["detector"].unique()
    assert len(out.vibration) == len(out.windows) > len(out.waveforms)


def test_a_live_node_stores_the_same(tmp_path: Path, messages: Messages, whole: dict[str, Digest]) -> None:
    assert node_digests(tmp_path, messages, live=True, chunk_age_ms=1.0, shards=2) == whole


def test_a_second_replay_stores_the_same(tmp_path: Path, messages: Messages, whole: dict[str, Digest]) -> None:
    assert node_digests(tmp_path, messages, live=False, chunk_max_messages=37, shards=3) == whole


@pytest.mark.parametrize("shards", [1, 2, 3, 4])
def test_cuts_shards_and_restarts_change_nothing(
    tmp_path: Path, messages: Messages, whole: dict[str, Digest], shards: int
) -> None:
    assert stored(tmp_path / "cut", embedded(messages, shards, 5 * shards)) == whole
    assert stored(tmp_path / "restarted", embedded(messages, shards, 5 * shards, restart=True)) == whole


def test_a_file_is_replayed_through_a_node_as_through_the_engine(tmp_path: Path) -> None:
    path = tmp_path / "pump.npz"
    source = BearingVibration(onset_s=30.0, rate_hz=6_400.0, resonance_hz=2_000.0)
    np.savez(path, de=np.concatenate([source.frame(float(k)) for k in range(50)]), fs=source.rate_hz)
    toml = tmp_path / "plant.toml"
    toml.write_text('[[template]]\nunit = "m/s2"\nmodified_z_window = 24\n[template.waveform]\nkeep_every = 4\n')
    config = Config.load(toml, environ={}, dotenv=None)
    data_dir = tmp_path / "data"
    session.prepare(data_dir, path, fresh=False)
    session.through_node(open_source(path), session.replay_config(config, data_dir), "pump")
    stored_outcome, alone = session.outcome_of_store(data_dir), session.embedded(open_source(path), config)
    assert stored_outcome.windows == alone.windows == 50
    assert [row["detector"] for row in stored_outcome.anomalies] == [row["detector"] for row in alone.anomalies] != []
    with connect(data_dir) as store:
        counted = store.status()["stored"]["rows"]
        store.export("vibration", tmp_path / "vibration.parquet")
        store.export("waveforms", tmp_path / "waveforms.parquet")
    rows, kept = pl.read_parquet(tmp_path / "vibration.parquet"), pl.read_parquet(tmp_path / "waveforms.parquet")
    assert (counted["vibration"], counted["waveforms"]) == (50, kept.height)
    assert rows["signal"].unique().to_list() == ["replay/pump/de"]
    assert rows["velocity_rms"].null_count() == 0
    assert 13 <= kept.height < 50


def test_vibration_rows_move_to_the_lake_and_still_count(tmp_path: Path, messages: Messages) -> None:
    part = messages.slice(0, 120)
    out = next(embedded(part, 1, 1))
    with Database(tmp_path, Config().store) as database:
        from tests.support.embedded import OutputChunk

        from iotpm.store.progress import resume
        from iotpm.store.snapshots import Snapshots
        from iotpm.store.writer import Writer
        from iotpm.streams import StreamFacts

        facts = StreamFacts("embedded", 0, 1, 0, 0, 0, 0)
        Writer(database, resume(database, Snapshots(tmp_path), facts, None, None).position).commit(OutputChunk(out))
        before, rows = digests(database), Query(database).counts()["vibration"]
        moved = Lake(database).step_table("vibration", keep_rows=0)
        assert moved is not None
        assert moved.rows == rows > 0
        assert digests(database) == before
        assert len(Query(database).vibration(limit=1000).rows) == rows
