"""Figures that tests measure, shown at the end of a run, from parallel workers too."""

from __future__ import annotations

import pytest

FIGURES = "figures"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests noted with `record_property(FIGURES, text)`."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    lines = [
        f"{r.nodeid.rpartition('::')[2]}: {text}" for r in reports for n, text in r.user_properties if n == FIGURES
    ]
    if lines:
        terminalreporter.section(FIGURES)
    for line in lines:
        terminalreporter.write_line(line)
