"""Templates from Python, checked as those of a file are: the same rules, the same words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from iotpm.config import Config, Template
from iotpm.config.load import check
from iotpm.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence


def as_json(config: Config | Sequence[Any] | str | None) -> str:
    """The JSON list of templates that the engine takes.

    Args:
        config: a `Config` (checked when it was loaded), a list of templates as dictionaries, or JSON of such a list.

    Raises:
        ConfigError: every mistake, with `template[0].key`, value and what is allowed.
    """
    if isinstance(config, Config):
        return config.templates_json()
    listed = [] if config is None else _parsed(config) if isinstance(config, str) else config
    if not isinstance(listed, (list, tuple)):
        raise ConfigError([f"templates = {_short(listed)}: must be a list of templates, such as [{{'match': '*'}}]"])
    values = {"template": [msgspec.to_builtins(t) if isinstance(t, Template) else t for t in listed]}
    if mistakes := check(Config, values, "Engine"):
        raise ConfigError(mistakes)
    return msgspec.convert(values, Config, strict=True).templates_json()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError([f"templates = {_short(text)}: no JSON: {error}"]) from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
