"""Vibration of bearings, made: strikes of a defect with slip, through a resonance, in noise.

The model is that of Antoni and Randall (Differential diagnosis of gear and bearing faults, Journal of Vibration and
Acoustics 124 (2002) 165): strikes come at the defect's frequency with random steps of their own, and ring a
resonance; a defect that turns with shaft or cage is modulated by passing through the load.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from iotpm.bearing import Bearing

Samples = NDArray[np.float64]

TURNS_WITH: Final = {"outer race": None, "inner race": "shaft", "ball": "cage"}
"""With what the defect passes through the load."""


def strikes(
    rng: np.random.Generator,
    bearing: Bearing,
    element: str,
    *,
    rate_hz: float,
    seconds: float,
    rpm: float,
    slip: float = 0.0,
    jitter: float = 0.01,
    resonance_hz: float = 3500.0,
) -> Samples:
    """Response to a defect, of RMS 1."""
    shaft_hz, orders = rpm / 60, bearing.orders
    order = {"outer race": orders.bpfo, "inner race": orders.bpfi, "ball": 2 * orders.bsf}[element]
    interval_s = 1 / (order * shaft_hz * (1 + slip))
    steps = interval_s * (1 + jitter * rng.standard_normal(int(seconds / interval_s * 1.1) + 8))
    times = np.cumsum(steps)
    times = times[times < seconds]
    turns_hz = {"shaft": shaft_hz, "cage": orders.ftf * shaft_hz, None: 0.0}[TURNS_WITH[element]]
    strength = (0.6 + 0.4 * np.cos(2 * np.pi * turns_hz * times)) * (1 + 0.1 * rng.standard_normal(times.size))
    train = np.zeros(int(seconds * rate_hz))
    np.add.at(train, np.minimum((times * rate_hz).astype(int), train.size - 1), strength)
    decay = np.arange(int(0.01 * rate_hz)) / rate_hz
    ring = np.exp(-decay * 600) * np.sin(2 * np.pi * resonance_hz * decay)
    response = np.convolve(train, ring)[: train.size]
    return np.asarray(response / response.std(), np.float64)


def machine(rng: np.random.Generator, *, rate_hz: float, seconds: float, rpm: float) -> Samples:
    """A machine in order, of RMS near 1: coloured noise that swells with the shaft, shaft and mesh lines."""
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    shaft = 2 * np.pi * rpm / 60 * t
    noise = rng.standard_normal(t.size)
    noise[1:] += 0.7 * noise[:-1]
    swelling = noise / noise.std() * (1 + 0.2 * np.cos(shaft + rng.uniform(0, 6)) + 0.1 * np.cos(2 * shaft))
    lines = sum(rng.uniform(0, 0.5) * np.cos(k * shaft + rng.uniform(0, 6)) for k in (1, 2, 3, 4, 23))
    return np.asarray(swelling + lines, np.float64)
