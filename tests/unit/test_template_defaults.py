"""Configuration and engine agree on what a template may say and what it says by default."""

from __future__ import annotations

import json

import msgspec
import pytest

from iotpm import _core
from iotpm.config import AlarmLimits, Config, Template
from iotpm.config.model import Waveforms
from iotpm.errors import ConfigError
from iotpm.store.tables import FEATURES, VIBRATION


def test_every_key_and_default_of_the_engines_template_is_the_configurations() -> None:
    assert json.loads(_core.default_template()) == json.loads(msgspec.json.encode(Template()))


def test_limits_have_the_same_keys_too() -> None:
    assert json.loads(_core.default_template())["limits"] == msgspec.to_builtins(AlarmLimits())


def test_waveforms_have_the_same_keys_too() -> None:
    assert json.loads(_core.default_template())["waveform"] == json.loads(msgspec.json.encode(Waveforms()))


@pytest.mark.parametrize("feature", [*FEATURES, *VIBRATION])
def test_every_feature_of_a_frame_can_be_scored(feature: str) -> None:
    _core.Engine(json.dumps({"templates": [{"waveform": {"features": [feature], "limits_on": feature}}]}))


@pytest.mark.parametrize("key", sorted(msgspec.to_builtins(Template()).keys() - {"limits"}))
def test_the_engine_knows_every_key(key: str) -> None:
    value = json.loads(msgspec.json.encode(Template()))[key]
    _core.Engine(json.dumps({"templates": [{key: value}]}))


def test_the_engine_refuses_a_key_that_it_does_not_know() -> None:
    with pytest.raises(ConfigError, match="colour"):
        _core.Engine(json.dumps({"templates": [{"colour": "red"}]}))


def test_what_the_configuration_writes_is_what_the_engine_reads() -> None:
    _core.Engine(json.dumps({"templates": json.loads(Config(templates=(Template(),)).templates_json())}))
