"""Labels as messages: what they carry, which are in force, and that a row gives its message back."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from iotpm import Engine, feedback
from iotpm.errors import InputError
from iotpm.evaluate.feedback import Trial, report, simulate, trial_runs

ANOMALY: dict[str, Any] = {
    "id": "331ecf588d9e30f6", "name": "plant/pump/flow", "detector": "modified_z", "kind": "level_shift",
    "direction": -1, "peak_score": 3.25, "start": 1_000_000, "end": None, "time": 9_000_000,
}  # fmt: skip


def rows(engine_output: Any) -> list[dict[str, Any]]:
    import polars as pl

    frame = pl.DataFrame(engine_output.feedback)
    times = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    return frame.with_columns(pl.col(times).dt.epoch("us")).to_dicts()


def send(engine: Engine, told: dict[str, Any]) -> list[dict[str, Any]]:
    output = engine.control("feedback", json.dumps(told).encode())
    assert len(output.dead_letters) == 0
    return rows(output)


def test_a_label_carries_what_the_engine_needs() -> None:
    told = feedback.message(ANOMALY, "false", author="ana", note="a flush")
    given = {key: told[key] for key in ("anomaly", "name", "detector", "kind", "direction", "peak_score", "note")}
    assert given == {**{k: ANOMALY[k] for k in given if k in ANOMALY}, "anomaly": ANOMALY["id"], "note": "a flush"}
    # An open anomaly is described up to its newest change.
    assert (told["start_us"], told["end_us"], told["author"]) == (1_000_000, 9_000_000, "ana")


def test_maintenance_is_of_the_asset() -> None:
    told = feedback.message({**ANOMALY, "end": 1_000_000}, "maintenance")
    assert (told["name"], told["start_us"], told["end_us"]) == ("plant/pump", 1_000_000, 1_000_001)


def test_silence_cannot_be_labelled_false() -> None:
    with pytest.raises(InputError, match="set idle_timeout_s"):
        feedback.message({**ANOMALY, "kind": "gap"}, "false")
    assert feedback.message({**ANOMALY, "kind": "gap", "detector": "gap"}, "true")["label"] == "true"


def test_a_row_gives_its_message_back() -> None:
    engine = Engine()
    (row,) = send(engine, feedback.message(ANOMALY, "false", author="ana", note="why"))
    again = Engine()
    (same,) = rows(again.control("feedback", feedback.payload(row)))
    assert same == row
    withdrawal = {"action": "withdraw", "id": row["id"], "author": "bob"}
    history = [row, *send(engine, withdrawal), *send(engine, feedback.message(ANOMALY, "true"))]
    assert [one["label"] for one in feedback.in_force(history)] == ["true"]
    (undone,) = rows(again.control("feedback", feedback.payload(history[1])))
    assert (undone["action"], undone["label"]) == ("withdraw", None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "a b"}, "id \"a b\": must be 1 to 64 letters"),
        ({"author": ""}, "author: must not be empty"),
        ({"note": "x" * 5000}, "note: 5000 bytes, must be at most 4000"),
        ({"label": None}, "label: missing"),
        ({"label": "maybe"}, "unknown variant"),
        ({"name": "plant/pump"}, "name \"plant/pump\": must be site/asset/signal"),
        ({"label": "maintenance", "name": "plant"}, "name \"plant\": must be site/asset/signal, or site/asset"),
        ({"detector": "guess"}, "detector \"guess\": must be one that the anomaly's row has"),
        ({"detector": "modified_z.loudness"}, "modified_z.loudness"),
        ({"kind": "odd"}, "kind \"odd\""),
        ({"peak_score": -1.0}, "peak_score -1: must be a finite number"),
        ({"direction": 2}, "direction 2: must be -1, 0 or 1"),
        ({"end_us": 0}, "end_us 0: must be after start_us 1000000"),
        ({"start_us": None}, "start_us: missing"),
        ({"said_us": 1 << 62}, "said_us 4611686018427387904: must be microseconds since 1970"),
        ({"mood": "bad"}, "unknown field `mood`"),
        ({"action": "withdraw"}, "no label '.*' is in force"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_dead_letter_and_does_not_act(change: dict[str, Any], reason: str) -> None:
    import polars as pl

    engine = Engine()
    told = {**feedback.message(ANOMALY, "true", author="ana"), **change}
    output = engine.control("feedback", json.dumps({k: v for k, v in told.items() if v is not None}).encode())
    (letter,) = pl.DataFrame(output.dead_letters).to_dicts()
    assert letter["reason"] == "invalid_feedback"
    assert re.search(reason, letter["detail"]), letter["detail"]
    assert len(output.feedback) == 0


def test_the_trial_cuts_repeats_and_misses_no_labelled_fault() -> None:
    trial = Trial(assets=2, weeks=0.5, labels=20, interval_s=60.0)
    found = report(trial, *trial_runs(trial)).json
    assert found["labelled_faults_missed"] == 0
    assert min(found["labels_false"], found["labels_true"]) > 2
    assert found["repeats_cut"] >= 0.5


def test_a_run_without_labels_mutes_nothing() -> None:
    plain = simulate(Trial(assets=1, weeks=0.2, interval_s=60.0))
    assert plain.muted == 0
    assert np.isfinite([row["peak_score"] for row in plain.anomalies]).all()
