"""One WebSocket: bytes between a socket and a session.

aiohttp does the handshake and parses frames; what is common to all connections is in ``link``. ::

    transport ─▶ FrameGuard ─▶ aiohttp's parser ─▶ _read ─▶ _process
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any, Final

from aiohttp import WSMsgType, web

from endpoints.framing import is_text
from endpoints.hello import Hello
from endpoints.link import CLOSE_TIMEOUT, Link
from endpoints.websocket_guard import FrameGuard
from gobroke_dist.endpoint import Gateway
from gobroke_dist.session import CloseCode, ClosingProtocol, FrameProtocol

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_LONGEST_REASON: Final = 123  # RFC 6455, section 5.5: 125 bytes in a control frame, 2 of them the code


class Connection(Link):
    """The life of one WebSocket, from the upgrade to its end.

    Args:
        gateway: the node.
        protocol: how this client speaks.
        hello: who it is, and what it asks for.
        request: the upgrade request.
        transport: its socket.
    """

    def __init__(
        self,
        gateway: Gateway,
        protocol: FrameProtocol,
        hello: Hello,
        request: web.BaseRequest,
        transport: asyncio.Transport,
    ) -> None:
        super().__init__(gateway, protocol, hello, transport)
        self.socket = web.WebSocketResponse(
            autoclose=False,
            autoping=False,
            compress=False,
            decode_text=False,
            max_msg_size=gateway.settings.max_frame + 1,
            timeout=CLOSE_TIMEOUT,
        )
        self._request = request
        self._opcode = _BINARY if protocol.binary else _TEXT
        self._guard = FrameGuard(gateway.settings.max_frame)
        self._pong: bytes | None = None

    async def _begin(self) -> None:
        await self.socket.prepare(self._request)

    async def _read(self) -> None:
        while self.session.close_code is None:  # what came before the connection broke is still processed
            message = await self.socket.receive()
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await self._received(message.type, message.data)
            elif message.type is WSMsgType.PING:
                self._pong = message.data
                self.wake()
            elif message.type is WSMsgType.CLOSE:
                self._goodbye_from_peer(message.data)
            elif message.type is WSMsgType.ERROR:
                self._broken(self.socket.close_code)
            elif message.type is not WSMsgType.PONG:
                self._hang_up()  # the connection broke
                break

    async def _received(self, kind: WSMsgType, frame: bytes) -> None:
        if kind is WSMsgType.BINARY and not self._protocol.binary:
            self.session.close(CloseCode.UNSUPPORTED_DATA, "send text frames here")
        elif kind is WSMsgType.TEXT and not is_text(frame):
            self.session.close(CloseCode.INVALID_TEXT, "a text frame must be UTF-8")
        else:
            await self._process(frame)

    # --- how it ends ---------------------------------------------------------

    def _goodbye_from_peer(self, code: int) -> None:
        # RFC 6455, section 7.4: 0 stands for no code; 1006 is never sent; 5000 and more mean nothing
        if code == 1006 or code >= 5000:
            self.session.close(CloseCode.PROTOCOL_ERROR, "that is no close code")
            code = CloseCode.PROTOCOL_ERROR
        going_away = code == CloseCode.GOING_AWAY  # a page that is loaded again, and comes back
        self.session.close(CloseCode.GOING_AWAY if going_away else CloseCode.NORMAL, "closed by the client")
        self._say_goodbye(code or CloseCode.NORMAL)
        self._hang_up()

    def _broken(self, code: int | None) -> None:
        """aiohttp's parser refused the frame, and has sent the close frame itself."""
        self._said_goodbye = True
        known = {int(one) for one in CloseCode}
        self.session.close(CloseCode(code) if code in known else CloseCode.PROTOCOL_ERROR, "refused by the parser")
        self._hang_up()

    def _goodbye(self, code: int, reason: str) -> tuple[bytes, ...]:
        text = reason.encode()[:_LONGEST_REASON].decode(errors="ignore").encode()
        return *self._hint(code, reason), _header(_CLOSE, 2 + len(text)), struct.pack("!H", code), text

    def _hint(self, code: int, reason: str) -> tuple[bytes, ...]:
        """When to come back, for which a close frame has no room that a program could rely on."""
        if self.session.retry_after is None or not isinstance(self._protocol, ClosingProtocol):
            return ()
        return self._pack(self._protocol.encode_closed(code, reason, self.session.retry_after))

    # --- out -----------------------------------------------------------------

    def _flush(self) -> None:
        if self._pong is not None and self._begun and not self._paused:
            self._write(_header(_PONG, len(self._pong)), self._pong)  # RFC 6455, section 5.5.3: the latest ping's
            self._pong = None
        super()._flush()

    def _pack(self, frame: bytes) -> tuple[bytes, ...]:
        return _header(self._opcode, len(frame)), frame

    def _ping(self) -> tuple[bytes, ...]:
        return (_header(_PING, 0),)

    # --- in ------------------------------------------------------------------

    def arrived(self, data: bytes) -> bool:
        """Look at what came from the socket. False: it is not to be parsed."""
        self.heard()
        if self._guard.closed:
            return False
        self._guard.feed(data)
        refusal = self._guard.refusal
        if refusal is not None:
            self.session.close(refusal.code, refusal.reason)
        if self._guard.closed and self._said_goodbye:
            self._hang_up()  # both have said it
        return not self.session.ending


class GuardedParser:
    """aiohttp's parser behind a connection's guard."""

    def __init__(self, parser: Any, connection: Connection) -> None:
        self._parser = parser
        self._connection = connection

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Called by aiohttp for what arrives after the upgrade."""
        if self._connection.arrived(bytes(data)):
            self._parser.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        """Called by aiohttp when the connection is lost."""
        self._parser.feed_eof()


def _header(opcode: int, length: int) -> bytes:
    """The header of a server's frame: final, not masked, no extension (RFC 6455, section 5.2)."""
    if length < 126:
        return bytes((0x80 | opcode, length))
    if length < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, length)
    return struct.pack("!BBQ", 0x80 | opcode, 127, length)
