"""Speed and memory of the detectors of one signal, on one core."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iotpm.detect import DEFAULT_DETECTORS, SeriesScorer, series_detectors

_START_US = 1_700_000_000_000_000
_INTERVAL_US = 10_000_000
_DAY_READINGS = 8_640
_WARM_UP_READINGS = 20_000
_SHAPE = "resonance"


def measure(*, signals: int, readings: int, chunk: int) -> dict[str, Any]:
    """Readings a second of one thread for the default set, without its shape channel, and for each detector alone.

    Args:
        signals: scorers that take turns, a chunk each, so that no signal's state stays in the cache by itself.
        readings: readings of all signals together for each set, after 20,000 of each signal that fill every memory.
        chunk: readings handed over at once.

    Returns:
        `readings_per_s_core`, `readings_per_s_core_without_shape`, `memory_bytes_per_signal`, and `each`: the rate of
        every detector alone.
    """
    rate, memory = _run(DEFAULT_DETECTORS, signals, readings, chunk)
    without_shape = [name for name in DEFAULT_DETECTORS if name != _SHAPE]
    single = max(readings // 8, chunk)
    return {
        "readings_per_s_core": round(rate),
        "readings_per_s_core_without_shape": round(_run(without_shape, signals, readings, chunk)[0]),
        "memory_bytes_per_signal": memory,
        "each": {name: round(_run([name], signals, single, chunk)[0]) for name in series_detectors()},
    }


def _run(detectors: Sequence[str], signals: int, readings: int, chunk: int) -> tuple[float, int]:
    """Readings a second, and the greatest memory of a signal."""
    scorers = [SeriesScorer(detectors=detectors) for _ in range(signals)]
    first = _WARM_UP_READINGS
    for number, scorer in enumerate(scorers):
        scorer.update(*_readings(number, 0, first))
    done, seconds = 0, 0.0
    while done < readings:
        for number, scorer in enumerate(scorers):
            values, times_us = _readings(number, first, chunk)
            began = time.perf_counter()
            scorer.update(values, times_us)
            seconds += time.perf_counter() - began
        first, done = first + chunk, done + chunk * signals
    return done / seconds, max(scorer.memory_bytes for scorer in scorers)


def _readings(signal: int, first: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A sensor read every 10 s: a daily swing, wandering load and noise, two decimals."""
    at = np.arange(first, first + count)
    rng = np.random.default_rng([signal, first])
    load = np.sin(at / 97.0 + signal) + 0.5 * np.sin(at / 31.0)
    values = 50.0 + 8.0 * np.sin(2.0 * np.pi * at / _DAY_READINGS) + load + rng.normal(0.0, 0.6, count)
    return values.round(2), _START_US + at * _INTERVAL_US
