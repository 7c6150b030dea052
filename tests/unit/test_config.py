"""A configuration is read strictly; every mistake says where it is, what it is and what is allowed."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from iotpm.cli.config import command
from iotpm.config import Config, Nats, Node, Stream, Template, example
from iotpm.config.model import FrameFeatureName
from iotpm.errors import ConfigError
from iotpm.features import FEATURES
from iotpm.tune.options import complete, fragment


def load(tmp_path: Path, text: str, environ: dict[str, str] | None = None, dotenv: str | None = None) -> Config:
    path = tmp_path / "plant.toml"
    path.write_text(text)
    if dotenv is not None:
        (tmp_path / ".env").write_text(dotenv)
    return Config.load(path, environ=environ or {}, dotenv=tmp_path / ".env")


def mistakes(tmp_path: Path, text: str, environ: dict[str, str] | None = None, dotenv: str | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, environ, dotenv)
    return [str(mistake).removeprefix(f"{tmp_path}/") for mistake in caught.value.mistakes]


def test_without_a_file_the_defaults_hold() -> None:
    assert Config.load(environ={}, dotenv=None) == Config()
    assert Config().embedded


def test_example_has_every_key_and_loads_to_the_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, example())
    assert config.templates == (Template(),)
    assert Config(
        **{name: getattr(config, name) for name in ("nats", "stream", "node", "store", "webhook", "limits")}
    ) == (Config())
    for struct in (Nats, Stream, Node, Template):
        for key in struct.__struct_encode_fields__:
            assert re.search(rf"^(# )?{key} = |^\[template\.{key}\]", example(), re.M), key


def test_samples_of_the_example_are_valid_too(tmp_path: Path) -> None:
    text = re.sub(r"^# (\w+ = )", r"\1", example(), flags=re.M)
    text = text.replace('url = ""', 'url = "nats://h:4222"', 1).replace("mqtt_port = 1883\n", "")
    config = load(tmp_path, text)
    assert config.templates[0].limits.hi_hi == 95.0
    assert config.store.disk_budget_bytes == 1 << 40


def test_all_mistakes_are_reported_at_once_with_line_key_value_and_what_is_allowed(tmp_path: Path) -> None:
    text = """\
[nats]
urll = "nats://x"
durability = "strong"

[node]
http_port = 99999
[[template]]
match = "*"
[[template]]
begin_cout = 3
[template.limits]
hi = "hot"
[stroe]
"""
    assert mistakes(tmp_path, text) == [
        "plant.toml:2: nats.urll: unknown key; did you mean 'url'?",
        'plant.toml:3: nats.durability = "strong": must be one of "power", "process"',
        "plant.toml:6: node.http_port = 99999: must be a whole number from 0 to 65535",
        "plant.toml:10: template[1].begin_cout: unknown key; did you mean 'begin_count'?",
        'plant.toml:12: template[1].limits.hi = "hot": must be a number',
        "plant.toml:13: stroe: unknown key; did you mean 'store'?",
    ]


def test_rules_of_several_keys_are_told_beside_mistakes_of_single_ones(tmp_path: Path) -> None:
    text = """\
[nats]
tls_cert = 5
tls_key = "k"
[calendar]
timezone = "Europe/Berlim"
shifts = ["25:00"]
[[template]]
begin_of = "x"
begin_count = 9
[[template]]
ema_span = 1
window_s = 1.0
hop_s = 2.0
[template.waveform]
features = ["rms", "rms"]
envelope_low_hz = 500.0
envelope_high_hz = 100.0
bands_hz = [[10.0, 5.0]]
[[machine]]
match = "pump"
kind = "pomp"
"""
    places = [mistake.partition(" = ")[0] for mistake in mistakes(tmp_path, text)]
    assert places == [
        "plant.toml:2: nats.tls_cert",
        "plant.toml:5: calendar.timezone",
        "plant.toml:6: calendar.shifts",
        "plant.toml:8: template[0].begin_of",
        "plant.toml:11: template[1].ema_span",
        "plant.toml:13: template[1].hop_s",
        "plant.toml:15: template[1].waveform.features",
        "plant.toml:16: template[1].waveform.envelope_low_hz",
        "plant.toml:18: template[1].waveform.bands_hz",
        "plant.toml:20: machine[0].match",
        "plant.toml:21: machine[0].kind",
    ], "what hangs on a key that is wrong itself waits: tls_key on tls_cert, begin_count on begin_of"


@pytest.mark.parametrize("wrong", ["template = 3", "[[template]]\n[[template.limits]]\nhi = 1.0", "machine = [1, {}]"])
def test_a_table_that_is_none_hides_no_mistake_elsewhere(tmp_path: Path, wrong: str) -> None:
    found = mistakes(tmp_path, f'{wrong}\n[nats]\nurl = "plant:4222"\n')
    assert len(found) == 2
    assert "nats.url" in found[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[template]]\nbegin_count = 6", "plant.toml:2: template[0].begin_count = 6: must be at most begin_of = 5"),
        (
            "[[template]]\nwindow_s = 1.0\nhop_s = 2.0",
            "plant.toml:3: template[0].hop_s = 2.0: must be at most window_s = 1.0",
        ),
        (
            "[[template]]\n[template.limits]\nlo = 5.0\nhi = 1.0",
            "plant.toml:3: template[0].limits.lo = 5.0: must be at most hi = 1.0",
        ),
        ('[nats]\ntls_key = "k"', 'plant.toml:2: nats.tls_key = "k": needs both tls_cert and tls_key'),
        (
            '[nats]\nurl = "plant:4222"',
            'plant.toml:2: nats.url = "plant:4222": must be like nats://host:4222 or tls://host:4222',
        ),
        ("[store]\nraw_days = nan", "plant.toml:2: store.raw_days = nan: must be a number above 0 to 36500"),
        ("[[template]]\nphysical_min = inf", "plant.toml:2: template[0].physical_min = inf: must be a finite number"),
        ("node = 3", "plant.toml:1: node = 3: must be a table, written [node]"),
        ("[template]\n", "plant.toml:1: template = {}: must be a list of tables, each written [[template]]"),
        (
            '[[template]]\ndetectors = ["magic"]',
            "plant.toml:2: template[0].detectors = ['magic']: must be a list, each item one of "
            '"asset_model", "basic", "cusum", "day", "default", "discord", "ema_baseline", "ewma", "flatline", '
            '"frozen_baseline", "half_space_trees", "level_shift", '
            '"limits", "modified_z", "novelty", "page_hinkley", "rate_of_change", "resonance", "seasonal"',
        ),
    ],
)
def test_one_mistake(tmp_path: Path, text: str, expected: str) -> None:
    assert mistakes(tmp_path, text) == [expected]


def test_broken_toml_and_missing_files_are_mistakes_with_a_place(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "[nats\n")[0].startswith("plant.toml:1: TOML: Expected ']'")
    with pytest.raises(ConfigError, match="No such file or directory; `iotpm config init`"):
        Config.load(tmp_path / "absent.toml", environ={})


def test_environment_wins_over_dotenv_and_both_over_the_file(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "[node]\nhttp_port = 1\nshards = 1\nchunk_age_ms = 1.0",
        {"IOTPM_NODE__HTTP_PORT": "3", "IOTPM_NODE__EMIT_SCORES": "true", "HOME": "/"},
        "IOTPM_NODE__HTTP_PORT=2\nIOTPM_NODE__SHARDS=2\nOTHER=1\n",
    )
    assert (config.node.http_port, config.node.shards, config.node.chunk_age_ms) == (3, 2, 1.0)
    assert config.node.emit_scores


def test_an_empty_variable_unsets_an_optional_key(tmp_path: Path) -> None:
    assert load(tmp_path, "[nats]\nmqtt_port = 1883", {"IOTPM_NATS__MQTT_PORT": ""}).nats.mqtt_port is None


def test_mistakes_in_variables_name_the_variable(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "", {"IOTPM_NODE__SHARDS": "x", "IOTPM_NODE_SHARDS": "2"})
    assert found == [
        "environment: IOTPM_NODE_SHARDS: sets no key; did you mean 'IOTPM_NODE__SHARDS'?",
        'environment IOTPM_NODE__SHARDS: node.shards = "x": must be a whole number from 0 to 256',
    ]


def test_templates_json_has_the_engines_keys_and_the_hash_follows_them(tmp_path: Path) -> None:
    one = load(tmp_path, '[[template]]\nmatch = "a/*"\n[template.limits]\nhi = 3.0')
    template = json.loads(one.templates_json())[0]
    assert template["match"] == "a/*"
    assert template["limits"] == {"lo_lo": None, "lo": None, "hi": 3.0, "hi_hi": None, "deadband": 0.0}
    assert one.hash == load(tmp_path, one_line := '[[template]]\nlimits = { hi = 3.0 }\nmatch = "a/*"').hash
    assert one.hash != load(tmp_path, one_line.replace("3.0", "3.1")).hash


def test_template_keys_are_those_of_the_engine() -> None:
    """The engine refuses unknown keys, so the two lists must be one."""
    source = (Path(__file__).parents[2] / "crates/iotpm-core/src/template.rs").read_text()
    body = source[source.index("pub struct Template {") :]
    fields = re.findall(r"^    pub (\w+):", body[: body.index("\n}")], re.M)
    assert len(fields) > 20
    assert [("match" if name == "pattern" else name) for name in fields] == list(Template.__struct_encode_fields__)


def test_features_of_frames_are_those_of_the_engine() -> None:
    source = (Path(__file__).parents[2] / "crates/iotpm-core/src/waveform/feature.rs").read_text()
    body = source[source.index("pub const NAMES") :]
    vibration = re.findall(r'"(\w+)"', body[: body.index("];")])
    assert len(vibration) > 10
    assert get_args(FrameFeatureName) == (*FEATURES, *vibration)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.toml"
        path.write_text(text, newline="")
        with contextlib.suppress(ConfigError):
            assert isinstance(Config.load(path, environ={}, dotenv=None), Config)


CALENDAR = """\
[calendar]
timezone = "Europe/Berlin"
shifts = ["06:00", "14:00", "22:00"]
holidays = [2026-12-25, "2027-01-01"]
[[template]]
match = "osaka/*"
calendar = { timezone = "Asia/Tokyo", working_days = ["mon", "tue", "wed", "thu", "fri", "sat"] }
[[template]]
match = "here/*"
"""


def test_a_templates_calendar_is_the_sites_but_for_what_it_says_itself(tmp_path: Path) -> None:
    templates = json.loads(load(tmp_path, CALENDAR).templates_json())
    assert [t["match"] for t in templates] == ["osaka/*", "here/*", "*"], "all other signals follow the site"
    osaka, here, others = (t["calendar"] for t in templates)
    assert (osaka["timezone"], osaka["shifts"]) == ("Asia/Tokyo", ["06:00", "14:00", "22:00"])
    assert osaka["offsets_s"] == [[946_684_800, 9 * 3600]], "no summer time"
    assert osaka["working_days"][-1] == "sat"
    assert here == others
    assert here["holidays"] == ["2026-12-25", "2027-01-01"]
    assert [1_774_746_000, 7200] in here["offsets_s"], "2026-03-29 01:00 UTC"


def test_without_a_calendar_the_templates_are_as_they_are(tmp_path: Path) -> None:
    assert json.loads(load(tmp_path, '[[template]]\nmatch = "a/*"\n').templates_json())[0]["calendar"] == {
        "timezone": None,
        "shifts": None,
        "working_days": None,
        "holidays": None,
        "offsets_s": None,
    }


def test_offsets_of_ones_own_need_no_database(tmp_path: Path) -> None:
    config = load(tmp_path, '[calendar]\ntimezone = "Ship/Aurora"\noffsets_s = [[0, 7200]]\n')
    assert json.loads(config.templates_json())[0]["calendar"]["offsets_s"] == [[0, 7200]]


def test_mistakes_in_a_calendar_are_named_with_the_way_out(tmp_path: Path) -> None:
    text = """\
[calendar]
timezone = "Europe/Berln"
shifts = ["14:00", "06:00"]
[[template]]
calendar = { timezone = "Tokyo" }
"""
    assert mistakes(tmp_path, text) == [
        'plant.toml:2: calendar.timezone = "Europe/Berln": must be an IANA name such as Europe/Berlin; '
        "did you mean 'Europe/Berlin'?",
        "plant.toml:3: calendar.shifts = ['14:00', '06:00']: must ascend: a day begins with its first shift",
        'plant.toml:5: template[0].calendar.timezone = "Tokyo": must be an IANA name such as Europe/Berlin; '
        "did you mean 'Asia/Tokyo'?",
    ]
    text = '[calendar]\nshifts = ["6:00"]\nworking_days = ["monday"]\nholidays = ["tomorrow"]\n'
    assert mistakes(tmp_path, text) == [
        "plant.toml:2: calendar.shifts = ['6:00']: must be a list, each item a time of day such as \"06:00\"",
        "plant.toml:3: calendar.working_days = ['monday']: must be a list, each item one of "
        '"fri", "mon", "sat", "sun", "thu", "tue", "wed"',
        "plant.toml:4: calendar.holidays = ['tomorrow']: must be a list, each item a date such as 2026-12-25",
    ]


def test_half_of_what_is_usual_for_a_class_is_a_mistake(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "[[template]]\nusual = { median = 2.1 }\n") == [
        "plant.toml:2: template[0].usual.median = 2.1: needs deviation too"
    ]
    config = load(tmp_path, "[[template]]\nusual = { median = 2.1, deviation = 0.3 }\n")
    assert json.loads(config.templates_json())[0]["usual"] == {"median": 2.1, "deviation": 0.3}


def test_templates_that_are_written_out_bring_the_sites_calendar_along(tmp_path: Path) -> None:
    config = load(tmp_path, CALENDAR)
    written = fragment(complete(config), {})
    assert "[calendar]" not in written
    assert load(tmp_path, written).templates_json() == config.templates_json()


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "plant.toml"
    path.write_bytes(b"\xef\xbb\xbf[node]\nhttp_port = 9464\n")
    assert Config.load(path, environ={}, dotenv=None).node.http_port == 9464


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[node]\nhttp_port = 1\n\n[node]\n",
            "plant.toml:4: [node]: a table may stand once, and it begins in line 1 already: put its keys together",
        ),
        ("[node]\nhttp_port = 1\nhttp_port = 2\n", "plant.toml:3: TOML: a key stands twice in its table: leave one"),
    ],
)
def test_what_stands_twice_is_named(tmp_path: Path, text: str, says: str) -> None:
    assert mistakes(tmp_path, text) == [says]


def test_a_check_in_json_is_json_whatever_it_finds(tmp_path: Path) -> None:
    path = tmp_path / "plant.toml"
    path.write_text('[node]\nhttp_port = "x"\n[nodes]\n')
    answer = CliRunner().invoke(command, ["check", "--json", str(path)])
    told = json.loads(answer.stdout)
    assert (answer.exit_code, answer.stderr, told["ok"]) == (1, "", False)
    first, second = told["mistakes"]
    assert (first["line"], first["key"], first["value"]) == (2, "node.http_port", '"x"')
    assert first["problem"].startswith("must be a whole number")
    assert (second["line"], second["key"]) == (3, "nodes")
    path.write_text("")
    assert json.loads(CliRunner().invoke(command, ["check", "--json", str(path)]).stdout)["ok"]
