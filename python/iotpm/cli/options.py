"""Options and notions that several commands share: where the node is, patterns, times."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from iotpm.durations import duration

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("iotpm-data"),
    envvar="IOTPM_NODE__DATA_DIR",
    show_default=True,
    help="Data directory of the node: a running one answers itself, a stopped one's files are read.",
)
limit_option = click.option(
    "--limit", type=click.IntRange(min=0), default=100, show_default=True, help="Rows at most; 0 for all."
)
since_option = click.option(
    "--since",
    metavar="TIME",
    help="From then on: 90s, 15m, 1h, 2d back from now (without a live node: from the last reading), or RFC 3339.",
)
until_option = click.option("--until", metavar="TIME", help="Before then; as --since.")

TIMES = frozenset({"ts", "stored_at", "start", "end", "time", "peak_time", "last_seen", "said_at"})
"""Columns that hold times, microseconds."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def pattern(text: str | None) -> str | None:
    """What a user means by a name: a pattern if it has a `*`, a whole site/asset/signal, else any name holding it."""
    if text is None or "*" in text or text.count("/") >= 2:
        return text
    return f"*{text}*"


def time_us(text: str | None, now_us: int, option: str) -> int | None:
    """Microseconds of `1h` (back from `now_us`) or of an RFC 3339 time; UTC if it names no zone.

    Raises:
        click.BadParameter: neither.
    """
    if text is None:
        return None
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text.strip()):
        return now_us - int(float(match[1]) * _SECONDS[match[2]] * 1e6)
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        allowed = "must be such as 15m, 1h, 2d or 2026-01-31T10:00:00Z"
        raise click.BadParameter(f"{text!r}: {allowed}", param_hint=option) from None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    # Whole numbers throughout: a float has no room for microseconds in a hundred years.
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def now_us(status: Mapping[str, Any]) -> int:
    """What `1h` counts back from: the clock where a live node runs, else the last reading in the store."""
    stored = status["stored"]
    live = status["running"] and str(status["partition"]).isdigit()
    last = stored["last_reading_us"]
    return int(time.time() * 1e6) if live or last is None else last + 1


def with_times(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its times as `datetime`."""
    return {key: moment(value) if key in TIMES else value for key, value in row.items()}


def moment(time_us: int | None) -> datetime | None:
    """A time in microseconds as `datetime`; None beyond the years that it knows."""
    if time_us is None:
        return None
    try:
        return datetime.fromtimestamp(time_us // 1_000_000, UTC).replace(microsecond=time_us % 1_000_000)
    except (OverflowError, ValueError):
        return None


def with_duration(row: Mapping[str, Any]) -> dict[str, Any]:
    """An anomaly for a table: how long it lasted stands for its end."""
    ended = row["end"]
    return {**with_times(row), "lasted": "open" if ended is None else duration((ended - row["start"]) / 1e6)}


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
