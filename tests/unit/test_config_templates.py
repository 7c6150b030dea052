"""Templates from Python: what a file may not say, an engine is not told either, in the same words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import iotpm
from iotpm import _core
from iotpm.config import Config, Template
from iotpm.config.templates import as_json
from iotpm.errors import ConfigError

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"limits": {"hi": 90.0, "hi_hi": 80.0}}, "template[0].limits.hi = 90.0: must be at most hi_hi = 80.0"),
    ({"limits": {"lo": 5.0, "hi": 4.0}}, "template[0].limits.lo = 5.0: must be at most hi = 4.0"),
    ({"limits": {"lo_lo": 5.0, "hi_hi": 4.0}}, "template[0].limits.lo_lo = 5.0: must be at most hi_hi = 4.0"),
    ({"limits": {"deadband": -1.0}}, "template[0].limits.deadband = -1.0: must be a number from 0"),
    ({"physical_min": 2.0, "physical_max": 1.0}, "template[0].physical_min = 2.0: must be below physical_max = 1.0"),
    ({"window_s": -5.0}, "template[0].window_s = -5.0: must be a number above 0"),
    ({"window_s": "5"}, 'template[0].window_s = "5": must be a number above 0'),
    ({"windw_s": 5.0}, "template[0].windw_s: unknown key; did you mean 'window_s'?"),
    ({"limits": {"high": 5.0}}, "template[0].limits.high: unknown key"),
]


def toml(template: dict[str, Any]) -> str:
    tables = {key: value for key, value in template.items() if isinstance(value, dict)}
    plain = [f"{key} = {json.dumps(value)}" for key, value in template.items() if key not in tables]
    nested = [
        f"[template.{name}]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in t.items()) for name, t in tables.items()
    ]
    return "\n".join(["[[template]]", *plain, *nested])


@pytest.mark.parametrize(("template", "says"), WRONG, ids=[says.split(":")[0] for _, says in WRONG])
def test_an_engine_refuses_what_a_file_may_not_say_in_the_same_words(
    tmp_path: Path, template: dict[str, Any], says: str
) -> None:
    path = tmp_path / "plant.toml"
    path.write_text(toml(template))
    with pytest.raises(ConfigError) as of_the_file:
        Config.load(path, environ={}, dotenv=None)
    with pytest.raises(ConfigError) as of_the_engine:
        iotpm.Engine([template])
    assert str(of_the_engine.value).startswith(f"Engine: {says}")
    words = [str(error.value).split(": ", 1)[1] for error in (of_the_file, of_the_engine)]
    assert words[0] == words[1]


@pytest.mark.parametrize(
    "template", [template for template, _ in WRONG[:6]], ids=[s.split(":")[0] for _, s in WRONG[:6]]
)
def test_a_control_message_with_it_is_a_dead_letter(template: dict[str, Any]) -> None:
    """It comes from a stream, past every configuration."""
    refused = iotpm.Engine().control("configuration", json.dumps([template]).encode())
    (row,) = pl.DataFrame(refused.dead_letters).rows(named=True)
    key = next(iter(template))
    assert row["reason"] == "invalid_configuration"
    assert key in row["detail"]
    assert "Some(" not in row["detail"]


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        iotpm.Engine([{"window_s": -1.0}, {"hop_s": 0.0, "colour": "red"}])
    assert len(refused.value.mistakes) == 3


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("[{", "no JSON"),
        ('{"match": "*"}', "must be a list of templates"),
        ({"match": "*"}, "must be a list of templates"),
        (5, "templates = 5: must be a list"),
        ([5], "template[0] = 5: must be a table"),
        ([{"limits": {"hi": float("nan")}}], "must be a finite number"),
    ],
)
def test_what_is_no_list_of_templates_is_named(config: Any, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        iotpm.Engine(config)
    assert says in str(refused.value)


def test_a_time_zone_needs_no_more_than_its_name() -> None:
    assert "offsets_s" in as_json([{"calendar": {"timezone": "Europe/Berlin"}}])
    with pytest.raises(ConfigError, match=r"calendar\.timezone"):
        _core.Engine(json.dumps({"templates": [{"calendar": {"timezone": "Europe/Berlin"}}]}))
    iotpm.Engine([{"calendar": {"timezone": "Europe/Berlin"}}])


@pytest.mark.parametrize("given", [None, [], "[]", ()])
def test_nothing_is_the_defaults(given: Any) -> None:
    assert as_json(given) == "[]"


def test_dictionaries_structs_json_and_a_configuration_are_the_same() -> None:
    wanted = Config(templates=(Template(pattern="a*", window_s=20.0),))
    for form in ([{"match": "a*", "window_s": 20}], [Template(pattern="a*", window_s=20.0)], wanted.templates_json()):
        assert as_json(form) == wanted.templates_json()
