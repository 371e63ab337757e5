"""One WebSocket: bytes between a socket and a session.

aiohttp does the handshake and parses frames. Writing goes straight to the transport: a frame for many clients is
the same bytes for each, several frames leave in one write, and no task waits for a slow client. ::

    session.push ─▶ wake ─▶ _flush ─▶ transport        at most WRITE_AHEAD bytes beyond what the peer reads;
                                                       then the session's outbox fills, and ends it (contract E4)
    transport ─▶ FrameGuard ─▶ aiohttp's parser ─▶ _read ─▶ gateway.receive
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import Any, Final

from aiohttp import WSMsgType, web

from endpoints.websocket_guard import FrameGuard
from endpoints.websocket_handshake import Accepted
from gobroke_dist.access.closing import code_of
from gobroke_dist.endpoint import Gateway
from gobroke_dist.errors import BrokeError
from gobroke_dist.session import CloseCode, FrameProtocol, SessionState

log = logging.getLogger(__name__)

CLOSE_TIMEOUT: Final = 5.0
"""Seconds from asking for a close to cutting the connection."""

FINISH_TIMEOUT: Final = 10.0
"""Seconds to process what had arrived when a connection ended."""

WRITE_AHEAD: Final = 64 * 1024
"""Bytes that the transport buffers for a peer that reads too slowly; also how much is written at once."""

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_LONGEST_REASON: Final = 123  # RFC 6455, section 5.5: 125 bytes in a control frame, 2 of them the code


class Connection:
    """The life of one connection, from the upgrade to its end.

    Args:
        gateway: the node.
        protocol: how this client speaks.
        accepted: who it is, and what it asks for.
        transport: its socket.
    """

    def __init__(
        self,
        gateway: Gateway,
        protocol: FrameProtocol,
        accepted: Accepted,
        transport: asyncio.Transport,
    ) -> None:
        self.session = gateway.session(accepted.client, protocol, self.wake, accepted.recovery, accepted.asked)
        self.gone = asyncio.Event()
        self._gateway = gateway
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._opcode = _BINARY if protocol.binary else _TEXT
        self._guard = FrameGuard(gateway.settings.max_frame)
        self._serving = self._upgraded = self._scheduled = self._paused = self._busy = self._said_goodbye = False
        self._pong: bytes | None = None
        self._heard = self._loop.time()
        self._finish: asyncio.Timeout = asyncio.timeout(None)
        self._heartbeat: asyncio.TimerHandle | None = None
        self._cut: asyncio.TimerHandle | None = None

    # --- one task: the request's handler -------------------------------------

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Upgrade, connect, and receive until the connection is gone. It always ends in ``disconnect``."""
        settings = self._gateway.settings
        socket = web.WebSocketResponse(
            autoclose=False,
            autoping=False,
            compress=False,
            decode_text=False,
            max_msg_size=settings.max_frame + 1,
            timeout=CLOSE_TIMEOUT,
        )
        try:
            async with self._finish:
                self._serving = True
                await socket.prepare(request)
                self._upgraded = True
                self.wake()
                self._beat()
                await self._connect()
                await self._read(socket)
                await self.gone.wait()
        except (
            ConnectionResetError
        ):  # it was gone before it was let in; aiohttp takes that well from other answers only
            return web.Response(status=400)
        except TimeoutError:
            log.warning("client %s left more work than fits in %g s", self.session.client.uuid, FINISH_TIMEOUT)
        finally:
            self._serving = False
            self._transport.abort()
            self.lost()
            await self._gateway.disconnect(self.session)
        return socket

    async def _connect(self) -> None:
        try:
            await self._gateway.connect(self.session)
        except BrokeError as error:
            self.session.close(code_of(error), str(error))
        except Exception:
            log.exception("client %s could not be connected", self.session.client.uuid)
            self.session.close(CloseCode.INTERNAL_ERROR)

    async def _read(self, socket: web.WebSocketResponse) -> None:
        while self.session.close_code is None:  # what came before the connection broke is still processed
            message = await socket.receive()
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await self._received(message.type, message.data)
            elif message.type is WSMsgType.PING:
                self._pong = message.data
                self.wake()
            elif message.type is WSMsgType.CLOSE:
                self._goodbye_from_peer(message.data)
            elif message.type is WSMsgType.ERROR:
                self._broken(socket.close_code)
            elif message.type is not WSMsgType.PONG:
                self._hang_up()  # the connection broke
                break

    async def _received(self, kind: WSMsgType, frame: bytes) -> None:
        if kind is WSMsgType.BINARY and self._opcode == _TEXT:
            self.session.close(CloseCode.UNSUPPORTED_DATA, "send text frames here")
        elif kind is WSMsgType.TEXT and not _utf8(frame):
            self.session.close(CloseCode.INVALID_TEXT, "a text frame must be UTF-8")
        else:
            self._busy = True
            try:
                await self._gateway.receive(self.session, frame)
            except Exception:
                log.exception("a frame of client %s could not be processed", self.session.client.uuid)
                self.session.close(CloseCode.INTERNAL_ERROR)
            finally:
                self._busy = False
                self._heard = self._loop.time()

    # --- how it ends ---------------------------------------------------------

    def lost(self) -> None:
        """The socket is gone."""
        if self.gone.is_set():
            return
        self.gone.set()
        self.session.closed()
        for timer in (self._heartbeat, self._cut):
            if timer is not None:
                timer.cancel()
        if self._serving:
            self._finish.reschedule(self._loop.time() + FINISH_TIMEOUT)

    def cut(self) -> None:
        """End it without a goodbye."""
        self._transport.abort()

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

    def _say_goodbye(self, code: int, reason: str = "") -> None:
        text = reason.encode()[:_LONGEST_REASON].decode(errors="ignore").encode()
        self._write(_header(_CLOSE, 2 + len(text)), struct.pack("!H", code), text)
        self._said_goodbye = True

    def _hang_up(self) -> None:
        """Close the socket after what is written."""
        self._cut_later()
        self._transport.close()

    def _cut_later(self) -> None:
        if self._cut is None and not self.gone.is_set():
            self._cut = self._loop.call_later(CLOSE_TIMEOUT, self._transport.abort)

    # --- out -----------------------------------------------------------------

    def wake(self) -> None:
        """The session has something to write, or wants to close."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def pause(self) -> None:
        """The transport's buffer is full."""
        self._paused = True

    def resume(self) -> None:
        """The transport's buffer has room again."""
        self._paused = False
        self.wake()

    def _flush(self) -> None:
        self._scheduled = False
        if not self._upgraded or self._transport.is_closing():
            return
        if self._pong is not None and not self._paused:  # RFC 6455, section 5.5.3: the latest ping's is enough
            self._write(_header(_PONG, len(self._pong)), self._pong)
            self._pong = None
        while not self._paused and (frames := self.session.take(WRITE_AHEAD)):
            self._write(*(part for frame in frames for part in (_header(self._opcode, len(frame)), frame)))
        if self.session.state is SessionState.CLOSING:
            self._closing()

    def _closing(self) -> None:
        self._cut_later()
        dead = self.session.close_code is CloseCode.PING_TIMEOUT
        if self.session.pending == 0 or dead:
            self._say_goodbye(self.session.close_code or CloseCode.NORMAL, self.session.close_reason)
        if dead:
            self._hang_up()  # nobody is there to answer

    def _write(self, *parts: bytes) -> None:
        if not self._said_goodbye and not self._transport.is_closing():
            self._transport.write(b"".join(parts))

    # --- in ------------------------------------------------------------------

    def arrived(self, data: bytes) -> bool:
        """Look at what came from the socket. False: it is not to be parsed."""
        self._heard = self._loop.time()
        if self._guard.closed:
            return False
        self._guard.feed(data)
        refusal = self._guard.refusal
        if refusal is not None:
            self.session.close(refusal.code, refusal.reason)
        if self._guard.closed and self._said_goodbye:
            self._hang_up()  # both have said it
        return not self.session.ending

    def _beat(self) -> None:
        """Ping a client that has been silent for an interval (contract E6); whatever it sends shows that it lives."""
        if self.session.ending:
            return
        interval = self._gateway.settings.ping_interval
        silent = 0.0 if self._busy else self._loop.time() - self._heard
        if silent < interval:
            self._heartbeat = self._loop.call_later(interval - silent, self._beat)
            return
        self._write(_header(_PING, 0))
        self._heartbeat = self._loop.call_later(self._gateway.settings.ping_timeout, self._missed, self._loop.time())

    def _missed(self, since: float) -> None:
        if self._heard >= since:
            self._beat()
        else:
            self.session.close(CloseCode.PING_TIMEOUT, "no answer to a ping")


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


def _utf8(frame: bytes) -> bool:
    try:
        frame.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
