"""Edges with stub endpoints, and a worker, in this process: a whole cluster over one real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from endpoints import StubEndpoint
from gobroke_dist import Broke, LogicBase, Settings
from gobroke_dist.node import Node
from gobroke_dist.roles import edge, worker


@dataclass
class Edge:
    """One edge, its application, and the endpoint that plays its clients."""

    broke: Broke
    stub: StubEndpoint
    node: Node


class Cluster:
    """Starts roles on demand, and ends them in reverse order."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self.settings = settings
        self._stack = stack

    def broke(self, logics: Sequence[LogicBase] = (), *, settings: Settings | None = None) -> Broke:
        """An application with these logics. Each role needs logic objects of its own, as in processes of their own."""
        made = Broke(StubEndpoint(), settings=settings or self.settings)
        for logic in logics:
            made.add_logic(logic)
        return made

    async def edge(self, *logics: LogicBase, broke: Broke | None = None) -> Edge:
        """One more edge."""
        made = broke or self.broke(logics)
        node = await self._stack.enter_async_context(edge(made))
        made._operations = node.runtime.operations
        endpoint = made.get_endpoint()
        assert isinstance(endpoint, StubEndpoint)
        return Edge(made, endpoint, node)

    async def worker(self, *logics: LogicBase, broke: Broke | None = None) -> Broke:
        """The worker; Dramatiq allows one in a process."""
        made = broke or self.broke(logics)
        await self._stack.enter_async_context(worker(made))
        return made


@pytest.fixture
def settings(redis_url: str, prefix: str) -> Settings:
    """Settings with a prefix of the test's own, and times that suit tests, whose clients send as fast as they can."""
    return Settings(redis_url=redis_url, prefix=prefix, threads=4, drain_timeout=5, worker_lease=5, max_messages=0)


@pytest.fixture
async def cluster(settings: Settings) -> AsyncIterator[Cluster]:
    """A cluster without any process yet."""
    async with AsyncExitStack() as stack:
        yield Cluster(settings, stack)
