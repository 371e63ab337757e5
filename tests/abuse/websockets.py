"""Frames that break RFC 6455, or want too much."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import partial

from gobroke_dist.session import CloseCode
from tests.abuse.answers import CUT, SERVED, Answer, Mark, Part, Row, Sent, Way, closed
from tests.abuse.bytes_of import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FINAL,
    GOOD,
    PING,
    PONG,
    RESERVED_1,
    RESERVED_2,
    RESERVED_3,
    TEXT,
    dripped,
    frame,
    text,
    upgrade,
)

WRONG = closed(CloseCode.PROTOCOL_ERROR)
TOO_BIG = closed(CloseCode.TOO_BIG)
INVALID = closed(CloseCode.INVALID_TEXT)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


def _row(what: str, sent: Sent, answer: Answer) -> Row:
    return Row(what, sent, {Way.WEBSOCKET: answer})


def _bomb() -> bytes:
    """10 MB in 10 kB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(b" " * 10_000_000) + packer.flush(zlib.Z_SYNC_FLUSH)


def _endless_fragments() -> Iterator[Part]:
    yield frame(TEXT, b"x")
    while True:
        yield frame(CONTINUATION) * 200


def _endless_bytes() -> Iterator[Part]:
    yield frame(TEXT, b"x")
    while True:
        yield frame(CONTINUATION, b"x" * 10_000)


def _pings() -> Iterator[Part]:
    """So many that not each could be answered; the last one before a frame is."""
    for _ in range(20):
        yield frame(FINAL | PING, b"p") * 500
    yield text(GOOD)


def _flood(good: bytes) -> Iterator[Part]:
    for _ in range(60):
        yield good * 50


def _only_pongs() -> Iterator[Part]:
    while True:
        yield frame(FINAL | PONG)
        yield 0.2


FRAMES = (
    _row("a frame without a mask", frame(FINAL | TEXT, GOOD, masked=False), WRONG),
    _row("a ping without a mask", frame(FINAL | PING, masked=False), WRONG),
    *(_row(f"opcode {code:#x}", frame(FINAL | code, b"x"), WRONG) for code in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)),
    _row("the first reserved bit", frame(FINAL | RESERVED_1 | TEXT, GOOD), WRONG),
    _row("the second reserved bit", frame(FINAL | RESERVED_2 | TEXT, GOOD), WRONG),
    _row("the third reserved bit", frame(FINAL | RESERVED_3 | TEXT, GOOD), WRONG),
    _row("reserved bits on a ping", frame(FINAL | RESERVED_1 | PING), WRONG),
    _row("reserved bits on a continuation", frame(TEXT, b"{") + frame(FINAL | RESERVED_1, b"}"), WRONG),
    _row("a ping in fragments", frame(PING, b"x"), WRONG),
    _row("a close in fragments", frame(CLOSE, b"\x03\xe8"), WRONG),
    _row("a ping of 126 bytes", frame(FINAL | PING, b"x" * 126), WRONG),
    _row("a pong of 126 bytes", frame(FINAL | PONG, b"x" * 126), WRONG),
    _row("a close of 126 bytes", frame(FINAL | CLOSE, b"\x03\xe8" + b"x" * 124), WRONG),
    _row("a ping that says it has 2 GB", frame(FINAL | PING, size=1 << 31), WRONG),
    _row("a continuation of nothing", frame(FINAL | CONTINUATION, GOOD), WRONG),
    _row("a message inside of another", frame(TEXT, b"{") + frame(FINAL | TEXT, GOOD), WRONG),
    _row("a message inside of an empty one", frame(TEXT) + frame(FINAL | TEXT, GOOD), WRONG),
    _row("a binary frame to a text protocol", frame(FINAL | BINARY, GOOD), closed(CloseCode.UNSUPPORTED_DATA)),
    _row("one byte too many", text(b" " * 65_537), TOO_BIG),
    _row("a frame that says it has 2 GB", frame(FINAL | TEXT, size=1 << 31), TOO_BIG),
    _row("a frame that says it has 2^63 bytes", frame(FINAL | TEXT, size=1 << 63), TOO_BIG),
    _row("a frame that says it has 2^64 - 1 bytes", frame(FINAL | TEXT, size=(1 << 64) - 1), TOO_BIG),
    _row(
        "a short size in the longest form", bytes([FINAL | TEXT, 0xFF]) + (2).to_bytes(8, "big") + b"\0\0\0\0{}", WRONG
    ),
    _row("empty fragments without end", _endless_fragments, TOO_BIG),
    _row("fragments without end", _endless_bytes, TOO_BIG),
    _row("a close code of 0", frame(FINAL | CLOSE, b"\0\0"), WRONG),
    _row("close code 999", frame(FINAL | CLOSE, b"\x03\xe7"), WRONG),
    _row("close code 1005", frame(FINAL | CLOSE, b"\x03\xed"), WRONG),
    _row("close code 1006", frame(FINAL | CLOSE, b"\x03\xee"), WRONG),
    _row("close code 1015", frame(FINAL | CLOSE, b"\x03\xf7"), WRONG),
    _row("close code 5000", frame(FINAL | CLOSE, b"\x13\x88"), WRONG),
    _row("close code 65535", frame(FINAL | CLOSE, b"\xff\xff"), WRONG),
    _row("half a close code", frame(FINAL | CLOSE, b"\x03"), WRONG),
    _row("a reason that is no UTF-8", frame(FINAL | CLOSE, b"\x03\xe8\xff"), INVALID),
    _row("frames behind a close", frame(FINAL | CLOSE, b"\x03\xe8") + text(GOOD) * 100, closed(CloseCode.NORMAL)),
    _row("garbage behind a close", frame(FINAL | CLOSE, b"\x03\xe8") + b"\xff" * 10_000, closed(CloseCode.NORMAL)),
    _row("10,000 pings", _pings, SERVED),
    _row("pongs that nobody asked for", frame(FINAL | PONG, b"x") * 1000 + text(GOOD), SERVED),
    _row("a good frame, byte by byte", partial(dripped, text(GOOD), 0.01), SERVED),
    _row("half a frame, and half of the connection closed", lambda: [text(GOOD)[:9], Mark.END], CUT),
    _row("half a frame, and a reset", lambda: [text(GOOD)[:9], Mark.RESET], CUT),
    _row("1,500 bad frames at once", lambda: _flood(text(b"{")), closed(CloseCode.TOO_FAST)),
    _row("3,000 good frames at once", lambda: _flood(text(GOOD)), closed(CloseCode.TOO_FAST)),
    _row("nothing but pongs", _only_pongs, closed(CloseCode.IDLE)),
    Row("silence", b"", {Way.SILENT: closed(CloseCode.PING_TIMEOUT), Way.TCP_SILENT: closed(CloseCode.PING_TIMEOUT)}),
    Row(
        "half a frame, and silence",
        {Way.SILENT: text(GOOD)[:9], Way.TCP_SILENT: b"\0\0"},
        {Way.SILENT: closed(CloseCode.PING_TIMEOUT), Way.TCP_SILENT: closed(CloseCode.PING_TIMEOUT)},
    ),
    Row(
        "10 MB in 10 kB, deflated, which was asked for",
        lambda: [upgrade(more=DEFLATE, then=frame(FINAL | RESERVED_1 | TEXT, _bomb()))],
        {Way.UPGRADE: WRONG},
    ),
    Row(
        "the same in fragments",
        lambda: [upgrade(more=DEFLATE, then=frame(RESERVED_1 | TEXT, _bomb()[:5000]) + frame(FINAL, _bomb()[5000:]))],
        {Way.UPGRADE: WRONG},
    ),
    Row("more sockets from one address than it may have", upgrade(), {Way.CROWD: Answer("http", 429)}),
)

_BAD_TEXT = (
    ("an overlong slash", b"\xc0\xaf"),
    ("an overlong NUL", b"\xc0\x80"),
    ("an overlong character in three bytes", b"\xe0\x80\xaf"),
    ("an overlong character in four bytes", b"\xf0\x80\x80\xaf"),
    ("a lone continuation byte", b"\x80"),
    ("half of a surrogate pair", b"\xed\xa0\x80"),
    ("a surrogate pair", b"\xed\xa0\x80\xed\xb0\x80"),
    ("a character that is cut", b"\xe2\x82"),
    ("a character beyond U+10FFFF", b"\xf4\x90\x80\x80"),
    ("a character of five bytes", b"\xf8\x88\x80\x80\x80"),
    ("byte FE", b"\xfe"),
    ("byte FF", b"\xff"),
)

TEXTS = (
    *(
        Row(
            what,
            b'{"to_logic":"echo","data":"' + sent + b'"}',
            {
                Way.FRAME: INVALID,
                Way.TCP_FRAME: INVALID,
                Way.LINE_FRAME: INVALID,
                Way.POST: Answer("http", 400, "frame_invalid"),
            },
        )
        for what, sent in _BAD_TEXT
    ),
    _row(
        "a character that begins in one fragment and ends in the next",
        frame(TEXT, GOOD[:-2] + b'"\xe2') + frame(FINAL, b'\x82\xac"}'),
        SERVED,
    ),
)
