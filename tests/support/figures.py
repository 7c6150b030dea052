"""How a test notes a figure for the end of the run (`record_property("figures", text)`, see conftest)."""

from __future__ import annotations

from collections.abc import Callable

Figures = Callable[[str, object], None]
