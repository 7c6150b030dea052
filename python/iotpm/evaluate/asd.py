"""ASD, the Application Server Dataset (Li et al., KDD 2021): 19 metrics of 12 servers, a reading every 5 minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iotpm.evaluate import entities
from iotpm.evaluate.report import Options, Report

LAYOUT = """  <server>_train.npy <server>_test.npy <server>_test_label.npy, or the same as .pkl of NumPy arrays
  (any subset of the servers)"""

BEST: dict[str, Any] = {"false_alarm_rate": 3e-3}


def run(directory: Path, options: Options) -> Report:
    """Score the servers found; see `iotpm.evaluate.entities` for protocol and errors."""
    return entities.run(directory, options, "ASD", LAYOUT, BEST)
