"""SMD, the Server Machine Dataset (Su et al., KDD 2019): 38 metrics of 28 servers, a reading a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iotpm.evaluate import entities
from iotpm.evaluate.report import Options, Report

LAYOUT = """  <machine>_train.npy <machine>_test.npy <machine>_test_label.npy, or
  train/<machine>.txt test/<machine>.txt test_label/<machine>.txt (any subset of the machines)"""

BEST: dict[str, Any] = {}


def run(directory: Path, options: Options) -> Report:
    """Score the machines found; see `iotpm.evaluate.entities` for protocol and errors."""
    return entities.run(directory, options, "SMD", LAYOUT, BEST)
