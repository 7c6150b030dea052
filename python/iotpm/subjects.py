"""Names of subjects, streams, buckets and headers, declared once (docs/interfaces.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

ROOT: Final = "iotpm"
LEASE_BUCKET: Final = "iotpm-lease"
SERVICE: Final = "iotpm"

CONTENT_TYPE: Final = "Content-Type"
MESSAGE_ID: Final = "Nats-Msg-Id"
STREAM_TIME: Final = "Iotpm-Time"
OUTBOX_SEQUENCE: Final = "Iotpm-Outbox-Seq"
CAUSE_TIME: Final = "Iotpm-Cause-Time"
EXPECTED_LAST_SEQUENCE: Final = "Nats-Expected-Last-Sequence"

CONFIGURATION: Final = "configuration"
END: Final = "end"
FEEDBACK: Final = "feedback"

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f.*>%]")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# First tokens below `iotpm.` that already mean something: a replay of that name would capture live traffic.
_RESERVED = frozenset({"raw", "anomaly", "tick", "ctl", "svc", "p", "feature", "dlq"})


def asset_of_signal(signal: str) -> str:
    """`site/asset` of a signal's full name."""
    return signal.rsplit("/", 1)[0]


def encode_token(text: str) -> str:
    """Percent-encode what NATS forbids in a token, and `%`.

    Raises:
        ValueError: `text` is empty; NATS has no empty tokens.
    """
    if not text:
        raise ValueError("a subject token must not be empty")
    return _FORBIDDEN.sub(lambda match: f"%{ord(match[0]):02X}", text)


def decode_token(token: str) -> str:
    """Undo `encode_token`.

    Raises:
        ValueError: the percent-encoded bytes are no UTF-8.
    """
    return unquote_to_bytes(token).decode("utf-8")


@dataclass(frozen=True, slots=True)
class Names:
    """All names of one partition (live) or of one replay or simulation (virtual time).

    Build it with `live` or `replay`, not directly.
    """

    partition: str
    raw_prefix: str
    anomaly_prefix: str
    virtual_time: bool

    @property
    def raw_stream(self) -> str:
        """Stream that holds readings, ticks and control messages."""
        return f"RAW_{self.partition}"

    @property
    def anomaly_stream(self) -> str:
        """Stream that holds published anomalies."""
        return f"ANOMALY_{self.partition}"

    @property
    def tick(self) -> str:
        """Subject of the owning node's ticks."""
        return f"{ROOT}.tick.{self.partition}"

    @property
    def raw_subjects(self) -> list[str]:
        """What the RAW stream captures; odd depths too, so that they become dead letters instead of vanishing."""
        return [f"{self.raw_prefix}.>", self.tick, self.control("*")]

    @property
    def anomaly_subjects(self) -> list[str]:
        """What the ANOMALY stream captures."""
        return [f"{self.anomaly_prefix}.>"]

    def control(self, kind: str) -> str:
        """Subject of a control message, such as `CONFIGURATION`."""
        return f"{ROOT}.ctl.{self.partition}.{kind}"

    def service(self, endpoint: str) -> str:
        """Subject of an endpoint of the node's micro service."""
        return f"{ROOT}.svc.{self.partition}.{endpoint}"

    def raw(self, site: str, asset: str, signal: str | None = None) -> str:
        """Subject of raw data; names are given plain and come out percent-encoded."""
        return _join(self.raw_prefix, site, asset, signal)

    def anomaly(self, site: str, asset: str) -> str:
        """Subject of an asset's anomalies."""
        return _join(self.anomaly_prefix, site, asset, None)


def live(partition: str = "0", *, partitions: int = 1) -> Names:
    """Names of a live partition; with more than one, each has subjects of its own below `iotpm.p.<p>`.

    The broker maps raw subjects to them; streams must not overlap, so anomalies have them too.

    Raises:
        ValueError: the partition is no plain token.
    """
    _check_name(partition)
    prefix = ROOT if partitions == 1 else f"{ROOT}.p.{partition}"
    return Names(partition, f"{prefix}.raw", f"{prefix}.anomaly", virtual_time=False)


def replay(name: str) -> Names:
    """Names of a replay or simulation: streams and subjects of their own, never mixed with live data.

    Raises:
        ValueError: the name is reserved, all digits (a live partition), or no plain token.
    """
    _check_name(name)
    if name in _RESERVED or name.isdigit():
        raise ValueError(f"replay name {name!r} is taken by live data: choose another, such as 'replay-{name}'")
    return Names(name, f"{ROOT}.{name}.raw", f"{ROOT}.{name}.anomaly", virtual_time=True)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r}: must be 1 to 64 letters, digits, '-' or '_'")


def _join(prefix: str, site: str, asset: str, signal: str | None) -> str:
    tokens = [site, asset] if signal is None else [site, asset, signal]
    return ".".join([prefix, *map(encode_token, tokens)])
