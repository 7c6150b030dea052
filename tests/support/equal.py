"""A stream through a real broker, node and store, for comparison with other ways of the same messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from iotpm import subjects
from iotpm.broker import Broker
from iotpm.node.service import Node
from iotpm.store.database import Database
from iotpm.store.digest import Digest, digests
from tests.support.nodes import FOREVER, QUIET, configuration, elsewhere, running, wait_until

VIRTUAL = replace(subjects.live(), virtual_time=True)
"""A live partition's names with virtual time: what an embedded engine understands too."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """So many messages, and how they get into the stream of the server at a URL."""

    messages: int
    into: Callable[[str], None]


def digests_through_a_node(
    directory: Path, publishing: Publishing, templates: list[dict[str, Any]], *, live: bool, **settings: Any
) -> dict[str, Digest]:
    """Through a broker, a node and its store: while the node runs, or from a stream that is filled already."""
    with Broker(directory / "broker") as broker:
        node = {"emit_scores": True, "source": "iotpm"} | settings
        config = configuration(directory / "data", broker.url, templates, node=node, store=dict(FOREVER))
        if not live:
            with running(Node(elsewhere(config, directory / "first"), names=VIRTUAL)):
                publishing.into(broker.url)
        service = Node(config, names=VIRTUAL, harness=None if live else QUIET)
        with running(service):
            if live:
                publishing.into(broker.url)
            wait_until(lambda: service.plane.stats()["committed_sequence"] == publishing.messages, "all is committed")
        with Database.read_only(config.data_dir, config.store) as database:
            return digests(database)
