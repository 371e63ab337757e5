"""Clients over HTTP."""

from __future__ import annotations

from endpoints.event_protocol import EventProtocol
from endpoints.listening import Served, place
from gobroke_dist.endpoint import Gateway
from gobroke_dist.listening import url
from gobroke_dist.session import SlowConsumers


class HTTPEndpoint(Served):
    """An HTTP server: ``GET path/events`` is a stream of server-sent events, ``GET path/poll`` a long poll, and ``POST
    path/send`` takes a frame. Any node takes any request of any client. ``/healthz`` and ``/readyz`` are for load
    balancers. With ``Settings.tls_certificate`` the server speaks TLS.

    Every client may come back: what is sent to it while it has no stream and no poll is kept for it.

    Args:
        host: the address to listen on.
        port: the port; 0 takes a free one, which ``addresses`` tells after the start.
        path: what stands before ``/events``, ``/poll`` and ``/send``.
        origins: which pages may connect, as of ``WebSocketEndpoint``. Those of another host get the headers of CORS.
        slow_consumers: what becomes of clients that read too slowly; None: as ``Settings.slow_consumers`` says.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8081,
        *,
        path: str = "/client",
        origins: tuple[str, ...] | None = None,
        slow_consumers: SlowConsumers | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.path = path.rstrip("/")
        self.origins = origins
        self.slow_consumers = slow_consumers

    async def start(self, gateway: Gateway) -> None:
        # A worker loads the same application, and needs no HTTP server (nor its import) for it.
        from endpoints.http_server import HTTPServer  # noqa: PLC0415

        host, port = place(gateway.settings, self.host, self.port)
        server = HTTPServer(gateway, EventProtocol(), path=self.path, origins=self.origins)
        actual = await server.start(host, port)
        self._server = server
        scheme = "http" if gateway.settings.tls_certificate is None else "https"
        self._addresses = (url(scheme, host, actual, self.path),)
