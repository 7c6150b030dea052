"""How a signal arrives and what its values look like: what a configuration must know, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from iotpm.detect import WARM_UP_READINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .series import Series

WARM_UP_SHARE: Final = 0.15
"""Share of the readings that only teach, at most `iotpm.detect.WARM_UP_READINGS`."""
READINGS_MIN: Final = 200
"""Below this a signal is too short to judge: 15 % of it would not warm a detector up."""
GAP_INTERVALS: Final = 10
"""An interval of more than this many typical ones is a gap, as a node's idle timeout has it."""
FLAT_READINGS: Final = 30
"""Equal readings in a row that a node takes for a stuck sensor."""
_DECIMALS_MAX: Final = 9
_LEVELS_MAX: Final = 64
_MODE_SHARE_MIN: Final = 0.1
_BINS: Final = 64
_STRETCHES: Final = 200
_DIP_MAX: Final = 0.1
"""Between two modes the histogram falls below this share of the lower one."""
_RETURNS_MIN: Final = 2
"""Changes of mode: one that is left for good is a start-up or a drift."""
OUTSIDE_MAX: Final = 0.25
"""Share of the later readings beyond what the beginning showed from which on it does not stand for the rest."""


@dataclass(frozen=True, slots=True)
class Ingestion:
    """What was found before any detector ran. Intervals in seconds; `remarks` are for people."""

    readings: int
    unusable: int
    duplicates: int
    out_of_order: int
    interval_s: float
    jitter: float
    gaps: int
    longest_gap_s: float
    least: float
    greatest: float
    resolution: float
    levels: int
    longest_flat: int
    modes: tuple[float, ...]
    counter: bool
    """Never falls and rises at most readings: a number of something, not a measurement."""
    state: bool
    """Two values, 0 and another, or -1 and 1: a state, an event or a label, not a measurement."""
    active: float
    """Share of the readings with the greater value of a state; 0 of what is none."""
    beginning: tuple[float, float]
    """Least and greatest value of the readings that only teach, its warm-up."""
    outside: float
    """Share of the later readings that lie beyond them."""
    too_short: bool
    remarks: tuple[str, ...] = field(default=())

    @property
    def measurement(self) -> bool:
        """Whether its level means anything: it is no counter and no state."""
        return not self.counter and not self.state


def inspect_series(series: Series) -> Ingestion:
    """Rates, gaps, duplicates, order, resolution, flat stretches and operating modes of a signal."""
    ordered = series.in_order()
    intervals_s = np.diff(ordered.times_us) / 1e6
    interval_s = float(np.median(intervals_s)) if len(intervals_s) else float("nan")
    gaps = intervals_s[intervals_s > GAP_INTERVALS * interval_s]
    values = ordered.values
    beginning = values[: warm_up_readings(len(values))]
    low, high = (float(beginning.min()), float(beginning.max())) if len(beginning) else (float("nan"),) * 2
    later = values[len(beginning) :]
    found = Ingestion(
        readings=len(series),
        unusable=int((~np.isfinite(series.values)).sum()),
        duplicates=len(series) - len(np.unique(series.times_us)),
        out_of_order=int((np.diff(series.times_us) < 0).sum()),
        interval_s=interval_s,
        jitter=_jitter(intervals_s, interval_s),
        gaps=len(gaps),
        longest_gap_s=float(gaps.max()) if len(gaps) else 0.0,
        least=float(values.min()) if len(values) else float("nan"),
        greatest=float(values.max()) if len(values) else float("nan"),
        resolution=_resolution(values),
        levels=len(np.unique(values)),
        longest_flat=_longest_run(values),
        modes=_modes(values),
        counter=_is_counter(values),
        state=_is_state(values),
        active=float((values == values.max()).mean()) if _is_state(values) else 0.0,
        beginning=(low, high),
        outside=float(((later < low) | (later > high)).mean()) if len(later) else 0.0,
        too_short=len(values) < READINGS_MIN,
    )
    return _with_remarks(found)


def warm_up_readings(readings: int) -> int:
    """Readings at the beginning of so many that only teach."""
    return min(WARM_UP_READINGS, int(WARM_UP_SHARE * readings))


def _is_counter(values: NDArray[np.float64]) -> bool:
    steps = np.diff(values)
    return len(values) >= READINGS_MIN and bool((steps >= 0).all() and (steps > 0).mean() > 0.5)


def _is_state(values: NDArray[np.float64]) -> bool:
    found = np.unique(values)
    return len(found) == 2 and (0.0 in found or (found[0], found[1]) == (-1.0, 1.0))


def _jitter(intervals_s: NDArray[np.float64], typical_s: float) -> float:
    """Median departure from the typical interval, as a share of it."""
    if not len(intervals_s) or not typical_s > 0:
        return float("nan")
    return float(np.median(np.abs(intervals_s - typical_s)) / typical_s)


def _resolution(values: NDArray[np.float64]) -> float:
    """The coarsest decimal grid on which all values lie; 0 if there is none."""
    for decimals in range(_DECIMALS_MAX + 1):
        steps = values * 10.0**decimals
        if len(values) and np.all(np.abs(steps - np.round(steps)) <= 1e-6 + 1e-12 * np.abs(steps)):
            return float(10.0**-decimals)
    return 0.0


def _longest_run(values: NDArray[np.float64]) -> int:
    """Most equal readings in a row."""
    if not len(values):
        return 0
    ends = np.flatnonzero(np.concatenate([np.diff(values) != 0, [True]]))
    return int(np.diff(np.concatenate([[-1], ends])).max())


def _modes(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Levels around which the values gather, if they are several: peaks of the histogram with a deep dip between."""
    if len(values) < READINGS_MIN or len(np.unique(values)) <= _LEVELS_MAX:
        return ()
    low, high = np.quantile(values, [0.005, 0.995])
    if not high > low:
        return ()
    counts, edges = np.histogram(values, _BINS, (float(low), float(high)))
    smooth = np.convolve(counts, [0.25, 0.5, 0.25], "same")
    groups = _groups(smooth > _DIP_MAX * smooth.max())
    large = [(a, b) for a, b in groups if counts[a:b].sum() >= _MODE_SHARE_MIN * len(values)]
    if len(large) < 2:
        return ()
    bounds = [float(edges[(end + begin) // 2]) for (_, end), (begin, _) in pairwise(large)]
    if np.count_nonzero(np.diff(np.digitize(_steady(values), bounds))) < _RETURNS_MIN:
        return ()
    centres = (edges[:-1] + edges[1:]) / 2
    return tuple(float(np.average(centres[a:b], weights=counts[a:b])) for a, b in large)


def _steady(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians of some hundred stretches, so that noise between two modes is no change of mode."""
    return np.array([np.median(part) for part in np.array_split(values, min(len(values), _STRETCHES))])


def _groups(marked: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs [begin, end) of marked places."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _with_remarks(found: Ingestion) -> Ingestion:
    return replace(found, remarks=tuple(_remarks(found)))


def _remarks(found: Ingestion) -> list[str]:
    many_levels = found.levels > _LEVELS_MAX or found.levels < 2
    checks = [
        (found.too_short, f"too short to judge: {found.readings} readings, at least {READINGS_MIN} are needed"),
        (found.unusable > 0, f"{found.unusable:,} readings are no number"),
        (found.duplicates > 0, f"{found.duplicates:,} readings repeat a time: a node keeps the first"),
        (found.out_of_order > 0, f"{found.out_of_order:,} readings are older than the one before: set `lateness_s`"),
        (found.gaps > 0, f"{counted(found.gaps, 'gap')}, the longest {span(found.longest_gap_s)}"),
        (found.jitter > 0.01, f"intervals vary by {found.jitter:.0%}: no spectral features"),
        (found.levels < 2, "constant"),
        (found.state, _taken_for_a_state(found)),
        (not many_levels and not found.too_short and not found.state, f"quantised: {found.levels} different values"),
        (
            found.levels > 1 and not found.state and found.longest_flat >= FLAT_READINGS,
            f"{found.longest_flat:,} equal readings in a row",
        ),
        (found.counter, "never falls: a counter, not a measurement"),
        (found.measurement and found.outside > OUTSIDE_MAX, _left_its_beginning(found)),
        (len(found.modes) > 1, f"{len(found.modes)} operating modes: about {_listed(found.modes)}"),
    ]
    return [text for holds, text in checks if holds]


def _taken_for_a_state(found: Ingestion) -> str:
    return (
        f"two values, {found.least:.4g} and {found.greatest:.4g} ({found.active:.2%} of the readings): "
        "taken for a state or label and not judged as a signal"
    )


def _left_its_beginning(found: Ingestion) -> str:
    low, high = found.beginning
    return (
        f"{found.outside:.0%} lies beyond its beginning's {low:.4g} to {high:.4g}: start-up, drift or other operation"
    )


def counted(number: int, what: str) -> str:
    """`1 gap`, `2 gaps`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """A duration for people: `40 s`, `12 min`, `7 h`, `3 d`."""
    for unit, size in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.4g} s"


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
