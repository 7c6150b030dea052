"""Chunks made of Polars frames: the store sees only `__arrow_c_stream__`, as with the data plane's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from iotpm.store.tables import FEATURES, VIBRATION

TIME = pl.Datetime("us")
T0 = 1_700_000_000_000_000

SCHEMAS: dict[str, dict[str, Any]] = {
    "signals": {
        "id": pl.UInt32, "name": pl.String, "site": pl.String, "asset": pl.String, "signal": pl.String,
        "unit": pl.String, "kind": pl.String, "seq": pl.UInt64,
    },
    "readings": {
        "signal": pl.UInt32, "ts": TIME, "value": pl.Float64, "quality": pl.UInt8, "seq": pl.UInt64, "stored_at": TIME,
    },
    "late_readings": {
        "signal": pl.UInt32, "ts": TIME, "value": pl.Float64, "quality": pl.UInt8, "seq": pl.UInt64, "stored_at": TIME,
        "watermark": TIME,
    },
    "windows": {
        "signal": pl.UInt32, "start": TIME, "end": TIME, "segment": pl.UInt32, "n": pl.UInt32, "truncated": pl.UInt32,
        **dict.fromkeys(FEATURES, pl.Float64),
        "score": pl.Float64, "maturity": pl.UInt8, "state": pl.String, "speed": pl.Float64, "load": pl.Float64,
        "seq": pl.UInt64,
    },
    "vibration": {
        "signal": pl.UInt32, "start": TIME, "rate_hz": pl.Float64, "n": pl.UInt32,
        **dict.fromkeys(VIBRATION, pl.Float64), "bands": pl.List(pl.Float64), "seq": pl.UInt64,
    },
    "waveforms": {
        "signal": pl.UInt32, "start": TIME, "rate_hz": pl.Float64, "scale": pl.Float64, "samples": pl.List(pl.Float32),
        "seq": pl.UInt64,
    },
    "anomaly_log": {
        "id": pl.String, "signal": pl.UInt32, "site": pl.String, "asset": pl.String, "name": pl.String,
        "detector": pl.String, "kind": pl.String, "revision": pl.UInt32, "state": pl.String, "severity": pl.String,
        "start": TIME, "time": TIME, "end": TIME, "peak_time": TIME, "peak_score": pl.Float64, "peak_value": pl.Float64,
        "score": pl.Float64, "value": pl.Float64, "expected": pl.Float64, "direction": pl.Int8, "maturity": pl.String,
        "failure_mode": pl.String, "contributors": pl.String, "quality": pl.String, "agreeing": pl.String,
        "seq": pl.UInt64, "position": pl.UInt32,
    },
    "outbox": {
        "outbox_seq": pl.UInt64, "seq": pl.UInt64, "subject": pl.String, "payload": pl.String, "cause_time": TIME,
    },
    "dead_letters": {
        "seq": pl.UInt64, "position": pl.UInt32, "subject": pl.String, "reason": pl.String, "detail": pl.String,
        "payload": pl.Binary, "stored_at": TIME,
    },
    "feedback": {
        "id": pl.String, "action": pl.String, "label": pl.String, "anomaly": pl.String, "name": pl.String,
        "detector": pl.String, "kind": pl.String, "direction": pl.String, "peak_score": pl.Float64, "start": TIME,
        "end": TIME, "author": pl.String, "note": pl.String, "said_at": TIME, "stored_at": TIME, "seq": pl.UInt64,
    },
    "sources": {"source": pl.String, "epoch": pl.UInt64, "source_seq": pl.UInt64, "seq": pl.UInt64},
    "scores": {
        "signal": pl.UInt32, "ts": TIME, "score": pl.Float64, "detector": pl.String, "expected": pl.Float64,
        "maturity": pl.UInt8, "seq": pl.UInt64,
    },
}  # fmt: skip


class ArrowTable:
    """Rows that offer nothing but an Arrow stream and their number."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return len(self._frame)

    @property
    def column_names(self) -> list[str]:
        return self._frame.columns


def table(name: str, rows: list[dict[str, Any]]) -> ArrowTable:
    """Rows as the data plane would hand them over; missing columns are null."""
    full = [{column: row.get(column) for column in SCHEMAS[name]} for row in rows]
    return ArrowTable(pl.DataFrame(full, schema=SCHEMAS[name], orient="row"))


@dataclass
class FakeChunk:
    """Chunk with the tables that are given; the others are empty."""

    last_seq: int
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    last_hash: int = 0

    @property
    def last_time_us(self) -> int:
        return T0 + self.last_seq

    def __getattr__(self, name: str) -> ArrowTable:
        if name not in SCHEMAS:
            raise AttributeError(name)
        return table(name, self.rows.get(name, []))


def signal(number: int, seq: int = 1) -> dict[str, Any]:
    name = f"s{number}"
    return {"id": number, "name": f"plant/pump/{name}", "site": "plant", "asset": "pump", "signal": name, "seq": seq}


def reading(seq: int, signal: int = 0, value: float | None = None, ts: int | None = None) -> dict[str, Any]:
    at = T0 + seq * 1_000_000 if ts is None else ts
    return {"signal": signal, "ts": at, "value": float(seq) if value is None else value, "quality": 0, "seq": seq,
            "stored_at": T0 + seq}  # fmt: skip


def simple(last_seq: int, first_seq: int | None = None, *, new_signal: bool = False) -> FakeChunk:
    """One reading a message from first_seq (default: only the last)."""
    first = last_seq if first_seq is None else first_seq
    rows: dict[str, list[dict[str, Any]]] = {"readings": [reading(seq) for seq in range(first, last_seq + 1)]}
    if new_signal:
        rows["signals"] = [signal(0)]
    return FakeChunk(last_seq, rows)
