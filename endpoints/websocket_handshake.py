"""Who may connect, and as whom: what is decided from an upgrade request alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from endpoints.hello import Hello, HelloRefused, introduced

ANY_ORIGIN: Final = "*"

_PORTS: Final = {"http": ":80", "https": ":443"}
_SINGLE: Final = ("authorization", "host", "origin", "sec-websocket-key", "sec-websocket-version", "upgrade")


class HandshakeRefused(Exception):
    """The HTTP answer to a request that does not become a WebSocket."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers or {}


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
    headers = _headers(request.headers)
    _upgrade(request, headers)
    if "origin" in headers and not allowed(headers["origin"], headers["host"], origins):
        raise HandshakeRefused(403, f"Origin {headers['origin'][:200]} is not allowed here")
    try:
        return introduced(request.query, transport="websocket", address=address, headers=headers)
    except HelloRefused as refused:
        raise HandshakeRefused(400, str(refused)) from refused


def allowed(origin: str, host: str, origins: tuple[str, ...] | None) -> bool:
    """Whether a page of this origin may connect."""
    if origins is not None:
        return ANY_ORIGIN in origins or origin.lower() in (one.lower().rstrip("/") for one in origins)
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return False
    default = _PORTS.get(parts.scheme, "")
    return bool(default) and parts.netloc.removesuffix(default) == host.lower().removesuffix(default)


def _headers(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in given:
        if name in headers and name in _SINGLE:
            raise HandshakeRefused(400, f"the header {name} is given twice")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _upgrade(request: UpgradeRequest, headers: dict[str, str]) -> None:
    # RFC 6455, section 4.2.1
    if request.method != "GET" or request.version < (1, 1):
        raise HandshakeRefused(400, "a WebSocket begins with GET over HTTP/1.1")
    tokens = {token.strip().lower() for token in headers.get("connection", "").split(",")}
    if headers.get("upgrade", "").strip().lower() != "websocket" or "upgrade" not in tokens:
        raise HandshakeRefused(426, "this address speaks WebSocket", {"Upgrade": "websocket", "Connection": "Upgrade"})
    if headers.get("sec-websocket-version", "").strip() != "13":
        raise HandshakeRefused(426, "only version 13 is spoken here", {"Sec-WebSocket-Version": "13"})
    if not headers.get("host"):
        raise HandshakeRefused(400, "the header host is missing")
