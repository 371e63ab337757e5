"""Clients wherever they are: found, listed, and sent away."""

from __future__ import annotations

from gobroke_dist.bus import Bus
from gobroke_dist.client import Client, uuid_of
from gobroke_dist.errors import ClientCouldNotBeDisconnected, ClientDoesNotExist, FrameInvalid
from gobroke_dist.hub import Hub
from gobroke_dist.registry import Registry
from gobroke_dist.session import CloseCode
from gobroke_dist.wire import node as wire


class Directory:
    """Looks in this process first, then in the registry.

    Args:
        hub: this process's own clients.
        registry: all clients.
        bus: how other nodes are asked to close a connection.
        timeout: seconds that another node has to confirm.
    """

    def __init__(self, *, hub: Hub, registry: Registry, bus: Bus, timeout: float) -> None:
        self._hub = hub
        self._registry = registry
        self._bus = bus
        self._timeout = timeout

    async def get_client(self, uuid: str, *, local_only: bool) -> Client:
        """A local client as the live object, any other as a snapshot. Raises ``ClientDoesNotExist``."""
        session = self._hub.get(uuid)
        if session is not None:
            return session.client
        found = {} if local_only else await self._registry.locate([uuid])
        if uuid not in found:
            raise ClientDoesNotExist(uuid)
        return found[uuid]

    async def get_all_clients(self, *, local_only: bool) -> list[Client]:
        """Everybody, each once; local clients as live objects."""
        everybody = {client.uuid: client for client in self._hub.clients()}
        if not local_only:
            async for page in self._registry.pages():
                for client in page:
                    everybody.setdefault(client.uuid, client)
        return list(everybody.values())

    async def remove_client(self, client: Client | str) -> None:
        """Close a client's connection, and return when its node says that it is closed. Who is away can't come back.

        Raises:
            ClientDoesNotExist: no node has it.
            ClientCouldNotBeDisconnected: its node did not confirm in time.
        """
        await self._close(uuid_of(client), CloseCode.REMOVED, "removed")

    async def revoke(self, client: Client | str, *, remember: float) -> bool:
        """Let nothing count that a client has to show until now, and close its connection. Returns whether it had one,
        or was waited for.

        Args:
            client: who.
            remember: for how many seconds: no token lives longer.

        Raises:
            ClientCouldNotBeDisconnected: its node did not confirm in time; it is revoked all the same.
        """
        uuid = uuid_of(client)
        await self._registry.revoke(uuid, remember)
        try:
            await self._close(uuid, CloseCode.REVOKED, "revoked; sign in again")
        except ClientDoesNotExist:
            return False
        return True

    async def _close(self, uuid: str, code: CloseCode, reason: str) -> None:
        if await close_local(self._hub, uuid, code=code, reason=reason):
            return
        found = (await self._registry.locate([uuid])).get(uuid)
        if found is None:
            await self._forget_away(uuid)
            return
        close = wire.Close(uuid, found.session, code, reason)
        try:
            answer = wire.decode(await self._bus.request(found.node, wire.encode(close), timeout=self._timeout))
        except TimeoutError:
            raise ClientCouldNotBeDisconnected(uuid, found.node, "its node did not answer") from None
        except FrameInvalid as error:
            raise ClientCouldNotBeDisconnected(uuid, found.node, str(error)) from None
        if not (isinstance(answer, wire.Closed) and answer.done):
            raise ClientDoesNotExist(uuid)

    async def _forget_away(self, uuid: str) -> None:
        away = (await self._registry.locate([uuid], away=True)).get(uuid)
        if away is None or not await self._registry.unregister(away):
            raise ClientDoesNotExist(uuid)


async def close_local(
    hub: Hub,
    uuid: str,
    session_id: str | None = None,
    *,
    code: CloseCode = CloseCode.REMOVED,
    reason: str = "removed",
) -> bool:
    """Close a connection of this process, and return when it is closed; False: it is not (or no longer) here."""
    session = hub.get(uuid) if session_id is None else hub.find(session_id)
    if session is None:
        return False
    endpoint = hub.endpoint_of(session)
    session.close(code, reason)
    if endpoint is not None:
        await endpoint.close(session)
    return True
