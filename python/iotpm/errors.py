"""What `iotpm` raises. Every message names the thing, the value and the way out.

::

    IotpmError
    ├── ConfigError           mistakes in a configuration, all of them at once
    ├── BrokerError           the message broker
    │   ├── StreamMismatch    an existing stream differs from what this node needs
    │   ├── PublishRefused    the broker did not store a message, and says why
    │   ├── LeaseHeld         another node holds the partition
    │   └── LeaseLost         this node's lease expired or was taken: it must write nothing more
    ├── EngineError           the engine failed and its state is lost: restore a snapshot
    ├── InputError            arguments that cannot be used (also a ValueError); nothing was changed
    ├── SourceError           a file to replay that cannot be read as told
    └── StoreError            the store of one partition
        ├── StoreHeld         another process has the store open
        ├── StoreFull         disk or disk budget is full; retry once there is room
        ├── ProgressConflict  the position in the store is not the one that this writer left
        ├── ResumeRefused     stream and store do not belong together
        └── SnapshotError     a state file that cannot be used
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class IotpmError(Exception):
    """Base of all errors of this package."""


class ConfigError(IotpmError):
    """Mistakes in a configuration; `mistakes` has one printable line each."""

    def __init__(self, mistakes: Sequence[object]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, mistakes)))


class EngineError(IotpmError):
    """The engine failed on the way, so that its state can no longer be trusted: restore a snapshot."""


class InputError(IotpmError, ValueError):
    """Arguments that cannot be used; the message names the value and what is allowed. Nothing was changed."""


class BrokerError(IotpmError):
    """The broker could not be started, reached or used."""


class StreamMismatch(BrokerError):  # noqa: N818 - names the finding, as the whole tree does
    """An existing stream differs from what this node needs."""


class PublishRefused(BrokerError):  # noqa: N818
    """The broker did not store a message; names position, subject and refusal. Flushing again tries it again."""


class LeaseHeld(BrokerError):  # noqa: N818
    """Another node holds the partition; the message says who and since when."""


class LeaseLost(BrokerError):  # noqa: N818
    """The lease expired or was taken over: its former holder must write nothing more."""


class SourceError(IotpmError):
    """A file to replay that cannot be read as told; names file, line or column, value and the way out."""


class StoreError(IotpmError):
    """The store could not be opened, read or written."""


class StoreHeld(StoreError):  # noqa: N818
    """Another process has the store open; the message names it."""


class StoreFull(StoreError):  # noqa: N818
    """No room on the disk or in the disk budget; nothing of the refused chunk was stored."""


class ProgressConflict(StoreError):  # noqa: N818
    """The position in the store is not the one that this writer left: someone else wrote."""


class ResumeRefused(StoreError):  # noqa: N818
    """Stream and store do not belong together; the message says what was found."""


class SnapshotError(StoreError):
    """A state file that cannot be used."""
