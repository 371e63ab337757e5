"""What is in a datagram, and whether to believe it. It moves none: bytes in, facts out; ``now`` is an argument.

Every datagram begins with ``GB``, the version 1, and its kind, a byte each of the last two. ::

    HELLO      nonce (16)  padding                              client: is anybody there?   at least 64 bytes
    COOKIE     nonce (16)  cookie (16)                          node: say that again, from where you are
    CONNECT    nonce (16)  cookie (16)  hello (JSON)            client: this is who I am    at least 64 bytes
    sealed     connection (8)  number (8)  body  tag (16)       all others, both ways

The tag is the first half of HMAC-SHA256 over all that stands before it. The key is that of the direction, HMAC-SHA256
with the cookie over ``gobroke udp 1 to node`` or ``gobroke udp 1 to client``, the nonce, and the connection's id.
Numbers are unsigned, the most significant byte first.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

NONCE: Final = 16
COOKIE: Final = 16
IDENTITY: Final = 8
TAG: Final = 16

SMALLEST_GREETING: Final = 64
"""Bytes of a datagram that may be answered before its sender's address is proven: more than any such answer."""

OVERHEAD: Final = 4 + IDENTITY + 8 + TAG
"""Bytes of a sealed datagram beyond its body."""

LARGEST: Final = 65_507
"""Bytes that a datagram of IPv4 can have."""

NOBODY: Final = bytes(IDENTITY)
"""The connection of a client that is not let in."""

_START: Final = b"GB\x01"
_LONGEST_REASON: Final = 123


class Kind(IntEnum):
    """What a datagram is."""

    HELLO = 1
    COOKIE = 2
    CONNECT = 3
    ACCEPT = 4
    FRAME = 5
    CHALLENGE = 6
    PROOF = 7
    CLOSE = 8


_FROM_CLIENT: Final = (Kind.FRAME, Kind.PROOF, Kind.CLOSE)


@dataclass(frozen=True, slots=True)
class Greeting:
    """A datagram of somebody who has no connection yet.

    Attributes:
        nonce: with which the client knows an answer to be one.
        cookie: that it was given; empty: none yet.
        hello: who it is.
    """

    nonce: bytes
    cookie: bytes = b""
    hello: bytes = b""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A datagram of a connection; nothing in it counts before ``Seal.opens`` has said so.

    Attributes:
        kind: what it is.
        connection: whose.
        number: its place among those of its sender.
        body: the frame, or what else this kind has.
        covered: the bytes that the tag is for.
        tag: that shows who made it.
    """

    kind: Kind
    connection: bytes
    number: int
    body: bytes
    covered: bytes
    tag: bytes


def read(data: bytes) -> Greeting | Sealed | None:
    """What a client's datagram holds; None: nothing that a node answers."""
    if data[:3] != _START or len(data) < OVERHEAD:
        return None
    kind = data[3]
    if kind in (Kind.HELLO, Kind.CONNECT):
        if len(data) < SMALLEST_GREETING:
            return None
        nonce = data[4 : 4 + NONCE]
        if kind == Kind.HELLO:
            return Greeting(nonce)
        return Greeting(nonce, data[4 + NONCE : 4 + NONCE + COOKIE], data[4 + NONCE + COOKIE :])
    if kind not in _FROM_CLIENT:
        return None
    number = int.from_bytes(data[12:20], "big")
    return Sealed(Kind(kind), data[4:12], number, data[20:-TAG], data[:-TAG], data[-TAG:])


def cookie_for(greeting: Greeting, cookie: bytes) -> bytes:
    """The answer to somebody whose address is not proven."""
    return _START + bytes((Kind.COOKIE,)) + greeting.nonce + cookie


def farewell(code: int, retry_after: int, reason: str) -> bytes:
    """The body of a node's ``CLOSE``: the code in 2 bytes, milliseconds until it is worth coming back in 4, a text."""
    text = reason.encode()[:_LONGEST_REASON].decode(errors="ignore").encode()
    return code.to_bytes(2, "big") + min(retry_after, 0xFFFFFFFF).to_bytes(4, "big") + text


class Seal:
    """The two keys of one connection.

    Args:
        greeting: with the cookie and the nonce that both ends have.
        connection: its id.
    """

    __slots__ = ("_connection", "_from_client", "_number", "_to_client")

    def __init__(self, greeting: Greeting, connection: bytes) -> None:
        self._connection = connection
        self._number = 0
        shared = greeting.nonce + connection
        self._from_client = hmac.digest(greeting.cookie, b"gobroke udp 1 to node" + shared, "sha256")
        self._to_client = hmac.digest(greeting.cookie, b"gobroke udp 1 to client" + shared, "sha256")

    def opens(self, sealed: Sealed) -> bool:
        """Whether the client of this connection made it."""
        made = hmac.digest(self._from_client, sealed.covered, "sha256")[:TAG]
        return hmac.compare_digest(made, sealed.tag)

    def pack(self, kind: Kind, body: bytes = b"", *, number: int | None = None) -> bytes:
        """A datagram to the client, with the next number if none is given."""
        if number is None:
            self._number += 1
            number = self._number
        covered = _START + bytes((kind,)) + self._connection + number.to_bytes(8, "big") + body
        return covered + hmac.digest(self._to_client, covered, "sha256")[:TAG]


class Cookies:
    """Proof that a client gets what is sent to its address, without a note of who has asked.

    A cookie is good for its lifetime at least, and less than twice as long.

    Args:
        lifetime: seconds.
        now: seconds that never go back.
    """

    def __init__(self, lifetime: float, now: float) -> None:
        self.lifetime = lifetime
        self._since = now
        self._key, self._older = secrets.token_bytes(32), secrets.token_bytes(32)

    def bake(self, address: str, nonce: bytes, now: float) -> bytes:
        """The cookie of whoever is at this address and port."""
        self._turn(now)
        return _cookie(self._key, address, nonce)

    def good(self, greeting: Greeting, address: str, now: float) -> bool:
        """Whether it was given this cookie here, not long ago."""
        self._turn(now)
        wanted = (_cookie(key, address, greeting.nonce) for key in (self._key, self._older))
        return any(hmac.compare_digest(cookie, greeting.cookie) for cookie in wanted)

    def _turn(self, now: float) -> None:
        if now - self._since < self.lifetime:
            return
        forgotten = now - self._since >= 2 * self.lifetime
        self._older = secrets.token_bytes(32) if forgotten else self._key
        self._key = secrets.token_bytes(32)
        self._since = now


def _cookie(key: bytes, address: str, nonce: bytes) -> bytes:
    return hmac.digest(key, nonce + address.encode(), "sha256")[:COOKIE]
