"""A socket between a client and Redis that can go deaf, as a peer does whose machine is gone."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path


class Relay:
    """Passes bytes on, both ways. ``url`` is for the client; ``server`` is the socket of a Redis.

    Args:
        server: where to.
        socket: where it listens.
    """

    def __init__(self, server: str, socket: Path) -> None:
        self._server = server
        self._socket = socket
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._deaf: set[asyncio.Task[None]] = set()
        self.connections = 0

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    async def start(self) -> None:
        self._listener = await asyncio.start_unix_server(self._accept, str(self._socket))

    def go_deaf(self) -> None:
        """Pass nothing on for the connections there are, and keep them open. New ones work."""
        self._deaf |= self._tasks

    async def stop(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there_reader, there_writer = await asyncio.open_unix_connection(self._server)
        for source, target in ((reader, there_writer), (there_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        with contextlib.suppress(OSError):
            try:
                while data := await source.read(1 << 16):
                    if task not in self._deaf:
                        target.write(data)
                        await target.drain()
            finally:
                target.close()
