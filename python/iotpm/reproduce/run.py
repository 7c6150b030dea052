"""The engine again over the slice, and what it decides beside what is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotpm import subjects

from .find import CannotReproduce, Facts, facts, opened
from .stream import Slice, stream_reader

if TYPE_CHECKING:
    from pathlib import Path

    from iotpm._core import Engine, Output
    from iotpm.client import Row
    from iotpm.config import Nats

Advance = Callable[[int], None]
"""Called with the sequence that has been run."""

TICK_US: Final = 1_000_000
MAX_SIGNALS: Final = 4_000_000
NOT_STORED: Final = ("position",)
"""What stored readings do not tell: their place within a message."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A column of a revision that came out otherwise; `computed` or `stored` is None where the revision is missing."""

    revision: int
    column: str
    stored: Any
    computed: Any


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of an anomaly's second run."""

    anomaly: Row
    source: str
    """`stream` (the messages themselves) or `store` (the stored readings)."""
    start: str
    """Where the engine began."""
    start_seq: int
    end_seq: int
    revisions: int
    messages: int
    """Messages or, from the store, readings that were run."""
    differences: list[Difference]
    notes: list[str]

    @property
    def equal(self) -> bool:
        """Whether every revision came out as it is stored, to the bit."""
        return not self.differences


def reproduce(
    data_dir: Path, anomaly_id: str, settings: Nats | None = None, advance: Advance = lambda _sequence: None
) -> Reproduction:
    """Run an anomaly's slice of the stream through the engine again and compare every revision.

    The messages themselves if the stream still holds them since the newest usable state before the anomaly, else the
    store's readings since then. The state is a kept snapshot of the node, or the beginning of the epoch.

    Args:
        data_dir: the node's; a running node answers itself.
        anomaly_id: or its first letters.
        settings: the broker, where the node has none of its own and does not run.
        advance: called with each sequence that has been run.

    Raises:
        CannotReproduce: what it takes is gone; says what.
        InputError: no anomaly, or several, have this id.
        StoreError, BrokerError: store or broker cannot be asked.
    """
    found = facts(data_dir, anomaly_id)
    try:
        with stream_reader(found, settings) as reader:
            prefix = reader.raw_prefix
            return _compare(found, "stream", _from_stream(found, prefix, reader.slices(_start(found)), advance), ())
    except CannotReproduce as gone:
        _check_store_will_do(found, gone)
        outputs = _from_store(found, advance)
        return _compare(found, "store", outputs, NOT_STORED, [str(gone)])


def _start(found: Facts) -> int:
    if found.start_seq is None or (found.snapshot is None and found.templates is None and found.seed is None):
        raise CannotReproduce("neither a snapshot before the anomaly nor the templates that the epoch began with exist")
    return found.start_seq


def _engine(found: Facts, raw_prefix: str, tick_every_us: int | None) -> Engine:
    from iotpm import _core

    snapshot = found.snapshot.blob if found.snapshot else found.seed
    seed_at = found.base_seq if found.snapshot is None and found.seed is not None else None
    options = {
        "raw_prefix": raw_prefix,
        "partition": found.partition,
        "virtual_time": _is_virtual(found),
        "templates": found.templates or [],
        "max_signals": MAX_SIGNALS,
        "tick_every_us": tick_every_us,
        "seed_at": seed_at,
    }
    return _core.Engine(json.dumps(options), None if snapshot is None else bytes(snapshot))


def _is_virtual(found: Facts) -> bool:
    return not found.partition.isdigit()


def _from_stream(
    found: Facts, raw_prefix: str, slices: Iterator[Slice], advance: Advance
) -> Iterator[tuple[int, Output]]:
    engine = _engine(found, raw_prefix, None)
    for part in slices:
        kept = _with_time(part, found) if _is_virtual(found) else part
        if kept.sequences:
            yield (
                len(kept.sequences),
                engine.push_messages(
                    kept.subjects,
                    kept.payloads,
                    kept.sequences,
                    kept.stored_us,
                    kept.content_types,
                    kept.message_ids,
                    kept.virtual_times_us if _is_virtual(found) else None,
                ),
            )
            advance(kept.sequences[-1])


def _with_time(part: Slice, found: Facts) -> Slice:
    """Without messages that lack a stream time: to the node they were dead letters."""
    control = f"{subjects.ROOT}.ctl.{found.partition}."
    kept = [
        at
        for at, (subject, time_us) in enumerate(zip(part.subjects, part.virtual_times_us, strict=True))
        if time_us is not None or subject.startswith(control)
    ]
    return part if len(kept) == len(part.subjects) else part.only(kept)


def _check_store_will_do(found: Facts, gone: CannotReproduce) -> None:
    """What the stored readings cannot tell is refused instead of guessed."""
    detector = str(found.revisions[0]["detector"])
    if found.node is not None:
        raise CannotReproduce(f"{gone}; and the readings of a running node's store are not at hand: drain it first")
    if detector == "gap":
        raise CannotReproduce(f"{gone}; and a silence is told by ticks, which a store does not keep")
    if "." in detector:
        raise CannotReproduce(f"{gone}; and it judged frames of waveforms, which a store keeps only in part")
    _start(found)
    with opened(found.data_dir) as database, database.cursor() as cursor:
        purged = cursor.execute(
            "SELECT max(seq_hi) FROM lake_files WHERE table_name = 'readings' AND tier <> 'raw'"
        ).fetchone()
    if purged and purged[0] is not None and purged[0] > (found.start_seq or 0):
        raise CannotReproduce(
            f"{gone}; and the store's readings up to message {purged[0]} are rolled up: only averages are left"
        )


def _from_store(found: Facts, advance: Advance) -> Iterator[tuple[int, Output]]:
    """Stored readings as columns, with ticks of the engine's own, and the configurations that came in between."""
    from .stored import changes, stored_pieces

    engine = _engine(found, subjects.ROOT + ".raw", TICK_US)
    start = found.start_seq or 0
    pending = changes(found, start)
    for piece in stored_pieces(found, start, [sequence for sequence, _ in pending], virtual=_is_virtual(found)):
        while pending and pending[0][0] < int(piece.sequences[0]):
            yield 0, engine.control(subjects.CONFIGURATION, pending.pop(0)[1].encode())
        numbers = [engine.signal_id(name) for name in piece.names]
        signals = _lookup(numbers, piece.signals)
        columns = (signals, piece.times_us, piece.values, piece.stream_us, piece.quality, piece.sequences)
        yield len(piece.values), engine.push(*columns)
        advance(int(piece.sequences[-1]))


def _lookup(numbers: list[int], places: Any) -> Any:
    import numpy as np

    return np.asarray(numbers, dtype=np.uint32)[places]


def _compare(
    found: Facts,
    source: str,
    outputs: Iterator[tuple[int, Output]],
    ignored: tuple[str, ...],
    notes: list[str] | None = None,
) -> Reproduction:
    anomaly, messages = found.revisions[-1], 0
    computed: dict[int, Row] = {}
    with closing(outputs):  # type: ignore[type-var]
        for count, output in outputs:
            messages += count
            computed |= {row["revision"]: row for row in _rows(output) if row["id"] == anomaly["id"]}
    stored = {int(row["revision"]): row for row in found.revisions}
    differences = [
        difference
        for revision in sorted(stored.keys() | computed.keys())
        for difference in _differences(revision, stored.get(revision), computed.get(revision), ignored)
    ]
    span = (found.start, found.start_seq or 0, found.last_seq)
    return Reproduction(anomaly, source, *span, len(stored), messages, differences, notes or [])


def _rows(output: Output) -> list[Row]:
    """Revisions as the store's answers have them."""
    import duckdb

    from iotpm.replay.session import rows_of

    if not len(output.anomalies):
        return []
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("revisions", output.anomalies)
        return rows_of(connection, "SELECT * EXCLUDE (signal) FROM revisions")


def _differences(revision: int, stored: Row | None, computed: Row | None, ignored: tuple[str, ...]) -> list[Difference]:
    if stored is None or computed is None:
        return [Difference(revision, "revision", stored and revision, computed and revision)]
    names = [name for name in stored if name not in ignored]
    found = [(name, stored[name], computed.get(name)) for name in names]
    return [Difference(revision, name, old, new) for name, old, new in found if not _same(old, new)]


def _same(one: object, other: object) -> bool:
    """Equal to the bit: 0.0 and -0.0 are not, NaN is itself."""
    if isinstance(one, float) and isinstance(other, float):
        return one.hex() == other.hex()
    return one == other
