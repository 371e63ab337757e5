"""The registry within one process."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from gobroke_dist.backends.memory.cluster import Lease, MemoryCluster, Registered
from gobroke_dist.backends.registration import decode, encodable, encode, last_message_ms
from gobroke_dist.client import Client
from gobroke_dist.errors import ClientAlreadyExists, NotRunning, RedisUnavailable
from gobroke_dist.registry import Member, Page


class MemoryRegistry:
    """One member's registry. Those of one cluster see each other.

    Args:
        cluster: what they share.
        lease: seconds.
    """

    def __init__(self, cluster: MemoryCluster, lease: float) -> None:
        self._cluster = cluster
        self._lease = lease
        self._member: Member | None = None

    async def join(self, member: Member) -> None:
        self._member = member
        self._extend(member)

    async def renew(self) -> bool:
        member = self._joined()
        held = self._cluster.living(member.node)
        self._extend(member)
        for node in tuple(self._cluster.leases):
            if not self._cluster.living(node):
                self._cluster.forget(node)
        return held

    async def leave(self) -> None:
        member, self._member = self._member, None
        if member is not None:
            self._cluster.forget(member.node)

    async def members(self) -> list[Member]:
        return [lease.member for node, lease in self._cluster.leases.items() if self._cluster.living(node)]

    async def register(self, client: Client) -> None:
        client.uuid.encode()  # what is no proper text can't be stored anywhere else either
        self._require_lease(client)
        known = self._living_client(client.uuid)
        if known is not None and (known.node, known.session) != (client.node, client.session):
            raise ClientAlreadyExists(client.uuid, known.node)
        self._write(client, encode(client))

    async def replace(self, older: Client, client: Client, news: bytes) -> bool:
        self._require_lease(client)
        if not self._is_known(client):
            if not self._is_known(older):
                return False
            self._cluster.send(older.node, news, None)
        self._write(client, encode(client))
        return True

    async def unregister(self, client: Client) -> bool:
        if not self._is_known(client):
            return False
        del self._cluster.clients[client.uuid]
        return True

    async def update(self, clients: Sequence[Client]) -> None:
        for client, registration in encodable(clients):
            if self._is_known(client):
                self._write(client, registration)

    async def locate(self, uuids: Iterable[str]) -> dict[str, Client]:
        return {uuid: _copy(uuid, known) for uuid in uuids if (known := self._living_client(uuid)) is not None}

    async def page(self, cursor: str = "", count: int = 1000) -> Page:
        uuids = sorted(self._cluster.clients)
        start = bisect_right(uuids, cursor)
        part = uuids[start : start + count]
        found = await self.locate(part)
        return Page(tuple(found.values()), part[-1] if start + count < len(uuids) else "")

    async def count(self) -> int:
        return len(self._cluster.clients)

    def _joined(self) -> Member:
        if self._member is None:
            raise NotRunning("renewing a lease")
        return self._member

    def _require_lease(self, client: Client) -> None:
        if not self._cluster.living(client.node):
            raise RedisUnavailable(f"the lease of {client.node} has run out; it is renewed soon")

    def _extend(self, member: Member) -> None:
        self._cluster.leases[member.node] = Lease(member, self._cluster.clock.monotonic() + self._lease)

    def _living_client(self, uuid: str) -> Registered | None:
        known = self._cluster.clients.get(uuid)
        return known if known is not None and self._cluster.living(known.node) else None

    def _is_known(self, client: Client) -> bool:
        known = self._cluster.clients.get(client.uuid)
        return known is not None and (known.node, known.session) == (client.node, client.session)

    def _write(self, client: Client, registration: bytes) -> None:
        self._cluster.clients[client.uuid] = Registered(
            client.node, client.session, registration, last_message_ms(client)
        )


def _copy(uuid: str, known: Registered) -> Client:
    return decode(uuid, known.registration, known.last_message)
