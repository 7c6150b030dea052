"""A node: broker, lease, store and data plane wired together, drained and recovered (docs: reliability)."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import structlog
from prometheus_client import CollectorRegistry

from iotpm import _core, streams, subjects
from iotpm.broker import Broker, BrokerOptions
from iotpm.errors import LeaseLost, StoreFull
from iotpm.node.control import ControlPlane
from iotpm.node.http import HealthServer
from iotpm.node.metrics import PlaneCollector
from iotpm.node.nodefile import NodeFile
from iotpm.node.queries import QueryService
from iotpm.node.templates import TemplateHistory
from iotpm.node.upkeep import Housekeeping, SnapshotSchedule
from iotpm.node.webhook import WebhookSender, delivered_through, events_after
from iotpm.processes import Identity
from iotpm.store.database import Database
from iotpm.store.progress import Resume, read_position, resume
from iotpm.store.snapshots import Snapshots
from iotpm.store.writer import Harness, Writer

if TYPE_CHECKING:
    from types import TracebackType

    from iotpm.config import Config, Nats
    from iotpm.subjects import Names

log = structlog.get_logger(__name__)

POLL_MS = 100
TICK_S = 1.0
PURGE_CHECK_S = 5.0
FULL_RETRY_S = 1.0
LAGGING_MESSAGES = 5_000
"""Lag from which optional work waits."""


class Node:
    """One partition's node. `start`, then `run` until drained; a context manager that closes what was opened.

    `start` and `run` belong to one thread: the embedded broker ends with the thread that started it.
    """

    def __init__(
        self,
        config: Config,
        *,
        names: Names | None = None,
        new_epoch: str | None = None,
        harness: Harness | None = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            config: the configuration.
            names: streams and subjects; default: the live ones of the configured partition.
            new_epoch: reason to continue although stream and store do not belong together.
            harness: switches of the fault tests.
        """
        stream = config.stream
        self.config = config
        self.names = names or subjects.live(stream.partition, partitions=stream.partitions)
        self._new_epoch = new_epoch
        self._harness = harness
        self._opened = ExitStack()
        self._problems: dict[str, str] = {}
        self._draining = threading.Event()
        self._delivered_noted = 0
        self.broker: Broker | None = None
        self.url = config.nats.url

    def start(self) -> Self:
        """Open everything in order; on an error what was opened is closed again.

        Raises:
            StoreHeld, LeaseHeld: another node has store or partition; the message says which.
            ResumeRefused: stream and store do not belong together; the message says what was found.
            BrokerError: the broker cannot be started, reached or used.
        """
        try:
            self._open_store()
            self._open_broker()
            self._open_streams()
            self._open_plane(self._resume())
            self._open_services()
        except BaseException:
            self.close()
            raise
        log.info("node_started", url=self.url, http=self.http.url, data_dir=str(self.config.data_dir))
        return self

    def run(self) -> None:
        """Commit chunks until drained or stopped.

        Raises:
            LeaseHeld: another node took the partition over.
            IotpmError: whatever ended the data plane or the store.
        """
        while not self.plane.finished:
            chunk = self.plane.next_chunk(POLL_MS)
            if chunk is None:
                self._idle()
            else:
                self._store(chunk)
        self._finish()

    def drain(self) -> None:
        """Read no more; `run` stores and publishes what is in flight and returns. Safe in signal handlers' threads."""
        if not self._draining.is_set():
            self._draining.set()
            log.info("draining")
            self.plane.drain()

    def stats(self) -> dict[str, Any]:
        """Counters, queue depths and latencies of the data plane."""
        return {**self.plane.stats(), **self.plane.counters()}

    def status(self) -> dict[str, Any]:
        """What a person asks first: position, lag, counts, disk."""
        stats, position = self.stats(), self.writer.position
        return {
            "running": True,
            "pid": os.getpid(),
            "version": version("iotpm"),
            "site": self.config.node.site,
            "partition": self.names.partition,
            "url": self.url,
            "http": self.http.url,
            "data_dir": str(self.config.data_dir.absolute()),
            "stream": position.stream,
            "epoch": position.epoch,
            "committed_sequence": position.seq,
            "stream_last_sequence": stats["stream_last_sequence"],
            "lag": stats["lag"],
            "readings": stats["accepted"],
            "anomalies": stats["anomalies"],
            "dead_letters": stats["dead_letters"],
            "late": stats["late"],
            "duplicates": stats["duplicates"],
            "scoring_latency_p99_s": stats["scoring_seconds"]["p99"],
            "problems": self._ready(),
        }

    def close(self) -> None:
        """Close what is open, in reverse order."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_store(self) -> None:
        config = self.config
        config.data_dir.mkdir(parents=True, exist_ok=True)
        self.database = self._opened.enter_context(
            Database(config.data_dir, config.store, partition=self.names.partition)
        )
        self.snapshots = Snapshots(config.data_dir)

    def _open_broker(self) -> None:
        if self.url:
            return
        nats = self.config.nats
        options = BrokerOptions(port=nats.port, mqtt_port=nats.mqtt_port, durability=nats.durability)
        self.broker = self._opened.enter_context(Broker(self.config.data_dir / "broker", options))
        self.url = self.broker.url

    def _open_streams(self) -> None:
        self.control = ControlPlane(self.config.nats, self.url)
        self._opened.callback(self.control.stop)
        self.control.run(streams.ensure_streams(self.control.js, self.names, self.config.stream))
        self._acquire_lease()
        self._opened.callback(self._release_lease)

    def _acquire_lease(self) -> None:
        key, ttl_s = self.names.partition, self.config.node.lease_ttl_s
        self.lease = self.control.run(streams.Lease.acquire(self.control.js, key, ttl_s=ttl_s))

    def _release_lease(self) -> None:
        try:
            self.control.run(self.lease.release(), 5)
        except Exception as error:
            log.warning("lease_not_released", error=repr(error))

    def _resume(self) -> Resume:
        control, names = self.control, self.names
        facts = control.run(streams.stream_facts(control.js, names.raw_stream))
        position = read_position(self.database.connection)
        seq = position.seq if position else 0
        message = control.run(streams.stored_message(control.js, names.raw_stream, seq)) if seq else None
        found = resume(self.database, self.snapshots, facts, message, self._new_epoch)
        log.info("resuming", start=found.start_sequence, committed=found.discard_through, last=facts.last_seq)
        return found

    def _open_plane(self, found: Resume) -> None:
        self.writer = Writer(self.database, found.position, fence=lambda: self.lease.check(), harness=self._harness)
        self.templates = TemplateHistory(self.writer, self.config, self.names)
        options = self._plane_options(found, self.templates.acting_at(found))
        self.plane = _core.DataPlane(json.dumps(options), found.snapshot.blob if found.snapshot else None)
        self._opened.callback(self.plane.stop)
        self.plane.start()
        self._publish_older_events()
        self.schedule = SnapshotSchedule(self.plane, self.snapshots, self.config.node)
        self.housekeeping = Housekeeping(self.plane, self.database, self.writer)

    def _plane_options(self, found: Resume, templates: list[Any]) -> dict[str, Any]:
        names, node, nats = self.names, self.config.node, self.config.nats
        return {
            "url": self.url,
            "credentials_file": nats.credentials_file,
            "tls_ca": nats.tls_ca,
            "tls_cert": nats.tls_cert,
            "tls_key": nats.tls_key,
            "raw_stream": names.raw_stream,
            "anomaly_stream": names.anomaly_stream,
            "raw_prefix": names.raw_prefix,
            "anomaly_prefix": names.anomaly_prefix,
            "partition": names.partition,
            "virtual_time": names.virtual_time,
            "start_sequence": found.start_sequence,
            "discard_through": found.discard_through,
            "next_outbox_seq": found.position.next_outbox_seq,
            "templates": templates,
            "shards": node.shards or min(os.cpu_count() or 1, 4),
            "chunk_age_ms": max(1, round(node.chunk_age_ms)),
            "chunk_max_messages": node.chunk_max_messages,
            "chunk_max_bytes": node.chunk_max_bytes,
            "max_signals": self.config.limits.max_signals,
            "max_sources": self.config.limits.max_sources,
            "emit_scores": node.emit_scores,
            "source": node.source or f"/iotpm/{names.partition}",
        }

    def _publish_older_events(self) -> None:
        """What a crash left between commit and publishing."""
        rows = self.database.connection.execute(
            """SELECT outbox_seq, subject, payload, epoch_us(cause_time) FROM outbox
               WHERE outbox_seq > ? ORDER BY outbox_seq""",
            [self.plane.last_published_outbox_seq()],
        ).fetchall()
        if rows:
            log.info("publishing_older_events", events=len(rows))
            self.plane.publish_outbox(rows)

    def _open_services(self) -> None:
        registry = CollectorRegistry()
        registry.register(PlaneCollector(self.stats, self.config.node.site, self.names.partition))
        self.http = HealthServer(registry, self._alive, self._ready, self.config.node.http_port)
        self._opened.callback(self.http.close)
        self.webhook = self._open_webhook()
        self.queries = QueryService(self)
        self._opened.callback(self.queries.stop)
        self.control.run(self.queries.start(self.control.client))
        self.templates.publish_if_changed(self.control)
        self._repeat_periodic_work()
        self._leave_node_file()

    def _open_webhook(self) -> WebhookSender | None:
        if not self.config.webhook.url:
            return None
        sender = WebhookSender(self.config.webhook, events_after(self.database), delivered_through(self.database))
        sender.start()
        self._opened.callback(sender.stop)
        return sender

    def _repeat_periodic_work(self) -> None:
        if not self.names.virtual_time and (self._harness is None or self._harness.ticks):
            self.control.every(TICK_S, self._tick)
        self.control.every(self.config.node.lease_ttl_s / 3, self._renew)
        self.control.every(PURGE_CHECK_S, self._purge)

    def _leave_node_file(self) -> None:
        data_dir = self.config.data_dir
        NodeFile(
            url=self.url,
            pid=os.getpid(),
            version=version("iotpm"),
            partition=self.names.partition,
            http=self.http.url,
            identity=Identity.of_this_process(),
            connection=_connection_files(self.config.nats),
        ).write(data_dir)
        self._opened.callback(NodeFile.remove, data_dir)

    async def _tick(self) -> None:
        if not self._draining.is_set():
            await self.control.client.publish(self.names.tick, b"")

    async def _renew(self) -> None:
        await self.lease.renew()

    async def _purge(self) -> None:
        """Remove what the older snapshot covers once the stream is nearly full."""
        facts = await streams.stream_facts(self.control.js, self.names.raw_stream)
        through = self.snapshots.purgeable(self.writer.position.seq)
        if facts.fill < self.config.stream.purge_fill or through is None or through < facts.first_seq:
            return
        log.info("purging", through=through, fill=round(facts.fill, 3))
        await streams.purge_through(self.control.js, self.names.raw_stream, through)

    def _store(self, chunk: _core.Chunk) -> None:
        """Commit, publish, then do what is due."""
        while not self._committed(chunk):
            time.sleep(FULL_RETRY_S)
        self._problems.clear()
        self.plane.committed(chunk)
        if self.webhook and len(chunk.outbox):
            self.webhook.notify()
        lagging = self.plane.stats()["lag"] > LAGGING_MESSAGES
        taken = self.schedule.after_commit(chunk)
        self.housekeeping.between_chunks(idle=not lagging, snapshot_taken=taken)

    def _committed(self, chunk: _core.Chunk) -> bool:
        try:
            self.writer.commit(chunk)
        except StoreFull as error:
            self._note_problem("store", str(error))
            return False
        except LeaseLost as error:
            self._note_problem("lease", str(error))
            self._regain_lease()
            return False
        return True

    def _note_problem(self, name: str, reason: str) -> None:
        if name not in self._problems:
            log.error("not_committing", **{name: reason})
        self._problems[name] = reason

    def _regain_lease(self) -> None:
        """The broker was away longer than the lease: go on if nobody else took it, else LeaseHeld ends this node."""
        self._restart_broker()
        try:
            self._acquire_lease()
        except TimeoutError:
            log.warning("lease_not_regained", reason="the broker does not answer")

    def _idle(self) -> None:
        self._restart_broker()
        self.housekeeping.between_chunks(idle=True, snapshot_taken=False)
        self._note_delivered()

    def _note_delivered(self) -> None:
        if self.webhook and self.webhook.delivered_through > self._delivered_noted:
            self._delivered_noted = self.webhook.delivered_through
            self.writer.record_delivered(self._delivered_noted)

    def _restart_broker(self) -> None:
        if self.broker and not self.broker.running:
            log.error("broker_died", log=str(self.broker.log_path))
            self.broker.start()

    def _finish(self) -> None:
        """The end of a drain: state, statistics and events are out before the process goes."""
        self.schedule.finish()
        self.housekeeping.finish()
        self._note_delivered()
        if not self.plane.flush_outbox(round(self.config.node.drain_timeout_s * 500)):
            log.warning(
                "events_left", pending=self.plane.stats()["outbox_pending"], next="the next start publishes them"
            )
        log.info("drained", committed=self.writer.position.seq)

    def _alive(self) -> dict[str, str]:
        return {} if not self.broker or self.broker.running else {"broker": "the embedded broker is down"}

    def _ready(self) -> dict[str, str]:
        problems = dict(self._problems)
        if not self.control.client.is_connected:
            problems["broker"] = f"not connected to {self.url}"
        if self._draining.is_set():
            problems["draining"] = "the node is ending"
        return problems


def _connection_files(nats: Nats) -> dict[str, str]:
    """Where other commands find what it takes to connect as this node does; the secrets stay in their files."""
    named = {key: getattr(nats, key) for key in ("credentials_file", "tls_ca", "tls_cert", "tls_key")}
    return {key: str(Path(path).absolute()) for key, path in named.items() if path}
