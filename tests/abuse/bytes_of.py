"""How inputs are put together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.abuse.answers import Part

GOOD = b'{"to_logic":"echo","data":1}'
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
ASKS = b"Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

FINAL, RESERVED_1, RESERVED_2, RESERVED_3 = 0x80, 0x40, 0x20, 0x10
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def upgrade(path: bytes = b"/ws", *, more: bytes = b"", then: bytes = b"") -> bytes:
    """A good upgrade request, with more headers, and what follows it at once."""
    return b"GET " + path + b" HTTP/1.1\r\n" + ASKS + VERSION + KEY + more + b"\r\n" + then


def frame(first: int, payload: bytes = b"", *, masked: bool = True, size: int | None = None) -> bytes:
    """A WebSocket frame, with a size that need not be the payload's. The mask is zero."""
    size = len(payload) if size is None else size
    if size < 126:
        length = bytes([size])
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    head = bytes([first, length[0] | (0x80 if masked else 0)]) + length[1:]
    return head + (b"\0\0\0\0" if masked else b"") + payload


def text(payload: bytes) -> bytes:
    """A whole text frame."""
    return frame(FINAL | TEXT, payload)


def sized(payload: bytes) -> bytes:
    """A frame of TCP, with its length before it."""
    return len(payload).to_bytes(4, "big") + payload


def hello(**facts: Any) -> bytes:
    """The same, of a first frame."""
    return sized(json.dumps(facts).encode())


def request(method: bytes, path: bytes, *headers: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    """An HTTP request, with just these headers."""
    lines = [b"%b %b %b" % (method, path, version), b"Host: x", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def post(*headers: bytes, body: bytes = b"") -> bytes:
    """A POST of a client that has a session, with just these headers besides."""
    return request(b"POST", b"/client/send", b"Gobroke-Session: {place}", *headers, body=body)


def dripped(data: bytes, pause: float) -> Iterator[Part]:
    """One byte after another, slowly."""
    for byte in data:
        yield bytes([byte])
        yield pause
