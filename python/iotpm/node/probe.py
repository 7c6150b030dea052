"""What a running node says on its HTTP port, for those who cannot reach its broker."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iotpm.node.nodefile import NodeFile

TIMEOUT_S = 5.0
_FIGURES = {"committed_sequence": "iotpm_committed_sequence", "lag": "iotpm_consumer_lag"}


def ask(node: NodeFile) -> dict[str, Any]:
    """`problems` of `/readyz` by name, and position and lag of `/metrics`, None where it does not say."""
    return {"problems": _problems(node), **_figures(node)}


def _problems(node: NodeFile) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(_get(f"{node.http}/readyz"))["problems"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {"http": f"{node.http or 'no HTTP port'}: {error}"}
    return found


def _figures(node: NodeFile) -> dict[str, int | None]:
    try:
        lines = _get(f"{node.http}/metrics").decode().splitlines()
    except (OSError, ValueError):
        lines = []
    samples = [line for line in lines if line and not line.startswith("#")]
    values = {re.split("[{ ]", line, maxsplit=1)[0]: line.rsplit(" ", 1)[1] for line in samples}
    return {key: int(float(values[name])) if name in values else None for key, name in _FIGURES.items()}


def _get(url: str) -> bytes:
    """The body, also of 503: it says what is wrong."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - our own loopback port
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return bytes(error.read())
