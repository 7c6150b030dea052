"""`iotpm scan`: diagnostics, unusual stretches, the page, the configuration to start from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from iotpm.cli import main
from iotpm.config import Config
from iotpm.replay import open_source
from iotpm.scan import Series, find_unusual, inspect_series, read_series, scan
from iotpm.scan.chart import chart
from iotpm.scan.ingestion import span
from iotpm.scan.report import caution

START_US = 1_700_000_000_000_000
SECOND_US = 1_000_000


def series(values: np.ndarray, times_s: np.ndarray | None = None) -> Series:
    times_s = np.arange(len(values)) if times_s is None else times_s
    return Series("s/a/x", START_US + (times_s * SECOND_US).astype(np.int64), np.asarray(values, dtype=np.float64))


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(20.0, 1.0, count)


def remarks(found: Series) -> str:
    return "; ".join(inspect_series(found).remarks)


def test_a_clean_signal_has_its_rate_and_no_remark() -> None:
    found = inspect_series(series(noise(1_000), np.arange(1_000) * 0.5))
    assert (found.interval_s, found.gaps, found.duplicates, found.remarks) == (0.5, 0, 0, ())


def test_gaps_duplicates_disorder_and_missing_values_are_counted() -> None:
    times_s = np.concatenate([np.arange(500), np.arange(700, 1_200)]).astype(float)
    times_s[10] = times_s[9]
    times_s[[20, 21]] = times_s[[21, 20]]
    values = noise(1_000)
    values[[30, 31, 32]] = np.nan
    found = inspect_series(series(values, times_s))
    assert (found.gaps, found.longest_gap_s, found.duplicates, found.out_of_order, found.unusable) == (
        1,
        201.0,
        1,
        1,
        3,
    )


def test_two_operating_modes_are_told_apart_from_one() -> None:
    two = np.where(np.arange(2_000) // 250 % 2 == 0, noise(2_000), noise(2_000) + 40)
    assert [round(level) for level in inspect_series(series(two)).modes] == [20, 60]
    assert inspect_series(series(noise(2_000))).modes == ()


def test_a_level_that_is_left_for_good_is_no_operating_mode() -> None:
    moved = np.where(np.arange(2_000) < 1_000, noise(2_000), noise(2_000) + 40)
    assert inspect_series(series(moved)).modes == ()


def test_a_signal_that_leaves_its_beginning_is_said_to() -> None:
    warming = noise(3_000) + 30 * (1 - np.exp(-np.arange(3_000) / 1_000))
    found = inspect_series(series(warming))
    assert found.beginning == (warming[:450].min(), warming[:450].max())
    assert found.outside == np.mean((warming[450:] < found.beginning[0]) | (warming[450:] > found.beginning[1])) > 0.8
    assert "lies beyond its beginning" in remarks(series(warming))
    assert "1 of 2 signals leave" in (caution(scan([series(warming), series(noise(3_000))])) or "")
    assert caution(scan([series(noise(3_000))])) is None
    cycles = noise(3_000) + 10 * np.sin(np.arange(3_000) / 30)
    assert inspect_series(series(cycles)).outside < 0.05
    assert remarks(series(cycles)) == ""


def test_a_counter_is_no_measurement() -> None:
    assert remarks(series(np.arange(1_000.0))) == "never falls: a counter, not a measurement"
    assert not inspect_series(series(np.repeat([1.0, 2.0], 500))).counter


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 s"), (0.1, "0.1 s"), (90, "90 s"), (300, "5 min"), (25_200, "7 h"), (200_000, "2.31 d")],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_no_line_is_drawn_through_a_gap() -> None:
    times_s = np.concatenate([np.arange(300), np.arange(1_000, 1_300)])
    assert chart(series(noise(600), times_s), []).split('class="line"')[1].count("M") == 2


@pytest.mark.parametrize("level", [0.0, 3.0, -1e9, 1e-12])
def test_the_values_at_the_axis_are_round_and_within_the_chart(level: float) -> None:
    texts = re.findall(r'class="value"[^>]*>([^<]+)<', chart(series(level + noise(500)), []))
    ticks = [float(text.replace(",", "")) for text in texts]
    assert 2 <= len(ticks) <= 5


@pytest.mark.parametrize(
    ("values", "remark"),
    [
        (np.full(300, 5.0), "constant"),
        (np.round(noise(300)), "quantised"),
        (np.concatenate([noise(300), np.full(60, 20.0), noise(300, 1)]), "60 equal readings in a row"),
        (noise(50), "too short to judge: 50 readings"),
    ],
)
def test_odd_values_are_remarked(values: np.ndarray, remark: str) -> None:
    assert remark in remarks(series(values))


def test_the_resolution_is_the_decimal_grid_of_the_values() -> None:
    assert inspect_series(series(np.round(noise(300), 2))).resolution == 0.01
    assert inspect_series(series(noise(300) * np.pi)).resolution == 0.0


def test_a_level_shift_is_found_and_noise_is_not() -> None:
    values = noise(3_000)
    values[2_000:2_100] += 30
    found = find_unusual(series(values))
    first = START_US + 2_000 * SECOND_US
    assert [one for one in found if first <= one.start_us <= first + 100 * SECOND_US and one.direction == "above"]
    assert not find_unusual(series(np.full(3_000, 7.0)))


def test_scores_know_only_what_came_before() -> None:
    values = noise(3_000)
    values[1_500] += 40
    whole = find_unusual(series(values))
    cut = find_unusual(series(np.concatenate([values[:2_000], noise(1_000, 5)])))
    before = START_US + 2_000 * SECOND_US
    assert [o for o in whole if o.end_us < before] == [o for o in cut if o.end_us < before]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    values = noise(1_500)
    values[1_200:1_250] += 30
    lines = [
        f"2024-01-01T{i // 3600:02}:{i // 60 % 60:02}:{i % 60:02}Z;{v:.3f};<{i % 2}>" for i, v in enumerate(values)
    ]
    path = tmp_path / "pump.csv"
    path.write_text("time;a&b;text\n" + "\n".join(lines) + "\n", "utf-8")
    return path


def test_a_file_becomes_lines_a_page_and_a_configuration(table: Path, tmp_path: Path) -> None:
    page, configuration = tmp_path / "page.html", tmp_path / "plant.toml"
    run = CliRunner().invoke(main, ["scan", str(table), "--html", str(page), "--config", str(configuration), "--json"])
    assert run.exit_code == 0, run.output
    (line,) = [json.loads(text) for text in run.stdout.splitlines() if text.startswith("{")]
    assert (line["signal"], line["readings"], line["interval_s"], line["resolution"]) == (
        "replay/pump/a&b",
        1_500,
        1.0,
        0.001,
    )
    assert any(one["start"].startswith("2024-01-01T00:20:0") for one in line["unusual"])
    text = page.read_text("utf-8")
    assert "a&amp;b" in text
    assert "<svg" in text
    assert "http" not in text
    template = Config.load(configuration).templates[0]
    assert (template.pattern, template.resolution) == ("*/*/a&b", 0.001)


def test_rows_without_a_time_are_seconds_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("Data\n" + "\n".join(f"{v:.4f}" for v in noise(400)) + "\n", "utf-8")
    run = CliRunner().invoke(main, ["scan", str(path), "--html", str(tmp_path / "p.html")])
    assert run.exit_code == 0, run.output
    assert "rows are counted as seconds" in run.output


@pytest.mark.parametrize(("name", "says"), [("absent.csv", "no such file"), ("empty.csv", "empty.csv")])
def test_a_file_that_cannot_be_scanned_is_named(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "empty.csv").write_text("", "utf-8")
    run = CliRunner().invoke(main, ["scan", str(tmp_path / name)])
    assert run.exit_code == 1
    assert says in run.output


def test_a_bad_file_of_a_directory_is_named_and_costs_no_other(tmp_path: Path) -> None:
    plant, page = tmp_path / "plant", tmp_path / "page.html"
    plant.mkdir()
    good = "time,x\n" + "\n".join(f"{1_700_000_000 + i},{v:.3f}" for i, v in enumerate(noise(400))) + "\n"
    (plant / "good.csv").write_text(good)
    (plant / "late.csv").write_text(good + "1700000400,off\n")
    (plant / "empty.csv").write_text("")
    (plant / "torn.parquet").write_bytes(b"PAR1 and no more")
    run = CliRunner().invoke(main, ["scan", str(plant), "--html", str(page)])
    assert run.exit_code == 0, run.output
    for name, reason in (("late.csv", "'off' is no number"), ("empty.csv", "empty"), ("torn.parquet", "Parquet")):
        assert re.search(f"not read: .*{name}.*{reason}", run.stderr)
        assert name in page.read_text("utf-8")
    assert "3 files not read" in page.read_text("utf-8")
    assert "replay/good/x" in run.stdout
    assert "late" not in run.stdout
    told = CliRunner().invoke(main, ["scan", str(plant), "--html", str(page), "--json"])
    lines = [json.loads(text) for text in told.stdout.splitlines()]
    assert [line.get("signal") for line in lines] == ["replay/good/x", None, None, None]
    assert {Path(line["unread"]).name for line in lines[1:]} == {"late.csv", "empty.csv", "torn.parquet"}


def test_a_directory_of_which_nothing_can_be_read_is_an_error_that_names_every_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "b.csv").write_text("time,x\n")
    run = CliRunner().invoke(main, ["scan", str(tmp_path), "--html", str(tmp_path / "page.html")])
    assert run.exit_code == 1
    assert "a.csv" in run.output
    assert "b.csv" in run.output
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("off_on", [(0.0, 1.0), (-1.0, 1.0), (0.0, 100.0)])
def test_a_column_of_two_values_is_a_state_and_not_judged(off_on: tuple[float, float]) -> None:
    values = np.where(np.arange(2_000) % 500 == 499, off_on[1], off_on[0])
    assert find_unusual(series(values)), "as a signal it would be judged"
    (report,) = scan([series(values)])
    assert (report.ingestion.state, report.ingestion.active, report.unusual) == (True, 0.002, [])
    assert "taken for a state or label and not judged" in "; ".join(report.ingestion.remarks)
    assert "quantised" not in "; ".join(report.ingestion.remarks)


@pytest.mark.parametrize("values", [np.tile([20.0, 21.0], 300), np.tile([0.0, 1.0, 2.0], 200), np.zeros(600)])
def test_few_values_are_not_a_state_for_that(values: np.ndarray) -> None:
    assert not inspect_series(series(values)).state


def test_states_are_stored_and_not_judged_by_the_configuration_too(tmp_path: Path) -> None:
    path, page, configuration = tmp_path / "mill.csv", tmp_path / "page.html", tmp_path / "mill.toml"
    rows = "\n".join(f"{1_700_000_000 + i},{v:.3f},{int(i % 300 == 299)}" for i, v in enumerate(noise(900)))
    path.write_text("time,torque,failure\n" + rows + "\n")
    run = CliRunner().invoke(main, ["scan", str(path), "--html", str(page), "--config", str(configuration)])
    assert run.exit_code == 0, run.output
    assert "1 signal taken for states or labels, not judged" in page.read_text("utf-8")
    torque, failure = Config.load(configuration).templates
    assert (torque.detectors, failure.detectors) == (None, [])
    assert 'signal = "failure", off_below = 0.5' in configuration.read_text()


def test_several_signals_keep_their_order_and_progress_is_told(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    rows = "\n".join(f"{i},{i % 7},{i % 5}" for i in range(300))
    path.write_text("time,b,a\n" + rows + "\n", "utf-8")
    told: list[int] = []
    reports = scan(read_series(open_source(path)), lambda: told.append(1))
    assert [report.series.name for report in reports] == ["replay/wide/b", "replay/wide/a"]
    assert len(told) == 2
