"""Waveforms from files: MATLAB, NumPy, WAV and CSV, one `Recording` a channel.

>>> from iotpm import waveforms
>>> for recording in waveforms.read("97.mat", rate_hz=48_000):   # doctest: +SKIP
...     print(recording.channel, recording.samples.size, recording.rate_hz, recording.rpm)
"""

from __future__ import annotations

from .reader import SUFFIXES, read, select
from .recording import Recording

__all__ = ["SUFFIXES", "Recording", "read", "select"]
