"""A replay and a simulation through a real broker and through the embedded engine: the same messages, the same rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from iotpm import Engine, _core, subjects
from iotpm.broker import Broker
from iotpm.config import Nats, Stream
from iotpm.replay import Source, open_source, replay_messages, replay_stream
from iotpm.simulate import FaultSchedule, Plant
from iotpm.simulate.trial import run_trial
from iotpm.streams import connect, ensure_streams
from iotpm.virtual import EMBEDDED, rebatched, run_embedded

NAMES = subjects.replay("trial")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Two assets of three signals with a spike, a NaN, a row out of order and a gap."""
    folder = tmp_path / "files"
    folder.mkdir()
    for seed, name in enumerate(("left.csv", "right.csv")):
        rng = np.random.default_rng(seed)
        values = 50.0 + rng.normal(size=(900, 3))
        values[500, 1] += 60.0
        seconds = np.arange(900) + np.where(np.arange(900) >= 700, 3600, 0)
        seconds[[300, 301]] = seconds[[301, 300]]
        rows = [
            f"{1583755200 + s},{a!r},{b!r},{c!r}"
            for s, (a, b, c) in zip(seconds.tolist(), values.tolist(), strict=True)
        ]
        rows[100] = rows[100].rsplit(",", 1)[0] + ",nan"
        (folder / name).write_text("ts,a,b,c\n" + "\n".join(rows) + "\n")
    return open_source(folder)


async def test_the_stream_holds_the_generated_messages(broker: Broker, source: Source) -> None:
    client = await connect(Nats(), url=broker.url)
    js = client.jetstream()
    await ensure_streams(js, NAMES, Stream(max_bytes=1 << 26, anomaly_max_bytes=1 << 20))
    publisher = _core.Publisher(json.dumps({"url": broker.url}))
    done = replay_stream(source, publisher, NAMES.partition)
    publisher.close()
    wanted = [
        m for b in replay_messages(source, NAMES) for m in zip(b.subjects, b.payloads, b.stream_times_us, strict=True)
    ]
    info = await js.stream_info(NAMES.raw_stream)
    assert info.state.messages == len(wanted) == done.messages
    subscription = await js.subscribe(stream=NAMES.raw_stream, subject=">", ordered_consumer=True)
    for subject, payload, time_us in wanted:
        message = await subscription.next_msg(timeout=10)
        found = (message.subject, message.data, (message.headers or {}).get("Iotpm-Time"))
        assert found == (subject, payload, str(time_us))
    await client.close()


QUERIES = {
    "readings": "SELECT signal, epoch_us(ts), value, quality, seq FROM t",
    "windows": "SELECT * FROM t",
    "anomalies": "SELECT * FROM t",
    "dead_letters": "SELECT seq, position, reason, detail FROM t",
}


def digest(source: Source, size: int, shards: int) -> dict[str, tuple[int, str]]:
    """Rows and hash of every table of an embedded run, whatever the order within a chunk."""
    rows: dict[str, list[Any]] = {name: [] for name in QUERIES}
    for _, output in run_embedded(Engine(shards=shards), rebatched(pieces(source, size), size)):
        for name, query in QUERIES.items():
            with duckdb.connect() as connection:
                rows[name] += connection.register("t", getattr(output, name)).execute(query).fetchall()
    hashed = {n: hashlib.sha256("\n".join(sorted(map(repr, found))).encode()).hexdigest() for n, found in rows.items()}
    return {name: (len(rows[name]), hashed[name]) for name in rows}


def pieces(source: Source, size: int) -> Iterator[Any]:
    for batch in replay_messages(source, EMBEDDED):
        for begin in range(0, len(batch), size):
            yield batch.slice(begin, min(begin + size, len(batch)))


def test_rows_do_not_depend_on_how_the_replay_is_cut(source: Source) -> None:
    whole = digest(source, 100_000, 1)
    assert whole["readings"][0] == 2 * 900 * 3 - 2 * 3  # one late row a file, apart
    assert whole["dead_letters"][0] == 0
    assert whole["anomalies"][0] > 0
    assert digest(source, 97, 2) == whole


def outcome(source: Source, idle_timeout_s: float) -> tuple[int, list[Any], list[Any]]:
    """Ticks, windows and anomaly revisions of an embedded run, without the sequences, which more ticks shift."""
    ticks, windows, anomalies = 0, [], []
    for batch, output in run_embedded(Engine(), rebatched(replay_messages(source, EMBEDDED, None, idle_timeout_s))):
        ticks += batch.subjects.count(EMBEDDED.tick)
        with duckdb.connect() as connection:
            connection.register("w", output.windows).register("a", output.anomalies)
            windows += connection.execute("SELECT * EXCLUDE (seq) FROM w").fetchall()
            anomalies += connection.execute("SELECT * EXCLUDE (seq, position) FROM a").fetchall()
    return ticks, sorted(map(repr, windows)), sorted(map(repr, anomalies))


def test_ticks_skipped_in_a_long_gap_change_no_result(source: Source) -> None:
    few, windows, anomalies = outcome(source, 0.0)
    many, *same = outcome(source, 86_400.0)
    assert many > few + 6000  # an hour in each of two files, every second against a minute's worth
    assert [windows, anomalies] == same
    assert any("'gap'" in row for row in anomalies)


def test_a_simulated_plant_is_judged_far_above_chance() -> None:
    plant = Plant(24, seed=7)
    score, took = run_trial(plant, Engine(plant.templates()), FaultSchedule(7, 2.0), 3600.0, 3600.0)
    assert took["readings"] > 100_000
    assert len(score.verdict.counted) >= 15
    assert score.verdict.recall is not None
    assert score.random_recall is not None
    assert score.verdict.recall >= 0.7
    assert score.random_recall < 0.3
