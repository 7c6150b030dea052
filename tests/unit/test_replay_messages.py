"""Messages of a replay: stream times, ticks, ends; the same whichever way they go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotpm import subjects
from iotpm.replay import Pacer, Source, open_source, parse_speed, replay_messages, replay_stream
from iotpm.replay.ticks import Ticks
from iotpm.virtual import Messages, rebatched

S = 1_000_000
START = 1_583_755_200
NAMES = subjects.replay("r")
Flat = list[tuple[str, bytes, int]]


def source_of(tmp_path: Path, seconds: list[float], name: str = "m.csv") -> Source:
    rows = "".join(f"{START + s:.6f},{i}\n" for i, s in enumerate(seconds))
    (tmp_path / name).write_text("ts,a\n" + rows)
    return open_source(tmp_path / name)


def flat(batches: object) -> Flat:
    return [m for b in batches for m in zip(b.subjects, b.payloads, b.stream_times_us, strict=True)]  # type: ignore[attr-defined]


def shape(messages: Flat) -> list[tuple[str, float]]:
    return [(s.split(".")[1], t / S - START) for s, _, t in messages]


def test_rows_ticks_and_the_end_in_order(tmp_path: Path) -> None:
    messages = flat(replay_messages(source_of(tmp_path, [0, 1, 2]), NAMES))
    assert shape(messages) == [("r", 0), ("tick", 1), ("r", 1), ("tick", 2), ("r", 2), ("ctl", 2)]
    assert json.loads(messages[0][1]) == [{"metric": "a", "timestamp": START * S, "value": 0.0}]


def test_fast_rows_get_a_tick_a_second_and_slow_ones_a_tick_a_row(tmp_path: Path) -> None:
    fast = shape(flat(replay_messages(source_of(tmp_path, [i / 10 for i in range(31)]), NAMES)))
    assert [t for kind, t in fast if kind == "tick"] == [1, 2, 3]
    slow = shape(flat(replay_messages(source_of(tmp_path, [300 * i for i in range(4)]), NAMES)))
    assert [t for kind, t in slow if kind == "tick"] == [300, 600, 900]


def test_stream_time_never_goes_back_within_a_file(tmp_path: Path) -> None:
    messages = flat(replay_messages(source_of(tmp_path, [0, 5, 2, 6]), NAMES))
    assert [t for kind, t in shape(messages) if kind == "r"] == [0, 5, 5, 6]
    assert [json.loads(p)[0]["timestamp"] // S - START for s, p, _ in messages if ".raw." in s] == [0, 5, 2, 6]


def test_a_long_gap_is_skipped_once_every_signal_is_idle(tmp_path: Path) -> None:
    year = 365 * 86_400
    messages = shape(flat(replay_messages(source_of(tmp_path, [*range(40), year + 0.5]), NAMES)))
    ticks = [t for kind, t in messages if kind == "tick" and t > 39]
    assert ticks[:-1] == list(range(40, 39 + 45 + 2 + 1))  # 1.5 times 30 s and two periods, one a second
    assert ticks[-1] == year
    longer = flat(replay_messages(source_of(tmp_path, [*range(40), year + 0.5]), NAMES, idle_timeout_s=600.0))
    assert len(longer) == len(messages) + int(1.5 * 570)


@given(st.lists(st.integers(0, 10_000_000_000), min_size=1, max_size=60), st.integers(1, 100))
def test_ticks_are_in_order_bounded_and_on_the_grid(steps_us: list[int], period_s: int) -> None:
    ticks = Ticks(period_s * S, 150 * period_s * S, period_s * S, 0)
    now_us, seen = 0, [0]
    for step_us in steps_us:
        due = ticks.advance(now_us + step_us)
        assert len(due) <= 152
        assert all(now_us < t <= now_us + step_us for t in due[-1:])
        now_us += step_us
        seen += due
        assert now_us - seen[-1] < period_s * S
    assert seen == sorted(set(seen))
    assert all(t % (period_s * S) == 0 for t in seen)


def test_every_file_ends_and_the_next_begins_anew(tmp_path: Path) -> None:
    source_of(tmp_path, [1000, 1001], "a.csv")
    source_of(tmp_path, [0, 1], "b.csv")
    messages = shape(flat(replay_messages(open_source(tmp_path), NAMES)))
    assert messages == [
        ("r", 1000), ("tick", 1001), ("r", 1001), ("ctl", 1001), ("r", 0), ("tick", 1), ("r", 1), ("ctl", 1)
    ]  # fmt: skip


def test_rows_before_the_start_are_left_out(tmp_path: Path) -> None:
    source = source_of(tmp_path, [0, 1, 2, 3])
    kept = shape(flat(replay_messages(source, NAMES, start_us=(START + 2) * S)))
    assert kept == [("r", 2), ("tick", 3), ("r", 3), ("ctl", 3)]
    assert flat(replay_messages(source, NAMES, start_us=(START + 9) * S)) == []


def test_many_readings_at_one_time_are_cut_into_bounded_messages(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("ts,signal,value\n" + "".join(f"{START},s{i},{i}\n" for i in range(2500)))
    (batch, _end) = replay_messages(open_source(tmp_path / "m.csv"), NAMES)
    assert batch.counts == [1000, 1000, 500]


def test_times_whose_number_would_be_misread_are_written_out(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("time,a\n1970-01-02 00:00:00,1\n")
    (batch, _end) = replay_messages(open_source(tmp_path / "m.csv"), NAMES)
    assert json.loads(batch.payloads[0])[0]["timestamp"] == "1970-01-02T00:00:00Z"


def test_what_is_no_number_goes_as_null(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(f"ts,a,b\n{START},nan,1e300\n")
    (batch, _end) = replay_messages(open_source(tmp_path / "m.csv"), NAMES)
    assert [r["value"] for r in json.loads(batch.payloads[0])] == [None, 1e300]


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 12))
def test_rebatching_keeps_messages_and_order(sizes: list[int], size: int) -> None:
    batches, count = [], 0
    for length in sizes:
        batch = Messages()
        for _ in range(length):
            batch.add(f"s{count}", b"", count, count)
            count += 1
        batches.append(batch)
    joined = list(rebatched(batches, size))
    assert [t for b in joined for t in b.stream_times_us] == list(range(count))
    assert all(len(b) >= size for b in joined[:-1])


class Recorder:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.batches: list[Messages] = []
        self.flushed = 0

    def publish_many(
        self,
        subjects: list[str],
        payloads: list[bytes],
        content_type: str | None = None,
        stream_times_us: list[int] | None = None,
        msg_ids: list[str] | None = None,
    ) -> None:
        self.batches.append(Messages(subjects, payloads, stream_times_us or []))

    def flush(self) -> None:
        self.flushed += 1


def test_pacing_changes_when_and_never_what(tmp_path: Path) -> None:
    source = source_of(tmp_path, [0, 1, 2, 4, 8, 16])
    now = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    fast, paced, reports = Recorder(), Recorder(), []
    replay_stream(source, fast, "r")
    done = replay_stream(
        source,
        paced,
        "r",
        speed=2.0,
        pacer=Pacer(2.0, lambda: now[0], sleep),
        progress=lambda p: reports.append(p.readings),
    )
    assert flat(paced.batches) == flat(fast.batches) == flat(replay_messages(source, NAMES))
    assert sum(slept) == pytest.approx(8.0, abs=1e-3)
    assert (done.readings, reports[-1], paced.flushed, fast.flushed) == (6, 6, 1, 1)
    assert len(paced.batches) > len(fast.batches) == 1


def test_a_new_file_starts_at_once(tmp_path: Path) -> None:
    source_of(tmp_path, [0, 1], "a.csv")
    source_of(tmp_path, [10_000_000, 10_000_001], "b.csv")
    now = [0.0]
    pacer = Pacer(1.0, lambda: now[0], lambda s: now.__setitem__(0, now[0] + s))
    replay_stream(open_source(tmp_path), Recorder(), "r", speed=1.0, pacer=pacer)
    assert now[0] == pytest.approx(2.0, abs=1e-3)


@pytest.mark.parametrize(("text", "speed"), [("max", None), ("1x", 1.0), ("60x", 60.0), ("2.5", 2.5), ("MAX", None)])
def test_speeds(text: str, speed: float | None) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["fast", "0x", "-1x", "inf", ""])
def test_speeds_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="must be max"):
        parse_speed(text)
