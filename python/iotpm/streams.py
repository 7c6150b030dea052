"""Streams and leases in JetStream: made or verified at start, asked about when the node resumes.

Readings never pass through here one by one: that is the data plane's work.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
import xxhash
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, BadRequestError, KeyWrongLastSequenceError, NotFoundError

from iotpm import subjects
from iotpm.errors import BrokerError, LeaseHeld, LeaseLost, StreamMismatch
from iotpm.processes import Identity

if TYPE_CHECKING:
    from nats.js import JetStreamContext
    from nats.js.api import RawStreamMsg
    from nats.js.kv import KeyValue

    from iotpm.config import Nats, Stream
    from iotpm.subjects import Names

log = structlog.get_logger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STREAM_EXISTS = 10058
_NO_ROOM = 10047
_LOG_AGAIN_S = 30.0
"""Time after which an error that goes on is logged again: attempts to reconnect come five a second."""
_RENEWALS = 3
"""Renewals of a dead holder that may arrive while its lease is taken."""
_EXPIRIES = 3
"""Times in a row that a lease may expire while one looks at it."""
# What may be changed on a stream that exists without losing or reinterpreting messages.
_ADJUSTABLE = ("max_bytes", "max_age", "duplicate_window", "allow_direct", "allow_atomic", "allow_batched")
_FIXED = ("storage", "retention", "discard", "subjects", "num_replicas")


class Repeats:
    """What is said again and again, to be passed on at once and then every so many seconds with its number."""

    def __init__(self, again_s: float) -> None:
        self._again_s = again_s
        self._text = ""
        self._times = 0
        self._due = 0.0

    def due(self, text: str) -> int | None:
        """How often it was said since it was last passed on; None if it is not to be passed on now."""
        now = time.monotonic()
        if text == self._text and now < self._due:
            self._times += 1
            return None
        times = self._times + 1 if text == self._text else 1
        self._text, self._times, self._due = text, 0, now + self._again_s
        return times


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """State of a stream; times in microseconds UTC. `created_us` tells a re-created stream from the old one."""

    name: str
    created_us: int
    first_seq: int
    last_seq: int
    messages: int
    bytes: int
    max_bytes: int

    @property
    def fill(self) -> float:
        """Part of `max_bytes` in use, 0 to 1; 0 without a bound."""
        return self.bytes / self.max_bytes if self.max_bytes > 0 else 0.0


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as the broker keeps it."""

    seq: int
    subject: str
    payload: bytes
    headers: dict[str, str]
    time_us: int

    @property
    def hash(self) -> int:
        """As `Chunk.last_hash`: see `message_hash`."""
        return message_hash(self.subject, self.payload)


def message_hash(subject: str, payload: bytes) -> int:
    """xxh3 (64 bits) of subject, a zero byte and payload."""
    return xxhash.xxh3_64_intdigest(subject.encode() + b"\0" + payload)


async def connect(settings: Nats, *, url: str | None = None, name: str = "iotpm", timeout_s: float = 10.0) -> Client:
    """A client that, once connected, never gives up reconnecting and notices a dead link within `link_timeout_s`.

    Args:
        settings: URL, credentials, TLS files, and how long a link may be silent.
        url: takes the place of `settings.url` (the embedded broker's).
        name: shown in the broker's list of connections.
        timeout_s: time for the first connection.

    Raises:
        BrokerError: the broker cannot be reached or refuses the credentials.
    """
    servers = [part.strip() for part in (url or settings.url).split(",")]
    client = Client()
    last: list[Exception] = []

    logged = Repeats(_LOG_AGAIN_S)

    async def note(error: Exception) -> None:
        # After a refusal the broker hangs up, which tells less.
        if not (last and _is_final(last[0])):
            last[:] = [error]
        if (times := logged.due(_reason(error))) is not None:
            log.warning("nats_error", error=_reason(error), **({"times": times} if times > 1 else {}))
        if not connected and _is_final(error):
            client.options["allow_reconnect"] = False

    connected = False
    try:
        connecting = client.connect(
            servers=servers,
            name=name,
            max_reconnect_attempts=-1,
            # The third ping without an answer to any gives the link up.
            ping_interval=settings.link_timeout_s / 3,  # type: ignore[arg-type]
            max_outstanding_pings=2,
            connect_timeout=5,
            # Far below the lease's life: a broker that was only started again costs no lease.
            reconnect_time_wait=0.2,  # type: ignore[arg-type]
            allow_reconnect=True,
            user_credentials=settings.credentials_file,
            nkeys_seed=settings.nkey_file,
            tls=_tls(settings),
            error_cb=note,
        )
        await asyncio.wait_for(connecting, timeout_s)
        connected = True
    except Exception as error:
        # A TLS handshake that failed is never closed from the other side.
        with suppress(TimeoutError):
            await asyncio.wait_for(client.close(), 1)
        reason = last[0] if last else error
        raise BrokerError(f"cannot connect to {without_secrets(', '.join(servers))}: {_reason(reason)}") from error
    return client


def without_secrets(urls: str) -> str:
    """The URLs without user and password, for logs and answers."""
    return re.sub(r"(^|//|,\s*)[^@/,\s]+@", r"\1", urls)


async def ensure_streams(js: JetStreamContext, names: Names, settings: Stream) -> None:
    """Make the partition's streams, or verify those that exist and adjust their sizes.

    Raises:
        StreamMismatch: an existing stream differs in what cannot be changed under its messages.
        BrokerError: the broker refuses, for example because `max_bytes` does not fit its disk.
    """
    await ensure_stream(js, raw_stream_config(names, settings))
    await ensure_stream(js, anomaly_stream_config(names, settings))


def raw_stream_config(names: Names, settings: Stream) -> StreamConfig:
    """What `RAW_<p>` must be: it refuses new messages when full, so that a producer knows."""
    return StreamConfig(
        name=names.raw_stream,
        subjects=names.raw_subjects,
        storage=StorageType.FILE,
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW,
        max_bytes=settings.max_bytes,
        max_age=settings.max_age_s or 0.0,
        duplicate_window=_duplicate_window_s(settings),
        num_replicas=settings.replicas,
        allow_direct=True,
        allow_atomic=True,
        # Producers that number their messages need the order kept when one is refused or dropped on the way: with
        # single acknowledgements a later one may be stored first, and the earlier one then counts as a repeat.
        allow_batched=True,
    )


def anomaly_stream_config(names: Names, settings: Stream) -> StreamConfig:
    """What `ANOMALY_<p>` must be: the oldest events go first; the store has them all."""
    return StreamConfig(
        name=names.anomaly_stream,
        subjects=names.anomaly_subjects,
        storage=StorageType.FILE,
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.OLD,
        max_bytes=settings.anomaly_max_bytes,
        max_age=0.0,
        duplicate_window=120.0,
        num_replicas=settings.replicas,
        allow_direct=True,
        allow_atomic=True,
    )


async def ensure_stream(js: JetStreamContext, wanted: StreamConfig) -> None:
    """Make one stream, or verify and adjust it (see `ensure_streams` for errors)."""
    name = wanted.name or ""
    try:
        found = (await js.stream_info(name)).config
    except NotFoundError:
        await _refusals_named(js.add_stream(wanted), wanted)
        return
    _verify(found, wanted)
    changed = {key: getattr(wanted, key) for key in _ADJUSTABLE if _differs(found, wanted, key)}
    if changed:
        log.info("stream_adjusted", stream=name, **changed)
        await _refusals_named(js.update_stream(found.evolve(**changed)), wanted)


async def stream_facts(js: JetStreamContext, name: str) -> StreamFacts:
    """State of a stream.

    Raises:
        BrokerError: there is no such stream.
    """
    try:
        info = await js.stream_info(name)
    except NotFoundError as error:
        raise BrokerError(f"stream {name} does not exist") from error
    state = info.state
    return StreamFacts(
        name=name,
        created_us=_micros(info.created),
        first_seq=state.first_seq,
        last_seq=state.last_seq,
        messages=state.messages,
        bytes=state.bytes,
        max_bytes=info.config.max_bytes or -1,
    )


async def stored_message(js: JetStreamContext, stream: str, seq: int) -> StoredMessage | None:
    """The message with that sequence; None if the stream has none (any more)."""
    try:
        return _stored(await js.get_msg(stream, seq=seq))
    except NotFoundError:
        return None


async def newest_message(js: JetStreamContext, stream: str, subject: str) -> StoredMessage | None:
    """The last message of a subject; None if the stream has none (any more)."""
    try:
        return _stored(await js.get_last_msg(stream, subject))
    except NotFoundError:
        return None


def _stored(raw: RawStreamMsg) -> StoredMessage:
    headers = {str(key): str(value) for key, value in (raw.headers or {}).items()}
    return StoredMessage(raw.seq or 0, raw.subject or "", raw.data or b"", headers, _micros(raw.time))


async def last_outbox_seq(js: JetStreamContext, names: Names) -> int | None:
    """`Iotpm-Outbox-Seq` of the newest published anomaly: publishing goes on after it. None if none is left."""
    facts = await stream_facts(js, names.anomaly_stream)
    message = await stored_message(js, names.anomaly_stream, facts.last_seq) if facts.messages else None
    number = message.headers.get(subjects.OUTBOX_SEQUENCE) if message else None
    return None if number is None else int(number)


async def purge_through(js: JetStreamContext, stream: str, seq: int) -> None:
    """Remove messages up to and including `seq`: only what the older kept snapshot no longer needs."""
    await js.purge_stream(stream, seq=seq + 1)


@dataclass(slots=True)
class Lease:
    """A partition held by one node: a key that expires on the broker unless it is renewed by compare-and-set.

    A holder that was frozen and wakes finds that its revision is no longer the last one: `renew` raises and `valid` is
    False, by its own clock too, before anyone else can have taken over.
    """

    kv: KeyValue
    js: JetStreamContext
    key: str
    ttl_s: int
    holder: Identity
    revision: int
    renewed: float

    @classmethod
    async def acquire(cls, js: JetStreamContext, key: str, *, ttl_s: int = 5, wait_s: float = 0.0) -> Lease:
        """Take the lease of partition `key`; a holder on this machine that is certainly dead is replaced at once.

        Args:
            js: JetStream context.
            key: partition.
            ttl_s: whole seconds without renewal after which others may take over.
            wait_s: how long to wait for a holder to expire; 0 refuses at once.

        Raises:
            LeaseHeld: another node holds it; the message says which process, host and since when.
        """
        kv = await _bucket(js)
        deadline = time.monotonic() + wait_s
        while True:
            me = Identity.of_this_process()
            asked = time.monotonic()
            revision, other = await _try_acquire(kv, js, key, me, ttl_s)
            if revision is not None:
                return cls(kv, js, key, ttl_s, me, revision, asked)
            if time.monotonic() >= deadline:
                raise LeaseHeld(f"partition {key} is held by {other}; stop it, or wait {ttl_s} s if it crashed")
            await asyncio.sleep(0.1)

    @property
    def valid(self) -> bool:
        """Whether no one else can hold it yet, by this process's monotonic clock, counted from before the request."""
        return time.monotonic() - self.renewed < self.ttl_s

    def check(self) -> None:
        """Raise unless the lease is valid: called before every commit.

        Raises:
            LeaseLost: it was not renewed in time.
        """
        if not self.valid:
            raise LeaseLost(
                f"partition {self.key}: lease not renewed for {self.ttl_s} s; this node writes nothing more"
            )

    async def renew(self) -> None:
        """Extend the lease by `ttl_s`; call it every third of that.

        Raises:
            LeaseLost: it expired or another node took it.
        """
        asked = time.monotonic()
        try:
            self.revision = await _compare_and_set(self.js, self.key, self.holder, self.revision, self.ttl_s)
        except BadRequestError as error:
            self.renewed = float("-inf")
            raise LeaseLost(f"partition {self.key}: {await _describe(self.kv, self.key)}") from error
        self.renewed = asked

    async def regain(self) -> None:
        """Take an expired lease again, also when a renewal reached the broker but its answer was lost.

        Raises:
            LeaseHeld: another node took it in the meantime.
            LeaseLost: it changed on the way; try again.
        """
        asked = time.monotonic()
        revision, other = await _try_acquire(self.kv, self.js, self.key, self.holder, self.ttl_s, known=self.holder)
        if revision is None and (other is None or other == self.holder):
            raise LeaseLost(f"partition {self.key}: the lease changed while it was taken again")
        if revision is None:
            raise LeaseHeld(f"partition {self.key} was taken over by {other}; this node writes nothing more")
        self.revision, self.renewed = revision, asked

    async def release(self) -> None:
        """Give the lease back, also when the answer to a renewal was lost, unless someone else has it by now."""
        self.renewed = float("-inf")
        with suppress(BadRequestError, NotFoundError):
            held = await self.kv.get(self.key)
            if Identity.parse(held.value or b"") == self.holder:
                await self.kv.delete(self.key, last=held.revision)
                return
        log.warning("lease_already_taken", partition=self.key)


async def _bucket(js: JetStreamContext) -> KeyValue:
    # No limit_marker_ttl: its markers would move the last sequence under the holder's compare-and-set.
    try:
        return await js.key_value(subjects.LEASE_BUCKET)
    except NotFoundError:
        return await js.create_key_value(bucket=subjects.LEASE_BUCKET, history=1, storage=StorageType.FILE)


async def _try_acquire(
    kv: KeyValue, js: JetStreamContext, key: str, me: Identity, ttl_s: int, *, known: Identity | None = None
) -> tuple[int | None, Identity | None]:
    """The revision if it was free or its holder is dead or `known`, else who holds it."""
    for _ in range(_EXPIRIES):
        # Between the refusal and the look at who holds it, it may expire: then it is free after all.
        with suppress(NotFoundError):
            try:
                return await kv.create(key, me.encode(), msg_ttl=ttl_s), None
            except KeyWrongLastSequenceError:
                return await _replace(kv, js, key, me, ttl_s, known)
    return None, None


async def _replace(
    kv: KeyValue, js: JetStreamContext, key: str, me: Identity, ttl_s: int, known: Identity | None
) -> tuple[int | None, Identity | None]:
    other = None
    for _ in range(_RENEWALS):
        entry = await kv.get(key)
        other = Identity.parse(entry.value or b"")
        if other is None or (other != known and not other.is_dead()):
            break
        # What the dead one sent last may arrive in between: the lease is still nobody's.
        with suppress(BadRequestError):
            return await _compare_and_set(js, key, me, entry.revision or 0, ttl_s), None
    return None, other


async def _compare_and_set(js: JetStreamContext, key: str, me: Identity, revision: int, ttl_s: int) -> int:
    headers = {"Nats-Expected-Last-Subject-Sequence": str(revision)}
    ack = await js.publish(f"$KV.{subjects.LEASE_BUCKET}.{key}", me.encode(), headers=headers, msg_ttl=ttl_s)
    return ack.seq


async def _describe(kv: KeyValue, key: str) -> str:
    try:
        entry = await kv.get(key)
    except NotFoundError:
        return "the lease expired"
    return f"the lease was taken by {Identity.parse(entry.value or b'')}"


def _verify(found: StreamConfig, wanted: StreamConfig) -> None:
    differences = [
        f"{key} is {_shown(getattr(found, key))}, needed is {_shown(getattr(wanted, key))}"
        for key in _FIXED
        if _differs(found, wanted, key)
    ]
    if differences:
        raise StreamMismatch(
            f"stream {wanted.name}: {'; '.join(differences)}. Use another partition or remove the stream"
        )


def _differs(found: StreamConfig, wanted: StreamConfig, key: str) -> bool:
    have, want = getattr(found, key), getattr(wanted, key)
    if key == "subjects":
        return sorted(have or []) != sorted(want)
    return bool((have or 0) != (want or 0))


def _is_final(error: Exception) -> bool:
    """Whether trying again cannot help: wrong credentials, or a certificate that nobody trusted vouches for."""
    return isinstance(error, ssl.SSLCertVerificationError) or "authorization violation" in str(error).lower()


def _reason(error: Exception) -> str:
    return without_secrets(str(error)) or type(error).__name__


def _shown(value: object) -> str:
    return str(getattr(value, "value", value))


async def _refusals_named(call: Any, wanted: StreamConfig) -> None:
    try:
        await call
    except APIError as error:
        way_out = f"; {wanted.max_bytes} bytes do not fit its disk: lower [stream] max_bytes and anomaly_max_bytes"
        hint = way_out if error.err_code == _NO_ROOM else ""
        if error.err_code == _STREAM_EXISTS:
            raise StreamMismatch(f"stream {wanted.name}: exists with another configuration") from error
        raise BrokerError(f"stream {wanted.name}: {error.description}{hint}") from error


def _duplicate_window_s(settings: Stream) -> float:
    """The broker refuses a window longer than the age at which messages go."""
    return min(settings.duplicate_window_s, settings.max_age_s or settings.duplicate_window_s)


def _micros(time: datetime | None) -> int:
    return 0 if time is None else (time - _EPOCH) // timedelta(microseconds=1)


def _tls(settings: Nats) -> ssl.SSLContext | None:
    if not (settings.tls_ca or settings.tls_cert):
        return None
    context = ssl.create_default_context(cafile=settings.tls_ca)
    if settings.tls_cert:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context
