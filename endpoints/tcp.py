"""Clients over TCP."""

from __future__ import annotations

from endpoints.framing import Framing, LengthPrefix
from endpoints.listening import Served, place
from endpoints.tcp_server import TCPServer
from gobroke_dist.endpoint import Gateway
from gobroke_dist.listening import url
from gobroke_dist.session import FrameProtocol, SlowConsumers
from gobroke_dist.wire.frame import JSONProtocol


class TCPEndpoint(Served):
    """A TCP server: the same frames as over WebSocket, for devices and programs that speak no HTTP.

    A client's first frame is its hello, a JSON object with what a WebSocket client has in its address:
    ``{"client": "ann"}``, or ``{}`` for a new uuid; fields that have no other meaning become its metadata. An empty
    frame asks whether the other one is there, and a client answers it with an empty frame. With
    ``Settings.tls_certificate`` the server speaks TLS.

    Args:
        host: the address to listen on.
        port: the port; 0 takes a free one, which ``addresses`` tells after the start.
        framing: how frames are put into the stream: ``LengthPrefix()`` by default, or ``Lines()``.
        protocol: how clients speak after the hello; the JSON envelope by default.
        slow_consumers: what becomes of clients that read too slowly; None: as ``Settings.slow_consumers`` says.

    Raises:
        ValueError: the framing can't carry the protocol's frames.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8081,
        *,
        framing: Framing | None = None,
        protocol: FrameProtocol | None = None,
        slow_consumers: SlowConsumers | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.framing: Framing = framing or LengthPrefix()
        self.protocol: FrameProtocol = protocol or JSONProtocol()
        self.slow_consumers = slow_consumers
        if self.protocol.binary and not self.framing.binary:
            raise ValueError(f"the frames of protocol {self.protocol.name!r} may hold any bytes: use LengthPrefix()")

    async def start(self, gateway: Gateway) -> None:
        host, port = place(gateway.settings, self.host, self.port)
        server = TCPServer(gateway, self.framing, self.protocol)
        actual = await server.start(host, port)
        self._server = server
        scheme = "tcp" if gateway.settings.tls_certificate is None else "tls"
        self._addresses = (url(scheme, host, actual),)
