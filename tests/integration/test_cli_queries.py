"""`iotpm status|signals|anomalies|export`: a running node in a process, then its files, asked as a user asks."""

from __future__ import annotations

import asyncio
import csv
import json
import math
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result
from prometheus_client import CollectorRegistry, Gauge
from tests.support.nodes import LIMIT_S, NodeProcess, configuration, wait_until

from iotpm import _core
from iotpm.cli import main
from iotpm.client import connect
from iotpm.config import Config
from iotpm.node.http import HealthServer
from iotpm.node.nodefile import NodeFile
from iotpm.processes import Identity
from iotpm.replay import open_source, replay_stream

NAME = "trial"
START_S = 1_600_000_000
ROWS = 900
QUERY_ROWS = 150
NODE = """
import sys
from iotpm import logs, subjects
from iotpm.cli.ingest import drain_on_signals
from iotpm.config import Config
from iotpm.node.service import Node
logs.configure("info", "json")
with Node(Config.load(sys.argv[2], environ={}, dotenv=None), names=subjects.replay("trial")) as node:
    drain_on_signals(node)
    node.run()
"""
"""A node in virtual time adds no ticks: what it answers depends on what was published alone."""

KINDS = ("readings", "windows", "anomalies")
ASKED = {
    "signals": ["signals", "--json", "--limit", "0"],
    "sorted": ["signals", "--sort", "anomalies", "--limit", "2"],
    "matched": ["signals", "--match", "left/flow", "--json"],
    "anomalies": ["anomalies", "--json", "--limit", "0"],
    "one asset": ["anomalies", "--asset", "plant/right", "--json"],
    "newest": ["anomalies", "--limit", "3", "--json"],
    "since": ["anomalies", "--since", "5m", "--json"],
}


def ask(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def write_files(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Two assets of three signals with faults, a NaN, a duplicate and a late row; what must be stored, by signal."""
    folder.mkdir()
    expected: dict[str, list[tuple[int, float]]] = {}
    for seed, asset in enumerate(("left", "right")):
        values = np.round(50.0 + np.random.default_rng(seed).normal(size=(ROWS, 3)), 3)
        values[400:440, 0] += 30.0
        values[600, 1] = 500.0
        rows = [(START_S + second, *values[second].tolist()) for second in range(ROWS)]
        late, again = (START_S + 10, 1.0, 2.0, 3.0), rows[700]
        with (folder / f"{asset}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(
                [("time", "flow", "heat", "speed"), *rows[:701], again, *rows[701:800], late, *rows[800:]]
            )
        for column, name in enumerate(("flow", "heat", "speed")):
            expected[f"plant/{asset}/{name}"] = [(row[0] * 1_000_000, row[column + 1]) for row in rows]
    return expected


@dataclass
class Answered:
    """What was answered by command, and the exported files by kind and ending."""

    said: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)


@dataclass
class Trial:
    """A node that ran and was stopped, and what it and its files answered."""

    data_dir: Path
    expected: dict[str, list[tuple[int, float]]]
    running: Answered
    stopped: Answered
    followed: list[dict[str, Any]]
    follower: subprocess.CompletedProcess[str]
    refusals: dict[str, str]
    page_rows: int


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    root = tmp_path_factory.mktemp("trial")
    expected = write_files(root / "files")
    store = {"lake_after_rows": 1000, "lake_slice_rows": 500}
    sections: dict[str, Any] = {"limits": {"query_rows": QUERY_ROWS}, "store": store}
    config = configuration(root / "data", "", **sections)
    node = NodeProcess(config, root / "node", [sys.executable, "-c", NODE])
    node.start()
    try:
        node.wait_event("node_started")
        yield run_trial(node, config, root, expected)
    finally:
        if node.running:
            node.kill()


def run_trial(node: NodeProcess, config: Config, root: Path, expected: dict[str, list[tuple[int, float]]]) -> Trial:
    found = NodeFile.of_running_node(config.data_dir)
    assert found is not None
    with start_following(config.data_dir) as follower:
        publish(found.url, root / "files", config.data_dir)
        running = everything(config.data_dir, root / "running")
        last = json.loads(running.said["newest"].splitlines()[0])
        seen = read_until(follower, {"id": last["id"], "revision": last["revision"]})
        follower.send_signal(signal.SIGINT)
        rest, complaints = follower.communicate(timeout=LIMIT_S)
    refusals, page_rows = asyncio.run(foreign_questions(found.url))
    assert node.drain() == 0, node.log()
    stopped = everything(config.data_dir, root / "stopped")
    followed = [json.loads(line) for line in [*seen, *rest.splitlines()]]
    ended = subprocess.CompletedProcess(follower.args, follower.returncode, rest, complaints)
    return Trial(config.data_dir, expected, running, stopped, followed, ended, refusals, page_rows)


def start_following(data_dir: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "iotpm", "anomalies", "--follow", "--json", "--limit", "0"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen([*command, "--data-dir", str(data_dir)], env=environ, **pipes)


def read_until(follower: subprocess.Popen[str], last: dict[str, Any]) -> list[str]:
    assert follower.stdout is not None
    seen = []
    for line in follower.stdout:
        seen.append(line)
        if json.loads(line).items() >= last.items():
            return seen
    raise AssertionError(f"the follower ended after {len(seen)} lines: {follower.communicate()[1]}")


def publish(url: str, files: Path, data_dir: Path) -> None:
    publisher = _core.Publisher(json.dumps({"url": url}))
    replay_stream(open_source(files, site="plant"), publisher, NAME)
    publisher.close()
    last_seq = asyncio.run(last_sequence(url))
    wait_until(lambda: committed(data_dir) == last_seq, "everything committed")


async def last_sequence(url: str) -> int:
    client = await nats.connect(url)
    info = await client.jetstream().stream_info(f"RAW_{NAME}")
    await client.close()
    return info.state.last_seq


def committed(data_dir: Path) -> int:
    with connect(data_dir) as source:
        return int(source.status()["committed_sequence"])


def everything(data_dir: Path, folder: Path) -> Answered:
    folder.mkdir()
    answered = Answered()
    for name, arguments in ASKED.items():
        result = ask(*arguments, "--data-dir", data_dir)
        assert result.exit_code == 0, result.output
        answered.said[name] = result.stdout
    newest = json.loads(answered.said["newest"].splitlines()[0])["id"]
    answered.said["explained"] = ask("explain", newest, "--json", "--data-dir", data_dir).stdout
    for kind in KINDS:
        for ending in ("parquet", "csv"):
            target = folder / f"{kind}.{ending}"
            result = ask("export", kind, "--to", target, "--data-dir", data_dir, "--json")
            answered.said[f"{kind}.{ending}"] = str(lines(result)[0]["rows"])
            answered.files[target.name] = target
    (answered.status,) = lines(ask("status", "--json", "--data-dir", data_dir))
    return answered


async def foreign_questions(url: str) -> tuple[dict[str, str], int]:
    """What the service says to those who do not use our client, and how many rows it gives at most."""
    client = await nats.connect(url)
    questions = {
        "no JSON": ("status", b"{"),
        "no object": ("signals", b"[1]"),
        "SQL": ("anomalies", b'{"sql": "DROP TABLE readings"}'),
        "table": ("export", b'{"kind": "progress"}'),
    }
    answers = {
        name: await client.request(f"iotpm.svc.{NAME}.{where}", data, timeout=30)
        for name, (where, data) in questions.items()
    }
    page = await client.request(f"iotpm.svc.{NAME}.export", b'{"kind": "readings", "limit": 1000000}', timeout=30)
    await client.close()
    refusals = {name: (answer.headers or {}).get("Nats-Service-Error", "") for name, answer in answers.items()}
    return refusals, int((page.headers or {})["Iotpm-Rows"])


@pytest.mark.parametrize("name", ASKED)
def test_a_stopped_nodes_files_say_what_the_running_node_said(trial: Trial, name: str) -> None:
    assert trial.running.said[name] == trial.stopped.said[name]
    assert trial.running.said[name].count("\n") > 1 or name == "matched"


@pytest.mark.parametrize("kind", KINDS)
def test_exports_are_equal_too(trial: Trial, kind: str) -> None:
    running, stopped = (
        pl.read_parquet(answered.files[f"{kind}.parquet"]) for answered in (trial.running, trial.stopped)
    )
    assert running.equals(stopped)
    assert len(running) == int(trial.running.said[f"{kind}.parquet"]) == int(trial.stopped.said[f"{kind}.csv"])
    texts = [answered.files[f"{kind}.csv"].read_bytes() for answered in (trial.running, trial.stopped)]
    assert texts[0] == texts[1]
    assert texts[0].count(b"\n") == len(running) + 1
    assert len(running) > QUERY_ROWS or kind == "anomalies", "the answer had several pages"


def test_exported_readings_are_those_of_the_files_with_names_and_times(trial: Trial) -> None:
    frame = pl.read_parquet(trial.running.files["readings.parquet"])
    assert frame.schema["ts"] == pl.Datetime("us")
    found = {
        str(name): sorted(zip(rows["ts"].cast(pl.Int64).to_list(), rows["value"].to_list(), strict=True))
        for (name,), rows in frame.group_by("signal")
    }
    assert found == trial.expected


def test_counts_agree_with_the_files(trial: Trial) -> None:
    for answered in (trial.running, trial.stopped):
        rows = answered.status["stored"]["rows"]
        assert rows["readings"] == sum(map(len, trial.expected.values()))
        assert (rows["signals"], rows["late_readings"], rows["dead_letters"]) == (6, 6, 0)
        assert rows["windows"] == int(trial.running.said["windows.csv"])
    assert trial.running.status["running"]
    assert not trial.stopped.status["running"]
    signals = [json.loads(line) for line in trial.running.said["signals"].splitlines()]
    assert [(row["name"], row["late"], row["duplicates"]) for row in signals] == [
        (name, 1, 1) for name in sorted(trial.expected)
    ]
    assert {row["last_seen"] for row in signals} == {"2020-09-13T12:41:39+00:00"}


def test_the_injected_faults_are_among_the_anomalies(trial: Trial) -> None:
    rows = [json.loads(line) for line in trial.running.said["anomalies"].splitlines()]
    peaks = {row["name"]: row["peak_value"] for row in rows if row["peak_value"] and row["peak_value"] > 70.0}
    assert set(peaks) >= {f"plant/{asset}/{signal}" for asset in ("left", "right") for signal in ("flow", "heat")}
    assert max(peaks.values()) == 500.0


def test_since_counts_back_from_the_last_reading_of_a_replay(trial: Trial) -> None:
    rows = [json.loads(line) for line in trial.stopped.said["since"].splitlines()]
    every = [json.loads(line) for line in trial.stopped.said["anomalies"].splitlines()]
    assert 0 < len(rows) < len(every)
    assert rows == [row for row in every if row["time"] >= "2020-09-13T12:36:39"]


def test_an_asset_is_asked_for_by_site_and_name(trial: Trial) -> None:
    rows = [json.loads(line) for line in trial.stopped.said["one asset"].splitlines()]
    every = [json.loads(line) for line in trial.stopped.said["anomalies"].splitlines()]
    assert rows == [row for row in every if row["asset"] == "right"]


def test_following_shows_every_change_once_and_ends_quietly(trial: Trial) -> None:
    """The first lines may sum up what was there when it began; from then on no revision is left out."""
    assert (trial.follower.returncode, trial.follower.stderr) == (0, "")
    shown = [(row["id"], row["revision"]) for row in trial.followed]
    assert len(set(shown)) == len(shown)
    first: dict[str, int] = {}
    for number, revision in shown:
        assert revision == first.get(number, revision), f"a revision of {number} was left out"
        first[number] = revision + 1
    every = [json.loads(line) for line in trial.running.said["anomalies"].splitlines()]
    assert first == {row["id"]: row["revision"] + 1 for row in every}


def test_an_anomaly_is_explained_alike_by_the_node_and_by_its_files(trial: Trial) -> None:
    told = json.loads(trial.running.said["explained"])
    assert told == json.loads(trial.stopped.said["explained"])
    assert told["revisions"][0]["state"] == "begin"
    assert told["configuration"]
    assert math.isclose(sum(one["share"] for one in told["contributions"]), 1.0)
    assert told["id"] in [one["id"] for one in told["contributions"]]


def test_an_explanation_is_a_page_of_its_own(trial: Trial, tmp_path: Path) -> None:
    shift = next(row for row in lines(ask("anomalies", "--json", "--limit", "0", "--data-dir", trial.data_dir))
                 if row["name"] == "plant/left/flow" and row["kind"] != "gap")  # fmt: skip
    page = tmp_path / "why.html"
    said = ask("explain", shift["id"][:8], "--html", page, "--data-dir", trial.data_dir)
    assert said.exit_code == 0, said.output
    assert "plant/left/flow reached" in said.stdout
    assert "<svg" in page.read_text("utf-8")
    assert shift["id"] in page.read_text("utf-8")


@pytest.mark.parametrize(("wanted", "says"), [("zzzzzzzz", "no anomaly has this id"), ("ab", "at least 4 letters")])
def test_an_anomaly_that_is_not_there_cannot_be_explained(trial: Trial, wanted: str, says: str) -> None:
    said = ask("explain", wanted, "--data-dir", trial.data_dir)
    assert said.exit_code == 1
    assert says in said.output


def test_the_service_refuses_what_is_no_question_of_its_list(trial: Trial) -> None:
    assert "JSON" in trial.refusals["no object"]
    assert trial.refusals["no JSON"]
    assert "'sql': unknown" in trial.refusals["SQL"]
    assert "kind 'progress'" in trial.refusals["table"]


def test_a_page_of_the_service_is_bounded_by_the_configuration(trial: Trial) -> None:
    assert trial.page_rows == QUERY_ROWS


def test_export_selects_by_signal_and_time(trial: Trial, tmp_path: Path) -> None:
    until = "2020-09-13T12:28:20Z"
    selected = ("--signal", "heat", "--since", "2020-09-13T12:26:40Z", "--until", until)
    result = ask("export", "readings", "--to", tmp_path / "x.csv", "--data-dir", trial.data_dir, *selected)
    assert result.exit_code == 0, result.output
    assert "wrote 200 readings" in result.stdout
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    assert {row["signal"] for row in rows} == {"plant/left/heat", "plant/right/heat"}
    assert sum(float(row["value"]) for row in rows) == pytest.approx(
        math.fsum(value for name, values in trial.expected.items() if "heat" in name for _, value in values[:100])
    )


def test_export_of_nothing_is_a_file_with_columns(trial: Trial, tmp_path: Path) -> None:
    target = tmp_path / "none.parquet"
    result = ask("export", "windows", "--to", target, "--data-dir", trial.data_dir, "--signal", "a/b/c")
    assert "wrote 0 windows" in result.output
    assert pl.read_parquet(target).columns == pl.read_parquet(trial.stopped.files["windows.parquet"]).columns


def test_an_existing_file_is_kept_unless_forced(trial: Trial, tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    target.write_text("mine")
    refused = ask("export", "anomalies", "--to", target, "--data-dir", trial.data_dir)
    assert (refused.exit_code, "--force" in refused.output, target.read_text()) == (1, True, "mine")
    assert ask("export", "anomalies", "--to", target, "--data-dir", trial.data_dir, "--force").exit_code == 0
    assert target.read_text().startswith("id,")
    assert list(tmp_path.iterdir()) == [target], "nothing else is left"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["status"], "iotpm-data: no such directory"),
        (["signals", "--data-dir", "."], "no store in ."),
        (["anomalies", "--data-dir", "DATA", "--follow"], "nothing to follow"),
        (["export", "readings", "--to", "x.txt", "--data-dir", "DATA"], ".parquet or .csv"),
        (["export", "readings", "--to", "no/x.csv", "--data-dir", "DATA"], "no directory no"),
    ],
)
def test_errors_are_one_line_that_names_the_thing(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = ask(*[str(trial.data_dir) if argument == "DATA" else argument for argument in arguments])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert named in result.stderr


@pytest.mark.parametrize("text", ["yesterday", "1 fortnight", "2026-13-01"])
def test_a_time_that_is_none_names_the_option(trial: Trial, text: str) -> None:
    result = ask("anomalies", "--since", text, "--data-dir", trial.data_dir)
    assert result.exit_code == 2
    assert "--since" in result.stderr
    assert text in result.stderr


def test_a_store_that_another_process_holds_names_it(tmp_path: Path) -> None:
    script = "import sys\nfrom iotpm.config import Store\nfrom iotpm.store.database import Database\n"
    script += "held = Database(sys.argv[1], Store())\nprint(1, flush=True)\ninput()"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], **pipes) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        result = ask("status", "--data-dir", tmp_path)
        holder.communicate(b"\n", timeout=LIMIT_S)
    assert result.exit_code == 1
    assert f"process {holder.pid}" in result.stderr


def test_a_node_whose_broker_is_gone_is_named(tmp_path: Path) -> None:
    """The node file of this very process stands in for a node that lives while its broker does not."""
    me = Identity.of_this_process()
    NodeFile(url="nats://127.0.0.1:9", pid=me.pid, version="0", partition="0", http="", identity=me).write(tmp_path)
    result = ask("status", "--data-dir", tmp_path)
    assert result.exit_code == 1
    assert f"process {me.pid}" in result.stderr
    assert "127.0.0.1:9" in result.stderr


def test_a_node_without_its_broker_is_asked_on_its_http_port(tmp_path: Path) -> None:
    me, registry = Identity.of_this_process(), CollectorRegistry()
    Gauge("iotpm_committed_sequence", "position", registry=registry).set(41)
    Gauge("iotpm_consumer_lag", "lag", registry=registry).set(1)
    server = HealthServer(registry, dict, lambda: {"broker": "not connected to nats://127.0.0.1:9"})
    try:
        url = "nats://127.0.0.1:9"
        NodeFile(url=url, pid=me.pid, version="0", partition="0", http=server.url, identity=me).write(tmp_path)
        told, asked = ask("status", "--data-dir", tmp_path), ask("status", "--json", "--data-dir", tmp_path)
    finally:
        server.close()
    assert (told.exit_code, asked.exit_code) == (1, 1)
    assert told.stdout.splitlines() == [
        f"node        running, process {me.pid}, version 0; its broker cannot be reached",
        f"health      {server.url}/readyz, {server.url}/metrics",
        "problems    broker: not connected to nats://127.0.0.1:9",
        "position    message 41",
        "lag         1 message",
    ]
    facts = json.loads(asked.stdout)
    assert (facts["reachable"], facts["committed_sequence"], facts["lag"]) == (False, 41, 1)
    assert "broker" in facts["problems"]


def test_files_of_a_node_that_was_killed_answer(tmp_path: Path) -> None:
    """Its log is not folded in, its node file is still there."""
    expected = write_files(tmp_path / "files")
    config = configuration(tmp_path / "data", "")
    node = NodeProcess(config, tmp_path / "node", [sys.executable, "-c", NODE])
    node.start()
    try:
        node.wait_event("node_started")
        found = NodeFile.of_running_node(config.data_dir)
        assert found is not None
        publish(found.url, tmp_path / "files", config.data_dir)
        before = lines(ask("anomalies", "--json", "--limit", "0", "--data-dir", config.data_dir))
    finally:
        node.kill()
    assert NodeFile.path(config.data_dir).exists()
    (status,) = lines(ask("status", "--json", "--data-dir", config.data_dir))
    assert not status["running"]
    assert status["unclean_end"] == str(found.identity)
    assert status["stored"]["rows"]["readings"] == sum(map(len, expected.values()))
    assert lines(ask("anomalies", "--json", "--limit", "0", "--data-dir", config.data_dir)) == before
    says_that_it_was_killed(config.data_dir, found.pid, before)


def says_that_it_was_killed(data_dir: Path, pid: int, anomalies: list[dict[str, Any]]) -> None:
    """No snapshot came before the end: what rows tell is counted, and the rest is said not to be known."""
    told = ask("status", "--data-dir", data_dir).stdout
    assert f"not cleanly: process {pid} on" in told
    assert "not there yet: the node ended before it wrote them" in told
    asked = ask("signals", "--json", "--data-dir", data_dir)
    rows = lines(asked)
    assert [row["readings"] for row in rows] == [ROWS] * 6
    assert {row["last_seen"] for row in rows} == {"2020-09-13T12:41:39+00:00"}
    begun = Counter(row["name"] for row in anomalies)
    assert {row["name"]: row["anomalies"] for row in rows} == {row["name"]: begun[row["name"]] for row in rows}
    assert all(row["maturity"] is None for row in rows)
    assert "did not end cleanly" in asked.stderr


def test_a_clean_end_leaves_nothing_to_say(trial: Trial) -> None:
    assert trial.stopped.status["unclean_end"] is None
    told = ask("status", "--data-dir", trial.data_dir).stdout
    assert "figures" not in told
    assert "cleanly" not in told
    assert ask("signals", "--data-dir", trial.data_dir).stderr == ""
