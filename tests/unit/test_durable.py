"""Files that go leave no empty directories."""

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


def test_the_last_file_of_a_directory_takes_it_along_up_to_the_root(tmp_path: Path) -> None:
    first, second = (made(tmp_path / "lake" / "readings" / f"date={day}" / "1-2.parquet") for day in (1, 2))
    durable.remove(first, tmp_path)
    assert not first.parent.exists()
    assert second.exists()
    durable.remove(second, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_gone_or_elsewhere_is_no_error(tmp_path: Path) -> None:
    durable.remove(tmp_path / "lake" / "gone.parquet", tmp_path)
    outside = made(tmp_path / "other" / "x")
    durable.remove(outside, tmp_path / "data")
    assert (tmp_path / "other").is_dir()


def test_a_file_of_a_crash_leaves_no_lake_behind(tmp_path: Path) -> None:
    with Database(tmp_path, Store()) as database:
        stray = made(tmp_path / "lake" / "readings" / "date=2026-01-01" / "hour=00" / "1-2.parquet")
        assert Lake(database).recover() == [stray]
    assert not (tmp_path / "lake").exists()
