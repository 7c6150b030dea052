"""Families of statistics in time: of a waveform, of windows over a series, of long horizons over a stream."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from iotpm import features
from iotpm.bench.families import Family, Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Figures = dict[str, Any]

WINDOW, HOP, WINDOWS = 300, 100, 300
"""Readings of a window, between their starts, and windows."""
HORIZONS_S = (60, 600, 3_600, 86_400)
DAY_S, HOUR_S = 86_400, 3_600
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOMENTS: Final = ("mean", "std", "min", "max", "rms", "skewness", "kurtosis")


def of(x: Array) -> Iterator[Family]:
    """Families of one waveform, of a series of readings, and of two days of readings."""
    yield Family(
        "time", f"18 figures of {len(x)} samples", lambda: features.time_domain(x).as_dict(),
        {
            "scipy": lambda _: lambda: _plain_time(x),
            "tsfresh": lambda _: _tsfresh_time(x),
            "librosa": lambda librosa: _librosa_time(librosa, x),
        },
    )  # fmt: skip
    series = np.random.default_rng(2).normal(20.0, 1.0, WINDOW + HOP * (WINDOWS - 1))
    windows = np.lib.stride_tricks.sliding_window_view(series, WINDOW)[::HOP]
    yield Family(
        "windows", f"17 figures of {WINDOWS} windows of {WINDOW}", lambda: features.window_features(windows, 1.0),
        {
            "scipy": lambda _: lambda: window_figures(windows),
            "tsfresh": lambda _: _tsfresh_windows(windows),
            "tsflex": lambda _: _tsflex_windows(series),
        },
    )  # fmt: skip
    days = np.random.default_rng(3).normal(20.0, 1.0, 2 * DAY_S)
    yield Family(
        "horizons", "last minute, 10 min, hour and day, hourly for a day of 1 Hz", lambda: _horizons(days),
        {"scipy": lambda _: lambda: _plain_horizons(days), "tsflex": lambda _: _tsflex_horizons(days)},
        approximate=frozenset({"quantiles"}),
    )  # fmt: skip


def _plain_time(x: Array) -> Figures:
    """The definitions in `iotpm.features.TimeFeatures`, what they share computed once."""
    from scipy import stats

    size, dx = np.abs(x), np.diff(x)
    rms, peak, mean, mean_size = np.sqrt(np.mean(x**2)), size.max(), x.mean(), size.mean()
    activity, mobility = x.var(), np.sqrt(dx.var() / x.var())
    return {
        "mean": mean, "std": np.sqrt(activity), "min": x.min(), "max": x.max(), "rms": rms, "peak": peak,
        "peak_to_peak": np.ptp(x), "crest_factor": peak / rms, "shape_factor": rms / mean_size,
        "impulse_factor": peak / mean_size, "clearance_factor": peak / np.mean(np.sqrt(size)) ** 2,
        "skewness": stats.skew(x), "kurtosis": stats.kurtosis(x), "zero_crossings": np.count_nonzero(np.diff(x < 0)),
        "mean_crossings": np.count_nonzero(np.diff(x < mean)), "activity": activity, "mobility": mobility,
        "complexity": np.sqrt(np.diff(dx).var() / dx.var()) / mobility,
    }  # fmt: skip


def _calculators() -> Any:
    return importlib.import_module("tsfresh.feature_extraction.feature_calculators")


def _tsfresh_time(x: Array) -> Work:
    """Without its skewness and kurtosis, which are those of a sample of a population, and so others."""
    calculate = _calculators()

    def work() -> Figures:
        rms, peak = calculate.root_mean_square(x), calculate.absolute_maximum(x)
        return {
            "mean": calculate.mean(x), "std": calculate.standard_deviation(x), "min": calculate.minimum(x),
            "max": calculate.maximum(x), "rms": rms, "peak": peak, "crest_factor": peak / rms,
            "zero_crossings": calculate.number_crossing_m(x, 0.0), "activity": calculate.variance(x),
        }  # fmt: skip

    return work


def _librosa_time(librosa: Any, x: Array) -> Work:
    def work() -> Figures:
        rms = librosa.feature.rms(y=x, frame_length=len(x), hop_length=len(x), center=False, dtype=np.float64)
        return {"rms": rms[0, 0], "zero_crossings": np.count_nonzero(librosa.zero_crossings(x, pad=False))}

    return work


def window_figures(windows: Array) -> Figures:
    """The 17 of every window by NumPy and SciPy, all windows at once."""
    from scipy import signal, stats

    f, p = signal.periodogram(windows, 1.0, scaling="spectrum")
    f, p = f[1:], p[:, 1:]
    share, greatest = p / p.sum(axis=1, keepdims=True), np.argmax(p, axis=1)
    rms = np.sqrt(np.mean(windows**2, axis=1))
    q25, median, q75 = np.percentile(windows, [25, 50, 75], axis=1)
    return {
        "mean": windows.mean(axis=1), "std": windows.std(axis=1), "min": windows.min(axis=1),
        "max": windows.max(axis=1), "rms": rms, "peak_to_peak": np.ptp(windows, axis=1),
        "skewness": stats.skew(windows, axis=1), "kurtosis": stats.kurtosis(windows, axis=1),
        "crest_factor": np.abs(windows).max(axis=1) / rms, "dominant_frequency": f[greatest],
        "dominant_amplitude": np.sqrt(2 * p[np.arange(len(p)), greatest]),
        "spectral_entropy": stats.entropy(share, axis=1) / np.log(share.shape[1]),
        "spectral_centroid": (f * share).sum(axis=1), "q25": q25, "median": median, "q75": q75, "iqr": q75 - q25,
    }  # fmt: skip


def _tsfresh_windows(windows: Array) -> Work:
    """What it computes for each window, but for skewness and kurtosis, as above."""
    of = _calculators()
    found = {
        "mean": of.mean, "std": of.standard_deviation, "min": of.minimum, "max": of.maximum,
        "rms": of.root_mean_square, "median": of.median, "q25": lambda x: of.quantile(x, 0.25),
        "q75": lambda x: of.quantile(x, 0.75),
    }  # fmt: skip
    return lambda: {name: np.array([function(window) for window in windows]) for name, function in found.items()}


def _tsflex_windows(series: Array) -> Work:
    """It strides over a series and runs the functions of others: those of NumPy and SciPy, on all windows at once."""
    pandas, flex = importlib.import_module("pandas"), importlib.import_module("tsflex.features")
    names = list(features.FEATURES)
    function = flex.FuncWrapper(_tuple_of_figures, output_names=names, vectorized=True, axis=1)
    collection = flex.FeatureCollection([flex.FeatureDescriptor(function, "x", window=WINDOW, stride=HOP)])
    data = pandas.Series(series, name="x")

    def work() -> Figures:
        table = collection.calculate(data, return_df=True, include_final_window=True, n_jobs=0)
        return {name: table[f"x__{name}__w={WINDOW}"].to_numpy() for name in names}

    return work


def _tuple_of_figures(windows: Array, axis: int = 1) -> tuple[Any, ...]:
    assert axis == 1
    found = window_figures(windows)
    return tuple(found[name] for name in features.FEATURES)


def _horizons(days: Array) -> Figures:
    """Readings as they come, an hour at a time; asked 24 times."""
    statistics, times_us = features.MultiResolution(), np.arange(len(days), dtype=np.int64) * 1_000_000
    found = []
    for end in range(HOUR_S, len(days) + 1, HOUR_S):
        statistics.push(times_us[end - HOUR_S : end], days[end - HOUR_S : end])
        if end > DAY_S:
            found += [statistics.over(horizon, QUANTILES) for horizon in HORIZONS_S]
    moments = {name: np.array([getattr(each, name) for each in found]) for name in _MOMENTS}
    return moments | {"quantiles": np.array([list(each.quantiles.values()) for each in found])}


def _plain_horizons(days: Array) -> Figures:
    """All readings of each horizon anew, as far as they are held."""
    ends = range(DAY_S + HOUR_S, len(days) + 1, HOUR_S)
    found = [_statistics(days[end - horizon : end]) for end in ends for horizon in HORIZONS_S]
    moments = {name: np.array([each[at] for each in found]) for at, name in enumerate(_MOMENTS)}
    return moments | {"quantiles": np.array([each[len(_MOMENTS) :] for each in found])}


def _statistics(x: Array) -> tuple[Any, ...]:
    from scipy import stats

    rms = np.sqrt(np.mean(x**2))
    shape = (stats.skew(x), stats.kurtosis(x), *np.quantile(x, QUANTILES))
    return x.mean(), x.std(), x.min(), x.max(), rms, *shape


def _tsflex_horizons(days: Array) -> Work:
    pandas, flex = importlib.import_module("pandas"), importlib.import_module("tsflex.features")
    names = [*_MOMENTS, *(f"q{q}" for q in QUANTILES)]
    function = flex.FuncWrapper(_statistics, output_names=names)
    descriptors = [flex.FeatureDescriptor(function, "x", window=horizon) for horizon in HORIZONS_S]
    collection, data = flex.FeatureCollection(descriptors), pandas.Series(days, name="x")
    ends = np.arange(DAY_S + HOUR_S, len(days) + 1, HOUR_S)

    def work() -> Figures:
        tables = collection.calculate(data, segment_end_idxs=ends, n_jobs=0)
        by_name = {column: table[column].to_numpy() for table in tables for column in table}
        columns = {name: [by_name[f"x__{name}__w={horizon}"] for horizon in HORIZONS_S] for name in names}
        return {name: np.stack(columns[name], axis=1).reshape(-1) for name in _MOMENTS} | {
            "quantiles": np.stack([np.stack(columns[name], axis=1) for name in names[len(_MOMENTS) :]], axis=-1)
        }

    return work
