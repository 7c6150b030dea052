"""Which templates act, and since when: a change of configuration is a message in the stream."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import structlog

from iotpm import subjects

if TYPE_CHECKING:
    from iotpm.config import Config
    from iotpm.node.control import ControlPlane
    from iotpm.store.progress import Resume
    from iotpm.store.writer import Writer
    from iotpm.subjects import Names

log = structlog.get_logger(__name__)


class TemplateHistory:
    """The configurations that the store knows, and how the configured one gets into the stream."""

    def __init__(self, writer: Writer, config: Config, names: Names) -> None:
        self._writer = writer
        self._wanted = config.templates_json()
        self._hash = config.hash
        self._names = names

    def acting_at(self, found: Resume) -> list[Any]:
        """Templates of an engine that starts at the beginning of the epoch; a snapshot brings its own."""
        base = found.position.base_seq
        known = self._one("SELECT json FROM configurations WHERE seq <= ? ORDER BY seq DESC LIMIT 1", base)
        if known is None:
            self._writer.record_configuration(base, self._hash, self._wanted)
            known = self._wanted
        templates: list[Any] = json.loads(known)
        return templates

    def publish_if_changed(self, control: ControlPlane) -> None:
        """Put the configured templates into the stream if they are not the newest ones that the store knows."""
        if self._one("SELECT hash FROM configurations ORDER BY seq DESC LIMIT 1") == self._hash:
            return
        subject = self._names.control(subjects.CONFIGURATION)
        ack = control.run(control.js.publish(subject, self._wanted.encode()))
        self._writer.record_configuration(ack.seq, self._hash, self._wanted)
        log.info("configuration_published", sequence=ack.seq)

    def _one(self, query: str, *values: object) -> str | None:
        row = self._writer.database.connection.execute(query, list(values)).fetchone()
        return None if row is None else str(row[0])
