"""A plant in virtual time: machines with load cycles, temperatures that lag behind, vibration that follows speed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .. import subjects
from ..virtual import Messages
from .faults import Fault
from .machines import MACHINES, SIGNALS_PER_MACHINE, MachineModel, SignalModel
from .noise import Floats, generator_of, key_of, normal
from .sweep import STILL, Sweep, Sweeps

Times = npt.NDArray[np.int64]

DEFAULT_START_US: Final = 1_772_434_800_000_000
"""2026-03-02T07:00:00Z, a Monday, an hour into the morning shift."""

_SHIFT_S, _FIRST_SHIFT_S, _DAY_S = 8 * 3600.0, 6 * 3600.0, 86_400.0
_RAMP_S = 2_700.0
_WANDER_S, _WANDER_SD = 60.0, 0.015
_AMBIENT_AMPLITUDE_K, _WARMEST_S = 4.0, 15 * 3600.0


@dataclass(frozen=True, slots=True)
class PlantTick:
    """The readings of one plant interval; A assets, S signals an asset."""

    index: int
    times_us: Times
    """Event time of each asset's readings, [A]."""
    values: Floats
    """What the sensors report, [A, S]."""
    present: npt.NDArray[np.bool_]
    """False where a reading is missing, [A, S]."""
    end_us: int
    """End of the interval: when its tick is due."""


class Plant:
    """Machines `<kind>-<number>` of one site, each sampled every `interval_s` at a phase of its own.

    Deterministic: everything about an asset comes from (seed, its name), so the number of assets changes none of them.
    One call of `step` computes all signals of one interval, vectorised. Raises ValueError for sizes out of range.
    """

    def __init__(
        self,
        assets: int = 1000,
        signals_per_asset: int = SIGNALS_PER_MACHINE,
        interval_s: float = 10.0,
        seed: int = 7,
        start_us: int = DEFAULT_START_US,
        site: str = "plant",
    ) -> None:
        _check("assets", assets, 1, 1_000_000)
        _check("signals_per_asset", signals_per_asset, 1, SIGNALS_PER_MACHINE)
        _check("interval_s", interval_s, 0.001, 86_400.0)
        self.asset_count, self.signals_per_asset, self.interval_s = assets, signals_per_asset, interval_s
        self.seed, self.start_us, self.site = seed, start_us, site
        self._machines = [MACHINES[i % len(MACHINES)] for i in range(assets)]
        self._tags = tags = [f"{machine.kind}-{i + 1:04d}" for i, machine in enumerate(self._machines)]
        self.assets = [f"{site}/{tag}" for tag in tags]
        self.names = [
            f"{a}/{s.name}" for a, m in zip(self.assets, self._machines, strict=True) for s in self._models(m)
        ]
        self._column = {name: i for i, name in enumerate(self.names)}
        self._formats = [_formats(tag, self._models(m)) for tag, m in zip(tags, self._machines, strict=True)]
        self._draw_assets()
        self._draw_signals()
        self._faults: list[Fault] = []
        self._next_fault = 0
        self._active: list[_Active] = []
        self._sweeps = Sweeps(self.assets)
        self.tick_count = 0

    def _models(self, machine: MachineModel) -> tuple[SignalModel, ...]:
        return machine.signals[: self.signals_per_asset]

    def _draw_assets(self) -> None:
        """Load pattern of every asset: levels of the three shifts, two production cycles, a phase."""
        draws = np.array([generator_of(self.seed, "asset", name).random(11) for name in self.assets])
        self._shift_levels = 0.50 + 0.28 * draws[:, 0:3]
        self._shift_offset_s = 1200.0 * draws[:, 3]
        self._cycle_s = np.stack([300.0 + 240.0 * draws[:, 4], 90.0 + 90.0 * draws[:, 5]])
        self._cycle_amplitude = np.stack([0.03 + 0.04 * draws[:, 6], 0.012 + 0.018 * draws[:, 7]])
        self._cycle_phase = 2.0 * np.pi * draws[:, 8:10].T
        self._phase_us = (draws[:, 10] * self.interval_s * 1e3).astype(np.int64) * 1000
        self._order = np.argsort(self._phase_us, kind="stable")
        self._asset_keys = np.array([key_of(self.seed, "wander", name) for name in self.assets], dtype=np.uint64)
        self._wander = _WANDER_SD * normal(self._asset_keys, 0)

    def _draw_signals(self) -> None:
        """Parameters of every signal as [A, S] arrays, gains varied by 10 % and bases by 5 % from asset to asset."""
        shape = (self.asset_count, self.signals_per_asset)
        models = [s for machine in self._machines for s in self._models(machine)]

        def column(of: Callable[[SignalModel], float]) -> Floats:
            return np.array([of(s) for s in models], dtype=np.float64).reshape(shape)

        vary = np.array([generator_of(self.seed, "signals", n).uniform(-1.0, 1.0, (2, 10)) for n in self.assets])
        vary = vary[:, :, : self.signals_per_asset]
        self._base = column(lambda s: s.base) * (1.0 + 0.05 * vary[:, 0])
        self._gain = column(lambda s: s.gain) * (1.0 + 0.10 * vary[:, 1])
        self._exponent, self._noise_sd = column(lambda s: s.exponent), column(lambda s: s.noise_sd)
        self._follows_speed = column(lambda s: s.driver == "speed") > 0
        self._ambient_gain, self._lag_s = column(lambda s: s.ambient_gain), column(lambda s: s.lag_s)
        self._low, self._high = column(lambda s: s.physical_min), column(lambda s: s.physical_max)
        self._resolution = column(lambda s: s.resolution)
        # What a machine at rest still shows: temperature and static pressure; everything else needs a turning shaft.
        self._rests = column(lambda s: s.kind in ("temperature", "pressure")) > 0
        self._bearing_weight = column(lambda s: s.bearing_weight)
        self._speed_idle = np.array([[m.speed_idle] for m in self._machines])
        self._speed_gain = np.array([[m.speed_gain] for m in self._machines])
        with np.errstate(divide="ignore"):
            self._follow = np.where(self._lag_s > 0, -np.expm1(-self.interval_s / self._lag_s), 1.0)
        keys = [key_of(self.seed, "noise", name) for name in self.names]
        self._signal_keys = np.array(keys, dtype=np.uint64).reshape(shape)
        self._state: Floats | None = None
        self._last = np.zeros(shape)
        self.scatter = self._short_term_scatter()

    def _short_term_scatter(self) -> Floats:
        """Standard deviation of each healthy signal over some minutes, [A, S]: sensor noise and production cycles.

        d = gain * exponent * driver ** (exponent - 1) * d driver / d load at the mean load; a sine of
        amplitude a passes a lag tau with variance a^2 / 2 / (1 + (2 pi tau / period)^2), the wander
        with sd^2 tau_w / (tau_w + tau).
        """
        load = self._shift_levels.mean(axis=1, keepdims=True)
        speed = self._speed_idle + self._speed_gain * load
        driver = np.where(self._follows_speed, speed, load)
        slope = self._gain * self._exponent * driver ** (self._exponent - 1.0)
        slope = slope * np.where(self._follows_speed, self._speed_gain, 1.0)
        variance = _WANDER_SD**2 * _WANDER_S / (_WANDER_S + self._lag_s)
        for amplitude, period_s in zip(self._cycle_amplitude, self._cycle_s, strict=True):
            ratio = 2.0 * np.pi * self._lag_s / period_s[:, None]
            variance = variance + 0.5 * amplitude[:, None] ** 2 / (1.0 + ratio**2)
        return np.asarray(np.sqrt(self._noise_sd**2 + slope**2 * variance))

    def templates(self) -> list[dict[str, Any]]:
        """One template per kind of machine and signal, with what a data sheet says: unit, kind, range, resolution."""
        kinds = {machine.kind: machine for machine in self._machines}
        return [_template(self.site, m.kind, s) for m in kinds.values() for s in self._models(m)]

    def bearing_signals(self, asset: int) -> tuple[str, ...]:
        """Names of the signals of an asset (by index) that show a bearing fault."""
        first = asset * self.signals_per_asset
        return tuple(self.names[first + int(i)] for i in np.flatnonzero(self._bearing_weight[asset]))

    def fitting_direction(self, name: str, magnitude: float) -> float:
        """`magnitude` with the sign turned if the sensor's range would cut it off on that side."""
        at = divmod(self._column[name], self.signals_per_asset)
        load = self._shift_levels[at[0]].mean()
        driver = self._speed_idle[at[0], 0] + self._speed_gain[at[0], 0] * load if self._follows_speed[at] else load
        reached = self._base[at] + self._gain[at] * driver ** self._exponent[at] + magnitude * self.scatter[at]
        return magnitude if self._low[at] <= reached <= self._high[at] else -magnitude

    def inject(self, faults: Iterable[Fault]) -> None:
        """Adds faults that act from now on. Raises KeyError for a signal the plant does not have."""
        faults = list(faults)
        unknown = next((s for f in faults for s in f.signals if s not in self._column), None)
        if unknown is not None:
            raise KeyError(f"fault on {unknown!r}, which is no signal of this plant (first is {self.names[0]!r})")
        pending = self._faults[self._next_fault :] + faults
        self._faults, self._next_fault = sorted(pending, key=lambda fault: fault.start_us), 0

    def sweep(self, sweeps: Iterable[Sweep]) -> None:
        """Adds speed sweeps. Raises KeyError for an asset that the plant does not have."""
        for sweep in sweeps:
            self._sweeps.add(sweep)

    def _load(self, times_s: Floats, index: int) -> Floats:
        """Load of every asset as a fraction of nominal, [A]."""
        wave = self._cycle_amplitude * np.sin(2.0 * np.pi * times_s / self._cycle_s + self._cycle_phase)
        keep = math.exp(-self.interval_s / _WANDER_S)
        if index > 0:
            fresh = math.sqrt(1.0 - keep * keep) * _WANDER_SD * normal(self._asset_keys, index)
            self._wander = keep * self._wander + fresh
        load = self._shift_level(times_s) + wave.sum(axis=0) + self._wander
        return np.asarray(np.clip(load, 0.05, 1.1))

    def _shift_level(self, times_s: Floats) -> Floats:
        """Mean load of the running shift; the change of shift is a cosine ramp."""
        since = (times_s - _FIRST_SHIFT_S - self._shift_offset_s) / _SHIFT_S
        shift = np.floor(since)
        rows = np.arange(self.asset_count)
        now = self._shift_levels[rows, shift.astype(np.int64) % 3]
        before = self._shift_levels[rows, (shift.astype(np.int64) - 1) % 3]
        share = np.clip((since - shift) * _SHIFT_S / _RAMP_S, 0.0, 1.0)
        return np.asarray(before + (now - before) * 0.5 * (1.0 - np.cos(np.pi * share)))

    def _truth(self, times_us: Times, index: int) -> Floats:
        """True values, [A, S], before sensors and faults."""
        times_s = np.asarray(times_us * 1e-6, dtype=np.float64)
        load = self._load(times_s, index)[:, None]
        speed, base = self._speed_idle + self._speed_gain * load, self._base
        if self._sweeps:
            factor = self._sweeps.factors(times_us)[:, None]
            speed, load = speed * factor, load * factor
            base = np.where(self._rests, base, base * np.minimum(1.0, factor / STILL))
        driver = np.where(self._follows_speed, speed, load)
        target = base + self._gain * driver**self._exponent
        self._state = target if self._state is None else self._state + self._follow * (target - self._state)
        ambient = _AMBIENT_AMPLITUDE_K * np.cos(2.0 * np.pi * (times_s - _WARMEST_S) / _DAY_S)
        return np.asarray(self._state + self._ambient_gain * ambient[:, None])

    def step(self) -> PlantTick:
        """Computes the next interval; a reading is in [start, start + interval) at its asset's phase."""
        index, begin_us = self.tick_count, self.start_us + round(self.tick_count * self.interval_s * 1e6)
        times_us = begin_us + self._phase_us
        values = self._truth(times_us, index) + self._noise_sd * normal(self._signal_keys, index)
        present = np.ones(values.shape, dtype=np.bool_)
        stuck = self._disturb(values, present, times_us, index)
        values = np.clip(np.round(values / self._resolution) * self._resolution, self._low, self._high)
        for at in stuck:
            values[at] = self._last[at]
        self._last = values
        self.tick_count = index + 1
        end_us = self.start_us + round((index + 1) * self.interval_s * 1e6)
        return PlantTick(index, times_us, values, present, end_us)

    def _disturb(
        self, values: Floats, present: npt.NDArray[np.bool_], times_us: Times, index: int
    ) -> list[tuple[int, int]]:
        """Applies the faults that act now; returns where a sensor is stuck at what it reported last."""
        newest_us = int(times_us.max())
        while self._next_fault < len(self._faults) and self._faults[self._next_fault].start_us <= newest_us:
            self._active.append(self._activate(self._faults[self._next_fault]))
            self._next_fault += 1
        stuck: list[tuple[int, int]] = []
        for active in self._active:
            active.apply(self, values, present, int(times_us[active.asset]), index, stuck)
        self._active = [a for a in self._active if a.fault.end_us > times_us[a.asset]]
        return stuck

    def _activate(self, fault: Fault) -> _Active:
        where = [divmod(self._column[name], self.signals_per_asset) for name in fault.signals]
        return _Active(fault, where[0][0], [column for _, column in where])

    def messages(self, tick: PlantTick, names: subjects.Names) -> Messages:
        """One JSON array message per asset, in order of time, on the raw subjects of `names`."""
        out = Messages()
        complete: list[bool] = np.all(tick.present, axis=1).tolist()
        rows, times = tick.values.tolist(), tick.times_us.tolist()
        for asset in self._order.tolist():
            keep = None if complete[asset] else tick.present[asset].tolist()
            payload = _encode(self._formats[asset], times[asset], rows[asset], keep)
            if payload is not None:
                readings = len(rows[asset]) if keep is None else sum(keep)
                out.add(names.raw(self.site, self._tags[asset]), payload, times[asset], readings)
        return out


@dataclass(slots=True)
class _Active:
    """A fault that has begun, and where it acts."""

    fault: Fault
    asset: int
    columns: list[int]

    def apply(
        self,
        plant: Plant,
        values: Floats,
        present: npt.NDArray[np.bool_],
        time_us: int,
        index: int,
        stuck: list[tuple[int, int]],
    ) -> None:
        fault, row, columns = self.fault, self.asset, self.columns
        if not fault.start_us <= time_us < fault.end_us:
            return
        share = (time_us - fault.start_us) / (fault.end_us - fault.start_us)
        size = fault.magnitude * plant.scatter[row, columns]
        match fault.kind:
            case "spike" | "level_shift":
                values[row, columns] += size
            case "drift":
                values[row, columns] += size * share
            case "bearing":
                values[row, columns] += size * plant._bearing_weight[row, columns] * share**2
            case "noise":
                values[row, columns] += size * normal(~plant._signal_keys[row, columns], index)
            case "dropout":
                present[row, columns] = False
            case "stuck":
                stuck.extend((row, column) for column in columns)


def plant_messages(plant: Plant, names: subjects.Names, intervals: int) -> Iterator[Messages]:
    """The next `intervals` plant intervals, one batch each: the readings, then the tick of the interval's end."""
    for _ in range(intervals):
        tick = plant.step()
        batch = plant.messages(tick, names)
        batch.tick(names, tick.end_us)
        yield batch


def end_message(plant: Plant, names: subjects.Names) -> Messages:
    """The control message that ends the series, at the end of the last interval."""
    out = Messages()
    out.end(names, plant.start_us + round(plant.tick_count * plant.interval_s * 1e6))
    return out


def _formats(tag: str, models: tuple[SignalModel, ...]) -> tuple[bytes, tuple[bytes, ...]]:
    """The whole array and its single readings as `%` formats; `%%` never occurs, names are plain."""
    single = tuple(_format(tag, model) for model in models)
    return b"[" + b",".join(single) + b"]", single


def _format(tag: str, model: SignalModel) -> bytes:
    decimals = max(0, -math.floor(math.log10(model.resolution) + 1e-9))
    head = json.dumps({"sensor_id": tag, "metric": model.name}, separators=(",", ":"))
    return f'{head[:-1]},"timestamp":%d,"value":%.{decimals}f}}'.encode()


def _encode(
    formats: tuple[bytes, tuple[bytes, ...]], time_us: int, row: list[float], keep: list[bool] | None
) -> bytes | None:
    """The message of one asset, or None if every reading is missing."""
    whole, single = formats
    if keep is None:
        both: list[float] = [time_us] * (2 * len(row))
        both[1::2] = row
        return whole % tuple(both)
    parts = [f % (time_us, value) for f, value, kept in zip(single, row, keep, strict=True) if kept]
    return b"[" + b",".join(parts) + b"]" if parts else None


def _template(site: str, machine: str, model: SignalModel) -> dict[str, Any]:
    return {
        "match": f"{site}/{machine}-*/{model.name}",
        "unit": model.unit,
        "kind": model.kind,
        "physical_min": model.physical_min,
        "physical_max": model.physical_max,
        "resolution": model.resolution,
    }


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, allowed is {low} to {high}")
