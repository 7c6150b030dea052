"""An error that comes five times a second for a night must not fill the log."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from iotpm.streams import Repeats


def test_the_same_is_passed_on_at_once_and_then_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("iotpm.streams.time", SimpleNamespace(monotonic=lambda: now[0]))
    repeats = Repeats(30.0)
    assert repeats.due("refused") == 1
    assert [repeats.due("refused") for _ in range(4)] == [None] * 4
    now[0] += 30.0
    assert repeats.due("refused") == 5
    assert repeats.due("refused") is None


def test_something_else_is_passed_on_at_once() -> None:
    repeats = Repeats(30.0)
    assert [repeats.due(text) for text in ("refused", "timeout", "refused")] == [1, 1, 1]
