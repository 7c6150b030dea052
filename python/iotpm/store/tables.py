"""Names and properties of the store's tables, declared once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

CHUNK_TABLES: Final = (
    "signals",
    "readings",
    "late_readings",
    "windows",
    "vibration",
    "waveforms",
    "anomaly_log",
    "outbox",
    "dead_letters",
    "feedback",
    "sources",
    "scores",
)
"""Tables that a chunk appends to, in the order in which they are inserted."""

LAKE_TABLES: Final = {
    "readings": "ts",
    "late_readings": "ts",
    "windows": "start",
    "vibration": "start",
    "waveforms": "start",
    "scores": "ts",
}
"""Tables whose old rows move to the lake, and the column of event time by which files are placed."""

FEATURES: Final = (
    "mean",
    "std",
    "min",
    "max",
    "rms",
    "peak_to_peak",
    "skewness",
    "kurtosis",
    "crest_factor",
    "dominant_frequency",
    "dominant_amplitude",
    "spectral_entropy",
    "spectral_centroid",
    "q25",
    "median",
    "q75",
    "iqr",
)
"""The engine's window features, in table order."""


VIBRATION: Final = (
    "peak",
    "shape_factor",
    "impulse_factor",
    "clearance_factor",
    "zero_crossing_rate",
    "mobility",
    "complexity",
    "velocity_rms",
    "envelope_rms",
    "envelope_peak",
    "envelope_kurtosis",
    "shaft",
    "bpfo",
    "bpfi",
    "bsf",
    "ftf",
)
"""The vibration features of a waveform frame, in table order."""


def literal(path: Path) -> str:
    """A path inside a quoted SQL string."""
    return str(path).replace("'", "''")


def quoted(name: str) -> str:
    """A column name in SQL (`end` is a word of the language)."""
    return f'"{name}"'
