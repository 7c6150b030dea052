"""`node.json`: how other commands find a running node of a data directory."""

from __future__ import annotations

from pathlib import Path

import msgspec

from iotpm.processes import Identity


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
        try:
            found = msgspec.json.decode(cls.path(data_dir).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError):
            return None
        return None if found.identity.is_dead() else found

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
