"""Names are built in one place, and any name survives the way into a subject and back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotpm import subjects

TEXT = st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=40)


@given(TEXT)
def test_tokens_round_trip_and_hold_nothing_that_nats_forbids(text: str) -> None:
    token = subjects.encode_token(text)
    assert subjects.decode_token(token) == text
    assert not re.search(r"[\x00-\x20\x7f.*>]", token)


@given(TEXT, TEXT)
def test_different_names_have_different_tokens(one: str, other: str) -> None:
    assert (subjects.encode_token(one) == subjects.encode_token(other)) == (one == other)


def test_live_names() -> None:
    names = subjects.live("0")
    assert (names.raw_stream, names.anomaly_stream, names.tick) == ("RAW_0", "ANOMALY_0", "iotpm.tick.0")
    assert names.raw_subjects == ["iotpm.raw.>", "iotpm.tick.0", "iotpm.ctl.0.*"]
    assert names.raw("plant 7", "p.1", "temp%") == "iotpm.raw.plant%207.p%2E1.temp%25"
    assert names.raw("plant", "pump") == "iotpm.raw.plant.pump"
    assert names.anomaly("plant", "pump") == "iotpm.anomaly.plant.pump"
    assert names.control(subjects.END) == "iotpm.ctl.0.end"
    assert names.service("signals") == "iotpm.svc.0.signals"
    assert subjects.live("3", partitions=8).raw_subjects[0] == "iotpm.p.3.raw.>"
    assert subjects.live("3", partitions=8).anomaly_subjects == ["iotpm.p.3.anomaly.>"]


def test_replays_never_share_a_subject_with_live_data() -> None:
    names = subjects.replay("skab-1")
    assert names.virtual_time
    assert names.raw("a", "b") == "iotpm.skab-1.raw.a.b"
    assert not set(names.raw_subjects) & set(subjects.live("0").raw_subjects)
    for taken in ("raw", "tick", "p", "0", "a.b", "", "x" * 65):
        with pytest.raises(ValueError, match=repr(taken)):
            subjects.replay(taken)


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        subjects.live("0").raw("", "asset")
