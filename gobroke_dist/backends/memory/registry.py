"""The registry within one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from hmac import compare_digest

from gobroke_dist.backends.memory.cluster import Kept, Lease, MemoryCluster, Registered
from gobroke_dist.backends.registration import decode, encodable, encode, last_message_ms
from gobroke_dist.client import Client
from gobroke_dist.errors import ClientAlreadyExists, NotRunning, RedisUnavailable
from gobroke_dist.registry import Home, Member, Page, Position, Return
from gobroke_dist.wire import node as wire

_EPOCH = "memory"


class MemoryRegistry:
    """One member's registry. Those of one cluster see each other.

    Args:
        cluster: what they share.
        lease: seconds.
        window: seconds in which a client may come back.
    """

    def __init__(self, cluster: MemoryCluster, lease: float, *, window: float = 120.0) -> None:
        self._cluster = cluster
        self._lease = lease
        self._window = window
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
                self._cluster.forget(node, self._window)
        self._cluster.forget_late()
        return held

    async def leave(self) -> None:
        member, self._member = self._member, None
        if member is not None:
            self._cluster.forget(member.node, self._window)

    async def members(self) -> list[Member]:
        return [lease.member for node, lease in self._cluster.leases.items() if self._cluster.living(node)]

    async def register(self, client: Client, groups: Iterable[str] = ()) -> None:
        client.uuid.encode()  # what is no proper text can't be stored anywhere else either
        self._require_lease(client)
        known = self._cluster.find(client.uuid, away=False)
        if known is not None and (known.node, known.session) != (client.node, client.session):
            raise ClientAlreadyExists(client.uuid, known.node)
        registration = encode(client)
        away = self._cluster.away.get(client.uuid)
        before = self._cluster.clients.get(client.uuid) or (away and away.registered)
        if before and (before.node, before.session) == (client.node, client.session):
            self._write(client, registration)
            self._cluster.is_back(client.uuid)
            return
        self._cluster.forget_client(client.uuid)
        self._write(client, registration)
        for group in groups:
            self._cluster.join_group(client.uuid, group)

    async def replace(self, older: Client, client: Client, news: bytes) -> bool:
        self._require_lease(client)
        registration = encode(client)
        if not self._cluster.knows(client):
            if not self._cluster.knows(older):
                return False
            self._cluster.forget_client(client.uuid)
            self._cluster.send(older.node, news)
        self._write(client, registration)
        return True

    async def unregister(self, client: Client) -> bool:
        known = self._cluster.clients.get(client.uuid) or self._cluster.waited_for(client.uuid)
        if known is None or (known.node, known.session) != (client.node, client.session):
            return False
        self._cluster.forget_client(client.uuid)
        return True

    async def keep(self, client: Client, secret: bytes) -> Position | None:
        if not self._cluster.knows(client):
            return None
        kept = self._cluster.kept.get(client.uuid)
        if kept is None or kept.secret != secret:
            self._cluster.kept[client.uuid] = Kept(secret, [Home(self._cluster.number, client.node)], [client.session])
        return Position(_EPOCH, self._cluster.number)

    async def suspend(self, client: Client) -> bool:
        known = self._cluster.knows(client)
        if known:
            self._cluster.suspend(client.uuid, self._window)
        return known

    async def come_back(self, client: Client, secret: bytes) -> Return | None:
        self._require_lease(client)
        known = self._cluster.find(client.uuid, away=True)
        kept = self._cluster.kept.get(client.uuid)
        if known is None or kept is None or not compare_digest(kept.secret, secret):
            return None
        self._write(client, encode(client))
        self._cluster.is_back(client.uuid)
        kept.sessions.append(client.session)
        homes, number = kept.homes.copy(), self._cluster.number
        if homes[-1].node != client.node:
            kept.homes.append(Home(number, client.node))
        groups = frozenset(self._cluster.groups_of(client.uuid))
        if groups:
            self._cluster.send(client.node, wire.encode(wire.Rejoined(client.uuid, client.session, tuple(groups))))
        return Return(homes, known.node, known.session, Position(_EPOCH, number), groups)

    async def update(self, clients: Sequence[Client]) -> None:
        for client, registration in encodable(clients):
            if self._cluster.knows(client):
                self._write(client, registration)

    async def locate(self, uuids: Iterable[str], *, away: bool = False) -> dict[str, Client]:
        found = ((uuid, self._cluster.find(uuid, away=away)) for uuid in uuids)
        return {uuid: _copy(uuid, known) for uuid, known in found if known is not None}

    async def pages(self, count: int = 1000) -> AsyncIterator[Sequence[Client]]:
        uuids = sorted(self._cluster.clients)
        for start in range(0, len(uuids), count):
            found = await self.locate(uuids[start : start + count])
            yield tuple(found.values())

    async def page(self, cursor: str = "", count: int = 1000) -> Page:
        uuids = sorted(uuid for uuid in self._cluster.clients if uuid > cursor)
        found = await self.locate(uuids[:count])
        return Page(tuple(found.values()), uuids[count - 1] if len(uuids) > count else "")

    async def revoke(self, uuid: str, seconds: float) -> None:
        clock = self._cluster.clock
        self._cluster.revoked[uuid] = clock.now().timestamp(), clock.monotonic() + seconds

    async def revoked(self, uuid: str) -> float | None:
        at, until = self._cluster.revoked.get(uuid, (0.0, float("-inf")))
        return at if until > self._cluster.clock.monotonic() else None

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

    def _write(self, client: Client, registration: bytes) -> None:
        self._cluster.clients[client.uuid] = Registered(
            client.node, client.session, registration, last_message_ms(client)
        )


def _copy(uuid: str, known: Registered) -> Client:
    return decode(uuid, known.registration, known.last_message)
