"""The same messages give the same rows: live, replayed, embedded, on 1 to 4 shards, cut anywhere."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from tests.support.embedded import stored
from tests.support.equal import VIRTUAL, Publishing, digests_through_a_node
from tests.support.plant import START_US, TEMPLATES, Plant

from iotpm import _core, subjects
from iotpm.engine import Engine
from iotpm.replay import open_source, replay_engine
from iotpm.store.digest import Digest

if TYPE_CHECKING:
    from iotpm._core import Output

MESSAGE_US = 15_000
TICK_EVERY = 67
"""Messages: about a second of stream time."""
SEED = 3


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a stream with virtual time."""

    subject: str
    payload: bytes
    time_us: int
    message_id: str | None = None


def history(seed: int, count: int = 9_000, tick_every: int = TICK_EVERY) -> list[Message]:
    """A plant's messages with everything that may happen to a stream."""
    chance, repeats = random.Random(seed), 0
    plant, messages = Plant(seed), list[Message]()
    for number in range(count):
        now_us = START_US + number * MESSAGE_US
        planned = plant.messages(1)[0]
        messages.append(Message(planned.subject, planned.payload, now_us, planned.message_id))
        if chance.random() < 0.02:
            repeats += 1
            messages.append(_repeated(chance.choice(messages), now_us, repeats))
        if number % tick_every == 0:
            messages.append(Message(VIRTUAL.tick, b"", now_us))
        messages += _special(number, count, now_us)
    return messages


def _repeated(message: Message, now_us: int, zeros: int) -> Message:
    """Sent again by its source; leading zeros make it a new message for the broker."""
    if message.message_id is None:
        return replace(message, time_us=now_us)
    source, epoch, number = message.message_id.split(":")
    return replace(message, time_us=now_us, message_id=f"{source}:{epoch}:{'0' * zeros}{number}")


def _special(number: int, count: int, now_us: int) -> Iterator[Message]:
    """Other formats, changes of the configuration, good and bad ones, and the end."""
    control = VIRTUAL.control
    if number % 50 == 10:
        line = f"press,sensor_id=line value={number % 90},load={number}i {(now_us - 5_000) * 1000}"
        yield Message(VIRTUAL.raw("hall", "press"), line.encode(), now_us)
    if number % 500 == 20:
        yield Message(VIRTUAL.raw("hall", "pump"), _arrow(now_us), now_us)
    if number == count * 2 // 5:
        changed = [TEMPLATES[0], TEMPLATES[1] | {"limits": {"hi": 75.0, "lo": 69.0}, "window_s": 4.0}]
        yield Message(control(subjects.CONFIGURATION), json.dumps(changed).encode(), now_us)
    if number == count // 2:
        yield Message(control(subjects.CONFIGURATION), b'[{"window_s": -1}]', now_us)
        yield Message(control("unheard-of"), b"", now_us)
    if number in (count * 3 // 4, count - 1):
        yield Message(control(subjects.END), b"", now_us)


def _arrow(now_us: int) -> bytes:
    times = [now_us - 1_000 * k for k in range(40, 0, -1)]
    frame = pl.DataFrame({"timestamp": times, "signal": ["a", "b"] * 20, "value": [float(t % 977) for t in times]})
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()


def engine(shards: int = 1) -> Engine:
    return Engine(TEMPLATES, shards=shards, emit_scores=True)


def push(run: Engine, messages: list[Message], sequences: list[int]) -> Output:
    return run.push_messages(
        [m.subject for m in messages],
        [m.payload for m in messages],
        sequences,
        [m.time_us for m in messages],
        message_ids=[m.message_id for m in messages],
    )


def cuts(chance: random.Random, length: int, pieces: int) -> Iterator[tuple[int, int]]:
    """Pieces of [0, length), some of them empty."""
    inner = sorted(chance.randrange(length + 1) for _ in range(pieces - 1))
    return pairwise([0, *inner, length])


def embedded(messages: list[Message], *, shards: int = 1, seed: int = 0, pieces: int = 1) -> Iterator[Output]:
    run = engine(shards)
    for begin, end in cuts(random.Random(seed), len(messages), pieces):
        yield push(run, messages[begin:end], list(range(begin + 1, end + 1)))


def publish(url: str, messages: list[Message]) -> None:
    publisher = _core.Publisher(json.dumps({"url": url}), window=4, ack_every=100)
    for numbered, group in groupby(messages, key=lambda m: m.message_id is not None):
        run = list(group)
        ids = [m.message_id for m in run if m.message_id] if numbered else None
        times = [m.time_us for m in run]
        publisher.publish_many([m.subject for m in run], [m.payload for m in run], None, times, ids)
    publisher.close()


def node_digests(directory: Path, messages: list[Message], *, live: bool, **settings: Any) -> dict[str, Digest]:
    publishing = Publishing(len(messages), lambda url: publish(url, messages))
    return digests_through_a_node(directory, publishing, TEMPLATES, live=live, **settings)


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    return history(SEED)


@pytest.fixture(scope="module")
def whole(messages: list[Message], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Digest]:
    """Embedded, in one go, on one shard: what all others must equal."""
    return stored(tmp_path_factory.mktemp("whole"), embedded(messages))


def test_the_messages_have_everything_in_them(messages: list[Message], whole: dict[str, Digest]) -> None:
    run = engine()
    output = push(run, messages, list(range(1, len(messages) + 1)))
    counters = run.counters()
    wanted = ["ticks", "controls", "duplicates", "source_duplicates", "late", "future", "non_finite", "idle", "windows"]
    assert [name for name in wanted if counters[name] == 0] == []
    assert [table for table, found in whole.items() if found.rows == 0] == ["vibration", "waveforms", "feedback"]
    kinds = set(pl.DataFrame(output.anomalies)["kind"])
    assert {"limit", "gap"} <= kinds, kinds
    reasons = set(pl.DataFrame(output.dead_letters)["reason"])
    assert {"future_timestamp", "invalid_json", "incommensurable_units", "invalid_timestamp"} < reasons, reasons


def test_a_live_node_stores_the_same(tmp_path: Path, messages: list[Message], whole: dict[str, Digest]) -> None:
    assert node_digests(tmp_path, messages, live=True, chunk_age_ms=1.0, shards=2) == whole


def test_a_second_replay_stores_the_same(tmp_path: Path, messages: list[Message], whole: dict[str, Digest]) -> None:
    assert node_digests(tmp_path, messages, live=False, chunk_max_messages=333, shards=3) == whole


@pytest.mark.parametrize("seed", range(4))
def test_cuts_change_nothing(tmp_path: Path, messages: list[Message], whole: dict[str, Digest], seed: int) -> None:
    assert stored(tmp_path, embedded(messages, seed=seed, pieces=10 ** (seed % 2 + 1), shards=seed + 1)) == whole


@pytest.mark.parametrize("shards", [1, 2, 3, 4])
def test_shards_change_nothing(tmp_path: Path, messages: list[Message], whole: dict[str, Digest], shards: int) -> None:
    assert stored(tmp_path, embedded(messages, shards=shards)) == whole


def test_a_snapshot_between_two_pieces_changes_nothing(
    tmp_path: Path, messages: list[Message], whole: dict[str, Digest]
) -> None:
    def outputs() -> Iterator[Output]:
        run = engine()
        for number, (begin, end) in enumerate(cuts(random.Random(9), len(messages), 12)):
            yield push(run, messages[begin:end], list(range(begin + 1, end + 1)))
            run = Engine.restore(run.snapshot(), shards=number % 3 + 1, emit_scores=True)

    assert stored(tmp_path, outputs()) == whole


def spaced(messages: list[Message], *, idle_at_ends: bool) -> Iterator[Output]:
    """Cut at random; `idle_at_ends` looks for silent signals where a chunk ends instead of at ticks only."""
    run = engine()
    for begin, end in cuts(random.Random(SEED), len(messages), 40):
        yield push(run, messages[begin:end], list(range(2 * begin + 2, 2 * end + 2, 2)))
        if idle_at_ends and end > begin:
            yield push(run, [Message(VIRTUAL.tick, b"", messages[end - 1].time_us)], [2 * end + 1])


def test_evaluating_idleness_at_the_ends_of_chunks_is_caught(tmp_path: Path) -> None:
    """The room between the sequences alone changes nothing; looking at the clock where a chunk ends does."""
    run, messages = engine(), history(SEED, tick_every=2_000)
    together = stored(tmp_path / "a", [push(run, messages, list(range(2, 2 * len(messages) + 2, 2)))])
    assert stored(tmp_path / "b", spaced(messages, idle_at_ends=False)) == together
    broken = stored(tmp_path / "c", spaced(messages, idle_at_ends=True))
    assert {"windows", "anomaly_log", "outbox"} <= {table for table in broken if broken[table] != together[table]}


def scores(path: Path) -> pl.DataFrame:
    """Scores of a file, by signal in the order of event times."""
    outputs: Iterable[tuple[object, Output]] = replay_engine(open_source(path), engine(shards=2))
    frames = [(pl.DataFrame(out.scores), pl.DataFrame(out.signals)) for _, out in outputs]
    names = pl.concat([signals for _, signals in frames]).select("id", "name")
    rows = pl.concat([found for found, _ in frames]).join(names, left_on="signal", right_on="id")
    return rows.select("name", "ts", "score", "detector", "expected", "maturity").sort("name", "ts")


def test_scores_of_a_cut_file_are_those_of_the_whole_bit_by_bit(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    lines = ["time,flow,pressure\n"]
    for row in range(3_000):
        spike = 9.0 if chance.random() < 0.01 else 0.0
        time_us = START_US + row * 1_000_000 + (row // 700) * 120_000_000
        lines.append(f"{time_us},{chance.gauss(20, 1) + spike!r},{chance.gauss(5, 0.1) + row / 1000!r}\n")
    full = tmp_path / "full.csv"
    full.write_text("".join(lines))
    whole = scores(full)
    assert whole.filter(pl.col("score") > 1).height > 10
    for _ in range(6):
        rows = chance.randrange(200, 3_000)
        part = tmp_path / "cut" / "full.csv"
        part.parent.mkdir(exist_ok=True)
        part.write_text("".join(lines[: rows + 1]))
        found = scores(part)
        prefix = whole.filter(pl.col("ts") <= found["ts"].max())
        assert found.height == 2 * rows
        assert [_bits(row) for row in found.iter_rows()] == [_bits(row) for row in prefix.iter_rows()]


def _bits(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """With doubles as their exact text."""
    return tuple(value.hex() if isinstance(value, float) else value for value in row)
