"""The live screen: fits the terminal, shows its figures, and keeps quiet where nobody watches."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from iotpm.simulate.screen import AnomalyLine, Screen, ScreenState, plain_line, render, sparkline

CLOCK_US = 1_772_440_190_000_000  # 2026-03-02T08:29:50Z


def state() -> ScreenState:
    filled = ScreenState(1000, 10_000, "running", 23.4, 40.0, CLOCK_US, 60.0, 1_234_567)
    for rate in range(50_000, 80_000, 100):
        filled.add_rate(float(rate))
    filled.latency_p50_ms, filled.latency_p99_ms, filled.lag_messages, filled.anomalies = 8.34, 37.2, 1234, 87
    filled.newest = [
        AnomalyLine(CLOCK_US - i, f"plant/pump-{i:04d}/vibration_x", "spike", "high", 5.4, 3.21, 1.3, "mm/s")
        for i in range(60)
    ]
    filled.injected = {"spike": 12, "bearing": 6}
    return filled


def drawn(shown: ScreenState, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=False)
    with console.capture() as capture:
        console.print(render(shown, width, height))
    return capture.get().splitlines()


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (80, 16)])
@pytest.mark.parametrize("shown", [state(), ScreenState()])
def test_it_fits_the_terminal(shown: ScreenState, size: tuple[int, int]) -> None:
    lines = drawn(shown, *size)
    assert len(lines) < size[1]
    assert max(map(len, lines)) <= size[0]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_it_shows_every_figure(size: tuple[int, int]) -> None:
    text = "\n".join(drawn(state(), *size))
    for part in ("79,900", "8.3 ms", "37 ms", "10,000", "1,234", "08:29:50", "87", "pump-0000/vibration_x", "spike",
                 "high", "5.4", "3.21", "18 faults injected", "bearing 6", "×60", "23 / 40 s"):  # fmt: skip
        assert part in text


def test_the_wide_screen_adds_unit_and_expected_value() -> None:
    assert "3.21 mm/s (1.3)" in "\n".join(drawn(state(), 120, 40))


def test_more_room_shows_more_anomalies() -> None:
    counts = [sum("vibration_x" in line for line in drawn(state(), 80, height)) for height in (16, 24, 40)]
    assert counts == [4, 12, 28]


@pytest.mark.parametrize(
    ("values", "width", "bars"),
    [([], 5, ""), ([0, 0], 5, "▁▁"), ([0, 1, 2, 4, 8], 5, "▁▂▃▅█"), ([9, 0, 8], 2, "▁█"), ([-1, 1], 2, "▁█")],
)
def test_sparklines(values: list[float], width: int, bars: str) -> None:
    assert sparkline(values, width) == bars


def screens(json_only: bool, seconds: list[float]) -> tuple[str, str]:
    out, err, times = io.StringIO(), io.StringIO(), iter(seconds)
    console = Console(file=io.StringIO(), force_terminal=False)
    with Screen(json_only, console, out, err, lambda: next(times)) as screen:
        for _ in seconds:
            screen.show(state())
    return out.getvalue(), err.getvalue()


def test_without_a_terminal_a_plain_line_goes_to_stderr_now_and_then() -> None:
    out, err = screens(False, [0.0, 1.0, 4.9, 5.0, 9.0])
    assert out == ""
    assert err.splitlines() == [plain_line(state())] * 2
    assert "\x1b" not in err


def test_json_alone_goes_to_stdout() -> None:
    out, err = screens(True, [0.0, 6.0])
    assert err == ""
    first, second = map(json.loads, out.splitlines())
    assert first == second == {
        "phase": "running", "elapsed_s": 23.4, "plant_time": "2026-03-02T08:29:50+00:00", "readings": 1_234_567,
        "readings_per_s": 79_900, "latency_ms": {"p50": 8.34, "p99": 37.2}, "lag_messages": 1234, "anomalies": 87,
        "injected": 18,
    }  # fmt: skip


def interrupted(console: Console) -> None:
    with Screen(console=console) as screen:
        screen.show(state())
        raise KeyboardInterrupt


def test_on_a_terminal_the_dashboard_is_drawn_and_the_terminal_given_back() -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=80, height=24)
    with pytest.raises(KeyboardInterrupt):
        interrupted(console)
    text = terminal.getvalue()
    assert "iotpm demo" in text
    assert text.index("\x1b[?1049h") < text.index("iotpm demo") < text.index("\x1b[?1049l")
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
