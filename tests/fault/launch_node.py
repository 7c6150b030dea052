"""`iotpm-ingest` with switches that the product does not have: what the fault tests break on purpose.

`FAULT_BREAK` names what is broken (`progress_first`, `no_discard`), `FAULT_DIE` a point of the commit and which visit
of it ends the process by SIGKILL (`rows:4`), `FAULT_HANG` a file: while it exists no commit goes on, as with a disk
that does not answer.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from iotpm import logs
from iotpm.cli.ingest import drain_on_signals
from iotpm.config import Config
from iotpm.node.service import Node
from iotpm.store.progress import Resume
from iotpm.store.writer import Harness


class Dying:
    """Ends the process at the n-th visit of a point."""

    def __init__(self, plan: str) -> None:
        self._point, _, number = plan.partition(":")
        self._left = int(number or 0)

    def __call__(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Hanging:
    """Holds every commit up while a file exists."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def __call__(self, point: str) -> None:
        while point == "before_commit" and self._path.exists():
            time.sleep(0.01)


class Forgetful(Node):
    """A node that stores again what it reads again."""

    def _plane_options(self, found: Resume, templates: list[Any]) -> dict[str, Any]:
        known = found.snapshot.through if found.snapshot else found.position.base_seq
        return super()._plane_options(found, templates) | {"discard_through": known}


def main() -> None:
    broken, config = os.environ.get("FAULT_BREAK", ""), Config.load(Path(sys.argv[2]), environ={}, dotenv=None)
    logs.configure("info", "json")
    hang = os.environ.get("FAULT_HANG")
    at = Hanging(hang) if hang else Dying(os.environ.get("FAULT_DIE", ""))
    harness = Harness(progress_first=broken == "progress_first", at=at)
    with (Forgetful if broken == "no_discard" else Node)(config, harness=harness) as node:
        drain_on_signals(node)
        node.run()


if __name__ == "__main__":
    main()
