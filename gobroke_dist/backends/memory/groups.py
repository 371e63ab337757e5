"""Groups within one process."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from gobroke_dist.backends.memory.bus import MemoryBus
from gobroke_dist.backends.memory.cluster import MemoryCluster
from gobroke_dist.backends.registration import decode
from gobroke_dist.client import Client
from gobroke_dist.groups import Change, Outcome
from gobroke_dist.registry import Page


class MemoryGroups:
    """One process's view of the groups. Those of one cluster are the same.

    Args:
        cluster: what they share.
        bus: carries the news; what is sent takes its place at the call.
    """

    def __init__(self, cluster: MemoryCluster, bus: MemoryBus) -> None:
        self._cluster = cluster
        self._bus = bus

    async def join(self, client: Client, group: str, news: bytes) -> Outcome:
        return self._change(self._cluster.join_group, client, group, news)

    async def leave(self, client: Client, group: str, news: bytes) -> Outcome:
        return self._change(self._cluster.leave_group, client, group, news)

    def _change(self, change: Callable[[str, str], bool], client: Client, group: str, news: bytes) -> Outcome:
        known = self._cluster.find(client.uuid, away=True)
        if known is None:
            return Outcome.NOWHERE
        if (known.node, known.session) != (client.node, client.session):
            kept = self._cluster.kept.get(client.uuid)
            return Outcome.ELSEWHERE if kept is not None and client.session in kept.sessions else Outcome.NOWHERE
        if not change(client.uuid, group):
            return Outcome.UNCHANGED
        self._bus.publish(client.node, news)
        return Outcome.CHANGED

    async def page(self, group: str, cursor: str = "", count: int = 1000) -> Page:
        members = self._members(group)
        start = bisect_right(members, cursor)
        part = members[start : start + count]
        found = [(uuid, self._cluster.clients[uuid]) for uuid in part]
        clients = tuple(decode(uuid, known.registration, known.last_message) for uuid, known in found)
        return Page(clients, part[-1] if start + count < len(members) else "")

    async def count(self, group: str) -> int:
        return len(self._members(group))

    async def changes(self, node: str, done: int, grace: float) -> list[Change]:
        return self._cluster.changes.take(node, done, grace)

    def _members(self, group: str) -> list[str]:
        uuids = self._cluster.groups.get(group, ())
        return sorted(uuid for uuid in uuids if self._cluster.find(uuid, away=False))
