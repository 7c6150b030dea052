"""Every error that Rust can raise is reached from Python, as the exception it should be, with value and way out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import iotpm
from iotpm import _core, detect, errors, features, spectrum

NODE_ERRORS = Path(__file__).parents[2] / "crates" / "iotpm-node" / "src" / "error.rs"
NAME = "plant/pump/t"


def _two(**arguments: object) -> object:
    return iotpm.Engine().push(NAME, [1, 2], [1.0, 2.0], **arguments)  # type: ignore[arg-type]


def _damaged() -> bytes:
    blob = bytearray(iotpm.Engine().snapshot())
    blob[-1] ^= 1
    return bytes(blob)


def _messages(sequences: list[int]) -> object:
    count = len(sequences)
    return iotpm.Engine().push_messages(["iotpm.tick.0"] * 2, [b""] * 2, sequences, [1] * count)


def _behind() -> object:
    engine = iotpm.Engine()
    engine.tick(1)
    engine.tick(2)
    return _core.Engine('{"discard_through": 1}', engine.snapshot())


Case = tuple[str, Callable[[], object], type[errors.IotpmError], str]
CASES: list[Case] = [
    ("InvalidOptions", lambda: _core.Engine('{"shard": 1}'), errors.ConfigError, "unknown field `shard`"),
    ("InvalidOption", lambda: iotpm.Engine(shards=0), errors.ConfigError, "shards = 0: must be between 1 and 64"),
    ("InvalidOption", _behind, errors.ConfigError, "discard_through = 1"),
    (
        "Core",
        lambda: _core.Engine('{"templates": [{"match": "a*", "window_s": -1.0}]}'),
        errors.ConfigError,
        "template 'a*': window_s = -1.0: must be a positive number",
    ),
    ("Core", lambda: iotpm.Engine().push(np.array([3]), [1], [1.0]), errors.InputError, "signal number 3"),
    ("Core", lambda: spectrum.psd([1.0], 0.0), errors.InputError, "rate_hz = 0"),
    ("Core", lambda: spectrum.psd([], 1.0), errors.InputError, "samples = 0"),
    ("Core", lambda: spectrum.psd([1.0], 1.0, "flat"), errors.InputError, "must be boxcar, hann"),  # type: ignore[arg-type]
    ("Core", lambda: spectrum.psd([1.0], 1.0, "hann", "x"), errors.InputError, "must be density"),  # type: ignore[arg-type]
    ("Core", lambda: features.time_domain([np.nan]), errors.InputError, "x = NaN"),
    ("Core", lambda: features.window_features([1.0], -1.0), errors.InputError, "rate_hz = -1"),
    ("Core", lambda: detect.modified_z([1.0], window=1), errors.InputError, "window = 1: must be between 2"),
    ("Core", lambda: detect.modified_z([1.0], boundary=0), errors.InputError, "boundary = 0"),
    ("Core", lambda: detect.modified_z([1.0], resolution=-1), errors.InputError, "resolution = -1"),
    ("InvalidSnapshot", lambda: iotpm.Engine.restore(b"nonsense"), errors.SnapshotError, "IOTPMSNP"),
    ("InvalidSnapshot", lambda: iotpm.Engine.restore(b"hello"), errors.SnapshotError, "is none"),
    ("InvalidSnapshot", lambda: iotpm.Engine.restore(b""), errors.SnapshotError, "is none"),
    ("InvalidSnapshot", lambda: iotpm.Engine.restore(b"IOTPM"), errors.SnapshotError, "is cut off"),
    ("InvalidSnapshot", lambda: iotpm.Engine.restore(_damaged()), errors.SnapshotError, "checksum"),
    ("SequenceNotAscending", lambda: _messages([2, 2]), errors.InputError, "sequence 2 follows 2"),
    ("SequenceNotAscending", lambda: _two(sequences=[2, 1]), errors.InputError, "sequence 1 follows 2"),
    ("InvalidSignalName", lambda: iotpm.Engine().signal_id("pump"), errors.InputError, "'site/asset/signal'"),
    ("InvalidSignalName", lambda: iotpm.Engine().signal_id("a//b"), errors.InputError, "signal 'a//b'"),
    (
        "TooManySignals",
        lambda: iotpm.Engine(max_signals=1).push(["a/b/c", "a/b/d"], [1, 2], [1, 2]),
        errors.InputError,
        "'a/b/d': the limit of 1 signals",
    ),
    ("LengthMismatch", lambda: iotpm.Engine().push(NAME, [1], [1.0, 2.0]), errors.InputError, "times_us has 1 values"),
    ("LengthMismatch", lambda: _messages([1]), errors.InputError, "sequences has 1 values: must have 2"),
    ("Stream", lambda: _core.Publisher('{"url": "nats://127.0.0.1:1"}'), errors.BrokerError, "check url"),
    ("InvalidArgument", lambda: _two(quality=[0, 9]), errors.InputError, "quality = 9 at row 1"),
    (
        "InvalidArgument",
        lambda: iotpm.Engine().push_waveform(NAME, 0, np.inf, [1.0]),
        errors.InputError,
        "rate_hz = inf",
    ),
    ("InvalidArgument", lambda: iotpm.Engine().push_waveform(NAME, 0, 1.0, []), errors.InputError, "samples = 0"),
]
# Raised only when the machine refuses a thread, a thread panics, or a table outgrows Arrow's 31-bit offsets.
NOT_REACHABLE_FROM_OUTSIDE = {"ShardStopped", "Failed", "Table"}
REACHED_WITH_A_BROKER = {"SnapshotNotWritten"}
"""In tests/integration/test_plane.py."""


@pytest.mark.parametrize(("variant", "act", "expected", "text"), CASES)
def test_errors_are_exceptions_that_say_what_to_do(
    variant: str, act: Callable[[], object], expected: type[errors.IotpmError], text: str
) -> None:
    with pytest.raises(expected, match=re.escape(text)) as raised:
        act()
    assert type(raised.value) is expected


def test_every_variant_has_a_case() -> None:
    body = NODE_ERRORS.read_text().split("pub enum NodeError {")[1]
    variants = set(re.findall(r"^    ([A-Z]\w+)[ ({]", body, re.MULTILINE))
    assert len(variants) > 8
    assert variants == {case[0] for case in CASES} | NOT_REACHABLE_FROM_OUTSIDE | REACHED_WITH_A_BROKER


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (pl.DataFrame({"signal": [NAME], "value": [1.0]}), "column 'timestamp' is missing among signal, value"),
        (
            pl.DataFrame({"signal": [NAME, None], "timestamp": [1, 2], "value": [1.0, 2.0]}),
            "column 'signal' has 1 nulls",
        ),
        (pl.DataFrame({"signal": [NAME], "timestamp": [1], "value": [[1.0]]}), "column 'value'"),
        (pl.DataFrame({"signal": [NAME], "timestamp": [1.5], "value": [1.0]}), "column 'timestamp' is Float64"),
    ],
)
def test_arrow_columns_that_do_not_fit(rows: pl.DataFrame, text: str) -> None:
    with pytest.raises(errors.InputError, match=re.escape(text)):
        iotpm.Engine().push(rows)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((NAME, [1.5], [1.0]), "times_us has type float64"),
        ((NAME,), "times_us and values are missing"),
        (([NAME, 7], [1, 2], [1.0, 2.0]), "7 is no name"),
        ((np.array([-1]), [1], [1.0]), "no signal numbers"),
        ((pl.DataFrame({"signal": [NAME]}), [1]), "brings its own columns"),
        ((pl.DataFrame({"signal": [NAME]}), [1], [1.0]), "signals has 2 dimensions"),
        ((NAME, [1, 2], ["x", "y"]), "values: could not convert string to float"),
        ((NAME, [1, 2], [[1.0], [2.0]]), "values has 2 dimensions"),
        ((NAME, [1, 2], [[1.0], [2.0, 3.0]]), "values: "),
        ((NAME, [[1], [2]], [1.0, 2.0]), "times_us has 2 dimensions"),
        ((NAME, 1, 1.0), "times_us has 0 dimensions"),
        ((NAME, np.array([2**63 + 5], dtype=np.uint64), [1.0]), "times_us reaches 9223372036854775813"),
        ((NAME, np.array(["2026-01-01", "NaT"], dtype="M8[us]"), [1.0, 2.0]), "times_us has NaT at row 1"),
        ((NAME, [1], [1.0], None, [300]), "quality: 300 to 300: must be 0 to 255"),
        ((NAME, [1], [1.0], None, np.array([-1])), "quality: -1 to -1"),
        ((NAME, [1], [1.0], None, [0.5]), "quality has type float64"),
        ((NAME, [1], [1.0], None, None, [-1]), "sequences: -1 to -1"),
    ],
)
def test_arguments_that_do_not_fit(arguments: tuple[object, ...], text: str) -> None:
    with pytest.raises(errors.InputError, match=re.escape(text)):
        iotpm.Engine().push(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "unit"),
    [(1_763_776_000, "seconds"), (1_763_776_000_000, "milliseconds"), (1_763_776_000 * 10**9, "nanoseconds")],
)
def test_times_in_another_unit_are_refused_and_named(first: int, unit: str) -> None:
    engine = iotpm.Engine()
    with pytest.raises(errors.InputError, match=f"times_us begins with {first}: as {unit} that is 2025-11-22"):
        engine.push(NAME, [first, first + 1], [1.0, 2.0])
    assert engine.counters()["accepted"] == 0
    assert len(engine.push(NAME, [1_763_776_000_000_000], [1.0]).readings) == 1


def test_integers_of_an_arrow_column_are_looked_at_too() -> None:
    seconds = pl.DataFrame({"signal": [NAME], "timestamp": [1_763_776_000], "value": [1.0]})
    engine = iotpm.Engine()
    with pytest.raises(errors.InputError, match="column 'timestamp' begins with 1763776000: as seconds"):
        engine.push(seconds)
    assert engine.counters()["accepted"] == 0
    typed = seconds.with_columns(pl.from_epoch("timestamp", time_unit="s"))
    assert len(engine.push(typed).readings) == 1
    right = seconds.with_columns(pl.col("timestamp") * 1_000_000 + 1)
    assert len(iotpm.Engine().push(right).readings) == 1


def test_readings_of_1970_are_taken_where_they_are_meant() -> None:
    early = np.array([1_763_776_000], dtype="datetime64[us]")
    assert len(iotpm.Engine().push(NAME, early, [1.0]).readings) == 1
    engine = iotpm.Engine()
    engine.push(NAME, [0], [1.0])
    assert len(engine.push(NAME, [1_763_776_000], [1.0]).readings) == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"shards": -1}, "option shards = -1: must be a whole number"),
        ({"shards": 1.5}, "option shards = 1.5: must be a whole number"),
        ({"max_signals": "many"}, "option max_signals = 'many': must be a whole number"),
        ({"tick_every_s": -1}, "option tick_every_s = -1: must be a number of seconds"),
        ({"tick_every_s": float("nan")}, "option tick_every_s = nan"),
        ({"tick_every_s": "x"}, "option tick_every_s = 'x'"),
        ({"emit_scores": "yes"}, "option emit_scores = 'yes': must be true or false"),
    ],
)
def test_options_that_do_not_fit_are_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(errors.ConfigError, match=re.escape(text)):
        iotpm.Engine(**options)


def test_messages_beyond_64_bits_and_snapshots_that_are_no_bytes() -> None:
    with pytest.raises(errors.InputError, match="sequences or times"):
        iotpm.Engine().push_messages(["iotpm.tick.0"], [b""], [-1], [1])
    with pytest.raises(errors.InputError, match="snapshot is of type str"):
        iotpm.Engine.restore("hello")  # type: ignore[arg-type]


def test_a_refused_call_changes_nothing() -> None:
    engine = iotpm.Engine()
    before = engine.snapshot()
    with pytest.raises(errors.InputError):
        engine.push("nowhere", [1], [1.0])
    assert engine.snapshot() == before
    assert len(engine.push(NAME, [1], [1.0]).readings) == 1


def test_an_input_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="pump"):
        iotpm.Engine().signal_id("pump")
