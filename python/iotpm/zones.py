"""Time zones as lists of changes of offset: what the engine, which has no database of them, is given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

__all__ = ["ALL_YEARS", "PLANT_YEARS", "UnknownZoneError", "changes"]

ALL_YEARS: Final = (1970, 2100)
PLANT_YEARS: Final = (2000, 2050)
"""Years of a plant's readings: every template carries its list, so it is kept short."""


class UnknownZoneError(ValueError):
    """No zone of that name; the message says what to write or to install instead."""


@lru_cache(maxsize=64)
def changes(zone: str, years: tuple[int, int] = ALL_YEARS) -> tuple[tuple[int, int], ...]:
    """Offsets of a zone from UTC: (first second UTC since 1970, seconds east), rising.

    Args:
        zone: IANA name, such as Europe/Berlin.
        years: the list begins with the first of them and ends before the second; its ends hold beyond.

    Raises:
        UnknownZoneError: a name that is not in the database of time zones.
    """
    try:
        info = ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise UnknownZoneError(_way_out(zone)) from error
    first, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in years)
    week_s = int(timedelta(days=7).total_seconds())
    found = [(first, _offset_s(info, first))]
    for second in range(first + week_s, end, week_s):
        if _offset_s(info, second) != found[-1][1]:
            found.append(_change(info, second - week_s, second))
    return tuple(found)


def _way_out(zone: str) -> str:
    known = {name.lower(): name for name in available_timezones()}
    if not known:
        return "this machine has no database of time zones: install the package tzdata"
    places = {name.rpartition("/")[2]: full for name, full in known.items()}
    near = get_close_matches(zone.lower(), known, 1) or get_close_matches(zone.lower(), places, 1)
    hint = f"; did you mean '{(known | places)[near[0]]}'?" if near else ""
    return f"must be an IANA name such as Europe/Berlin{hint}"


def _offset_s(zone: ZoneInfo, second: int) -> int:
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _change(zone: ZoneInfo, before: int, after: int) -> tuple[int, int]:
    """The second at which the offset of `before` ends, and the offset then: no zone changes twice in a week."""
    old = _offset_s(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if _offset_s(zone, middle) == old else (before, middle)
    return after, _offset_s(zone, after)
