"""Hours of the plant's own clock: a night on which it is set forward, live, replayed and embedded alike."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
import polars as pl
import pytest
from tests.support.embedded import stored
from tests.support.equal import VIRTUAL, Publishing, digests_through_a_node

from iotpm import _core, subjects
from iotpm.config import Config
from iotpm.engine import Engine
from iotpm.store.digest import Digest

if TYPE_CHECKING:
    from iotpm._core import Output

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 2, tzinfo=UTC)
STEP = timedelta(minutes=10)
DAY = 144
COUNT = 6 * 7 * DAY
"""Six weeks: the clock is set forward in the night to 29 March, after four."""
DETECTORS = ["seasonal", "day"]
HOLIDAYS = ["2026-04-03", "2026-04-06"]
"""Good Friday and Easter Monday."""
MESSAGES = range(1, COUNT + 3)


def configured(detectors: list[str] = DETECTORS, **calendar: Any) -> Config:
    values = {"template": [{"detectors": detectors, "begin_at_once": 1.0}], "calendar": calendar}
    return msgspec.convert(values, Config)


PLANT = configured(timezone="Europe/Berlin", shifts=["06:00", "14:00", "22:00"], holidays=HOLIDAYS)


def level(moment: datetime) -> float:
    """A plant that works from 6 to 22 by its clock, on working days."""
    local = moment.astimezone(BERLIN)
    holiday = local.date().isoformat() in HOLIDAYS
    return 40.0 if 6 <= local.hour < 22 and local.weekday() < 5 and not holiday else 5.0


def payloads() -> Iterator[tuple[str, bytes, int]]:
    """Subject, payload and stream time: a signal's readings, the same configuration in the fifth week, and the end."""
    chance = random.Random(4)
    for number in range(COUNT):
        moment = START + number * STEP
        now_us = int(moment.timestamp()) * 1_000_000
        if number == 30 * DAY:
            yield VIRTUAL.control(subjects.CONFIGURATION), PLANT.templates_json().encode(), now_us
        reading = {"timestamp": moment.isoformat(), "value": level(moment) + chance.random()}
        yield VIRTUAL.raw("hall", "press", "power"), json.dumps(reading).encode(), now_us
    yield VIRTUAL.control(subjects.END), b"", now_us


def run(engine: Engine, first: int = 0, last: int = COUNT + 2) -> Output:
    subject, payload, times = zip(*list(payloads())[first:last], strict=True)
    return engine.push_messages(subject, payload, MESSAGES[first:last], times)


def most(**calendar: Any) -> dict[str, float]:
    """Greatest score of `seasonal` on every day (UTC) after the night."""
    moments = [START + number * STEP for number in range(COUNT)]
    chance = random.Random(4)
    values = [level(moment) + chance.random() for moment in moments]
    times_us = [int(moment.timestamp()) * 1_000_000 for moment in moments]
    engine = Engine(configured(["seasonal"], **calendar), emit_scores=True)
    scores = pl.DataFrame(engine.push("h/p/x", times_us, values).scores)
    after = scores.filter(pl.col("ts") >= datetime(2026, 3, 28, 23))
    days = after.group_by(pl.col("ts").dt.date().cast(pl.String)).agg(pl.col("score").max())
    return dict(days.iter_rows())


def test_a_plant_with_its_own_clock_and_holidays_raises_nothing() -> None:
    assert max(most(**msgspec.to_builtins(PLANT.calendar)).values()) < 1.0


def test_by_the_clock_of_greenwich_the_hours_move_in_the_first_week() -> None:
    calendar = msgspec.to_builtins(PLANT.calendar) | {"timezone": None}
    assert max(score for day, score in most(**calendar).items() if day < "2026-04-03") >= 1.0


def test_a_holiday_that_nobody_told_stands_out_and_no_other_day() -> None:
    days = most(timezone="Europe/Berlin", shifts=["06:00", "14:00", "22:00"])
    assert {day for day, score in days.items() if score >= 1.0} >= set(HOLIDAYS)
    assert all(score < 1.0 for day, score in days.items() if day < HOLIDAYS[0])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Digest]:
    return stored(tmp_path_factory.mktemp("whole"), [run(Engine(PLANT, emit_scores=True))])


def test_scores_were_compared(whole: dict[str, Digest]) -> None:
    scores = pl.DataFrame(run(Engine(PLANT, emit_scores=True)).scores)
    assert scores["detector"].drop_nulls().unique().sort().to_list() == ["day", "seasonal"]
    assert whole["scores"].rows == COUNT


def test_cuts_and_snapshots_change_nothing(tmp_path: Path, whole: dict[str, Digest]) -> None:
    def outputs() -> Iterator[Output]:
        engine = Engine(PLANT, emit_scores=True)
        edges = [0, 500, 27 * DAY + 5, 27 * DAY + 140, COUNT + 2]
        for number in range(4):
            yield run(engine, edges[number], edges[number + 1])
            engine = Engine.restore(engine.snapshot(), shards=number + 1, emit_scores=True)

    assert stored(tmp_path, outputs()) == whole


@pytest.mark.parametrize("live", [True, False])
def test_a_node_stores_the_same(tmp_path: Path, whole: dict[str, Digest], live: bool) -> None:
    def publish(url: str) -> None:
        publisher = _core.Publisher(json.dumps({"url": url}), window=4, ack_every=100)
        subject, payload, times = zip(*payloads(), strict=True)
        publisher.publish_many(list(subject), list(payload), None, list(times), None)
        publisher.close()

    templates = json.loads(PLANT.templates_json())
    assert digests_through_a_node(tmp_path, Publishing(COUNT + 2, publish), templates, live=live) == whole


def test_a_changed_zone_is_another_configuration_and_the_same_one_is_not() -> None:
    assert PLANT.hash == configured(**msgspec.to_builtins(PLANT.calendar)).hash
    assert PLANT.hash != configured(timezone="Europe/Warsaw").hash
    assert configured(timezone="Europe/Berlin").hash != configured(timezone="Europe/Rome").hash
