"""Arguments of the engine: what Python gives, as the arrays and options that Rust takes, or an error that names it."""

from __future__ import annotations

import operator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from iotpm.errors import ConfigError, InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

_YEARS_S = (1_010_000_000, 4_102_444_800)
"""Seconds since 1970 of January 2002 and of 2100: round numbers that somebody made up lie before."""
_UNITS = {"seconds": 1, "milliseconds": 1_000, "nanoseconds": 1_000_000_000}


def times(name: str, given: ArrayLike) -> NDArray[np.int64]:
    """Microseconds from integers or datetimes (n); floats are refused, for they have lost microseconds already.

    Raises:
        InputError: another type, more than one dimension, NaT, or beyond 64 bits.
    """
    array = _array(name, given)
    if array.dtype.kind == "M":
        if (absent := np.isnat(array)).any():
            raise InputError(f"{name} has NaT at row {int(absent.argmax())}: every reading has a time")
        return array.astype("datetime64[us]").astype(np.int64)
    if array.dtype.kind not in "iu" and array.size:
        raise InputError(f"{name} has type {array.dtype}: must be integer microseconds or datetime64")
    if array.dtype.kind == "u" and array.size and array.max() >= 2**63:
        raise InputError(f"{name} reaches {array.max()}: must be microseconds since 1970, below 2**63")
    return array.astype(np.int64, copy=False)


def refuse_other_units(name: str, given: ArrayLike) -> None:
    """Integers that begin between 2002 and 2100 if they are not microseconds are none.

    Raises:
        InputError: so they begin. Whoever means 1970 says so by datetime64.
    """
    array = np.asarray(given)
    if array.dtype.kind not in "iu" or not array.size:
        return
    first = int(array.flat[0])
    for unit, per_second in _UNITS.items():
        if _YEARS_S[0] * per_second <= first < _YEARS_S[1] * per_second:
            meant = datetime.fromtimestamp(first / per_second, UTC)
            raise InputError(
                f"{name} begins with {first}: as {unit} that is {meant:%Y-%m-%d}, as microseconds it is not in 1990 to "
                f"2100; pass microseconds, or datetime64, which says its unit"
            )


def numbers(name: str, given: ArrayLike, dtype: DTypeLike) -> NDArray[Any]:
    """Numbers (n) of a type that holds them.

    Raises:
        InputError: no numbers, more than one dimension, or beyond the type.
    """
    wanted = np.dtype(dtype)
    array = _array(name, given)
    if wanted.kind == "u" and array.size:
        if array.dtype.kind not in "iub":
            raise InputError(f"{name} has type {array.dtype}: must be whole numbers")
        if array.min() < 0 or array.max() > np.iinfo(wanted).max:
            raise InputError(f"{name}: {array.min()} to {array.max()}: must be 0 to {np.iinfo(wanted).max}")
    try:
        return array.astype(wanted, copy=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {error}; must be numbers") from error


def signals(given: Any) -> Any:
    """Integers as uint32, so that a signal number never turns into another one; anything else unchanged."""
    if isinstance(given, str) or (isinstance(given, list) and given and isinstance(given[0], str)):
        return given
    array = np.asarray(given)
    if array.ndim != 1:
        raise InputError(f"signals has {array.ndim} dimensions: must have 1, or be one name")
    if array.dtype.kind not in "iu":
        return array.tolist()
    if array.size and (array.min() < 0 or array.max() >= 2**32):
        raise InputError(f"signals: {array.min()} to {array.max()} are no signal numbers; use signal_id")
    return array.astype(np.uint32, copy=False)


def whole(name: str, value: Any) -> int:
    """An option that is a whole number from 0.

    Raises:
        ConfigError: it is none; whether it is in its range the engine says.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0 or isinstance(value, bool):
        raise ConfigError([f"option {name} = {value!r}: must be a whole number from 0"])
    return number


def flag(name: str, value: Any) -> bool:
    """An option that is true or false.

    Raises:
        ConfigError: it is neither.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise ConfigError([f"option {name} = {value!r}: must be true or false"])
    return bool(value)


def tick_us(every_s: Any) -> int | None:
    """Microseconds of `tick_every_s`.

    Raises:
        ConfigError: no number of seconds from 0.001.
    """
    if every_s is None:
        return None
    if not isinstance(every_s, (int, float, np.number)) or not 0.001 <= every_s < 1e12:
        raise ConfigError([f"option tick_every_s = {every_s!r}: must be a number of seconds from 0.001, or None"])
    return round(float(every_s) * 1e6)


def snapshot(given: Any) -> bytes:
    """The bytes of a snapshot.

    Raises:
        InputError: no bytes.
    """
    try:
        return bytes(memoryview(given))
    except TypeError:
        raise InputError(f"snapshot is of type {type(given).__name__}: must be the bytes of snapshot()") from None


def _array(name: str, given: ArrayLike) -> NDArray[Any]:
    try:
        array = np.asarray(given)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {error}") from error
    if array.ndim != 1:
        raise InputError(f"{name} has {array.ndim} dimensions: must have 1, with a value for every reading")
    return array
