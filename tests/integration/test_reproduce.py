"""`iotpm replay --anomaly ID`: an alarm again to the bit, or a refusal that names what is missing."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.support.history import plant, stored
from tests.support.nodes import LIMIT_S

from iotpm import streams, subjects
from iotpm.broker import Broker
from iotpm.cli import main
from iotpm.client import connect
from iotpm.config import Config, Nats, Store
from iotpm.node.service import Node
from iotpm.replay.session import replay_config
from iotpm.reproduce import CannotReproduce, reproduce
from iotpm.store.database import Database
from iotpm.store.snapshots import Snapshots


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that two nodes filled one after the other: the first one's last snapshot is in the middle."""
    root = tmp_path_factory.mktemp("twice")
    stored(plant(root / "first", rows=2_500, pumps=2), root / "data")
    stored(plant(root / "second", rows=2_500, pumps=3), root / "data")
    return root / "data"


@pytest.fixture
def data_dir(twice: Path, tmp_path: Path) -> Path:
    shutil.copytree(twice, tmp_path / "data")
    return tmp_path / "data"


def anomalies(data_dir: Path) -> list[dict[str, Any]]:
    with connect(data_dir) as source:
        return sorted(source.anomalies(), key=lambda row: row["seq"])


def raised_by(data_dir: Path, anomaly: dict[str, Any]) -> int:
    """The message of its first revision; `seq` is the last one's."""
    with connect(data_dir) as source:
        revisions = source.revisions(0, signal=anomaly["name"])[0]
    return min(int(row["seq"]) for row in revisions if row["id"] == anomaly["id"])


def middle(data_dir: Path) -> int:
    first, _ = Snapshots(data_dir).sequences()
    return first


def again(data_dir: Path, anomaly: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["replay", "--anomaly", anomaly, "--data-dir", str(data_dir), *arguments])


def purge(data_dir: Path, through: int) -> None:
    async def work(url: str) -> None:
        client = await streams.connect(Nats(url=url))
        await streams.purge_through(client.jetstream(), "RAW_plant", through)
        await client.close()

    with Broker(data_dir / "broker") as broker:
        asyncio.run(work(broker.url))


def change(data_dir: Path, sql: str) -> None:
    with Database(data_dir, Store(disk_reserve_bytes=0), partition="plant") as database:
        database.connection.execute(sql).fetchall()


def test_every_alarm_comes_out_equal_from_the_stream(twice: Path) -> None:
    """The engine begins at the newest snapshot before it, or with the epoch."""
    found, starts = anomalies(twice), set()
    assert {row["kind"] for row in found} >= {"gap", "drift"}
    for row in found:
        result = reproduce(twice, row["id"])
        assert (result.equal, result.source, result.revisions) == (True, "stream", row["revision"] + 1)
        assert result.end_seq == row["seq"]
        starts.add(result.start_seq)
    assert starts == {0, middle(twice)}


def test_stored_readings_stand_in_for_purged_messages(data_dir: Path) -> None:
    purge(data_dir, middle(data_dir) + 1_000)
    told = [row for row in anomalies(data_dir) if row["kind"] != "gap"]
    later = [row for row in told if raised_by(data_dir, row) > middle(data_dir)]
    assert later
    for row in later:
        result = reproduce(data_dir, row["id"])
        assert (result.equal, result.source, result.start_seq) == (True, "store", middle(data_dir))
        assert "purged from stream RAW_plant" in result.notes[0]


def test_a_silence_cannot_be_told_without_its_ticks(data_dir: Path) -> None:
    gap = anomalies(data_dir)[-1] if anomalies(data_dir)[-1]["kind"] == "gap" else None
    gap = gap or next(row for row in anomalies(data_dir) if row["kind"] == "gap")
    purge(data_dir, middle(data_dir) + 1_000)
    result = again(data_dir, gap["id"])
    assert result.exit_code == 1
    assert "messages 1 to" in result.output or f"messages {middle(data_dir) + 1} to" in result.output
    assert "ticks, which a store does not keep" in result.output


def test_rolled_up_readings_are_refused(data_dir: Path) -> None:
    purge(data_dir, middle(data_dir) + 1_000)
    row = next(row for row in anomalies(data_dir) if row["seq"] > middle(data_dir) and row["kind"] != "gap")
    change(
        data_dir,
        f"INSERT INTO lake_files VALUES ('gone', 'readings', 1, {row['seq']}, 1, 1, '', 'minute', now(), now())",
    )
    result = again(data_dir, row["id"])
    assert result.exit_code == 1
    assert f"up to message {row['seq']} are rolled up" in result.output


def test_without_a_state_before_it_nothing_is_guessed(data_dir: Path) -> None:
    for path in (data_dir / "state").iterdir():
        path.unlink()
    change(data_dir, "DELETE FROM configurations")
    with pytest.raises(CannotReproduce, match="neither a snapshot before the anomaly nor the templates"):
        reproduce(data_dir, anomalies(data_dir)[0]["id"])


def test_an_altered_revision_is_named(data_dir: Path) -> None:
    """The last bit of a score."""
    row = next(row for row in anomalies(data_dir) if row["kind"] != "gap")
    change(data_dir, f"UPDATE anomaly_log SET peak_score = peak_score * (1 + 2.3e-16) WHERE id = '{row['id']}'")
    result = again(data_dir, row["id"], "--json")
    assert result.exit_code == 3, result.output
    told = json.loads(result.stdout)
    assert not told["equal"]
    assert {one["column"] for one in told["differences"]} == {"peak_score"}
    assert again(data_dir, row["id"]).exit_code == 3


def test_a_running_node_is_asked(data_dir: Path) -> None:
    row = anomalies(data_dir)[-1]
    early = anomalies(data_dir)[0]
    results: list[Any] = []
    with Node(replay_config(Config(), data_dir), names=subjects.replay("plant")) as node:

        def work() -> None:
            try:
                results.append(reproduce(data_dir, row["id"]))
                results.append(again(data_dir, early["id"]))
            finally:
                node.drain()

        thread = threading.Thread(target=work)
        thread.start()
        node.run()
        thread.join(LIMIT_S)
    assert (results[0].equal, results[0].source) == (True, "stream")
    assert results[1].exit_code == 1
    assert "drain the node" in results[1].output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--anomaly", "0123456789abcdef"], "no anomaly has this id"),
        (["--anomaly", "01"], "give at least"),
        (["x.csv", "--anomaly", "0123456789abcdef"], "leave FILE|DIR out"),
        ([], "Missing argument FILE|DIR"),
    ],
)
def test_what_is_wrong_with_the_command_is_named(twice: Path, arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["replay", *arguments, "--data-dir", str(twice)])
    assert result.exit_code in (1, 2)
    assert words in result.output
