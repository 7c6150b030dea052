"""Random numbers that depend on names, not on order: counter-based, so that neighbours change nothing.

`splitmix64` (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators") turns (key, counter) into 64
bits; Box and Muller (1958) turn two of those into a standard normal variate.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

_GOLDEN = 0x9E37_79B9_7F4A_7C15
_MASK = (1 << 64) - 1
_TO_UNIT = 2.0**-53


def key_of(seed: int, *names: str) -> int:
    """A 64-bit key of a seed and names; the same on every machine."""
    text = "\x1f".join((str(seed), *names)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def generator_of(seed: int, *names: str) -> np.random.Generator:
    """A NumPy generator of a seed and names, for what is drawn once."""
    return np.random.Generator(np.random.PCG64(key_of(seed, *names)))


def _mix(x: Keys) -> Keys:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return x ^ (x >> np.uint64(31))


def uniform(keys: Keys, counter: int) -> Floats:
    """Uniform in (0, 1), one for each key; a function of (key, counter) only. Shape as `keys`."""
    offset = np.uint64(((counter + 1) * _GOLDEN) & _MASK)
    bits = _mix(keys + offset) >> np.uint64(11)
    return (bits.astype(np.float64) + 0.5) * _TO_UNIT


def normal(keys: Keys, counter: int) -> Floats:
    """Standard normal, one for each key; a function of (key, counter) only. Shape as `keys`.

    sqrt(-2 ln u1) cos(2 pi u2) with u1, u2 at the counters 2n and 2n + 1.
    """
    u1, u2 = uniform(keys, 2 * counter), uniform(keys, 2 * counter + 1)
    return np.asarray(np.sqrt(-2.0 * np.log(u1)) * np.cos(2.0 * np.pi * u2))
