"""What a running node answers: the NATS micro service `iotpm`, one endpoint a question, limited and paged.

Questions are JSON objects; answers are JSON, or the bytes of a Parquet file (`export`). No SQL of a user gets here: the
keys of a question are a list, its values are prepared (`iotpm.store.answers`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import structlog
from nats import micro
from nats.errors import Error as NatsError

from iotpm import subjects
from iotpm.errors import IotpmError
from iotpm.store.answers import MAX_BYTES, Answers, Question

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.micro.request import Request

    from iotpm.node.service import Node

log = structlog.get_logger(__name__)

Reply = tuple[bytes, dict[str, str] | None]
Answer = Callable[[Question], Reply]

THREADS = 2
WAITING_MAX = 64
"""Questions that wait or run, at most; more are refused at once."""

ROWS, SEQUENCE, THROUGH, NEXT = "Iotpm-Rows", "Iotpm-Sequence", "Iotpm-Through", "Iotpm-Next"
"""Headers of an exported page."""


class QueryService:
    """Answers from threads of its own, so that a long query holds up neither ticks nor lease."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._waiting = 0
        self._threads = ThreadPoolExecutor(THREADS, "iotpm-query")

    async def start(self, client: Client) -> None:
        """Register the endpoints `iotpm.svc.<p>.<name>`."""
        answers = Answers(
            self._node.database,
            max_rows=self._node.config.limits.query_rows,
            max_bytes=min(MAX_BYTES, int(client.max_payload * 0.9)),
            live_signals=lambda: self._node.plane.signal_stats(),
        )
        service = await micro.add_service(
            client, name=subjects.SERVICE, version=version("iotpm"), description="questions to an iotpm node"
        )
        for name, answer in self._endpoints(answers).items():
            await service.add_endpoint(
                name=name, subject=self._node.names.service(name), handler=self._handler(answer), queue_group=""
            )

    def stop(self) -> None:
        """Begin no more answers and wait for those under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _endpoints(self, answers: Answers) -> dict[str, Answer]:
        return {
            "status": lambda _: (_json(self._node.status() | {"stored": answers.stored()}), None),
            "signals": lambda question: (answers.signals(question), None),
            "anomalies": lambda question: (answers.anomalies(question), None),
            "revisions": lambda question: (answers.revisions(question), None),
            "feedback": lambda question: (answers.feedback(question), None),
            "dead_letters": lambda question: (answers.dead_letters(question), None),
            "export": lambda question: _exported(answers, question),
        }

    def _handler(self, answer: Answer) -> Any:
        async def handle(request: Request) -> None:
            if self._waiting >= WAITING_MAX:
                await request.respond_error("503", f"{WAITING_MAX} questions are waiting: ask again later")
                return
            self._waiting += 1
            try:
                await self._respond(request, answer)
            finally:
                self._waiting -= 1

        return handle

    async def _respond(self, request: Request, answer: Answer) -> None:
        loop = asyncio.get_running_loop()
        try:
            question = _question(request.data)
            data, headers = await loop.run_in_executor(self._threads, answer, question)
            await request.respond(data, headers)
        except (IotpmError, ValueError) as error:
            await request.respond_error("400", _line(error))
        except NatsError as error:
            log.warning("answer_not_sent", subject=request.subject, error=_line(error))
        except Exception as error:
            log.exception("question_failed", subject=request.subject)
            await request.respond_error("500", _line(error))


def _question(data: bytes) -> Question:
    question = json.loads(data or b"{}")
    if not isinstance(question, dict):
        raise ValueError(f"a question is a JSON object, not {str(question)[:40]!r}")  # noqa: TRY004
    return question


def _exported(answers: Answers, question: Question) -> Reply:
    page = answers.export_page(question)
    headers = {ROWS: str(page.rows), SEQUENCE: str(page.seq), THROUGH: str(page.through)}
    return page.data, headers | ({NEXT: page.next} if page.next else {})


def _json(value: object) -> bytes:
    return json.dumps(value, default=str).encode()


def _line(error: Exception) -> str:
    """One line: it travels in a header."""
    return " ".join(str(error).split()) or type(error).__name__
