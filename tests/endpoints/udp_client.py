"""A UDP client for tests: it makes and reads datagrams by itself, and answers signs of life and challenges."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
from typing import Any, cast
from urllib.parse import urlsplit

HELLO, COOKIE, CONNECT, ACCEPT, FRAME, CHALLENGE, PROOF, CLOSE = range(1, 9)


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


class UDPClient(asyncio.DatagramProtocol):
    """One connection.

    Attributes:
        close_code: of the node's goodbye; None: there was none yet.
        retry_ms: what it said about coming back.
        deaf: it reads nothing, and so answers nothing.
        missed: how many datagrams came meanwhile.
        datagrams: all that came, in order.
    """

    def __init__(self, hello: dict[str, Any]) -> None:
        self.hello = json.dumps(hello).encode()
        self.transport: asyncio.DatagramTransport = None  # type: ignore[assignment]  # before ``move``
        self.nonce = os.urandom(16)
        self.cookie = self.connection = b""
        self.number = self.latest = 0
        self.close_code: int | None = None
        self.retry_ms = self.missed = 0
        self.deaf = self.leaving = self.welcomed = False
        self.datagrams: list[bytes] = []
        self.frames: asyncio.Queue[bytes | None] = asyncio.Queue()

    @classmethod
    async def open(cls, address: str, hello: dict[str, Any], within: float = 5) -> UDPClient:
        """Connect; the welcome is still to be read."""
        client = await cls.at(address, hello)
        async with asyncio.timeout(within):
            while not client.welcomed and client.close_code is None:
                client.greet()
                await asyncio.sleep(0.05)
        return client

    @classmethod
    async def at(cls, address: str, hello: dict[str, Any]) -> UDPClient:
        """One that has said nothing yet."""
        client = cls(hello)
        await client.move(address)
        return client

    async def move(self, address: str, host: str = "127.0.0.1") -> None:
        """Go on at another port, and maybe another address of this host."""
        url, left = urlsplit(address), self.transport
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, remote_addr=(url.hostname, url.port), local_addr=(host, 0)
        )
        if left is not None:
            left.close()

    def greet(self) -> None:
        """Say hello, or what follows it."""
        self.transport.sendto(self.greeting())

    def greeting(self) -> bytes:
        """A hello, or with a cookie what follows it."""
        rest = self.cookie + self.hello if self.cookie else b""
        kind = CONNECT if self.cookie else HELLO
        return (b"GB\x01" + bytes((kind,)) + self.nonce + rest).ljust(64, b" ")

    def key(self, direction: bytes, connection: bytes) -> bytes:
        return mac(self.cookie, b"gobroke udp 1 to " + direction + self.nonce + connection)

    def pack(self, kind: int, body: bytes = b"", number: int | None = None) -> bytes:
        """A sealed datagram."""
        if number is None:
            self.number += 1
            number = self.number
        head = b"GB\x01" + bytes((kind,)) + self.connection + number.to_bytes(8, "big") + body
        return head + mac(self.key(b"node", self.connection), head)[:16]

    def send(self, frame: bytes | dict[str, Any]) -> None:
        self.transport.sendto(self.pack(FRAME, frame if isinstance(frame, bytes) else json.dumps(frame).encode()))

    async def receive(self, within: float = 5) -> dict[str, Any] | None:
        """The next frame; None: the connection has ended."""
        async with asyncio.timeout(within):
            raw = await self.frames.get()
        return None if raw is None else json.loads(raw)

    async def closed(self, within: float = 5) -> int | None:
        """The code with which the connection ends, past any frames before it."""
        async with asyncio.timeout(within):
            while await self.frames.get() is not None:
                pass
        return self.close_code

    def leave(self, code: int = 1000) -> None:
        """Say goodbye; until it is answered, a client says it again."""
        self.leaving = True
        self.transport.sendto(self.pack(CLOSE, code.to_bytes(2, "big")))

    def part(self) -> None:
        """Say goodbye, and wait for nothing."""
        if not self.transport.is_closing():
            if self.connection:
                self.leave(1001)
            self.close()

    def close(self) -> None:
        """Lose the connection."""
        self.transport.close()

    # --- called by the event loop --------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)  # it is one, and says so from Python 3.12 only

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if self.deaf:
            self.missed += 1
            return
        self.datagrams.append(data)
        if data[3] != COOKIE:
            self._sealed(data)
        elif data[4:20] == self.nonce and not self.cookie:
            self.cookie = data[20:36]
            self.greet()

    def _sealed(self, data: bytes) -> None:
        kind, connection, number, body = data[3], data[4:12], int.from_bytes(data[12:20], "big"), data[20:-16]
        if not hmac.compare_digest(mac(self.key(b"client", connection), data[:-16])[:16], data[-16:]):
            return
        if connection != bytes(8):
            self.connection = connection
        if kind == CHALLENGE:
            self.transport.sendto(self.pack(PROOF, number.to_bytes(8, "big")))
        elif kind == CLOSE:
            self._ended(body)
        elif number > self.latest or (number == 1 and not self.welcomed):
            self.welcomed = self.welcomed or number == 1
            self.latest = max(number, self.latest)
            self._came(body)

    def _ended(self, body: bytes) -> None:
        if self.close_code is None:
            self.close_code, self.retry_ms = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:6], "big")
            self.frames.put_nowait(None)
        if self.connection and not self.leaving:
            self.transport.sendto(self.pack(CLOSE, body[:2]))  # each time: the last one may be lost

    def _came(self, body: bytes) -> None:
        if body:
            self.frames.put_nowait(body)
        else:
            self.send(b"")  # a sign of life
