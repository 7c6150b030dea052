"""A node: broker, lease, store and data plane wired together, drained and recovered (docs: reliability)."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import ExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self

import msgspec
import structlog
from prometheus_client import CollectorRegistry

from iotpm import _core, streams, subjects
from iotpm.broker import Broker, BrokerOptions
from iotpm.errors import BrokerError, LeaseLost, StoreFull
from iotpm.node.control import ControlPlane
from iotpm.node.http import HealthServer
from iotpm.node.keeper import BrokerKeeper
from iotpm.node.lease import LeaseKeeper
from iotpm.node.metrics import PlaneCollector
from iotpm.node.nodefile import NodeFile
from iotpm.node.options import connection_files, plane_options
from iotpm.node.purge import StreamRoom
from iotpm.node.queries import QueryService
from iotpm.node.templates import TemplateHistory
from iotpm.node.ticker import Ticker
from iotpm.node.upkeep import Housekeeping, SnapshotSchedule
from iotpm.node.webhook import WebhookSender, delivered_through, events_after
from iotpm.processes import Identity
from iotpm.store.database import Database
from iotpm.store.progress import Resume, read_position, resume
from iotpm.store.seeds import recorded, with_seed
from iotpm.store.snapshots import Snapshots
from iotpm.store.writer import Harness, Writer

if TYPE_CHECKING:
    from types import TracebackType

    from iotpm.config import Config, Store
    from iotpm.subjects import Names

log = structlog.get_logger(__name__)

POLL_MS = 100
TICK_S = 1.0
KEPT_DAYS = 36_500.0
ROOM_CHECK_S = 1.0
LINK_CHECK_S = 0.5
RETRY_S = 1.0
DRAIN_RETRY_S = 0.1
NOTE_S = 1.0
"""Time between two notes of what the webhook has."""
OUTBOX_PAGE = 5_000
"""Events of a crash that are in memory at once."""
DRAIN_SHARE = 0.4
"""Part of the drain's time after which the data plane is stopped although it still waits for something."""
FLUSH_SHARE = 0.2
"""Part of it in which the broker may store the last events."""
BROKER_SHARE = 0.3
"""Part of it in which the embedded broker may end by itself."""


class Node:
    """One partition's node. `start`, then `run` until drained; a context manager that closes what was opened."""

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
        self._adds = harness is None or harness.adds
        self._opened = ExitStack()
        self._problems: dict[str, str] = {}
        self._draining = threading.Event()
        self._started = threading.Event()
        self._drain_began = 0.0
        self._drain_s = config.node.drain_timeout_s
        self._upkeep_after = self._note_after = 0.0
        self._delivered_noted = 0
        self._keeper: BrokerKeeper | None = None
        self.webhook: WebhookSender | None = None
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
        self._started.set()
        url = streams.without_secrets(self.url)
        log.info("node_started", url=url, http=self.http.url, data_dir=str(self.config.data_dir))
        return self

    def run(self) -> None:
        """Commit chunks until drained or stopped.

        Raises:
            LeaseHeld: another node took the partition over.
            IotpmError: whatever ended the data plane or the store.
        """
        if self._draining.is_set():
            self._drain_plane()
        while not self.plane.finished:
            chunk = self.plane.next_chunk(POLL_MS)
            if chunk is None:
                self._idle()
            elif not self._store(chunk):
                log.error(
                    "drained_without_storing", next="the stream has it: the next start continues", **self._problems
                )
                return
        self._finish()

    def drain(self) -> None:
        """Read no more; `run` stores and publishes what is in flight and returns. From any thread, at any time."""
        if not self._draining.is_set():
            self._drain_began = time.monotonic()
            self._draining.set()
            log.info("draining")
            if self._started.is_set():
                self._drain_plane()

    @property
    def broker(self) -> Broker | None:
        """The embedded broker, if there is one."""
        return self._keeper.broker if self._keeper else None

    def stats(self) -> dict[str, Any]:
        """Counters, queue depths and latencies of the data plane; bytes on disk; events sent to the webhook."""
        sender = self.webhook
        sent = {"webhook_delivered": sender.delivered, "webhook_failed": sender.failed} if sender else {}
        return {**self.plane.stats(), **self.plane.counters(), **self.housekeeping.disk(), **sent}

    def status(self) -> dict[str, Any]:
        """What a person asks first: position, lag, counts, disk."""
        stats, position = self.stats(), self.writer.position
        return {
            "running": True,
            "pid": os.getpid(),
            "version": version("iotpm"),
            "site": self.config.node.site,
            "partition": self.names.partition,
            "url": streams.without_secrets(self.url),
            "http": self.http.url,
            "data_dir": str(self.config.data_dir.absolute()),
            "disk": self.housekeeping.disk(),
            "stream": position.stream,
            "epoch": position.epoch,
            "seed": self._seed,
            "committed_sequence": position.seq,
            "stream_last_sequence": stats["stream_last_sequence"],
            "lag": stats["lag"],
            "readings": stats["accepted"],
            "anomalies": stats["anomalies"],
            "muted": stats["muted"],
            "maintenance": stats["maintenance"],
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
        settings = _without_ages(config.store) if self.names.virtual_time else config.store
        self.database = self._opened.enter_context(Database(config.data_dir, settings, partition=self.names.partition))
        self.snapshots = Snapshots(config.data_dir)

    def _open_broker(self) -> None:
        if self.url:
            return
        nats = self.config.nats
        options = BrokerOptions(
            port=nats.port,
            mqtt_port=nats.mqtt_port,
            durability=nats.durability,
            stop_timeout_s=self._drain_s * BROKER_SHARE,
        )
        self._keeper = BrokerKeeper(Broker(self.config.data_dir / "broker", options))
        self._opened.callback(self._keeper.stop)
        self._keeper.start()
        self.url = self._keeper.broker.url

    def _open_streams(self) -> None:
        """The lease first: who may not write changes no stream."""
        self.control = ControlPlane(self.config.nats, self.url)
        self._opened.callback(self.control.stop)
        self.lease = LeaseKeeper(self.control, self.names.partition, self.config.node.lease_ttl_s)
        self._opened.callback(self.lease.release)
        self.control.every(self.config.node.lease_ttl_s / 3, self.lease.renew)
        self.control.run(streams.ensure_streams(self.control.js, self.names, self.config.stream))

    def _resume(self) -> Resume:
        control, names = self.control, self.names
        facts = control.run(streams.stream_facts(control.js, names.raw_stream))
        position = read_position(self.database.connection)
        seq = position.seq if position else 0
        message = control.run(streams.stored_message(control.js, names.raw_stream, seq)) if seq else None
        found = resume(self.database, self.snapshots, facts, message, self._new_epoch)
        found = with_seed(self.database, self.config.hash, found)
        self._seed = recorded(self.database.connection, found.position.epoch)
        snapshot = None if found.snapshot is None else found.snapshot.through
        where = {"start": found.start_sequence, "snapshot_through": snapshot, "committed": found.discard_through}
        log.info("resuming", **where, last=facts.last_seq)
        return found

    def _open_plane(self, found: Resume) -> None:
        self.writer = Writer(self.database, found.position, fence=self.lease.check, harness=self._harness)
        self.templates = TemplateHistory(self.writer, self.config, self.names)
        options = self._plane_options(found, self.templates.acting_at(found))
        self.plane = _core.DataPlane(json.dumps(options), found.snapshot.blob if found.snapshot else found.seed)
        self._opened.callback(self.plane.stop)
        self.plane.start()
        self._publish_older_events()
        self.schedule = SnapshotSchedule(self.plane, self.snapshots, self.config.node)
        self.housekeeping = Housekeeping(self.plane, self.database, self.writer)

    def _plane_options(self, found: Resume, templates: list[Any]) -> dict[str, Any]:
        return plane_options(self.config, self.names, self.url, found, templates)

    def _publish_older_events(self) -> None:
        """What a crash left between commit and publishing."""
        after = self.plane.last_published_outbox_seq()
        while rows := self._outbox_page(after):
            log.info("publishing_older_events", events=len(rows), first=rows[0][0])
            self.plane.publish_outbox(rows)
            after = rows[-1][0]

    def _outbox_page(self, after: int) -> list[tuple[int, str, str, int]]:
        rows: list[tuple[int, str, str, int]] = self.database.connection.execute(
            """SELECT outbox_seq, subject, payload, epoch_us(cause_time) FROM outbox
               WHERE outbox_seq > ? ORDER BY outbox_seq LIMIT ?""",
            [after, OUTBOX_PAGE],
        ).fetchall()
        return rows

    def _open_services(self) -> None:
        registry = CollectorRegistry()
        registry.register(PlaneCollector(self.stats, self.config.node.site, self.names.partition))
        self.http = HealthServer(registry, self._alive, self._ready, self.config.node.http_port)
        self._opened.callback(self.http.close)
        self.webhook = self._open_webhook()
        self.queries = QueryService(self)
        self._opened.callback(self.queries.stop)
        self.control.run(self.queries.start(self.control.client))
        if self._adds:
            self._publish_templates()
        self._repeat_periodic_work()
        self._leave_node_file()

    def _open_webhook(self) -> WebhookSender | None:
        """A receiver that is new to the store gets what is raised from now on."""
        if not self.config.webhook.url:
            return None
        known = delivered_through(self.database)
        if known is None:
            known = self.writer.position.next_outbox_seq - 1
            self.writer.record_delivered(known)
        self._delivered_noted = known
        sender = WebhookSender(self.config.webhook, events_after(self.database), known)
        sender.start()
        self._opened.callback(sender.stop)
        return sender

    def _publish_templates(self) -> None:
        """A stream that takes no message now gets them later: they act from their own sequence anyway."""
        try:
            self.templates.publish_if_changed(self.control)
            self._problems.pop("configuration", None)
        except BrokerError as error:
            self._note_problem("configuration", f"the changed templates are not in the stream yet: {error}")

    def _repeat_periodic_work(self) -> None:
        if self._adds and not self.names.virtual_time:
            data_dir, note = self.config.data_dir, self._note_stream
            self._ticker = Ticker(self.control, self.names, data_dir, self._keeper, note)
            self.control.every(TICK_S, self._tick)
        room = StreamRoom(
            self.control,
            self.names.raw_stream,
            self.snapshots,
            self.schedule,
            fill=self.config.stream.purge_fill,
            committed=lambda: self.writer.position.seq,
        )
        self.control.every(ROOM_CHECK_S, room.check)
        self.control.every(LINK_CHECK_S, self._watch_link)

    def _leave_node_file(self) -> None:
        data_dir = self.config.data_dir
        NodeFile(
            url=self.url,
            pid=os.getpid(),
            version=version("iotpm"),
            partition=self.names.partition,
            http=self.http.url,
            identity=Identity.of_this_process(),
            connection=connection_files(self.config.nats),
        ).write(data_dir)
        self._opened.callback(NodeFile.remove, data_dir)

    async def _tick(self) -> None:
        if not self._draining.is_set():
            await self._ticker.tick()

    def _note_stream(self, problem: str | None) -> None:
        if problem:
            self._note_problem("stream", problem)
        elif self._problems.pop("stream", None):
            log.info("stream_takes_messages_again", stream=self.names.raw_stream)

    async def _watch_link(self) -> None:
        """The data plane has a link of its own, which may be silent while this one is not."""
        stats = self.plane.stats()
        if stats["cut_off"] and not self._draining.is_set():
            self._note_problem("reader", f"nothing can be read from the broker: {stats['last_renewal']}")
        elif self._problems.pop("reader", None):
            log.info(
                "reading_again", disconnects=stats["disconnects"], consumers_recreated=stats["consumers_recreated"]
            )

    def _drain_plane(self) -> None:
        """Whatever it waits for, the drain ends in time."""
        self.plane.drain()
        last_resort = threading.Timer(self._drain_s * DRAIN_SHARE, self.plane.stop)
        last_resort.daemon = True
        last_resort.start()
        self._opened.callback(last_resort.cancel)

    def _store(self, chunk: _core.Chunk) -> bool:
        """Commit, publish, then do what is due; False if the node is to end and cannot commit."""
        while not self._committed(chunk):
            if self._given_up():
                return False
            self._pause()
        self.plane.committed(chunk)
        if self.webhook and len(chunk.outbox):
            self.webhook.notify()
        self._upkeep(snapshot_taken=self.schedule.after_commit(chunk))
        return True

    def _given_up(self) -> bool:
        return self._draining.is_set() and time.monotonic() > self._drain_began + self._drain_s * DRAIN_SHARE

    def _pause(self) -> None:
        """Before the next try: a second, shorter while the node is ending."""
        if self._draining.is_set():
            time.sleep(DRAIN_RETRY_S)
        else:
            self._draining.wait(RETRY_S)

    def _committed(self, chunk: _core.Chunk) -> bool:
        try:
            self.housekeeping.retention.check()
            self.writer.commit(chunk)
        except StoreFull as error:
            self._note_problem("store", str(error))
            self.housekeeping.make_room()
            return False
        except LeaseLost as error:
            self._note_problem("lease", str(error))
            return False
        for solved in ("store", "lease"):
            self._problems.pop(solved, None)
        return True

    def _note_problem(self, name: str, reason: str) -> None:
        if name not in self._problems:
            log.error("not_ready", **{name: reason})
        self._problems[name] = reason

    def _idle(self) -> None:
        self.lease.raise_if_taken()
        self.schedule.when_idle(self.writer.position.seq)
        self._upkeep(snapshot_taken=False)

    def _upkeep(self, *, snapshot_taken: bool) -> None:
        """Optional work: what fails now is tried again a second later, and never ends the node."""
        if time.monotonic() < self._upkeep_after:
            return
        try:
            self.housekeeping.between_chunks(lag=self.plane.lag, snapshot_taken=snapshot_taken)
            if time.monotonic() >= self._note_after:
                self._note_after = time.monotonic() + NOTE_S
                self._note_delivered()
            if self._adds and not self.templates.acts:
                self._upkeep_after = time.monotonic() + RETRY_S
                self._publish_templates()
        except (StoreFull, LeaseLost) as error:
            self._upkeep_after = time.monotonic() + RETRY_S
            log.warning("upkeep_postponed", reason=str(error))

    def _note_delivered(self) -> None:
        if self.webhook and self.webhook.delivered_through > self._delivered_noted:
            self._delivered_noted = self.webhook.delivered_through
            self.writer.record_delivered(self._delivered_noted)

    def _finish(self) -> None:
        """The end of a drain: state, statistics and events are out before the process goes."""
        try:
            self.schedule.finish(self.writer.position.seq)
            self.housekeeping.finish()
            if self.webhook:
                self.webhook.stop()
            self._note_delivered()
        except (StoreFull, LeaseLost) as error:
            log.warning("upkeep_left", reason=str(error))
        if not self.plane.flush_outbox(round(self._drain_s * FLUSH_SHARE * 1000)):
            pending = self.plane.stats()["outbox_pending"]
            log.warning("events_left", pending=pending, next="the next start publishes them")
        log.info("drained", committed=self.writer.position.seq)

    def _alive(self) -> dict[str, str]:
        problem = self._keeper.problem if self._keeper else None
        return {"broker": problem} if problem else {}

    def _ready(self) -> dict[str, str]:
        problems = dict(self._problems)
        if not self.control.client.is_connected:
            problems["broker"] = f"not connected to {streams.without_secrets(self.url)}"
        if not self.lease.valid:
            problems.setdefault("lease", f"partition {self.names.partition}: not renewed in time, nothing is stored")
        if self._draining.is_set():
            problems["draining"] = "the node is ending"
        return problems


def _without_ages(store: Store) -> Store:
    """Virtual time is not the clock's: what is years old was stored a moment ago. The disk budget still counts."""
    return msgspec.structs.replace(store, raw_days=KEPT_DAYS, minute_days=KEPT_DAYS, hour_days=KEPT_DAYS)
