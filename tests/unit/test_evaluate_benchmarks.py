"""Each benchmark on small directories in its original layout, made here; figures of scorers whose result is known."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from iotpm.cli import main
from iotpm.errors import InputError, SourceError
from iotpm.evaluate import Benchmark, Options, Report, benchmark, entities, false_alarms, nab, skab, tep, tsb
from iotpm.evaluate.metrics.nab import Labelled

Floats = NDArray[np.float64]

HERE = Options(workers=1)


def related(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    """Rows of an asset whose signals share causes."""
    causes = rng.normal(size=(rows, 3))
    return causes @ np.random.default_rng(3).normal(size=(3, columns)) + 0.3 * rng.normal(size=(rows, columns)) + 20.0


def make_nab(root: Path) -> None:
    rng, windows = np.random.default_rng(1), {}
    for group, name in (("real", "a"), ("real", "b"), ("art", "c")):
        values = np.round(50 + rng.normal(size=1200), 2)
        values[800:830] += 25.0
        stamps = [datetime(2014, 4, 1) + timedelta(minutes=5 * i) for i in range(1200)]
        (root / "data" / group).mkdir(parents=True, exist_ok=True)
        lines = [f"{t:%Y-%m-%d %H:%M:%S},{v}" for t, v in zip(stamps, values, strict=True)]
        (root / "data" / group / f"{name}.csv").write_text("\n".join(["timestamp,value", *lines]) + "\n")
        windows[f"{group}/{name}.csv"] = [[f"{stamps[790]}.000000", f"{stamps[840]}.000000"]]
    (root / "labels").mkdir()
    (root / "labels" / "combined_windows.json").write_text(json.dumps(windows))


def make_tsb(root: Path) -> None:
    rng = np.random.default_rng(2)
    for number in (1, 2):
        values, labels = np.sin(np.arange(1500) / 6) + 0.05 * rng.normal(size=1500), np.zeros(1500, dtype=int)
        values[1000:1040] += 3.0
        labels[1000:1040] = 1
        lines = [f"{v:.4f},{flag}" for v, flag in zip(values, labels, strict=True)]
        name = f"00{number}_NAB_id_{number}_Sensor_tr_500_1st_1000.csv"
        (root / name).write_text("\n".join(["Data,Label", *lines]) + "\n")


def make_skab(root: Path) -> None:
    rng, sensors = np.random.default_rng(4), [f"Sensor{i}" for i in range(8)]
    for folder, rows in (("valve1", 700), ("valve2", 700), ("anomaly-free", 800)):
        values, labels = related(rng, rows, 8), np.zeros(rows)
        if folder != "anomaly-free":
            labels[520:650] = 1.0
            values[520:650, 2] += 8.0
        ends = ["anomaly", "changepoint"] if folder != "anomaly-free" else []
        (root / folder).mkdir()
        lines = [
            ";".join([f"2020-03-09 10:{i // 60:02}:{i % 60:02}", *map(str, row), *[str(labels[i])] * len(ends)])
            for i, row in enumerate(values)
        ]
        header = ";".join(["datetime", *sensors, *ends])
        (root / folder / f"{0 if ends else 'anomaly-free'}.csv").write_text("\n".join([header, *lines]) + "\n")


def make_tep(root: Path) -> None:
    rng = np.random.default_rng(5)
    np.savetxt(root / "d00.dat", related(rng, 500, 52).T)
    for name in ("d00", "d01", "d03", "d06"):
        values = related(rng, 960, 52)
        if name in ("d01", "d06"):
            values[160:, 7] += 15.0
        np.savetxt(root / f"{name}_te.dat", values)


def make_entities(root: Path) -> None:
    rng = np.random.default_rng(6)
    for name in ("one-1", "one-2"):
        test, labels = related(rng, 800, 6), np.zeros(800, dtype=np.int8)
        test[500:560, 1] += 9.0
        labels[500:560] = 1
        np.save(root / f"{name}_train.npy", related(rng, 900, 6).astype(np.float32))
        np.save(root / f"{name}_test.npy", test.astype(np.float32))
        np.save(root / f"{name}_test_label.npy", labels)


MAKERS: dict[str, Callable[[Path], None]] = {
    "nab": make_nab,
    "tsb": make_tsb,
    "skab": make_skab,
    "tep": make_tep,
    "smd": make_entities,
    "asd": make_entities,
}

HEADLINES = {
    "nab": ("standard", "low_fp", "low_fn", "standard_frozen_threshold"),
    "tsb": ("vus_pr",),
    "skab": ("f1", "far", "mar", "mar_at_far_13_5"),
    "tep": ("fdr_without_3_9", "fdr_own_limit", "far"),
    "smd": ("f1_oracle", "f1_frozen", "vus_pr"),
    "asd": ("f1_oracle", "f1_frozen", "vus_pr"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The directory of a benchmark, made once."""
    roots: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in roots:
            roots[name] = tmp_path_factory.mktemp(name)
            MAKERS[name](roots[name])
        return roots[name]

    return of


def headline(name: str, figures: dict[str, Any]) -> dict[str, float]:
    inside = figures["outliers"] if name == "skab" else figures
    return {key: inside[key] for key in HEADLINES[name]}


@pytest.fixture(scope="module")
def reports(made: Callable[[str], Path]) -> Callable[[str], Report]:
    """The report of a benchmark on its directory, run once."""
    done: dict[str, Report] = {}

    def of(name: str) -> Report:
        if name not in done:
            done[name] = benchmark(name).run(made(name), HERE)
        return done[name]

    return of


@pytest.mark.parametrize("name", MAKERS)
def test_the_default_has_its_figures_and_so_has_every_control(name: str, reports: Callable[[str], Report]) -> None:
    figures = reports(name).json

    assert all(isinstance(value, float) for value in headline(name, figures).values())
    assert set(figures["controls"]) >= {"random", "all_ones", "constant"}
    assert all(headline(name, control).keys() for control in figures["controls"].values())


@pytest.mark.parametrize("name", MAKERS)
def test_every_control_is_a_row_of_the_first_table(name: str, reports: Callable[[str], Report]) -> None:
    table = reports(name).tables[0]

    assert {"default", "random", "all_ones", "constant"} <= {row[0] for row in table.rows}
    assert all(len(row) == len(table.columns) for row in table.rows)


@pytest.mark.parametrize(
    ("name", "figure"),
    [("nab", "standard"), ("tsb", "vus_pr"), ("skab", "f1"), ("tep", "fdr_own_limit"), ("smd", "f1_frozen")],
)
def test_a_plain_fault_is_found_far_better_than_by_chance(
    name: str, figure: str, reports: Callable[[str], Report]
) -> None:
    figures = reports(name).json
    ours, chance = headline(name, figures)[figure], headline(name, figures["controls"]["random"])[figure]

    assert ours > 1.5 * chance
    assert ours > 0.5


@pytest.mark.parametrize("name", MAKERS)
def test_a_wrong_directory_is_told_what_was_expected(name: str, tmp_path: Path) -> None:
    (tmp_path / "readings.csv").write_text("time,value\n1,2\n")
    wrong: Benchmark = benchmark(name)

    for directory in (tmp_path, tmp_path / "nowhere", tmp_path / "readings.csv"):
        with pytest.raises(InputError, match="pass the folder that holds") as caught:
            wrong.run(directory, HERE)
        assert wrong.LAYOUT in str(caught.value)


def test_an_unknown_benchmark_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="no benchmark is called 'kdd'"):
        benchmark("kdd")


@pytest.mark.parametrize(
    ("name", "part", "key", "count"),
    [
        ("nab", "data/real", "files", 2),
        ("nab", "data/art/c.csv", "files", 1),
        ("tsb", "002_NAB_id_2_Sensor_tr_500_1st_1000.csv", "files", 1),
        ("skab", "valve2", "files", 1),
        ("skab", "valve1/0.csv", "files", 1),
        ("tep", "d06_te.dat", "faults", 1),
        ("smd", "one-2_test.npy", "entities", 1),
    ],
)
def test_any_part_of_a_data_set_works(name: str, part: str, key: str, count: int, made: Callable[[str], Path]) -> None:
    assert benchmark(name).run(made(name) / part, HERE).json[key] == count


def test_one_file_has_the_figures_it_has_among_others(made: Callable[[str], Path]) -> None:
    # The random control depends on the file's name, not on what stands beside it.
    whole, _ = nab.find(made("nab"))
    alone, notes = nab.find(made("nab") / "data" / "art" / "c.csv")

    assert alone[0] in whole
    assert notes == ["2 of 3 labelled series are not there"]


def test_more_processes_change_no_figure(made: Callable[[str], Path], reports: Callable[[str], Report]) -> None:
    assert benchmark("skab").run(made("skab"), Options(workers=2)).json == reports("skab").json


# What the protocols make of scorers whose result is known.


def test_nab_says_perfect_of_the_first_rows_of_the_windows(made: Callable[[str], Path]) -> None:
    file = nab.read(nab.find(made("nab"))[0][0])
    perfect = np.zeros(len(file.values))
    perfect[file.windows[0][0]] = 1.0
    labelled = Labelled.of(len(file.values), file.windows)

    figures = nab._figures([(labelled, perfect)])

    assert figures["standard"] == figures["low_fp_frozen_threshold"] == pytest.approx(100.0)
    assert (figures["windows_missed"], figures["false_alarms"]) == (0, 0)


def test_nab_windows_are_the_rows_of_their_times(made: Callable[[str], Path]) -> None:
    assert nab.read(nab.find(made("nab"))[0][0]).windows == [(790, 840)]


def test_nab_lets_nothing_of_the_warm_up_through_but_remembers_it() -> None:
    raw = np.array([0.0, 9.0, 3.0, 4.0])

    assert nab.output(raw, 2).tolist() == [0.0, 0.0, 0.0, 0.0]
    assert nab.output(np.array([0.0, 2.0, 3.0, 4.0]), 2).tolist() == [0.0, 0.0, 3.0, 4.0]


def test_tsb_says_1_of_the_labels(made: Callable[[str], Path]) -> None:
    path = next(iter(sorted(made("tsb").glob("*.csv"))))
    values, labels, prefix = tsb.read(path)
    figures = tsb._figures(values, labels, prefix, labels.astype(float))

    assert prefix == 500
    assert (figures["f1_frozen"], figures["far"], figures["mar"]) == (1.0, 0.0, 0.0)
    assert figures["vus_pr_raw"] is not None
    assert figures["vus_pr_raw"] > 0.8


def test_tsb_counts_nothing_of_the_training_prefix(made: Callable[[str], Path]) -> None:
    values, labels, prefix = tsb.read(next(iter(sorted(made("tsb").glob("*.csv")))))
    loud = labels.astype(float)
    loud[:prefix] = 5.0

    assert tsb._figures(values, labels, prefix, loud) == tsb._figures(values, labels, prefix, labels.astype(float))


def test_skab_adds_the_rows_of_all_files_up() -> None:
    one = (np.array([True, True, False, False]), np.array([1.0, 0.0, 1.0, 0.0]))
    other = (np.array([False] * 6), np.zeros(6))
    paths = [Path("valve1/0.csv"), Path("valve1/1.csv")]

    figures = skab._figures(dict(zip(paths, (one, other), strict=True)), paths)

    assert figures["f1"] == pytest.approx(0.5)
    assert figures["far"] == pytest.approx(100 / 8)
    assert figures["mar"] == pytest.approx(50.0)
    assert figures["mar_at_far_13_5"] == pytest.approx(50.0)
    assert figures["normal_far"] is None


def test_skab_judges_the_rows_behind_the_training_part_only(reports: Callable[[str], Report]) -> None:
    # 130 of the 300 rows behind the 400th are labelled: F1 of all-ones is 2 p / (1 + p).
    share = 130 / 300
    figures = reports("skab").json["controls"]

    assert figures["all_ones"]["outliers"]["f1"] == pytest.approx(2 * share / (1 + share))
    # The blind control alarms on rows 60..239 of those, the fault is on 120..249.
    assert figures["blind_20_80"]["outliers"]["mar"] == pytest.approx(100 * 10 / 130)
    assert figures["blind_20_80"]["outliers"]["far"] == pytest.approx(100 * 60 / 170)


def test_skab_refuses_a_file_too_short_to_learn_from(tmp_path: Path) -> None:
    lines = ["datetime;a;b;anomaly;changepoint", *["2020-03-09 10:14:33;1;2;0;0"] * 400]
    (tmp_path / "0.csv").write_text("\n".join(lines))

    with pytest.raises(SourceError, match="400 rows: more than 400 are needed"):
        benchmark("skab").run(tmp_path, HERE)


def test_tep_leaves_the_invisible_faults_out_of_the_headline() -> None:
    found, blind = np.repeat([0.0, 2.0], [160, 800]), np.zeros(960)
    normal = np.linspace(0.0, 1.5, 960)

    figures = tep._figures({"d00": normal, "d01": found, "d03": blind, "d09": blind})

    assert figures["fdr_without_3_9"] == figures["fdr_own_limit"] == 1.0
    assert figures["fdr_all"] == pytest.approx(1 / 3)
    # At 1.0 alarms a third of d00_te and nothing of the three faults' first 160 samples.
    assert figures["far"] == pytest.approx((normal >= 1.0).sum() / (960 + 3 * 160))


def test_tep_turns_a_transposed_file(tmp_path: Path) -> None:
    make_tep(tmp_path)

    assert tep.read(tmp_path / "d00.dat").shape == (500, 52)
    assert tep.read(tmp_path / "d01_te.dat").shape == (960, 52)
    np.savetxt(tmp_path / "d02_te.dat", np.zeros((7, 9)))
    with pytest.raises(SourceError, match="7 x 9 numbers"):
        tep.read(tmp_path / "d02_te.dat")


def test_tep_without_the_normal_test_run_has_no_1_per_cent_limit(made: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("d00.dat", "d01_te.dat"):
        (tmp_path / name).symlink_to(made("tep") / name)

    report = benchmark("tep").run(tmp_path, HERE)

    assert report.json["fdr_without_3_9"] is None
    assert report.json["fdr_own_limit"] > 0.9
    assert report.notes == ["d00_te.dat is not there: no 1 % limit"]


def test_entities_in_the_folders_of_the_first_publication(made: Callable[[str], Path], tmp_path: Path) -> None:
    for folder, ending in (("train", "train"), ("test", "test"), ("test_label", "test_label")):
        (tmp_path / folder).mkdir()
        values = np.load(made("smd") / f"one-1_{ending}.npy")
        np.savetxt(tmp_path / folder / "one-1.txt", values, delimiter=",")

    [entity], notes = entities.find(tmp_path)

    assert notes == []
    assert [part.shape for part in entities.read(entity)] == [(900, 6), (800, 6), (800,)]


def test_an_entity_without_its_labels_is_left_out_and_named(made: Callable[[str], Path], tmp_path: Path) -> None:
    for path in made("smd").iterdir():
        if path.name != "one-1_test_label.npy":
            (tmp_path / path.name).symlink_to(path)

    whole, notes = entities.find(tmp_path)

    assert [entity.name for entity in whole] == ["one-2"]
    assert notes == ["one-1 left out: one-1_test_label.npy is not there"]


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("run by a pickle",)


def test_pickles_of_arrays_are_read_and_others_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(8)
    arrays: dict[str, NDArray[Any]] = {
        "train": rng.normal(size=(60, 3)).astype(np.float32),
        "test": rng.normal(size=(20, 3)),
        "test_label": np.zeros(20, dtype=np.int8),
    }
    for name, array in arrays.items():
        (tmp_path / f"omi-1_{name}.pkl").write_bytes(pickle.dumps(array))
    [entity], _ = entities.find(tmp_path)
    assert entities.read(entity)[0] == pytest.approx(arrays["train"])

    entity.train.write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(SourceError, match=r"print, only NumPy arrays are read"):
        entities.read(entity)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Data,Label\n1,0\n2\n", "line 3: 1 fields, the header has 2"),
        ("Data,Label\n1,0\nx,0\n", "column 'Data': could not convert string to float: 'x'"),
        ("Data,Label\n1,0\nnan,0\n", "row 2 holds a value that is not finite"),
        ("Data\n1\n", "no column 'Label'"),
        ("", "is empty"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "001_NAB_id_1_Sensor_tr_5_1st_9.csv").write_text(text)

    with pytest.raises(SourceError, match="001_NAB") as caught:
        benchmark("tsb").run(tmp_path, HERE)
    assert message in str(caught.value)


# Work on all cores


def square(number: int) -> int:
    if number < 0:
        raise InputError(f"{number} is negative")
    return number * number


def test_results_come_in_the_order_of_the_items_and_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    options = Options(workers=2, progress=lambda *args: told.append(args))

    assert options.map(square, range(5), "squares") == [0, 1, 4, 9, 16]
    assert told == [("squares", done, 5) for done in range(6)]


def test_an_error_in_a_worker_is_the_error_of_the_whole() -> None:
    with pytest.raises(InputError, match="-3 is negative"):
        Options(workers=2).map(square, [1, -3, 2], "squares")


def test_an_interrupt_leaves_no_process_behind() -> None:
    def interrupt(_what: str, done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(KeyboardInterrupt):
        Options(workers=2, progress=interrupt).map(square, range(50), "squares")

    started = set(psutil.Process().children(recursive=True)) - before
    assert [p for p in started if "resource_tracker" not in " ".join(p.cmdline())] == []


# The command


def test_the_command_prints_tables_with_all_their_columns(made: Callable[[str], Path]) -> None:
    result = CliRunner().invoke(main, ["evaluate", "tsb", str(made("tsb")), "--workers", "1"])

    assert result.exit_code == 0, result.output
    assert all(row in result.output for row in ("default", "random", "all_ones", "constant", "VUS-PR"))


def test_the_command_prints_one_json_object(made: Callable[[str], Path]) -> None:
    result = CliRunner().invoke(main, ["evaluate", "nab", str(made("nab")), "--json", "--workers", "1"])

    def never(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    figures = json.loads(result.stdout, parse_constant=never)
    assert figures["benchmark"] == "nab"
    assert set(HEADLINES["nab"]) <= figures.keys()


def test_the_command_names_the_layout_of_a_wrong_directory(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["evaluate", "tep", str(tmp_path)])

    assert result.exit_code == 1
    assert "d00_te.dat" in result.output


def test_the_command_refuses_an_unknown_benchmark(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["evaluate", "kdd", str(tmp_path)])

    assert result.exit_code == 2
    assert "'kdd' is none of nab" in result.output


def test_ablation_adds_a_row_for_each_part(made: Callable[[str], Path]) -> None:
    args = ["evaluate", "tsb", str(made("tsb")), "--ablation", "--json", "--workers", "1"]
    figures = json.loads(CliRunner().invoke(main, args).stdout)

    assert any(name.startswith("without ") for name in figures["configurations"])


# False alarms on simulated data


def test_false_alarms_of_a_small_plant_are_counted_by_asset() -> None:
    report = benchmark("false-alarms").run(Path(), Options(workers=1, assets=2, weeks=0.25))

    assert report.json["readings"] == 2 * 10 * round(0.25 * 60_480)
    assert report.json["per_asset_week_low"] <= report.json["per_asset_week"] <= report.json["per_asset_week_high"]
    alarms = report.json["per_asset_week"] * 2 * (0.25 - 1.05 / 7)
    assert sum(report.json["by_kind"].values()) == pytest.approx(alarms)


def test_the_interval_without_an_alarm_is_poissons_and_else_holds_the_mean() -> None:
    # P(no alarm) = 2.5 % at a rate of 3.689 in the whole exposure of 10 x 2 weeks.
    assert false_alarms.interval(np.zeros(10, dtype=np.int64), 2.0) == pytest.approx((0.0, 0.0, 3.6889 / 20), abs=1e-4)
    rate, low, high = false_alarms.interval(np.array([0, 0, 4, 0, 2, 0, 1, 3]), 0.5)
    assert (rate, low < rate < high) == (2.5, True)


def test_the_command_asks_for_the_directory_where_one_is_needed() -> None:
    result = CliRunner().invoke(main, ["evaluate", "tep"])

    assert result.exit_code == 2
    assert "d00_te.dat" in result.output


def test_faults_in_learned_assets_are_found_and_named() -> None:
    report = benchmark("faults").run(Path(), Options(assets=2, workers=1))
    figures = report.json
    assert figures["faults"] >= 5
    assert figures["recall"] >= 0.7 > figures["random_recall"]
    assert figures["precision"] >= 0.7
    assert figures["top_3_contributors"] >= 0.95
