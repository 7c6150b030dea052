"""Rolling bearings: geometry, the frequencies of their defects, and which element of one is damaged.

>>> from iotpm import bearing
>>> lines = bearing.lines("6205", rpm=1797)
>>> round(lines.bpfo_hz, 2), round(lines.bpfi_hz, 2), round(lines.bsf_hz, 2), round(lines.ftf_hz, 2)
(107.36, 162.19, 70.58, 11.93)
"""

from __future__ import annotations

import difflib
import importlib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from iotpm import _core
from iotpm.errors import InputError
from iotpm.features import as_samples

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Bearing", "Diagnosis", "Evidence", "Line", "Lines", "Modulation", "Orders", "Sideband", "catalogue",
           "catalogue_key", "diagnose", "find", "geometry", "lines"]  # fmt: skip

Verdict = Literal["outer race", "inner race", "ball", "cage", "undetermined", "none"]

CATALOGUE = Path(__file__).parent / "data" / "bearings.toml"
"""The catalogue that comes with the package."""


@dataclass(frozen=True, slots=True)
class Orders:
    """Defect frequencies as multiples of the shaft's; a ball strikes twice a turn, at 2 `bsf`."""

    bpfo: float
    bpfi: float
    bsf: float
    ftf: float


@dataclass(frozen=True, slots=True)
class Lines:
    """Defect frequencies at a shaft speed, Hz."""

    shaft_hz: float
    bpfo_hz: float
    bpfi_hz: float
    bsf_hz: float
    ftf_hz: float


@dataclass(frozen=True, slots=True)
class Bearing:
    """Geometry of a rolling bearing; the inner ring turns, the outer stands still."""

    balls: int
    ball_diameter_mm: float
    pitch_diameter_mm: float
    contact_angle_deg: float = 0.0
    name: str = ""
    source: str = ""
    """Where the numbers come from."""

    def __post_init__(self) -> None:
        _core.bearing_orders(self.geometry)

    @property
    def geometry(self) -> tuple[int, float, float, float]:
        """Balls, ball diameter and pitch diameter in mm, contact angle in degrees."""
        return self.balls, self.ball_diameter_mm, self.pitch_diameter_mm, self.contact_angle_deg

    @property
    def orders(self) -> Orders:
        """Multiples of the shaft's frequency, rolling without slip."""
        return Orders(*_core.bearing_orders(self.geometry))


@dataclass(frozen=True, slots=True)
class Line:
    """A harmonic that was looked for; `ratio` is its power over the local noise, None where a shaft harmonic lies."""

    harmonic: int
    frequency_hz: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Sideband:
    """A sideband that was looked for: `side` -1 below, 1 above its harmonic."""

    harmonic: int
    side: int
    frequency_hz: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for one element, in the band where its lines are strongest."""

    element: str
    line: str
    """BPFO, BPFI, 2 BSF or FTF."""
    nominal_hz: float
    """By geometry and speed."""
    slip: float
    """Relative departure of the lines found from that."""
    band_hz: tuple[float, float]
    strength: float
    """The lesser of the fundamental and the greater of its next two harmonics, as power over the local noise."""
    depth: float
    """Amplitude of the first three lines over the mean square of the band."""
    lines: tuple[Line, ...]
    sidebands: tuple[Sideband, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Modulation:
    """How strongly a band is modulated at each frequency: the spectrum of its squared envelope over its mean."""

    band_hz: tuple[float, float]
    frequency_hz: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    floor: NDArray[np.float64]
    """Local noise, as amplitude."""


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """The damaged element, or why none is named."""

    verdict: Verdict
    reason: str | None
    """Of `undetermined`."""
    evidence: tuple[Evidence, ...]
    """One for each element; empty if the record could not be searched."""
    modulation: Modulation | None
    """Of the band with most to show."""
    bearing: Bearing
    rpm: float

    @property
    def strongest(self) -> Evidence | None:
        """The element with most to show."""
        return max(self.evidence, key=lambda found: found.strength, default=None)

    def __str__(self) -> str:
        return f"{self.verdict}: {self.reason}" if self.reason else self.verdict

    def as_dict(self) -> dict[str, Any]:
        """Everything but the modulation's arrays, for JSON."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "rpm": self.rpm,
            "bearing": asdict(self.bearing),
            "evidence": [asdict(found) for found in self.evidence],
        }

    def plot(self, **options: Any) -> Any:
        """A Plotly figure of the modulation with the lines drawn, made by `iotpm.plot.draw`; needs the extra `plot`."""
        return importlib.import_module("iotpm.plot").draw(self, **options)


@cache
def _packaged() -> Mapping[str, Bearing]:
    return _read(CATALOGUE)


def catalogue(path: str | Path | None = None) -> dict[str, Bearing]:
    """Bearings by name: those of the package, and those of a TOML file of the same form.

    Raises:
        InputError: a file that cannot be read, or an entry that is no bearing; names both.
    """
    return {**_packaged(), **(_read(Path(path)) if path is not None else {})}


def _read(path: Path) -> dict[str, Bearing]:
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: no catalogue of bearings ({error})") from error
    return {name: _entry(path, name, entry) for name, entry in entries.items()}


def _entry(path: Path, name: str, entry: Any) -> Bearing:
    allowed = {field.name for field in fields(Bearing)}
    if not isinstance(entry, dict) or (unknown := sorted(entry.keys() - allowed)):
        wrong = f"unknown keys {', '.join(unknown)}" if isinstance(entry, dict) else "not a table"
        raise InputError(f"{path}: [{name}]: {wrong}; there are {', '.join(sorted(allowed))}")
    try:
        return Bearing(**entry)
    except (TypeError, InputError) as error:
        raise InputError(f"{path}: [{name}]: {error}") from error


def find(name: str, path: str | Path | None = None) -> Bearing:
    """The catalogue's bearing of a name, whatever maker or suffix stands with it: `6205`, `SKF 6205-2RS`.

    Raises:
        InputError: none; names the nearest.
    """
    known = catalogue(path)
    if (key := _key_among(known, name)) is not None:
        return known[key]
    by_key = {_key(entry): entry for entry in known}
    near = difflib.get_close_matches(_key(name), by_key, n=3, cutoff=0.5) or list(by_key)
    raise InputError(
        f"bearing {name!r} is not in the catalogue; the nearest are {', '.join(by_key[key] for key in near)}. "
        "Give its geometry instead: balls,ball diameter,pitch diameter,contact angle"
    )


def catalogue_key(name: str) -> str | None:
    """Under which key the package's catalogue has the bearing that `find` would find; None if it has none."""
    return _key_among(_packaged(), name)


def _key_among(known: Mapping[str, Bearing], name: str) -> str | None:
    by_key = {_key(text): entry for entry, of in known.items() for text in (of.name, entry) if text}
    words = [*name.split(), *re.split(r"[\s/-]+", name)]
    parts = [_key(name), *map(_key, words)]
    return next((by_key[part] for part in parts if part in by_key), None)


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def geometry(text: str) -> Bearing:
    """A bearing from `balls,ball_diameter_mm,pitch_diameter_mm[,contact_angle_deg]`.

    Raises:
        InputError: not three or four numbers, or no possible bearing.
    """
    parts = [part.strip() for part in text.split(",")]
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (3, 4) or not numbers[0].is_integer():
        raise InputError(
            f"geometry {text!r}: must be balls,ball diameter,pitch diameter[,contact angle]: 9,7.94,39.04,0"
        )
    angle = numbers[3] if len(numbers) == 4 else 0.0
    return Bearing(int(numbers[0]), numbers[1], numbers[2], angle, name=text)


def _bearing(given: Bearing | str) -> Bearing:
    return given if isinstance(given, Bearing) else find(given)


def _shaft_hz(rpm: float) -> float:
    if not (math.isfinite(rpm) and rpm > 0):
        raise InputError(f"rpm = {rpm}: must be a positive number of revolutions a minute")
    return rpm / 60


def lines(bearing: Bearing | str, rpm: float) -> Lines:
    """Defect frequencies at a speed.

    Raises:
        InputError: an unknown bearing, a speed that is not positive.
    """
    shaft_hz, orders = _shaft_hz(rpm), _bearing(bearing).orders
    return Lines(shaft_hz, *(order * shaft_hz for order in (orders.bpfo, orders.bpfi, orders.bsf, orders.ftf)))


def diagnose(x: ArrayLike, rate_hz: float, rpm: float, bearing: Bearing | str, *, slip: float = 0.02) -> Diagnosis:
    """Which element of a bearing is damaged, from a record at steady speed (`iotpm-core`, `vibration::bearing`).

    Args:
        x: samples of vibration in any unit, finite, one-dimensional, of any stride; 20 turns of the shaft at least.
        rate_hz: sample rate.
        rpm: speed of the shaft, which turns the inner ring.
        bearing: its geometry, or its name in the catalogue.
        slip: greatest relative departure of the lines from rolling without slip, 0.001 to 0.1.

    Returns:
        A verdict: `outer race`, `inner race`, `ball`, `cage`; `undetermined` with its reason; or `none`.

    Raises:
        InputError: samples that are not finite or not one-dimensional, an unknown bearing, a rate or speed that is not
            positive, a slip out of range.
    """
    of, samples = _bearing(bearing), as_samples(x).astype(np.float64, copy=False)
    if samples.ndim != 1:
        raise InputError(f"x has the shape {samples.shape}: diagnose one record at a time")
    found = _core.bearing_diagnose(samples, rate_hz, _shaft_hz(rpm), of.geometry, slip)
    verdict = found["element"] if found["verdict"] == "fault" else found["verdict"]
    evidence = tuple(_evidence(item) for item in found["evidence"])
    return Diagnosis(verdict, found["reason"], evidence, _modulation(found), of, rpm)


def _evidence(item: dict[str, Any]) -> Evidence:
    lines = tuple(Line(*line) for line in item["lines"])
    return Evidence(**{**item, "lines": lines, "sidebands": tuple(Sideband(*side) for side in item["sidebands"])})


def _modulation(found: dict[str, Any]) -> Modulation | None:
    if found["band_hz"] is None:
        return None
    power, floor = np.sqrt(found["power"]), np.sqrt(found["floor"])
    return Modulation(found["band_hz"], np.arange(power.size) * found["spacing_hz"], power, floor)
