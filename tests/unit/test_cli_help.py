"""Every command explains itself on a terminal of 80 columns, and nothing is cut off."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from iotpm.cli import main

COLUMNS = 80


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command and subcommand."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        yield (*path, name)
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))


@pytest.mark.parametrize("words", [(), *commands(main)], ids=" ".join)
def test_help_fits_into_a_terminal_and_is_whole(words: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(main, [*words, "--help"], terminal_width=COLUMNS)
    assert answer.exit_code == 0, answer.output
    # Words without a blank, such as a list of columns, are longer than any terminal.
    long = [line for line in answer.output.splitlines() if len(line) > COLUMNS and len(line.split()) > 2]
    assert long == []
    assert not any(line.rstrip().endswith("...") for line in answer.output.splitlines() if "ARGS" not in line)
    assert "\\b" not in answer.output


@pytest.mark.parametrize(("name", "says"), [("faults", "DIR is not needed"), ("skab", "valve1/*.csv")])
def test_help_on_a_benchmark_tells_of_that_one(name: str, says: str) -> None:
    general = CliRunner().invoke(main, ["evaluate", "--help"], terminal_width=COLUMNS).output
    answer = CliRunner().invoke(main, ["evaluate", name, "--help"], terminal_width=COLUMNS).output
    assert answer.startswith(general)
    assert says in answer.removeprefix(general)
