"""The bus within one process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gobroke_dist.backends.memory.cluster import MemoryCluster
from gobroke_dist.bus import Arrival, Missed, Receiver

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

    async def open(self, node: str, receive: Receiver, lost: Callable[[str], None] | None = None) -> None:
        self._node = node
        self._cluster.receivers[node] = receive

    def send(self, data: bytes, to: Sequence[str], groups: Sequence[str] = ()) -> Awaitable[tuple[str, ...]]:
        found = {uuid: self._cluster.home_of(uuid) for uuid in to}
        members = (self._cluster.home_of(uuid) for group in groups for uuid in self._cluster.groups.get(group, ()))
        nodes = dict.fromkeys(node for node in (*found.values(), *members) if node is not None)
        gone = tuple(uuid for uuid, node in found.items() if node is None)
        for node in nodes:
            self._cluster.send(node, data, complete=len(nodes) > 1 or bool(gone))
        return _known(gone)

    def publish(self, node: str, data: bytes) -> Awaitable[bool]:
        return _known(self._cluster.send(node, data))

    def broadcast(self, data: bytes) -> Awaitable[int]:
        return _known(self._cluster.send_to_all(data))

    async def replay(self, node: str | None, since: int, until: int) -> Missed | None:
        log = self._cluster.log
        if log and log[0].number > since + 1 and len(log) == log.maxlen:
            return None
        return [(one.number, one.data) for one in log if since < one.number <= until and one.node == node]

    async def request(self, node: str, data: bytes, *, timeout: float) -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def reply(data: bytes) -> None:
            if not answer.done():
                answer.set_result(data)

        if not self._cluster.hand(node, Arrival(data, reply=reply)):
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
