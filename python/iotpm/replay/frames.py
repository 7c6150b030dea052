"""Files of waveforms as frames: channels are cut into frames of one length, which come as a sensor would send them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from .. import frames, subjects, waveforms
from ..errors import SourceError
from ..virtual import Messages
from .ticks import Ticks

if TYPE_CHECKING:
    from ..waveforms import Recording
    from .layout import Options
    from .summary import Summary

WAVEFORM_SUFFIXES: Final = (".mat", ".npz", ".npy", ".wav")
"""Suffixes of files that can hold nothing else."""
WAVEFORM_RATE_HZ: Final = 100.0
"""Rows of a table that come faster are samples of a waveform, unless told otherwise."""
_MAX_FRAME_BYTES: Final = 4 << 20


def holds_waveforms(path: Path, options: Options) -> bool:
    """Whether a file is to be replayed as frames.

    Raises:
        SourceError: single readings are asked for of a file that can only hold waveforms.
    """
    only = path.suffix.lower() in WAVEFORM_SUFFIXES
    if only and options.frame_s == 0:
        raise SourceError(f"{path}: holds waveforms: --frame must be above 0 s")
    table = path.suffix.lower() in waveforms.SUFFIXES and options.rate_hz is not None
    fast = table and (options.frame_s is not None or (options.rate_hz or 0.0) > WAVEFORM_RATE_HZ)
    return only or (fast and options.frame_s != 0)


@dataclass(frozen=True, slots=True)
class _Channel:
    """A channel with its frames: where each begins, in samples, and where the last ends."""

    recording: Recording
    rate_hz: float
    start_us: int
    bounds: list[tuple[int, int]]

    def time_us(self, sample: int) -> int:
        return self.start_us + round(sample * 1e6 / self.rate_hz)


class FrameFile:
    """One file of waveforms; one asset, a signal a channel.

    Raises:
        SourceError: a file that cannot be read, without a sample rate, or with frames too long for one message.
    """

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        self.notes: list[str] = []
        """What was guessed or left out, a line each."""
        self._options = options
        self._asset = options.asset or path.stem
        self._channels = [self._cut(recording) for recording in self._chosen()]

    def _chosen(self) -> list[Recording]:
        told = self._options
        found = waveforms.read(self.path, told.rate_hz, told.unit)
        names = [recording.channel for recording in found]
        if missing := [name for name in (*(told.value_columns or ()), *told.exclude) if name not in names]:
            raise SourceError(f"{self.path}: there is no channel {missing[0]!r}; the file has {', '.join(names[:20])}")
        kept = [r for r in found if told.value_columns is None or r.channel in told.value_columns]
        return [recording for recording in kept if recording.channel not in told.exclude]

    def _cut(self, recording: Recording) -> _Channel:
        where = f"{self.path}: channel {recording.channel!r}"
        if recording.rate_hz is None:
            raise SourceError(f"{where}: the file does not say its sample rate: give --rate-hz")
        samples, length = recording.samples.size, self._frame_samples(where, recording.rate_hz)
        whole = max(1, samples // length)
        bounds = [(at * length, min((at + 1) * length, samples)) for at in range(whole)]
        if left := samples - bounds[-1][1]:
            self.notes.append(f"channel {recording.channel!r}: the last {left} samples are no whole frame, left out")
        start_us = self._options.start_us if recording.start_us is None else recording.start_us
        return _Channel(recording, recording.rate_hz, start_us, bounds)

    def _frame_samples(self, where: str, rate_hz: float) -> int:
        seconds = 1.0 if self._options.frame_s is None else self._options.frame_s
        samples = round(seconds * rate_hz)
        if not 1 <= samples * 4 <= _MAX_FRAME_BYTES:
            raise SourceError(
                f"{where}: a frame of {seconds:g} s at {rate_hz:g} Hz has {samples} samples: must have 1 to "
                f"{_MAX_FRAME_BYTES // 4}, set by --frame"
            )
        return samples

    def summarise(self, summary: Summary) -> None:
        """Counts the frames."""
        names = [f"{self._options.site}/{self._asset}/{channel.recording.channel}" for channel in self._channels]
        for name, channel in zip(names, self._channels, strict=True):
            starts = [channel.time_us(first) for first, _ in channel.bounds]
            summary.add_frames(name, np.array(starts, dtype=np.int64))

    def messages(self, names: subjects.Names, start_us: int | None, idle_timeout_s: float) -> Iterator[Messages]:
        """A message a frame, when its last sample was taken, with ticks between; the control message `end` closes."""
        due = sorted(self._frames(start_us))
        if not due:
            return
        lengths = [end_us - first_us for end_us, _, _, first_us in due]
        ticks = Ticks.every(max(lengths), due[0][0], idle_timeout_s)
        subject = names.raw(self._options.site, self._asset)
        for end_us, at, frame, _ in due:
            out = Messages()
            for tick_us in ticks.advance(end_us):
                out.tick(names, tick_us)
            out.add(subject, self._payload(self._channels[at], frame), ticks.now_us, 1)
            yield out
        closing = Messages()
        closing.end(names, ticks.now_us)
        yield closing

    def _frames(self, from_us: int | None) -> Iterator[tuple[int, int, int, int]]:
        """(end, channel, frame, start) of the frames that begin at `from_us` or later; times in microseconds."""
        for at, channel in enumerate(self._channels):
            for frame, (first, end) in enumerate(channel.bounds):
                first_us = channel.time_us(first)
                if from_us is None or first_us >= from_us:
                    yield channel.time_us(end), at, frame, first_us

    @staticmethod
    def _payload(channel: _Channel, frame: int) -> bytes:
        first, end = channel.bounds[frame]
        recording = channel.recording
        return frames.encode(
            recording.samples[first:end],
            start_us=channel.time_us(first),
            rate_hz=channel.rate_hz,
            signal=recording.channel,
            unit=recording.unit or "",
        )
