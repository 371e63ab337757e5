"""Clients over WebSocket."""

from __future__ import annotations

from pathlib import Path

from endpoints.listening import Served, place
from gobroke_dist.endpoint import Gateway
from gobroke_dist.listening import url
from gobroke_dist.session import FrameProtocol, SlowConsumers
from gobroke_dist.wire.frame import JSONProtocol


class WebSocketEndpoint(Served):
    """A WebSocket server, with ``/healthz`` and ``/readyz`` for load balancers, and pages if there are any.

    A client connects to ``path``, as ``?client=<uuid>`` or else with a new uuid; other query parameters become
    its metadata, except for ``token``. A client that breaks a rule is closed with a code of ``CloseCode``. With
    ``Settings.tls_certificate`` the server speaks TLS.

    Args:
        host: the address to listen on.
        port: the port; 0 takes a free one, which ``addresses`` tells after the start.
        path: where clients connect.
        protocol: how they speak; the JSON envelope by default.
        pages: a folder of files to serve, ``index.html`` at ``/``; with it, the client for browsers at ``/gobroke.js``.
        origins: which pages may connect, such as ``("https://example.com",)``; ``("*",)`` is every page, None only
            pages of the host that the client connects to. A client without an ``Origin`` is no browser, and may.
        slow_consumers: what becomes of clients that read too slowly; None: as ``Settings.slow_consumers`` says.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8080,
        *,
        path: str = "/ws",
        protocol: FrameProtocol | None = None,
        pages: Path | None = None,
        origins: tuple[str, ...] | None = None,
        slow_consumers: SlowConsumers | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.path = path
        self.protocol: FrameProtocol = protocol or JSONProtocol()
        self.slow_consumers = slow_consumers
        self.pages = pages
        self.origins = origins

    async def start(self, gateway: Gateway) -> None:
        # A worker loads the same application, and needs no HTTP server (nor its import) for it.
        from endpoints.websocket_server import ServerOptions, WebSocketServer  # noqa: PLC0415

        host, port = place(gateway.settings, self.host, self.port)
        options = ServerOptions(host, port, self.path, self.protocol, self.pages, self.origins)
        server = WebSocketServer(gateway, options)
        actual = await server.start()
        self._server = server
        scheme = "ws" if gateway.settings.tls_certificate is None else "wss"
        self._addresses = (url(scheme, host, actual, self.path),)
