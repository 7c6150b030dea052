"""`iotpm bench vibration`, tiny: figures are there and equal those of peers; how fast is nobody's business here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from iotpm.bench import families, vibration
from iotpm.bench.families import PEERS, Family
from iotpm.errors import IotpmError

ALONE = {"bearing", "gear"}
"""Families that no other library has."""


def test_every_family_is_set_beside_scipy_and_absent_peers_are_named() -> None:
    result = vibration.measure(channels=2, rounds=1)
    assert result["channels_per_core"] > 0
    assert result["ratio_to_scipy"] > 0
    assert 1_000 < result["multiresolution_bytes_per_signal"] < 64 * 1024
    for name, family in result["families"].items():
        # None: the figures differ, and nothing was timed.
        assert None not in family["ratio"].values(), name
        assert ("scipy" in family["ratio"]) == (name not in ALONE), name
        assert family["us"] > 0
    assert set(result["absent"]) <= set(PEERS)


def test_figures_that_differ_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "TOLERANCE", 0.0)
    with pytest.raises(IotpmError, match="differs"):
        vibration.measure(channels=1, rounds=1)


def rows(family: Family, *here: str) -> dict[str, Any]:
    modules = {name: SimpleNamespace() for name in here}
    return families.rows({"one": families.measured(family, modules, 1)}, set(PEERS) - modules.keys())[0]


def test_a_row_says_what_each_peer_is_to_us() -> None:
    ours = {"mean": np.float64(2.0), "peak": np.float64(3.0)}
    row = rows(
        Family(
            "one", "", lambda: ours,
            {
                "scipy": lambda _: lambda: dict(ours),
                "tsfresh": lambda _: lambda: {"mean": 2.0},
                "tsflex": lambda _: lambda: {"mean": 2.0, "peak": 3.1},
                "pywt": lambda _: lambda: ours,
            },
            loose=frozenset({"scipy"}),
        ),
        "scipy", "tsfresh", "tsflex", "librosa",
    )  # fmt: skip
    assert row[PEERS["scipy"]].startswith("~"), "another definition"
    assert row["tsfresh"].endswith("(1 of 2)")
    assert row["tsflex"] == "differs"
    assert row["PyWavelets"] == "not installed"
    assert row["librosa"] == "", "it has no such thing"


def test_what_ours_gives_within_a_bound_only_is_not_compared() -> None:
    def family(approximate: frozenset[str]) -> Family:
        return Family("one", "", lambda: {"q": 1.0}, {"scipy": lambda _: lambda: {"q": 1.1}}, approximate=approximate)

    assert rows(family(frozenset()), "scipy")[PEERS["scipy"]] == "differs"
    assert rows(family(frozenset({"q"})), "scipy")[PEERS["scipy"]] != "differs"
