"""Figures that tests measure, shown at the end of a run, from parallel workers too."""

from __future__ import annotations

import hypothesis
import pytest

# A test fails for what it computes, never for how long a busy machine takes.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

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
