"""The configuration in the data plane's words (docs/interfaces.md)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iotpm.config import Config, Nats
    from iotpm.config import Node as NodeSettings
    from iotpm.store.progress import Resume
    from iotpm.subjects import Names

CONNECTION_FILES = ("credentials_file", "nkey_file", "tls_ca", "tls_cert", "tls_key")


def plane_options(config: Config, names: Names, url: str, found: Resume, templates: list[Any]) -> dict[str, Any]:
    """Options of `_core.DataPlane`."""
    return {
        "url": url,
        **{key: getattr(config.nats, key) for key in CONNECTION_FILES},
        "link_timeout_s": config.nats.link_timeout_s,
        **_names(names),
        **_position(found),
        **_chunks(config.node),
        "templates": templates,
        "shards": config.node.shards or min(os.cpu_count() or 1, 4),
        "max_signals": config.limits.max_signals,
        "max_sources": config.limits.max_sources,
        "emit_scores": config.node.emit_scores,
        "source": config.node.source or f"/iotpm/{names.partition}",
    }


def connection_files(nats: Nats) -> dict[str, str]:
    """Where other commands find what it takes to connect as this node does; the secrets stay in their files."""
    named = {key: getattr(nats, key) for key in CONNECTION_FILES}
    return {key: str(Path(path).absolute()) for key, path in named.items() if path}


def _names(names: Names) -> dict[str, Any]:
    return {
        "raw_stream": names.raw_stream,
        "anomaly_stream": names.anomaly_stream,
        "raw_prefix": names.raw_prefix,
        "anomaly_prefix": names.anomaly_prefix,
        "partition": names.partition,
        "virtual_time": names.virtual_time,
    }


def _position(found: Resume) -> dict[str, Any]:
    return {
        "start_sequence": found.start_sequence,
        "discard_through": found.discard_through,
        "next_outbox_seq": found.position.next_outbox_seq,
        "seed_at": None if found.seed is None else found.position.base_seq,
    }


def _chunks(node: NodeSettings) -> dict[str, Any]:
    return {
        "chunk_age_ms": max(1, round(node.chunk_age_ms)),
        "chunk_max_messages": node.chunk_max_messages,
        "chunk_max_bytes": node.chunk_max_bytes,
        "snapshot_slice_ms": node.snapshot_slice_ms,
    }
