"""Clients over UDP."""

from __future__ import annotations

import logging
from typing import Final

from endpoints.datagram import LARGEST
from endpoints.listening import Served, place
from endpoints.udp_server import UDPServer
from gobroke_dist.endpoint import Gateway
from gobroke_dist.listening import url
from gobroke_dist.session import FrameProtocol
from gobroke_dist.wire.frame import JSONProtocol

log = logging.getLogger(__name__)

SMALLEST_LIMIT: Final = 576
"""Bytes; every host of IPv4 takes so much."""


class UDPEndpoint(Served):
    """A UDP server: the same sessions and frames as over TCP, one frame in a datagram, for clients that would rather
    lose a message than wait for it.

    What the network loses is lost: nothing is sent twice. What it repeats, or brings late, is dropped. Datagrams are
    authenticated with a key that both ends get in the handshake, and are not encrypted. A message that does not fit
    into one is not sent, and its client gets an error frame, ``frame_too_large``.

    Args:
        host: the address to listen on.
        port: the port; 0 takes a free one, which ``addresses`` tells after the start.
        protocol: how clients speak after the hello; the JSON envelope by default.
        max_datagram: largest datagram, either way, in bytes: 576 to 65,507. 1,200 pass any usual network whole.

    Raises:
        ValueError: such a datagram can't be.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8083,
        *,
        protocol: FrameProtocol | None = None,
        max_datagram: int = 1200,
    ) -> None:
        if not SMALLEST_LIMIT <= max_datagram <= LARGEST:
            raise ValueError(f"max_datagram must be {SMALLEST_LIMIT} to {LARGEST}, not {max_datagram}")
        self.host = host
        self.port = port
        self.protocol: FrameProtocol = protocol or JSONProtocol()
        self.max_datagram = max_datagram

    async def start(self, gateway: Gateway) -> None:
        host, port = place(gateway.settings, self.host, self.port)
        server = UDPServer(gateway, self.protocol, self.max_datagram)
        actual = await server.start(host, port)
        self._server = server
        self._addresses = (url("udp", host, actual),)
        if gateway.settings.tls_certificate is not None:
            log.warning("%s is in clear text: GOBROKE_TLS_CERTIFICATE does not apply to UDP", self._addresses[0])
