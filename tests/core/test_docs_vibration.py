"""The pages on vibration and waveforms do what they say: their code is run, on made records and on the real one."""

from __future__ import annotations

import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.io
from tests.support.bearings import machine, strikes

from iotpm import bearing

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "vibration.md"
REAL = Path(__file__).parents[3] / "shared" / "data" / "CWRU" / "48k_Drive_End_IR007_0_109.mat"


def code(page: Path = PAGE) -> str:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 1
    return str(blocks[0])


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.chdir(folder)
    exec(compile(code(), str(PAGE), "exec"), {})
    assert "inner race" in (folder / "105.html").read_text(encoding="utf-8")
    return capsys.readouterr().out.splitlines()


def test_ten_lines_to_a_named_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len([line for line in code().splitlines() if line]) <= 10
    rng, of = np.random.default_rng(1), bearing.find("6205")
    x = machine(rng, rate_hz=48_000, seconds=4, rpm=1797)
    x += strikes(rng, of, "inner race", rate_hz=48_000, seconds=4, rpm=1797)
    scipy.io.savemat(tmp_path / "105.mat", {"X105_DE_time": x[:, None], "X105RPM": 1797})
    printed = run(tmp_path, monkeypatch, capsys)
    assert printed[0] == "inner race"
    assert printed[-1].split()[0] in "ABCD"


@pytest.mark.skipif(not REAL.is_file(), reason="needs ../shared")
def test_the_same_of_the_real_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(REAL, tmp_path / "105.mat")
    assert run(tmp_path, monkeypatch, capsys)[0] == "inner race"


def test_samples_become_a_trend_an_anomaly_and_kept_samples() -> None:
    names: dict[str, Any] = {}
    exec(compile(code(DOCS / "waveforms.md"), "waveforms.md", "exec"), names)
    assert names["trend"].height == 120
    raised = names["anomalies"].filter(pl.col("state") == "begin")
    assert "modified_z.bpfo" in raised["detector"].to_list()
    assert raised["start"].min() >= datetime(1970, 1, 1, 0, 1), "not before the bearing fails"
    assert 12 < names["kept"].height < 120
