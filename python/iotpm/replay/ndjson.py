"""JSON readings, one a line: they go to the stream as they stand, so that units and qualities are kept."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from ..errors import SourceError
from .times import time_us

if TYPE_CHECKING:
    from .source import Rows

_BATCH: Final = 8_192
_MAX_LINE: Final = 1 << 20


class _Reading(msgspec.Struct):
    """What is needed of a reading to place it; the codec checks the rest."""

    timestamp: int | float | str
    sensor_id: str | None = None
    metric: str | None = None
    value: Any = None


@dataclass(slots=True)
class NdjsonFile:
    """A file with one JSON reading a line; the asset is told, else the reading's `sensor_id`, else the file's stem."""

    path: Path
    site: str
    asset: str | None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not any(True for _ in self._lines()):
            raise SourceError(f"{self.path}: the file is empty: expected a JSON reading on every line")

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        with self.path.open("rb") as file:
            for line, raw in enumerate(iter(lambda: file.readline(_MAX_LINE), b""), start=1):
                if text := raw.removeprefix(b"\xef\xbb\xbf").strip():
                    yield line, text

    def batches(self) -> Iterator[Rows]:
        """The readings; raises SourceError at the first line that is no reading with a time and a name."""
        known: dict[tuple[str, str], int] = {}
        batch: list[tuple[int, int, float, bytes]] = []
        decoder = msgspec.json.Decoder(_Reading)
        for line, text in self._lines():
            reading, at_us = self._read(decoder, line, text)
            place = known.setdefault(self._place(line, reading), len(known))
            batch.append((place, at_us, _value(reading.value), text))
            if len(batch) >= _BATCH:
                yield self._rows(known, batch)
                batch = []
        if batch:
            yield self._rows(known, batch)

    def _read(self, decoder: msgspec.json.Decoder[_Reading], line: int, text: bytes) -> tuple[_Reading, int]:
        try:
            reading = decoder.decode(text)
            return reading, time_us(reading.timestamp)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError) as error:
            raise SourceError(
                f'{self.path}, line {line}: {error}: expected a reading such as {{"sensor_id": "pump-1", "timestamp":'
                f' "2026-03-02T08:00:00Z", "metric": "flow", "value": 1.5}}, found {text[:80]!r}'
            ) from error

    def _place(self, line: int, reading: _Reading) -> tuple[str, str]:
        """Asset and signal, by the rule of `docs/interfaces.md`."""
        asset = self.asset or reading.sensor_id or self.path.stem
        foreign = reading.sensor_id if reading.sensor_id != asset else None
        parts = [part for part in (foreign, reading.metric) if part]
        if not parts and not reading.sensor_id:
            raise SourceError(
                f"{self.path}, line {line}: the reading has neither sensor_id nor metric: name its signal"
            )
        return asset, ".".join(parts) or str(reading.sensor_id)

    def _rows(self, known: dict[tuple[str, str], int], batch: list[tuple[int, int, float, bytes]]) -> Rows:
        from .source import Rows

        index, times, values, raw = zip(*batch, strict=True)
        assets, signals = zip(*known, strict=True)
        return Rows(
            self.site,
            tuple(assets),
            tuple(signals),
            np.array(index, dtype=np.int32),
            np.array(times, dtype=np.int64),
            np.array(values, dtype=np.float64),
            list(raw),
        )


def _value(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
