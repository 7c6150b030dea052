"""Directories that no file is left in go at the next start."""

from __future__ import annotations

from pathlib import Path

from iotpm.config import Store
from iotpm.store import durable
from iotpm.store.database import Database
from iotpm.store.lake import Lake


def made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


def test_directories_without_a_file_go_and_others_stay(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    kept = made(root / "readings" / "date=1" / "hour=00" / "1-2.parquet")
    (root / "readings" / "date=2" / "hour=00").mkdir(parents=True)
    (root / "windows").mkdir()
    durable.remove_empty(root)
    assert {path for path in root.rglob("*") if path.is_dir()} == {*kept.parents} - {root, *root.parents}
    kept.unlink()
    durable.remove_empty(root)
    durable.remove_empty(root)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_a_crash_leaves_no_lake_behind(tmp_path: Path) -> None:
    with Database(tmp_path, Store()) as database:
        stray = made(tmp_path / "lake" / "readings" / "date=2026-01-01" / "hour=00" / "1-2.parquet")
        assert Lake(database).recover() == [stray]
    assert not (tmp_path / "lake").exists()
