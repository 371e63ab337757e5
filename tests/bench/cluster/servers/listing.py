"""gobroke_dist: stand-in nodes with leases that hold many clients, or a node that holds none and lists them all.

``python -m … REDIS_URL``; the benchmark says which of the two this process is to be.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

from endpoints import StubEndpoint
from gobroke_dist import Broke, Client, Settings
from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.backends.redis.registry import RedisRegistry
from gobroke_dist.keys import ClusterKeys
from gobroke_dist.node import Node
from gobroke_dist.pauses import spare_what_stays
from gobroke_dist.registry import Member, new_node_id
from gobroke_dist.roles import edge
from tests.bench.cluster.answering import answer
from tests.bench.cluster.servers.people import people
from tests.bench.contestants.roles import run

_STAND_INS = 2
_BATCH = 500


class Listing:
    """One of the two processes.

    Args:
        settings: of the cluster.
        stack: what ends with the process.
    """

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._tasks: list[asyncio.Task[None]] = []
        self._node: Node | None = None

    async def fill(self, clients: int) -> dict[str, Any]:
        """Register so many clients, and keep the leases of their nodes."""
        for number in range(_STAND_INS):
            await self._stand_in(number, clients)
        return {}

    async def join(self) -> dict[str, Any]:
        """Be a node, and list everybody for the first time."""
        self._node = await self._stack.enter_async_context(edge(Broke(StubEndpoint(), settings=self._settings)))
        spare_what_stays()
        return await self.list()

    async def list(self) -> dict[str, Any]:
        """List everybody. Returns how many there are, and how long it took."""
        assert self._node is not None
        started = time.perf_counter()
        everybody = await self._node.runtime.operations.get_all_clients()
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "count": sum("room" in client.metadata for client in everybody)}

    async def _stand_in(self, number: int, clients: int) -> None:
        registry = RedisRegistry(connect(self._settings), ClusterKeys(self._settings.prefix), self._settings.node_lease)
        node = new_node_id(self._settings, "edge")
        await registry.join(Member(node=node, role="edge"))
        self._tasks.append(asyncio.create_task(self._keep(registry)))
        mine = list(people(clients))[number::_STAND_INS]
        for start in range(0, len(mine), _BATCH):
            batch = mine[start : start + _BATCH]
            made = (Client(uuid, metadata, node=node, session=uuid) for uuid, metadata in batch)
            await asyncio.gather(*(registry.register(client) for client in made))

    async def _keep(self, registry: RedisRegistry) -> None:
        while True:
            await asyncio.sleep(self._settings.node_lease / 3)
            await registry.renew()


async def main(url: str) -> None:
    """Do what the benchmark says."""
    async with AsyncExitStack() as stack:
        listing = Listing(Settings(redis_url=url, prefix="bench"), stack)
        await answer(fill=listing.fill, join=listing.join, list=listing.list)


if __name__ == "__main__":
    run(main(sys.argv[1]))
