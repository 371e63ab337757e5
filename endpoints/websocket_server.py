"""The HTTP server behind ``WebSocketEndpoint``.

It is aiohttp's low-level server: four paths need no router, and its protocol class can be extended.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from aiohttp import web
from aiohttp.http_websocket import WebSocketReader

from endpoints.edge_protocol import EdgeProtocol, come_later, health
from endpoints.handshake import HandshakeRefused
from endpoints.link import Links
from endpoints.pages import find_page_or_client
from endpoints.websocket_connection import Connection, GuardedParser
from endpoints.websocket_handshake import UpgradeRequest, accept
from gobroke_dist.endpoint import Gateway
from gobroke_dist.errors import TooManyConnections
from gobroke_dist.listening import listen
from gobroke_dist.session import FrameProtocol, Session


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What ``WebSocketEndpoint`` was made with."""

    host: str
    port: int
    path: str
    protocol: FrameProtocol
    pages: Path | None
    origins: tuple[str, ...] | None


class WebSocketProtocol(EdgeProtocol):
    """That, with its WebSocket parser in our hands."""

    __slots__ = ()

    def set_parser(self, parser: WebSocketReader, data_received_cb: Any = None) -> None:
        """Called by aiohttp when a request was upgraded."""
        if isinstance(self.link, Connection):
            parser = cast(WebSocketReader, GuardedParser(parser, self.link))
        super().set_parser(parser, data_received_cb)


class WebSocketServer:
    """Listens, answers requests, and holds the connections.

    Args:
        gateway: the node.
        options: see there.
    """

    def __init__(self, gateway: Gateway, options: ServerOptions) -> None:
        self._gateway = gateway
        self._options = options
        self._http = web.Server(self._answer)
        self._listener: asyncio.Server | None = None
        self._links = Links()

    async def start(self) -> int:
        """Listen. Returns the port. Raises ``CouldNotCreateServer``."""
        door, settings = self._gateway.door, self._gateway.settings
        self._listener, port = await listen(
            lambda: WebSocketProtocol(self._http, door, settings.handshake_timeout),
            self._options.host,
            self._options.port,
            settings,
        )
        return port

    async def stop(self) -> None:
        """Close the listener, then every connection with ``GOING_AWAY``; what resists is cut."""
        if self._listener is not None:
            self._listener.close()
        await self._links.close_all()
        await self._http.shutdown(1.0)

    async def close(self, session: Session) -> None:
        """Wait until a session's connection is gone."""
        await self._links.close(session)

    # --- requests ------------------------------------------------------------

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        cast(EdgeProtocol, request.protocol).asked()
        if request.path == self._options.path:
            return await self._connect(request)
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="only GET is answered here\n", headers={"Allow": "GET, HEAD"})
        healthy = health(request.path, self._gateway)
        return await self._page(request.path) if healthy is None else healthy

    async def _page(self, path: str) -> web.StreamResponse:
        folder = self._options.pages
        page = None if folder is None else await asyncio.to_thread(find_page_or_client, folder, path)
        if page is None:
            return web.Response(status=404, text="there is nothing here\n")
        return web.FileResponse(page, headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"})

    async def _connect(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._listener is not None
        if not self._listener.is_serving():
            return web.Response(status=503, text="this node is shutting down\n")
        visit = cast(EdgeProtocol, request.protocol).visit
        if visit is None:
            return web.Response(status=503)  # its socket is gone already
        address = self._gateway.door.origin(visit.peer, request.headers.getall("X-Forwarded-For", ()))
        try:
            visit.enter(address)
            hello = accept(_upgrade_request(request), self._options.origins, address)
        except TooManyConnections as full:
            return come_later(full)
        except HandshakeRefused as refused:
            return web.Response(status=refused.status, text=f"{refused}\n", headers=refused.headers)
        if request.transport is None or not web.WebSocketResponse(compress=False).can_prepare(request):
            return web.Response(status=400, text="Sec-WebSocket-Key must be 16 bytes in base64\n")
        connection = Connection(self._gateway, self._options.protocol, hello, request, request.transport)
        cast(EdgeProtocol, request.protocol).link = connection
        with self._links.holding(connection):
            return await _served(connection)


async def _served(connection: Connection) -> web.StreamResponse:
    try:
        await connection.run()
    except ConnectionResetError:  # it was gone before it was let in; aiohttp takes that well from other answers only
        return web.Response(status=400)
    return connection.socket


def _upgrade_request(request: web.BaseRequest) -> UpgradeRequest:
    return UpgradeRequest(
        method=request.method,
        version=(request.version.major, request.version.minor),
        headers=[(name.lower(), value) for name, value in request.headers.items()],
        query=list(request.rel_url.query.items()),
    )
