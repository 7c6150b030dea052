"""`iotpm replay` as a new user runs it: both ways, again, interrupted, and on files that cannot be read."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner, Result
from tests.support.nodes import LIMIT_S, wait_until

from iotpm.cli import main
from iotpm.client import connect
from iotpm.config import Config, Nats, Webhook
from iotpm.errors import IotpmError
from iotpm.replay import session
from iotpm.replay.session import default_name, replay_config
from iotpm.virtual import rebatched

START_S = 1_600_000_000


def replay(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)])


def account(*arguments: str | Path) -> dict[str, Any]:
    result = replay(*arguments, "--json", "--top", "0")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def pump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """600 seconds of two signals with a level shift, one late and one repeated row; the working directory is fresh."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "pump.csv")


def write(path: Path, *, shift: float = 40.0, seed: int = 1) -> Path:
    values = np.round(50.0 + np.random.default_rng(seed).normal(size=(600, 2)), 3)
    values[300:360, 0] += shift
    rows = [f"{START_S + second};{flow};{heat}" for second, (flow, heat) in enumerate(values.tolist())]
    rows = [*rows[:400], f"{START_S + 5};1.0;2.0", rows[399], *rows[400:]]
    path.write_text("\n".join(["time;flow;heat", *rows, ""]))
    return path


def test_both_ways_give_the_same_account(pump: Path) -> None:
    stream, engine = account(pump), account(pump, "--via", "engine")
    own = {"seconds", "readings_per_s", "data_dir"}
    assert {key: stream[key] for key in stream.keys() - own} == {key: engine[key] for key in engine.keys() - own}
    assert (stream["readings"], stream["stored"], stream["late"], stream["rejected_duplicates"]) == (1204, 1200, 2, 2)
    assert "level_shift" in stream["by_kind"]
    assert stream["worst"][0]["name"] == "replay/pump/flow"
    assert (stream["first"], stream["span_s"]) == ("2020-09-13T12:26:40+00:00", 599.0)
    assert (stream["data_dir"], engine["data_dir"]) == ("iotpm-data/replay-pump", None)


def test_a_time_that_no_row_has_gives_an_empty_account_either_way(pump: Path) -> None:
    for way in ("stream", "engine"):
        told = account(pump, "--via", way, "--from", "2030-01-01T00:00:00Z")
        assert (told["stored"], told["anomalies"], told["worst"]) == (0, 0, [])


def test_the_account_is_what_the_store_holds(pump: Path) -> None:
    told = account(pump)
    with connect(told["data_dir"]) as store:
        rows = store.status()["stored"]["rows"]
        anomalies = list(store.anomalies())
    assert (rows["readings"], rows["windows"], rows["late_readings"]) == (told["stored"], told["windows"], told["late"])
    assert {row["id"] for row in anomalies} == {row["id"] for row in told["worst"]}
    assert told["anomalies"] == len(anomalies) == sum(told["by_kind"].values())


def test_people_read_a_summary_and_where_it_is(pump: Path) -> None:
    result = replay(pump, "--top", "1")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("1,204 readings, 2 signals, 1 file, 2020-09-13 12:26:40 to 2020-09-13 12:36:39 UTC")
    assert "2 late, 2 duplicates" in result.stdout
    assert "replay/pump/flow" in result.stdout
    assert result.stdout.endswith("iotpm anomalies --data-dir iotpm-data/replay-pump\n")


def test_the_same_file_again_replaces_the_first_replay(pump: Path) -> None:
    first = account(pump)
    write(pump, shift=0.0)
    again = replay(pump, "--json")
    assert "the earlier replay in iotpm-data/replay-pump is replaced" in again.stderr
    second = json.loads(again.stdout)
    assert second["stored"] == first["stored"], "nothing of the first is left beside it"
    assert second["anomalies"] < first["anomalies"]


def test_another_file_is_not_replaced_unasked(pump: Path) -> None:
    account(pump)
    (pump.parent / "other").mkdir()
    other = write(pump.parent / "other" / "pump.csv", seed=2)
    refused = replay(other)
    assert refused.exit_code == 1
    for word in (str(pump), "--fresh", "--name"):
        assert word in refused.stderr
    with connect("iotpm-data/replay-pump") as store:
        before = list(store.anomalies())
    assert before, "the refusal touched nothing"
    assert account(other, "--fresh")["stored"] == 1200
    assert account(other, "--name", "other")["data_dir"] == "iotpm-data/replay-other"


def test_a_directory_that_no_replay_made_is_left_alone(pump: Path) -> None:
    (pump.parent / "plant" / "lake").mkdir(parents=True)
    (pump.parent / "plant" / "lake" / "precious").write_text("x")
    for options in ([], ["--fresh"]):
        refused = replay(pump, "--data-dir", "plant", *options)
        assert refused.exit_code == 1
        assert "no replay made" in refused.stderr
    assert (pump.parent / "plant" / "lake" / "precious").read_text() == "x"


def test_a_directory_of_files_is_one_replay_with_an_asset_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "line").mkdir()
    for seed, name in enumerate(("a.csv", "b.csv")):
        write(tmp_path / "line" / name, seed=seed)
    told = account("line", "--site", "plant")
    assert (told["files"], told["signals"], told["stored"]) == (2, 4, 2400)
    assert {row["name"].rsplit("/", 1)[0] for row in told["worst"]} == {"plant/a", "plant/b"}
    assert told["data_dir"] == "iotpm-data/replay-line"


def test_templates_of_a_configuration_act(pump: Path) -> None:
    limit = '[[template]]\nmatch = "replay/pump/heat"\nlimits = { hi = 51.0 }\ndetectors = ["limits"]\n'
    (pump.parent / "plant.toml").write_text(limit)
    told = account(pump, "--config", "plant.toml", "--via", "engine")
    detectors = {(row["name"], row["detector"]) for row in told["worst"]}
    assert ("replay/pump/heat", "limits") in detectors
    assert all(detector == "limits" for name, detector in detectors if name == "replay/pump/heat")


def test_rows_without_times_come_at_a_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.csv").write_text("a,b\n" + "\n".join(f"{i % 7},{i % 5}" for i in range(100)))
    told = account(
        "plain.csv", "--rate-hz", "2", "--start-time", "2021-01-01T00:00:00Z", "--exclude", "b", "--via", "engine"
    )
    assert (told["signals"], told["first"], told["span_s"]) == (1, "2021-01-01T00:00:00+00:00", 49.5)


def test_a_live_plants_broker_and_receivers_stay_out_of_a_replay(tmp_path: Path) -> None:
    live = Config(nats=Nats(url="nats://plant:4222"), webhook=Webhook(url="https://example.org/x"))
    config = replay_config(live, tmp_path)
    assert (config.nats.url, config.webhook.url, config.data_dir) == ("", None, tmp_path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("pump.csv", "pump"),
        ("valve1/0.csv", "valve1-0"),
        ("a b/höhe 7.csv", "h-he-7"),
        ("x/raw.csv", "x-raw"),
        ("7", None),
    ],
)
def test_names_come_from_the_file(tmp_path: Path, path: str, name: str | None) -> None:
    found = default_name(tmp_path / path)
    assert found == (name or f"{tmp_path.name}-7".replace("_", "_"))


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["none.csv"], 1, "none.csv: there is no such file"),
        (["pump.csv", "--time-column", "when"], 1, "'when'"),
        (["pump.csv", "--config", "none.toml"], 1, "none.toml"),
        (["bad.csv"], 1, "bad.csv, line 2002, column 'flow': 'x'"),
        (["empty.csv"], 1, "empty.csv"),
        (["."], 1, "no file here ends in"),
        (["pump.csv", "--name", "raw"], 2, "--name"),
        (["pump.csv", "--speed", "fast"], 2, "--speed"),
        (["pump.csv", "--speed", "2x", "--via", "engine"], 2, "--speed"),
        (["pump.csv", "--from", "soon"], 2, "--from"),
    ],
)
def test_what_cannot_be_replayed_is_named(
    pump: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, named: str
) -> None:
    good = [f"{START_S + second},{second % 7}" for second in range(2000)]
    (pump.parent / "bad.csv").write_text("\n".join(["time,flow", *good, f"{START_S + 2000},x", ""]))
    (pump.parent / "empty.csv").write_text("time,flow\n")
    if arguments == ["."]:
        (pump.parent / "folder").mkdir()
        monkeypatch.chdir(pump.parent / "folder")
    result = replay(*arguments)
    assert (result.exit_code, named in result.stderr) == (status, True), result.output
    assert not (pump.parent / "iotpm-data").exists(), "nothing was begun"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_replay_leaves_no_process_and_a_store_that_answers(pump: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "iotpm", "replay", str(pump), "--speed", "20x"]
    with subprocess.Popen(
        command, cwd=pump.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: stored(process, pump.parent / "iotpm-data" / "replay-pump") > 50, "some readings stored")
        children = psutil.Process(process.pid).children(recursive=True)
        assert children, "the broker"
        process.send_signal(number)
        output, complaints = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, complaints
    assert output == ""
    assert "interrupted; what was replayed until then is in" in complaints
    assert psutil.wait_procs(children, timeout=LIMIT_S)[1] == []
    with connect(pump.parent / "iotpm-data" / "replay-pump") as store:
        assert not store.running
        assert 50 < store.status()["stored"]["rows"]["readings"] < 1200


def stored(process: subprocess.Popen[str], data_dir: Path) -> int:
    assert process.poll() is None, process.communicate()
    try:
        with connect(data_dir) as source:
            return int(source.status()["stored"]["rows"]["readings"]) if source.running else 0
    except IotpmError:
        return 0


def test_a_recording_is_cut_into_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "motor.npz", de=np.random.default_rng(1).normal(size=6_500), fs=1_000.0)
    result = replay("motor.npz", "--via", "engine", "--unit", "m/s2", "--frame", "0.5")
    assert result.exit_code == 0, result.output
    assert "13 frames, 1 signal, 1 file" in result.output
    assert "13 windows;" in result.output
    found = account("motor.npz", "--via", "engine")
    assert (found["frames"], found["windows"], found["stored"], found["dead_letters"]) == (6, 6, 0, 0)
    assert "last 500 samples are no whole frame" in found["notes"][0]
    assert "give --rate-hz" in replay(_without_rate(tmp_path)).output


def _without_rate(tmp_path: Path) -> Path:
    np.save(tmp_path / "bare.npy", np.zeros(10))
    return tmp_path / "bare.npy"


def test_a_time_that_no_row_has_replaces_no_earlier_replay(pump: Path) -> None:
    before = account(pump)
    refused = replay(pump, "--from", "2030-01-01T00:00:00Z")
    assert refused.exit_code == 1
    assert "--from 2030-01-01 00:00:00: the last reading is of 2020-09-13 12:36:39 UTC" in refused.stderr
    with connect(before["data_dir"]) as store:
        assert store.status()["stored"]["rows"]["readings"] == before["stored"]


def test_an_engine_that_is_interrupted_tells_what_it_has_run(pump: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the first of two files runs: the batch under way is finished and counted."""
    write(pump.parent / "later.csv", seed=2)
    whole = session.embedded

    def interrupted(*arguments: Any, report: Any, **told: Any) -> Any:
        def once(stage: str, readings: int) -> None:
            report(stage, readings)
            signal.raise_signal(signal.SIGINT)

        return whole(*arguments, report=once, **told)

    monkeypatch.setattr(session, "embedded", interrupted)
    monkeypatch.setattr("iotpm.replay.run.rebatched", lambda batches: rebatched(batches, 300))
    said = replay(pump.parent, "--via", "engine", "--json")
    told = json.loads(said.stdout)
    assert said.exit_code == 130
    assert 0 < told["ended_after"] < told["readings"]
    assert told["stored"] <= told["ended_after"]
    assert "interrupted after" in replay(pump.parent, "--via", "engine").stdout


def test_what_is_interrupted_before_it_runs_says_that_nothing_was_stored(
    pump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("iotpm.cli.replay.open_files", interrupted)
    said = replay(pump, "--via", "engine")
    assert (said.exit_code, said.stderr) == (130, "interrupted; nothing was stored\n")
