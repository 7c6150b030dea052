"""Writes golden/multivariate.json: rows, and the limit and statistics of the default model as NumPy computes them.

Run it with NumPy >= 2 installed: python tests/core/make_golden_multivariate.py
A second implementation, batch-wise and slow, of what the documentation of `iotpm_core::multivariate` says, without
cleaning. The Rust tests of iotpm-core read the file.
"""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistics = Callable[[Array], Array]
LAGS, RIDGE, RATE, ENERGY_RATE, JUMP, CLIP, FOLDS = 2, 1e-2, 0.05, 0.05, 4.0, 20.0, (6, 8, 10)
TAIL, ENERGY_WEIGHT = 1e-3, 2.0
TRAINING, TEST, COLUMNS = 160, 80, 3


def ledoit_wolf(rows: Array) -> Array:
    """Covariance of zero-mean rows, shrunk to a scaled identity."""
    n, p = rows.shape
    sample = rows.T @ rows / n
    scale = np.trace(sample) / p
    distance = ((sample - scale * np.eye(p)) ** 2).sum() / p
    noise = min((((rows**2).sum(1) ** 2).mean() - (sample**2).sum()) / n / p, distance)
    weight = noise / distance
    return np.asarray((1 - weight) * sample + weight * scale * np.eye(p))


def whitener(covariance: Array) -> Array:
    """`L` with `L L'` the inverse."""
    p = len(covariance)
    return np.linalg.cholesky(np.linalg.inv(covariance + 1e-6 * np.trace(covariance) / p * np.eye(p)))


def lagged(z: Array) -> Array:
    """Rows' predecessors side by side; before the first row there is the first row."""
    return np.hstack([np.vstack([np.repeat(z[:1], k, 0), z])[: len(z)] for k in range(1, LAGS + 1)])


def run(residuals: Array, white: Array) -> tuple[Array, Array]:
    """Averages, and the logarithm of the energy around them."""
    averages, energies = np.empty_like(residuals), np.empty(len(residuals))
    e, energy = np.zeros(residuals.shape[1]), 1.0
    for i, residual in enumerate(residuals):
        departure = residual - e
        square = ((departure @ white) ** 2).mean()
        energy += ENERGY_RATE * (min(square, JUMP**2) - energy)
        rate = RATE if square <= JUMP**2 else max(RATE, 1 - JUMP * (1 - RATE) / np.sqrt(square))
        e = e + rate * departure
        averages[i], energies[i] = e, np.log(energy)
    return averages, energies


def fit(train: Array, hold: tuple[int, int] | None = None) -> Statistics:
    """Level and energy (n, 2) of rows, their squares sum to the statistic's; rows of `hold` are in no estimate."""
    n = len(train)
    keep = np.ones(n, bool)
    used = keep.copy()
    used[:LAGS] = False
    if hold:
        keep[hold[0] : hold[1]] = False
        used[hold[0] : hold[1] + LAGS] = False
    centre = np.median(train[keep], 0)
    spread = np.maximum(train[keep].std(0), 1e-3 * np.abs(centre))
    scale: Statistics = lambda x: np.clip((x - centre) / spread, -CLIP, CLIP)  # noqa: E731
    z = scale(train)
    past = lagged(z)[used]
    weights = np.linalg.solve(past.T @ past + RIDGE * used.sum() * np.eye(past.shape[1]), past.T @ z[used])
    residual = z - lagged(z) @ weights
    mean = residual[used].mean(0)
    white = whitener(ledoit_wolf((residual - mean)[used]))
    settled = used.copy()
    settled[: min(int(1 / RATE), n // 4)] = False
    if hold:
        settled[hold[1] : hold[1] + int(1 / RATE)] = False
    averages, energies = run(residual - mean, white)
    level = whitener(ledoit_wolf(averages[settled]))
    usual, deviation = energies[settled].mean(), energies[settled].std()
    columns = train.shape[1]

    def statistics(x: Array) -> Array:
        scaled = scale(x)
        averages, energies = run(scaled - lagged(scaled) @ weights - mean, white)
        excess = np.maximum((energies - usual) / deviation, 0)
        parts = [((averages @ level) ** 2).sum(1), ENERGY_WEIGHT * excess**2]
        joint: Array = np.sqrt(np.column_stack(parts) / (columns + ENERGY_WEIGHT))
        return joint

    return statistics


def tail_limit(x: Array) -> float:
    """Larger of a Hill tail above the 90 % quantile and a lognormal."""
    u = np.quantile(x, 0.9)
    log = np.log(x)
    hill = u * (0.1 / TAIL) ** np.log(x[x > u] / u).mean()
    return float(max(hill, np.exp(log.mean() + NormalDist().inv_cdf(1 - TAIL) * log.std())))


def limit(train: Array) -> float:
    """Median over the numbers of folds of the limit of all held-out values."""
    found = []
    for count in FOLDS:
        blocks = np.array_split(np.arange(len(train)), count)
        held = np.vstack([fit(train, (int(b[0]), int(b[-1]) + 1))(train[b]) for b in blocks])
        found.append(tail_limit(np.sqrt((held**2).sum(1))))
    return float(np.median(found))


def rows() -> tuple[Array, Array]:
    """Autocorrelated, correlated columns of different units; the second half of the test has a fault of each kind."""
    rng = np.random.default_rng(7)
    noise = rng.standard_normal((TRAINING + TEST, COLUMNS)) @ np.array([[1, 0.6, 0], [0, 1, -0.4], [0, 0, 1]])
    x = np.zeros_like(noise)
    for i in range(1, len(x)):
        x[i] = 0.6 * x[i - 1] + noise[i]
    x[TRAINING + 40 :, 0] += 4.0
    x[TRAINING + 60 :, 2] *= 4.0
    x = np.round(x * [1.0, 20.0, 0.05] + [5.0, 300.0, -1.0], 6)
    return x[:TRAINING], x[TRAINING:]


def main() -> None:
    """Write the file."""
    train, test = rows()
    found = {
        "columns": COLUMNS,
        "train": train.ravel().tolist(),
        "test": test.ravel().tolist(),
        "limit": limit(train),
        "statistics": fit(train)(test).ravel().tolist(),
    }
    path = Path(__file__).parent / "golden" / "multivariate.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
