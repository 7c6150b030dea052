"""A small plant whose every reading is planned: what is published, and what must become of it."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

START_US = 1_750_000_000_000_000
STEP_US = 100_000
FUTURE_US = 4_000_000_000_000_000
ALARM_READINGS = 150
"""A signal is above its limit for so many readings, then below it for as many: some alarm is nearly always open."""

TEMPLATES: list[dict[str, Any]] = [
    {"match": "hall/burst/*", "unit": "Cel", "window_s": 5.0, "lateness_s": 0.5, "idle_timeout_s": 1.0},
    {
        "match": "*",
        "unit": "Cel",
        "window_s": 10.0,
        "hop_s": 5.0,
        "lateness_s": 0.5,
        "idle_timeout_s": 5.0,
        "repeat_s": 1.0,
        "limits": {"hi": 80.0, "hi_hi": 95.0, "deadband": 1.0},
    },
]
ASSETS = ("burst", "fan", "press", "pump")
METRICS = ("bearing", "motor", "oil")


@dataclass(frozen=True, slots=True)
class Planned:
    """One message of a producer."""

    subject: str
    payload: bytes
    message_id: str


@dataclass(slots=True)
class Outcomes:
    """What must become of the readings; a malformed message counts as one reading."""

    messages: int = 0
    readings: int = 0
    stored: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(signal, event time)"""
    late: Counter[tuple[str, int]] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    """By reason."""
    duplicates: int = 0


@dataclass(slots=True)
class _Signal:
    name: str
    count: int
    time_us: int = START_US

    def next_time(self) -> int:
        self.count += 1
        self.time_us += STEP_US
        return self.time_us


class Plant:
    """Messages in order, the same for the same seed: late, repeated, refused, converted and spiking ones among them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._signals = [
            _Signal(f"hall/{asset}/{metric}", 50 * number)
            for number, (asset, metric) in enumerate((a, m) for a in ASSETS for m in METRICS)
        ]
        self._number = 0
        self._sent: Counter[str] = Counter()
        self.outcomes = Outcomes()
        self._makers = [self._late, self._twice, self._malformed, self._future, self._wrong_unit, self._fahrenheit,
                        self._missing, self._swapped, self._mixed]  # fmt: skip

    def messages(self, count: int) -> list[Planned]:
        """The next messages."""
        return [self._message() for _ in range(count)]

    def _message(self) -> Planned:
        self._number += 1
        signal = self._signals[self._pick()]
        strange = self._random.random() < 0.25 and signal.time_us > START_US
        maker = self._random.choice(self._makers) if strange else self._plain
        payload = maker(signal)
        site, asset, metric = signal.name.split("/")
        self._sent[asset] += 1
        self.outcomes.messages += 1
        return Planned(f"iotpm.raw.{site}.{asset}.{metric}", payload, f"gateway-{asset}:1:{self._sent[asset]}")

    def _pick(self) -> int:
        """The asset `burst` is silent most of the time, so that it falls idle."""
        quiet = self._number // 3000 % 2 == 0
        first = len(METRICS) if quiet else 0
        return self._random.randrange(first, len(self._signals))

    def _value(self, signal: _Signal) -> float:
        alarmed = signal.count // ALARM_READINGS % 2 == 1
        spike = 60.0 if self._random.random() < 0.003 else 0.0
        return round((90.0 if alarmed else 70.0) + self._random.gauss(0, 0.5) + spike, 3)

    def _reading(self, signal: _Signal, time_us: int) -> dict[str, Any]:
        self.outcomes.readings += 1
        self.outcomes.stored[signal.name, time_us] += 1
        return {"timestamp": time_us, "value": self._value(signal)}

    def _plain(self, signal: _Signal) -> bytes:
        return _json(self._reading(signal, signal.next_time()))

    def _late(self, signal: _Signal) -> bytes:
        time_us = signal.time_us - 60_000_000 - self._number % 50_000 - 1
        self.outcomes.readings += 1
        self.outcomes.late[signal.name, time_us] += 1
        return _json({"timestamp": time_us, "value": 1.0})

    def _twice(self, signal: _Signal) -> bytes:
        reading = self._reading(signal, signal.next_time())
        self.outcomes.readings += 1
        self.outcomes.duplicates += 1
        return _json([reading, reading])

    def _swapped(self, signal: _Signal) -> bytes:
        """Out of order, but within the lateness."""
        first, second = signal.next_time(), signal.next_time()
        return _json([self._reading(signal, second), self._reading(signal, first)])

    def _malformed(self, signal: _Signal) -> bytes:
        self._refused("invalid_json")
        return f'{{"value": {self._number}, "timestamp": '.encode()

    def _future(self, signal: _Signal) -> bytes:
        self._refused("future_timestamp")
        return _json({"timestamp": FUTURE_US + self._number, "value": 1.0})

    def _wrong_unit(self, signal: _Signal) -> bytes:
        self._refused("incommensurable_units")
        return _json({"timestamp": signal.next_time(), "value": 1.0, "meta": {"unit": "bar"}})

    def _refused(self, reason: str) -> None:
        self.outcomes.readings += 1
        self.outcomes.dead[reason] += 1

    def _fahrenheit(self, signal: _Signal) -> bytes:
        reading = self._reading(signal, signal.next_time())
        return _json(reading | {"value": reading["value"] * 1.8 + 32, "meta": {"unit": "[degF]"}})

    def _missing(self, signal: _Signal) -> bytes:
        return _json(self._reading(signal, signal.next_time()) | {"value": None})

    def _mixed(self, signal: _Signal) -> bytes:
        """One bad reading in an array costs that reading only."""
        good = [self._reading(signal, signal.next_time()) for _ in range(2)]
        self._refused("invalid_timestamp")
        return _json([good[0], {"timestamp": "yesterday", "value": self._number}, good[1]])


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
