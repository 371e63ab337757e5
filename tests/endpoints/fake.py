"""A gateway without a node: it registers in a dict and keeps what it receives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, cast

from gobroke_dist.access.door import Door
from gobroke_dist.client import Client
from gobroke_dist.endpoint import Endpoint
from gobroke_dist.errors import BrokeError, ClientAlreadyExists, FrameInvalid, LogicDoesNotExist
from gobroke_dist.hub import Hub
from gobroke_dist.identity import ConnectRequest
from gobroke_dist.message import Message
from gobroke_dist.metrics import Metrics
from gobroke_dist.session import FrameProtocol, OutboxLimits, Recovery, Session
from gobroke_dist.settings import Settings


class FakeGateway:
    """What a node would be to an endpoint.

    Attributes:
        received: what came from clients, in order.
        disconnected: the sessions that ended.
        hold: while it is not set, ``receive`` waits: back-pressure.
        refuse: what ``connect`` raises.
        fail: what ``receive`` raises.
        waiting: how many calls of ``receive`` wait.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = Settings(**settings)
        self.ready = True
        self.metrics = Metrics()
        self.door = Door(self.settings, self.metrics, time.monotonic)
        self.hub = Hub(self.metrics)
        self.received: list[Message] = []
        self.disconnected: list[Session] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.refuse: Exception | None = None
        self.fail: Exception | None = None
        self.waiting = 0

    def session(
        self,
        client: Client,
        protocol: FrameProtocol,
        wake: Callable[[], None],
        recovery: Recovery | None = None,
        request: ConnectRequest | None = None,
    ) -> Session:
        limits = OutboxLimits(self.settings.channel_size, self.settings.outbox_bytes, self.settings.slow_consumers)
        session = Session(client, protocol, limits, wake, recovery)
        session.request = request
        return session

    async def connect(self, session: Session) -> None:
        if self.refuse is not None:
            raise self.refuse
        if session.client.uuid in self.hub:
            raise ClientAlreadyExists(session.client.uuid, "n1")
        session.client.node = "n1"
        self.hub.add(session, cast(Endpoint, self))
        welcome = session.protocol.encode_welcome(session.client)
        if welcome is not None:
            session.push(welcome)
        session.opened()

    async def receive(self, session: Session, frame: bytes) -> None:
        self.waiting += 1
        await self.hold.wait()
        self.waiting -= 1
        if self.fail is not None:
            raise self.fail
        try:
            await self.receive_message(session, session.protocol.decode(frame, session.client))
        except FrameInvalid as error:
            self.answer(session, error, None)

    async def receive_message(self, session: Session, message: Message) -> None:
        await self.hold.wait()
        self.received.append(message)
        if "nobody" in message.to_logic:
            self.answer(session, LogicDoesNotExist("nobody"), message.uuid)

    async def disconnect(self, session: Session) -> None:
        self.hub.remove(session)
        self.disconnected.append(session)

    def answer(self, session: Session, error: BrokeError, uuid: str | None) -> None:
        frame = session.protocol.encode_error(error, uuid)
        if frame is not None:
            session.push(frame)

    @property
    def payloads(self) -> list[bytes]:
        return [message.message_raw for message in self.received]


async def on_a_fake_node(endpoint: Endpoint, stack: AsyncExitStack, settings: dict[str, Any] | None) -> FakeGateway:
    """Start an endpoint; it is stopped with the stack."""
    gateway = FakeGateway(**(settings or {}))
    await endpoint.start(gateway)
    stack.push_async_callback(endpoint.stop)
    return gateway
