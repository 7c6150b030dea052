"""Processor time and memory of processes and of their threads, from /proc (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_HZ = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, seconds."""
    return _seconds(Path(f"/proc/{pid}/stat"))[1]


def thread_cpu_seconds(names: dict[int, str]) -> dict[str, float]:
    """User and system time of this process's threads by name, seconds.

    Args:
        names: names for thread numbers (`threading.get_native_id`); the others keep their own.
    """
    times: dict[str, float] = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            name, seconds = _seconds(task / "stat")
        except (FileNotFoundError, ProcessLookupError):
            continue
        label = names.get(int(task.name), name)
        times[label] = times.get(label, 0.0) + seconds
    return times


def resident_bytes(pid: int | None = None) -> int:
    """Memory that a process (default: this one) has in RAM, bytes."""
    pages = Path(f"/proc/{pid or os.getpid()}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _seconds(stat: Path) -> tuple[str, float]:
    # `<pid> (<name>) <state> ...`; utime and stime are the 12th and 13th after the name, which may hold anything.
    head, _, rest = stat.read_text().rpartition(")")
    fields = rest.split()
    return head.partition("(")[2], (int(fields[11]) + int(fields[12])) / _TICKS_HZ
