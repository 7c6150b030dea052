"""How fast history runs through the engine: a store of plain noise, backtested on one core and on two."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ..store.database import Database

START_US: Final = 1_750_000_000_000_000
SIGNALS_PER_ASSET: Final = 10
BATCH_READINGS: Final = 2_000_000


def measure(*, readings: int, assets: int, interval_s: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Readings a second and core of one worker, and how much faster two are; making the store is not counted.

    The store is made by SQL: no broker, node or engine was there. Two cores are measured where two are free to use.
    """
    from ..backtest import Span, run, store_history
    from ..config import Config

    seconds: dict[int, float] = {}
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="iotpm-bench-") as directory:
        say(f"making a store of {readings:,} readings")
        stored = make_store(Path(directory), readings, assets, interval_s)
        found = []
        for workers in (1, 2)[: min(cores, 2)]:
            say(f"{workers} worker{'s'[: workers - 1]}")
            began = time.perf_counter()
            with store_history(Path(directory), Span()) as history:
                found.append(run(history, [Config()], workers))
            seconds[workers] = time.perf_counter() - began
    figures: dict[str, Any] = {
        "readings_per_s_core": round(stored / seconds[1]),
        "readings": stored,
        "assets": assets,
        "cores": cores,
    }
    figures |= {f"seconds_{workers}": round(took_s, 3) for workers, took_s in seconds.items()}
    if 2 in seconds:
        figures |= {"ratio_of_2_to_1": round(seconds[1] / seconds[2], 2), "equal": found[0] == found[1]}
    return figures


def make_store(directory: Path, readings: int, assets: int, interval_s: float) -> int:
    """Fill a new store with Gaussian noise around 50, rounded to 0.01; returns the readings in it."""
    from ..config import Store
    from ..store.database import Database

    signals = assets * SIGNALS_PER_ASSET
    steps, batch = max(1, readings // signals), max(1, BATCH_READINGS // signals)
    with Database(directory, Store(disk_reserve_bytes=0)) as database:
        connection = database.connection
        connection.execute(
            f"""INSERT INTO signals SELECT i, format('bench/asset-{{:05d}}/signal-{{}}', i // {SIGNALS_PER_ASSET},
                i % {SIGNALS_PER_ASSET}), 'bench', format('asset-{{:05d}}', i // {SIGNALS_PER_ASSET}),
                format('signal-{{}}', i % {SIGNALS_PER_ASSET}), NULL, NULL, 1 FROM range({signals}) t(i)"""
        )
        connection.execute("INSERT INTO progress VALUES ('RAW_0', 0, 1, ?, NULL, NULL, 1)", [steps * signals])
        connection.execute("SELECT setseed(0.5)").fetchall()
        for first in range(0, steps, batch):
            _fill(database, first, min(first + batch, steps), signals, round(interval_s * 1e6))
        database.checkpoint()
    return steps * signals


def _fill(database: Database, first: int, end: int, signals: int, interval_us: int) -> None:
    database.connection.execute(
        f"""INSERT INTO readings
            SELECT s, ts, round(50 + sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()), 2), 0,
                   k * {signals} + s + 1, ts
            FROM (SELECT k, s, make_timestamp({START_US} + k * {interval_us} + s) AS ts
                  FROM range({first}, {end}) t(k), range({signals}) u(s) ORDER BY k, s)"""
    )
