"""An application for tests of the command line: one endpoint that only listens, and a logic of each kind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from gobroke_dist import Broke, LogicBase, LogicType, Message, Session, Settings, Tick
from gobroke_dist.endpoint import Gateway
from gobroke_dist.errors import CouldNotCreateServer


class Listener:
    """Accepts TCP connections and says nothing."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.addresses: tuple[str, ...] = ()
        self._server: asyncio.Server | None = None

    async def start(self, gateway: Gateway) -> None:
        port = self.port if gateway.settings.port is None else gateway.settings.port
        try:
            self._server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
        except OSError as error:
            raise CouldNotCreateServer(f"port {port} of 127.0.0.1 can't be used: {error.strerror}") from None
        self.addresses = (f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}",)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def disconnect(self, session: Session) -> None:
        pass


class Note(LogicBase):
    logic_type = LogicType.WORKER

    def run_logic(self, message: Message) -> None:
        pass


class Beat(LogicBase):
    logic_type = LogicType.PASSIVE
    every = 0.25

    def run_tick(self, tick: Tick) -> None:
        file = os.environ.get("BEATS")
        if file:
            with Path(file).open("a") as beats:
                beats.write(f"{tick.nominal.timestamp()}\n")


broke = Broke(Listener(), settings=Settings(drain_timeout=5))
broke.add_logic(Note())
broke.add_logic(Beat())

several = Broke([Listener(), Listener(8081)], settings=Settings(drain_timeout=5))
