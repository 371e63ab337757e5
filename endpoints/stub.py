"""Clients that exist in memory only, for tests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from endpoints.parcel import Parcel, ParcelProtocol, parcels
from gobroke_dist.client import Client
from gobroke_dist.endpoint import Gateway
from gobroke_dist.errors import BrokeError, ClientDoesNotExist, NotRunning
from gobroke_dist.identity import ConnectRequest
from gobroke_dist.message import Message
from gobroke_dist.request import ClientReply, ClientRequest
from gobroke_dist.session import CloseCode, Session


class StubEndpoint:
    """An endpoint without a network. A test plays its clients with the ``simulate_…`` calls.

    What a client got stays readable after its connection ended. Each client holds as many messages as
    ``settings.channel_size`` that ``next_message`` has not taken; with more, it is a slow client.

    Attributes:
        disconnected: the clients whose connections the node has closed, in that order.
    """

    addresses: tuple[str, ...] = ("stub://",)

    def __init__(self) -> None:
        self.disconnected: list[Client] = []
        self._gateway: Gateway | None = None
        self._inboxes: dict[str, _Inbox] = {}

    async def simulate_client_connection(self, client: Client | None = None) -> Client:
        """Connect a client, a new one by default.

        Raises:
            ClientAlreadyExists, Unavailable: as the node answered.
            NotRunning: the endpoint has not been started.
        """
        gateway = self._running()
        client = client or Client()
        inbox = _Inbox(gateway.settings.channel_size, self._ended)
        inbox.session = session = gateway.session(
            client, ParcelProtocol(), inbox.pull, request=ConnectRequest(transport="stub", vouched=True)
        )
        try:
            await gateway.connect(session)
        except BaseException:
            session.closed()
            await gateway.disconnect(session)
            raise
        self._inboxes[client.uuid] = inbox
        return client

    async def register(self, client: Client) -> None:
        """What ``Broke.register_client`` calls; the same as ``simulate_client_connection``."""
        await self.simulate_client_connection(client)

    async def simulate_client_message(
        self,
        from_client: Client,
        to_clients: Iterable[Client | str],
        message_raw: bytes | str,
        *,
        to_logic: str | Iterable[str] = (),
        uuid: str | None = None,
        receipt: bool = False,
    ) -> Message:
        """Send as a client. What is wrong with the message is then in ``errors(from_client)``; receipts come to
        ``next_message``, with the state as ``metadata["receipt"]``.

        Raises:
            ClientDoesNotExist: ``from_client`` is not connected here.
        """
        session = self._session(from_client)
        message = Message(
            from_client=session.client, to_client=to_clients, to_logic=to_logic, message_raw=message_raw, uuid=uuid
        )
        message.receipt = receipt
        await self._running().receive_message(session, message)
        return message

    async def simulate_client_request(
        self, from_client: Client, to_logic: str, message_raw: bytes | str, *, timeout: float = 5.0
    ) -> Message:
        """Ask as a client. The answer comes to ``next_message``, with the uuid of what this returns; what is wrong, or
        that there is no answer, is in ``errors(from_client)``.

        Raises:
            ClientDoesNotExist: ``from_client`` is not connected here.
        """
        request = ClientRequest(timeout=timeout, to_logic=to_logic, message_raw=message_raw)
        await self._running().receive_message(self._session(from_client), request)
        return request

    async def simulate_client_reply(self, from_client: Client, request: str, message_raw: bytes | str) -> None:
        """Answer as a client the request of this id, which is ``reply_to.id`` of the message that asked.

        Raises:
            ClientDoesNotExist: ``from_client`` is not connected here.
        """
        reply = ClientReply(request=request, message_raw=message_raw)
        await self._running().receive_message(self._session(from_client), reply)

    async def simulate_client_disconnection(self, client: Client) -> None:
        """The client leaves by itself."""
        session = self._inbox(client).session
        session.closed()
        await self._running().disconnect(session)

    def received(self, client: Client) -> list[Message]:
        """The latest messages that a client got, oldest first, whether ``next_message`` took them or not."""
        return list(self._inbox(client).history)

    async def next_message(self, client: Client, timeout: float = 5.0) -> Message:
        """The oldest message that this call has not returned yet.

        Raises:
            TimeoutError: none came within ``timeout`` seconds.
        """
        return await self._inbox(client).next(timeout)

    def errors(self, client: Client) -> list[BrokeError]:
        """What the node reported to this client about its messages, oldest first."""
        return list(self._inbox(client).errors)

    def close_code(self, client: Client) -> CloseCode | None:
        """Why the node closed this client's connection; None: it did not."""
        return self._inbox(client).session.close_code

    # --- the port ------------------------------------------------------------

    async def start(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def stop(self) -> None:
        for inbox in tuple(self._inboxes.values()):
            inbox.session.close(CloseCode.GOING_AWAY, "this node is shutting down")
            await self.close(inbox.session)
        self._gateway = None

    async def close(self, session: Session) -> None:
        inbox = self._inboxes.get(session.client.uuid)
        if inbox is not None and inbox.session is session and inbox.leaving is not None:
            await asyncio.shield(inbox.leaving)

    # --- inside --------------------------------------------------------------

    def _ended(self, session: Session) -> asyncio.Task[None]:
        self.disconnected.append(session.client)
        session.closed()
        return asyncio.create_task(self._running().disconnect(session))

    def _running(self) -> Gateway:
        if self._gateway is None:
            raise NotRunning("StubEndpoint")
        return self._gateway

    def _session(self, client: Client) -> Session:
        session = self._inbox(client).session
        if session.ending:
            raise ClientDoesNotExist(client.uuid)
        return session

    def _inbox(self, client: Client) -> _Inbox:
        inbox = self._inboxes.get(client.uuid)
        if inbox is None:
            raise ClientDoesNotExist(client.uuid)
        return inbox


class _Inbox:
    """What one client has read."""

    session: Session

    def __init__(self, size: int, ended: Callable[[Session], asyncio.Task[None]]) -> None:
        self.history: deque[Message] = deque(maxlen=size)
        self.errors: deque[BrokeError] = deque(maxlen=size)
        self.leaving: asyncio.Task[None] | None = None
        self._size = size
        self._ended = ended
        self._unread: deque[Message] = deque()
        self._more = asyncio.Event()

    def pull(self) -> None:
        """Read from the session what fits."""
        while len(self._unread) < self._size and (taken := parcels(self.session.take(0))):
            self._keep(taken[0])
        if self.session.ending and self.leaving is None:
            self.leaving = self._ended(self.session)

    async def next(self, timeout: float) -> Message:
        """The oldest unread message."""
        async with asyncio.timeout(timeout):
            while not self._unread:
                self._more.clear()
                await self._more.wait()
        message = self._unread.popleft()
        self.pull()
        return message

    def _keep(self, parcel: Parcel) -> None:
        if parcel.error is not None:
            self.errors.append(parcel.error)
            return
        message = parcel.addressed(self.session.client)
        self.history.append(message)
        self._unread.append(message)
        self._more.set()
