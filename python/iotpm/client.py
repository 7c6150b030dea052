"""Asking a data directory: its running node through the NATS micro service, or a stopped node's files read-only.

>>> from iotpm.client import connect
>>> with connect("iotpm-data") as source:  # doctest: +SKIP
...     source.status()["committed_sequence"]
...     newest = next(source.anomalies(asset="plant/pump-1"), None)

Both ways give the same rows. Rows are dictionaries with the columns of `docs/interfaces.md`; times are integers,
microseconds since 1970 UTC.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from iotpm import subjects
from iotpm.errors import BrokerError, StoreError, StoreHeld

if TYPE_CHECKING:
    from types import TracebackType

    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from iotpm.node.nodefile import NodeFile
    from iotpm.store.answers import Answers, ParquetPage

Row = dict[str, Any]
ExportProgress = Callable[[int, int, int], None]
"""Rows so far, sequence reached, sequence of the end."""

TIMEOUT_S = 60.0
LIFE_CHECK_S = 0.5
_ALL = 1 << 30
"""More rows than a page has: the page's own bound counts."""
_FILE_ROWS, _FILE_BYTES = 200_000, 256 << 20
"""Bounds of a page where nothing has to travel."""


def connect(data_dir: str | Path) -> Source:
    """The running node of a data directory, or its files.

    Raises:
        StoreError: there is neither.
        StoreHeld: another process has the files open without answering questions (a node that starts or ends).
        BrokerError: the node's broker cannot be reached.
    """
    from iotpm.node.nodefile import NodeFile

    root = Path(data_dir)
    node = NodeFile.of_running_node(root)
    if node is not None:
        return RunningNode(node)
    try:
        return StoredFiles(root)
    except StoreHeld:
        # It may have come up between the two questions.
        if (node := NodeFile.of_running_node(root)) is not None:
            return RunningNode(node)
        raise


class Source(ABC):
    """Where answers come from; a context manager. Belongs to one thread."""

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether a node answers, not its files."""

    @abstractmethod
    def status(self) -> dict[str, Any]:
        """Position, counts, sizes; of a running node also lag, latency and problems."""

    @abstractmethod
    def ask(self, name: str, question: dict[str, Any]) -> dict[str, Any]:
        """One page: `columns`, `rows`, `next`, `through`.

        Raises:
            StoreError, InputError: the question cannot be answered.
            BrokerError: the node has gone.
        """

    @abstractmethod
    def control(self, kind: str, payload: bytes) -> int:
        """Publish a control message; its sequence in the stream.

        Raises:
            StoreError: no node runs.
            BrokerError: the stream does not take it.
        """

    @abstractmethod
    def export_page(self, question: dict[str, Any]) -> ParquetPage:
        """One page of an export (errors as with `ask`)."""

    @abstractmethod
    def close(self) -> None:
        """Disconnect."""

    def signals(self, **filters: Any) -> Iterator[Row]:
        """All signals (filters `signal`, `asset`: patterns, `*` is any run of characters)."""
        return self._rows("signals", filters)

    def feedback(self, **filters: Any) -> Iterator[Row]:
        """What operators said, in the order in which it acted (filter `behind`: a sequence)."""
        return self._rows("feedback", filters)

    def anomalies(self, **filters: Any) -> Iterator[Row]:
        """The latest revision of each anomaly, last changed first (also `since_us`, `until_us`)."""
        return self._rows("anomalies", filters)

    def dead_letters(self, **filters: Any) -> Iterator[Row]:
        """What was refused, the newest first (filters `since_us`, `until_us`, `reason`).

        `payload` has the first 4,096 of `payload_bytes` bytes; an export has them all.
        """
        for row in self._rows("dead_letters", {**filters, "newest_first": True}):
            yield {**row, "payload": None if row["payload"] is None else b64decode(row["payload"])}

    def newest(self, limit: int, **filters: Any) -> tuple[list[Row], int]:
        """As `anomalies`, one page of at most `limit` rows, and the sequence behind which `revisions` goes on."""
        page = self.ask("anomalies", {**filters, "limit": limit or _ALL})
        return _dicts(page), page["through"]

    def revisions(self, behind: int, **filters: Any) -> tuple[list[Row], int]:
        """Revisions committed behind sequence `behind`, in order; and the sequence up to which these are all."""
        question, found = {"limit": _ALL, **filters, "behind": behind}, list[Row]()
        while True:
            page = self.ask("revisions", question)
            found += _dicts(page)
            if page["next"] is None:
                return found, max(behind, page["through"])
            question = {"limit": _ALL, **filters, "after": page["next"]}

    def export(self, kind: str, path: str | Path, *, progress: ExportProgress | None = None, **filters: Any) -> int:
        """Write rows to a .parquet or .csv file, in the order of their sequences; returns their number.

        What is there when the export begins is exported. The file appears when it is whole.

        Args:
            kind: `readings`, `windows`, `vibration`, `waveforms`, `anomalies` or `dead_letters`.
            path: target.
            progress: called after every page.
            **filters: `signal`, `asset` (not of dead letters), `since_us`, `until_us`.

        Raises:
            StoreError: unknown kind or ending, or the file cannot be written.
        """
        target = Path(path)
        _check_target(target)
        with tempfile.TemporaryDirectory(prefix=".iotpm-export-", dir=target.absolute().parent) as directory:
            pages = self._pages({**filters, "kind": kind}, Path(directory), progress)
            whole = Path(directory) / f"whole{target.suffix.lower()}"
            rows = _join(pages, whole)
            whole.replace(target)
        return rows

    def _pages(self, question: dict[str, Any], directory: Path, progress: ExportProgress | None) -> list[Path]:
        """Fetches all pages; those without rows count as progress only, but one is kept for its columns."""
        paths, rows, token = list[Path](), 0, None
        question = {"limit": _ALL, **question}
        while True:
            page = self.export_page(question if token is None else {**question, "after": token})
            if page.rows or not paths:
                paths.append(directory / f"{len(paths):08}.parquet")
                paths[-1].write_bytes(page.data)
            rows, token = rows + page.rows, page.next
            if progress is not None:
                progress(rows, page.seq, page.through)
            if token is None:
                return paths

    def _rows(self, name: str, filters: dict[str, Any]) -> Iterator[Row]:
        question = {"limit": _ALL} | {key: value for key, value in filters.items() if value is not None}
        token = None
        while True:
            page = self.ask(name, question if token is None else {**question, "after": token})
            yield from _dicts(page)
            if (token := page["next"]) is None:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StoredFiles(Source):
    """The files of a stopped node."""

    def __init__(self, data_dir: Path) -> None:
        from iotpm.config import Store
        from iotpm.store.answers import Answers
        from iotpm.store.database import Database

        if not data_dir.is_dir():
            raise StoreError(
                f"{data_dir}: no such directory; give --data-dir of a node, or start one with iotpm-ingest"
            )
        self._data_dir = data_dir
        self._database = Database.read_only(data_dir, Store())
        self._answers: Answers = Answers(self._database, max_rows=_FILE_ROWS, max_bytes=_FILE_BYTES)

    @property
    def running(self) -> bool:
        """False."""
        return False

    def status(self) -> dict[str, Any]:
        """What the files know; `unclean_end` names the process that did not end as it should."""
        from iotpm.node.nodefile import NodeFile
        from iotpm.store.seeds import recorded

        stored = self._answers.stored()
        where = {"running": False, "version": version("iotpm"), "data_dir": str(self._data_dir.absolute())}
        killed = NodeFile.of_killed_node(self._data_dir)
        where["unclean_end"] = None if killed is None else str(killed.identity)
        position = {key: stored[key] for key in ("partition", "stream", "epoch", "committed_sequence")}
        with self._database.cursor() as cursor:
            seed = recorded(cursor, stored["epoch"])
        return {**where, **position, "seed": seed, "stored": stored}

    def ask(self, name: str, question: dict[str, Any]) -> dict[str, Any]:
        """One page (see `Source.ask`)."""
        answer = {
            "signals": self._answers.signals,
            "anomalies": self._answers.anomalies,
            "revisions": self._answers.revisions,
            "feedback": self._answers.feedback,
            "dead_letters": self._answers.dead_letters,
        }[name]
        page: dict[str, Any] = json.loads(answer(question))
        return page

    def export_page(self, question: dict[str, Any]) -> ParquetPage:
        """One page of an export."""
        return self._answers.export_page(question)

    def control(self, kind: str, payload: bytes) -> int:  # noqa: ARG002 - nobody would read it
        """Nobody would act on it."""
        raise StoreError(f"no node runs on {self._data_dir}, so a {kind} message would not act; start iotpm-ingest")

    def close(self) -> None:
        """Close the files."""
        self._database.close()


class RunningNode(Source):
    """A node that answers; one connection, kept until closed."""

    def __init__(self, node: NodeFile) -> None:
        self._node = node
        self._runner = asyncio.Runner()
        self._client: Client | None = None
        try:
            self._client = self._runner.run(self._connect())
        except BaseException:
            self._runner.close()
            raise

    @property
    def running(self) -> bool:
        """True."""
        return True

    def status(self) -> dict[str, Any]:
        """What the node says."""
        status: dict[str, Any] = json.loads(self._request("status", {}).data)
        return status

    def ask(self, name: str, question: dict[str, Any]) -> dict[str, Any]:
        """One page (see `Source.ask`)."""
        page: dict[str, Any] = json.loads(self._request(name, question).data)
        return page

    def export_page(self, question: dict[str, Any]) -> ParquetPage:
        """One page of an export."""
        from iotpm.node.queries import NEXT, ROWS, SEQUENCE, THROUGH
        from iotpm.store.answers import ParquetPage

        answer = self._request("export", question)
        headers = answer.headers or {}
        rows, seq, through = (int(headers[name]) for name in (ROWS, SEQUENCE, THROUGH))
        return ParquetPage(answer.data, rows, seq, through, headers.get(NEXT))

    def control(self, kind: str, payload: bytes) -> int:
        """Publish to the node's control subject; the stream stores it before this returns."""
        from nats.errors import Error as NatsError

        assert self._client is not None, "closed"
        subject = subjects.live(self._node.partition).control(kind)
        try:
            ack = self._runner.run(self._client.jetstream().publish(subject, payload, timeout=TIMEOUT_S))
        except (NatsError, TimeoutError) as error:
            raise BrokerError(f"the stream did not take the {kind} message: {error or type(error).__name__}") from error
        return int(ack.seq)

    def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            self._runner.run(self._client.close())
            self._client = None
        self._runner.close()

    async def _connect(self) -> Client:
        from iotpm import streams
        from iotpm.config import Nats

        settings = Nats(url=self._node.url, **self._node.connection)  # type: ignore[arg-type]
        try:
            return await streams.connect(settings, name="iotpm-cli", timeout_s=5.0)
        except BrokerError as error:
            raise BrokerError(f"the node (process {self._node.pid}) runs, but: {error}") from error

    def _request(self, name: str, question: dict[str, Any]) -> Msg:
        from nats.errors import Error as NatsError
        from nats.errors import NoRespondersError

        try:
            answer = self._runner.run(self._answer(name, json.dumps(question).encode()))
        except NoRespondersError as error:
            raise BrokerError(
                f"the node (process {self._node.pid}) does not answer: it is starting or ending"
            ) from error
        except (NatsError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise BrokerError(f"the node (process {self._node.pid}) did not answer {name}: {reason}") from error
        return _checked(answer)

    async def _answer(self, name: str, question: bytes) -> Msg:
        """The answer, or the news that the node has ended in the meantime."""
        assert self._client is not None, "closed"
        subject = subjects.live(self._node.partition).service(name)
        asked = asyncio.ensure_future(self._client.request(subject, question, timeout=TIMEOUT_S))
        while not (await asyncio.wait({asked}, timeout=LIFE_CHECK_S))[0]:
            if self._node.identity.is_dead():
                asked.cancel()
                raise BrokerError(f"the node (process {self._node.pid}) has ended; its files answer now")
        return asked.result()


def _checked(answer: Msg) -> Msg:
    headers = answer.headers or {}
    if (refusal := headers.get("Nats-Service-Error")) is not None:
        raise StoreError(refusal)
    return answer


def _dicts(page: dict[str, Any]) -> list[Row]:
    return [dict(zip(page["columns"], row, strict=True)) for row in page["rows"]]


_FORMATS = {".parquet": "FORMAT parquet, COMPRESSION zstd", ".csv": "FORMAT csv, HEADER"}


def _check_target(target: Path) -> None:
    if target.suffix.lower() not in _FORMATS:
        raise StoreError(f"{target}: must end in {' or '.join(_FORMATS)}")
    if not target.absolute().parent.is_dir():
        raise StoreError(f"{target}: there is no directory {target.parent}; make it first")


def _join(pages: list[Path], whole: Path) -> int:
    """All pages in one file, in order; returns its rows."""
    import duckdb

    from iotpm.store.tables import literal

    listed = ", ".join(f"'{literal(page)}'" for page in pages)
    with duckdb.connect(config={"threads": 1}) as connection:
        copy = f"COPY (SELECT * FROM read_parquet([{listed}])) TO '{literal(whole)}' ({_FORMATS[whole.suffix]})"
        try:
            row = connection.execute(copy).fetchone()
        except duckdb.Error as error:
            raise StoreError(f"{whole.parent.parent}: {error}") from error
    return int(row[0]) if row else 0
