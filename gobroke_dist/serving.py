"""A socket that speaks HTTP: what every server of ours does alike before it knows what is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

UNREADABLE: Final = "this is no request of HTTP/1.1, or its head is too large"
"""What is said to what can't be read."""

_HTTP: Final[dict[str, Any]] = {"access_log": None, "auto_decompress": False, "lingering_time": 1.0}


class HTTPSocket(web.RequestHandler):
    """aiohttp's protocol. What does not say in time what it wants is cut, what no parser can read is refused, and
    nothing is unpacked.

    Args:
        http: answers requests.
        timeout: seconds until a first request has come, once ``expect`` was called.
        keepalive: seconds that a connection may rest between two requests.
        drop: counts what is cut, by a reason.
        late: the reason of what is too late.
        unreadable: counts what is refused, and makes the answer to it.
    """

    __slots__ = ("_drop", "_late", "_patience", "_timeout", "_unreadable")

    def __init__(
        self,
        http: web.Server,
        *,
        timeout: float,
        keepalive: float,
        drop: Callable[[str], None],
        late: str,
        unreadable: Callable[[], web.Response],
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(http, loop=loop, keepalive_timeout=keepalive, **_HTTP)
        self._timeout = timeout
        self._drop = drop
        self._late = late
        self._unreadable = unreadable
        self._patience: asyncio.TimerHandle | None = None

    def expect(self) -> None:
        """From now on a request has its time to come."""
        self._patience = asyncio.get_running_loop().call_later(self._timeout, self.cut, self._late)

    def asked(self) -> None:
        """A whole request has come."""
        if self._patience is not None:
            self._patience.cancel()

    def cut(self, why: str) -> None:
        """End the connection, and count that."""
        self._drop(why)
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the event loop."""
        super().connection_lost(exc)
        self.asked()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Called by aiohttp, which would log what it can't read as an error of ours, and repeat it."""
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, exc, message)
        answer = self._unreadable()
        answer.force_close()
        return answer


def is_packed(request: web.BaseRequest) -> bool:
    """Whether a body would have to be unpacked; none is."""
    return bool(set(request.headers.getall("Content-Encoding", ())) - {"identity"})
