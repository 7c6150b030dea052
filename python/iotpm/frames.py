"""Waveform frames as producers put them on the wire: `application/vnd.iotpm.waveform`."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

CONTENT_TYPE: Final = "application/vnd.iotpm.waveform"
MAX_SAMPLES: Final = 1 << 20
"""Samples of one frame, at most."""

_HEAD: Final = struct.Struct("<4sBBHqdddIHH")
_F32: Final = 0


def encode(samples: ArrayLike, *, start_us: int, rate_hz: float, signal: str = "", unit: str = "") -> bytes:
    """One frame of float32 samples.

    Args:
        samples: samples (n), 1 to `MAX_SAMPLES`.
        start_us: time of the first sample, microseconds since 1970 UTC.
        rate_hz: sample rate.
        signal: the signal's name within its asset; empty where the subject names it.
        unit: UCUM unit of the samples; empty for the template's.

    Raises:
        InputError: a number of samples, a rate or a text that the format cannot hold.
    """
    array = np.ascontiguousarray(samples, dtype="<f4")
    if array.ndim != 1 or not 1 <= array.size <= MAX_SAMPLES:
        raise InputError(f"samples has the shape {array.shape}: must be one row of 1 to {MAX_SAMPLES}")
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        raise InputError(f"rate_hz = {rate_hz}: must be a positive number of hertz")
    name, code = signal.encode(), unit.encode()
    if max(len(name), len(code)) > 0xFFFF:
        raise InputError(f"signal and unit have {len(name)} and {len(code)} bytes: must have at most 65535")
    head = _HEAD.pack(b"IPMW", 1, _F32, 0, start_us, rate_hz, 1.0, 0.0, array.size, len(name), len(code))
    texts = name + code
    return head + texts + b"\0" * (-len(texts) % 4) + array.tobytes()
