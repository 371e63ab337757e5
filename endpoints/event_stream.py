"""Server-sent events: one answer that does not end, and a session behind it.

The client says nothing on it. That it lives is seen from its kernel, which acknowledges what is sent: a comment in each
``ping_interval``, for which it has ``ping_timeout``.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Final

from aiohttp import HttpVersion11, web

from endpoints.event_protocol import Event, EventProtocol, retry_after, soon
from endpoints.hello import Hello
from endpoints.link import Link
from endpoints.place import Place
from gobroke_dist.endpoint import Gateway
from gobroke_dist.session import CloseCode

MEDIA_TYPE: Final = "text/event-stream"

_NEVER: Final = 3_600_000
"""Milliseconds after which an ``EventSource`` comes back that was told not to, and was not closed."""


class EventStream(Link):
    """The life of one stream.

    Args:
        gateway: the node.
        hello: who it is, and what it asks for.
        request: what is answered.
        transport: its socket.
        headers: of the answer, besides its own.
    """

    def __init__(
        self,
        gateway: Gateway,
        protocol: EventProtocol,
        hello: Hello,
        request: web.BaseRequest,
        transport: asyncio.Transport,
        *,
        headers: dict[str, str],
    ) -> None:
        super().__init__(gateway, protocol, hello, transport)
        self._events = protocol
        own = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        self.response = web.StreamResponse(headers={**headers, **own, "X-Content-Type-Options": "nosniff"})
        self.response.force_close()
        self._request = request
        self._stream = transport
        self._chunked = request.version >= HttpVersion11
        self._said = self._loop.time()

    async def _begin(self) -> None:
        _let_the_kernel_watch(self._stream, self._gateway.settings.ping_timeout)
        await self.response.prepare(self._request)
        self._write(*self._chunk(b"retry: %d\n\n" % soon()))  # what an earlier stream said counts no more

    async def _read(self) -> None:
        pass  # there is nothing to read

    def spoken_to(self) -> None:
        """Something came on a connection on which the client has nothing to say."""
        self.session.close(CloseCode.PROTOCOL_ERROR, "nothing can be sent on a stream of events")

    def _pack(self, frame: bytes) -> tuple[bytes, ...]:
        event = Event.read(frame)
        name = b"" if event.offset is None else b"id: %b\n" % self._place(event.offset).encode()
        return self._chunk(b"%bdata: %b\n\n" % (name, b" ".join(event.frame.splitlines())))

    def _place(self, offset: int) -> str:
        return str(Place(self.session.client.uuid, self.session.token, offset))

    def _chunk(self, data: bytes) -> tuple[bytes, ...]:
        return (b"%x\r\n" % len(data), data, b"\r\n") if self._chunked else (data,)

    def _ping(self) -> tuple[bytes, ...]:
        return self._chunk(b":\n\n")

    def _goodbye(self, code: int, reason: str) -> tuple[bytes, ...]:
        wait = retry_after(self.session)
        frame = Event.read(self._events.encode_closed(code, reason, wait)).frame
        event = b"retry: %d\nevent: closed\ndata: %b\n\n" % (_NEVER if wait is None else wait, frame)
        return (*self._chunk(event), b"0\r\n\r\n" if self._chunked else b"")

    def _say_goodbye(self, code: int, reason: str = "") -> None:
        super()._say_goodbye(code, reason)
        self._hang_up()  # the client has nothing to say to that

    def _write(self, *parts: bytes) -> None:
        self._said = self._loop.time()
        super()._write(*parts)

    def _beat(self) -> None:
        if self.session.ending:
            return
        interval = self._gateway.settings.ping_interval
        silent = self._loop.time() - self._said
        if silent >= interval:
            self._write(*self._ping())
            silent = 0.0
        self._heartbeat = self._loop.call_later(interval - silent, self._beat)


def _let_the_kernel_watch(transport: asyncio.Transport, seconds: float) -> None:
    """End the connection when what was sent is not acknowledged for so long, where the system can do that."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    raw = transport.get_extra_info("socket")
    if option is not None and raw is not None:
        with suppress(OSError):
            raw.setsockopt(socket.IPPROTO_TCP, option, max(1, int(seconds * 1000)))
