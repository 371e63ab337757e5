"""The bus within one process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from gobroke_dist.backends.memory.cluster import MemoryCluster
from gobroke_dist.bus import Receiver

T = TypeVar("T")


class MemoryBus:
    """One process's bus. Those of one cluster reach each other; what is sent arrives in the next loop turn.

    Args:
        cluster: what they share.
    """

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster
        self._node: str | None = None

    @property
    def listening(self) -> bool:
        return True

    async def open(self, node: str, receive: Receiver) -> None:
        self._node = node
        self._cluster.receivers[node] = receive

    def publish(self, node: str, data: bytes) -> Awaitable[bool]:
        return _known(self._cluster.send(node, data, None))

    def broadcast(self, data: bytes) -> Awaitable[int]:
        return _known(sum(self._cluster.send(node, data, None) for node in tuple(self._cluster.receivers)))

    async def request(self, node: str, data: bytes, *, timeout: float) -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def reply(data: bytes) -> None:
            if not answer.done():
                answer.set_result(data)

        if not self._cluster.send(node, data, reply):
            raise TimeoutError(f"nobody listens on node {node!r}")
        async with asyncio.timeout(timeout):
            return await answer

    async def close(self) -> None:
        await asyncio.sleep(0)
        if self._node is not None:
            self._cluster.receivers.pop(self._node, None)


def _known(value: T) -> asyncio.Future[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future
