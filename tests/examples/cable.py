"""A cable between a browser and an edge that can be unplugged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit


class Cable:
    """Passes bytes on to an edge, as long as it is plugged in.

    Args:
        url: the edge's WebSocket URL.
    """

    def __init__(self, url: str) -> None:
        edge = urlsplit(url)
        self._host, self._port, self._path = edge.hostname, edge.port, edge.path
        self._here = 0
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """The edge's URL, by way of this cable."""
        return f"ws://127.0.0.1:{self._here}{self._path}"

    async def plug_in(self) -> None:
        """Take connections, at the same address as before."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self._here)
        self._here = self._listener.sockets[0].getsockname()[1]

    async def unplug(self) -> None:
        """Cut all connections, and take no new ones."""
        if self._listener is not None:
            self._listener.close()
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, far_writer}
        await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        self._writers -= {writer, far_writer}


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()


@contextlib.asynccontextmanager
async def cable(url: str) -> AsyncIterator[Cable]:
    """A cable that is plugged in, for as long as the block runs."""
    made = Cable(url)
    await made.plug_in()
    try:
        yield made
    finally:
        await made.unplug()
