"""Files that are either whole or absent, also after a crash."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    _sync(path, os.O_RDONLY)


def sync_directory(path: Path) -> None:
    """Make renames and removals in a directory durable."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def replace(temporary: Path, final: Path) -> None:
    """Give a written file its name: sync it, rename it, sync the directory."""
    sync_file(temporary)
    temporary.replace(final)
    sync_directory(final.parent)


def write(path: Path, content: bytes) -> None:
    """Write a whole file."""
    create(path, lambda temporary: temporary.write_bytes(content))


def create(path: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` write a file under a temporary name and `replace` it."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        fill(temporary)
        replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_directories(path: Path) -> None:
    """Make a directory and its parents, durably."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        sync_directory(made.parent)


def remove_empty(root: Path) -> None:
    """Remove the directories that hold no file, `root` itself too; only while nobody else walks through them."""
    for path in (*sorted(root.rglob("*"), reverse=True), root):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
