"""Server-sent events: one answer that does not end, and a session behind it.

The client says nothing on it. That it lives is seen from its kernel, which acknowledges what is sent: a comment in each
``ping_interval``, for which it has ``ping_timeout``.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from contextlib import suppress
from typing import Final

import msgspec
from aiohttp import HttpVersion11, web

from endpoints.event_protocol import Event, EventProtocol
from endpoints.hello import Hello
from endpoints.link import Link
from endpoints.place import Place
from gobroke_dist.endpoint import Gateway
from gobroke_dist.session import CloseCode

MEDIA_TYPE: Final = "text/event-stream"

_SOON: Final = (1000, 5000)
_FOR_GOOD: Final = (3_600_000, 3_600_001)


class Closed(msgspec.Struct, omit_defaults=True, frozen=True):
    """Why a session has ended, as a client of HTTP is told it."""

    code: int
    reason: str = ""
    retry: int = 0

    @classmethod
    def of(cls, code: int, reason: str) -> Closed:
        """With the milliseconds after which to come back: all that lost the same node are not to come at once."""
        least, most = _FOR_GOOD if code >= CloseCode.REMOVED else _SOON
        return cls(code, reason, least + secrets.randbelow(most - least))


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
        closed = Closed.of(code, reason)
        event = b"retry: %d\nevent: closed\ndata: %b\n\n" % (closed.retry, msgspec.json.encode(closed))
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
