"""Small snapshots of real engines."""

from __future__ import annotations

from functools import cache

from iotpm import _core

_STORED_US = 1_700_000_000_000_000
_READING = b'{"timestamp":1700000000,"value":1}'


@cache
def state_after(seq: int) -> bytes:
    """The state of an engine whose last message was `seq`."""
    engine = _core.Engine()
    engine.push_messages(["iotpm.raw.s.a.t"], [_READING], [seq], [_STORED_US])
    return engine.snapshot()
