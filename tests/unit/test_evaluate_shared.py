"""NAB and TSB-AD on the shared data, with the shared experiment as scorer; skipped where they are not there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from iotpm.evaluate import Options, nab, tsb
from iotpm.evaluate.metrics.nab import PROFILES, Labelled, curve, probation
from iotpm.evaluate.metrics.vus import period, vus_pr

SHARED = Path(__file__).parents[3] / "shared"

pytestmark = pytest.mark.skipif(not (SHARED / "experiments" / "novelty.py").is_file(), reason="needs ../shared")


def novelty(values: NDArray[np.float64], warm_up: int) -> NDArray[np.float64]:
    """Scores of the experiment, with those of the warm-up."""
    sys.path.insert(0, str(SHARED / "experiments"))
    try:
        import novelty as experiment  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    scores: NDArray[np.float64] = experiment.score(values, warm_up)
    return scores


def nab_scores(file: nab.File) -> tuple[Labelled, NDArray[np.float64]]:
    series = nab.read(file)
    raw = novelty(series.values, 0)
    return Labelled.of(len(raw), series.windows), nab.output(raw, probation(len(raw)))


def test_nab_gives_the_figures_of_the_experiment() -> None:
    found, notes = nab.find(SHARED / "data" / "NAB")
    assert (len(found), notes) == (43, [])

    scored = Options().map(nab_scores, found, "NAB")
    curves = [curve(scored, PROFILES[name]) for name in ("standard", "low_fp", "low_fn")]

    assert [round(c.optimised()[0], 1) for c in curves] == [76.3, 68.7, 80.9]
    assert [round(c.frozen(), 1) for c in curves] == [75.4, 66.8, 80.3]


def ewma(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The experiment's ranking level: running mean from 0, weight .02."""
    level, out = 0.0, []
    for score in scores.tolist():
        level += 0.02 * (score - level)
        out.append(level)
    return np.array(out)


def tsb_vus_pr(path: Path) -> float:
    values, labels, prefix = tsb.read(path)
    return vus_pr(labels, ewma(novelty(values, prefix)), period(values))


def test_tsb_ad_gives_the_figure_of_the_experiment() -> None:
    paths = sorted((SHARED / "data" / "TSB-AD").glob("*_tr_*.csv"))

    assert round(float(np.mean(Options().map(tsb_vus_pr, paths, "TSB-AD"))), 3) == 0.674
