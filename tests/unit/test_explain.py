"""What `iotpm explain` says in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from iotpm.explain import DOUBTFUL, Explanation
from iotpm.scan.series import Series

ROW: dict[str, Any] = {
    "name": "plant/pump-1/flow",
    "kind": "spike",
    "direction": 1,
    "expected": 20.0,
    "peak_value": 90.0,
    "peak_score": 12.5,
    "quality": "good",
}


def sentence(**changed: Any) -> str:
    nothing = Series(ROW["name"], np.zeros(0, np.int64), np.zeros(0))
    return Explanation(ROW | changed, [], [], nothing, None).sentence


def test_it_tells_value_expectation_and_height() -> None:
    told = "plant/pump-1/flow reached 90, above what was expected, 20: 12.5 times the alarm boundary."
    assert sentence() == told
    assert sentence(direction=-1, expected=None, peak_value=None).startswith(
        "plant/pump-1/flow reached no value, below:"
    )
    assert sentence(kind="gap") == "plant/pump-1/flow fell silent."


def test_it_says_when_most_of_it_is_doubtful() -> None:
    assert sentence(quality="uncertain") == f"{sentence()} {DOUBTFUL}"
