"""A socket that speaks HTTP: what every server of ours does alike before it knows what is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

_HTTP: Final[dict[str, Any]] = {"access_log": None, "auto_decompress": False, "lingering_time": 1.0}


class HTTPSocket(web.RequestHandler):
    """aiohttp's protocol. What does not say in time what it wants is cut, what no parser can read is refused, and
    nothing is unpacked.

    Args:
        http: answers requests.
        timeout: seconds until a first request has come, once ``expect`` was called.
        keepalive: seconds that a connection may rest between two requests.
        drop: counts, by a reason, what is let no further.
        late, unreadable: the reasons of what is cut, and of what is refused.
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
        unreadable: str,
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
        """Called by aiohttp. What it can't read is counted; it would log that as an error of ours, and repeat it."""
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, exc, message)
        self._drop(self._unreadable)
        answer = web.Response(status=status, text="this is no request of HTTP/1.1\n")
        answer.force_close()
        return answer


def is_packed(request: web.BaseRequest) -> bool:
    """Whether a body would have to be unpacked; none is."""
    return bool(set(request.headers.getall("Content-Encoding", ())) - {"identity"})
