"""What is decided from the headers of a request alone, whatever it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

ANY_ORIGIN: Final = "*"

_PORTS: Final = {"http": ":80", "https": ":443"}
_SINGLE: Final = (
    "authorization",
    "gobroke-session",
    "host",
    "last-event-id",
    "origin",
    "sec-websocket-key",
    "sec-websocket-version",
    "upgrade",
)


class HandshakeRefused(Exception):
    """The HTTP answer to a request that is refused."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers or {}


def require_origin(headers: Mapping[str, str], origins: tuple[str, ...] | None) -> None:
    """Raises ``HandshakeRefused``: a page of the request's ``Origin``, if it has one, may not connect."""
    origin = headers.get("origin")
    if origin is None:
        return
    if not origin.isascii():
        raise HandshakeRefused(403, "such an Origin is not allowed here")
    if not allowed(origin, headers.get("host", ""), origins):
        raise HandshakeRefused(403, f"Origin {origin[:200]} is not allowed here")


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


def headers_of(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """By name, in lower case. Raises ``HandshakeRefused``: one that must not be given twice is."""
    headers: dict[str, str] = {}
    for name, value in given:
        if name in headers and name in _SINGLE:
            raise HandshakeRefused(400, f"the header {name} is given twice")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
