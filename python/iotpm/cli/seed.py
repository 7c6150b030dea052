"""`iotpm seed`: what detectors learn from history, for a node that has not begun."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpm.cli.history import history_options, opened, progress
from iotpm.cli.options import moment
from iotpm.cli.output import errors_end_the_command, json_option, print_json, show

if TYPE_CHECKING:
    from iotpm.seed import Seed


@click.command()
@history_options
@click.option(
    "--data-dir", "target", type=click.Path(path_type=Path, file_okay=False), required=True,
    help="Of the node that is to begin with it; the node must not have begun.",
)  # fmt: skip
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The node's configuration: it takes the seed only under the same templates.",
)  # fmt: skip
@json_option
@errors_end_the_command
def command(**told: Any) -> None:
    """Warm the detectors of a new node from history, so that its first live readings are scored by mature ones.

    \b
      iotpm seed history/ --data-dir iotpm-data --config plant.toml
      iotpm seed --dir old-data --from 14d \\
                 --data-dir iotpm-data --config plant.toml
      iotpm-ingest --config plant.toml --data-dir iotpm-data

    The history runs through an engine; what it learned becomes DATA_DIR/state/seed, and a node whose store is new
    begins with it. Nothing else of the history gets into the node: no readings, no anomalies, no counts. The store
    records which seed it began with (`iotpm status` shows it), and a start without a snapshot begins there again, so
    that a seeded node gives the same rows however often it is started; keep the file.

    Signals are known by their names, site/asset/signal: --site and --asset make those of files. Waveforms do not seed.
    """  # noqa: D301 - click reads the escape
    from iotpm import logs
    from iotpm.config import Config
    from iotpm.seed import Seed

    logs.configure("warning")
    config, target = Config.load(told["config_path"]), told["target"]
    _check_new(target)
    with opened(told, [config]) as (history, _):
        with progress("learning", history.readings) as advance:
            source = str(told["data_dir"] or told["path"])
            seed = Seed.learn(history, config, source, shards=min(os.cpu_count() or 1, 4), advance=advance)
        notes = list(history.notes)
    path = seed.write(target)
    _tell(seed, path, notes, as_json=told["as_json"])


def _check_new(data_dir: Path) -> None:
    """A node that has begun keeps its own state."""
    from iotpm.client import connect
    from iotpm.errors import StoreError
    from iotpm.store.database import FILE

    if not (data_dir / FILE).exists():
        return
    with connect(data_dir) as source:
        status = source.status()
    if status["running"] or status["committed_sequence"]:
        raise StoreError(
            f"{data_dir}: its node has begun (message {status['committed_sequence']}): a seed is for a new directory"
        )


def _tell(seed: Seed, path: Path, notes: list[str], *, as_json: bool) -> None:
    facts = seed.facts
    maturity = dict(Counter(signal.maturity for signal in facts.signals).most_common())
    if as_json:
        print_json({**facts.told, "maturity": maturity, "bytes": len(seed.state), "path": str(path), "notes": notes})
        return
    for note in notes:
        click.echo(f"note: {note}", err=True)
    click.echo(
        f"{show(facts.readings)} readings of {show(len(facts.signals))} signals, {show(moment(facts.first_us))} to "
        f"{show(moment(facts.last_us))} UTC: {', '.join(f'{show(n)} {name}' for name, n in maturity.items())}"
    )
    click.echo(f"the seed: {path} ({show(len(seed.state))} bytes)")
