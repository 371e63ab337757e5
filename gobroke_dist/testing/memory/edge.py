"""An edge process, and the endpoint that a test's clients are connected to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

from gobroke_dist.client import Client
from gobroke_dist.clock import Clock
from gobroke_dist.endpoint import Gateway
from gobroke_dist.identity import ConnectRequest
from gobroke_dist.logic import LogicBase, LogicType
from gobroke_dist.message import Message
from gobroke_dist.node import Node
from gobroke_dist.schedule import schedule_of
from gobroke_dist.session import CloseCode, Session
from gobroke_dist.testing.memory.process import Process
from gobroke_dist.ticker import Ticker
from gobroke_dist.wire.frame import JSONProtocol


class _Present(Client):
    """A client whose last message came when the cluster's clock says, not the machine's."""

    def __init__(self, clock: Clock, uuid: str | None, metadata: dict[str, Any]) -> None:
        self._clock = clock
        super().__init__(uuid or str(uuid4()), metadata)

    @property
    def last_message(self) -> datetime:
        return self._last_message

    @last_message.setter
    def last_message(self, _: datetime) -> None:
        self._last_message = self._clock.now()


class Line:
    """The connection of one client, with its two directions.

    Args:
        client: who is connected.
        gateway: the edge.
        process: of the edge.

    Attributes:
        arrive: gets each frame for the client.
        reading: whether the client reads; what it does not read waits in its outbox on the edge.
        gone: whether the connection has ended.
        close_code: why the edge ended it.
        leaving: done when the edge has let the client go.
    """

    def __init__(self, client: Client, gateway: Gateway, process: Process) -> None:
        self.client = client
        self.arrive: Callable[[bytes], None]
        self.reading = True
        self.gone = False
        self.close_code: CloseCode | None = None
        self.leaving: asyncio.Task[None] | None = None
        self.session = gateway.session(
            client, JSONProtocol(), self._pull, request=ConnectRequest(transport="memory", vouched=True)
        )
        self._gateway = gateway
        self._process = process
        self._sent: asyncio.Queue[bytes | Message | None] = asyncio.Queue()

    async def connect(self) -> None:
        """Be registered, then read what the client sends. Raises as ``Gateway.connect``."""
        try:
            await self._gateway.connect(self.session)
        except BaseException:
            self._leave()
            raise
        self._reading = self._process.start(self._read())

    def put(self, frame: bytes | Message) -> None:
        """The client sends something."""
        self._sent.put_nowait(frame)

    def read_on(self) -> None:
        """The client reads again, and first what has waited."""
        self.reading = True
        self._pull()

    def leave(self) -> None:
        """The client ends it, after all that it has sent."""
        self._sent.put_nowait(None)

    def cut(self) -> None:
        """It ends with the edge's process."""
        self.gone = True
        self._reading.cancel()
        self.session.closed()

    async def _read(self) -> None:
        while True:
            frame = await self._sent.get()
            await self._process.way.awake.passed()
            if self.gone:
                return
            if frame is None:
                self._leave()
            elif isinstance(frame, Message):
                await self._gateway.receive_message(self.session, frame)
            else:
                await self._gateway.receive(self.session, frame)

    def _pull(self) -> None:
        if self.reading:
            for frame in self.session.take():
                self.arrive(frame)
        if self.session.ending and not self.gone:
            self.close_code = self.session.close_code
            self._leave()

    def _leave(self) -> None:
        self.gone = True
        self._sent.put_nowait(None)
        self.session.closed()
        self.leaving = self._process.start(self._gateway.disconnect(self.session))


class MemoryEndpoint:
    """Args:
    process: of the edge.
    """

    addresses: tuple[str, ...] = ("memory://",)

    def __init__(self, process: Process) -> None:
        self._process = process
        self._lines: dict[str, Line] = {}

    def line(self, uuid: str | None, metadata: dict[str, Any]) -> Line:
        """A new connection; ``Line.connect`` comes next."""
        line = Line(_Present(self._process.shared.clock, uuid, metadata), self._gateway, self._process)
        self._lines[line.session.id] = line
        return line

    def cut_all(self) -> None:
        """The process is gone, and with it all connections."""
        for line in self._lines.values():
            if not line.gone:
                line.cut()

    # --- the port ------------------------------------------------------------

    async def start(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def stop(self) -> None:
        for line in tuple(self._lines.values()):
            line.session.close(CloseCode.GOING_AWAY, "this node is shutting down")
            await self.close(line.session)

    async def close(self, session: Session) -> None:
        leaving = self._lines[session.id].leaving
        if leaving is not None:
            await asyncio.shield(leaving)


class MemoryNode(Node):
    """An edge whose schedules go by the cluster's clock.

    Args:
        process: this process; its role is ``edge``.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.endpoint = MemoryEndpoint(process)
        super().__init__(process.runtime, [self.endpoint])

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.endpoint.cut_all()

    def _start_tickers(self) -> None:
        now = self.process.shared.clock.now
        for logic in self.runtime.application.logics.values():
            if logic.logic_type is LogicType.PASSIVE and logic.scope == "node":
                self.runtime.spawn(Ticker(schedule_of(logic), now, self._ticking(logic)).run(now()))

    def _ticking(self, logic: LogicBase) -> Callable[[datetime], Any]:
        async def tick(nominal: datetime) -> None:
            await self.process.way.awake.passed()
            if self.process.way.alive:
                await self._tick(logic, nominal)

        return tick
