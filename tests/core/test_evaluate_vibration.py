"""Benchmarks of vibration: records made in the form of CWRU, IMS and PRONOSTIA, and the real ones where they are."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from tests.support.bearings import machine, strikes

from iotpm import bearing, waveforms
from iotpm.errors import InputError, SourceError
from iotpm.evaluate import BENCHMARKS, Options, benchmark
from iotpm.evaluate.run_to_failure import BASELINE, Trend, ratio, shared_ratio

SHARED = Path(__file__).parents[3] / "shared" / "data"
QUIET = Options(workers=1)


@pytest.mark.parametrize("name", ["cwru", "ims", "pronostia"])
def test_an_empty_folder_names_the_layout(name: str, tmp_path: Path) -> None:
    assert name in BENCHMARKS
    with pytest.raises(InputError, match=r"_<n>|BearingTest|acc_milli_g"):
        benchmark(name).run(tmp_path, QUIET)


def test_cwru_counts_right_wrong_and_undetermined(tmp_path: Path) -> None:
    rng, of = np.random.default_rng(1), bearing.find("6205")

    def save(name: str, element: str | None) -> None:
        x = machine(rng, rate_hz=48_000, seconds=2, rpm=1797)
        if element:
            x += strikes(rng, of, element, rate_hz=48_000, seconds=2, rpm=1797)
        scipy.io.savemat(tmp_path / name, {"X1_DE_time": x[:, None], "X1RPM": 1797})

    save("48k_Drive_End_IR007_0_109.mat", "inner race")
    save("48k_Drive_End_OR007@6_0_135.mat", "inner race")  # named inner race, and so wrong
    save("48k_Drive_End_OR021@6_0_238.mat", None)  # missed
    save("normal_0_97.mat", None)
    save("other.mat", None)
    page = tmp_path / "page.html"
    report = benchmark("cwru").run(tmp_path, Options(workers=1, html=page))
    figures = report.json
    assert (figures["records"], figures["race_faults"], figures["race_faults_right"]) == (4, 3, 1)
    assert (figures["wrong"], figures["missed"], figures["named_on_sound"]) == (1, 1, 0)
    assert "other.mat" in report.notes[-1]
    assert page.stat().st_size > 1_000_000


def _ims(path: Path, rows: int, failing: str) -> None:
    rng, start = np.random.default_rng(2), datetime(2004, 2, 12, 10)
    lines = [",Bearing 1,Bearing 2,Bearing 3,Bearing 4"]
    for at in range(rows):
        load = 1.5 if at > rows // 2 else 1.0  # seen by all
        worn = 1 + 2 * max(0, at - 0.8 * rows) / rows
        values = [
            load * (worn if f"Bearing {b}" == failing else 1) * (1 + 0.01 * rng.standard_normal()) for b in range(1, 5)
        ]
        lines.append(",".join([str(start + timedelta(minutes=10 * at)), *map(str, values)]))
    path.write_text("\n".join(lines))


def test_ims_finds_the_failing_bearing_and_not_what_all_see(tmp_path: Path) -> None:
    _ims(tmp_path / "merged_dataset_BearingTest_2.csv", 400, "Bearing 1")
    page = tmp_path / "page.html"
    figures = benchmark("ims").run(tmp_path, Options(workers=1, html=page)).json
    assert (figures["failures"], figures["failures_found"]) == (1, 1)
    assert (figures["healthy"], figures["false_alarms"]) == (3, 0)
    assert 3 < figures["median_lead_h"] < 14
    assert figures["controls"]["at_once"]["false_alarms"] == 3
    assert "alarm Bearing 1" in page.read_text()


def test_pronostia_follows_the_rms(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    level = np.where(np.arange(200) < 150, 300, 900)[:, None, None]
    np.savez(
        tmp_path / "Learning_set_Bearing1_2_acc_milli_g_int32.npz",
        acc_milli_g=(level * rng.standard_normal((200, 256, 2))).astype(np.int32),
    )
    figures = benchmark("pronostia").run(tmp_path, QUIET).json
    assert figures["bearings"][0]["first alarm h"] == pytest.approx(152 * 10 / 3600, abs=0.01)
    np.savez(tmp_path / "Learning_set_Bearing9_9_acc_milli_g_int32.npz", other=np.zeros(3))
    with pytest.raises(SourceError, match="Bearing9_9"):
        benchmark("pronostia").run(tmp_path, QUIET)


@given(st.lists(st.floats(0.5, 2), min_size=BASELINE + 2, max_size=BASELINE + 60), st.data())
def test_alarms_are_causal(values: list[float], data: st.DataObject) -> None:
    whole = np.array(values)
    cut = data.draw(st.integers(BASELINE + 1, len(values) - 1))
    np.testing.assert_array_equal(ratio(whole)[:cut], ratio(whole[:cut]))


def test_too_short_or_dead_sensors_are_refused() -> None:
    with pytest.raises(SourceError, match="more than 100"):
        ratio(np.ones(100))
    with pytest.raises(SourceError, match="off"):
        ratio(np.zeros(200))
    assert shared_ratio([np.ones(200)] * 2, 2) == 1.0
    assert Trend("r", "b", True, np.arange(200.0), {"x": np.ones(200)}).alarm() is None


@pytest.mark.skipif(not (SHARED / "CWRU").is_dir(), reason="needs ../shared")
def test_cwru_has_no_wrong_name_and_all_races_right() -> None:
    report = benchmark("cwru").run(SHARED / "CWRU", QUIET)
    figures = report.json
    assert any("B014_0_189: undetermined: " in note for note in report.notes), "and says why"
    assert figures["race_faults_right"] == figures["race_faults"] == 4
    assert figures["wrong"] == figures["named_on_sound"] == 0
    assert figures["verdicts"]["48k_Drive_End_B014_0_189"] in ("ball", "undetermined")


@pytest.mark.skipif(not (SHARED / "CWRU").is_dir(), reason="needs ../shared")
def test_no_second_of_cwru_is_named_wrongly_at_either_sensor() -> None:
    truths = {"IR": "inner race", "OR": "outer race", "B0": "ball", "al": "none"}
    verdicts = Counter[tuple[str, str]]()
    for path in sorted((SHARED / "CWRU").glob("*.mat")):
        truth = next(truths[mark] for mark in ("IR", "OR", "B0", "al") if mark in path.name)
        for recording in waveforms.read(path, 48_000):
            seconds = recording.samples[: recording.samples.size // 48_000 * 48_000].reshape(-1, 48_000)
            verdicts.update(
                (truth, bearing.diagnose(x, 48_000, recording.rpm or 1797, "6205").verdict) for x in seconds
            )
    silent = {"undetermined", "none"}
    assert all(verdict in silent | {truth} for truth, verdict in verdicts), verdicts
    assert sum(count for (truth, verdict), count in verdicts.items() if verdict == truth != "none") >= 36, verdicts


@pytest.mark.skipif(not (SHARED / "IMS").is_dir(), reason="needs ../shared")
def test_ims_finds_all_failures_without_false_alarms() -> None:
    figures = benchmark("ims").run(SHARED / "IMS", QUIET).json
    assert (figures["failures_found"], figures["failures"], figures["false_alarms"]) == (3, 3, 0)
