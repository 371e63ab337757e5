"""Raw sockets: what goes out is not looked at, and what comes back is read as an answer."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol

from tests.abuse.answers import CUT, SERVED, Answer, Mark, Part
from tests.abuse.bytes_of import CLOSE, FINAL, GOOD, PING, PONG, frame, sized, text

_SOURCES = itertools.cycle(range(1, 200))
_AWAY = (ConnectionError, OSError, asyncio.IncompleteReadError)


class Wire:
    """One socket.

    Attributes:
        reader: what comes.
        writer: what goes.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, source: str | None = None) -> Wire:
        """Connect, from an address of this host; None: from one that few others have."""
        source = source or f"127.0.1.{next(_SOURCES)}"
        return cls(*await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0), limit=1 << 20))

    async def send(self, parts: Iterable[Part], place: Callable[[], Awaitable[str]] | None = None) -> None:
        """All of it, or until nobody is there; ``{place}`` in it is that of a client."""
        with suppress(*_AWAY):
            for part in parts:
                if isinstance(part, bytes):
                    known = (await place()).encode() if place is not None and b"{place}" in part else b""
                    self.writer.write(part.replace(b"{place}", known))
                    await self.writer.drain()
                    await asyncio.sleep(0)  # who sends without end leaves others their turn
                elif part is Mark.END:
                    self.writer.write_eof()
                elif part is Mark.RESET:
                    self.cut()
                elif isinstance(part, float):
                    await asyncio.sleep(part)

    def cut(self) -> None:
        """End it, with a reset."""
        raw = self.writer.get_extra_info("socket")
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Tongue(Protocol):
    """How frames are read from a socket, and written."""

    async def frame(self, wire: Wire) -> Answer | dict[str, Any] | None:
        """The next one; None: it only was a sign of life."""
        ...

    def packed(self, payload: bytes) -> bytes:
        """A frame."""
        ...


class WebSocketTongue:
    """Frames of RFC 6455.

    Args:
        answers: whether pings are answered.
    """

    def __init__(self, *, answers: bool = True) -> None:
        self._answers = answers

    async def frame(self, wire: Wire) -> Answer | dict[str, Any] | None:
        opcode, size = await wire.reader.readexactly(2)
        if size >= 126:
            size = int.from_bytes(await wire.reader.readexactly(2 if size == 126 else 8), "big")
        payload = await wire.reader.readexactly(size)
        if opcode & 0xF == CLOSE:
            wire.writer.write(frame(FINAL | CLOSE, payload[:2]))
            return Answer("close", int.from_bytes(payload[:2], "big"))
        if opcode & 0xF == PING and self._answers:
            wire.writer.write(frame(FINAL | PONG, payload))
        return None if opcode & 0xF in (PING, PONG) else dict(json.loads(payload))

    def packed(self, payload: bytes) -> bytes:
        return text(payload)


class LengthTongue:
    """Frames with their length before them.

    Args:
        answers: whether pings are answered.
    """

    def __init__(self, *, answers: bool = True) -> None:
        self._answers = answers

    async def frame(self, wire: Wire) -> Answer | dict[str, Any] | None:
        size = int.from_bytes(await wire.reader.readexactly(4), "big")
        return self._read(wire, await wire.reader.readexactly(size))

    def packed(self, payload: bytes) -> bytes:
        return sized(payload)

    def _read(self, wire: Wire, payload: bytes) -> Answer | dict[str, Any] | None:
        if not payload:
            if self._answers:
                wire.writer.write(self.packed(b""))
            return None
        said = dict(json.loads(payload))
        return Answer("close", said["code"]) if said["type"] == "closed" else said


class LineTongue(LengthTongue):
    """Frames that are lines."""

    async def frame(self, wire: Wire) -> Answer | dict[str, Any] | None:
        return self._read(wire, (await wire.reader.readuntil(b"\n"))[:-1])

    def packed(self, payload: bytes) -> bytes:
        return payload + b"\n"


async def listen(wire: Wire, tongue: Tongue, *, to_the_end: bool) -> Answer:
    """The first frame that answers something; or how it ends, past all that is said before."""
    try:
        while True:
            said = await tongue.frame(wire)
            if isinstance(said, Answer):
                return said
            if said is None or said["type"] == "welcome" or to_the_end:
                continue
            return Answer("error", said["code"]) if said["type"] == "error" else SERVED
    except _AWAY:
        return CUT


async def lives(wire: Wire, tongue: Tongue) -> None:
    """What is sent on this connection is still served."""
    await wire.send([tongue.packed(GOOD.replace(b"1", b'"still here"'))])
    while True:
        said = await tongue.frame(wire)
        assert not isinstance(said, Answer), said
        if said is not None and said.get("data") == "still here":
            return


async def reply(wire: Wire) -> tuple[int, dict[str, str], bytes]:
    """The head of an answer of HTTP, and its body if its length is known. Raises as a reader does."""
    head = (await wire.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    body = await wire.reader.readexactly(int(headers.get("content-length", 0)))
    return int(head[0].split()[1]), headers, body


async def request_answer(wire: Wire, tongue: Tongue, *, to_the_end: bool) -> Answer:
    """What a request is answered with; of an upgrade and a stream, what comes then."""
    try:
        status, headers, body = await reply(wire)
    except _AWAY:
        return CUT
    if status == 101:
        return await listen(wire, tongue, to_the_end=to_the_end)
    if headers.get("content-type") == "text/event-stream":
        return await _last_event(wire)
    if "json" not in headers.get("content-type", ""):
        return Answer("http", status)
    return Answer("http", status, json.loads(body).get("code", ""))


async def _last_event(wire: Wire) -> Answer:
    try:
        await wire.reader.readuntil(b"event: closed\ndata: ")
        return Answer("close", int(json.loads(await wire.reader.readline())["code"]))
    except _AWAY:
        return CUT
