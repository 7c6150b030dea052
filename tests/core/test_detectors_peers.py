"""Detectors of one signal against the same ones of other libraries: river and stumpy, which only tests need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from iotpm import detect

pytest.importorskip("river", reason="pip install iotpm[test]")
pytest.importorskip("sklearn")

from river import anomaly, drift
from sklearn.metrics import roc_auc_score

Floats = NDArray[np.float64]

WARM_UP = 200
STRETCH = 32
"""Readings that the left discord compares."""
FARTHEST = 512
"""Greatest number of readings between two stretches."""
MEASURES = 512
"""Distances that tell what is usual."""

LEFT_PROFILE = f"""
import sys
import numpy as np, stumpy
# Stretches fewer than {STRETCH} readings apart overlap: this excludes 31 on each side.
stumpy.config.STUMPY_EXCL_ZONE_DENOM = 1.04
x = np.load(sys.argv[1])
known = {FARTHEST + STRETCH}
stream = stumpy.stumpi(x[:known], {STRETCH}, egress=True)
found = []
for value in x[known:]:
    stream.update(value)
    found.append(stream.left_P_[-1])
np.save(sys.argv[2], np.array(found))
"""


def wandering(seed: int, n: int) -> Floats:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, n)
    x[n // 2 :] += 1.5
    x[3 * n // 4 :] -= 3.0
    return np.asarray(x)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_page_hinkley_alarms_where_rivers_does(seed: int) -> None:
    x = wandering(seed, 4000)
    healthy = x[:WARM_UP]
    peer: Any = drift.PageHinkley(min_instances=1, delta=0.1, threshold=50.0, alpha=0.9999, mode="both")
    theirs = []
    for number, z in enumerate(((x[WARM_UP:] - healthy.mean()) / healthy.std(ddof=1)).tolist()):
        peer.update(z)
        if peer.drift_detected:
            theirs.append(WARM_UP + number)
    ours = np.flatnonzero(detect.score_series(x, warm_up=WARM_UP, detectors=["page_hinkley"]) >= 1.0)
    assert ours.tolist() == theirs
    assert len(theirs) >= 2


def test_half_space_trees_rank_rare_readings_as_rivers_do() -> None:
    """The trees are random, so scores differ; what both find rare is the same."""
    rng = np.random.default_rng(4)
    x = rng.normal(0.0, 1.0, 5000)
    rare = np.zeros(5000, dtype=bool)
    rare[rng.choice(np.arange(2000, 5000), 60, replace=False)] = True
    x[rare] += rng.choice([-4.0, 4.0], 60)
    # A point is four neighbouring readings, so a rare reading makes four rare points.
    expected = np.convolve(rare, np.ones(4))[:5000] > 0
    points = np.lib.stride_tricks.sliding_window_view((x - x[:256].min()) / np.ptp(x[:256]), 4)
    peer: Any = anomaly.HalfSpaceTrees(
        n_trees=25, height=7, window_size=256, seed=1, limits=dict.fromkeys(range(4), (0.0, 1.0))
    )
    theirs = np.zeros(5000)
    for number, point in enumerate(points.tolist(), start=3):
        theirs[number] = peer.score_one(dict(enumerate(point)))
        peer.learn_one(dict(enumerate(point)))
    ours = detect.score_series(x, warm_up=0, detectors=["half_space_trees"])
    found, wanted = (roc_auc_score(expected[2000:], scores[2000:]) for scores in (ours, theirs))
    assert wanted >= 0.85
    assert found >= wanted - 0.05


def left_profile(x: Floats, folder: Path) -> Floats:
    """Distance of each stretch to the nearest of those that begin 32 to 512 readings earlier, by stumpy.

    Its compiler would take a minute for what its Python does in seconds, and can only be told so before it is imported.
    """
    given, found = folder / "x.npy", folder / "profile.npy"
    np.save(given, x)
    environ = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-c", LEFT_PROFILE, str(given), str(found)]
    subprocess.run(command, check=True, timeout=120, env=environ)
    return np.asarray(np.load(found))


def scored(distances: Floats) -> Floats:
    """Distances above the median of the 512 before them, in five robust deviations of theirs."""
    floor = 0.02 * 2.0 * np.sqrt(STRETCH)
    out = np.zeros(len(distances))
    for at in range(MEASURES, len(distances)):
        known = distances[at - MEASURES : at]
        median = np.median(known)
        deviation = max(1.4826 * np.median(np.abs(known - median)), floor)
        out[at] = max((distances[at] - median) / (5.0 * deviation), 0.0)
    return out


def test_the_left_discord_is_stumpys_left_profile(tmp_path: Path) -> None:
    pytest.importorskip("stumpy", reason="pip install iotpm[test]")
    rng = np.random.default_rng(5)
    x = np.sin(np.arange(1500) / 7.0) + 0.2 * rng.normal(size=1500)
    x[1300:1332] = np.sin(np.arange(32) / 2.0)
    known = FARTHEST + STRETCH
    expected = scored(left_profile(x, tmp_path))[MEASURES:]
    found = detect.score_series(x, warm_up=0, detectors=["discord"])[known + MEASURES :]
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-9)
    assert found.max() >= 1.0
