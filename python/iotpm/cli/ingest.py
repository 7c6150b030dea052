"""`iotpm-ingest`: run a node until SIGTERM or Ctrl-C."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iotpm.cli.output import errors_end_the_command

if TYPE_CHECKING:
    from iotpm.node.service import Node


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config", "path", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Configuration, TOML."
)
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Takes the place of node.data_dir.")
@click.option("--new-epoch", metavar="REASON", help="Continue although stream and store do not belong together.")
@click.version_option(package_name="iotpm")
@errors_end_the_command
def command(path: Path | None, data_dir: Path | None, new_epoch: str | None) -> None:
    """Run a node: from NATS through the engine into the store.

    Without --config it starts a broker of its own on a free loopback port and keeps everything in ./iotpm-data.
    Environment variables and a .env file override single keys: IOTPM_NODE__HTTP_PORT=9464. SIGTERM and Ctrl-C drain:
    what was read is stored, what was stored is published, and the state is written, within 10 s.
    """
    import msgspec

    from iotpm import logs
    from iotpm.config import Config
    from iotpm.node.service import Node

    config = Config.load(path)
    if data_dir:
        config = msgspec.structs.replace(config, node=msgspec.structs.replace(config.node, data_dir=str(data_dir)))
    logs.configure(config.node.log_level, config.node.log_format)
    node = Node(config, new_epoch=new_epoch)
    drain_on_signals(node)
    with node:
        node.run()


def drain_on_signals(node: Node) -> None:
    """SIGTERM and Ctrl-C drain; a second Ctrl-C ends at once, whatever the node is doing: a crash costs nothing."""

    def drain(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # The handler runs between two steps of the commit loop: it must not wait for the plane.
        threading.Thread(target=node.drain, name="iotpm-drain", daemon=True).start()

    signal.signal(signal.SIGTERM, drain)
    signal.signal(signal.SIGINT, drain)


main = command
