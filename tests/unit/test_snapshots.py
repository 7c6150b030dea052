"""A snapshot is whole or it is not used: never silently wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.states import state_after

from iotpm import _core
from iotpm.errors import SnapshotError
from iotpm.store.snapshots import Snapshot, Snapshots


@pytest.mark.parametrize("seq", [1, 7, 2**40])
def test_it_tells_the_message_it_is_the_state_after(seq: int) -> None:
    assert _core.snapshot_span(state_after(seq)) == (seq, seq)


def test_every_truncation_is_found() -> None:
    data = state_after(7)
    for length in range(len(data)):
        with pytest.raises(SnapshotError):
            _core.snapshot_span(data[:length])


def test_every_flipped_bit_is_found() -> None:
    data = state_after(7)
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SnapshotError):
            _core.snapshot_span(bytes(damaged))


@given(st.binary(max_size=200))
def test_random_bytes_are_no_snapshot(data: bytes) -> None:
    with pytest.raises(SnapshotError):
        _core.snapshot_span(data)


def test_the_newest_valid_one_up_to_the_position_is_used(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.write(10, state_after(10))
    snapshots.write(20, state_after(20))
    assert snapshots.newest(at_most=25) == Snapshot(20, 20, state_after(20))
    assert snapshots.newest(at_most=19) == Snapshot(10, 10, state_after(10))
    assert snapshots.newest(at_most=9) is None
    path = tmp_path / "state" / "20.snap"
    path.write_bytes(path.read_bytes()[:-1])
    assert snapshots.newest(at_most=25) == Snapshot(10, 10, state_after(10))


def test_a_renamed_file_is_not_believed(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    path = snapshots.write(10, state_after(10))
    path.rename(path.with_name("12.snap"))
    assert snapshots.newest(at_most=20) is None


def test_the_last_two_are_kept_and_leftovers_go(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "5.snap.tmp").write_bytes(b"torn")
    for seq in (9, 10, 11):
        snapshots.write(seq, state_after(seq))
    assert sorted(p.name for p in (tmp_path / "state").iterdir()) == ["10.snap", "11.snap"]


def test_the_stream_may_be_purged_up_to_the_older_of_two_usable_ones(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    assert snapshots.purgeable(100) is None
    snapshots.write(10, state_after(10))
    assert snapshots.purgeable(100) is None
    snapshots.write(20, state_after(20))
    assert snapshots.purgeable(100) == 10
    assert snapshots.purgeable(15) is None, "a snapshot beyond the position does not count"
    (tmp_path / "state" / "10.snap").write_bytes(b"damaged")
    assert snapshots.purgeable(100) is None


def test_snapshots_of_another_history_are_dropped(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.write(10, state_after(10))
    snapshots.write(20, state_after(20))
    snapshots.drop_after(15)
    assert snapshots.sequences() == [10]
    snapshots.clear()
    assert snapshots.sequences() == []


def test_a_state_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)

    def fill(path: Path) -> None:
        path.write_bytes(b"half of it")
        raise SnapshotError("the disk is full")

    with pytest.raises(SnapshotError):
        snapshots.create(10, fill)
    assert list((tmp_path / "state").iterdir()) == []
