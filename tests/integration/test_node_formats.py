"""Every wire format from a producer through a real broker and node into the store, and what is refused on the way."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.feed import T0_US, Message, arrow, at, reading, through, waveform
from tests.support.nodes import stream_messages

from iotpm.broker import Broker

PUMP = "iotpm.raw.plant.pump"
TEMP = "iotpm.raw.plant.pump.temp"
JSON, LINE = "application/json", "text/x-influx-line"
ARROW, WAVEFORM = "application/vnd.apache.arrow.stream", "application/vnd.iotpm.waveform"
CEL = [{"match": "*", "unit": "Cel"}]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as server:
        yield server


def rfc3339(second: float) -> str:
    return datetime.fromtimestamp(at(second) / 1e6, UTC).isoformat()


@pytest.mark.parametrize("typed", [True, False], ids=["by header", "by first bytes"])
def test_every_format_becomes_the_same_readings(tmp_path: Path, broker: Broker, typed: bool) -> None:
    array = [json.loads(reading(n, n, metric="temp")) for n in (2, 3)]
    line = f"pump temp=4 {at(4) * 1000}\npump temp=5 {at(5) * 1000}\n".encode()
    columns: dict[str, list[Any]] = {"timestamp": [at(6), at(7)], "value": [6.0, 7.0], "signal": ["temp", "temp"]}
    messages = [
        Message(TEMP, reading(0, 0.0), JSON),
        Message(PUMP, reading(1, 1.0, metric="temp", sensor_id="pump"), JSON),
        Message(PUMP, json.dumps(array).encode(), JSON),
        Message(PUMP, line, LINE),
        Message(PUMP, arrow(columns), ARROW),
    ]
    sent = messages if typed else [Message(m.subject, m.payload) for m in messages]
    session = through(tmp_path, broker.url, sent)
    assert session.dead() == []
    assert session.readings() == [("plant/pump/temp", at(n), float(n)) for n in range(8)]


def test_a_timestamp_is_understood_by_its_form_and_magnitude(tmp_path: Path, broker: Broker) -> None:
    seconds = T0_US // 1_000_000
    stamps = [rfc3339(0), seconds + 1, (seconds + 2) * 1_000, (seconds + 3) * 1_000_000, (seconds + 4) * 1_000_000_000]
    messages = [Message(TEMP, json.dumps({"timestamp": t, "value": n}).encode()) for n, t in enumerate(stamps)]
    session = through(tmp_path, broker.url, messages)
    assert session.readings() == [("plant/pump/temp", at(n), float(n)) for n in range(5)]


def test_a_frame_is_one_waveform_and_one_window_of_it(tmp_path: Path, broker: Broker) -> None:
    wave = [math.sin(2 * math.pi * 50 * n / 1000) for n in range(1000)]
    whole = [round(sample, 3) for sample in wave]
    messages = [
        Message(PUMP + ".vib", waveform(wave, start_us=at(0), rate_hz=1000.0, unit="m/s2"), WAVEFORM),
        Message(PUMP, waveform(whole, start_us=at(10), rate_hz=1000.0, name="vib", unit="m/s2", scale=0.001)),
    ]
    session = through(tmp_path, broker.url, messages, [{"match": "*", "waveform": {"keep_every": 1}}])
    assert session.dead() == []
    frames = session.rows(
        "SELECT s.name, epoch_us(w.start), w.rate_hz, w.samples FROM waveforms w JOIN signals s ON s.id = w.signal "
        "ORDER BY w.seq"
    )
    assert [frame[:3] for frame in frames] == [("plant/pump/vib", at(0), 1000.0), ("plant/pump/vib", at(10), 1000.0)]
    assert frames[0][3] == pytest.approx(wave, abs=1e-6)
    assert frames[1][3] == pytest.approx(whole, abs=1e-6)
    windows = session.rows("SELECT n, dominant_frequency, rms FROM windows ORDER BY seq")
    assert [n for n, _, _ in windows] == [1000, 1000]
    assert [f for _, f, _ in windows] == pytest.approx([50.0, 50.0], abs=1.0)
    assert [rms for _, _, rms in windows] == pytest.approx([math.sqrt(0.5)] * 2, abs=1e-3)


def test_a_unit_is_converted_to_the_templates_or_refused(tmp_path: Path, broker: Broker) -> None:
    def unit(text: str, second: float, value: float) -> Message:
        return Message(TEMP, reading(second, value, meta={"unit": text, "location": "hall 3"}))

    messages = [
        unit("[degF]", 0, 212.0),
        unit("Cel", 1, 100.0),
        unit("K", 2, 373.15),
        unit("bar", 3, 1.0),
        unit("?", 4, 1.0),
    ]
    session = through(tmp_path, broker.url, messages, CEL)
    names, times, values = zip(*session.readings(), strict=True)
    assert set(names) == {"plant/pump/temp"}
    assert times == (at(0), at(1), at(2))
    assert values == pytest.approx([100.0, 100.0, 100.0])
    assert session.rows("SELECT unit FROM signals") == [("Cel",)]
    assert session.dead() == [
        (session.sequences[3], 0, "incommensurable_units", messages[3].payload),
        (session.sequences[4], 0, "unknown_unit", messages[4].payload),
    ]


def test_one_bad_reading_of_an_array_costs_that_reading_only(tmp_path: Path, broker: Broker) -> None:
    readings = [json.loads(reading(n, n)) for n in range(5)]
    readings[1]["value"] = "high"
    readings[3]["timestamp"] = at(400_000)
    session = through(tmp_path, broker.url, [Message(TEMP, json.dumps(readings).encode())])
    assert [value for _, _, value in session.readings()] == [0.0, 2.0, 4.0]
    dead = [(position, reason) for _, position, reason, _ in session.dead()]
    assert dead == [(1, "not_numeric"), (3, "future_timestamp")]


POISON = [
    (b"{", "invalid_json"),
    (b'{"value":1', "invalid_json"),
    (b"", "empty_payload"),
    (b"[]", "empty_payload"),
    (b'{"timestamp":"yesterday","value":1}', "invalid_timestamp"),
    (b'{"value":"x"}', "not_numeric"),
    (b'{"timestamp":1}', "missing_value"),
    (b"\x00\x01\x02\x03", "unknown_format"),
    (b"IPMW\x01\x00\x00\x00", "invalid_waveform"),
    (b"\xff\xff\xff\xff\x00", "invalid_arrow"),
    (b"no fields at all", "invalid_line_protocol"),
]


def test_one_percent_of_poison_is_found_again_to_the_last_letter(tmp_path: Path, broker: Broker) -> None:
    bad = {100 * n + 50: POISON[n % len(POISON)] for n in range(30)}
    messages = [Message(TEMP, bad[n][0] if n in bad else reading(n, float(n % 7))) for n in range(3000)]
    session = through(tmp_path, broker.url, messages)
    expected = [(session.sequences[n], 0, reason, payload) for n, (payload, reason) in sorted(bad.items())]
    assert session.dead() == expected
    assert [time for _, time, _ in session.readings()] == [at(n) for n in range(3000) if n not in bad]


def test_a_published_event_holds_what_is_promised(tmp_path: Path, broker: Broker) -> None:
    template = {
        "match": "*",
        "unit": "Cel",
        "window_s": 5.0,
        "hop_s": 5.0,
        "limits": {"hi": 50.0},
        "detectors": ["limits"],
    }
    values = [20.0 + n % 3 for n in range(40)] + [90.0] * 10 + [20.0] * 20
    messages = [Message(TEMP, reading(n, value)) for n, value in enumerate(values)]
    session = through(tmp_path, broker.url, messages, [template], node={"source": "/works/3"})
    published = [json.loads(m.payload) for m in stream_messages(broker.url, "ANOMALY_0")]
    assert [json.loads(row[0]) for row in session.rows("SELECT payload FROM outbox ORDER BY outbox_seq")] == published
    assert [(e["data"]["kind"], e["data"]["state"]) for e in published] == [("limit", "begin"), ("limit", "end")]
    event, end = published
    assert {"specversion", "id", "source", "type", "time", "datacontenttype", "data"} <= event.keys()
    assert (event["specversion"], event["source"], event["datacontenttype"]) == ("1.0", "/works/3", "application/json")
    data = event["data"]
    assert data["sensor_id"] == "plant/pump/temp"
    assert data["is_anomaly"] is True
    assert data["anomaly_score"] >= 1.0
    opened, closed = (datetime.fromisoformat(data[key]) for key in ("window_start", "window_end"))
    assert (closed - opened).total_seconds() == 5.0
    assert {"mean", "rms", "iqr", "spectral_entropy"} <= data["features"].keys()
    assert len(data["features"]) == 17
    assert (end["data"]["is_anomaly"], end["data"]["anomaly_score"] < 1.0) == (False, True)
    assert end["data"]["start"] == data["start"]
