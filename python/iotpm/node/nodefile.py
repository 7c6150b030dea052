"""`node.json`: how other commands find a running node of a data directory."""

from __future__ import annotations

from pathlib import Path

import msgspec

from iotpm.processes import Identity
from iotpm.store.lock import is_free


class NodeFile(msgspec.Struct, kw_only=True):
    """What a running node says about itself."""

    url: str
    pid: int
    version: str
    partition: str
    http: str
    identity: Identity
    connection: dict[str, str] = msgspec.field(default_factory=dict)

    @classmethod
    def path(cls, data_dir: Path) -> Path:
        """Where it lies."""
        return data_dir / "node.json"

    @classmethod
    def of_running_node(cls, data_dir: Path) -> NodeFile | None:
        """What the running node left; None if there is none or its process is gone."""
        found = cls._read(data_dir)
        return None if found is None or found._gone(data_dir) else found

    @classmethod
    def of_killed_node(cls, data_dir: Path) -> NodeFile | None:
        """What a node left that ended without taking it away: killed, crashed or cut off from power."""
        found = cls._read(data_dir)
        return found if found is not None and found._gone(data_dir) else None

    @classmethod
    def _read(cls, data_dir: Path) -> NodeFile | None:
        try:
            return msgspec.json.decode(cls.path(data_dir).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError):
            return None

    def _gone(self, data_dir: Path) -> bool:
        """Whether its process has ended; where that cannot be seen, as after a new boot, the store's lock tells."""
        return self.identity.is_dead() or (not self.identity.is_of_this_world() and is_free(data_dir))

    def write(self, data_dir: Path) -> None:
        """Put it in place at once, so that nobody reads half of it; for its user only, as a URL may hold a password."""
        temporary = self.path(data_dir).with_suffix(".tmp")
        temporary.touch(0o600)
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(self)))
        temporary.replace(self.path(data_dir))

    @classmethod
    def remove(cls, data_dir: Path) -> None:
        """Take it away at a clean end."""
        cls.path(data_dir).unlink(missing_ok=True)
