"""Portions of a history on all cores, with progress in readings, ended cleanly by an exception or Ctrl-C."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from typing import Any, Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Advance = Callable[[int], None]
"""Called with the readings that were run since the last call."""

POLL_S: Final = 0.2

_done: Any = None
"""A worker's own place in the parent's counter."""


def run_all(
    function: Callable[[Item, Advance], Result], items: Sequence[Item], workers: int, advance: Advance
) -> list[Result]:
    """Results in the order of `items`; the function of a module, the items picklable."""
    if min(workers, len(items)) <= 1:
        return [function(item, advance) for item in items]
    # Fresh processes: a fork of a process with threads (progress, DuckDB) may hang.
    context = multiprocessing.get_context("spawn")
    done = context.Value("q", 0)
    pool = ProcessPoolExecutor(min(workers, len(items)), context, initializer=_begin, initargs=(done,))
    try:
        return _gather(pool, function, items, done, advance)
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _gather(
    pool: ProcessPoolExecutor,
    function: Callable[[Item, Advance], Result],
    items: Sequence[Item],
    done: Any,
    advance: Advance,
) -> list[Result]:
    futures = [pool.submit(_work, function, item) for item in items]
    told, left = 0, set(futures)
    while left:
        finished, left = wait(left, timeout=POLL_S)
        for future in finished:
            future.result()
        now = done.value
        advance(now - told)
        told = now
    return [future.result() for future in futures]


def _begin(done: Any) -> None:
    global _done
    _done = done
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _work(function: Callable[[Item, Advance], Result], item: Item) -> Result:
    return function(item, _count)


def _count(readings: int) -> None:
    with _done.get_lock():
        _done.value += readings
