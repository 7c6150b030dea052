"""What a running node answers: the NATS micro service `iotpm`, one endpoint a question, JSON, limited and paged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import structlog
from nats import micro

from iotpm import subjects
from iotpm.errors import IotpmError

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.micro.request import Request

    from iotpm.node.service import Node

log = structlog.get_logger(__name__)

Question = dict[str, Any]
Answer = Callable[[Question], object]


class QueryService:
    """Answers from threads, so that a long query holds up neither ticks nor lease."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._answers: dict[str, Answer] = {"status": self._status}

    async def start(self, client: Client) -> None:
        """Register the endpoints `iotpm.svc.<p>.<name>`."""
        service = await micro.add_service(
            client, name=subjects.SERVICE, version=version("iotpm"), description="questions to an iotpm node"
        )
        for name, answer in self._answers.items():
            await service.add_endpoint(
                name=name, subject=self._node.names.service(name), handler=_handler(answer), queue_group=""
            )

    def _status(self, _: Question) -> object:
        return self._node.status()


def _handler(answer: Answer) -> Any:
    async def handle(request: Request) -> None:
        try:
            question = json.loads(request.data or b"{}")
            found = await asyncio.to_thread(answer, question)
            await request.respond(json.dumps(found, default=_plain).encode())
        except (IotpmError, ValueError, KeyError, TypeError) as error:
            await request.respond_error("400", str(error) or type(error).__name__)

    return handle


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return str(value)
