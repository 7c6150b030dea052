"""What operators say of anomalies: labels as control messages, and what is in force.

A label is a message on the control subject of the node's stream. It acts from its own sequence on, so that live,
replayed and embedded runs agree; it carries all that the engine needs, so that nothing is looked up.
`docs/feedback.md` says what follows from it.

>>> from iotpm.client import connect
>>> from iotpm import feedback
>>> with connect("iotpm-data") as source:  # doctest: +SKIP
...     said = feedback.label(source, "331ecf588d9e30f6", "false", note="the filter is flushed at six")
...     feedback.withdraw(source, said.id)
"""

from __future__ import annotations

import getpass
import json
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from iotpm import subjects
from iotpm.errors import BrokerError, InputError
from iotpm.explain import find

if TYPE_CHECKING:
    from iotpm.client import Row, Source

__all__ = ["LABELS", "Receipt", "by_anomaly", "in_force", "label", "label_span", "message", "payload", "withdraw"]

LabelName = Literal["true", "false", "maintenance"]
LABELS: Final[tuple[LabelName, ...]] = ("true", "false", "maintenance")
SPAN_MAX: Final = 100
"""Anomalies that one command labels, at most."""
ACTS_WITHIN_S: Final = 30.0
POLL_S: Final = 0.05
_SIDES: Final = {"above": 1, "below": -1, "either": 0}
_EXAMPLE: Final = ("anomaly", "name", "detector", "kind", "peak_score")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A message that the node has committed."""

    id: str
    """Number of the label."""
    sequence: int
    """The message's: it acts from there on."""
    name: str | None
    """Signal or asset."""


def label(source: Source, anomaly_id: str, label: str, *, author: str | None = None, note: str = "") -> Receipt:
    """Label an anomaly; returns when the node has committed it.

    Args:
        source: a running node (`iotpm.client.connect`).
        anomaly_id: its id, or the first letters of it.
        label: `true` (a fault), `false` (none), or `maintenance` (of its asset, as long as the anomaly lasted).
        author: who says it; default: the user's name.
        note: why.

    Raises:
        InputError: no such anomaly or label, or one that the engine cannot act on.
        StoreError, BrokerError: no node runs, or it does not answer.
    """
    return _send(source, message(find(source, anomaly_id), label, author=author, note=note))


def label_span(
    source: Source,
    name: str,
    from_us: int,
    to_us: int,
    label: str,
    *,
    author: str | None = None,
    note: str = "",
) -> list[Receipt]:
    """Label what an asset or signal did in a span: `maintenance` is one label, `true` and `false` one an anomaly.

    Args:
        source: a running node.
        name: `site/asset` or `site/asset/signal`.
        from_us: beginning of the span in event time, microseconds.
        to_us: its end, exclusive; may lie in the future.
        label: as in `label`.
        author: who says it; default: the user's name.
        note: why.

    Raises:
        InputError: an empty span, an unknown asset or signal, no anomaly to label, or more than `SPAN_MAX`.
        StoreError, BrokerError: as in `label`.
    """
    _check_label(label)
    if to_us <= from_us:
        raise InputError(f"the span ends at {to_us} us, which must be after its beginning, {from_us} us")
    signals = [row["name"] for row in source.signals() if row["name"] == name or row["name"].startswith(f"{name}/")]
    if not signals or not 1 <= name.count("/") <= 2:
        raise InputError(f"{name!r}: no such asset or signal; `iotpm signals` lists them as site/asset/signal")
    if label == "maintenance":
        about = {"label": label, "name": name, "start_us": from_us, "end_us": to_us}
        return [_send(source, _signed("label", about, author, note))]
    found = [row for row in source.anomalies() if row["name"] in signals and _within(row, from_us, to_us)]
    if not 1 <= len(found) <= SPAN_MAX:
        raise InputError(f"{name}: {len(found)} anomalies in that span, must be 1 to {SPAN_MAX}")
    return [_send(source, one) for one in [message(row, label, author=author, note=note) for row in found]]


def withdraw(source: Source, label_id: str, *, author: str | None = None, note: str = "") -> Receipt:
    """Take a label back: from then on the engine is as if it had never been given.

    Raises:
        InputError: no label of that number is in force.
        StoreError, BrokerError: as in `label`.
    """
    found = [row for row in in_force(source.feedback()) if row["id"] == label_id]
    if not found:
        raise InputError(f"label {label_id!r}: none of that number is in force; `iotpm feedback list` shows them")
    return _send(source, {**_signed("withdraw", {}, author, note), "id": label_id})


def in_force(rows: Iterable[Row]) -> list[Row]:
    """The labels that act after these rows of the table `feedback`, in order."""
    labels: dict[str, Row] = {}
    for row in rows:
        if row["action"] == "label":
            labels[row["id"]] = row
        else:
            labels.pop(row["id"], None)
    return list(labels.values())


def by_anomaly(source: Source) -> dict[str, Row]:
    """The label in force of each anomaly that has one; of several the latest."""
    return {row["anomaly"]: row for row in in_force(source.feedback()) if row["anomaly"] is not None}


def message(anomaly: Row, label: str, *, author: str | None = None, note: str = "") -> dict[str, Any]:
    """The control message that labels an anomaly, given its latest row (times in microseconds).

    Raises:
        InputError: an unknown label, or `false` for silence, which no boundary judges.
    """
    _check_label(label)
    if label == "false" and anomaly["kind"] == "gap":
        raise InputError(
            f"{anomaly['name']}: silence has no boundary that could be raised; set idle_timeout_s of its template, "
            "or label the span maintenance"
        )
    end_us = anomaly["time"] if anomaly["end"] is None else anomaly["end"]
    about = {"label": label, "anomaly": anomaly["id"], "start_us": anomaly["start"], "end_us": end_us}
    if label == "maintenance":
        name, about["end_us"] = f"{anomaly['name'].rpartition('/')[0]}", max(end_us, anomaly["start"] + 1)
        return _signed("label", {**about, "name": name}, author, note)
    keys = ("name", "detector", "kind", "direction", "peak_score")
    return _signed("label", {**about, **{key: anomaly[key] for key in keys}}, author, note)


def payload(row: Row) -> bytes:
    """The message of a row of the table `feedback` (times in microseconds), such as for an engine's `control`."""
    told = {key: row[key] for key in ("id", "action", "label", "author", "note", *_EXAMPLE)}
    times = {"start_us": row["start"], "end_us": row["end"], "said_us": row["said_at"]}
    side = None if row["direction"] is None else _SIDES[row["direction"]]
    return _encoded({**told, **times, "direction": side})


def _within(row: Row, from_us: int, to_us: int) -> bool:
    end_us = row["time"] if row["end"] is None else row["end"]
    return bool(row["start"] < to_us and end_us >= from_us)


def _check_label(label: str) -> None:
    if label not in LABELS:
        raise InputError(f"label {label!r}: must be one of {', '.join(LABELS)}")


def _signed(action: str, about: dict[str, Any], author: str | None, note: str) -> dict[str, Any]:
    who = getpass.getuser() if author is None else author
    said = {"author": who, "note": note, "said_us": time.time_ns() // 1000}
    return {"action": action, "id": secrets.token_hex(6), **about, **said}


def _encoded(told: dict[str, Any]) -> bytes:
    return json.dumps({key: value for key, value in told.items() if value is not None}).encode()


def _send(source: Source, told: dict[str, Any]) -> Receipt:
    sequence = source.control(subjects.FEEDBACK, _encoded(told))
    row = _acknowledged(source, sequence)
    return Receipt(told["id"], sequence, row["name"])


def _acknowledged(source: Source, sequence: int) -> Row:
    """The row of the message, once the node has committed it."""
    question, until = {"behind": sequence - 1}, time.monotonic() + ACTS_WITHIN_S
    while (page := source.ask("feedback", question))["through"] < sequence:
        if time.monotonic() > until:
            raise BrokerError(f"the stream has the message, number {sequence}, but the node has not come to it yet")
        time.sleep(POLL_S)
    for row in _dicts(page):
        if row["seq"] == sequence:
            return row
    refused = [row["detail"] for row in _dicts(source.ask("dead_letters", question)) if row["seq"] == sequence]
    raise InputError(refused[0] if refused else f"the node did not act on message {sequence}")


def _dicts(page: dict[str, Any]) -> Iterator[Row]:
    return (dict(zip(page["columns"], row, strict=True)) for row in page["rows"])
