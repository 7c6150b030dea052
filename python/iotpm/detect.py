"""Detectors on plain arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iotpm import _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["modified_z"]


def modified_z(x: ArrayLike, window: int = 100, boundary: float = 3.5, resolution: float = 0.0) -> NDArray[np.float64]:
    """Score of each value against the values before it: causal, 1.0 is the alarm boundary.

    `|0.6745 (x - median) / max(MAD, resolution)| / boundary`, with median and MAD of the `window` values before x
    (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993); the z-score is limited to 1e6.

    Args:
        x: values (n), finite.
        window: values that the median and MAD are of, 2 to 1,000,000.
        boundary: modified z-score that counts as 1.0.
        resolution: smallest step of the sensor, the floor of the MAD.

    Returns:
        Scores (n), >= 0; NaN for the first `window` values.

    Raises:
        InputError: values that are not finite, or an argument out of range.
    """
    return _core.modified_z(np.asarray(x, dtype=np.float64), window, boundary, resolution)
