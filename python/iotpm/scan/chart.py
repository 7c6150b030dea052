"""A signal as a small SVG: every reading is drawn, thousands of them as the span that they cover in a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from .ingestion import GAP_INTERVALS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .series import Series
    from .unusual import Unusual

WIDTH: Final = 960
HEIGHT: Final = 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 10, 10, 24
_INNER: Final = WIDTH - _LEFT - _RIGHT


def chart(series: Series, unusual: list[Unusual]) -> str:
    """An <svg> of `WIDTH` x `HEIGHT` with the unusual stretches behind the line and their peaks marked."""
    if not len(series):
        return ""
    low, high = _range(series.values)
    first, last = int(series.times_us[0]), max(int(series.times_us[-1]), int(series.times_us[0]) + 1)

    def x(time_us: float) -> float:
        return _LEFT + (time_us - first) / (last - first) * _INNER

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">']
    parts += [_band(x(one.start_us), x(one.end_us)) for one in unusual]
    parts.append(_frame(low, high, first, last))
    parts.append(f'<path class="line" d="{_path(series, x, y)}"/>')
    parts += [_mark(x(one.peak_us), y(one.value), one) for one in unusual if np.isfinite(one.value)]
    return "".join(parts) + "</svg>"


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or max(abs(high) * 0.05, 1.0)
    return low - margin, high + margin


def _path(series: Series, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    """Line through least and greatest reading of each column, so that no peak is left out."""
    left = x(float(series.times_us[0]))
    span = max(int(series.times_us[-1] - series.times_us[0]), 1)
    columns = ((series.times_us - series.times_us[0]) / span * _INNER).astype(np.int64)
    silent = _behind_gaps(series.times_us)
    starts = np.flatnonzero((np.diff(columns, prepend=-1) != 0) | silent)
    lows, highs = np.minimum.reduceat(series.values, starts), np.maximum.reduceat(series.values, starts)
    path: list[str] = []
    for column, low, high, new in zip(columns[starts], lows, highs, silent[starts], strict=True):
        at = left + float(column)
        path.append(f"{'M' if new or not path else 'L'}{at:.1f},{y(float(low)):.1f}")
        # A lone reading between two gaps is a line of no length, which round ends make a dot.
        path.append(f"L{at:.1f},{y(float(high)):.1f}")
    return "".join(path)


def _behind_gaps(times_us: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where nothing was known before: no line is drawn to there."""
    intervals_us = np.diff(times_us)
    if not len(intervals_us):
        return np.zeros(len(times_us), dtype=np.bool_)
    return np.concatenate([[False], intervals_us > GAP_INTERVALS * np.median(intervals_us)])


def _band(left: float, right: float) -> str:
    return (
        f'<rect class="band" x="{left - 2:.1f}" y="{_TOP}" width="{max(right - left, 0) + 4:.1f}" '
        f'height="{HEIGHT - _TOP - _BOTTOM}"/>'
    )


def _mark(left: float, top: float, one: Unusual) -> str:
    title = f"score {one.score:.2f}, {one.value:.6g} (usually {one.usual:.6g}), {one.detector}"
    return f'<circle class="peak" cx="{left:.1f}" cy="{top:.1f}" r="4"><title>{title}</title></circle>'


def _frame(low: float, high: float, first_us: int, last_us: int) -> str:
    bottom = HEIGHT - _BOTTOM
    lines = [f'<path class="axis" d="M{_LEFT},{_TOP}V{bottom}H{WIDTH - _RIGHT}"/>']
    for value in _ticks(low, high):
        top = _TOP + (high - value) / (high - low) * (bottom - _TOP)
        lines.append(f'<text class="value" x="{_LEFT - 6}" y="{top + 4:.1f}">{value:,.6g}</text>')
    anchors = (("start", first_us, _LEFT), ("middle", (first_us + last_us) // 2, _LEFT + _INNER // 2))
    for anchor, time_us, left in (*anchors, ("end", last_us, _LEFT + _INNER)):
        lines.append(f'<text class="time" text-anchor="{anchor}" x="{left}" y="{HEIGHT - 6}">{_moment(time_us)}</text>')
    return "".join(lines)


def _ticks(low: float, high: float) -> list[float]:
    """Two to five round values in between: multiples of 1, 2 or 5 of a power of ten."""
    unit = 10.0 ** np.floor(np.log10((high - low) / 2))
    step = max((unit * one for one in (1, 2, 5) if (high - low) / (unit * one) >= 2), default=unit)
    return [float(n * step) for n in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _moment(time_us: int) -> str:
    return str(np.datetime64(time_us, "us").astype("datetime64[s]")).replace("T", " ")
