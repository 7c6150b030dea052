"""`iotpm bench vibration`, tiny: figures are there and equal those of peers; how fast is nobody's business here."""

from __future__ import annotations

import pytest

from iotpm.bench import vibration
from iotpm.errors import IotpmError


def test_every_family_is_set_beside_scipy_and_absent_peers_are_named() -> None:
    result = vibration.measure(channels=2, rounds=1)
    assert result["channels_per_core"] > 0
    assert result["ratio_to_scipy"] > 0
    for name, family in result["families"].items():
        # None: the figures differ, and nothing was timed.
        assert family["ratio"]["scipy"] is not None, name
        assert family["us"] > 0
    assert set(result["absent"]) <= set(vibration.PEERS)


def test_figures_that_differ_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vibration, "TOLERANCE", 0.0)
    with pytest.raises(IotpmError, match="differs"):
        vibration.measure(channels=1, rounds=1)
