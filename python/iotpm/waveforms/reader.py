"""Which reader a file gets, by its suffix, and what holds for all of them."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Final

from ..errors import InputError, SourceError
from .recording import Recording

_READERS: Final = {".mat": "mat", ".npy": "arrays", ".npz": "arrays", ".wav": "wav", ".csv": "csv", ".txt": "csv",
                   ".tsv": "csv"}  # fmt: skip

SUFFIXES: Final = tuple(_READERS)
"""Suffixes of the files that can be read."""

_CWRU_NAME: Final = re.compile(r"(?P<kilohertz>12|48)k_(Drive|Fan)_End_", re.IGNORECASE)
"""Names of the bearing data of Case Western Reserve University, whose files do not hold their rate."""


def read(path: str | Path, rate_hz: float | None = None, unit: str | None = None) -> list[Recording]:
    """All channels of a file.

    `.mat` (MATLAB 4 to 7.2, needs the extra `mat`) and `.npz`, `.npy`: every vector is a channel, a matrix holds one in
    each column (time along the longer side); a scalar named such as `fs` or `sample_rate` is the rate, one that ends in
    `RPM` the speed. `.wav`: PCM of 8 to 32 bits (full scale is 1) and floats. `.csv`, `.tsv`, `.txt`: columns of
    numbers, with or without a header; a unit in brackets after a name is the column's; a time column gives the rate.
    Names of the CWRU data (`48k_Drive_End_..`) state the rate that those files lack.

    Args:
        path: the file.
        rate_hz: sample rate; it must agree with the file's own, if that has one.
        unit: unit of the samples (UCUM), for all channels; it must be the file's own, if that states one.

    Raises:
        SourceError: a file that cannot be read as told; names file, what was found and the way out.
        InputError: a rate that is not positive.
    """
    if rate_hz is not None and not (math.isfinite(rate_hz) and rate_hz > 0):
        raise InputError(f"rate_hz = {rate_hz}: must be a positive number of hertz")
    path = Path(path)
    if not path.is_file():
        raise SourceError(f"{path}: {'a folder: name one of its files' if path.is_dir() else 'no such file'}")
    return [_told(path, recording, rate_hz, unit) for recording in _reader(path)(path)]


def _reader(path: Path) -> Callable[[Path], list[Recording]]:
    name = _READERS.get(path.suffix.lower())
    if name is None:
        raise SourceError(f"{path}: unknown kind {path.suffix!r}: must be one of {', '.join(SUFFIXES)}")
    function: Callable[[Path], list[Recording]] = import_module(f"{__package__}.{name}").read
    return function


def _told(path: Path, recording: Recording, rate_hz: float | None, unit: str | None) -> Recording:
    own = recording.rate_hz
    # A time column of rounded seconds gives the rate to a part in a thousand, no better.
    if rate_hz and own and not math.isclose(own, rate_hz, rel_tol=1e-3):
        raise SourceError(f"{path}: the file says {own:g} Hz, not {rate_hz:g} Hz: leave the rate out, or mend the file")
    if unit and recording.unit and unit != recording.unit:
        raise SourceError(
            f"{path}: channel {recording.channel!r} is in {recording.unit!r}, not {unit!r}: leave the unit out"
        )
    return replace(recording, rate_hz=rate_hz or own or _rate_of_name(path), unit=unit or recording.unit)


def _rate_of_name(path: Path) -> float | None:
    match = _CWRU_NAME.match(path.name)
    return 1000.0 * int(match["kilohertz"]) if match else None


def select(recordings: Sequence[Recording], channel: str | None, where: str) -> Recording:
    """The channel that is meant: by name, by a part of its name that only one has, or by its number from 0; without one
    the first.

    Raises:
        SourceError: none or several; names the nearest, or all.
    """
    if channel is None:
        return recordings[0]
    names = [recording.channel for recording in recordings]
    exact = [at for at, name in enumerate(names) if name == channel]
    part = [at for at, name in enumerate(names) if channel.lower() in name.lower()]
    if exact or len(part) == 1:
        return recordings[(exact or part)[0]]
    if channel.isdecimal() and int(channel) < len(names):
        return recordings[int(channel)]
    near = difflib.get_close_matches(channel, names, n=3, cutoff=0.4) if not part else [names[at] for at in part]
    raise SourceError(f"{where}: {'several channels match' if part else 'no channel'} {channel!r}: "
                      f"must be one of {', '.join(map(repr, near or names[:20]))}")  # fmt: skip
