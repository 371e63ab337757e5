"""Frame headers, in whatever portions they come."""

from __future__ import annotations

import pytest

from endpoints.websocket_guard import MAX_FRAGMENTS, FrameGuard
from gobroke_dist.session import CloseCode

TEXT, CONTINUATION, CLOSE, PING, FINAL = 0x1, 0x0, 0x8, 0x9, 0x80


def frame(first: int, payload: bytes = b"", *, masked: bool = True) -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    head = bytes([first, length[0] | (0x80 if masked else 0)]) + length[1:]
    return head + (b"\0\0\0\0" if masked else b"") + payload


GOOD = [
    frame(FINAL | TEXT, b"hello"),
    frame(FINAL | TEXT),
    frame(FINAL | TEXT, b"x" * 300),
    frame(FINAL | TEXT, b"x" * 70_000),
    frame(TEXT, b"a") + frame(FINAL | PING, b"p") + frame(CONTINUATION) + frame(FINAL | CONTINUATION, b"b"),
]
BAD = [
    (frame(FINAL | TEXT, b"hello", masked=False), CloseCode.PROTOCOL_ERROR),
    (frame(FINAL | PING, masked=False), CloseCode.PROTOCOL_ERROR),
    (frame(FINAL | CONTINUATION), CloseCode.PROTOCOL_ERROR),
    (bytes([FINAL | TEXT, 0xFE, 0, 125]) + b"\0\0\0\0" + b"x" * 125, CloseCode.PROTOCOL_ERROR),
    (bytes([FINAL | TEXT, 0xFF, *(300).to_bytes(8, "big")]) + b"\0\0\0\0" + b"x" * 300, CloseCode.PROTOCOL_ERROR),
    (frame(TEXT) + frame(FINAL | TEXT), CloseCode.PROTOCOL_ERROR),
    (frame(FINAL | TEXT, b"x" * 100_001), CloseCode.TOO_BIG),
    (frame(TEXT, b"x" * 60_000) + frame(CONTINUATION, b"x" * 60_000), CloseCode.TOO_BIG),
    (frame(TEXT) + frame(CONTINUATION) * MAX_FRAGMENTS, CloseCode.TOO_BIG),
]


@pytest.mark.parametrize("portion", [1, 2, 3, 7, 1 << 20])
def test_e8_portions_make_no_difference(portion: int) -> None:
    guard, data = FrameGuard(100_000), b"".join(GOOD)
    for at in range(0, len(data), portion):
        guard.feed(data[at : at + portion])
    assert guard.refusal is None
    assert not guard.closed


@pytest.mark.parametrize(("data", "code"), BAD)
def test_e8_what_breaks_the_rules_is_refused_with_its_code(data: bytes, code: CloseCode) -> None:
    guard = FrameGuard(100_000)
    guard.feed(GOOD[0] + data)
    assert guard.refusal is not None
    assert guard.refusal.code is code


@pytest.mark.parametrize(("data", "code"), BAD)
def test_the_peers_close_is_found_after_a_refusal(data: bytes, code: CloseCode) -> None:
    guard = FrameGuard(100_000)
    guard.feed(data)
    guard.feed(frame(FINAL | CLOSE, b"\x03\xe8"))
    assert guard.closed


def test_nothing_counts_after_a_close() -> None:
    guard = FrameGuard(100)
    guard.feed(frame(FINAL | CLOSE) + frame(FINAL | TEXT, b"x", masked=False))
    assert guard.refusal is None
