"""Figures of results: Plotly, from the extra `plot`, imported when a figure is made.

`result.plot()` of a spectrum, order spectrum, cepstrum, envelope, kurtogram, waveform, diagnosis or severity calls
`draw`; `waterfall`, `orbit` and `trend` take arrays. `write` makes one HTML file of several figures, for use offline.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from iotpm import bearing, iso20816, orders
from iotpm.cepstrum import Cepstrum
from iotpm.errors import InputError
from iotpm.spectrum import types

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["draw", "marks_of", "orbit", "trend", "waterfall", "write"]

POINTS_MAX: Final = 6000
"""Points of a curve in a figure: of more, the greatest of each stretch stands for it, so that no peak is lost."""
CELLS_MAX: Final = 500_000
"""Cells of a waterfall, in the same way, in at most `TIMES_MAX` rows."""
TIMES_MAX: Final = 500

COLOURS: Final = {"BPFO": "#d62728", "BPFI": "#1f77b4", "2 BSF": "#2ca02c", "FTF": "#9467bd", "shaft": "#7f7f7f",
                  "mesh": "#ff7f0e"}  # fmt: skip
ZONE_COLOURS: Final = {"A": "#c8e6c9", "B": "#fff9c4", "C": "#ffe0b2", "D": "#ffcdd2"}
_LAYOUT: Final = {"template": "plotly_white", "margin": {"l": 60, "r": 20, "t": 50, "b": 50}, "hovermode": "closest"}

_MARK: Final = '<meta name="generator" content="iotpm">'

Marks = Mapping[str, Sequence[float]]
"""Name of a family of lines -> their frequencies in Hz."""


def _plotly() -> Any:
    try:
        import plotly.graph_objects as graph
    except ImportError:
        raise InputError("figures need Plotly: pip install 'iotpm[plot]'") from None
    return graph


def draw(result: object, **options: Any) -> Any:
    """A figure of a result of `iotpm.spectrum`, `iotpm.orders`, `iotpm.bearing` or `iotpm.iso20816`.

    Args:
        result: what to draw; of several spectra or waveforms the first.
        options: `title`; of spectra `marks` (family of lines -> frequencies in Hz) and `high_hz`.

    Raises:
        InputError: Plotly is not installed, or something that cannot be drawn.
    """
    for kind, function in _DRAWN.items():
        if isinstance(result, kind):
            return function(result, **options)
    raise InputError(f"{type(result).__name__} cannot be drawn: {', '.join(kind.__name__ for kind in _DRAWN)} can")


def _figure(title: str, x: str, y: str, traces: Sequence[Any], **layout: Any) -> Any:
    figure = _plotly().Figure(list(traces))
    return figure.update_layout(**_LAYOUT, title=title, xaxis_title=x, yaxis_title=y, **layout)


def _curve(x: ArrayLike, y: ArrayLike, name: str = "", **style: Any) -> Any:
    across, along = thinned(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    return _plotly().Scatter(x=across, y=along, mode="lines", name=name, line={"width": 1, **style})


def thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most `POINTS_MAX` points: the least and the greatest `y` of each stretch, where they are."""
    kept = _extremes(y)
    return x[kept], y[kept]


def _extremes(y: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the points that `thinned` keeps; NaN is neither least nor greatest."""
    if y.size <= POINTS_MAX:
        return np.arange(y.size)
    stretch = -(-y.size // (POINTS_MAX // 2))
    whole = y[: y.size // stretch * stretch].reshape(-1, stretch)
    first = np.arange(len(whole)) * stretch
    least, greatest = (np.where(np.isnan(whole), end, whole) for end in (np.inf, -np.inf))
    rest = np.arange(whole.size, y.size)
    return np.unique(np.concatenate([first + least.argmin(axis=1), first + greatest.argmax(axis=1), rest]))


def _pooled(cells: NDArray[np.float64], most: int, axis: int) -> tuple[NDArray[np.float64], int]:
    """At most so many along an axis, each the greatest of its stretch, and how long a stretch is."""
    stretch = -(-cells.shape[axis] // most)
    starts = np.arange(0, cells.shape[axis], stretch)
    return np.maximum.reduceat(cells, starts, axis=axis), stretch


def _unit(unit: str | None) -> str:
    """In brackets; UCUM's `[g]` has them already."""
    bare = unit.startswith("[") and unit.endswith("]") if unit else False
    return "" if not unit else f" {unit}" if bare else f" [{unit}]"


def _first(values: NDArray[np.float64]) -> NDArray[np.float64]:
    first: NDArray[np.float64] = values.reshape(-1, values.shape[-1])[0]
    return first


def _mark(figure: Any, marks: Marks, high_hz: float) -> Any:
    for name, frequencies in marks.items():
        for at, frequency in enumerate(frequencies):
            if frequency <= high_hz:
                label = name if at == 0 else str(at + 1)
                colour = COLOURS.get(name, "#444")
                font = {"size": 10, "color": colour}
                figure.add_vline(x=frequency, line={"width": 1, "dash": "dot", "color": colour},
                                 annotation={"text": label, "textangle": -90, "font": font})  # fmt: skip
    return figure


def _spectrum(spectrum: types.Spectrum, *, title: str = "Spectrum", marks: Marks | None = None,
              high_hz: float | None = None) -> Any:  # fmt: skip
    high = high_hz or float(spectrum.frequency_hz[-1])
    shown = spectrum.frequency_hz <= high
    curve = _curve(spectrum.frequency_hz[shown], _first(spectrum.value)[shown])
    figure = _figure(title, "frequency [Hz]", f"{spectrum.quantity}{_unit(spectrum.value_unit)}", [curve])
    return _mark(figure, marks or {}, high)


def _envelope(envelope: types.Envelope, **options: Any) -> Any:
    low, high = envelope.band_hz.reshape(-1, 2)[0]
    title = f"Envelope spectrum of {low:.0f} to {high:.0f} Hz ({envelope.band_from})"
    return _spectrum(envelope.spectrum, **{"title": title, **options})


def _waveform(waveform: types.Waveform, *, title: str = "Waveform") -> Any:
    curve = _curve(waveform.time_s, _first(waveform.value))
    return _figure(title, "time [s]", f"value{_unit(waveform.unit)}", [curve])


def _order_spectrum(spectrum: orders.OrderSpectrum, *, title: str = "Order spectrum") -> Any:
    curve = _curve(spectrum.order, _first(spectrum.value))
    return _figure(title, "order [1/rev]", f"amplitude{_unit(spectrum.unit)}", [curve])


def _over_angle(result: orders.Angular | orders.SynchronousAverage, *, title: str = "Over the shaft's angle") -> Any:
    curve = _curve(result.angle_rev, _first(result.value))
    return _figure(title, "angle [rev]", f"value{_unit(result.unit)}", [curve])


def _cepstrum(cepstrum: Cepstrum, *, title: str = "Cepstrum") -> Any:
    half = slice(1, cepstrum.value.shape[-1] // 2 + 1)
    curve = _curve(cepstrum.quefrency_s[half], _first(cepstrum.value)[half])
    return _figure(title, "quefrency [s]", "real cepstrum", [curve])


def _kurtogram(kurtogram: types.Kurtogram, *, title: str = "Kurtogram") -> Any:
    kurtosis = _first(kurtogram.kurtosis)
    bars = _plotly().Bar(
        base=kurtogram.low_hz, x=kurtogram.high_hz - kurtogram.low_hz, y=[f"{level:.3g}" for level in kurtogram.level],
        orientation="h", marker={"color": kurtosis, "colorscale": "Viridis", "showscale": True},
        customdata=kurtosis, hovertemplate="%{base:.0f} Hz + %{x:.0f} Hz<br>kurtosis %{customdata:.3g}<extra></extra>",
    )  # fmt: skip
    figure = _figure(title, "frequency [Hz]", "level", [bars], barmode="overlay")
    return figure.update_yaxes(type="category", autorange="reversed")


def _diagnosis(diagnosis: bearing.Diagnosis, *, title: str | None = None) -> Any:
    found = diagnosis.modulation
    if found is None:
        raise InputError(f"nothing to draw: {diagnosis.reason}")
    low, high = found.band_hz
    curves = [_curve(found.frequency_hz, found.amplitude, "modulation"),
              _curve(found.frequency_hz, found.floor, "noise", color="#aaa")]  # fmt: skip
    below = ([html.escape(diagnosis.reason)] if diagnosis.reason else []) + [
        f"modulation of {low:.0f} to {high:.0f} Hz"
    ]
    heading = "<br>".join([title or diagnosis.verdict, *(f"<sub>{line}</sub>" for line in below)])
    figure = _figure(heading, "frequency [Hz]", "amplitude over mean square", curves)
    figure.update_layout(margin_t=60 + 20 * len(below))
    return _mark(figure, marks_of(diagnosis), float(found.frequency_hz[-1]))


def marks_of(diagnosis: bearing.Diagnosis, harmonics: int = 3) -> dict[str, list[float]]:
    """Lines of a diagnosis: as found for the strongest element, by geometry for the others, and the shaft's."""
    strongest = diagnosis.strongest
    marks = {"shaft": [diagnosis.rpm / 60]}
    for found in diagnosis.evidence:
        fundamental = found.nominal_hz * (1 + (found.slip if found is strongest else 0.0))
        marks[found.line] = [fundamental * harmonic for harmonic in range(1, harmonics + 1)]
    return marks


def _severity(severity: iso20816.Severity, *, title: str | None = None) -> Any:
    heading = title or f"Zone {severity.zone}: {severity.velocity_mm_s:.3g} mm/s ({severity.zones.standard})"
    bar = _plotly().Bar(x=["velocity RMS"], y=[severity.velocity_mm_s], width=0.3, marker={"color": "#37474f"})
    figure = _figure(heading, "", "velocity RMS [mm/s]", [bar], showlegend=False)
    return _zones(figure, severity.zones.velocity_mm_s, severity.velocity_mm_s)


def _zones(figure: Any, boundaries: Sequence[float], greatest: float) -> Any:
    edges = [0.0, *boundaries, max(1.2 * boundaries[-1], 1.1 * greatest)]
    for name, low, high in zip(ZONE_COLOURS, edges, edges[1:], strict=False):
        figure.add_hrect(y0=low, y1=high, fillcolor=ZONE_COLOURS[name], line_width=0, layer="below",
                         annotation={"text": name})  # fmt: skip
    return figure.update_yaxes(range=[0, edges[-1]])


def trend(
    times: ArrayLike,
    values: Mapping[str, ArrayLike],
    *,
    title: str = "Trend",
    unit: str | None = None,
    zones: Sequence[float] | None = None,
    limit: float | None = None,
    events: Mapping[str, Any] | None = None,
) -> Any:
    """Values over time, with the zones A to D behind them, a limit across, and events down.

    Args:
        times: of all series: numbers or datetimes.
        values: name -> series.
        title: above the figure.
        unit: of the values.
        zones: boundaries A/B, B/C and C/D.
        limit: an alarm limit.
        events: name -> time, such as the first alarm.

    Raises:
        InputError: Plotly is not installed, or a series is not as long as the times.
    """
    graph, along = _plotly(), np.asarray(times)
    series = {name: np.asarray(y, dtype=np.float64) for name, y in values.items()}
    if wrong := [name for name, y in series.items() if y.shape != along.shape]:
        raise InputError(f"times has the shape {along.shape}, {wrong[0]} {series[wrong[0]].shape}: must be the same")
    curves = [
        graph.Scatter(x=along[kept], y=y[kept], mode="lines", name=name)
        for name, y in series.items()
        for kept in [_extremes(y)]
    ]
    figure = _figure(title, "time", f"value{_unit(unit)}", curves)
    greatest = max((float(np.max(y, initial=0.0, where=~np.isnan(y))) for y in series.values()), default=0.0)
    if zones is not None:
        _zones(figure, zones, greatest)
    if limit is not None:
        figure.add_hline(y=limit, line={"dash": "dash", "color": "#d62728"}, annotation={"text": "limit"})
    for name, time in (events or {}).items():
        figure.add_shape(type="line", x0=time, x1=time, y0=0, y1=1, yref="paper", line={"color": "#d62728", "width": 1})
        figure.add_annotation(x=time, y=1, yref="paper", text=html.escape(name), showarrow=False, textangle=-90)
    return figure


def waterfall(
    spectra: types.Spectrum, times: ArrayLike, *, title: str = "Waterfall", high_hz: float | None = None
) -> Any:
    """Spectra over time, as colour; of more than `CELLS_MAX` cells the greatest of each stretch.

    Args:
        spectra: (times, lines).
        times: of the spectra: numbers or datetimes.
        title: above the figure.
        high_hz: highest frequency shown.

    Raises:
        InputError: Plotly is not installed, or not as many times as spectra.
    """
    rows, along = spectra.value.reshape(-1, spectra.value.shape[-1]), np.asarray(times)
    if along.shape != (len(rows),):
        raise InputError(f"times has the shape {along.shape}: one for each of {len(rows)} spectra is needed")
    shown = spectra.frequency_hz <= (high_hz or np.inf)
    powers, spectra_each = _pooled(rows[:, shown], TIMES_MAX, axis=0)
    powers, lines = _pooled(powers, CELLS_MAX // len(powers), axis=1)
    decibels = 20.0 if spectra.quantity == "amplitude" else 10.0
    levels = decibels * np.log10(np.maximum(powers, np.finfo(float).tiny))
    top = float(levels.max())
    heat = _plotly().Heatmap(
        x=spectra.frequency_hz[shown][::lines], y=along[::spectra_each], z=levels, zmin=top - 80, zmax=top,
        colorscale="Viridis",
        colorbar={"title": f"dB re 1{_unit(spectra.value_unit)}"},
    )  # fmt: skip
    return _figure(title, "frequency [Hz]", "time", [heat])


def orbit(x: ArrayLike, y: ArrayLike, *, unit: str | None = None, title: str = "Orbit") -> Any:
    """The path of a shaft's centre from two probes at a right angle, without their means: of `POINTS_MAX` samples.

    Raises:
        InputError: Plotly is not installed, or the probes differ in length.
    """
    across, along = np.asarray(x, dtype=np.float64).reshape(-1), np.asarray(y, dtype=np.float64).reshape(-1)
    if across.size != along.size or across.size == 0:
        raise InputError(f"x has {across.size} samples, y {along.size}: as many of both are needed")
    kept = slice(0, POINTS_MAX)
    path = _plotly().Scatter(x=(across - across.mean())[kept], y=(along - along.mean())[kept], mode="lines")
    start = _plotly().Scatter(x=path.x[:1], y=path.y[:1], mode="markers", name="start")
    figure = _figure(title, f"x{_unit(unit)}", f"y{_unit(unit)}", [path, start], showlegend=False)
    return figure.update_yaxes(scaleanchor="x", scaleratio=1)


def write(path: str | Path, title: str, figures: Sequence[Any], text: Sequence[str] = ()) -> Path:
    """One HTML file of figures under a title and lines of text; Plotly's script is in it, so it needs no network.

    Raises:
        OSError: the file cannot be written.
    """
    _plotly()
    import plotly.io as pio

    parts = [
        pio.to_html(figure, full_html=False, include_plotlyjs=at == 0, config={"displaylogo": False})
        for at, figure in enumerate(figures)
    ]
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in text)
    style = "body{font-family:system-ui,sans-serif;margin:2em auto;max-width:1200px}p{margin:.3em 0}"
    head = f'<meta charset="utf-8">{_MARK}<title>{html.escape(title)}</title><style>{style}</style>'
    body = f"<h1>{html.escape(title)}</h1>{lines}{''.join(parts)}"
    page = f"<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>"
    target = Path(path)
    target.write_text(page, encoding="utf-8")
    return target


def is_page(path: Path) -> bool:
    """Whether `write` made the file."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return _MARK in file.read(500)


_DRAWN: Final[dict[type, Callable[..., Any]]] = {
    types.Spectrum: _spectrum,
    types.Envelope: _envelope,
    types.Waveform: _waveform,
    types.Kurtogram: _kurtogram,
    orders.OrderSpectrum: _order_spectrum,
    orders.Angular: _over_angle,
    orders.SynchronousAverage: _over_angle,
    Cepstrum: _cepstrum,
    bearing.Diagnosis: _diagnosis,
    iso20816.Severity: _severity,
}
