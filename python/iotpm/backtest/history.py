"""What a backtest runs: the readings of a store, or files; cut into portions of whole assets.

A portion is run by one worker and yields pieces: readings of one stretch of the history that one engine takes, in the
order in which they arrived. An engine has one asset of a store, or one file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from ..subjects import decode_token
from ..virtual import EMBEDDED, Messages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..replay.frames import FrameFile
    from ..replay.source import Rows, Source, SourceFile

RAW_TOKENS: Final = EMBEDDED.raw_prefix.count(".") + 1


@dataclass(frozen=True, slots=True)
class Span:
    """Event times from `since_us`, inclusive, to `until_us`, exclusive; `warm_up_us` before it only teach."""

    since_us: int | None = None
    until_us: int | None = None
    warm_up_us: int = 0

    @property
    def first_us(self) -> int | None:
        """Where reading begins."""
        return None if self.since_us is None else self.since_us - self.warm_up_us


@dataclass(frozen=True, slots=True)
class Piece:
    """Readings for the engine `key`: n readings of the m signals `names`, as they arrived."""

    key: str
    names: tuple[str, ...]
    """`site/asset/signal`, [m]; a later piece of the same engine begins with the same names."""
    signals: NDArray[np.uint32]
    """Which of `names`, [n]."""
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    quality: NDArray[np.uint8] | None
    sequences: NDArray[np.uint64]
    """Ascending; readings of one message share one."""

    def __len__(self) -> int:
        return len(self.times_us)


@dataclass(frozen=True, slots=True)
class Told:
    """Messages for the engine `key`: what only comes as such, frames of waveforms and NDJSON with its units."""

    key: str
    messages: Messages

    def __len__(self) -> int:
        return self.messages.readings


class Portion(Protocol):
    """Some whole assets of a history; picklable."""

    def pieces(self) -> Iterator[Piece | Told]:
        """The readings, every engine's in order."""

    def in_order(self) -> Iterator[Piece | Told]:
        """The readings of all assets as they arrived, for one engine."""


class History(Protocol):
    """Where the readings are."""

    @property
    def readings(self) -> int | None:
        """How many there are within the span; None where only reading them would tell."""

    @property
    def notes(self) -> list[str]:
        """What was guessed or left out."""

    def portions(self, workers: int) -> list[Portion]:
        """All of it, for so many workers; how it is cut changes no result."""


@dataclass(frozen=True, slots=True)
class FilePortion:
    """One file."""

    file: SourceFile | FrameFile
    key: str
    span: Span
    idle_timeout_s: float

    def pieces(self) -> Iterator[Piece | Told]:
        """Tables as columns; NDJSON and waveforms as the messages of a replay."""
        from ..replay.source import SourceFile

        if not isinstance(self.file, SourceFile) or self.file.holds_messages:
            yield from self._messages()
            return
        first = 0
        for rows in self.file.batches():
            kept = _within(rows, self.span)
            if kept.any():
                piece = _piece(self.key, rows, kept, first)
                first = int(piece.sequences[-1])
                yield piece

    in_order = pieces

    def _messages(self) -> Iterator[Told]:
        from ..replay.messages import replay_messages
        from ..replay.source import Source

        source, until_us = Source([self.file], []), self.span.until_us
        for batch in replay_messages(source, EMBEDDED, self.span.first_us, self.idle_timeout_s):
            end = len(batch)
            if until_us is not None:
                end = int(np.searchsorted(np.asarray(batch.stream_times_us), until_us))
            yield Told(self.key, batch.slice(0, end))
            if end < len(batch):
                return


@dataclass(slots=True)
class FileHistory:
    """Files as `iotpm replay` takes them; each is a history of its own."""

    source: Source
    span: Span
    idle_timeout_s: float

    @property
    def readings(self) -> None:
        """Only reading them would tell."""

    @property
    def notes(self) -> list[str]:
        """What was guessed or left out."""
        return self.source.notes

    def portions(self, workers: int) -> list[Portion]:  # noqa: ARG002 - a file is never cut
        """A portion a file."""
        files = enumerate(self.source.files)
        return [FilePortion(file, f"{at} {file.path}", self.span, self.idle_timeout_s) for at, file in files]


def _within(rows: Rows, span: Span) -> NDArray[np.bool_]:
    kept = np.ones(len(rows), dtype=np.bool_)
    if span.first_us is not None:
        kept &= rows.times_us >= span.first_us
    if span.until_us is not None:
        kept &= rows.times_us < span.until_us
    return kept


def _piece(key: str, rows: Rows, kept: NDArray[np.bool_], after: int) -> Piece:
    """One message for the readings of one asset at one time, as in a replay."""
    index, times_us = rows.index[kept], rows.times_us[kept]
    asset = np.unique(np.asarray(rows.assets), return_inverse=True)[1][index]
    begins = np.flatnonzero((np.diff(times_us, prepend=times_us[0] - 1) != 0) | (np.diff(asset, prepend=-1) != 0))
    steps = np.zeros(len(times_us), dtype=np.uint64)
    steps[begins] = 1
    sequences = np.cumsum(steps) + np.uint64(after)
    return Piece(key, tuple(rows.names), index.astype(np.uint32), times_us, rows.values[kept], None, sequences)


def asset_of(subject: str) -> str | None:
    """`site/asset` of a raw subject; None of a tick or control message."""
    tokens = subject.split(".")
    if not subject.startswith(f"{EMBEDDED.raw_prefix}.") or len(tokens) < RAW_TOKENS + 2:
        return None
    return "/".join(decode_token(token) for token in tokens[RAW_TOKENS : RAW_TOKENS + 2])
