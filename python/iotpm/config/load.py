"""From TOML text and overrides to checked values, collecting mistakes on the way."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args

import msgspec
from dotenv import dotenv_values
from msgspec import inspect

from iotpm.config.checks import cross_checks
from iotpm.config.describe import allowed
from iotpm.config.mistakes import Mistake, Path, did_you_mean, key_lines, line_of, show_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "IOTPM_"
_NOT_KEYS = ("IOTPM_CONFIG", "IOTPM_TEST_")
_MISSING = object()
_TWICE = re.compile(r"Cannot declare \((.*)\) twice")

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Override:
    """One variable that sets a key."""

    source: str
    variable: str
    text: str


@dataclass(frozen=True, slots=True)
class Overrides:
    """Variables that set keys; later ones win."""

    items: tuple[Override, ...] = ()

    @classmethod
    def collect(cls, environ: Mapping[str, str] | None, dotenv: str | FilePath | None) -> Overrides:
        """Those of `.env` first, then those of the environment."""
        found: list[Override] = []
        if dotenv is not None and FilePath(dotenv).is_file():
            pairs = dotenv_values(dotenv, interpolate=False)
            found += [Override(str(dotenv), name, text or "") for name, text in pairs.items() if _is_key(name)]
        pairs_env = os.environ if environ is None else environ
        found += [Override("environment", name, text) for name, text in sorted(pairs_env.items()) if _is_key(name)]
        return cls(tuple(found))


@dataclass(slots=True)
class _Reader:
    """What is known while one configuration is read."""

    lines: dict[Path, int]
    file: str
    mistakes: list[Mistake] = field(default_factory=list)
    wrong: set[Path] = field(default_factory=set)
    origin: dict[Path, str] = field(default_factory=dict)

    def report(self, path: Path, value: object, problem: str) -> None:
        source = self.origin.get(path, self.file)
        line = None if path in self.origin else line_of(path, self.lines)
        shown = None if value is _MISSING else _show(value)
        self.mistakes.append(Mistake(source, line, show_path(path), shown, problem))
        self.wrong.add(path)


def read(
    model: type[msgspec.Struct], path: str | FilePath | None, overrides: Overrides
) -> tuple[Table, tuple[Mistake, ...]]:
    """Checked values of the file at `path` with overrides applied, and all mistakes (values are unusable then)."""
    text, mistake = _text(path)
    if mistake:
        return {}, (mistake,)
    reader = _Reader(key_lines(text), "defaults" if path is None else str(path))
    try:
        values: Table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return {}, (_syntax(reader.file, error, reader.lines),)
    for override in overrides.items:
        _apply(override, model, values, reader)
    _check_table(model, values, (), reader)
    _check_together(model, values, reader)
    return values, tuple(sorted(reader.mistakes, key=lambda mistake: mistake.line or 0))


def check(model: type[msgspec.Struct], values: Table, source: str) -> tuple[Mistake, ...]:
    """All mistakes of values that come from no file, by the rules of one; `source` says where they come from."""
    reader = _Reader({}, source)
    _check_table(model, values, (), reader)
    _check_together(model, values, reader)
    return tuple(reader.mistakes)


def _check_together(model: type[msgspec.Struct], values: Table, reader: _Reader) -> None:
    """Rules of several keys, over those that are right; one that names a wrong key beside its own waits."""
    wrong = frozenset(reader.wrong)
    for where, value, problem in cross_checks(msgspec.convert(_right_part(values, (), wrong), model)):
        beside = (str(path[-1]) for path in wrong if path[:-1] == where[:-1])
        if not any(re.search(rf"\b{re.escape(key)}\b", problem) for key in beside):
            reader.report(where, value, problem)


def _right_part(value: Any, path: Path, wrong: frozenset[Path]) -> Any:
    """The value without its wrong keys; a wrong table of a list becomes an empty one: the others keep their number."""
    if isinstance(value, dict):
        return {key: _right_part(v, (*path, key), wrong) for key, v in value.items() if (*path, key) not in wrong}
    if isinstance(value, list):
        return [{} if (*path, at) in wrong else _right_part(item, (*path, at), wrong) for at, item in enumerate(value)]
    return value


def _text(path: str | FilePath | None) -> tuple[str, Mistake | None]:
    if path is None:
        return "", None
    try:
        return FilePath(path).read_text("utf-8-sig"), None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return "", Mistake(str(path), None, "file", None, f"{reason}; `iotpm config init` writes an example")


def _syntax(file: str, error: tomllib.TOMLDecodeError, lines: dict[Path, int]) -> Mistake:
    message, _, place = str(error).partition(" (at line ")
    line = int(place.split(",")[0]) if place else None
    if (twice := _TWICE.fullmatch(message)) is not None:
        path = tuple(part.strip("' ") for part in twice[1].split(",") if part)
        first = f" in line {lines[path]}" if path in lines else ""
        problem = f"a table may stand once, and it begins{first} already: put its keys together"
        return Mistake(file, line, f"[{'.'.join(path)}]", None, problem)
    if message == "Cannot overwrite a value":
        message = "a key stands twice in its table: leave one"
    return Mistake(file, line, "TOML", None, message)


def _apply(override: Override, model: type[msgspec.Struct], values: Table, reader: _Reader) -> None:
    names = override.variable.removeprefix(PREFIX).lower().split("__")
    known = {f"{section}__{key}": target for section, key, target in _scalar_keys(model)}
    target = known.get("__".join(names))
    if target is None:
        variables = [f"{PREFIX}{name}".upper() for name in known]
        near = did_you_mean(override.variable, [v.lower() for v in variables]).upper()
        hint = near.replace("DID YOU MEAN", "did you mean") if near.startswith("DID") else "IOTPM_<SECTION>__<KEY>"
        reader.mistakes.append(Mistake(override.source, None, override.variable, None, f"sets no key; {hint}"))
        return
    path: Path = (names[0], names[1])
    reader.origin[path] = f"{override.source} {override.variable}"
    section = values.setdefault(names[0], {})
    if isinstance(section, dict):
        section[names[1]] = _lax(override.text, target)


def _lax(text: str, target: Any) -> Any:
    """The text as the key's type, or itself, for the strict check to refuse."""
    if text == "" and NoneType in get_args(getattr(target, "__origin__", target)):
        return None
    try:
        return msgspec.convert(text, target, strict=False)
    except msgspec.ValidationError:
        return text


def _scalar_keys(model: type[msgspec.Struct]) -> Iterator[tuple[str, str, Any]]:
    for section, kind in _hints(model).items():
        struct = _struct_of(kind)
        if struct is not None:
            yield from ((section, key, hint) for key, hint in _hints(struct).items())


def _check_table(model: type[msgspec.Struct], table: object, path: Path, reader: _Reader) -> None:
    if not isinstance(table, dict):
        reader.report(path, table, f"must be a table, written [{show_path(path)}]")
        return
    hints = _hints(model)
    for key, value in table.items():
        where = (*path, key)
        if key not in hints:
            reader.report(where, _MISSING, f"unknown key; {did_you_mean(key, hints)}")
        else:
            _check_value(hints[key], value, where, reader)


def _check_value(hint: Any, value: object, path: Path, reader: _Reader) -> None:
    element = _element_struct(hint)
    if (struct := _struct_of(hint)) is not None:
        _check_table(struct, value, path, reader)
    elif element is not None:
        _check_list(element, value, path, reader)
    else:
        _check_leaf(hint, value, path, reader)


def _check_list(element: type[msgspec.Struct], value: object, path: Path, reader: _Reader) -> None:
    if not isinstance(value, list):
        reader.report(path, value, f"must be a list of tables, each written [[{show_path(path)}]]")
        return
    for index, item in enumerate(value):
        _check_table(element, item, (*path, index), reader)


def _check_leaf(hint: Any, value: object, path: Path, reader: _Reader) -> None:
    try:
        converted = msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError:
        reader.report(path, value, f"must be {allowed(hint)}")
        return
    if isinstance(converted, float) and converted - converted != 0:
        reader.report(path, value, "must be a finite number")


def _hints(model: type[msgspec.Struct]) -> dict[str, Any]:
    from typing import get_type_hints

    hints = get_type_hints(model, include_extras=True)
    return {item.encode_name: hints[item.name] for item in msgspec.structs.fields(model)}


def _struct_of(hint: Any) -> type[msgspec.Struct] | None:
    info = _bare(inspect.type_info(hint))
    return info.cls if isinstance(info, inspect.StructType) else None


def _element_struct(hint: Any) -> type[msgspec.Struct] | None:
    info = _bare(inspect.type_info(hint))
    inner = _bare(info.item_type) if isinstance(info, inspect.VarTupleType) else None
    return inner.cls if isinstance(inner, inspect.StructType) else None


def _bare(info: inspect.Type) -> inspect.Type:
    return info.type if isinstance(info, inspect.Metadata) else info


def _is_key(name: str) -> bool:
    return name.startswith(PREFIX) and not name.startswith(_NOT_KEYS)


def _show(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
