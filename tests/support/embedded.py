"""What an embedded engine computed, as a store, so that it compares with a node's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotpm.config import Store
from iotpm.store.database import Database
from iotpm.store.digest import Digest, digests
from iotpm.store.inserts import Table
from iotpm.store.progress import resume
from iotpm.store.snapshots import Snapshots
from iotpm.store.writer import Writer
from iotpm.streams import StreamFacts

if TYPE_CHECKING:
    from pathlib import Path

    from iotpm._core import Output

SETTINGS = Store(disk_reserve_bytes=0)


@dataclass(frozen=True, slots=True)
class OutputChunk:
    """An engine's output with the face of a chunk."""

    output: Output
    last_time_us: int = 0
    last_hash: int = 0

    @property
    def last_seq(self) -> int:
        return self.output.last_seq

    def __getattr__(self, name: str) -> Table:
        table: Table = getattr(self.output, "anomalies" if name == "anomaly_log" else name)
        return table


def stored(directory: Path, outputs: Iterable[Output]) -> dict[str, Digest]:
    """Digests of a store made of these outputs."""
    with Database(directory, SETTINGS) as database:
        facts = StreamFacts("embedded", 0, 1, 0, 0, 0, 0)
        writer = Writer(database, resume(database, Snapshots(directory), facts, None, None).position)
        for output in outputs:
            writer.commit(OutputChunk(output))
        return digests(database)
