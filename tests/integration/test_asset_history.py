"""An asset's model travels: inside a seed, and inside the state from which one alarm is run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from tests.support.history import START_S, stored

from iotpm.backtest import FileHistory, Span
from iotpm.client import connect
from iotpm.config import Config, Template
from iotpm.engine import Engine
from iotpm.replay import open_source
from iotpm.reproduce import reproduce
from iotpm.seed import Seed

LEARNING = 2_000
"""Seconds of readings an asset is learned from, at most a quarter more."""
LEARNED = LEARNING + LEARNING // 4
HISTORY = LEARNED + 200
LATER_S = HISTORY + 3_600
"""The new stream begins an hour after the history's end."""
LEAK = 300
CONFIG = Config(templates=(Template(asset_learning_s=float(LEARNING)),))
NAMES = ("load", "current", "flow")


def plant(first_s: int, rows: int, leak: int | None = None) -> NDArray[np.float64]:
    """Load in steps of 400 s with a swing; what hangs on it follows; `flow` loses a tenth from row `leak` on."""
    second = np.arange(first_s, first_s + rows)
    steps = 50.0 + 8.0 * (np.arange(first_s // 400 + rows // 400 + 3) * 7 % 5)
    at = second // 400
    moved = np.minimum(second % 400 / 20.0, 1.0)
    rng = np.random.default_rng(first_s)
    load = steps[at] + moved * (steps[at + 1] - steps[at]) + 5.0 * np.sin(second / 40.0) + rng.normal(0, 0.3, rows)
    noise = rng.normal(0, [0.06, 0.12, 0.03], (rows, 3))
    values = np.stack([load, 2.0 * load + 10.0, 0.5 * load], axis=1) + noise
    if leak is not None:
        values[leak:, 2] -= 4.0
    return np.round(values, 3)


def write(directory: Path, first_s: int, values: NDArray[np.float64]) -> Path:
    directory.mkdir(parents=True)
    rows = [f"{START_S + first_s + i},{a},{b},{c}" for i, (a, b, c) in enumerate(values.tolist())]
    (directory / "pump.csv").write_text("\n".join([f"time,{','.join(NAMES)}", *rows, ""]))
    return directory


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("history") / "files", 0, plant(0, HISTORY))


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = plant(LATER_S, 600, LEAK)
    return write(tmp_path_factory.mktemp("later") / "files", LATER_S, values)


@pytest.fixture(scope="module")
def seed(history: Path) -> Seed:
    return Seed.learn(FileHistory(open_source(history), Span(), 0.0), CONFIG, "history")


def told(engine: Engine, leak: int | None) -> pl.DataFrame:
    """Begins of anomalies in 600 s of the new stream."""
    values = plant(LATER_S, 600, leak)
    names = [f"replay/pump/{name}" for _ in range(len(values)) for name in NAMES]
    times_us = np.repeat((START_S + LATER_S + np.arange(len(values))) * 1_000_000, 3)
    anomalies = pl.DataFrame(engine.push(names, times_us, values.ravel(), times_us).anomalies)
    return anomalies.filter(pl.col("revision") == 0)


def test_a_seeded_asset_is_judged_as_one_from_the_first_message(seed: Seed) -> None:
    begun = told(seed.engine(), LEAK)
    assert begun["detector"].to_list() == ["asset_model"]
    assert begun["name"].to_list() == ["replay/pump/flow"]
    since = begun["start"].dt.epoch("s")[0] - START_S - LATER_S
    assert LEAK <= since < LEAK + 10
    assert '"signal":"replay/pump/flow"' in begun["contributors"][0].replace(" ", "")


def test_what_its_signals_explain_together_raises_nothing(seed: Seed) -> None:
    """A change of load, which the signals' own detectors, all that a new node has, raise."""
    assert told(seed.engine(), None).is_empty()
    cold = told(Engine(CONFIG), LEAK)
    assert "asset_model" not in cold["detector"].to_list()
    assert not cold.is_empty()


def asset_anomalies(data_dir: Path) -> list[dict[str, Any]]:
    with connect(data_dir) as source:
        return [row for row in source.anomalies() if row["detector"] == "asset_model"]


def test_a_seeded_node_tells_it_and_its_alarm_comes_out_equal(seed: Seed, later: Path, tmp_path: Path) -> None:
    seed.write(tmp_path / "data")
    data_dir = stored(later, tmp_path / "data", CONFIG)
    found = asset_anomalies(data_dir)
    assert [row["name"] for row in found] == ["replay/pump/flow"]
    result = reproduce(data_dir, found[0]["id"])
    assert (result.equal, result.source, result.start_seq) == (True, "stream", 0)


def test_an_alarm_comes_out_equal_from_a_model_inside_a_snapshot(history: Path, later: Path, tmp_path: Path) -> None:
    """Two nodes fill one store: the first one's last snapshot holds the model."""
    stored(history, tmp_path / "data", CONFIG)
    data_dir = stored(later, tmp_path / "data", CONFIG)
    found = asset_anomalies(data_dir)
    assert [row["name"] for row in found] == ["replay/pump/flow"]
    result = reproduce(data_dir, found[0]["id"])
    assert (result.equal, result.source) == (True, "stream")
    assert result.start_seq > 0
