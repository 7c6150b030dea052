"""Predictive maintenance engine: from sensor to stored anomaly, exactly once.

>>> import iotpm
>>> engine = iotpm.Engine()
>>> out = engine.push("plant/pump-1/temperature", times_us=[0, 1_000_000], values=[20.0, 20.5])
>>> len(out.readings)
2

Submodules `features`, `spectrum`, `bearing`, `iso20816`, `gear`, `orders` and `detect` work on plain arrays,
`waveforms` reads them from files, `plot` draws results; `errors` has the exceptions. Everything is imported when it is
first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iotpm import bearing, detect, errors, features, gear, iso20816, orders, plot, spectrum, waveforms
    from iotpm._core import Output, Table
    from iotpm.config import Config
    from iotpm.engine import Engine

__all__ = ["Config", "Engine", "Output", "Table", "bearing", "detect", "errors", "features", "gear", "iso20816",
           "orders", "plot", "spectrum", "waveforms"]  # fmt: skip

_HOMES = {"Config": "iotpm.config", "Engine": "iotpm.engine", "Output": "iotpm._core", "Table": "iotpm._core"}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in __all__:
        return import_module(f"iotpm.{name}")
    raise AttributeError(f"module 'iotpm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
