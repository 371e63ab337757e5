"""A TCP client for tests: it puts frames together and takes them apart by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from typing import Any, Literal
from urllib.parse import urlsplit

Framing = Literal["length", "lines"]


class TCPClient:
    """One connection. While it waits for a frame, it answers pings.

    Attributes:
        pings: how many came.
        close_code: of the frame that said goodbye; None: there was none yet.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, framing: Framing) -> None:
        self.reader = reader
        self.writer = writer
        self.pings = 0
        self.close_code: int | None = None
        self._framing = framing

    @classmethod
    async def open(cls, address: str, framing: Framing = "length", tls: ssl.SSLContext | None = None) -> TCPClient:
        """Connect; the hello is still to be said."""
        url = urlsplit(address)
        assert (url.scheme == "tls") == (tls is not None)
        reader, writer = await asyncio.open_connection(
            url.hostname, url.port, ssl=tls, server_hostname="localhost" if tls else None, limit=1 << 26
        )
        return cls(reader, writer, framing)

    def send(self, frame: bytes | dict[str, Any]) -> None:
        """Write a frame."""
        raw = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
        self.writer.write(raw + b"\n" if self._framing == "lines" else len(raw).to_bytes(4, "big") + raw)

    async def read(self) -> bytes | None:
        """The next frame, a ping as an empty one; None: the stream has ended."""
        try:
            if self._framing == "lines":
                line = await self.reader.readuntil(b"\n")
                return line[:-1]
            size = int.from_bytes(await self.reader.readexactly(4), "big")
            return await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def receive(self, within: float = 5) -> dict[str, Any] | None:
        """The next frame that is no ping; None: the stream has ended."""
        async with asyncio.timeout(within):
            while (raw := await self.read()) == b"":
                self.pings += 1
                self.send(b"")
        if raw is None:
            return None
        frame: dict[str, Any] = json.loads(raw)
        if frame["type"] == "closed":
            self.close_code = frame["code"]
        return frame

    async def closed(self, within: float = 5) -> int | None:
        """The code with which the connection ends, past any frames before it."""
        async with asyncio.timeout(within):
            while await self.receive(within) is not None:
                pass
        self.writer.close()
        return self.close_code

    def abort(self) -> None:
        """Lose the connection."""
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Lose the connection, and wait until it is closed."""
        self.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
