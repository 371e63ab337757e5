"""Who may connect, and as whom: what is decided from an upgrade request alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gobroke_dist.client import Client
from gobroke_dist.identity import ConnectRequest, bearer
from gobroke_dist.session import Recovery

MAX_METADATA: Final = 32
"""How many query parameters may become the client's metadata."""

MAX_METADATA_SIZE: Final = 4096
"""How many characters these may have together, names included."""

ANY_ORIGIN: Final = "*"

_UUID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_OFFSET: Final = re.compile(r"[0-9]{1,15}")
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


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an upgrade request makes.

    Attributes:
        client: as whom it asks to be let in.
        recovery: whether it asks to be let back.
        asked: what an authenticator gets to see.
    """

    client: Client
    recovery: Recovery | None
    asked: ConnectRequest


def accept(request: UpgradeRequest, origins: tuple[str, ...] | None, address: str = "") -> Accepted:
    """What this request makes.

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
    query = _once(request.query)
    client, recovery = _client(query)
    asked = ConnectRequest(
        transport="websocket",
        address=address,
        client=query.get("client"),
        token=bearer(headers, query),
        headers=headers,
        query=query,
    )
    return Accepted(client, recovery, asked)


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


def _once(query: Iterable[tuple[str, str]]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for name, value in query:
        if name in facts:
            raise HandshakeRefused(400, f"the query parameter {name[:100]!r} is given twice")
        facts[name] = value
    return facts


def _client(query: Mapping[str, str]) -> tuple[Client, Recovery | None]:
    facts = dict(query)
    facts.pop("token", None)  # a secret, and no fact about the client
    uuid = facts.pop("client", None)
    if uuid is not None and not _UUID.fullmatch(uuid):
        raise HandshakeRefused(400, "client must be 1 to 128 of the characters A-Z a-z 0-9 . _ : -")
    recovery = _recovery(facts)
    if recovery is not None and recovery.token and uuid is None:
        raise HandshakeRefused(400, "who comes back says with client=... who it is")
    size = sum(len(name) + len(value) for name, value in facts.items())
    if len(facts) > MAX_METADATA or size > MAX_METADATA_SIZE:
        raise HandshakeRefused(400, f"at most {MAX_METADATA} parameters of {MAX_METADATA_SIZE} characters together")
    client = Client() if uuid is None else Client(uuid=uuid)
    client.metadata.update(facts)
    return client, recovery


def _recovery(facts: dict[str, str]) -> Recovery | None:
    wanted, token, offset = (facts.pop(name, None) for name in ("recover", "session", "offset"))
    if token is None:
        return None if wanted is None else Recovery()
    if not _TOKEN.fullmatch(token) or not _OFFSET.fullmatch(offset or ""):
        raise HandshakeRefused(400, "who comes back shows session=... and offset=..., as they were sent to it")
    return Recovery(token, int(offset or 0))
