"""A WebSocket client that costs the machine as little as Python allows, and the same with every server."""

from __future__ import annotations

import asyncio
from typing import cast

from tests.bench.cluster.load import stamps
from tests.bench.cluster.load.dialects import Dialect
from tests.bench.cluster.load.frames import CLOSE, PING, PONG, TEXT, masked, split
from tests.bench.cluster.load.heard import Heard

_REQUEST = """\
GET {target} HTTP/1.1\r
Host: 127.0.0.1\r
Upgrade: websocket\r
Connection: Upgrade\r
Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r
Sec-WebSocket-Version: 13\r
\r
"""


class WebSocket(asyncio.Protocol):
    """One client.

    Args:
        dialect: how it speaks.
        name: what it would like to be called.
        heard: where its messages are noted.

    Attributes:
        ready: done when the server has greeted it; its result is its address for others.
    """

    def __init__(self, dialect: Dialect, name: str, heard: Heard) -> None:
        self.ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._dialect = dialect
        self._name = name
        self._heard = heard
        self._upgraded = False
        self._rest = b""
        self._transport: asyncio.Transport

    def write(self, wire: bytes) -> None:
        """Send what is a frame already."""
        self._transport.write(wire)

    # --- called by the event loop --------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.write(_REQUEST.format(target=self._dialect.target(self._name)).encode())

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        if not self._upgraded:
            head, blank, data = data.partition(b"\r\n\r\n")
            if not blank:
                self._rest = head
                return
            self._upgraded = True
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                self._fail(head)
        frames, self._rest = split(data)
        for opcode, payload in frames:
            self._frame(opcode, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(b"the connection ended")

    # --- frames --------------------------------------------------------------

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            self._text(payload)
        elif opcode == PING:
            self.write(masked(payload, PONG))
        elif opcode == CLOSE:
            self._fail(payload)

    def _text(self, payload: bytes) -> None:
        if not self.ready.done():
            self._greeting(payload)
            return
        sent = stamps.read(payload)
        if sent is not None:
            self._heard.note(sent)
        elif answer := self._dialect.answer(payload):
            self.write(masked(answer))
        else:
            self._heard.strange = payload.decode(errors="replace")

    def _greeting(self, payload: bytes) -> None:
        try:
            address, answer = self._dialect.greeted(payload)
        except (ValueError, KeyError):
            self._fail(payload)
            return
        if answer:
            self.write(masked(answer))
        if address:
            self.ready.set_result(address)

    def _fail(self, why: bytes) -> None:
        text = why[:300].decode(errors="replace")
        if self.ready.done():
            self._heard.strange = text
        else:
            self.ready.set_exception(ConnectionError(text))
