"""Who may connect as whom: a client is connected once in the cluster (contract C2)."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from gobroke_dist.client import Client
from gobroke_dist.endpoint import Endpoint
from gobroke_dist.errors import ClientAlreadyExists
from gobroke_dist.hub import Hub
from gobroke_dist.registry import Registry
from gobroke_dist.returning import Returns
from gobroke_dist.session import CloseCode, Session
from gobroke_dist.settings import Settings
from gobroke_dist.wire import node as wire

REPLACED = "the client has connected again"

_TRIES = 100  # each one that fails is one that another connection of the client has won


class Admission:
    """Registers sessions; the registry decides which one of a client's stays.

    A session that is replaced leaves the hub at once, so that what still comes for its client follows the client, and
    is closed then. The node that replaces it waits for nothing: its news to the other node is part of the registration.

    Args:
        node: this process's id.
        hub: this process's sessions.
        registry: all clients.
        settings: ``duplicate_clients`` is used.
        returns: begins the sessions of clients that may come back.
    """

    def __init__(self, *, node: str, hub: Hub, registry: Registry, settings: Settings, returns: Returns) -> None:
        self._node = node
        self._hub = hub
        self._registry = registry
        self._returns = returns
        self._replaces = settings.duplicate_clients == "replace"
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def admit(self, session: Session, endpoint: Endpoint) -> None:
        """Take a session in, and register its client.

        Raises:
            ClientAlreadyExists: it is connected, and stays so.
            RedisUnavailable: it is not known whether it is registered.
            TypeError, ValueError: its metadata is not JSON-able.
        """
        uuid = session.client.uuid
        here = self._hub.get(uuid)
        respected = here is not None and not here.ending  # of one that is on its way out the registry knows more
        if here is not None and respected and not self._replaces and not self._returns.replaces(here, session):
            raise ClientAlreadyExists(uuid, self._node)
        turn = self._turns.setdefault(uuid, asyncio.Lock())
        async with turn:  # the order in this hub is that of the registry
            # In the hub first: from the moment that others can find the client, what they send it has a place to go.
            before = self._hub.add(session, endpoint)
            try:
                if session.recovery is None:
                    await self._register(session)
                else:
                    await self._returns.begin(session, self._register)
            except BaseException:
                self._hub.remove(session)
                if before is not None:
                    self._hub.restore(before)
                raise
        if before is not None:
            before.close(CloseCode.REPLACED, REPLACED)

    def replaced(self, news: wire.Close) -> None:
        """Another session has the client of this one, if this one is here at all."""
        session = self._hub.find(news.session)
        if session is not None:
            self._hub.step_aside(session)
            session.close(CloseCode(news.code), news.reason)

    async def _register(self, session: Session) -> None:
        client = session.client
        for _ in range(_TRIES):
            try:
                await self._registry.register(client)
                return
            except ClientAlreadyExists:
                if not self._replaces or session.ending:
                    raise
            older = (await self._registry.locate([client.uuid])).get(client.uuid)
            if older is not None and await self._registry.replace(older, client, _news(older)):
                return
        raise ClientAlreadyExists(client.uuid)


def _news(older: Client) -> bytes:
    """What the node of an older session is to do."""
    return wire.encode(wire.Close(older.uuid, older.session, CloseCode.REPLACED, REPLACED))
