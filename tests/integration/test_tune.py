"""`iotpm tune`: proposals keep the budget where that is possible, are a configuration, and say what they rest on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from iotpm.backtest import FileHistory, Span
from iotpm.cli import main
from iotpm.config import Config, Template
from iotpm.config.model import AlarmLimits, Waveforms
from iotpm.errors import InputError
from iotpm.replay import open_source
from iotpm.tune import propose
from iotpm.tune.options import Option, complete, fragment, template_of
from iotpm.tune.scores import RUN_READINGS, Runs

ROWS = 6_000


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three assets with a signal of heavy tails, which the boundaries as they are call spikes, and a Gaussian one."""
    directory = tmp_path_factory.mktemp("healthy")
    for asset in range(3):
        rng = np.random.default_rng(asset)
        heavy, calm = 20.0 + rng.standard_t(3, ROWS), 5.0 + rng.normal(size=ROWS)
        rows = [f"{1_600_000_000 + 10 * i},{x:.3f},{y:.3f}" for i, (x, y) in enumerate(zip(heavy, calm, strict=True))]
        (directory / f"fan-{asset}.csv").write_text("\n".join(["time,heavy,calm", *rows, ""]))
    return directory


ALONE = Config(templates=(Template(detectors=["basic"]),))
"""Signals judged by themselves: a model of the asset would speak for them after an hour and a half."""


def tuned(healthy: Path, budget: float, config: Config = ALONE, workers: int = 1) -> Any:
    history = FileHistory(open_source(healthy), Span(), 0.0)
    return propose(history, config, budget, warm_up_us=3_600_000_000, workers=workers)


def test_the_proposal_keeps_a_budget_that_the_settings_break(healthy: Path) -> None:
    found = tuned(healthy, 40.0)
    (proposal,) = found.proposals
    before, after = found.before.per_asset_week, found.after.per_asset_week
    assert before > 40.0 >= after
    assert proposal.within
    assert proposal.chosen.rate.per_asset_week == after
    assert proposal.tried[0].option == Option(1.0)
    # The loosest that keeps it: whatever raises more of those tried breaks the budget.
    assert all(t.rate.per_asset_week > 40.0 for t in proposal.tried if t.alarms > proposal.chosen.alarms)


def test_what_is_proposed_is_a_configuration_that_raises_what_was_said(healthy: Path, tmp_path: Path) -> None:
    path = tmp_path / "tuned.toml"
    arguments = ["tune", str(healthy), "--alarms-per-asset-week", "40", "--warm-up", "1h", "--output", str(path)]
    told = CliRunner().invoke(main, [*arguments, "--json"])
    assert told.exit_code == 0, told.output
    figures = json.loads(told.stdout)
    assert CliRunner().invoke(main, ["config", "check", str(path)]).exit_code == 0
    assert figures["toml"] == path.read_text()
    since = ["--from", "2020-09-13T13:26:40Z", "--warm-up", "2h"]
    backtest = CliRunner().invoke(main, ["backtest", str(healthy), "--config", str(path), *since, "--json"])
    (result,) = json.loads(backtest.stdout)["results"]
    assert result["anomalies"] == figures["templates"][0]["chosen"]["alarms"]
    assert CliRunner().invoke(main, arguments).exit_code == 0


def test_templates_are_tuned_apart(healthy: Path) -> None:
    heavy_alone = Template(pattern="*/heavy", detectors=["basic"], modified_z_boundary=5.0)
    config = Config(templates=(heavy_alone, *ALONE.templates))
    found = tuned(healthy, 40.0, config)
    assert [p.template.pattern for p in found.proposals] == ["*/heavy", "*"]
    assert [p.budget for p in found.proposals] == [20.0, 20.0]
    assert {p.signals for p in found.proposals} == {3}
    heavy, calm = found.proposals
    assert heavy.chosen.option != calm.chosen.option
    assert heavy.tried[0].alarms > calm.tried[0].alarms


def test_workers_change_nothing(healthy: Path) -> None:
    assert tuned(healthy, 40.0, workers=2) == tuned(healthy, 40.0)


def test_a_short_history_is_said_to_be_one(healthy: Path) -> None:
    found = tuned(healthy, 0.1)
    assert any("too short to show" in warning for warning in found.proposals[0].warnings)
    assert "# warning" in found.toml


def test_what_no_boundary_changes_is_named(healthy: Path) -> None:
    config = Config(templates=(Template(limits=AlarmLimits(hi=20.0)),))
    (proposal,) = tuned(healthy, 1.0, config).proposals
    assert not proposal.within
    assert any("by limits" in warning for warning in proposal.warnings)


LEARNING_S = 1_800.0
PUMP_ROWS = 7_300
"""A second each: the model is there within 1,890 s, and what is raised counts from an hour on."""
TOGETHER = Config(templates=(Template(asset_learning_s=LEARNING_S),))
SINGLY = Config(templates=(Template(asset_learning_s=LEARNING_S, detectors=["basic"]),))


def pumps(directory: Path, lost: float) -> Path:
    """Two assets whose signals follow a load that moves in steps; at the end `flow` loses a part of it six times."""
    directory.mkdir()
    for asset in range(2):
        rng, second = np.random.default_rng(asset), np.arange(PUMP_ROWS)
        steps = 50.0 + 8.0 * (np.arange(PUMP_ROWS // 400 + 2) * 7 % 5)
        at, moved = second // 400, np.minimum(second % 400 / 20.0, 1.0)
        load = steps[at] + moved * (steps[at + 1] - steps[at]) + 5.0 * np.sin(second / 40.0)
        load += rng.normal(0, 0.3, PUMP_ROWS)
        leaks = (second >= 5_500) & (second % 300 < 60)
        signals = np.stack([load, 2.0 * load + 10.0, 0.5 * load - lost * leaks], axis=1)
        values = signals + rng.normal(0, [0.06, 0.12, 0.03], (PUMP_ROWS, 3))
        rows = [f"{1_600_000_000 + i},{a:.3f},{b:.3f},{c:.3f}" for i, (a, b, c) in enumerate(values.tolist())]
        (directory / f"pump-{asset}.csv").write_text("\n".join(["time,load,current,flow", *rows, ""]))
    return directory


def test_where_a_model_speaks_for_its_signals_their_boundaries_stay(tmp_path: Path) -> None:
    history = pumps(tmp_path / "healthy", lost=0.0)
    (alone,), (together,) = (tuned(history, 40.0, config).proposals for config in (SINGLY, TOGETHER))
    assert alone.tried[0].alarms > 0, "each step of the load is one to signals that do not know of each other"
    assert together.tried[0].alarms == 0
    assert (together.chosen.option, together.within) == (Option(1.0), True)


def test_alarms_of_a_model_count_and_are_named_where_no_boundary_changes_them(tmp_path: Path) -> None:
    (proposal,) = tuned(pumps(tmp_path / "leaking", lost=4.0), 1.0, TOGETHER).proposals
    assert all(set(tried.by_detector) == {"asset_model"} for tried in proposal.tried if not tried.option.persistent)
    counts = {tried.alarms for tried in proposal.tried if not tried.option.persistent}
    assert len(counts) == 1, "no factor changes what a model raises"
    assert counts.pop() >= 2
    assert not proposal.within
    assert any("by asset_model" in warning for warning in proposal.warnings)


def test_the_rate_of_models_is_proposed_with_what_it_would_have_given(tmp_path: Path) -> None:
    path = tmp_path / "tuned.toml"
    history = pumps(tmp_path / "leaking", lost=0.6)
    found = tuned(history, 200.0, TOGETHER)
    rate = found.asset_rate
    alarms = {one.factor: one.alarms for one in rate.tried}
    ordered = [alarms[factor] for factor in sorted(alarms)]
    assert ordered == sorted(ordered), "a greater rate raises more"
    assert ordered[0] < ordered[-1]
    assert rate.chosen.alarms == max(one.alarms for one in rate.tried if one.keeps(200.0))
    assert rate.proposed != rate.now
    path.write_text(found.toml)
    assert Config.load(path).templates[0].asset_false_alarm_rate == rate.proposed
    (proposal,) = found.proposals
    assert proposal.tried[0].by_detector.get("asset_model", 0) == rate.chosen.alarms


def test_a_rate_is_left_where_models_raise_nothing_and_that_is_said(tmp_path: Path) -> None:
    rate = tuned(pumps(tmp_path / "healthy", lost=0.0), 40.0, TOGETHER).asset_rate
    assert (rate.proposed, rate.chosen.alarms) == (rate.now, 0)
    told = CliRunner().invoke(main, ["tune", str(tmp_path / "healthy"), "--alarms-per-asset-week", "40"])
    assert told.exit_code == 0, told.output
    assert "asset_false_alarm_rate: now 0.0001, proposed 0.0001: models of assets raise nothing" in told.output


def test_no_rate_is_proposed_where_no_template_runs_models(healthy: Path) -> None:
    assert tuned(healthy, 40.0).asset_rate is None


@pytest.mark.parametrize(("budget", "words"), [(0.0, "must be above 0"), (float("nan"), "must be above 0")])
def test_a_budget_must_be_positive(healthy: Path, budget: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        tuned(healthy, budget)


def test_a_history_in_which_nothing_matures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short.csv").write_text("time,x\n" + "".join(f"{1_600_000_000 + i},{i % 7}\n" for i in range(5)))
    with pytest.raises(InputError, match="no detector became mature"):
        tuned(tmp_path / "short.csv", 1.0)
    (tmp_path / "wire.ndjson").write_text('{"sensor_id":"t","timestamp":1600000000,"value":1}\n')
    with pytest.raises(InputError, match="NDJSON and waveforms are not tuned from"):
        tuned(tmp_path / "wire.ndjson", 1.0)


def test_runs_of_scores_do_not_depend_on_cuts() -> None:
    scores = np.random.default_rng(0).exponential(size=1_003)
    whole, cut = Runs(), Runs()
    whole.add(scores)
    for part in np.split(scores, [1, 19, 20, 400, 401]):
        cut.add(part)
    assert np.array_equal(whole.take(), cut.take())
    assert np.array_equal(whole.take(), scores[:1000].reshape(-1, RUN_READINGS).max(axis=1))


def test_every_setting_of_a_template_survives_the_toml(tmp_path: Path) -> None:
    path = tmp_path / "whole.toml"
    template = Template(
        pattern='s/"a\\b"/*', unit="Cel", limits=AlarmLimits(hi=80.0, deadband=0.5), detectors=["default"],
        waveform=Waveforms(bands_hz=((10.0, 1000.0),), speed_hz=29.95), begin_count=2, repeat_s=0.0,
    )  # fmt: skip
    changed = Option(2.5, persistent=True).applied(template)
    path.write_text(fragment([changed], {0: ["a remark"]}))
    assert Config.load(path, environ={}, dotenv=None).templates == (changed,)
    assert (changed.modified_z_boundary, changed.begin_of) == (8.75, 10)
    assert Option(1.0).applied(template) == template


def test_the_template_of_a_name_is_the_first_that_matches() -> None:
    templates = complete(Config(templates=(Template(pattern="s/*/t"), Template(pattern="s/a*"))))
    names = ("s/b/t", "s/ab/u", "s/b/u", "s/a.b/t", "s/ab")
    assert [template_of(name, templates) for name in names] == [0, 1, 2, 0, None]
    assert msgspec.to_builtins(templates[-1]) == msgspec.to_builtins(Template())
