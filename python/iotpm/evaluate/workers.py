"""Work on all cores, with progress, ended cleanly by an exception or Ctrl-C."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_all(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, done: Callable[[int, int], None]
) -> list[Result]:
    """Results in the order of `items`; `done(finished, total)` is called as they come."""
    done(0, len(items))
    if min(workers, len(items)) <= 1:
        return _here(function, items, done)
    # Fresh processes: a fork of a process with threads (progress, BLAS) may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(items)), context, initializer=_leave_interrupts_to_the_parent)
    try:
        return _there(pool, function, items, done)
    except BaseException:
        _end(pool)
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _here(function: Callable[[Item], Result], items: Sequence[Item], done: Callable[[int, int], None]) -> list[Result]:
    results = []
    for item in items:
        results.append(function(item))
        done(len(results), len(items))
    return results


def _there(
    pool: ProcessPoolExecutor,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    done: Callable[[int, int], None],
) -> list[Result]:
    futures: list[Future[Result]] = [pool.submit(function, item) for item in items]
    for finished, future in enumerate(as_completed(futures), 1):
        future.result()
        done(finished, len(items))
    return [future.result() for future in futures]


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(pool: ProcessPoolExecutor) -> None:
    """End the workers at once: what they are at is of no use any more."""
    for process in list((pool._processes or {}).values()):
        process.terminate()
