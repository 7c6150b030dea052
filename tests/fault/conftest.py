"""What every fault test needs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.nodes import kill_left_nodes


@pytest.fixture(autouse=True)
def no_node_outlives_its_test() -> Iterator[None]:
    yield
    kill_left_nodes()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 64 MiB."""
    point = tmp_path / "disk"
    point.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(point)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)
