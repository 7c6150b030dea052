"""`iotpm config init|check`."""

from __future__ import annotations

from pathlib import Path

import click

from iotpm.cli.output import errors_end_the_command, json_option, print_json


@click.group()
def command() -> None:
    """Write a commented example configuration, or check one."""


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
    from iotpm.config import Config

    config = Config.load(path)
    if as_json:
        print_json({"path": str(path), "ok": True, "hash": config.hash})
    else:
        click.echo(f"{path}: ok ({len(config.templates)} templates)")
