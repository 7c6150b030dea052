"""Mistakes in a configuration, and where in the file they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Path = tuple[str | int, ...]

_TABLE = re.compile(r"\s*\[(?!\[)\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_ARRAY = re.compile(r"\s*\[\[\s*([^\[\]]+?)\s*\]\]\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_\-.\"' ]+?)\s*=")
_TRIPLE = re.compile(r'"""|\'\'\'')


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: where, which key, which value, what is allowed."""

    source: str
    line: int | None
    key: str
    value: str | None
    problem: str

    def __str__(self) -> str:
        """One line: `plant.toml:3: node.http_port = "x": must be ...`."""
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        shown = "" if self.value is None else f" = {self.value}"
        return f"{place}: {self.key}{shown}: {self.problem}"


def show_path(path: Path) -> str:
    """`('template', 1, 'limits', 'hi')` as `template[1].limits.hi`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` or, when nothing is near, the list of what is known."""
    names = sorted(known)
    near = get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names)}"


def key_lines(text: str) -> dict[Path, int]:
    """Line (from 1) of every table and key of a TOML text; keys inside inline tables have their table's line."""
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        if not inside:
            table = _note(line, number, table, lines, counts)
        inside ^= len(_TRIPLE.findall(line)) % 2 == 1
    return lines


def line_of(path: Path, lines: dict[Path, int]) -> int | None:
    """Line of a key or, if it has none of its own, of the nearest table around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def _note(line: str, number: int, table: Path, lines: dict[Path, int], counts: dict[Path, int]) -> Path:
    if match := _ARRAY.match(line):
        name = _resolve(_split(match[1]), counts)
        counts[name] = counts.get(name, -1) + 1
        table = (*name, counts[name])
        lines[table] = number
    elif match := _TABLE.match(line):
        table = _resolve(_split(match[1]), counts)
        lines.setdefault(table, number)
    elif match := _KEY.match(line):
        lines.setdefault((*table, *_split(match[1])), number)
    return table


def _resolve(name: Path, counts: dict[Path, int]) -> Path:
    """`[template.limits]` belongs to the newest `[[template]]`."""
    done: Path = ()
    for depth, part in enumerate(name):
        done = (*done, part)
        if depth < len(name) - 1 and done in counts:
            done = (*done, counts[done])
    return done


def _split(name: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in name.split("."))
