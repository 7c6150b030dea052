"""The engine without a broker: readings in, tables out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from iotpm import _core, arguments
from iotpm.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from iotpm._core import Output, Table
    from iotpm.config import Config

__all__ = ["ArrowStream", "Engine"]


class ArrowStream(Protocol):
    """Anything that hands its rows out as an Arrow C stream: a Polars frame, a DuckDB relation, a pyarrow table."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


class Engine:
    """Features, scores and anomalies of readings that you bring yourself.

    The same readings give the same rows, however they are cut into calls and for any number of shards, and as a node
    gives for the same messages. Calls may come from several threads; they run one after the other, without the GIL.

    Args:
        config: a `Config`, or its templates as a list of dictionaries or JSON; None for the defaults.
        shards: threads that the signals are spread over, 1 to 64; never changes a result.
        emit_scores: fill the table `scores` with the score of every reading.
        max_signals: most signals.
        tick_every_s: readings given to `push` bring ticks along, whenever their stream time passes a multiple of so
            many seconds; None: only `tick` tells the passing of time, so that silence is seen.

    Raises:
        ConfigError: a template or an option that cannot be used.
    """

    def __init__(
        self,
        config: Config | Sequence[dict[str, Any]] | str | None = None,
        *,
        shards: int = 1,
        emit_scores: bool = False,
        max_signals: int = 200_000,
        tick_every_s: float | None = None,
    ) -> None:
        from iotpm.config.templates import as_json

        options = {"templates": json.loads(as_json(config)), "tick_every_us": arguments.tick_us(tick_every_s)}
        self._start(options, None, shards, emit_scores, max_signals)

    def _start(
        self, options: dict[str, Any], snapshot: bytes | None, shards: int, emit_scores: bool, max_signals: int
    ) -> None:
        options |= {"shards": arguments.whole("shards", shards)}
        options |= {"max_signals": arguments.whole("max_signals", max_signals)}
        options |= {"emit_scores": arguments.flag("emit_scores", emit_scores)}
        # Every message brings its stream time along, so a live and a virtual one look alike.
        self._engine = _core.Engine(json.dumps(options | {"virtual_time": True}), snapshot)
        self._unit_seen = False

    @classmethod
    def restore(
        cls,
        snapshot: bytes,
        *,
        shards: int = 1,
        emit_scores: bool = False,
        max_signals: int = 200_000,
        seed_at: int | None = None,
    ) -> Self:
        """An engine that goes on where `snapshot()` was taken; `shards` may differ.

        Args:
            snapshot: bytes of `snapshot()`, or the `state` of an `iotpm.seed.Seed`.
            shards: threads that the signals are spread over.
            emit_scores: fill the table `scores`.
            max_signals: most signals.
            seed_at: take the snapshot as what was learned from history: messages of the engine's own begin after this
                sequence, and the history's sequences, producers and counts are forgotten.

        Raises:
            SnapshotError: bytes that are no snapshot, damaged, or of another version.
            ConfigError: an option that cannot be used.
            InputError: `snapshot` is no bytes.
        """
        engine = cls.__new__(cls)
        options = {"seed_at": None if seed_at is None else arguments.whole("seed_at", seed_at)}
        engine._start(options, arguments.snapshot(snapshot), shards, emit_scores, max_signals)
        return engine

    def signal_id(self, name: str) -> int:
        """Number of the signal `site/asset/signal`, given a new one if it is new.

        Raises:
            InputError: a name of another form, or more than `max_signals`.
        """
        return self._engine.signal_id(name)

    def push(
        self,
        signals: str | Sequence[str] | NDArray[Any] | ArrowStream,
        times_us: ArrayLike | None = None,
        values: ArrayLike | None = None,
        stream_times_us: ArrayLike | None = None,
        quality: ArrayLike | None = None,
        sequences: ArrayLike | None = None,
    ) -> Output:
        """Run readings, in the order in which they arrived.

        Args:
            signals: names (n), numbers of `signal_id` (n, integers), or one name for all. Or an object with
                `__arrow_c_stream__` and columns `signal`, `timestamp`, `value` and optionally `quality`; then leave out
                everything but `stream_times_us`.
            times_us: event times (n), integer microseconds since 1970 UTC or datetime64. Integers with which an engine
                begins are refused if they are of 2002 to 2100 as seconds, milliseconds or nanoseconds: readings of 1970
                are none; who means them passes datetime64.
            values: values (n) in the signals' units; NaN and infinity are stored as null and never scored.
            stream_times_us: when each arrived (n), microseconds; without it nothing counts as from the future.
            quality: 0 good, 1 uncertain, 2 bad (n); default: good.
            sequences: sequences (n), not descending; default: each row is a message of its own.

        Returns:
            What these readings caused.

        Raises:
            InputError: lengths, types or values that do not fit; nothing was run then.
        """
        stream = None if stream_times_us is None else arguments.times("stream_times_us", stream_times_us)
        if hasattr(signals, "__arrow_c_stream__") and values is None:
            if any(argument is not None for argument in (times_us, quality, sequences)):
                raise InputError("an Arrow stream brings its own columns: pass it alone, or with stream_times_us")
            return self._engine.push_arrow(signals, stream, None if self._unit_seen else self._check_unit)
        if times_us is None or values is None:
            raise InputError("times_us and values are missing: pass one of each for every reading")
        return self._engine.push(
            arguments.signals(signals),
            self._times(times_us),
            arguments.numbers("values", values, np.float64),
            stream,
            None if quality is None else arguments.numbers("quality", quality, np.uint8),
            None if sequences is None else arguments.numbers("sequences", sequences, np.uint64),
        )

    def _times(self, times_us: ArrayLike) -> NDArray[np.int64]:
        """Microseconds; the first ones show whether the caller means another unit."""
        times = arguments.times("times_us", times_us)
        if not self._unit_seen and times.size:
            arguments.refuse_other_units("times_us", times_us)
            self._unit_seen = True
        return times

    def _check_unit(self, first: int) -> None:
        """As `_times`, of an Arrow column of integers."""
        arguments.refuse_other_units("column 'timestamp'", [first])
        self._unit_seen = True

    def push_messages(
        self,
        subjects: Sequence[str],
        payloads: Sequence[bytes],
        sequences: Sequence[int],
        stored_us: Sequence[int],
        content_types: Sequence[str | None] | None = None,
        message_ids: Sequence[str | None] | None = None,
        virtual_times_us: Sequence[int | None] | None = None,
    ) -> Output:
        """Run messages as a node reads them from its stream: readings, ticks and control messages.

        Args:
            subjects: such as `iotpm.raw.plant.pump-1`, `iotpm.tick.0`, `iotpm.ctl.0.configuration` (n).
            payloads: their bytes (n); see the wire formats.
            sequences: ascending (n).
            stored_us: when the broker stored each, microseconds (n).
            content_types: header `Content-Type` (n); without one the first bytes decide.
            message_ids: header `Nats-Msg-Id`, `source:epoch:seq` (n).
            virtual_times_us: stream times (n); default: `stored_us`.

        Raises:
            InputError: lengths that differ, or a sequence that does not ascend; nothing was run then. What is wrong
                inside a message becomes a row of `dead_letters`.
        """
        try:
            return self._engine.push_messages(
                list(subjects),
                list(payloads),
                list(sequences),
                list(stored_us),
                None if content_types is None else list(content_types),
                None if message_ids is None else list(message_ids),
                None if virtual_times_us is None else list(virtual_times_us),
            )
        except OverflowError as error:
            raise InputError(f"sequences or times: {error}; must fit 64 bits, sequences from 0") from error

    def push_waveform(
        self,
        signal: str,
        start_us: int,
        rate_hz: float,
        samples: ArrayLike,
        stream_time_us: int | None = None,
        unit: str | None = None,
    ) -> Output:
        """Run one frame of evenly spaced samples as one window: `windows`, `vibration`, perhaps `waveforms`.

        Args:
            signal: `site/asset/signal`.
            start_us: event time of the first sample, microseconds since 1970 UTC.
            rate_hz: sample rate.
            samples: samples (n), 1 to 1,048,576.
            stream_time_us: when the frame arrived, microseconds; without it nothing counts as from the future.
            unit: UCUM unit of the samples, such as `m/s2` or `[g]`; default: the signal's.

        Raises:
            InputError: a rate that is not positive, no samples, too many, or a unit that does not fit the signal's.
        """
        array = arguments.numbers("samples", samples, np.float32)
        return self._engine.push_waveform(signal, start_us, rate_hz, array, stream_time_us, unit)

    def tick(self, stream_time_us: int) -> Output:
        """Stream time has come to `stream_time_us`, microseconds: signals that fell silent become idle."""
        return self._engine.tick(stream_time_us)

    def end(self) -> Output:
        """The series has ended: reorder buffers empty, open windows close up to their last reading."""
        return self._engine.control("end", b"")

    def control(self, kind: str, payload: bytes = b"") -> Output:
        """A control message: `configuration` with a JSON list of templates, or `end`; a wrong one is a dead letter."""
        return self._engine.control(kind, payload)

    def snapshot(self) -> bytes:
        """The whole state, compressed and checksummed, the same for any number of shards."""
        return self._engine.snapshot()

    def signal_stats(self) -> Table:
        """One row a signal: last seen, rate, counts, maturity."""
        return self._engine.signal_stats()

    def counters(self) -> dict[str, int]:
        """What happened since the first reading, by name."""
        return self._engine.counters()
