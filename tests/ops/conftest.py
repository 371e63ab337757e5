"""A cluster in this process with the HTTP API on one of its edges."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from gobroke_dist import LogicBase, LogicType, Message, Settings
from gobroke_dist.ops import AsyncAPIClient
from tests.cluster.conftest import Cluster, Edge

TOKEN = "a-token-for-tests"


class Oracle(LogicBase):
    """Answers."""

    def run_logic(self, message: Message) -> None:
        self.reply(message, [message.json()])


class Doomed(LogicBase):
    """Fails at once, unless it is told not to."""

    logic_type = LogicType.WORKER
    max_attempts = 1

    def run_logic(self, message: Message) -> None:
        if message.message_raw != b'"well"':
            raise ValueError


def logics() -> list[LogicBase]:
    """Those of each edge, new for each."""
    return [Oracle(), Doomed(), Doomed("other")]


@dataclass
class Served:
    """A cluster with an API."""

    cluster: Cluster
    other: Edge
    edge: Edge
    url: str
    api: AsyncAPIClient


@pytest.fixture
async def served(redis_url: str, prefix: str) -> AsyncIterator[Served]:
    settings = Settings(
        redis_url=redis_url, prefix=prefix, drain_timeout=5, api_tokens=f"{TOKEN},{TOKEN}-2", max_frame=4096
    )
    async with AsyncExitStack() as stack:
        cluster = Cluster(settings, stack)
        other = await cluster.edge(*logics())
        with_api = cluster.broke(logics(), settings=settings.model_copy(update={"api_port": 0}))
        edge = await cluster.edge(broke=with_api)
        api = await stack.enter_async_context(AsyncAPIClient(edge.node.api_address, TOKEN))
        yield Served(cluster, other, edge, edge.node.api_address, api)
