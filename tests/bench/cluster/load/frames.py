"""WebSocket frames (RFC 6455, section 5.2), as far as a client that costs little needs them."""

from __future__ import annotations

import struct

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_FINAL, _MASKED = 0x80, 0x80


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """A client's frame. Its mask is zeros, which every server takes and which leaves the payload as it is."""
    length = len(payload)
    if length < 126:
        head = bytes((_FINAL | opcode, _MASKED | length))
    else:
        head = struct.pack("!BBH", _FINAL | opcode, _MASKED | 126, length)
    return head + bytes(4) + payload


def split(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """A server's whole frames, each as opcode and payload, and the bytes after the last of them."""
    frames: list[tuple[int, bytes]] = []
    at, end = 0, len(data)
    while end - at >= 2:
        start, length = at + 2, data[at + 1]
        if length >= 126:
            size = 2 if length == 126 else 8
            start += size
            length = int.from_bytes(data[at + 2 : start], "big")
        if end < start or end < start + length:
            break
        frames.append((data[at] & 0xF, data[start : start + length]))
        at = start + length
    return frames, data[at:]
