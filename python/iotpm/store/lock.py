"""One owner per data directory: a kernel lock, and the name of its holder for everyone else."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from iotpm.errors import StoreHeld
from iotpm.processes import Identity

if TYPE_CHECKING:
    from types import TracebackType


class DirectoryLock:
    """An exclusive `flock` on `<data_dir>/.lock`; the kernel frees it when the process ends, however that happens."""

    def __init__(self, data_dir: str | Path) -> None:
        self.path = Path(data_dir) / ".lock"
        self._descriptor: int | None = None

    def acquire(self) -> Self:
        """Take the lock.

        Raises:
            StoreHeld: another process has it; the message names it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise held(self.path.parent) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, Identity.of_this_process().encode(), 0)
        self._descriptor = descriptor
        return self

    def release(self) -> None:
        """Free the lock; the file stays, because removing it would race with the next owner."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_free(data_dir: Path) -> bool:
    """Whether no process of this kernel owns a data directory; False where there is no lock to ask."""
    try:
        descriptor = os.open(data_dir / ".lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def held(data_dir: Path) -> StoreHeld:
    """The error that names the holder of a data directory."""
    try:
        holder = Identity.parse((data_dir / ".lock").read_bytes())
    except OSError:
        holder = None
    return StoreHeld(f"{data_dir} is in use by {holder or 'another process'}: stop it, ask it, or use another data_dir")
