"""What each kind of machine measures: nominal values, couplings, sensor noise and resolution.

A signal's true value follows `base + gain * driver ** exponent`, the driver being the load or the speed as a fraction
of nominal, through a first-order lag; its sensor adds white noise and rounds to its resolution. Figures are those of
ordinary 22 kW class machines (data sheets give ranges, not dynamics: lags and noise are engineering judgement, see
`docs/simulator.md`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Driver = Literal["load", "speed"]


@dataclass(frozen=True, slots=True)
class SignalModel:
    """One measured quantity of a machine."""

    name: str
    unit: str
    """UCUM."""
    kind: str
    driver: Driver
    base: float
    gain: float
    exponent: float
    noise_sd: float
    """Standard deviation of the sensor's noise, in `unit`."""
    resolution: float
    """Step of the sensor, in `unit`."""
    physical_min: float
    physical_max: float
    lag_s: float = 0.0
    """Time constant of the first-order lag behind the driver; 0 for none."""
    ambient_gain: float = 0.0
    """Change per kelvin of ambient temperature."""
    bearing_weight: float = 0.0
    """Share of a bearing fault's growth that this signal shows; 0 for none."""


@dataclass(frozen=True, slots=True)
class MachineModel:
    """One kind of machine; speed as a fraction of nominal is `speed_idle + speed_gain * load`."""

    kind: Literal["pump", "motor", "fan", "compressor"]
    speed_idle: float
    speed_gain: float
    signals: tuple[SignalModel, ...]


def _electric(rated_rpm: float) -> tuple[SignalModel, ...]:
    return (
        SignalModel("load", "%", "load", "load", 0.0, 100.0, 1.0, 0.6, 0.1, 0.0, 130.0),
        SignalModel("speed", "/min", "speed", "speed", 0.0, rated_rpm, 1.0, rated_rpm * 0.002, 1.0, 0.0, 4000.0),
        SignalModel("motor_current", "A", "current", "load", 9.0, 33.0, 1.0, 0.35, 0.1, 0.0, 150.0),
        SignalModel("power", "kW", "power", "load", 1.5, 20.0, 1.0, 0.15, 0.05, 0.0, 60.0),
    )


def _mechanical(winding_lag_s: float, vibration: float) -> tuple[SignalModel, ...]:
    temperature, warm = "temperature", {"ambient_gain": 1.0}
    return (
        SignalModel(
            "winding_temperature",
            "Cel",
            temperature,
            "load",
            32.0,
            55.0,
            2.0,
            0.25,
            0.1,
            -40.0,
            200.0,
            winding_lag_s,
            **warm,
        ),
        SignalModel(
            "bearing_temperature",
            "Cel",
            temperature,
            "speed",
            28.0,
            26.0,
            1.0,
            0.2,
            0.1,
            -40.0,
            150.0,
            600.0,
            **warm,
            bearing_weight=1.0,
        ),
        SignalModel(
            "vibration_x", "mm/s", "vibration", "speed", 0.35, vibration, 2.0, 0.10, 0.01, 0.0, 50.0, bearing_weight=1.0
        ),
        SignalModel(
            "vibration_y",
            "mm/s",
            "vibration",
            "speed",
            0.30,
            0.8 * vibration,
            2.0,
            0.08,
            0.01,
            0.0,
            50.0,
            bearing_weight=0.8,
        ),
    )


MACHINES: tuple[MachineModel, ...] = (
    MachineModel(
        "pump",
        0.55,
        0.45,
        (
            *_electric(1480.0),
            *_mechanical(900.0, 1.3),
            SignalModel("discharge_pressure", "bar", "pressure", "speed", 0.4, 5.6, 2.0, 0.05, 0.01, 0.0, 16.0),
            SignalModel("flow", "m3/h", "flow", "speed", 0.0, 82.0, 1.0, 0.7, 0.1, 0.0, 160.0),
        ),
    ),
    MachineModel(
        "motor",
        1.0,
        -0.025,
        (
            *_electric(1500.0),
            *_mechanical(1200.0, 1.0),
            SignalModel("torque", "N.m", "torque", "load", 4.0, 138.0, 1.0, 1.2, 0.5, 0.0, 400.0),
            SignalModel("voltage", "V", "voltage", "load", 404.0, -5.0, 1.0, 0.9, 0.1, 0.0, 600.0),
        ),
    ),
    MachineModel(
        "fan",
        0.40,
        0.60,
        (
            *_electric(980.0),
            *_mechanical(800.0, 1.9),
            SignalModel("discharge_pressure", "mbar", "pressure", "speed", 1.0, 24.0, 2.0, 0.25, 0.05, 0.0, 80.0),
            SignalModel("flow", "m3/h", "flow", "speed", 0.0, 21000.0, 1.0, 190.0, 10.0, 0.0, 45000.0),
        ),
    ),
    MachineModel(
        "compressor",
        0.70,
        0.30,
        (
            *_electric(2960.0),
            *_mechanical(1000.0, 2.1),
            SignalModel("discharge_pressure", "bar", "pressure", "load", 5.8, 2.1, 1.0, 0.04, 0.01, 0.0, 16.0, 20.0),
            SignalModel(
                "discharge_temperature",
                "Cel",
                "temperature",
                "load",
                48.0,
                42.0,
                1.0,
                0.3,
                0.1,
                -40.0,
                200.0,
                240.0,
                0.6,
            ),
        ),
    ),
)
"""Machines in the order in which assets take them: asset i is `MACHINES[i % 4]`."""

SIGNALS_PER_MACHINE = 10
