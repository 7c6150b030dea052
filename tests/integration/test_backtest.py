"""`iotpm backtest`: the store of a node and files give what the node gave, however many work on it."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.support.history import PUMPS, ROWS, START_S, plant, stored
from tests.support.nodes import LIMIT_S, QUIET

from iotpm import subjects
from iotpm.backtest import FileHistory, Ran, Span, run, store_history
from iotpm.backtest import store as store_module
from iotpm.cli import main
from iotpm.client import connect
from iotpm.config import Config, Store
from iotpm.node.service import Node
from iotpm.replay import open_source
from iotpm.replay.session import replay_config
from iotpm.store.database import Database
from iotpm.store.lake import Lake

TEMPLATES = {"lateness": "[[template]]\nlateness_s = 3600.0\n", "deaf": '[[template]]\ndetectors = ["limits"]\n'}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("plant") / "files")


@pytest.fixture(scope="module")
def data_dir(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(files, tmp_path_factory.mktemp("store") / "data")


def ran(data_dir: Path, *configs: Config, span: Span | None = None, workers: int = 1) -> Ran:
    with store_history(data_dir, span or Span()) as history:
        return run(history, configs or [Config()], workers)


def backtest(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["backtest", *map(str, arguments)])


def account(*arguments: str | Path) -> dict[str, Any]:
    result = backtest(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_same_configuration_raises_what_the_node_raised(data_dir: Path) -> None:
    """To the bit; of a silence only the moment of its discovery may differ, for the node had other ticks."""
    with connect(data_dir) as source:
        node = {row["id"]: row for row in source.anomalies()}
    found = {one.id: one for one in ran(data_dir).raised[0]}
    assert found.keys() == node.keys()
    assert {one.kind for one in found.values()} >= {"gap"}
    for key, one in found.items():
        assert (one.name, one.detector, one.kind, one.start_us) == tuple(
            node[key][column] for column in ("name", "detector", "kind", "start")
        )
        if one.kind != "gap":
            assert (one.peak_score, one.end_us, one.last_us) == tuple(
                node[key][column] for column in ("peak_score", "end", "time")
            )


def test_files_give_what_their_store_gives(files: Path, data_dir: Path) -> None:
    history = FileHistory(open_source(files), Span(), 0.0)
    from_files, from_store = run(history, [Config()]), ran(data_dir)
    assert from_files.readings == from_store.readings == 2 * (PUMPS * ROWS - 200 + 1)
    assert [(one.id, one.peak_score) for one in from_files.raised[0]] == [
        (one.id, one.peak_score) for one in from_store.raised[0]
    ]


def test_neither_workers_nor_slices_change_anything(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = ran(data_dir)
    assert ran(data_dir, workers=2) == ran(data_dir, workers=7) == alone
    monkeypatch.setattr(store_module, "SLICE_READINGS", 777)
    assert ran(data_dir) == alone


def test_rows_in_the_lake_are_history_too(files: Path, data_dir: Path, tmp_path: Path) -> None:
    moved = stored(files, tmp_path / "data")
    with Database(moved, Store(lake_slice_rows=3_000, disk_reserve_bytes=0), partition="plant") as database:
        lake = Lake(database)
        while lake.step_table("readings", keep_rows=5_000):
            pass
    with connect(moved) as source:
        assert source.status()["stored"]["lake_files"] >= 5
    assert ran(moved).raised == ran(data_dir).raised


def test_a_running_node_answers(files: Path, data_dir: Path, tmp_path: Path) -> None:
    """It exports its readings; late ones are not among them, and it says so."""
    shutil.copytree(data_dir, tmp_path / "data")
    told: list[Any] = []
    with Node(replay_config(Config(), tmp_path / "data"), names=subjects.replay("plant"), harness=QUIET) as node:

        def work() -> None:
            try:
                told.append(account("--dir", tmp_path / "data"))
            finally:
                node.drain()

        thread = threading.Thread(target=work)
        thread.start()
        node.run()
        thread.join(LIMIT_S)
    (found,) = told
    assert found["readings"] == ran(data_dir).readings - 2
    assert "late readings" in found["notes"][0]
    assert found["results"][0]["anomalies"] == len(ran(data_dir).raised[0])


def test_two_configurations_at_once_are_each_alone(data_dir: Path, tmp_path: Path) -> None:
    deaf = tmp_path / "deaf.toml"
    deaf.write_text(TEMPLATES["deaf"])
    both = ran(data_dir, Config(), Config.load(deaf))
    assert both.raised[0] == ran(data_dir).raised[0]
    assert both.raised[1] == ran(data_dir, Config.load(deaf)).raised[0]
    assert {one.detector for one in both.raised[1]} == {"gap"}


def test_late_readings_count_where_the_configuration_waits_for_them(data_dir: Path, tmp_path: Path) -> None:
    """A reading that was late to the node is run where it arrived."""
    waiting = tmp_path / "waiting.toml"
    waiting.write_text(TEMPLATES["lateness"])
    with connect(data_dir) as source:
        assert source.status()["stored"]["rows"]["late_readings"] == 2
    assert ran(data_dir, Config.load(waiting)).readings == ran(data_dir).readings


def test_a_span_is_counted_after_a_warm_up(data_dir: Path) -> None:
    since_us, until_us = (START_S + 1_900) * 1_000_000, (START_S + 2_500) * 1_000_000
    warm = ran(data_dir, span=Span(since_us, until_us, 1_500_000_000))
    assert {seen.first_us for seen in warm.assets.values()} == {(START_S + 400) * 1_000_000}
    assert {seen.last_us for seen in warm.assets.values()} == {until_us - 1_000_000}
    assert {one.maturity for one in warm.raised[0] if one.detector == "modified_z"} == {"mature"}


def test_the_account_of_the_command(files: Path, data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "deaf.toml").write_text(TEMPLATES["deaf"])
    start = START_S + 2_000
    (tmp_path / "faults.csv").write_text(
        "signal,start,end\n" + "".join(f"replay/pump-{pump}/flow,{start},{start + 120}\n" for pump in range(PUMPS))
    )
    options = ("--config", tmp_path / "deaf.toml", "--against", _empty(tmp_path), "--labels", tmp_path / "faults.csv")
    from_store = account("--dir", data_dir, *options, "--html", tmp_path / "page.html")
    new, old = from_store["results"]
    assert (new["labels"], old["hits"], old["missed"]) == (PUMPS, PUMPS, 0)
    assert 0 < old["lead_s_median"] <= 120
    assert old["delay_s_median"] < 10
    assert old["anomalies"] == from_store["difference"]["both"] + from_store["difference"]["only_old"]
    assert new["anomalies"] == from_store["difference"]["both"] + from_store["difference"]["only_new"]
    page = (tmp_path / "page.html").read_text()
    assert "replay/pump-0" in page
    assert "<script" not in page
    assert "false alarms per asset-week (95 % interval)" in page
    assert page.count('class="missed"') == PUMPS, "deaf.toml finds no fault"
    assert page.count(">missed</td>") == PUMPS + 1, "and the row of that name"
    assert "http" not in page
    from_files = account(files, *options)
    assert [{**row} for row in from_files["results"]] == [{**row} for row in from_store["results"]]


def _empty(directory: Path) -> Path:
    path = directory / "plain.toml"
    path.write_text("")
    return path


def test_the_table_names_what_changes(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "deaf.toml").write_text(TEMPLATES["deaf"])
    result = backtest("--dir", data_dir, "--config", tmp_path / "deaf.toml", "--against", _empty(tmp_path))
    assert result.exit_code == 0, result.output
    assert "per asset-week" in result.stdout
    assert "modified_z" in result.stdout
    assert "replay/pump-0/flow" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a history"),
        (("x.csv", "--dir", "."), "name a history"),
        (("--dir", "."), "no store in"),
        (("nowhere.csv",), "no such file"),
        (("x.csv", "--from", "2020-01-02", "--to", "2020-01-01"), "is not after --from"),
        (("x.csv", "--warm-up", "2020-01-02"), "must be such as 6h"),
    ],
)
def test_what_cannot_be_run_is_named(
    arguments: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = backtest(*arguments)
    assert result.exit_code != 0
    assert words in result.output


def test_a_span_without_readings_is_refused(data_dir: Path) -> None:
    result = backtest("--dir", data_dir, "--from", "2030-01-01")
    assert result.exit_code == 1
    assert "no readings within these times" in result.output
