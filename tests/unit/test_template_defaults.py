"""Configuration and engine agree on what a template may say and what it says by default."""

from __future__ import annotations

import json

import msgspec
import pytest

from iotpm import _core
from iotpm.config import AlarmLimits, Config, Template
from iotpm.errors import ConfigError


def test_every_key_and_default_of_the_engines_template_is_the_configurations() -> None:
    assert json.loads(_core.default_template()) == msgspec.to_builtins(Template())


def test_limits_have_the_same_keys_too() -> None:
    assert json.loads(_core.default_template())["limits"] == msgspec.to_builtins(AlarmLimits())


@pytest.mark.parametrize("key", sorted(msgspec.to_builtins(Template()).keys() - {"limits"}))
def test_the_engine_knows_every_key(key: str) -> None:
    value = msgspec.to_builtins(Template())[key]
    _core.Engine(json.dumps({"templates": [{key: value}]}))


def test_the_engine_refuses_a_key_that_it_does_not_know() -> None:
    with pytest.raises(ConfigError, match="colour"):
        _core.Engine(json.dumps({"templates": [{"colour": "red"}]}))


def test_what_the_configuration_writes_is_what_the_engine_reads() -> None:
    _core.Engine(json.dumps({"templates": json.loads(Config(templates=(Template(),)).templates_json())}))
