"""How clients reach an edge, each way as cheap as Python allows: this is where another transport is added."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol, cast

from tests.bench.cluster.load.frames import CLOSE, PING, PONG, TEXT, masked, split

BROKEN = 1006
"""The code of a connection that ended without one (RFC 6455, section 7.1.5)."""

_LENGTH_BYTES = 4
_CLOSED = b'{"type":"closed"'
_NO_LINGER = struct.pack("ii", 1, 0)


class Hello(NamedTuple):
    """Who connects, and what it shows.

    Attributes:
        client: its uuid.
        recover: whether it will come back.
        token, offset: what it was given, when it does.
    """

    client: str
    recover: bool
    token: str = ""
    offset: int = 0


class Owner(Protocol):
    """Whose connection it is."""

    def frame(self, wire: Wire, payload: bytes) -> None:
        """One JSON object has come."""
        ...

    def ended(self, wire: Wire, code: int) -> None:
        """It is over; called once."""
        ...


class Wire(asyncio.Protocol, ABC):
    """One connection.

    Args:
        hello: what is said first.
        owner: gets what comes.
    """

    def __init__(self, hello: Hello, owner: Owner) -> None:
        self._hello = hello
        self._owner = owner
        self._code = BROKEN
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self._dropped = False

    @abstractmethod
    def send(self, payload: bytes) -> None:
        """Send one JSON object."""

    @abstractmethod
    def greet(self) -> None:
        """Say the hello."""

    def drop(self) -> None:
        """End it without a goodbye, as a host does that has lost its memory of it."""
        self._dropped = True
        if self._transport is not None:
            one: socket.socket = self._transport.get_extra_info("socket")
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._transport.abort()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None:
            self._transport.write(data)

    def end(self, code: int) -> None:
        """Close it after what is written, for the reason that the edge gave."""
        self._code = code
        if self._transport is not None:
            self._transport.close()

    # --- called by the event loop --------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._dropped:
            self.drop()
        else:
            self.greet()

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.ended(self, self._code)


class WebSocketWire(Wire):
    """A text frame for each object."""

    def __init__(self, hello: Hello, owner: Owner) -> None:
        super().__init__(hello, owner)
        self._upgraded = False

    def greet(self) -> None:
        client, recover, token, offset = self._hello
        query = f"&session={token}&offset={offset}" if token else "&recover=1" if recover else ""
        lines = (
            f"GET /ws?client={client}{query} HTTP/1.1",
            "Host: 127.0.0.1",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
            "Sec-WebSocket-Version: 13",
        )
        self.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())

    def send(self, payload: bytes) -> None:
        self.write(masked(payload))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        if not self._upgraded:
            head, blank, data = data.partition(b"\r\n\r\n")
            if not blank:
                self._rest = head
                return
            self._upgraded = True
            status = head.split(b" ", 2)[1]
            if status != b"101":
                self.end(int(status))
                return
        frames, self._rest = split(data)
        for opcode, payload in frames:
            self._take(opcode, payload)

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            self._owner.frame(self, payload)
        elif opcode == PING:
            self.write(masked(payload, PONG))
        elif opcode == CLOSE:
            self.write(masked(payload[:2], CLOSE))
            self.end(int.from_bytes(payload[:2], "big") if payload else BROKEN)


class TCPWire(Wire):
    """Each object behind its length."""

    def greet(self) -> None:
        client, recover, token, offset = self._hello
        showing = {"session": token, "offset": offset} if token else {"recover": recover}
        self.send(json.dumps({"client": client, **showing}).encode())

    def send(self, payload: bytes) -> None:
        self.write(len(payload).to_bytes(_LENGTH_BYTES, "big") + payload)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        at = 0
        while (start := at + _LENGTH_BYTES) <= len(data):
            end = start + int.from_bytes(data[at:start], "big")
            if end > len(data):
                break
            self._take(data[start:end])
            at = end
        self._rest = data[at:]

    def _take(self, payload: bytes) -> None:
        if not payload:
            self.send(b"")  # it wants to know whether somebody is there
        elif payload.startswith(_CLOSED):
            self.end(int(json.loads(payload)["code"]))
        else:
            self._owner.frame(self, payload)


WIRES: dict[str, type[Wire]] = {"websocket": WebSocketWire, "tcp": TCPWire}
