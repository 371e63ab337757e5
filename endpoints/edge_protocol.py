"""The sockets of endpoints with requests, and what all of these answer alike."""

from __future__ import annotations

import asyncio
from math import ceil
from typing import Final, cast

from aiohttp import web

from endpoints.link import WRITE_AHEAD, Link
from gobroke_dist.access.door import Door, Visit
from gobroke_dist.access.limits import HTTP_STATUS
from gobroke_dist.endpoint import Gateway
from gobroke_dist.errors import TooManyConnections
from gobroke_dist.serving import UNREADABLE, HTTPSocket

_LATER: Final = 1.0
"""Seconds by which aiohttp is more patient than we are: it does not tell whom it has cut."""


class EdgeProtocol(HTTPSocket):
    """That, counted at the door, and with its flow control in our hands.

    Attributes:
        link: what lives on this socket beyond one answer, if anything does.
        visit: how the socket is counted; None: there was no room for it.
    """

    __slots__ = ("_door", "link", "visit")

    link: Link | None
    visit: Visit | None

    def __init__(self, http: web.Server, door: Door, timeout: float) -> None:
        self._door = door
        super().__init__(
            http,
            timeout=timeout,
            keepalive=timeout + _LATER,
            drop=door.drop,
            late="handshake_timeout",
            unreadable=self._refusal,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.link = None
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=WRITE_AHEAD)
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.visit = self._door.visit(peer[0] if peer else "")
        if self.visit is None:
            cast(asyncio.Transport, transport).abort()
        else:
            self.expect()

    def _refusal(self) -> web.Response:
        self._door.drop("bad_request")
        return web.Response(status=400, text=f"{UNREADABLE}\n")

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the event loop."""
        super().connection_lost(exc)
        if self.visit is not None:
            self.visit.leave()
        if self.link is not None:
            self.link.lost()

    def pause_writing(self) -> None:
        """Called by the transport."""
        super().pause_writing()
        if self.link is not None:
            self.link.pause()

    def resume_writing(self) -> None:
        """Called by the transport."""
        super().resume_writing()
        if self.link is not None:
            self.link.resume()


def health(path: str, gateway: Gateway) -> web.Response | None:
    """The answer for a load balancer that asks how this node is; None: it asks something else."""
    if path == "/healthz":
        return web.Response(text="alive\n")
    if path == "/readyz":
        ready = gateway.ready
        return web.Response(status=200 if ready else 503, text="ready\n" if ready else "not ready\n")
    return None


def come_later(full: TooManyConnections) -> web.Response:
    """The answer to who is not let in now."""
    headers = {"Retry-After": str(ceil(full.retry_after)), "Connection": "close"}
    answer = web.Response(status=HTTP_STATUS[full.limit], text=f"{full}\n", headers=headers)
    answer.force_close()
    return answer
