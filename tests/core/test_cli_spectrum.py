"""`iotpm spectrum`: from a file to a diagnosis, and errors that say what to do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from click.testing import CliRunner, Result
from tests.support.bearings import machine, strikes

from iotpm import bearing
from iotpm.cli import main

SHARED = Path(__file__).parents[3] / "shared" / "data" / "CWRU"
RATE_HZ = 25_600.0


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["spectrum", *map(str, arguments)])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pages that nobody names come to lie here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng, of = np.random.default_rng(1), bearing.find("6205")
    x = machine(rng, rate_hz=RATE_HZ, seconds=4, rpm=1797)
    x += strikes(rng, of, "inner race", rate_hz=RATE_HZ, seconds=4, rpm=1797)
    path = tmp_path_factory.mktemp("records") / "105.mat"
    scipy.io.savemat(
        path, {"X105_DE_time": x[:, None], "X105_FE_time": rng.standard_normal((x.size, 1)), "X105RPM": 1797}
    )
    return path


def test_a_diagnosis_for_people_and_a_page(record: Path, tmp_path: Path) -> None:
    page = tmp_path / "105.html"
    found = run(record, "--bearing", "6205", "--rate-hz", 25_600, "--teeth", 20, "--html", page)
    assert found.exit_code == 0, found.output
    assert "SKF 6205-2RS JEM at 1797 rpm: inner race" in found.output
    assert "mesh 1" in found.output
    assert "speed from the file" in found.output
    assert "inner race" in page.read_text()


def test_the_same_for_programs(record: Path) -> None:
    options = ["--rate-hz", 25_600, "--geometry", "9,7.94,39.04,0", "--rpm", 1797, "--json"]
    severity = ["--unit", "m/s2", "--group", 2, "--support", "rigid"]
    found = json.loads(run(record, *options, *severity).stdout)
    assert found["bearing"]["verdict"] == "inner race"
    assert {each["line"] for each in found["bearing"]["evidence"]} == {"BPFO", "BPFI", "2 BSF", "FTF"}
    assert found["severity"]["zone"] in "ABCD"
    assert (found["channel"], found["rate_hz"], len(found["peaks"])) == ("X105_DE_time", 25_600.0, 10)


def test_the_page_lies_in_this_folder_unless_told_otherwise(record: Path, folder: Path) -> None:
    asked = [record, "--bearing", "6205", "--rate-hz", 25_600]
    assert json.loads(run(*asked, "--json").stdout)["bearing"]["verdict"] == "inner race"
    assert "page" not in run(*asked, "--no-page").stderr
    assert list(folder.iterdir()) == []
    for _ in range(2):
        assert "wrote 105.html" in run(*asked).stderr
    assert "inner race" in (folder / "105.html").read_text(encoding="utf-8")


def test_a_page_that_is_not_ours_is_left_alone(record: Path, folder: Path) -> None:
    theirs = folder / "105.html"
    theirs.write_text("theirs")
    found = run(record, "--bearing", "6205", "--rate-hz", 25_600)
    assert found.exit_code == 0
    assert "--html" in found.stderr
    assert theirs.read_text() == "theirs"


def test_names_of_the_cwru_data_state_their_rate(record: Path, folder: Path) -> None:
    named = folder / "48k_Drive_End_IR007_0_109.mat"
    named.write_bytes(record.read_bytes())
    found = run(named, "--no-page")
    assert "at 48000 Hz" in found.stdout
    assert "sample rate from the file or its name: 48000 Hz" in found.stderr
    assert "at 25600 Hz" in run(named, "--no-page", "--rate-hz", 25_600).stdout


def test_help_shows_the_example_on_a_line_of_its_own() -> None:
    shown = run("--help").stdout
    assert "\n  iotpm spectrum 105.mat --rate-hz 48000 --bearing 6205 --rpm 1797\n" in shown


def test_the_other_channel_is_sound(record: Path) -> None:
    found = json.loads(run(record, "--rate-hz", 25_600, "--bearing", 6205, "--channel", "FE", "--json").stdout)
    assert found["bearing"]["verdict"] == "none"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "--rate-hz"),
        (["--rate-hz", 25_600, "--bearing", "6207"], "6205"),
        (["--rate-hz", 25_600, "--bearing", "6205", "--geometry", "9,8,40"], "give one of them"),
        (["--rate-hz", 25_600, "--geometry", "9,8"], "balls,ball diameter"),
        (["--rate-hz", 25_600, "--group", 2], "unit of the samples"),
        (["--rate-hz", 25_600, "--group", 2, "--support", "rigid", "--unit", "g"], "[g]"),
        (["--rate-hz", 25_600, "--channel", "BA"], "X105_DE_time"),
        (["--rate-hz", -1], "rate_hz = -1"),
        (["--rate-hz", 25_600, "--bearing", "6205", "--rpm", 0], "rpm = 0"),
    ],
)
def test_errors_say_what_to_do(record: Path, options: list[object], says: str) -> None:
    found = run(record, *options)
    assert found.exit_code == 1
    assert says in found.stderr
    assert "Traceback" not in found.output


def test_speed_is_asked_for_where_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(1).standard_normal(5000))
    for option in (["--bearing", "6205"], ["--teeth", 20]):
        assert "--rpm" in run(path, "--rate-hz", 1000, *option).stderr
    assert "no such file" in run(tmp_path / "none.mat").stderr
    assert "a folder" in run(tmp_path).stderr


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared")
@pytest.mark.parametrize(("name", "verdict"), [("48k_Drive_End_IR007_0_109", "inner race"), ("normal_0_97", "none")])
def test_real_records(name: str, verdict: str) -> None:
    found = run(SHARED / f"{name}.mat", "--rate-hz", 48_000, "--bearing", "6205", "--json")
    assert json.loads(found.stdout)["bearing"]["verdict"] == verdict


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared")
def test_a_real_record_and_nothing_but_bearing_and_speed(folder: Path) -> None:
    found = run(SHARED / "48k_Drive_End_OR007@6_0_135.mat", "--bearing", "6205", "--rpm", 1797)
    assert "at 1797 rpm: outer race" in found.stdout
    assert (folder / "48k_Drive_End_OR007@6_0_135.html").is_file()
