"""The demo's live screen: a pure function from a state to a renderable, and what shows it.

On a terminal the dashboard is redrawn in place, twice a second; elsewhere (a pipe, a log) a plain line goes to stderr
every few seconds; with `json_only` nothing but JSON lines goes to stdout.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self, TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .faults import FAULT_KINDS

_BARS: Final = "▁▂▃▄▅▆▇█"
_HISTORY: Final = 240
_PLAIN_EVERY_S: Final = 5.0
_WIDE: Final = 110
_FIXED_ROWS: Final = 12
"""Figures 6, faults 3, head of the table 2, and one free so that nothing scrolls."""
_SEVERITY_STYLE: Final = {"low": "cyan", "medium": "yellow", "high": "bold dark_orange", "critical": "bold red"}


@dataclass(frozen=True, slots=True)
class AnomalyLine:
    """One anomaly as the screen shows it."""

    time_us: int
    signal: str
    kind: str
    severity: str
    score: float
    value: float | None
    expected: float | None
    unit: str = ""


@dataclass(slots=True)
class ScreenState:
    """Everything that the screen shows."""

    assets: int = 0
    signals: int = 0
    phase: str = "starting"
    elapsed_s: float = 0.0
    total_s: float = 0.0
    plant_time_us: int | None = None
    time_scale: float | None = None
    readings: int = 0
    readings_per_s: float = 0.0
    rate_history: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    lag_messages: int = 0
    anomalies: int = 0
    newest: Sequence[AnomalyLine] = ()
    """Newest first."""
    injected: dict[str, int] = field(default_factory=dict)
    """Faults begun so far, by kind."""

    def add_rate(self, readings_per_s: float) -> None:
        """The rate of the last half second, for figure and sparkline."""
        self.readings_per_s = readings_per_s
        self.rate_history.append(readings_per_s)

    def to_dict(self) -> dict[str, Any]:
        """For a JSON line."""
        return {
            "phase": self.phase,
            "elapsed_s": round(self.elapsed_s, 1),
            "plant_time": None if self.plant_time_us is None else _instant(self.plant_time_us).isoformat(),
            "readings": self.readings,
            "readings_per_s": round(self.readings_per_s),
            "latency_ms": {"p50": self.latency_p50_ms, "p99": self.latency_p99_ms},
            "lag_messages": self.lag_messages,
            "anomalies": self.anomalies,
            "injected": sum(self.injected.values()),
        }


def sparkline(values: Sequence[float], width: int) -> str:
    """The last `width` values as bars from 0 to their greatest, one character each; shorter if there are fewer."""
    shown = list(values)[-width:]
    top = max(shown, default=0.0)
    if top <= 0.0:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(len(_BARS) - 1, int(max(value, 0.0) / top * len(_BARS)))] for value in shown)


def render(state: ScreenState, width: int, height: int) -> RenderableType:
    """The dashboard for a terminal of `width` x `height` characters; never taller than that."""
    rows = max(1, height - _FIXED_ROWS)
    return Group(_figures(state, width), _anomalies(state, width, rows), _faults(state, width))


def _instant(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC)


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def _figures(state: ScreenState, width: int) -> RenderableType:
    grid = Table.grid(expand=True, padding=(0, 1))
    for ratio in (3, 2, 2):
        grid.add_column(ratio=ratio, no_wrap=True)
    scale = f" ×{state.time_scale:.0f}" if state.time_scale else ""
    form = "%Y-%m-%d %H:%M:%S" if width >= _WIDE else "%H:%M:%S"
    clock = "–" if state.plant_time_us is None else f"{_instant(state.plant_time_us):{form}}Z{scale}"
    grid.add_row(
        _pair("readings/s", f"{state.readings_per_s:,.0f}", "bold green"),
        _pair("latency p50", _milliseconds(state.latency_p50_ms)),
        _pair("signals", f"{state.signals:,}"),
    )
    grid.add_row(
        Text(sparkline(state.rate_history, max(8, (width - 6) * 3 // 7 - 2)), style="green"),
        _pair("latency p99", _milliseconds(state.latency_p99_ms)),
        _pair("lag", f"{state.lag_messages:,}"),
    )
    grid.add_row(
        _pair("plant time", clock), _pair("readings", f"{state.readings:,}"), _pair("anomalies", f"{state.anomalies:,}")
    )
    title = f"[bold]iotpm demo[/] · {state.assets:,} assets · {state.phase}"
    return Panel(Group(grid, _bar(state)), title=title, title_align="left", box=box.ROUNDED, padding=(0, 1))


def _pair(label: str, value: str, style: str = "bold") -> Text:
    return Text.assemble((f"{label} ", "dim"), (value, style))


def _bar(state: ScreenState) -> RenderableType:
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    total = max(state.total_s, 1e-9)
    left = f"{min(state.elapsed_s, state.total_s):.0f} / {state.total_s:.0f} s"
    grid.add_row(ProgressBar(total=total, completed=min(state.elapsed_s, total)), Text(left, style="dim"))
    return grid


def _anomalies(state: ScreenState, width: int, rows: int) -> RenderableType:
    wide = width >= _WIDE
    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("time", no_wrap=True, width=8)
    table.add_column("signal", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("kind", no_wrap=True, width=11)
    table.add_column("severity", no_wrap=True, width=8)
    table.add_column("score", no_wrap=True, justify="right", width=5)
    heading, room = ("value (expected)", 28) if wide else ("value", 8)
    table.add_column(heading, no_wrap=True, justify="right", width=room)
    lines = list(state.newest)[:rows]
    for line in lines:
        table.add_row(*_cells(line, wide))
    if not lines:
        table.add_row("", Text("no anomaly yet", style="dim"))
    for _ in range(rows - max(1, len(lines))):
        table.add_row()
    return table


def _cells(line: AnomalyLine, wide: bool) -> list[RenderableType]:
    style = _SEVERITY_STYLE.get(line.severity, "")
    value = "" if line.value is None else f"{line.value:,.4g}"
    if wide:
        value += f" {line.unit}" if value else ""
        value += "" if line.expected is None else f" ({line.expected:,.4g})"
    score = f"{line.score:.1f}" if line.score < 1000 else ">999"
    return [
        f"{_instant(line.time_us):%H:%M:%S}",
        line.signal if wide else line.signal.split("/", 1)[-1],
        line.kind,
        Text(line.severity, style=style),
        score,
        value,
    ]


def _faults(state: ScreenState, width: int) -> RenderableType:
    begun = [f"{kind} {state.injected[kind]}" for kind in FAULT_KINDS if state.injected.get(kind)]
    text = Text("  ".join(begun) or "none yet")
    text.truncate(width - 4, overflow="ellipsis")
    title = f"[bold magenta]{sum(state.injected.values())}[/] faults injected so far"
    return Panel(text, title=title, title_align="left", box=box.ROUNDED, padding=(0, 1))


def plain_line(state: ScreenState) -> str:
    """The state as one line of plain text."""
    clock = "" if state.plant_time_us is None else f", plant time {_instant(state.plant_time_us):%H:%M:%S}Z"
    return (
        f"{state.phase} {state.elapsed_s:.0f}/{state.total_s:.0f} s: {state.readings:,} readings"
        f" ({state.readings_per_s:,.0f}/s), p99 {_milliseconds(state.latency_p99_ms)}, lag {state.lag_messages:,}"
        f", {state.anomalies:,} anomalies, {sum(state.injected.values())} faults injected{clock}"
    )


class Screen:
    """Shows states; a context manager, so that the terminal comes back whatever happens.

    `show` may be called as often as one likes. `json_only` writes a JSON line of the state every few seconds to stdout
    and nothing else there.
    """

    def __init__(
        self,
        json_only: bool = False,
        console: Console | None = None,
        out: TextIO | None = None,
        err: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._json, self._out, self._err = json_only, out or sys.stdout, err or sys.stderr
        self._console, self._clock = console or Console(), clock
        self._live: Live | None = None
        self._next_s = float("-inf")

    def __enter__(self) -> Self:
        if not self._json and self._console.is_terminal:
            self._live = Live(console=self._console, screen=True, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, state: ScreenState) -> None:
        """Draws the state, or writes a line if one is due."""
        now_s = self._clock()
        if now_s < self._next_s:
            return
        self._next_s = now_s + (0.5 if self._live is not None else _PLAIN_EVERY_S)
        if self._live is not None:
            width, height = self._console.size
            self._live.update(render(state, width, height), refresh=True)
        elif self._json:
            self._write(self._out, json.dumps(state.to_dict()))
        else:
            self._write(self._err, plain_line(state))

    @staticmethod
    def _write(stream: TextIO, line: str) -> None:
        stream.write(line + "\n")
        stream.flush()
