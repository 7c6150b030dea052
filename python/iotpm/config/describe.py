"""What a key allows, in words, from its annotated type."""

from __future__ import annotations

from typing import Any

from msgspec import inspect


def allowed(hint: Any) -> str:
    """Such as `a whole number from 0 to 65535` or `one of "process", "power"`."""
    return _words(inspect.type_info(hint))


def optional(hint: Any) -> bool:
    """Whether the key may be absent without a default."""
    info = _bare(inspect.type_info(hint))
    return isinstance(info, inspect.UnionType) and any(isinstance(t, inspect.NoneType) for t in info.types)


def _bare(info: inspect.Type) -> inspect.Type:
    return info.type if isinstance(info, inspect.Metadata) else info


def _words(info: inspect.Type) -> str:
    info = _bare(info)
    match info:
        case inspect.UnionType():
            return " or ".join(_words(t) for t in info.types if not isinstance(t, inspect.NoneType))
        case inspect.LiteralType():
            return "one of " + ", ".join(f'"{value}"' for value in info.values)
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number" + _range(info)
        case inspect.FloatType():
            return "a number" + _range(info)
        case inspect.StrType():
            return _string(info)
        case inspect.DateType():
            return "a date such as 2026-12-25"
        case inspect.TupleType():
            return f"a list of {len(info.item_types)}, each {_words(info.item_types[-1])}"
        case inspect.ListType() | inspect.VarTupleType():
            return f"a list, each item {_words(info.item_type)}"
    return type(info).__name__


def _string(info: inspect.StrType) -> str:
    if info.pattern == "^[^/]+$":
        return "the name of a signal of the same asset, without '/'"
    if info.pattern is not None and info.pattern.startswith("^([01]"):
        return 'a time of day such as "06:00"'
    if info.pattern == "^[A-Za-z0-9_-]{1,64}$":
        return "a string of 1 to 64 letters, digits, '-' or '_'"
    return "a string that is not empty" if info.min_length else "a string"


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    low = (
        f"from {_plain(info.ge)}" if info.ge is not None else f"above {_plain(info.gt)}" if info.gt is not None else ""
    )
    high = f"to {_plain(info.le)}" if info.le is not None else ""
    text = " ".join(part for part in (low, high) if part)
    return f" {text}" if text else ""


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() and abs(number) < 2**63 else f"{number:g}"
