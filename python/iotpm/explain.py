"""One anomaly, told from what the store knows: what was expected, what came, what else happened to the asset.

>>> from iotpm.client import connect
>>> from iotpm.explain import explain
>>> with connect("iotpm-data") as source:  # doctest: +SKIP
...     print(explain(source, "331ecf588d9e30f6").sentence)
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import numpy as np

from iotpm.errors import InputError
from iotpm.scan.series import Series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotpm.client import Row, Source

CONTEXT_US: Final = 600_000_000
"""Readings are shown from at least this long before an anomaly to as long after it."""
CONTEXT_LENGTHS: Final = 3
"""... or this many times as long as it lasted."""
_ID_MIN: Final = 4
DOUBTFUL: Final = (
    "Most of what crossed is doubtful: its source calls it uncertain, it follows a gap or late data, "
    "or other signals are missing."
)


@dataclass(frozen=True, slots=True)
class Contribution:
    """An anomaly of the same asset at the same time, and its share of their peak scores."""

    anomaly: Row
    share: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that is known of one anomaly. Rows have the columns of `docs/interfaces.md`, times in microseconds."""

    anomaly: Row
    revisions: list[Row]
    contributions: list[Contribution]
    """The anomaly itself is among them; the greatest share first."""
    readings: Series
    """Around the anomaly, as far as the store still holds them."""
    configuration: str | None
    """Hash of the configuration that acted when it was raised."""

    @property
    def contributors(self) -> list[dict[str, Any]]:
        """Of an anomaly of an asset: the signals it is made of, greatest share first."""
        named: list[dict[str, Any]] = json.loads(self.anomaly.get("contributors") or "[]")
        return named

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        row = self.anomaly
        if row["kind"] == "gap":
            return f"{row['name']} fell silent."
        side = {1: "above", -1: "below"}.get(row["direction"], "off")
        expected = "" if row["expected"] is None else f" what was expected, {row['expected']:.6g}"
        value = "no value" if row["peak_value"] is None else f"{row['peak_value']:.6g}"
        doubt = "" if row["quality"] == "good" else f" {DOUBTFUL}"
        height = f"{row['peak_score']:.3g} times the alarm boundary"
        return f"{row['name']} reached {value}, {side}{expected}: {height}.{doubt}"


def explain(source: Source, anomaly_id: str) -> Explanation:
    """Collect what is known of an anomaly; the first letters of its id will do if they are no other's.

    Raises:
        InputError: no anomaly, or several, have this id.
        StoreError, BrokerError: the source cannot answer.
    """
    anomaly = find(source, anomaly_id)
    revisions = [row for row in _revisions(source, anomaly) if row["id"] == anomaly["id"]]
    began = min((row["seq"] for row in revisions), default=anomaly["seq"])
    configuration = _configuration(source.status(), began)
    return Explanation(anomaly, revisions, _contributions(source, anomaly), _readings(source, anomaly), configuration)


def _configuration(status: dict[str, Any], sequence: int) -> str | None:
    known = status["stored"].get("configurations", [])
    return next((str(digest) for since, digest in known if since <= sequence), None)


def find(source: Source, anomaly_id: str) -> Row:
    """The anomaly of an id, or of its first letters.

    Raises:
        InputError: no anomaly, or several, have this id.
    """
    if len(anomaly_id) < _ID_MIN:
        raise InputError(f"anomaly {anomaly_id!r}: give at least {_ID_MIN} letters of its id (`iotpm anomalies`)")
    found = [row for row in source.anomalies() if str(row["id"]).startswith(anomaly_id.lower())]
    if len(found) != 1:
        problem = "no anomaly has this id" if not found else f"{len(found)} anomalies begin so"
        raise InputError(f"anomaly {anomaly_id!r}: {problem}; `iotpm anomalies` lists them")
    return found[0]


def _revisions(source: Source, anomaly: Row) -> Iterator[Row]:
    rows, _ = source.revisions(0, signal=anomaly["name"])
    yield from rows


def _contributions(source: Source, anomaly: Row) -> list[Contribution]:
    asset = f"{anomaly['site']}/{anomaly['asset']}"
    together = [row for row in source.anomalies(asset=asset) if _overlaps(row, anomaly)]
    total = sum(row["peak_score"] for row in together)
    shares = [Contribution(row, row["peak_score"] / total) for row in together]
    return sorted(shares, key=lambda one: -one.share)


def _overlaps(one: Row, other: Row) -> bool:
    def end(row: Row) -> float:
        return float("inf") if row["end"] is None else float(row["end"])

    return bool(one["start"] <= end(other) and other["start"] <= end(one))


def _readings(source: Source, anomaly: Row) -> Series:
    since_us, until_us = _context(anomaly)
    with tempfile.TemporaryDirectory(prefix="iotpm-explain-") as directory:
        path = Path(directory) / "readings.parquet"
        source.export("readings", path, signal=anomaly["name"], since_us=since_us, until_us=until_us)
        columns = (
            duckdb.connect()
            .execute(
                f"SELECT epoch_us(ts) AS t, value AS v FROM read_parquet('{path}') WHERE isfinite(value) ORDER BY ts"
            )
            .fetchnumpy()
        )
    return Series(anomaly["name"], np.asarray(columns["t"], np.int64), np.asarray(columns["v"], np.float64))


def _context(anomaly: Row) -> tuple[int, int]:
    last_us = anomaly["end"] if anomaly["end"] is not None else anomaly["time"]
    around_us = max(CONTEXT_US, CONTEXT_LENGTHS * (last_us - anomaly["start"]))
    return anomaly["start"] - around_us, last_us + around_us


def facts(explanation: Explanation) -> dict[str, Any]:
    """The explanation as plain values, times in microseconds."""
    together = [{"id": c.anomaly["id"], "name": c.anomaly["name"], "share": c.share} for c in explanation.contributions]
    rest = {
        "configuration": explanation.configuration,
        "revisions": explanation.revisions,
        "contributors": explanation.contributors,
        "contributions": together,
        "readings": len(explanation.readings),
    }
    return {**explanation.anomaly, "sentence": explanation.sentence, **rest}
