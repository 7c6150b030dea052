"""Which process holds something: identities that survive in files and can be checked later (Linux)."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A process, told apart from a later one with the same number by its start time and namespace."""

    pid: int
    host: str
    since: str
    """When it took hold, RFC 3339 UTC."""
    started: int
    """Start of the process in clock ticks since boot (/proc/<pid>/stat, field 22)."""
    world: str
    """Boot and process namespace: numbers of processes are comparable only within one."""

    @classmethod
    def of_this_process(cls) -> Identity:
        """The calling process, since now."""
        return cls.of_process(os.getpid())

    @classmethod
    def of_process(cls, pid: int) -> Identity:
        """A process of this machine, since now."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return cls(pid=pid, host=socket.gethostname(), since=since, started=_started(pid) or 0, world=_world())

    @classmethod
    def parse(cls, data: bytes) -> Identity | None:
        """What `encode` wrote; None if it is not that."""
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def encode(self) -> bytes:
        """JSON."""
        return msgspec.json.encode(self)

    def is_dead(self) -> bool:
        """Whether it is certain that the process no longer runs: False from another host, boot or namespace."""
        return self.is_of_this_world() and _started(self.pid) != self.started

    def is_of_this_world(self) -> bool:
        """Whether it ran under this boot and namespace, so that its number means something here."""
        return self.world == _world()

    def end(self, timeout_s: float) -> None:
        """End the process: SIGTERM, then SIGKILL after `timeout_s`; nothing happens if it is dead already."""
        for number, limit_s in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, 5.0)):
            if self.is_dead():
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            self._await_end(limit_s)

    def _await_end(self, limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        while not self.is_dead() and time.monotonic() < deadline:
            time.sleep(0.005)

    def __str__(self) -> str:
        """Such as `process 4711 on plant-7 since 2026-11-21T10:00:00Z`."""
        return f"process {self.pid} on {self.host} since {self.since}"


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state == "Z" else int(rest[18])


def _world() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"unknown-{socket.gethostname()}"
