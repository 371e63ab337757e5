"""One TCP connection: frames between a socket and a session.

TCP has no words of its own, so what WebSocket has control frames for is said in the stream: an empty frame is a ping,
and its answer; the protocol's last frame tells why a connection ends, and the end of the stream follows. ::

    socket ─▶ FrameStream ─▶ _read ─▶ _process
"""

from __future__ import annotations

from contextlib import suppress

from endpoints.framing import FrameRefused, Framing, is_text
from endpoints.hello import Hello
from endpoints.link import Link
from endpoints.tcp_stream import FrameStream
from gobroke_dist.endpoint import Gateway
from gobroke_dist.session import CloseCode, ClosingProtocol, FrameProtocol


class TCPConnection(Link):
    """The life of one connection, from its hello to its end.

    Args:
        gateway: the node.
        protocol: how this client speaks.
        framing: how its frames are put into the stream.
        hello: who it is, and what it asks for.
        stream: its socket.
    """

    def __init__(
        self, gateway: Gateway, protocol: FrameProtocol, framing: Framing, hello: Hello, stream: FrameStream
    ) -> None:
        super().__init__(gateway, protocol, hello, stream.transport)
        self._framing = framing
        self._stream = stream
        self._said = self._loop.time()
        self._endings = protocol if isinstance(protocol, ClosingProtocol) else None
        stream.link = self

    async def _begin(self) -> None:
        if self._stream.lost:
            self.lost()
        elif self._stream.ended:
            self.no_more()

    async def _read(self) -> None:
        try:
            while self.session.close_code is None and (frame := await self._stream.next()) is not None:
                await self._received(frame)
        except FrameRefused as refused:
            self.session.close(refused.code, str(refused))
        else:
            self.session.close(CloseCode.GOING_AWAY, "the client has closed its end")
        self._stream.ignore()

    async def _received(self, frame: bytes) -> None:
        goodbye = None if self._endings is None else self._endings.decode_close(frame)
        if goodbye is not None:
            self.session.close(CloseCode(goodbye), "closed by the client")
        elif not self._protocol.binary and not is_text(frame):
            self.session.close(CloseCode.INVALID_TEXT, "a frame must be UTF-8")
        else:
            await self._process(frame)

    # --- how it ends ---------------------------------------------------------

    def no_more(self) -> None:
        super().no_more()
        if self._said_goodbye:
            self._hang_up()  # both have

    def _goodbye(self, code: int, reason: str) -> tuple[bytes, ...]:
        return (
            ()
            if self._endings is None
            else self._pack(self._endings.encode_closed(code, reason, self.session.retry_after))
        )

    def _say_goodbye(self, code: int, reason: str = "") -> None:
        super()._say_goodbye(code, reason)
        if self._stream.ended or not self._stream.transport.can_write_eof():
            self._hang_up()
        else:
            # Not closed yet: closing while something of the peer is unread would take the goodbye back (RFC 1122,
            # section 4.2.2.13). The peer closes in its turn, or is cut; or it is gone, and the loop does not know yet.
            with suppress(OSError):
                self._stream.transport.write_eof()

    # --- out -----------------------------------------------------------------

    def _pack(self, frame: bytes) -> tuple[bytes, ...]:
        return self._framing.pack(frame)

    def _write(self, *parts: bytes) -> None:
        self._said = self._loop.time()
        super()._write(*parts)

    def _ping(self) -> tuple[bytes, ...]:
        return self._framing.pack(b"")

    def _quiet_since(self) -> float:
        # A client can't ask whether this node is there: it hears something at least once in an interval.
        return min(self._heard, self._said)
