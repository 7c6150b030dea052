"""A snapshot is whole or it is not used: never silently wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotpm.errors import SnapshotError
from iotpm.store.snapshots import Snapshot, Snapshots, decode, encode

SEQ = st.integers(0, 2**64 - 1)


@given(SEQ, st.binary(max_size=300))
def test_round_trip(seq: int, blob: bytes) -> None:
    assert decode(encode(seq, blob)) == Snapshot(seq, blob)


def test_every_truncation_is_found() -> None:
    data = encode(7, bytes(range(100)))
    for length in range(len(data)):
        with pytest.raises(SnapshotError):
            decode(data[:length])


def test_every_flipped_bit_is_found() -> None:
    data = encode(7, bytes(range(100)))
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SnapshotError):
            decode(bytes(damaged))


@given(st.binary(max_size=200))
def test_random_bytes_are_no_snapshot(data: bytes) -> None:
    with pytest.raises(SnapshotError):
        decode(data)


def test_the_newest_valid_one_up_to_the_position_is_used(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.write(10, b"ten")
    snapshots.write(20, b"twenty")
    assert snapshots.newest(at_most=25) == Snapshot(20, b"twenty")
    assert snapshots.newest(at_most=19) == Snapshot(10, b"ten")
    assert snapshots.newest(at_most=9) is None
    path = tmp_path / "state" / "20.snap"
    path.write_bytes(path.read_bytes()[:-1])
    assert snapshots.newest(at_most=25) == Snapshot(10, b"ten")


def test_a_renamed_file_is_not_believed(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    path = snapshots.write(10, b"ten")
    path.rename(path.with_name("12.snap"))
    assert snapshots.newest(at_most=20) is None


def test_the_last_two_are_kept_and_leftovers_go(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "5.snap.tmp").write_bytes(b"torn")
    for seq in (9, 10, 11):
        snapshots.write(seq, b"x")
    assert sorted(p.name for p in (tmp_path / "state").iterdir()) == ["10.snap", "11.snap"]


def test_the_stream_may_be_purged_up_to_the_older_of_two_usable_ones(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    assert snapshots.purgeable(100) is None
    snapshots.write(10, b"x")
    assert snapshots.purgeable(100) is None
    snapshots.write(20, b"x")
    assert snapshots.purgeable(100) == 10
    assert snapshots.purgeable(15) is None, "a snapshot beyond the position does not count"
    (tmp_path / "state" / "10.snap").write_bytes(b"damaged")
    assert snapshots.purgeable(100) is None


def test_snapshots_of_another_history_are_dropped(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.write(10, b"x")
    snapshots.write(20, b"x")
    snapshots.drop_after(15)
    assert snapshots.sequences() == [10]
    snapshots.clear()
    assert snapshots.sequences() == []
