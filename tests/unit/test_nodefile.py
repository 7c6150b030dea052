"""`node.json`: whose node it names, and whether that one still runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from iotpm.node.nodefile import NodeFile
from iotpm.processes import Identity
from iotpm.store.lock import DirectoryLock


def left(data_dir: Path, identity: Identity) -> NodeFile:
    node = NodeFile(url="nats://127.0.0.1:9", pid=identity.pid, version="0", partition="0", http="", identity=identity)
    node.write(data_dir)
    return node


def of_a_dead_process() -> Identity:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        return Identity.of_process(process.pid)


def before_the_boot() -> Identity:
    """This process' own number and start, under another boot: neither says anything here."""
    return msgspec.structs.replace(Identity.of_this_process(), world="another boot/pid:[1]")


def test_a_process_that_lives_is_a_running_node(tmp_path: Path) -> None:
    node = left(tmp_path, Identity.of_this_process())
    assert NodeFile.of_running_node(tmp_path) == node
    assert NodeFile.of_killed_node(tmp_path) is None


def test_a_process_that_has_gone_was_killed(tmp_path: Path) -> None:
    node = left(tmp_path, of_a_dead_process())
    assert NodeFile.of_running_node(tmp_path) is None
    assert NodeFile.of_killed_node(tmp_path) == node


@pytest.mark.parametrize("held", [True, False])
def test_after_another_boot_the_lock_tells(tmp_path: Path, held: bool) -> None:
    node = left(tmp_path, before_the_boot())
    lock = DirectoryLock(tmp_path).acquire()
    if not held:
        lock.release()
    assert NodeFile.of_running_node(tmp_path) == (node if held else None)
    assert NodeFile.of_killed_node(tmp_path) == (None if held else node)
    lock.release()


def test_where_nothing_tells_a_node_counts_as_running(tmp_path: Path) -> None:
    node = left(tmp_path, before_the_boot())
    assert NodeFile.of_running_node(tmp_path) == node


def test_without_a_file_there_is_no_node(tmp_path: Path) -> None:
    assert NodeFile.of_running_node(tmp_path) is None
    assert NodeFile.of_killed_node(tmp_path) is None
