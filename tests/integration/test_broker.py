"""The embedded nats-server: ready when `start` returns, gone when its owner is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import nats
import psutil
import pytest

from iotpm.broker import Broker, BrokerOptions, server_binary
from iotpm.errors import BrokerError
from iotpm.processes import Identity


async def publish_and_count(url: str) -> int:
    client = await nats.connect(url)
    js = client.jetstream()
    await js.add_stream(name="S", subjects=["s"])
    await js.publish("s", b"x")
    count: int = (await js.stream_info("S")).state.messages
    await client.close()
    return count


async def test_streams_survive_kill_and_restart_on_the_same_port(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        url = broker.url
        assert await publish_and_count(url) == 1
        broker.kill()
        assert not broker.running
        broker.start()
        assert broker.url == url
        assert await publish_and_count(url) == 2
    assert not (tmp_path / "broker.pid").exists()


def test_it_listens_on_loopback_only_and_mqtt_on_request(tmp_path: Path) -> None:
    with Broker(tmp_path, BrokerOptions(mqtt_port=0)) as broker:
        listening = {c.laddr for c in psutil.Process(broker.pid).net_connections("tcp") if c.status == "LISTEN"}
        assert {address.ip for address in listening} == {"127.0.0.1"}
        assert {address.port for address in listening} == {int(broker.url.rpartition(":")[2]), broker.mqtt_port}


def test_power_durability_syncs_every_write(tmp_path: Path) -> None:
    with Broker(tmp_path, BrokerOptions(durability="power")):
        assert "sync_interval: always" in (tmp_path / "broker.conf").read_text()


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with Broker(tmp_path / "one") as one:
        port = int(one.url.rpartition(":")[2])
        with pytest.raises(BrokerError, match=f"127.0.0.1:{port}"):
            Broker(tmp_path / "two", BrokerOptions(port=port)).start()


def test_the_data_of_a_live_node_are_refused(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        pid_file = tmp_path / "broker.pid"
        content = msgspec.json.decode(pid_file.read_bytes())
        content["owner"] = msgspec.to_builtins(Identity.of_process(os.getppid()))
        pid_file.write_bytes(msgspec.json.encode(content))
        with pytest.raises(BrokerError, match=f"belongs to process {os.getppid()} on"):
            Broker(tmp_path).start()
        assert broker.running


def test_an_orphan_is_ended_and_its_data_taken_over(tmp_path: Path) -> None:
    """A server without the tie to its owner stands in for one that outlived it."""
    Broker(tmp_path).start().stop()
    orphan = subprocess.Popen(
        [str(server_binary()), "--config", str(tmp_path / "broker.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    dead = Identity.of_this_process()
    record = {
        "server": msgspec.to_builtins(Identity.of_process(orphan.pid)),
        "owner": msgspec.to_builtins(msgspec.structs.replace(dead, started=dead.started + 1)),
    }
    (tmp_path / "broker.pid").write_bytes(msgspec.json.encode(record))
    with Broker(tmp_path) as broker:
        assert orphan.wait(10) is not None
        assert broker.running
        assert broker.pid != orphan.pid


_OWNER = textwrap.dedent(
    """
    import sys, signal
    from iotpm.broker import Broker
    print(Broker(sys.argv[1]).start().pid, flush=True)
    signal.pause()
    """
)


def test_the_server_dies_with_an_owner_that_is_killed(tmp_path: Path) -> None:
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "python")}
    with subprocess.Popen([sys.executable, "-c", _OWNER, str(tmp_path)], stdout=subprocess.PIPE, env=environ) as owner:
        assert owner.stdout is not None
        server = psutil.Process(int(owner.stdout.readline()))
        owner.send_signal(signal.SIGKILL)
        gone, alive = psutil.wait_procs([server], timeout=20)
    assert (len(gone), alive) == (1, [])


def test_identities_know_when_their_process_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        identity = Identity.of_process(process.pid)
        assert not identity.is_dead()
        assert Identity.parse(identity.encode()) == identity
        assert not msgspec.structs.replace(identity, world="another host").is_dead()
    assert identity.is_dead()
    assert not msgspec.structs.replace(identity, world="another host").is_dead(), "who can know?"
    assert Identity.parse(b"{}") is None
