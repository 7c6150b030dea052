"""A small plant as files and as the store of a node that replayed them."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from iotpm.config import Config
from iotpm.replay import open_source
from iotpm.replay.session import replay_config, through_node

START_S = 1_600_000_000
PUMPS = 3
ROWS = 4_000
SHIFT = slice(2_000, 2_060)


def plant(directory: Path, *, rows: int = ROWS, pumps: int = PUMPS) -> Path:
    """Pumps with two signals at 1 Hz: `flow` shifts in each, the last falls silent, the first has a late row."""
    directory.mkdir(parents=True, exist_ok=True)
    for pump in range(pumps):
        values = np.round(50.0 + np.random.default_rng(pump).normal(size=(rows, 2)), 3)
        values[SHIFT, 0] += 40.0
        lines = [f"{START_S + second},{flow},{heat}" for second, (flow, heat) in enumerate(values.tolist())]
        if pump == pumps - 1:
            del lines[rows // 4 : rows // 4 + 200]
        if pump == 0:
            lines.insert(1_000, f"{START_S + 5}.5,50.0,50.0")
        (directory / f"pump-{pump}.csv").write_text("\n".join(["time,flow,heat", *lines, ""]))
    return directory


def stored(files: Path, data_dir: Path, config: Config | None = None) -> Path:
    """The store of a node, with a broker of its own, through which the files went."""
    told = replay_config(config or Config(), data_dir)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            through_node(open_source(files), told, "plant")
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed, failed
    return data_dir
