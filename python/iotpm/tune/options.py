"""What may be proposed: boundaries times a factor, and persistence; written as TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ..config import Config, Template
from ..config.calendars import merged

if TYPE_CHECKING:
    from collections.abc import Mapping

FACTORS: Final = (0.7, 0.85, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0)
PERSISTENT: Final = (1.0, 1.5, 2.0, 3.0)
"""Factors that are tried with more persistence too."""
PERSISTENCE: Final = {"begin_count": 6, "begin_of": 10, "begin_at_once": 6.0}
BOUNDARIES: Final = ("modified_z_boundary", "ema_boundary")
BOUNDARY_MAX: Final = 1e6


@dataclass(frozen=True, slots=True)
class Option:
    """Settings of a template, relative to those it has."""

    factor: float
    """Of the boundaries of `modified_z` and `ema_baseline`."""
    persistent: bool = False
    """Whether 6 of 10 readings, or one of score 6, make an alarm, instead of what the template says."""
    calibrated: bool = False
    """Whether the factor comes from the tail of the scores."""

    @property
    def name(self) -> str:
        """In words."""
        how = ", from the tail of the scores" if self.calibrated else ""
        persistence = ", 6 of 10 readings" if self.persistent else ""
        return f"boundaries x {self.factor:g}{how}{persistence}"

    def applied(self, template: Template) -> Template:
        """The template with these settings."""
        changed: dict[str, Any] = {
            key: min(BOUNDARY_MAX, round(getattr(template, key) * self.factor, 4)) for key in BOUNDARIES
        }
        if self.factor == 1.0:
            changed = {}
        if self.persistent:
            changed |= {key: max(getattr(template, key), value) for key, value in PERSISTENCE.items()}
        return msgspec.structs.replace(template, **changed)


UNCHANGED: Final = Option(1.0)


def ladder() -> list[Option]:
    """The options of every template, the settings as they are among them."""
    return [*(Option(factor) for factor in FACTORS), *(Option(factor, persistent=True) for factor in PERSISTENT)]


def complete(config: Config) -> tuple[Template, ...]:
    """All templates of a configuration, with one for what they leave over: each signal then has its own.

    They need no `[calendar]` of the site beside them.
    """
    templates = config.all_templates
    if not any(template.pattern == "*" for template in templates):
        templates = (*templates, Template())
    return tuple(msgspec.structs.replace(t, calendar=merged(config.calendar, t.calendar)) for t in templates)


def template_of(name: str, templates: Sequence[Template]) -> int | None:
    """Index of a signal's template; None of an asset's own anomalies (`site/asset`)."""
    if name.count("/") < 2:
        return None
    matching = (at for at, one in enumerate(templates) if _pattern(one.pattern).fullmatch(name))
    return next(matching, None)


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)


def fragment(templates: Sequence[Template], comments: Mapping[int, Sequence[str]]) -> str:
    """Templates as TOML that `iotpm config check` accepts; keys with their default value are left out."""
    lines: list[str] = []
    for at, template in enumerate(templates):
        lines += [*(f"# {comment}" for comment in comments.get(at, ())), "[[template]]", *_keys(template), ""]
    return "\n".join(lines)


def _keys(template: Template) -> Iterator[str]:
    values, defaults = msgspec.to_builtins(template), msgspec.to_builtins(Template())
    yield f"match = {json.dumps(values.pop('match'), ensure_ascii=False)}"
    yield from _changed(values, defaults, "")


def _changed(values: dict[str, Any], defaults: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _changed(value, defaults[key], f"{prefix}{key}.")
        elif value is not None and value != defaults[key]:
            yield f"{prefix}{key} = {json.dumps(value, ensure_ascii=False)}"
