"""What detectors learned from history, as the state that an engine or a new node begins with.

>>> from pathlib import Path
>>> from iotpm.backtest import Span, store_history
>>> from iotpm.config import Config
>>> from iotpm.seed import Seed
>>> with store_history(Path("old-data"), Span()) as history:  # doctest: +SKIP
...     seed = Seed.learn(history, Config.load("plant.toml"), "old-data")
>>> engine = seed.engine()  # doctest: +SKIP
>>> seed.write(Path("new-data"))  # doctest: +SKIP

A seed holds what was learned and nothing else: no reading, no anomaly that was open, no count. Its file is
`state/seed` of a data directory:

    magic "IPMD" | u16 version | u16 zero | u32 length of the facts | facts, JSON | state
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from iotpm.errors import InputError, SnapshotError
from iotpm.store import durable

if TYPE_CHECKING:
    from iotpm.backtest import History
    from iotpm.backtest.history import Piece, Told
    from iotpm.config import Config
    from iotpm.engine import Engine

FILE: Final = Path("state") / "seed"
WAVEFORM: Final = b"IPMW"
_MAGIC: Final = b"IPMD"
_VERSION: Final = 1
_HEAD: Final = struct.Struct("<4sHHI")


class SeededSignal(msgspec.Struct, frozen=True):
    """A signal that the seed knows; its number is its place in the list."""

    name: str
    unit: str | None
    kind: str | None
    maturity: str


class SeedFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a seed was learned from. Times are event times, microseconds."""

    source: str
    readings: int
    first_us: int
    last_us: int
    configuration: str
    """Hash of the configuration whose templates acted (`Config.hash`)."""
    sha256: str
    """Of the state."""
    signals: list[SeededSignal]

    @property
    def told(self) -> dict[str, Any]:
        """What `iotpm status` tells."""
        maturities = [signal.maturity for signal in self.signals]
        return {
            "source": self.source,
            "readings": self.readings,
            "first_us": self.first_us,
            "last_us": self.last_us,
            "signals": len(self.signals),
            "mature": maturities.count("mature"),
            "sha256": self.sha256,
        }


class Seed(msgspec.Struct, frozen=True):
    """A state learned from history."""

    facts: SeedFacts
    state: bytes
    """A snapshot; give it to `Engine.restore` with `seed_at`, or use `engine`."""

    @classmethod
    def learn(
        cls,
        history: History,
        config: Config,
        source: str,
        *,
        shards: int = 1,
        advance: Callable[[int], None] = lambda _readings: None,
    ) -> Seed:
        """Run a history through an engine and keep what it learned; its anomalies are not.

        Args:
            history: readings, such as of `iotpm.backtest.store_history`.
            config: whose templates act; a node takes the seed only under the same ones.
            source: where the history is from, for people.
            shards: threads; never changes the seed.
            advance: called with the readings that were run since the last call.

        Raises:
            InputError: a history without readings, or of waveforms.
            SourceError, StoreError: what cannot be read.
        """
        learning = _Learning(config, shards)
        for portion in history.portions(1):
            for piece in portion.in_order():
                learning.take(piece)
                advance(len(piece))
            learning.end()
        return learning.seed(config, source)

    def engine(self, *, shards: int = 1, emit_scores: bool = False) -> Engine:
        """An engine that begins with this state; its first message has sequence 1."""
        from iotpm.engine import Engine

        return Engine.restore(self.state, shards=shards, emit_scores=emit_scores, seed_at=0)

    def write(self, data_dir: Path) -> Path:
        """Put it where a new node of this data directory finds it."""
        path, facts = data_dir / FILE, msgspec.json.encode(self.facts)
        durable.make_directories(path.parent)
        durable.write(path, _HEAD.pack(_MAGIC, _VERSION, 0, len(facts)) + facts + self.state)
        return path

    @classmethod
    def read(cls, data_dir: Path) -> Seed | None:
        """The seed of a data directory; None if it has none.

        Raises:
            SnapshotError: the file is cut off, altered, or of another version.
        """
        path = data_dir / FILE
        return _decode(path, path.read_bytes()) if path.exists() else None


def _decode(path: Path, data: bytes) -> Seed:
    if len(data) < _HEAD.size or data[:4] != _MAGIC:
        raise SnapshotError(f"{path}: no seed: {len(data)} bytes that begin with {data[:4]!r}")
    _, version, _, length = _HEAD.unpack(data[: _HEAD.size])
    if version != _VERSION:
        raise SnapshotError(f"{path}: seed of version {version}, this release reads {_VERSION}")
    state = data[_HEAD.size + length :]
    try:
        facts = msgspec.json.decode(data[_HEAD.size : _HEAD.size + length], type=SeedFacts)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"{path}: seed whose facts are damaged: {error}") from error
    if hashlib.sha256(state).hexdigest() != facts.sha256:
        raise SnapshotError(f"{path}: seed whose state does not have the checksum in its facts: it is damaged")
    return Seed(facts, state)


class _Learning:
    """An engine that is fed, and what it was fed with."""

    def __init__(self, config: Config, shards: int) -> None:
        from iotpm.backtest.run import tick_every_s
        from iotpm.engine import Engine

        self._engine = Engine(config, shards=shards, tick_every_s=tick_every_s([config]))
        self._readings = 0
        self._first_us, self._last_us = 2**62, -(2**62)
        self._now_us = -(2**62)
        self._sequence = 0

    def take(self, piece: Piece | Told) -> None:
        from iotpm.backtest.history import Piece

        if not isinstance(piece, Piece):
            self._take_messages(piece)
            return
        signals = np.asarray([self._engine.signal_id(name) for name in piece.names], dtype=np.uint32)[piece.signals]
        stream_us = np.maximum(np.maximum.accumulate(piece.times_us), self._now_us)
        sequences = _ascending(piece.sequences, self._sequence)
        self._engine.push(signals, piece.times_us, piece.values, stream_us, piece.quality, sequences)
        self._sequence, self._now_us = int(sequences[-1]), int(stream_us[-1])
        self._note(len(piece), int(piece.times_us.min()), int(piece.times_us.max()))

    def _take_messages(self, told: Told) -> None:
        batch = told.messages
        if any(payload.startswith(WAVEFORM) for payload in batch.payloads):
            raise InputError(f"{told.key}: waveforms do not seed: leave the file out")
        numbers = list(range(self._sequence + 1, self._sequence + 1 + len(batch)))
        self._sequence += len(batch)
        self._engine.push_messages(batch.subjects, batch.payloads, numbers, batch.stream_times_us)
        if batch.readings:
            self._note(batch.readings, batch.stream_times_us[0], batch.stream_times_us[-1])

    def _note(self, readings: int, first_us: int, last_us: int) -> None:
        self._readings += readings
        self._first_us, self._last_us = min(self._first_us, first_us), max(self._last_us, last_us)

    def end(self) -> None:
        """A series has ended; the next one may lie before it."""
        self._engine.end()
        self._sequence += 1
        self._now_us = -(2**62)

    def seed(self, config: Config, source: str) -> Seed:
        if not self._readings:
            raise InputError(f"{source}: holds no readings within these times: nothing to learn from")
        state = self._engine.snapshot()
        facts = SeedFacts(
            source=source,
            readings=self._readings,
            first_us=self._first_us,
            last_us=self._last_us,
            configuration=config.hash,
            sha256=hashlib.sha256(state).hexdigest(),
            signals=self._signals(config),
        )
        return Seed(facts, state)

    def _signals(self, config: Config) -> list[SeededSignal]:
        """In the order of their numbers; unit and kind are those of their template."""
        import duckdb

        from iotpm.tune.options import complete, template_of

        templates = complete(config)
        with duckdb.connect() as connection:
            connection.register("stats", self._engine.signal_stats())
            rows = connection.execute("SELECT name, maturity FROM stats ORDER BY id").fetchall()
        found = [(name, maturity, templates[template_of(name, templates) or 0]) for name, maturity in rows]
        return [SeededSignal(name, template.unit, template.kind, maturity) for name, maturity, template in found]


def _ascending(sequences: Any, after: int) -> Any:
    """Messages numbered on from `after`; those of one message keep one number."""
    changes = np.diff(sequences.astype(np.int64), prepend=-1) != 0
    return np.cumsum(changes).astype(np.uint64) + np.uint64(after)
