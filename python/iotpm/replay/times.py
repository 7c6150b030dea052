"""Times and numbers as files write them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_YEAR_FIRST = re.compile(r"\d{4}/\d{1,2}/\d{1,2}")
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(.*)", re.DOTALL)

SECONDS_BELOW: Final = 1e11
MILLISECONDS_BELOW: Final = 1e14
MICROSECONDS_BELOW: Final = 1e17

_NO_READING: Final = frozenset({"", "-"})
_NOT_FINITE: Final = frozenset({"na", "n/a", "null", "none", "nan", "inf", "+inf", "-inf", "infinity", "-infinity"})


def epoch_us(number: float) -> int:
    """Microseconds of an epoch number whose magnitude tells s, ms, us or ns, as the wire formats have it."""
    magnitude = abs(number)
    if magnitude < SECONDS_BELOW:
        return round(number * 1_000_000)
    if magnitude < MILLISECONDS_BELOW:
        return round(number * 1_000)
    return round(number) if magnitude < MICROSECONDS_BELOW else int(number // 1_000)


def datetime_us(moment: datetime) -> int:
    """Microseconds of a datetime; one without a zone is UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def time_us(cell: Any, time_format: str | None = None) -> int:
    """Microseconds of a time as a file has it: datetime, epoch number, ISO 8601, `Y/M/D`, `D.M.Y`, or `time_format`.

    Raises ValueError for anything else; `1/2/2020` is among it, as nobody can tell its month.
    """
    if isinstance(cell, datetime):
        return datetime_us(cell)
    if isinstance(cell, int | float) and math.isfinite(cell):
        return epoch_us(cell)
    text = str(cell).strip()
    if time_format is not None:
        return datetime_us(datetime.strptime(text, time_format))
    return _number_us(text) if _is_number(text) else datetime_us(datetime.fromisoformat(_iso(text)))


def _iso(text: str) -> str:
    if _YEAR_FIRST.match(text):
        date, *rest = text.split(maxsplit=1)
        text = " ".join(["-".join(part.zfill(2) for part in date.split("/")), *rest])
    elif match := _DAY_FIRST.fullmatch(text):
        day, month, year, rest_ = match.groups()
        text = f"{year}-{month.zfill(2)}-{day.zfill(2)}{rest_}"
    return text


def _is_number(text: str) -> bool:
    # "20200309" is a date to ISO 8601, but a bare number in a data file is an epoch number.
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _number_us(text: str) -> int:
    return epoch_us(int(text)) if text.lstrip("+-").isdigit() else epoch_us(float(text))


def is_time_text(cell: Any) -> bool:
    """Whether a cell is a time beyond doubt: a datetime, or a text (no bare number) that reads as one."""
    if isinstance(cell, datetime):
        return True
    if not isinstance(cell, str) or _is_number(cell):
        return False
    try:
        time_us(cell)
    except ValueError:
        return False
    return True


def number(cell: Any, decimal_comma: bool = False) -> float | None:
    """A reading's value: None for an empty cell (no reading), NaN for what is stated but no finite number.

    Raises ValueError for a text that is no number.
    """
    if cell is None:
        return None
    if isinstance(cell, str):
        text = cell.strip()
        if text in _NO_READING:
            return None
        if text.lower() in _NOT_FINITE:
            return math.nan
        value = float(text.replace(",", ".") if decimal_comma else text)
    else:
        value = float(cell)
    return value if math.isfinite(value) else math.nan


def rfc3339(time_us_: int) -> str:
    """RFC 3339 text of microseconds."""
    return (_EPOCH + timedelta(microseconds=time_us_)).isoformat().replace("+00:00", "Z")
