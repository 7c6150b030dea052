"""`iotpm config init|check|templates`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from iotpm.cli.output import Group, errors_end_the_command, json_option, print_json
from iotpm.errors import ConfigError


@click.group(cls=Group)
def command() -> None:
    """Write a commented example configuration, check one, or list the library of templates."""


@command.command()
@click.argument("path", type=click.Path(path_type=Path), default="plant.toml")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@errors_end_the_command
def init(path: Path, force: bool) -> None:
    """Write a commented example with every key, its default and its unit to PATH (default plant.toml)."""
    from iotpm.config import example

    if path.exists() and not force:
        raise click.ClickException(f"{path} exists; --force overwrites it")
    path.write_text(example())
    click.echo(f"wrote {path}; run `iotpm config check {path}` after editing, then `iotpm-ingest --config {path}`")


@command.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
@errors_end_the_command
def check(path: Path, as_json: bool) -> None:
    """Check PATH and name line, key, value and allowed values of every mistake."""
    from iotpm.config import Config, Mistake

    try:
        config = Config.load(path)
    except ConfigError as error:
        if not as_json:
            raise
        mistakes = [asdict(one) if isinstance(one, Mistake) else {"problem": str(one)} for one in error.mistakes]
        print_json({"path": str(path), "ok": False, "mistakes": mistakes})
        sys.exit(1)
    if as_json:
        print_json({"path": str(path), "ok": True, "hash": config.hash, "templates": len(config.all_templates)})
    else:
        made = len(config.all_templates) - len(config.templates)
        machines = f", {made} more of {len(config.machines)} machines" if config.machines else ""
        click.echo(f"{path}: ok ({len(config.templates)} templates{machines})")


@command.command()
@json_option
@errors_end_the_command
def templates(as_json: bool) -> None:
    """List the library of templates that `[[machine]]` uses, with the failure mode each hints at (ISO 14224)."""
    from iotpm.config.library import KINDS, failure_modes, library

    modes = failure_modes()
    if as_json:
        import msgspec

        print_json({"kinds": [msgspec.to_builtins(library(kind)) for kind in KINDS], "failure_modes": modes})
        return
    for kind in KINDS:
        plan = library(kind)
        click.echo(f"{kind}: {plan.description}")
        for entry in plan.entries:
            hint = "" if entry.failure_mode is None else f"{entry.failure_mode}  {modes[entry.failure_mode]}"
            click.echo(
                f"  {entry.signal:28} {entry.kind or '':12} settles in {entry.settle_s:>6.0f} s  {hint}".rstrip()
            )
