"""Waveforms from files: every format gives the samples back, and what cannot be read says why."""

from __future__ import annotations

import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from iotpm import waveforms
from iotpm.errors import InputError, SourceError

X = np.random.default_rng(1).uniform(-1, 1, 500)
Y = np.random.default_rng(2).uniform(-1, 1, 500)


def one(path: Path, **told: Any) -> waveforms.Recording:
    recordings = waveforms.read(path, **told)
    assert len(recordings) == 1
    return recordings[0]


def test_matlab_gives_channels_speed_and_rate(tmp_path: Path) -> None:
    path = tmp_path / "105.mat"
    scipy.io.savemat(path, {"X105_DE_time": X[:, None], "X105_FE_time": Y[:, None], "X105RPM": 1797, "fs": 48_000})
    drive, fan = waveforms.read(path)
    np.testing.assert_array_equal(drive.samples, X)
    np.testing.assert_array_equal(fan.samples, Y)
    assert (drive.channel, drive.rpm, drive.rate_hz) == ("X105_DE_time", 1797.0, 48_000.0)
    assert drive.seconds == pytest.approx(500 / 48_000)


def test_numpy_gives_vectors_and_matrices_along_the_longer_side(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=X, both=np.stack([X, Y]), sample_rate=1000.0, label=np.array("pump"))
    by_name = {recording.channel: recording for recording in waveforms.read(path)}
    assert sorted(by_name) == ["both[0]", "both[1]", "x"]
    np.testing.assert_array_equal(by_name["both[1]"].samples, Y)
    assert by_name["x"].rate_hz == 1000.0
    np.save(tmp_path / "b.npy", np.asfortranarray(np.column_stack([X, Y]))[::2])
    assert [r.channel for r in waveforms.read(tmp_path / "b.npy")] == ["b[0]", "b[1]"]


@pytest.mark.parametrize(("bits", "step"), [(8, 1 / 128), (16, 1 / 2**15), (24, 1 / 2**23), (32, 1 / 2**31)])
def test_wav_of_any_width_is_full_scale_1(tmp_path: Path, bits: int, step: float) -> None:
    path, levels = tmp_path / "a.wav", np.clip(np.round(X / step), 1 - 1 / step, 1 / step - 1).astype(np.int64)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(bits // 8)
        file.setframerate(25_600)
        both = np.column_stack([levels, -levels]).reshape(-1)
        file.writeframes(b"".join(_pcm(int(level), bits) for level in both))
    left, right = waveforms.read(path)
    np.testing.assert_allclose(left.samples, levels * step, atol=1e-12)
    np.testing.assert_allclose(right.samples, -levels * step, atol=1e-12)
    assert left.rate_hz == 25_600


def _pcm(level: int, bits: int) -> bytes:
    return struct.pack("<B", level + 128) if bits == 8 else level.to_bytes(bits // 8, "little", signed=True)


def test_wav_of_floats_with_other_chunks(tmp_path: Path) -> None:
    path, data = tmp_path / "a.wav", X.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, 8000, 32_000, 4, 32)
    chunks = b"LIST" + struct.pack("<I", 3) + b"abc\0" + b"fmt " + struct.pack("<I", 16) + form
    chunks += b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    np.testing.assert_array_equal(one(path).samples, X.astype(np.float32))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_with_a_time_column_and_units(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "a.csv"
    rows = [separator.join([f"{at / 2000:.6f}", repr(float(x)), "text"]) for at, x in enumerate(X)]
    path.write_text("\n".join([separator.join(["time", "DE [m/s2]", "note"]), *rows]))
    found = one(path)
    np.testing.assert_array_equal(found.samples, X)
    assert (found.channel, found.unit) == ("DE", "m/s2")
    assert found.rate_hz == pytest.approx(2000)


def test_the_name_of_a_single_column_may_have_blanks(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("drive end [m/s2]\n1\n2\n3\n")
    (found,) = waveforms.read(tmp_path / "a.csv", rate_hz=100.0)
    assert (found.channel, found.unit, found.samples.tolist()) == ("drive end", "m/s2", [1.0, 2.0, 3.0])


def test_csv_of_times_and_of_bare_numbers(tmp_path: Path) -> None:
    dated, bare = tmp_path / "dated.csv", tmp_path / "bare.txt"
    dated.write_text("when,x\n" + "\n".join(f"2026-01-01T00:00:{at:02}Z,{x}" for at, x in enumerate(X[:50])))
    assert (one(dated).rate_hz, one(dated).start_us) == (1.0, 1_767_225_600_000_000)
    bare.write_text("# made\n" + "\n".join(map(str, X)))
    assert one(bare, rate_hz=100.0).rate_hz == 100.0


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", "no numbers at all\n", "no line of numbers"),
        ("a.csv", "t,x\n0,1\n1,oops\n", "number in each column"),
        ("a.csv", "t,x\n0,1\n1,2\n5,3\n6,3\n", "equally spaced"),
        ("a.csv", "t,x\n0,1\n0,2\n", "does not rise"),
        ("a.csv", "x\n1\nnan\n", "sample 1 is nan"),
        ("a.wav", "hello", "not a WAV file"),
        ("a.mat", "hello hello hello", "not a MATLAB file"),
        ("a.mat", "\x89HDF\r\n\x1a\n" + "x" * 600, "not a MATLAB file"),
        ("a.npz", "hello", "not a NumPy file"),
        ("a.xls", "hello", r"\.mat, \.npy"),
    ],
)
def test_files_that_cannot_be_read_say_why(tmp_path: Path, name: str, content: str, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(SourceError, match=says) as raised:
        waveforms.read(path)
    assert str(path) in str(raised.value)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    with pytest.raises(SourceError, match="plain numbers"):
        waveforms.read(tmp_path / "a.npy")


def test_records_of_records_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 2)))
    with pytest.raises(SourceError, match=r"shape \(3, 4, 2\)"):
        waveforms.read(tmp_path / "a.npy")


def test_what_is_told_must_agree_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("t,x (mm/s)\n0,1\n0.5,2\n1,3\n")
    assert one(path, rate_hz=2.0, unit="mm/s").rate_hz == 2.0
    with pytest.raises(SourceError, match="2 Hz, not 3 Hz"):
        waveforms.read(path, rate_hz=3.0)
    with pytest.raises(SourceError, match="mm/s"):
        waveforms.read(path, unit="m/s2")
    with pytest.raises(InputError, match="rate_hz = -1"):
        waveforms.read(path, rate_hz=-1)
    with pytest.raises(SourceError, match="no such file"):
        waveforms.read(tmp_path / "b.csv")


def test_channels_are_chosen_by_name_part_or_number() -> None:
    recordings = [waveforms.Recording(name, X, 1.0) for name in ("X1_DE_time", "X1_FE_time")]
    assert waveforms.select(recordings, None, "f") is recordings[0]
    assert waveforms.select(recordings, "FE", "f") is recordings[1]
    assert waveforms.select(recordings, "0", "f") is recordings[0]
    for wrong in ("time", "BA_time", "7"):
        with pytest.raises(SourceError, match=r"X1_DE_time") as raised:
            waveforms.select(recordings, wrong, "f")
        assert "X1_FE_time" in str(raised.value)
