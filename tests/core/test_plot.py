"""Figures: what they show, and pages that need no network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.bearings import machine, strikes

from iotpm import bearing, gear, iso20816, plot, spectrum
from iotpm.errors import InputError

RATE_HZ = 25_600.0
T = np.arange(int(4 * RATE_HZ)) / RATE_HZ


def damaged() -> np.ndarray[Any, np.dtype[np.float64]]:
    rng, of = np.random.default_rng(1), bearing.find("6205")
    fault = strikes(rng, of, "outer race", rate_hz=RATE_HZ, seconds=4, rpm=1800)
    return machine(rng, rate_hz=RATE_HZ, seconds=4, rpm=1800) + fault


def marks(figure: Any) -> list[float]:
    return sorted(shape.x0 for shape in figure.layout.shapes if shape.x0 == shape.x1)


def test_a_spectrum_with_its_lines() -> None:
    found = spectrum.amplitude(damaged(), RATE_HZ, unit="m/s2")
    figure = found.plot(marks={"BPFO": [107.5, 215.0], "shaft": [30.0]}, high_hz=1000)
    assert marks(figure) == [30.0, 107.5, 215.0]
    assert figure.data[0].x.max() <= 1000
    assert "m/s2" in figure.layout.yaxis.title.text


def test_thinning_keeps_every_peak() -> None:
    y = np.random.default_rng(1).standard_normal(1_000_003)
    across, along = plot.thinned(np.arange(y.size, dtype=np.float64), y)
    assert across.size <= plot.POINTS_MAX
    assert (along.max(), along.min()) == (y.max(), y.min())
    assert np.all(np.diff(across) > 0)


def test_a_diagnosis_draws_the_lines_where_it_found_them() -> None:
    found = bearing.diagnose(damaged(), RATE_HZ, 1800, "6205")
    assert found.strongest is not None
    drawn = marks(found.plot())
    for line in found.strongest.lines:
        assert min(abs(at - line.frequency_hz) for at in drawn) < 1e-6
    assert "outer race" in found.plot().layout.title.text


def test_nothing_to_draw_says_why() -> None:
    with pytest.raises(InputError, match="turns of the shaft"):
        bearing.diagnose(damaged()[:500], RATE_HZ, 1800, "6205").plot()


def test_severity_stands_among_its_zones() -> None:
    found = iso20816.severity(2.0 * np.sin(300 * T), RATE_HZ, unit="mm/s", rpm=1500, group=1, support="rigid")
    figure = found.plot()
    bands = [(shape.y0, shape.y1) for shape in figure.layout.shapes]
    assert [low for low, _ in bands] == [0.0, *found.zones.velocity_mm_s]
    assert figure.data[0].y[0] == found.velocity_mm_s


def test_other_results_and_arrays() -> None:
    x = damaged()
    assert spectrum.envelope(x, RATE_HZ, (2000.0, 6000.0)).plot().data[0].y.size > 1000
    bands = spectrum.kurtogram(x, RATE_HZ, levels=3)
    assert len(bands.plot().data[0].x) == bands.kurtosis.size > 10
    assert spectrum.velocity(x, RATE_HZ, unit="m/s2").plot().data[0].y.size > 1000
    several = spectrum.amplitude(x.reshape(4, -1), RATE_HZ)
    fall = plot.waterfall(several, np.arange(4.0), high_hz=5000)
    assert np.shape(fall.data[0].z) == (4, int(np.count_nonzero(several.frequency_hz <= 5000)))
    circle = plot.orbit(3 + np.cos(100 * T), np.sin(100 * T), unit="um")
    assert abs(float(np.mean(circle.data[0].x))) < 0.1
    trend = plot.trend([0, 1, 2], {"rms": [1, 2, 3]}, zones=(1.4, 2.8, 4.5), limit=2.5, events={"alarm": 2})
    assert len(trend.layout.shapes) == 6


def test_a_waterfall_is_bounded_and_keeps_its_peaks() -> None:
    values = np.ones((1000, 5000))
    values[777, 4321] = 1000.0
    amplitudes = spectrum.Spectrum(np.arange(5000.0), values, "amplitude", "[g]", "hann", 1e4, 9998)
    fall = plot.waterfall(amplitudes, np.arange(1000.0)).data[0]
    assert np.shape(fall.z) == (len(fall.y), len(fall.x))
    assert np.size(fall.z) <= plot.CELLS_MAX
    row, column = np.unravel_index(np.argmax(fall.z), np.shape(fall.z))
    assert fall.y[row] <= 777 < fall.y[row + 1]
    assert fall.x[column] <= 4321 < fall.x[column + 1]
    assert np.max(fall.z) == pytest.approx(60.0), "20 dB a decade of amplitude"
    powers = spectrum.Spectrum(np.arange(5000.0), values, "power", "[g]", "hann", 1e4, 9998)
    assert np.max(plot.waterfall(powers, np.arange(1000.0)).data[0].z) == pytest.approx(30.0)


def test_a_long_trend_keeps_its_extremes_and_its_gaps() -> None:
    values = np.zeros(100_000)
    values[[12_345, 67_890]] = 7.0, -3.0
    values[:500] = np.nan
    curve = plot.trend(np.arange(100_000), {"score": values}).data[0]
    assert curve.y.size <= plot.POINTS_MAX + 100
    assert (np.nanmin(curve.y), np.nanmax(curve.y)) == (-3.0, 7.0)
    assert curve.x[np.nanargmax(curve.y)] == 12_345


def test_a_unit_in_brackets_is_not_bracketed_again() -> None:
    axis = spectrum.amplitude(damaged(), RATE_HZ, unit="[g]").plot().layout.yaxis
    assert axis.title.text == "amplitude [g]"


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="must be the same"):
        plot.trend([0, 1, 2], {"rms": [1, 2]})
    with pytest.raises(InputError, match="one for each of 4"):
        plot.waterfall(spectrum.amplitude(T.reshape(4, -1), RATE_HZ), [1, 2])
    with pytest.raises(InputError, match="as many of both"):
        plot.orbit([1, 2], [1, 2, 3])
    with pytest.raises(InputError, match="int cannot be drawn"):
        plot.draw(3)


def test_a_page_needs_no_network(tmp_path: Path) -> None:
    figure = plot.trend([0, 1], {"a": [1, 2]}, title="one")
    path = plot.write(tmp_path / "page.html", "pump <1>", [figure, figure], ["5 < 6"])
    page = path.read_text()
    assert "pump &lt;1&gt;" in page
    assert "5 &lt; 6" in page
    assert page.count("Plotly.newPlot(") >= 2
    assert "<script src" not in page
    assert page.count("plotly.js v") == 1


def test_without_plotly_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(InputError, match=r"iotpm\[plot\]"):
        plot.trend([0], {"a": [1]})


def test_the_mesh_of_a_gear() -> None:
    x = (1 + 0.2 * np.cos(2 * np.pi * 25 * T)) * np.sin(2 * np.pi * 25 * 23 * T)
    x += 0.01 * np.random.default_rng(1).standard_normal(T.size)
    found = gear.mesh(spectrum.amplitude(x, RATE_HZ), rpm=1500, teeth=23)
    lines = {(line.harmonic, line.sideband): line for line in found.lines}
    assert found.mesh_hz == 575.0
    assert lines[1, 0].amplitude == pytest.approx(1.0, rel=1e-2)
    assert lines[1, -1].amplitude == pytest.approx(0.1, rel=2e-2)
    assert lines[1, 1].over_noise > 100 > lines[2, 0].over_noise
    assert found.sideband_ratio == pytest.approx(0.1 * np.sqrt(2), rel=2e-2)
    with pytest.raises(InputError, match="a record of"):
        gear.mesh(spectrum.amplitude(x[:1000], RATE_HZ), rpm=1500, teeth=23)
    with pytest.raises(InputError, match="teeth = 1"):
        gear.mesh(spectrum.amplitude(x, RATE_HZ), rpm=1500, teeth=1)
