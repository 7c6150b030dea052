"""Families of features beside the Python libraries that have the same: what counts as equal, how long each takes.

Best of several rounds, ours and theirs in turn, so that what else runs there counts against neither. Figures are
compared first: what is not equal is not timed.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from iotpm.errors import IotpmError

__all__ = ["PEERS", "Family", "agree", "best_of", "installed", "measured", "rows"]

PEERS: Final = {"scipy": "SciPy, NumPy", "tsfresh": "tsfresh", "tsflex": "tsflex", "pywt": "PyWavelets",
                "librosa": "librosa"}  # fmt: skip
"""Modules of the extra `peers`, and what they are called in the table."""

TOLERANCE: Final = 1e-4
"""What single precision leaves of equal figures."""

_TIMED_S: Final = 2e-3
"""Shorter work is repeated until it takes so long: a clock's own cost must not count."""

Work = Callable[[], Any]
"""Gives figures: an array, or arrays by name."""
Make = Callable[[Any], Work]
"""The work of a peer, from its module."""
Agree = Callable[[Any, Any], bool]


def agree(ours: Any, theirs: Any) -> bool:
    """Within the tolerance of the greatest; of spectra without their ends, which have one side."""
    a, b = (np.asarray(values, dtype=np.float64).reshape(-1) for values in (ours, theirs))
    if a.size > 64:
        a, b = a[1:-1], b[1:-1]
    return a.shape == b.shape and bool(np.max(np.abs(a - b)) <= TOLERANCE * max(np.max(np.abs(b)), 1e-2))


@dataclass(frozen=True, slots=True)
class Family:
    """A family of features: ours, and by module what makes the same of a peer; no peers if none has it."""

    name: str
    of: str
    """What is computed, of how much."""
    ours: Work
    peers: Mapping[str, Make] = field(default_factory=dict)
    agree: Agree = agree
    loose: frozenset[str] = frozenset()
    """Peers whose definition differs, so that figures cannot be compared."""
    approximate: frozenset[str] = frozenset()
    """Figures that ours gives within a bound only; both compute them."""


def installed() -> dict[str, Any]:
    """The peers that can be imported.

    Raises:
        IotpmError: SciPy is missing.
    """
    found = {name: module for name in PEERS if (module := _module(name)) is not None}
    if "scipy" not in found:
        raise IotpmError("SciPy is missing, without which there is nothing to compare with: pip install 'iotpm[peers]'")
    return found


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def best_of(works: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """Least processor seconds of each, in turn: none of these libraries starts a thread for this."""
    counts = {name: max(1, round(_TIMED_S / max(_seconds(work, 1), 1e-9))) for name, work in works.items()}
    best = dict.fromkeys(works, np.inf)
    for _ in range(rounds):
        for name, work in works.items():
            best[name] = min(best[name], _seconds(work, counts[name]))
    return best


def _seconds(work: Work, count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - start) / count


def measured(family: Family, modules: Mapping[str, Any], rounds: int) -> dict[str, Any]:
    """Microseconds of our call, and each peer's time over ours.

    Returns:
        `of`; `has`: peers with the same, here or not; `us`; `ratio` by peer, None where the figures differ; `share` of
        our figures that a peer gives, if not all; `loose`: peers whose definition differs.
    """
    works = {name: make(modules[name]) for name, make in family.peers.items() if name in modules}
    ours = family.ours()
    found = {name: work() for name, work in works.items()}
    equal = [name for name in works if name in family.loose or _equal(family, ours, found[name])]
    best = best_of({"": family.ours, **{name: works[name] for name in equal}}, rounds)
    ratio: dict[str, float | None] = {name: round(best[name] / best[""], 1) for name in equal}
    return {
        "of": family.of,
        "has": list(family.peers),
        "us": round(best[""] * 1e6, 1),
        "ratio": {**ratio, **{name: None for name in works if name not in equal}},
        "share": {name: share for name in equal if (share := _share(ours, found[name]))},
        "loose": sorted(family.loose & works.keys()),
    }


def _equal(family: Family, ours: Any, theirs: Any) -> bool:
    """Everything that a peer gives, by name if it has names."""
    if not isinstance(theirs, dict):
        return family.agree(ours, theirs)
    names = theirs.keys() - family.approximate
    return names <= ours.keys() and all(family.agree(ours[name], theirs[name]) for name in names)


def _share(ours: Any, theirs: Any) -> str:
    fewer = isinstance(ours, dict) and isinstance(theirs, dict) and len(theirs) < len(ours)
    return f"{len(theirs)} of {len(ours)}" if fewer else ""


def rows(families: Mapping[str, Mapping[str, Any]], absent: set[str]) -> list[dict[str, Any]]:
    """A table's row a family: ratios by peer; `differs`, `not installed`, or nothing where a peer has no such thing."""
    return [
        {"family": name, "of": found["of"], "us": found["us"], **_cells(found, absent)}
        for name, found in families.items()
    ]


def _microseconds(us: float) -> float:
    return us if us < 100 else round(us)


def _cells(found: Mapping[str, Any], absent: set[str]) -> dict[str, str]:
    return {called: _cell(found, peer, absent) for peer, called in PEERS.items()}


def _cell(found: Mapping[str, Any], peer: str, absent: set[str]) -> str:
    if peer not in found["ratio"]:
        return "not installed" if peer in absent and peer in found["has"] else ""
    ratio = found["ratio"][peer]
    if ratio is None:
        return "differs"
    share = f" ({found['share'][peer]})" if peer in found["share"] else ""
    return f"{'~' if peer in found['loose'] else ''}{ratio:.1f}{share}"
