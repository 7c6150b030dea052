"""Spans of time in words that people read."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds for people: the two greatest units."""
    if seconds < 60:
        return f"{seconds:.3g}s"
    whole, units = round(seconds), (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
    first = next(at for at, (_, length) in enumerate(units) if whole >= length)
    (big, length), (small, part) = units[first : first + 2]
    return f"{whole // length}{big} {whole % length // part:02}{small}"
