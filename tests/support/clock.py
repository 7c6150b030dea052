"""Processes whose wall clock is wrong: libfaketime between them and the C library. The monotonic clock stays right.

It reaches what asks the C library for the time (Python, the Rust extension, DuckDB); never a static Go program such as
nats-server.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

VENDORED = "vendor/libfaketime/src/libfaketime.so.1"
INSTALLED = "/usr/lib/*/faketime/libfaketime.so.1"
ASK = "import time; print(time.time(), time.monotonic())"
DAY_S = 86_400.0


class WrongClock:
    """A clock that is off by as much as one says, also while a process runs.

    Args:
        path: a file from which the processes read the offset at every look at their clock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.environment = {
            "LD_PRELOAD": _library(),
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0.0)

    def set(self, offset_s: float) -> None:
        """From now on the clock is off by so much. The file is replaced, so that no reader finds half of it."""
        new = self._path.with_suffix(".new")
        new.write_text(f"{offset_s:+f}")
        new.replace(self._path)


@cache
def _library() -> str:
    """The library, tried; skips the test where there is none that works."""
    if sys.platform != "linux":
        pytest.skip("libfaketime is looked for on Linux only")
    found = [str(path) for path in _candidates() if path.exists() and _works(path)]
    if not found:
        pytest.skip("no libfaketime that works here: pip install libfaketime, or apt-get install libfaketime")
    return found[0]


def _candidates() -> list[Path]:
    package = find_spec("libfaketime")
    vendored = [Path(package.origin).parent / VENDORED] if package and package.origin else []
    return [*vendored, *Path("/").glob(INSTALLED.lstrip("/"))]


def _works(library: Path) -> bool:
    """Whether it turns the wall clock of a process by thirty days, and no other."""
    settings = {"LD_PRELOAD": str(library), "FAKETIME": "+30d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    asked = [
        subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=False)
        for environment in (dict(os.environ), {**os.environ, **settings})
    ]
    if any(answer.returncode != 0 for answer in asked):
        return False
    (wall, steady), (faked, faked_steady) = ((float(word) for word in answer.stdout.split()) for answer in asked)
    return abs(faked - wall - 30 * DAY_S) < DAY_S / 24 and abs(faked_steady - steady) < DAY_S / 24
