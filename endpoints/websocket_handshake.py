"""Who may connect, and as whom: what is decided from an upgrade request alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from endpoints.handshake import HandshakeRefused, headers_of, require_origin
from endpoints.hello import Hello, HelloRefused, introduced


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """The parts of an HTTP request that a handshake consists of. Header names are in lower case."""

    method: str
    version: tuple[int, int]
    headers: Iterable[tuple[str, str]]
    query: Iterable[tuple[str, str]]


def accept(request: UpgradeRequest, origins: tuple[str, ...] | None, address: str = "") -> Hello:
    """Who this request makes.

    Args:
        request: the upgrade request.
        origins: what an ``Origin`` may be, such as ``https://example.com``; None: only this server's own host.
        address: where it comes from.

    Raises:
        HandshakeRefused: answer with this.
    """
    headers = headers_of(request.headers)
    _upgrade(request, headers)
    require_origin(headers, origins)
    try:
        return introduced(request.query, transport="websocket", address=address, headers=headers)
    except HelloRefused as refused:
        raise HandshakeRefused(400, str(refused)) from refused


def _upgrade(request: UpgradeRequest, headers: dict[str, str]) -> None:
    # RFC 6455, section 4.2.1
    if request.method != "GET" or request.version != (1, 1):
        raise HandshakeRefused(400, "a WebSocket begins with GET over HTTP/1.1")
    tokens = {token.strip().lower() for token in headers.get("connection", "").split(",")}
    if headers.get("upgrade", "").strip().lower() != "websocket" or "upgrade" not in tokens:
        raise HandshakeRefused(426, "this address speaks WebSocket", {"Upgrade": "websocket", "Connection": "Upgrade"})
    if headers.get("sec-websocket-version", "").strip() != "13":
        raise HandshakeRefused(426, "only version 13 is spoken here", {"Sec-WebSocket-Version": "13"})
    if not headers.get("host"):
        raise HandshakeRefused(400, "the header host is missing")
