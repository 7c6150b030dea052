"""CWRU, the bearing data of Case Western Reserve University: records diagnosed from geometry and speed.

Each record is diagnosed by itself with the defaults of `iotpm.bearing.diagnose`, at the speed that its file states.
What it holds is in its name (`48k_Drive_End_IR007_0_109.mat`: sensor, element, mils, load). Ball faults are only
partly diagnosable (Smith and Randall, Mechanical Systems and Signal Processing 64 (2015) 100), so `undetermined` is a
proper answer; a wrong name never is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iotpm import bearing, waveforms
from iotpm.evaluate import files
from iotpm.evaluate.report import Options, Report, Table

LAYOUT = (
    """  normal_<load>_<n>.mat  <12k|48k>_<Drive|Fan>_End_<IR|OR|B><mils>[@<clock>]_<load>_<n>.mat   (any subset)"""
)

_NAME = re.compile(
    r"(?:normal|(?P<rate>\d+)k_(?P<end>Drive|Fan)_End_(?P<element>IR|OR|B)(?P<mils>\d+)(?:@\d+)?)_(?P<load>\d)", re.I
)
_ELEMENTS = {"IR": "inner race", "OR": "outer race", "B": "ball"}
_BEARINGS = {"Drive": "6205", "Fan": "6203"}
_NOMINAL_RPM = (1797.0, 1772.0, 1750.0, 1730.0)
_NORMAL_RATE_HZ = 48_000.0

NOTE = (
    "right: the damaged element, or nothing on a sound bearing; wrong: another, or any on a sound bearing; missed: "
    "nothing on a damaged one. Strength is power over local noise; named from 30. One default for all records."
)


@dataclass(frozen=True, slots=True)
class _Record:
    path: Path
    truth: str
    """An element, or `none`."""
    end: str
    rate_hz: float
    load: int


@dataclass(frozen=True, slots=True)
class _Judged:
    record: _Record
    diagnosis: bearing.Diagnosis

    @property
    def outcome(self) -> str:
        verdict, truth = self.diagnosis.verdict, self.record.truth
        if verdict == truth:
            return "right"
        return {"undetermined": "undetermined", "none": "missed"}.get(verdict, "wrong")


def run(directory: Path, options: Options) -> Report:
    """Diagnose the records found.

    Raises:
        InputError: none.
        SourceError: a file that cannot be read, or without the sensor that its name says.
    """
    paths = files.below(directory, "*.mat")
    records = [record for path in paths if (record := _record(path)) is not None]
    if not records:
        raise files.none_found(directory, LAYOUT)
    judged = options.map(_judged, records, "CWRU")
    if options.html is not None:
        _page(options.html, judged)
    notes = [f"{j.record.path.stem}: undetermined: {j.diagnosis.reason}" for j in judged if j.diagnosis.reason]
    if unnamed := [path.name for path in paths if _record(path) is None]:
        notes.append(f"left out, the name does not say what they hold: {', '.join(unnamed)}")
    return Report(f"CWRU, {len(judged)} records", [_counts(judged), _table(judged)], _json(judged), notes)


def _record(path: Path) -> _Record | None:
    match = _NAME.match(path.stem)
    if match is None:
        return None
    truth = _ELEMENTS[match["element"].upper()] if match["element"] else "none"
    rate_hz = float(match["rate"]) * 1000 if match["rate"] else _NORMAL_RATE_HZ
    return _Record(path, truth, (match["end"] or "Drive").title(), rate_hz, int(match["load"]))


def _judged(record: _Record) -> _Judged:
    sensor = f"{record.end[0]}E_time"
    recording = waveforms.select(waveforms.read(record.path, record.rate_hz), sensor, str(record.path))
    rpm = recording.rpm or _NOMINAL_RPM[min(record.load, len(_NOMINAL_RPM) - 1)]
    return _Judged(record, bearing.diagnose(recording.samples, record.rate_hz, rpm, _BEARINGS[record.end]))


def _counts(judged: list[_Judged]) -> Table:
    outcomes = ("right", "undetermined", "missed", "wrong")
    held = [truth for truth in (*_ELEMENTS.values(), "none") if any(j.record.truth == truth for j in judged)]
    rows: list[Any] = []
    for truth in held:
        found = [j.outcome for j in judged if j.record.truth == truth]
        rows.append(("sound" if truth == "none" else truth, len(found), *(found.count(name) for name in outcomes)))
    return Table("CWRU, records by what they hold", ("holds", "records", *outcomes), rows, NOTE)


def _table(judged: list[_Judged]) -> Table:
    columns = ("record", "truth", "verdict", "outcome", "strength", "next", "slip %")
    return Table("CWRU, each record", columns, [_row(one) for one in judged])


def _row(one: _Judged) -> tuple[Any, ...]:
    ranked = sorted(one.diagnosis.evidence, key=lambda found: -found.strength)
    strengths: list[Any] = [round(found.strength, 1) for found in ranked[:2]] or [None, None]
    slip = round(100 * ranked[0].slip, 2) if ranked else None
    record, found = one.record, one.diagnosis
    return record.path.stem, record.truth, found.verdict, one.outcome, *strengths, slip


def _json(judged: list[_Judged]) -> dict[str, Any]:
    outcomes = [one.outcome for one in judged]
    races = [one.outcome for one in judged if one.record.truth.endswith("race")]
    sound = [one for one in judged if one.record.truth == "none"]
    return {
        "records": len(judged),
        "race_faults": len(races),
        "race_faults_right": races.count("right"),
        "wrong": outcomes.count("wrong"),
        "undetermined": outcomes.count("undetermined"),
        "missed": outcomes.count("missed"),
        "named_on_sound": sum(one.outcome == "wrong" for one in sound),
        "verdicts": {one.record.path.stem: one.diagnosis.verdict for one in judged},
    }


def _page(path: Path, judged: list[_Judged]) -> None:
    from iotpm import plot

    drawn = [one for one in judged if one.diagnosis.modulation is not None]
    figures = [one.diagnosis.plot(title=f"{one.record.path.stem}: {one.diagnosis.verdict}") for one in drawn]
    plot.write(path, "CWRU: modulation of the strongest band", figures, [NOTE])
