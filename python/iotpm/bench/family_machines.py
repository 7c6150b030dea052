"""Families of what turns: orders, averages in step with the shaft, and what no other library has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iotpm import bearing, gear, orders, spectrum
from iotpm.bench.families import Family

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SAMPLES_PER_REV = 1024
PAIR = gear.GearPair(23, 71)


def of(x: Array, rate_hz: float) -> Iterator[Family]:
    """Families of one waveform of a shaft that runs up from 20 to 31 Hz; the last two as if at 29.7 Hz."""
    speed = np.linspace(20.0, 31.0, len(x))
    even = orders.resample(x, rate_hz, speed_hz=speed, samples_per_rev=SAMPLES_PER_REV, interpolation="cubic")
    amplitude = spectrum.amplitude(x, rate_hz)
    yield Family(
        "orders", f"cubic, {SAMPLES_PER_REV} samples a revolution, and the spectrum",
        lambda: _orders(x, rate_hz, speed), {"scipy": lambda _: lambda: _plain_orders(x, rate_hz, speed)},
    )  # fmt: skip
    yield Family(
        "synchronous average", f"and residual, {even.revolutions:.0f} revolutions",
        lambda: orders.synchronous_average(even).residual, {"scipy": lambda _: lambda: _residual(even.value)},
    )  # fmt: skip
    yield Family(
        "bearing", "diagnosis: 36 bands, 4 elements", lambda: len(bearing.diagnose(x, rate_hz, 1782, "6205").evidence)
    )
    yield Family("gear", "mesh families of both shafts", lambda: len(gear.mesh_families(amplitude, PAIR, 1782)))


def _orders(x: Array, rate_hz: float, speed: Array) -> Any:
    even = orders.resample(x, rate_hz, speed_hz=speed, samples_per_rev=SAMPLES_PER_REV, interpolation="cubic")
    return orders.spectrum(even).value


def _plain_orders(x: Array, rate_hz: float, speed: Array) -> Any:
    from scipy import fft, integrate, interpolate, signal

    samples = np.arange(len(x))
    angle = integrate.cumulative_trapezoid(speed, dx=1 / rate_hz, initial=0.0)
    wanted = np.arange(0.0, angle[-1], 1 / SAMPLES_PER_REV)
    even = interpolate.CubicSpline(samples, x)(np.interp(wanted, angle, samples))
    window = signal.get_window("hann", len(even))
    return np.abs(fft.rfft((even - even.mean()) * window)) * 2 / window.sum()


def _residual(even: Array) -> Any:
    whole = even[: len(even) // SAMPLES_PER_REV * SAMPLES_PER_REV].reshape(-1, SAMPLES_PER_REV)
    return (whole - whole.mean(axis=0)).reshape(-1)
