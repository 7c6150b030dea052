"""WAV files: RIFF with PCM or floats (Microsoft, Multimedia Programming Interface and Data Specifications 1.0)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..errors import SourceError
from .recording import Recording, checked

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PCM: Final = 1
_FLOAT: Final = 3
_EXTENSIBLE: Final = 0xFFFE


class _Format(NamedTuple):
    kind: int
    channels: int
    rate_hz: int
    bits: int


def read(path: Path) -> list[Recording]:
    """All channels of a WAV file; full scale of PCM is 1.

    Raises:
        SourceError: not a WAV file, or a compressed one.
    """
    data = path.read_bytes()
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise SourceError(f"{path}: not a WAV file: it does not begin with RIFF and WAVE")
    chunks = dict(_chunks(data))
    if b"fmt " not in chunks or b"data" not in chunks or len(chunks[b"fmt "]) < 16:
        raise SourceError(f"{path}: not a whole WAV file: the chunks 'fmt ' and 'data' are needed")
    form = _format(chunks[b"fmt "])
    frames = _frames(path, form, chunks[b"data"])
    names = [str(at) for at in range(form.channels)]
    return [
        Recording(name, checked(str(path), name, frames[:, at]), float(form.rate_hz)) for at, name in enumerate(names)
    ]


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    at, view = 12, memoryview(data)
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        yield name, view[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _format(chunk: memoryview) -> _Format:
    kind, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if kind == _EXTENSIBLE and len(chunk) >= 26:
        kind = struct.unpack_from("<H", chunk, 24)[0]
    return _Format(kind, channels, rate_hz, bits)


def _frames(path: Path, form: _Format, data: memoryview) -> NDArray[Any]:
    width = form.bits // 8 * form.channels
    known = form.bits in ({_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}.get(form.kind, ()))
    if not known or not form.channels or not form.rate_hz or len(data) < 2 * width:
        raise SourceError(
            f"{path}: format {form.kind} of {form.bits} bits, {form.channels} channels, {form.rate_hz} Hz, "
            f"{len(data)} bytes: must be PCM of 8, 16, 24 or 32 bits or floats of 32 or 64, and at least two samples"
        )
    return _numbers(form, data[: len(data) // width * width]).reshape(-1, form.channels)


def _numbers(form: _Format, data: memoryview) -> NDArray[Any]:
    if form.kind == _FLOAT:
        return np.frombuffer(data, f"<f{form.bits // 8}")
    if form.bits == 8:
        return (np.frombuffer(data, np.uint8) - 128.0) / 128
    if form.bits == 24:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4").reshape(-1) / 2.0**31
    return np.frombuffer(data, f"<i{form.bits // 8}") / 2.0 ** (form.bits - 1)
