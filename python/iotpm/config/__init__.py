"""Configuration: TOML, `IOTPM_*` environment variables and `.env`, strict; every mistake at once.

`Config()` has the defaults, `Config.load(path)` reads a file and applies the overrides
(`IOTPM_NODE__HTTP_PORT=9100` sets `node.http_port`; the environment wins over `.env`, both over the file).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from iotpm.config.calendars import resolved
from iotpm.config.commented import commented
from iotpm.config.load import Overrides, read
from iotpm.config.machines import expand
from iotpm.config.mistakes import Mistake
from iotpm.config.model import (
    AlarmLimits,
    BearingFacts,
    Calendar,
    Limits,
    Machine,
    MachineFacts,
    Nats,
    Node,
    Section,
    States,
    Store,
    Stream,
    Template,
    Usual,
    Webhook,
)
from iotpm.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AlarmLimits",
    "BearingFacts",
    "Calendar",
    "Config",
    "Limits",
    "Machine",
    "MachineFacts",
    "Mistake",
    "Nats",
    "Node",
    "Overrides",
    "Section",
    "States",
    "Store",
    "Stream",
    "Template",
    "Usual",
    "Webhook",
    "example",
]


class Config(Section, frozen=True, kw_only=True, rename={"templates": "template", "machines": "machine"}):
    """A whole configuration, checked, immutable. Paths in it are relative to the working directory."""

    nats: Annotated[Nats, Meta(description="broker")] = Nats()
    stream: Annotated[Stream, Meta(description="streams")] = Stream()
    node: Annotated[Node, Meta(description="process")] = Node()
    store: Annotated[Store, Meta(description="store")] = Store()
    webhook: Annotated[Webhook, Meta(description="webhook")] = Webhook()
    limits: Annotated[Limits, Meta(description="bounds")] = Limits()
    calendar: Annotated[Calendar, Meta(description="clock and shifts of the site")] = Calendar()
    templates: Annotated[tuple[Template, ...], Meta(description="templates, the first match wins")] = ()
    machines: Annotated[tuple[Machine, ...], Meta(description="machines, behind the templates")] = ()

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        dotenv: str | Path | None = ".env",
    ) -> Config:
        """Read a file (or only the defaults), then apply `.env` and the environment.

        Args:
            path: TOML file; None for the defaults.
            environ: environment variables; None takes the process's own.
            dotenv: file of overrides, ignored if it does not exist; None for none.

        Raises:
            ConfigError: every mistake with file, line, key, value and what is allowed.
        """
        values, mistakes = read(cls, path, Overrides.collect(environ, dotenv))
        if mistakes:
            raise ConfigError(mistakes)
        return msgspec.convert(values, cls, strict=True)

    @property
    def embedded(self) -> bool:
        """Whether the node runs a broker of its own."""
        return not self.nats.url

    @property
    def data_dir(self) -> Path:
        """Directory of store, snapshots, lake and embedded broker."""
        return Path(self.node.data_dir)

    @property
    def all_templates(self) -> tuple[Template, ...]:
        """The templates, then those that the machines make."""
        return (*self.templates, *(template for machine in self.machines for template in expand(machine)))

    def templates_json(self) -> str:
        """All templates with their calendars, as the JSON list that the engine and `configuration` messages take."""
        templates = resolved(self.calendar, self.all_templates)
        return msgspec.json.encode(templates, order="deterministic").decode()

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of all that changes results: the templates, in order."""
        return hashlib.sha256(self.templates_json().encode()).hexdigest()


def example() -> str:
    """A commented TOML text with every key, its default, range and unit; loading it gives the defaults."""
    return commented(Config)
