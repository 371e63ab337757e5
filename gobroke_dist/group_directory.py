"""Groups wherever their members are: joined, left, listed and counted.

Who is in which group is decided in Redis, and each node keeps in memory what concerns its own clients, so that a
message to a group names the group and no clients. The two agree in the order of the node's channel: a client joins in
the step that tells its node so, and what is published to the group after that comes after it (contract R5).
"""

from __future__ import annotations

from gobroke_dist.bus import Bus
from gobroke_dist.client import Client, uuid_of
from gobroke_dist.echoes import Echoes
from gobroke_dist.errors import ClientDoesNotExist, RedisUnavailable
from gobroke_dist.groups import Groups, Outcome, check
from gobroke_dist.hub import Hub
from gobroke_dist.registry import Registry
from gobroke_dist.wire import node as wire

_MOVES = 5  # how often a client may come back while it joins


class GroupDirectory:
    """The groups, as a process of the cluster sees them.

    Args:
        node: this process's id.
        hub: this process's own clients.
        registry: all clients.
        groups: all groups.
        bus: how this node hears of its clients.
        timeout: seconds that what concerns this node may take to arrive on its channel.
    """

    def __init__(self, *, node: str, hub: Hub, registry: Registry, groups: Groups, bus: Bus, timeout: float) -> None:
        self._node = node
        self._hub = hub
        self._registry = registry
        self._groups = groups
        self._bus = bus
        self._echoes = Echoes(timeout)

    async def join_group(self, client: Client | str, group: str) -> None:
        """Make a client a member.

        A client object means its session, and with which it has come back since; a uuid means whichever is connected,
        or may come back.

        Raises:
            ClientDoesNotExist: it is not connected, or anew.
            GroupInvalid: no group can have this name.
        """
        check(group)
        if not await self._change(client, group, joined=True):
            raise ClientDoesNotExist(uuid_of(client))

    async def leave_group(self, client: Client | str, group: str) -> None:
        """Take a client out of a group; nothing happens if it is not in it, or gone. Raises ``GroupInvalid``."""
        check(group)
        await self._change(client, group, joined=False)

    async def get_group(self, group: str) -> list[Client]:
        """The members; local ones as live objects. Raises ``GroupInvalid``."""
        check(group)
        members: list[Client] = []
        page = await self._groups.page(group)
        members += map(self._live, page.clients)
        while page.cursor:
            page = await self._groups.page(group, page.cursor)
            members += map(self._live, page.clients)
        return members

    async def count_group(self, group: str) -> int:
        """How many members there are. Raises ``GroupInvalid``."""
        check(group)
        return await self._groups.count(group)

    # --- this node ---------------------------------------------------------------

    def told(self, news: wire.Membership) -> None:
        """A client of this node has joined a group, or left it."""
        session = self._hub.get(news.client)
        if session is not None and session.id == news.session:
            if news.joined:
                self._hub.membership.join(news.session, news.client, news.group)
            else:
                self._hub.membership.leave(news.session, news.group)
        self._echoes.arrived(news.token)

    def rejoined(self, news: wire.Rejoined) -> None:
        """A client has come back to this node, with its groups."""
        session = self._hub.get(news.client)
        if session is not None and session.id == news.session:
            for group in news.groups:
                self._hub.membership.join(news.session, news.client, group)

    def echoed(self, echo: wire.Echo) -> None:
        """What this node has published to itself is back."""
        self._echoes.arrived(echo.token)

    async def catch_up(self) -> None:
        """Wait until this node knows all that has happened to its clients before. Raises ``Unavailable``."""
        with self._echoes.expected() as echo:
            await self._bus.publish(self._node, wire.encode(wire.Echo(echo.token)))
            await echo.heard()

    async def _change(self, client: Client | str, group: str, *, joined: bool) -> bool:
        """Returns whether the session is connected, or may come back. Of its own clients this node knows then, too."""
        session = self._known(client) or await self._located(client)
        for _ in range(_MOVES):
            if session is None:
                return False
            outcome = await self._change_of(session, group, joined=joined)
            if outcome is not Outcome.ELSEWHERE:
                return outcome is not Outcome.NOWHERE
            session = await self._located(client)
        raise RedisUnavailable(f"client {uuid_of(client)!r} comes back faster than it can be found")

    async def _change_of(self, session: Client, group: str, *, joined: bool) -> Outcome:
        change = self._groups.join if joined else self._groups.leave
        with self._echoes.expected() as echo:
            news = wire.Membership(session.uuid, session.session, group, joined=joined, token=echo.token)
            outcome = await change(session, group, wire.encode(news))
            if outcome is Outcome.CHANGED and session.node == self._node:
                await echo.heard()
        if outcome is Outcome.UNCHANGED and session.node == self._node:
            await self.catch_up()  # what has made it so may be on its way here
        return outcome

    def _known(self, client: Client | str) -> Client | None:
        if isinstance(client, Client) and client.node and client.session:
            return client
        session = self._hub.get(uuid_of(client))
        return session.client if session is not None else None

    async def _located(self, client: Client | str) -> Client | None:
        uuid = uuid_of(client)
        return (await self._registry.locate([uuid], away=True)).get(uuid)

    def _live(self, client: Client) -> Client:
        session = self._hub.get(client.uuid)
        return session.client if session is not None and session.id == client.session else client
