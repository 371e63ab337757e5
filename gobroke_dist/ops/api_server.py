"""The HTTP server in front of ``API``, on a port of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Final, cast

from aiohttp import web

from gobroke_dist.errors import BrokeError, CallInvalid, CouldNotCreateServer
from gobroke_dist.listening import listen, url
from gobroke_dist.metrics import Metrics
from gobroke_dist.ops.api import API, Call, Reply
from gobroke_dist.ops.limits import CONNECTIONS
from gobroke_dist.ops.openapi import document
from gobroke_dist.reading import read_whole
from gobroke_dist.serving import UNREADABLE, HTTPSocket, is_packed
from gobroke_dist.settings import Settings

_GRACE: Final = 5.0
_KEEPALIVE: Final = 75.0


class _Connection(HTTPSocket):
    """That; and one too many is cut."""

    __slots__ = ("_open",)

    def __init__(self, http: web.Server, timeout: float, open_: set[object], metrics: Metrics, api: API) -> None:
        super().__init__(
            http,
            timeout=timeout,
            keepalive=_KEEPALIVE,
            drop=metrics.drop,
            late="api_too_late",
            unreadable=lambda: _response(api.refused(CallInvalid(UNREADABLE)), close=True),
        )
        self._open = open_

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        super().connection_made(transport)
        self._open.add(self)
        if len(self._open) > CONNECTIONS:
            self.cut("api_full")
        else:
            self.expect()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the event loop."""
        super().connection_lost(exc)
        self._open.discard(self)


class APIServer:
    """Listens.

    Args:
        api: does what is asked for.
        metrics: counts connections that were cut.
        settings: those of the API, ``max_frame`` and ``handshake_timeout`` are used.
        origin: the address of who asks, from the socket's and the headers X-Forwarded-For.

    Attributes:
        address: where it listens, as a URL.
    """

    def __init__(
        self, api: API, settings: Settings, metrics: Metrics, origin: Callable[[str, Iterable[str]], str]
    ) -> None:
        self._api = api
        self._settings = settings
        self._metrics = metrics
        self._origin = origin
        self._http = web.Server(self._answer)
        self._listener: asyncio.Server | None = None
        self._open: set[object] = set()
        self.address = ""
        self._document = json.dumps(document()).encode()

    async def start(self) -> None:
        """Listen. Raises ``CouldNotCreateServer``."""
        host, port = self._settings.api_host, self._settings.api_port or 0
        if not self._settings.api_token_list:
            raise CouldNotCreateServer("the HTTP API needs a token: set GOBROKE_API_TOKENS, or unset GOBROKE_API_PORT")
        timeout = self._settings.handshake_timeout
        self._listener, actual = await listen(
            lambda: _Connection(self._http, timeout, self._open, self._metrics, self._api),
            host,
            port,
            self._settings,
            "api_",
        )
        self.address = url("http" if self._settings.api_tls_certificate is None else "https", host, actual)

    async def stop(self) -> None:
        """Take no new connections; what is being answered has some seconds to end, and who waits is told at once."""
        if self._listener is not None:
            self._listener.close()
            self._api.close()
            await self._http.shutdown(_GRACE)

    def _connection(self) -> _Connection:
        return _Connection(self._http, self._settings.handshake_timeout, self._open, self._metrics, self._api)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        cast(HTTPSocket, request.protocol).asked()
        path, _, query = request.raw_path.partition("?")
        if path == "/openapi.json" and request.method == "GET":
            return web.Response(body=self._document, content_type="application/json")
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        call = Call(
            request.method,
            path,
            query,
            request.headers.get("Authorization", ""),
            self._origin(peer[0] if peer else "", request.headers.getall("X-Forwarded-For", ())),
        )
        try:
            found = self._api.find(call)
            body = await self._body(request) if found.operation.body is not None else b""
        except BrokeError as error:
            return _response(self._api.refused(error), close=request.can_read_body)
        return _response(await self._api.perform(found, call, body), close=False)

    async def _body(self, request: web.BaseRequest) -> bytes:
        if request.content_type != "application/json":
            raise CallInvalid("send application/json", status=415)
        if is_packed(request):
            raise CallInvalid("send it without Content-Encoding", status=415)
        try:
            async with asyncio.timeout(self._settings.handshake_timeout):
                most = self._settings.max_frame
                body = await read_whole(request.content.iter_any(), most, request.content_length)
        except TimeoutError:
            raise CallInvalid("the body did not come in time", status=408) from None
        if body is None:
            raise CallInvalid(f"a body has at most {most} bytes", status=413)
        return body


def _response(reply: Reply, *, close: bool) -> web.Response:
    headers = {**reply.headers, "Cache-Control": "no-store"}
    if reply.body:
        headers["Content-Type"] = reply.media_type
    made = web.Response(status=reply.status, body=reply.body or None, headers=headers)
    if close:
        made.force_close()
    return made
