"""Registry and bus of a process whose way to Redis may be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from gobroke_dist.bus import Arrival, Bus, Missed, Receiver
from gobroke_dist.client import Client
from gobroke_dist.groups import Change, Groups, Outcome
from gobroke_dist.registry import Member, Page, Position, Registry, Return
from gobroke_dist.testing.memory.way import Way

T = TypeVar("T")


class CutRegistry:
    """A registry whose calls wait while the process is frozen, and fail while Redis is down.

    Args:
        inner: what does the work.
        way: of this process.
    """

    def __init__(self, inner: Registry, way: Way) -> None:
        self._inner = inner
        self._way = way

    async def join(self, member: Member) -> None:
        await self._way.check()
        await self._inner.join(member)

    async def renew(self) -> bool:
        await self._way.check()
        return await self._inner.renew()

    async def leave(self) -> None:
        await self._way.check()
        await self._inner.leave()

    async def members(self) -> list[Member]:
        await self._way.check()
        return await self._inner.members()

    async def register(self, client: Client, groups: Iterable[str] = ()) -> None:
        await self._way.check()
        await self._inner.register(client, groups)

    async def replace(self, older: Client, client: Client, news: bytes) -> bool:
        await self._way.check()
        return await self._inner.replace(older, client, news)

    async def unregister(self, client: Client) -> bool:
        await self._way.check()
        return await self._inner.unregister(client)

    async def update(self, clients: Sequence[Client]) -> None:
        await self._way.check()
        await self._inner.update(clients)

    async def keep(self, client: Client, secret: bytes) -> Position | None:
        await self._way.check()
        return await self._inner.keep(client, secret)

    async def suspend(self, client: Client) -> bool:
        await self._way.check()
        return await self._inner.suspend(client)

    async def come_back(self, client: Client, secret: bytes) -> Return | None:
        await self._way.check()
        return await self._inner.come_back(client, secret)

    async def locate(self, uuids: Iterable[str], *, away: bool = False) -> dict[str, Client]:
        await self._way.check()
        return await self._inner.locate(uuids, away=away)

    async def pages(self, count: int = 1000) -> AsyncIterator[Sequence[Client]]:
        await self._way.check()
        async for page in self._inner.pages(count):
            yield page
            await self._way.check()

    async def page(self, cursor: str = "", count: int = 1000) -> Page:
        await self._way.check()
        return await self._inner.page(cursor, count)

    async def revoke(self, uuid: str, seconds: float) -> None:
        await self._way.check()
        await self._inner.revoke(uuid, seconds)

    async def revoked(self, uuid: str) -> float | None:
        await self._way.check()
        return await self._inner.revoked(uuid)

    async def count(self) -> int:
        await self._way.check()
        return await self._inner.count()


class CutGroups:
    """Groups as such a process sees them.

    Args:
        inner: what does the work.
        way: of this process.
    """

    def __init__(self, inner: Groups, way: Way) -> None:
        self._inner = inner
        self._way = way

    async def join(self, client: Client, group: str, news: bytes) -> Outcome:
        await self._way.check()
        return await self._inner.join(client, group, news)

    async def leave(self, client: Client, group: str, news: bytes) -> Outcome:
        await self._way.check()
        return await self._inner.leave(client, group, news)

    async def page(self, group: str, cursor: str = "", count: int = 1000) -> Page:
        await self._way.check()
        return await self._inner.page(group, cursor, count)

    async def count(self, group: str) -> int:
        await self._way.check()
        return await self._inner.count(group)

    async def changes(self, node: str, done: int, grace: float) -> list[Change]:
        await self._way.check()
        return await self._inner.changes(node, done, grace)


class CutBus:
    """A bus of such a process. What arrives while it is frozen waits, in order.

    Args:
        inner: what does the work.
        way: of this process.
    """

    def __init__(self, inner: Bus, way: Way) -> None:
        self._inner = inner
        self._way = way
        self._receive: Receiver | None = None
        self._arrived: list[Arrival] = []

    @property
    def listening(self) -> bool:
        return self._inner.listening and self._way.refusal() is None

    async def open(self, node: str, receive: Receiver, lost: Callable[[str], None] | None = None) -> None:
        self._receive = receive
        await self._inner.open(node, self._arrive, lost)

    def send(self, data: bytes, to: Sequence[str], groups: Sequence[str] = ()) -> Awaitable[tuple[str, ...]]:
        refusal = self._way.refusal()
        return _failed(refusal) if refusal is not None else self._inner.send(data, to, groups)

    def publish(self, node: str, data: bytes) -> Awaitable[bool]:
        refusal = self._way.refusal()
        return _failed(refusal) if refusal is not None else self._inner.publish(node, data)

    def broadcast(self, data: bytes) -> Awaitable[int]:
        refusal = self._way.refusal()
        return _failed(refusal) if refusal is not None else self._inner.broadcast(data)

    async def replay(self, node: str | None, since: int, until: int) -> Missed | None:
        await self._way.check()
        return await self._inner.replay(node, since, until)

    async def request(self, node: str, data: bytes, *, timeout: float) -> bytes:
        await self._way.check()
        return await self._inner.request(node, data, timeout=timeout)

    async def close(self) -> None:
        await self._inner.close()

    def hand_over(self) -> None:
        """The process is awake again, and reads what has arrived."""
        arrived, self._arrived = self._arrived, []
        for arrival in arrived:
            self._arrive(arrival)

    def _arrive(self, arrival: Arrival) -> None:
        if not self._way.awake.is_open:
            self._arrived.append(arrival)
        elif self._receive is not None and self._way.alive:
            self._receive(arrival)


def _failed(error: Exception) -> Awaitable[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future
