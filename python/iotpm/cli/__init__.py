"""The `iotpm` command: one subcommand a file, imported when it is called."""

from __future__ import annotations

import importlib
from importlib.metadata import version

import click

COMMANDS = {
    "demo": "Run a simulated plant through a real broker, node and store, and say what was found.",
    "ingest": "Run a node: from NATS through the engine into the store (also `iotpm-ingest`).",
    "replay": "Replay CSV, Parquet or NDJSON files through a stream or straight into an engine.",
    "status": "Show what a node or its files know: position, lag, counts, disk.",
    "signals": "List signals: last seen, rate, late and duplicate counts, maturity.",
    "anomalies": "List anomalies, or follow them as they are raised.",
    "explain": "Tell why an anomaly was raised, on the terminal and as a page.",
    "feedback": "Label anomalies true, false or maintenance; take a label back; list them.",
    "dead-letters": "List what was refused, and why.",
    "export": "Write readings, windows, anomalies or what was refused to Parquet or CSV.",
    "config": "Write a commented example configuration, or check one.",
    "backtest": "Run history through the engine: what would a configuration have raised, what would it change?",
    "tune": "Propose settings that keep an alarm budget, from history in which nothing was wrong.",
    "seed": "Warm the detectors of a new node from history.",
    "scan": "Look through any table of readings, without a server: diagnostics, unusual stretches, a page of charts.",
    "evaluate": "Measure the detectors on public data sets, with controls beside every figure.",
    "spectrum": "Diagnose a record of vibration: lines, the damaged bearing element, severity, a page of figures.",
    "bench": "Measure engine, features and the whole stream on this machine.",
}


class LazyGroup(click.Group):
    """A group whose subcommands are imported only when they are called, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the table above."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import `iotpm.cli.<name>` and return its `command`."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"iotpm.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("iotpm"), prog_name="iotpm")
def main() -> None:
    """Predictive maintenance for plants: sensor streams to scored, explained anomalies."""
