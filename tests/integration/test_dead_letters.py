"""What a node refused, and why: asked of the running node and of its files, and exported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result
from tests.support.feed import Message, await_committed, reading, send
from tests.support.nodes import configuration, running

from iotpm.broker import Broker
from iotpm.cli import main
from iotpm.node.service import Node

TEMP = "iotpm.raw.plant.pump.temp"
BAD_JSON = b'{"timestamp": '
NO_TEXT = b"\xff\xfe\x00"
LONG = b'["' + "ä".encode() * 5000 + b'"'
MESSAGES = [
    Message(TEMP, reading(0, 20.0, meta={"unit": "Cel"})),
    Message(TEMP, BAD_JSON),
    Message(TEMP, reading(1, 4.0, meta={"unit": "bar"})),
    Message(TEMP, NO_TEXT),
    Message(TEMP, LONG),
]
ASKED = {
    "all": ["dead-letters", "--json"],
    "table": ["dead-letters"],
    "one reason": ["dead-letters", "--reason", "incommensurable_units", "--json"],
    "one": ["dead-letters", "--limit", "1", "--json"],
    "none": ["dead-letters", "--until", "2020-01-01", "--json"],
}


def ask(data_dir: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(main, [*arguments, "--data-dir", str(data_dir)])
    assert result.exit_code == 0, result.output
    return result


def everything(data_dir: Path, target: Path) -> dict[str, str]:
    said = {name: ask(data_dir, *arguments).stdout for name, arguments in ASKED.items()}
    said["status"] = next(line for line in ask(data_dir, "status").stdout.splitlines() if line.startswith("dead"))
    said["exported"] = ask(data_dir, "export", "dead_letters", "--to", str(target)).stdout.split(" to ")[0]
    return said


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str], dict[str, str]]]:
    root = tmp_path_factory.mktemp("dead")
    with Broker(root / "broker") as broker:
        config = configuration(root / "data", broker.url, [{"match": "*", "unit": "Cel"}])
        node = Node(config)
        with running(node):
            await_committed(node, send(broker.url, MESSAGES)[-1])
            live = everything(config.data_dir, root / "live.parquet")
        yield root, live, everything(config.data_dir, root / "files.parquet")


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_files_say_what_the_running_node_said(answered: tuple[Path, dict[str, str], dict[str, str]]) -> None:
    root, live, files = answered
    assert live == files
    assert pl.read_parquet(root / "live.parquet").equals(pl.read_parquet(root / "files.parquet"))


def test_what_was_refused_is_listed_newest_first_with_its_reason(
    answered: tuple[Path, dict[str, str], dict[str, str]],
) -> None:
    found = rows(answered[1]["all"])
    assert [row["seq"] for row in found] == sorted((row["seq"] for row in found), reverse=True)
    assert {row["subject"] for row in found} == {TEMP}
    by_size = {row["payload_bytes"]: row for row in found}
    assert by_size[len(BAD_JSON)]["payload"] == BAD_JSON.decode()
    assert (by_size[len(NO_TEXT)]["payload"], by_size[len(NO_TEXT)]["payload_base64"]) == (None, "//4A")
    assert by_size[len(LONG)]["payload"] == LONG[:4096].decode()
    assert all(row["reason"] and row["detail"] for row in found)
    for name in ("reason", "detail", TEMP):
        assert name in answered[1]["table"]


def test_reason_time_and_number_select(answered: tuple[Path, dict[str, str], dict[str, str]]) -> None:
    found, live = rows(answered[1]["all"]), answered[1]
    assert rows(live["one reason"]) == [row for row in found if row["reason"] == "incommensurable_units"] != []
    assert rows(live["one"]) == found[:1]
    assert rows(live["none"]) == []


def test_status_counts_them_by_reason(answered: tuple[Path, dict[str, str], dict[str, str]]) -> None:
    assert "1 incommensurable_units" in answered[1]["status"]
    assert "iotpm dead-letters" in answered[1]["status"]


def test_an_export_has_whole_payloads(answered: tuple[Path, dict[str, str], dict[str, str]]) -> None:
    frame = pl.read_parquet(answered[0] / "live.parquet")
    assert frame["payload"].to_list() == [message.payload for message in MESSAGES[1:]]
    assert answered[1]["exported"] == "wrote 4 dead letters"


def test_dead_letters_are_of_no_signal(answered: tuple[Path, dict[str, str], dict[str, str]], tmp_path: Path) -> None:
    arguments = ["export", "dead_letters", "--to", str(tmp_path / "x.csv"), "--asset", "plant/pump"]
    result = CliRunner().invoke(main, [*arguments, "--data-dir", str(answered[0] / "data")])
    assert result.exit_code == 1
    assert "dead letters are of no signal" in result.stderr
