"""The plant's clock and shifts: what a template's calendar is once the site's is put under it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from iotpm import zones
from iotpm.config.model import Calendar, Template

if TYPE_CHECKING:
    from collections.abc import Iterator

UTC = "UTC"


def findings(calendar: Calendar) -> Iterator[tuple[str, object, str]]:
    """Findings `(key, value, problem)` of a calendar whose keys are right one by one."""
    if calendar.timezone not in (None, UTC) and calendar.offsets_s is None:
        try:
            zones.changes(calendar.timezone, zones.PLANT_YEARS)
        except zones.UnknownZoneError as unknown:
            yield "timezone", calendar.timezone, str(unknown)
    if any(later <= earlier for earlier, later in pairwise(calendar.shifts or ())):
        yield "shifts", list(calendar.shifts or ()), "must ascend: a day begins with its first shift"
    seconds = [second for second, _ in calendar.offsets_s or ()]
    if any(later <= earlier for earlier, later in pairwise(seconds)):
        yield "offsets_s", seconds, "must ascend"


def merged(site: Calendar, own: Calendar) -> Calendar:
    """A template's keys over the site's; another zone brings no offsets of the site's along."""
    given = {key: value for key in own.__struct_fields__ if (value := getattr(own, key)) is not None}
    if "timezone" in given:
        given.setdefault("offsets_s", None)
    return msgspec.structs.replace(site, **given)


def of_template(site: Calendar, own: Calendar) -> Calendar:
    """A template's keys over the site's, with the changes of offset that its zone has."""
    both = merged(site, own)
    if both.timezone in (None, UTC) or both.offsets_s is not None:
        return both
    return msgspec.structs.replace(both, offsets_s=zones.changes(both.timezone, zones.PLANT_YEARS))


def resolved(site: Calendar, templates: tuple[Template, ...]) -> tuple[Template, ...]:
    """The templates with their calendars; where the site has one, a last template brings it to all other signals."""
    own = tuple(msgspec.structs.replace(t, calendar=of_template(site, t.calendar)) for t in templates)
    return own if site == Calendar() else (*own, Template(calendar=of_template(site, Calendar())))
