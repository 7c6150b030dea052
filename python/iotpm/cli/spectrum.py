"""`iotpm spectrum`: a record of vibration, from a file to a diagnosis and a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpm.cli.output import errors_end_the_command, json_option, print_json, print_rows
from iotpm.errors import InputError

if TYPE_CHECKING:
    from iotpm.bearing import Bearing, Diagnosis
    from iotpm.gear import Mesh
    from iotpm.iso20816 import Severity
    from iotpm.spectrum import Peaks, Spectrum
    from iotpm.waveforms import Recording

PEAKS = 10
"""Peaks of the spectrum that are listed."""


@dataclass(frozen=True, slots=True)
class _Findings:
    recording: Recording
    rate_hz: float
    spectrum: Spectrum
    peaks: Peaks
    diagnosis: Diagnosis | None
    mesh: Mesh | None
    severity: Severity | None
    notes: list[str]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--bearing", "bearing_name", metavar="NAME", help="Bearing of the catalogue, such as 6205.")
@click.option("--geometry", metavar="N,D,P,A", help="Balls, ball and pitch diameter in mm, contact angle in degrees.")
@click.option("--catalogue", type=click.Path(path_type=Path, dir_okay=False), help="TOML file with more bearings.")
@click.option("--rpm", type=float, help="Speed of the shaft  [the file's, if it states one]")
@click.option("--teeth", type=click.IntRange(min=2), help="Teeth of a gear on the shaft: its mesh lines are listed.")
@click.option("--rate-hz", type=float, help="Sample rate  [the file's, if it states one]")
@click.option("--channel", metavar="NAME", help="Name, part of it, or number of a channel  [the first]")
@click.option("--unit", help="UCUM unit of the samples, such as m/s2, [g] or mm/s  [the file's]")
@click.option("--group", help="Machine group of ISO 20816-3: 1 above 300 kW, 2 from 15 kW, 3 and 4 pumps.")
@click.option("--support", type=click.Choice(["rigid", "flexible"]), help="Support of the machine.")
@click.option(
    "--table", type=click.Path(path_type=Path, dir_okay=False), help="Zone table in the packaged one's place."
)
@click.option(
    "--html",
    "html_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page of figures  [the file's name with .html, in this folder; none with --json]",
)
@click.option("--no-page", is_flag=True, help="Write no page.")
@json_option
@errors_end_the_command
def command(file: Path, as_json: bool, html_path: Path | None, no_page: bool, **given: Any) -> None:
    """Diagnose a record of vibration: .mat, .npz, .npy, .wav or .csv.

    With a bearing and a speed the damaged element is named, or why none is; with unit, speed, --group and --support the
    severity after ISO 20816-3. The page needs no network to be read (extra `plot`; .mat files need `mat`).

    \b
    iotpm spectrum 105.mat --rate-hz 48000 --bearing 6205 --rpm 1797
    """  # noqa: D301 - the backslash is click's mark, not text
    found = _findings(file, **given)
    if as_json:
        print_json(_json(file, found))
    else:
        _print(file, found)
    if html_path is not None:
        _page(html_path, file, found)
        click.echo(f"wrote {html_path}", err=True)
    elif not (as_json or no_page):
        click.echo(_page_beside(file, found), err=True)


def _findings(file: Path, *, bearing_name: str | None, geometry: str | None, catalogue: Path | None, rpm: float | None,
              teeth: int | None, rate_hz: float | None, channel: str | None, unit: str | None, group: str | None,
              support: Any, table: Path | None) -> _Findings:  # fmt: skip
    from iotpm import spectrum, waveforms

    recordings = waveforms.read(file, rate_hz, unit)
    recording = waveforms.select(recordings, channel, str(file))
    rate, speed = recording.rate_hz, rpm if rpm is not None else recording.rpm
    if rate is None:
        raise InputError(f"{file} does not state its sample rate: give it with --rate-hz")
    notes = _notes(recordings, recording, rate_hz, rpm)
    lines = spectrum.amplitude(recording.samples, rate, unit=recording.unit)
    peaks = spectrum.peaks(lines, count=PEAKS)
    diagnosis = _diagnosis(recording, rate, speed, _bearing(bearing_name, geometry, catalogue), notes)
    mesh = _mesh(lines, speed, teeth)
    severity = _severity(recording, rate, speed, group, support, table, notes)
    return _Findings(recording, rate, lines, peaks, diagnosis, mesh, severity, notes)


def _notes(recordings: list[Recording], chosen: Recording, rate_hz: float | None, rpm: float | None) -> list[str]:
    notes = []
    if rate_hz is None:
        notes.append(f"sample rate from the file or its name: {chosen.rate_hz:g} Hz")
    if len(recordings) > 1:
        others = ", ".join(recording.channel for recording in recordings if recording is not chosen)
        notes.append(f"channel {chosen.channel} of {len(recordings)}; --channel takes another: {others}")
    if rpm is None and chosen.rpm is not None:
        notes.append(f"speed from the file: {chosen.rpm:g} rpm")
    return notes


def _bearing(name: str | None, geometry: str | None, catalogue: Path | None) -> Bearing | None:
    from iotpm import bearing

    if name is not None and geometry is not None:
        raise InputError("--bearing and --geometry: give one of them")
    if geometry is not None:
        return bearing.geometry(geometry)
    return bearing.find(name, catalogue) if name is not None else None


def _diagnosis(recording: Recording, rate_hz: float, rpm: float | None, of: Bearing | None,
               notes: list[str]) -> Diagnosis | None:  # fmt: skip
    from iotpm import bearing

    if of is None:
        notes.append("no bearing is diagnosed without --bearing or --geometry")
        return None
    if rpm is None:
        raise InputError("a bearing's lines need the speed of the shaft: give it with --rpm")
    return bearing.diagnose(recording.samples, rate_hz, rpm, of)


def _mesh(lines: Spectrum, rpm: float | None, teeth: int | None) -> Mesh | None:
    from iotpm import gear

    if teeth is None:
        return None
    if rpm is None:
        raise InputError("a gear's mesh lines need the speed of the shaft: give it with --rpm")
    return gear.mesh(lines, rpm, teeth)


def _severity(recording: Recording, rate_hz: float, rpm: float | None, group: str | None, support: Any,
              table: Path | None, notes: list[str]) -> Severity | None:  # fmt: skip
    from iotpm import iso20816

    given = {"unit": recording.unit, "rpm": rpm, "group": group, "support": support, "table": table}
    if group is None and support is None:
        notes.append("no severity after ISO 20816-3 without --group and --support (and a unit and a speed)")
        return None
    return iso20816.severity(recording.samples, rate_hz, **given)


def _json(file: Path, found: _Findings) -> dict[str, Any]:
    recording = found.recording
    return {
        "file": str(file),
        "channel": recording.channel,
        "rate_hz": found.rate_hz,
        "seconds": recording.samples.size / found.rate_hz,
        "unit": recording.unit,
        "peaks": _peaks(found.peaks),
        "bearing": found.diagnosis.as_dict() if found.diagnosis else None,
        "gear": found.mesh.as_dict() if found.mesh else None,
        "severity": found.severity.as_dict() if found.severity else None,
        "notes": found.notes,
    }


def _peaks(peaks: Peaks) -> list[dict[str, float]]:
    return [
        {"frequency_hz": float(at), "amplitude": float(value)}
        for at, value in zip(peaks.frequency_hz, peaks.value, strict=True)
    ]


def _print(file: Path, found: _Findings) -> None:
    for line in _summary(file, found):
        click.echo(line)
    if found.diagnosis and found.diagnosis.evidence:
        click.echo()
        print_rows(_evidence(found.diagnosis), _COLUMNS, as_json=False, empty="")
    if found.mesh:
        click.echo()
        print_rows(found.mesh.rows(), ("line", "frequency_hz", "amplitude", "over_noise"), as_json=False, empty="")
    click.echo()
    print_rows(_peaks(found.peaks), ("frequency_hz", "amplitude"), as_json=False, empty="no peaks")
    for note in found.notes:
        click.echo(f"note: {note}", err=True)


def _summary(file: Path, found: _Findings) -> list[str]:
    recording, seconds = found.recording, found.recording.samples.size / found.rate_hz
    lines = [
        f"{file.name}, {recording.channel}: {recording.samples.size:,} samples at {found.rate_hz:g} Hz, {seconds:.3g} s"
    ]
    if found.diagnosis:
        lines.append(f"bearing {found.diagnosis.bearing.name} at {found.diagnosis.rpm:g} rpm: {found.diagnosis}")
    if found.severity:
        severity = found.severity
        lines.append(
            f"severity: zone {severity.zone}, velocity {severity.velocity_mm_s:.3g} mm/s RMS, "
            f"{severity.band_hz[0]:g} to {severity.band_hz[1]:g} Hz, group {severity.zones.group}, "
            f"{severity.zones.support} ({severity.zones.standard})"
        )
    return lines


_COLUMNS = ("element", "line", "nominal_hz", "found_hz", "over_noise", "depth_%", "band_hz", "harmonics", "sidebands")


def _evidence(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    return [
        {
            "element": found.element,
            "line": found.line,
            "nominal_hz": found.nominal_hz,
            "found_hz": found.nominal_hz * (1 + found.slip),
            "over_noise": found.strength,
            "depth_%": 100 * found.depth,
            "band_hz": f"{found.band_hz[0]:.0f}-{found.band_hz[1]:.0f}",
            "harmonics": " ".join("-" if line.ratio is None else f"{line.ratio:.0f}" for line in found.lines),
            "sidebands": " ".join(f"{side.ratio:.0f}" for side in found.sidebands),
        }
        for found in diagnosis.evidence
    ]


def _page_beside(file: Path, found: _Findings) -> str:
    """Write the page that nobody named; the diagnosis is told already, so what hinders it is no error."""
    from iotpm import plot

    path = Path(file.stem + ".html")
    if path.exists() and not plot.is_page(path):
        return f"note: no page: {path} is there and no page of iotpm: name one with --html"
    try:
        _page(path, file, found)
    except (InputError, OSError) as error:
        return f"note: no page: {error}"
    return f"wrote {path}"


def _page(path: Path, file: Path, found: _Findings) -> None:
    from iotpm import plot

    marks = plot.marks_of(found.diagnosis) if found.diagnosis else {}
    marks |= {"mesh": [line.frequency_hz for line in found.mesh.harmonics]} if found.mesh else {}
    figures = [found.spectrum.plot(marks=marks, title=f"Spectrum of {found.recording.channel}")]
    if found.diagnosis and found.diagnosis.modulation:
        figures.insert(0, found.diagnosis.plot())
    if found.severity:
        figures.append(found.severity.plot())
    plot.write(path, f"Vibration of {file.name}", figures, [*_summary(file, found), *found.notes])
