"""Groups on Redis: two sorted sets for all of them, and one script for each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis.asyncio

from gobroke_dist.backends.redis.copies import wanted
from gobroke_dist.backends.redis.errors import unavailable_when_full
from gobroke_dist.backends.redis.line import Line
from gobroke_dist.backends.redis.scripts import Script, load
from gobroke_dist.backends.redis.track import Word
from gobroke_dist.backends.registration import decode_all, head
from gobroke_dist.client import Client
from gobroke_dist.groups import Change, Outcome
from gobroke_dist.keys import ClusterKeys
from gobroke_dist.registry import Page
from gobroke_dist.settings import Settings

T = TypeVar("T")

_JOIN, _LEAVE, _COUNT, _PAGE, _TAKE = (
    load(__package__, name) for name in ("join_group", "leave_group", "count_group", "page_group", "take_changes")
)
_ALONE_MS = 3000  # for which a node that asks for changes is the only one that gets some
_CHANGES = 100  # that one answer has, at most


class RedisGroups:
    """One process's view of the groups. ``redis`` is its owner's to close, after it.

    Args:
        redis: a client of ``connection.connect``.
        keys: where everything is.
        settings: ``pending_limit``, ``log_length`` and ``recovery_window`` are used.
    """

    def __init__(self, redis: redis.asyncio.Redis, keys: ClusterKeys, settings: Settings) -> None:
        self._keys = keys
        self._kept: list[Word] = [*settings.kept]
        self._line = Line(redis, name="the groups", limit=settings.pending_limit, repeat=True, copies=wanted(settings))

    async def join(self, client: Client, group: str, news: bytes) -> Outcome:
        return await self._change(_JOIN, client, group, news)

    async def leave(self, client: Client, group: str, news: bytes) -> Outcome:
        return await self._change(_LEAVE, client, group, news)

    async def page(self, group: str, cursor: str = "", count: int = 1000) -> Page:
        keys = [self._keys.members, self._keys.clients, self._keys.last_messages, self._keys.memberships]
        return await self._run(_PAGE, keys, [group, cursor, max(count, 1)], _page)

    async def count(self, group: str) -> int:
        return await self._run(_COUNT, [self._keys.members, self._keys.memberships], [group], int)

    async def changes(self, node: str, done: int, grace: float) -> list[Change]:
        args: list[Word] = [node, done, int(grace * 1000), _ALONE_MS, _CHANGES]
        return await self._run(_TAKE, self._keys.changes, args, _changes)

    async def close(self) -> None:
        """Wait for what is under way, and give the connection back to ``redis``."""
        await self._line.close()

    async def _change(self, script: Script, client: Client, group: str, news: bytes) -> Outcome:
        to = self._keys.channel(client.node)
        keys = [*self._keys.places, *self._keys.groups, self._keys.posts, to.log]
        args: list[Word] = [client.node, client.uuid, head(client), client.session, group]
        args += (to.field, to.name, *self._kept, news)
        return await self._run(script, keys, args, _outcome, stores=True)

    async def _run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Word],
        read: Callable[[Any], T],
        *,
        stores: bool = False,
    ) -> T:
        with unavailable_when_full():
            return await self._line.run(script, keys, args, read=read, stores=stores)


def _outcome(word: bytes) -> Outcome:
    return Outcome(word.decode())


def _page(reply: tuple[bytes, Sequence[bytes]]) -> Page:
    cursor, found = reply
    return Page(tuple(decode_all(found)), cursor.decode())


def _changes(entries: Sequence[bytes]) -> list[Change]:
    words = (entry.decode().split("\0", 3) for entry in entries)
    return [Change(int(number), what == "joined", group, uuid) for number, what, group, uuid in words]
