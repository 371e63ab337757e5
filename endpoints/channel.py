"""A custom endpoint in the seed's shape: three methods, and two channels of messages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from endpoints.parcel import ParcelProtocol, parcels
from gobroke_dist.client import Client
from gobroke_dist.endpoint import Gateway
from gobroke_dist.errors import ClientDoesNotExist, NotRunning
from gobroke_dist.identity import ConnectRequest
from gobroke_dist.message import Message
from gobroke_dist.session import CloseCode, Session

log = logging.getLogger(__name__)

CLOSE_TIMEOUT: Final = 5.0
"""Seconds in which what waits for a client must be sent, and again in which ``disconnect`` must return."""

RESTART_DELAY: Final = 1.0
"""Seconds until a ``sender`` or ``receiver`` that raised is started again."""


class Outgoing(AsyncIterator[Message]):
    """Messages to clients, each with its one recipient in ``to_client``: ``async for message in outgoing``.

    It takes from each client's bounded outbox in turn; a client whose outbox overflows is disconnected alone. An
    error about a client's own message comes as a message too, with ``metadata["error"]``, the error's code.

    Args:
        emptied: called with a session that wants to be closed, once all its messages have been sent.
    """

    def __init__(self, emptied: Callable[[Session], None]) -> None:
        self._emptied = emptied
        self._ready: OrderedDict[str, Session] = OrderedDict()
        self._more = asyncio.Event()

    def wake(self, session: Session) -> None:
        """There is something for this client."""
        self._ready.setdefault(session.id, session)
        self._more.set()

    async def __anext__(self) -> Message:
        while True:
            while self._ready:
                _, session = self._ready.popitem(last=False)
                taken = parcels(session.take(0))
                if taken:
                    self.wake(session)  # for the next one, or its end
                    return taken[0].addressed(session.client)
                if session.ending:
                    self._emptied(session)
            self._more.clear()
            await self._more.wait()


class Incoming:
    """Messages from clients.

    Args:
        find: the session of a registered client.
        gateway: the node.
    """

    def __init__(self, find: Callable[[Client], Session], gateway: Gateway) -> None:
        self._find = find
        self._gateway = gateway

    async def put(self, message: Message) -> None:
        """Hand in a message of ``message.from_client``. Waiting here is back-pressure.

        Raises:
            ClientDoesNotExist: that client is not registered here.
        """
        sender = message.from_client or Client(uuid="")
        await self._gateway.receive_message(self._find(sender), message)


class ChannelEndpoint(ABC):
    """The base of a custom endpoint. A subclass writes ``sender``, ``receiver`` and ``disconnect``, and calls
    ``register`` and ``unregister`` as its clients come and go. All run on the node's event loop.
    """

    addresses: tuple[str, ...] = ()

    _gateway: Gateway | None = None

    @abstractmethod
    async def sender(self, outgoing: Outgoing) -> None:
        """Send what ``outgoing`` gives, for as long as the endpoint runs. What it raises is logged, and it is
        started again; the message that it was sending is lost.
        """

    @abstractmethod
    async def receiver(self, incoming: Incoming) -> None:
        """Put what clients send into ``incoming``; may return when there is nothing left to do. Otherwise as
        ``sender``.
        """

    @abstractmethod
    async def disconnect(self, client: Client) -> None:
        """Close this client's connection: the node wants it gone. Everything for it has been sent.

        With ``Settings.duplicate_clients="replace"`` the same uuid may be registered anew by then: ``client.session``
        tells which of its connections is meant.
        """

    async def register(self, client: Client, request: ConnectRequest | None = None) -> None:
        """A client has connected.

        Args:
            client: who.
            request: what it showed, for the application's authenticator, which may give the client another uuid. None:
                the endpoint itself has made sure who this is.

        Raises:
            Unauthorised: the authenticator does not know it.
            ClientAlreadyExists: it is connected already, here or on another node.
            Unavailable: try again later.
            NotRunning: the endpoint has not been started.
        """
        gateway = self._gateway
        if gateway is None:
            raise NotRunning("register()")
        session = gateway.session(
            client,
            ParcelProtocol(),
            lambda: self._wake(gateway, session),
            request=request or ConnectRequest(transport="channel", vouched=True),
        )
        try:
            await gateway.connect(session)
        except BaseException:
            await self._leave(gateway, session)
            raise
        if not session.ending:
            self._sessions[client.uuid] = session

    async def unregister(self, client: Client) -> None:
        """A client has left by itself; what still waits for it is dropped. Unknown clients are no error."""
        session = None if self._gateway is None else self._session_of(client)
        if self._gateway is not None and session is not None:
            await self._leave(self._gateway, session)

    # --- the port ------------------------------------------------------------

    async def start(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._sessions: dict[str, Session] = {}
        self._closing: dict[str, asyncio.Task[None]] = {}
        self._drained: dict[str, asyncio.Event] = {}
        self._outgoing = Outgoing(self._emptied)
        incoming = Incoming(self._find, gateway)
        self._running = (
            asyncio.create_task(_for_ever("sender", lambda: self.sender(self._outgoing))),
            asyncio.create_task(_for_ever("receiver", lambda: self.receiver(incoming))),
        )

    async def stop(self) -> None:
        if self._gateway is None:
            return
        sessions = tuple(self._sessions.values())
        for session in sessions:
            session.close(CloseCode.GOING_AWAY, "this node is shutting down")
        for session in sessions:
            await self.close(session)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def close(self, session: Session) -> None:
        closing = self._closing.get(session.id)
        if closing is not None:
            await asyncio.shield(closing)

    # --- inside --------------------------------------------------------------

    def _find(self, client: Client) -> Session:
        session = self._session_of(client)
        if session is None:
            raise ClientDoesNotExist(client.uuid)
        return session

    def _session_of(self, client: Client) -> Session | None:
        session = self._sessions.get(client.uuid)
        return session if session is not None and client.session in ("", session.id) else None

    def _wake(self, gateway: Gateway, session: Session) -> None:
        if session.ending and session.id not in self._closing:
            self._drained[session.id] = asyncio.Event()
            self._closing[session.id] = asyncio.create_task(self._end(gateway, session))
        self._outgoing.wake(session)

    def _emptied(self, session: Session) -> None:
        if session.id in self._drained:
            self._drained[session.id].set()

    async def _end(self, gateway: Gateway, session: Session) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained[session.id].wait(), CLOSE_TIMEOUT)
            await asyncio.wait_for(self.disconnect(session.client), CLOSE_TIMEOUT)
        except Exception:
            log.exception("client %s was let go although its disconnect() failed", session.client.uuid)
        finally:
            await self._leave(gateway, session)
            del self._closing[session.id], self._drained[session.id]

    async def _leave(self, gateway: Gateway, session: Session) -> None:
        session.closed()
        if self._sessions.get(session.client.uuid) is session:
            del self._sessions[session.client.uuid]
        await gateway.disconnect(session)


async def _for_ever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await run()
        except Exception:
            log.exception("%s() raised; it is started again in %g s", name, RESTART_DELAY)
            await asyncio.sleep(RESTART_DELAY)
        else:
            return
