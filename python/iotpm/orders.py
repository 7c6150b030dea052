"""Order tracking: waveforms of a machine whose speed varies, as if it turned evenly.

Samples equally spaced in time become samples equally spaced in angle, from a speed signal or from tacho pulses. Their
spectrum has orders (events a revolution) as its axis; their mean over revolutions keeps what repeats with the shaft.
Formulas with their sources: `iotpm-core`, `vibration::order`, `interpolation`, `synchronous_average`.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from iotpm import _core
from iotpm.errors import InputError
from iotpm.features import as_count, as_rows, as_samples, as_vector

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from iotpm.spectrum.types import WindowName

    Array = NDArray[np.float64]

__all__ = ["Angular", "OrderSpectrum", "SynchronousAverage", "pulses", "resample", "spectrum", "synchronous_average"]

Interpolation = Literal["band_limited", "cubic"]


class _Drawn:
    """Something that `iotpm.plot` can draw."""

    __slots__ = ()

    def plot(self, **options: Any) -> Any:
        """A Plotly figure, made by `iotpm.plot.draw`; needs the extra `plot`."""
        return importlib.import_module("iotpm.plot").draw(self, **options)


@dataclass(frozen=True, slots=True, eq=False)
class Angular(_Drawn):
    """Waveforms equally spaced in angle.

    Attributes:
        value: samples, batch axes first, angle along the last axis.
        samples_per_rev: samples a revolution.
        time_s: when each sample was, seconds after the first sample of the record.
        unit: of the samples, if known.
    """

    value: Array
    samples_per_rev: int
    time_s: Array
    unit: str | None = None

    @property
    def angle_rev(self) -> Array:
        """Angle of each sample in revolutions, from the first sample or the first pulse."""
        return np.arange(self.value.shape[-1]) / self.samples_per_rev

    @property
    def revolutions(self) -> float:
        """How far the shaft turned."""
        return float(self.value.shape[-1] / self.samples_per_rev)

    @property
    def speed_hz(self) -> Array:
        """Speed of the shaft at each sample."""
        return 1.0 / (np.gradient(self.time_s) * self.samples_per_rev)


@dataclass(frozen=True, slots=True, eq=False)
class OrderSpectrum(_Drawn):
    """Amplitude spectrum over orders.

    Attributes:
        order: of the lines, events a revolution, equally spaced from 0.
        value: amplitude of a sine on each line, in `unit`, along the last axis.
        window: weight of the samples.
        unit: of the samples, if known.
    """

    order: Array
    value: Array
    window: WindowName
    unit: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SynchronousAverage(_Drawn):
    """What repeats with every revolution.

    Attributes:
        value: mean over the revolutions, angle along the last axis.
        angle_rev: of each value, 0 to 1.
        residual: whole revolutions without that mean, as long as they were.
        revolutions: in the mean; noise is left with 1 / sqrt(revolutions) of its size.
        unit: of the samples, if known.
    """

    value: Array
    angle_rev: Array
    residual: Array
    revolutions: int
    unit: str | None = None

    def suppression(self, order: ArrayLike) -> Array:
        """Share of a tone's amplitude that is left in the mean: `|sin(pi r o) / (r sin(pi o))|`, 1 for whole orders."""
        orders = np.asarray(order, dtype=np.float64)
        whole = np.isclose(orders, np.round(orders), rtol=0.0, atol=1e-12)
        below = self.revolutions * np.sin(np.pi * np.where(whole, 0.5, orders))
        return np.where(whole, 1.0, np.abs(np.sin(np.pi * self.revolutions * orders) / below))


def pulses(tacho: ArrayLike, rate_hz: float, threshold: float, hysteresis: float = 0.0) -> Array:
    """Times in seconds at which a tacho signal rises through `threshold`, told between samples by a straight line.

    Args:
        tacho: samples, finite.
        rate_hz: sample rate in Hz.
        threshold: level of the edge.
        hysteresis: how far below `threshold` the signal has to fall before the next rise counts.

    Raises:
        InputError: samples that are not finite, a rate that is not positive, a hysteresis that is negative.
    """
    return _core.tacho_pulses(as_vector(tacho, "tacho"), rate_hz, threshold, hysteresis)


def resample(
    x: ArrayLike,
    rate_hz: float,
    *,
    speed_hz: ArrayLike | None = None,
    pulses_s: ArrayLike | None = None,
    pulses_per_rev: int = 1,
    samples_per_rev: int | None = None,
    interpolation: Interpolation = "band_limited",
    unit: str | None = None,
    axis: int = -1,
) -> Angular:
    """Samples equally spaced in angle, from the shaft's speed or from tacho pulses: one of the two.

    Args:
        x: samples equally spaced in time, finite; any shape, f32 or f64, all of the same shaft.
        rate_hz: sample rate in Hz.
        speed_hz: speed in Hz at each sample, or one number; positive. Angle 0 is at the first sample.
        pulses_s: times of tacho pulses in seconds after the first sample, ascending, within the record. Angle 0 is at
            the first pulse; what is before it and after the last one is left out.
        pulses_per_rev: pulses a revolution.
        samples_per_rev: default: as many as keep every frequency at the lowest speed.
        interpolation: `band_limited` takes out what the new spacing cannot hold; `cubic` is quicker and lets it fold.
        unit: UCUM unit of the samples, for the result.
        axis: the axis of time.

    Raises:
        InputError: not one of `speed_hz` and `pulses_s`, speeds that are not positive, pulses that do not ascend, lie
            outside the record or are too uneven, samples that are not finite.
    """
    rows, batch = as_rows(x, axis)
    if (speed_hz is None) == (pulses_s is None):
        raise InputError("speed_hz, pulses_s: give one of the two")
    if speed_hz is not None:
        positions, per_rev = _from_speed(speed_hz, rows.shape[-1], rate_hz, samples_per_rev)
    else:
        assert pulses_s is not None
        times = as_vector(pulses_s, "pulses_s")
        pulses_each = as_count("pulses_per_rev", pulses_per_rev)
        per_rev = _per_rev(samples_per_rev, rate_hz * float(np.diff(times).max(initial=0.0)) * pulses_each)
        positions = _core.order_positions_from_pulses(times, pulses_each, rows.shape[-1], rate_hz, per_rev)
    value = _core.interpolate(rows, positions, interpolation)
    return Angular(value.reshape(*batch, len(positions)), per_rev, positions / rate_hz, unit)


def _from_speed(speed_hz: ArrayLike, n: int, rate_hz: float, samples_per_rev: int | None) -> tuple[Array, int]:
    speed = as_samples(speed_hz, "speed_hz").astype(np.float64, copy=False)
    if speed.ndim and speed.shape != (n,):
        raise InputError(f"speed_hz has shape {speed.shape}: give one number, or one for each of the {n} samples")
    if not np.all(speed > 0):
        raise InputError("speed_hz: must be positive: cut the record where the shaft does not turn forward")
    per_rev = _per_rev(samples_per_rev, rate_hz / float(speed.min()) if speed.size else 1.0)
    return _core.order_positions_from_speed(np.array(np.broadcast_to(speed, n)), rate_hz, per_rev), per_rev


def _per_rev(given: int | None, needed: float) -> int:
    if given is not None:
        return as_count("samples_per_rev", given)
    if not math.isfinite(needed):
        raise InputError(f"rate_hz, speed_hz: {needed} samples a revolution; both must be finite and positive")
    return max(math.ceil(needed - 1e-9), 1)


def spectrum(angular: Angular, *, window: WindowName = "hann") -> OrderSpectrum:
    """Amplitude spectrum over orders, of the samples less their mean; lines are `1 / angular.revolutions` apart.

    Raises:
        InputError: no samples, an unknown window.
    """
    n = angular.value.shape[-1]
    rows, batch = as_rows(angular.value, -1)
    lines = _core.amplitude_spectrum(rows, window, "constant")
    order = np.arange(n // 2 + 1) * (angular.samples_per_rev / n)
    return OrderSpectrum(order, lines.reshape(*batch, n // 2 + 1), window, angular.unit)


def synchronous_average(angular: Angular) -> SynchronousAverage:
    """Mean over the whole revolutions: what repeats with the shaft; all else is left with less the more there are.

    Raises:
        InputError: less than one revolution.
    """
    rows, batch = as_rows(angular.value, -1)
    per_rev = angular.samples_per_rev
    mean = _core.synchronous_average(rows, per_rev)
    revolutions = rows.shape[-1] // per_rev
    whole = rows[:, : revolutions * per_rev].reshape(len(rows), revolutions, per_rev)
    residual = (whole - mean[:, None, :]).reshape(*batch, revolutions * per_rev)
    angle = np.arange(per_rev) / per_rev
    return SynchronousAverage(mean.reshape(*batch, per_rev), angle, residual, revolutions, angular.unit)
