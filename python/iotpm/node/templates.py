"""Which templates act, and since when: a change of configuration is a message in the stream."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import structlog

from iotpm import streams, subjects

if TYPE_CHECKING:
    from iotpm.config import Config
    from iotpm.node.control import ControlPlane
    from iotpm.store.progress import Resume
    from iotpm.store.writer import Writer
    from iotpm.subjects import Names

log = structlog.get_logger(__name__)


class TemplateHistory:
    """The configurations of the epoch, and how the configured one gets into the stream."""

    def __init__(self, writer: Writer, config: Config, names: Names) -> None:
        self._writer = writer
        self._wanted = config.templates_json()
        self._hash = config.hash
        self._names = names
        self.acts = False
        """Whether the configured templates are the newest of the stream."""

    def acting_at(self, found: Resume) -> list[Any]:
        """Templates of an engine that starts at the beginning of the epoch; a snapshot brings its own."""
        base = found.position.base_seq
        known = self._newest("json", at_most=base)
        if known is None:
            self._writer.record_configuration(base, self._hash, self._wanted)
            known = self._wanted
        templates: list[Any] = json.loads(known)
        return templates

    def publish_if_changed(self, control: ControlPlane) -> None:
        """Put the configured templates into the stream if they are not the newest ones there.

        Raises:
            BrokerError: the stream takes no message now; try again later.
        """
        seq, digest = self._in_stream(control)
        if digest != self._hash:
            seq = control.run(control.js.publish(self._subject, self._wanted.encode())).seq
            log.info("configuration_published", sequence=seq)
        self._writer.record_configuration(seq, self._hash, self._wanted)
        self.acts = True

    def _in_stream(self, control: ControlPlane) -> tuple[int, str]:
        """Sequence and hash of the newest configuration; what is purged from the stream, the store knows."""
        message = control.run(streams.newest_message(control.js, self._names.raw_stream, self._subject))
        seq, digest = int(self._newest("seq") or 0), self._newest("hash") or ""
        if message is None or message.seq <= seq:
            return seq, digest
        return message.seq, hashlib.sha256(message.payload).hexdigest()

    @property
    def _subject(self) -> str:
        return self._names.control(subjects.CONFIGURATION)

    def _newest(self, column: str, at_most: int = 2**63) -> str | None:
        row = self._writer.database.connection.execute(
            f"SELECT {column} FROM configurations WHERE epoch = ? AND seq <= ? ORDER BY seq DESC LIMIT 1",
            [self._writer.position.epoch, at_most],
        ).fetchone()
        return None if row is None else str(row[0])
