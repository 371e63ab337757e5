"""What comes over TCP."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gobroke_dist.session import CloseCode
from tests.abuse.answers import CUT, SERVED, Answer, Mark, Part, Row, Sent, Way, closed
from tests.abuse.bytes_of import GOOD, dripped, hello, request, sized
from tests.abuse.handshakes import TLS_HELLO

TOO_BIG = closed(CloseCode.TOO_BIG)
WRONG = closed(CloseCode.PROTOCOL_ERROR)


def _first(what: str, sent: Sent, answer: Answer) -> Row:
    return Row(what, sent, {Way.TCP_FIRST: answer})


def _later(what: str, sent: Sent, answer: Answer) -> Row:
    return Row(what, sent, {Way.TCP: answer})


def _endless() -> Iterator[Part]:
    while True:
        yield b"x" * 10_000


def _flood(good: bytes) -> Iterator[Part]:
    for _ in range(60):
        yield good * 50


def _signs() -> Iterator[Part]:
    while True:
        yield b"\0\0\0\0"
        yield 0.2


STREAMS = (
    Row("a TLS handshake in clear text", TLS_HELLO, {Way.TCP_FIRST: TOO_BIG, Way.LINES_FIRST: WRONG}),
    Row("a request of HTTP", request(b"GET", b"/"), {Way.TCP_FIRST: TOO_BIG, Way.LINES_FIRST: WRONG}),
    _first("a length of 4 GB", b"\xff\xff\xff\xff", TOO_BIG),
    _first("a length below zero", (-2).to_bytes(4, "big", signed=True) + b"{}", TOO_BIG),
    _first("a length of 2 GB", b"\x7f\xff\xff\xff", TOO_BIG),
    _first("a length in the other byte order", (2).to_bytes(4, "little") + b"{}", TOO_BIG),
    _first("a hello of 16 kB and a byte", sized(b" " * 16_385), TOO_BIG),
    _first("lengths of zero, for ever", _signs, CUT),
    _first("a hello, byte by byte", partial(dripped, hello(client="slow-one"), 0.1), CUT),
    _first("half a hello, and half of the connection closed", lambda: [hello(client="x")[:9], Mark.END], CUT),
    _first("half a hello, and a reset", lambda: [hello(client="x")[:9], Mark.RESET], CUT),
    _first("a frame in the place of a hello", sized(b'{"to_logic":["echo"],"data":1}'), WRONG),
    Row("a line without end", _endless, {Way.LINES_FIRST: TOO_BIG, Way.LINES: TOO_BIG}),
    Row("bytes without end", _endless, {Way.TCP_FIRST: TOO_BIG, Way.TCP: TOO_BIG}),
    Row("a line that is no JSON", b"hello\n", {Way.LINES_FIRST: WRONG, Way.LINES: Answer("error", "frame_invalid")}),
    Row("a line with NUL", b"\0\n", {Way.LINES_FIRST: WRONG, Way.LINES: Answer("error", "frame_invalid")}),
    Row("a line that is ended by CR alone", b'{"client":"x"}\r', {Way.LINES_FIRST: CUT}),
    Row("a thousand empty lines", b"\r\n" * 1000 + GOOD + b"\n", {Way.LINES: SERVED}),
    _later("a length of 4 GB", b"\xff\xff\xff\xff", TOO_BIG),
    _later("a length below zero", (-1).to_bytes(4, "big", signed=True), TOO_BIG),
    _later("a frame of one byte too many", sized(b" " * 65_537), TOO_BIG),
    _later("2,000 lengths of zero", b"\0\0\0\0" * 2000 + sized(GOOD), SERVED),
    _later("a second hello", hello(client="somebody-else"), Answer("error", "frame_invalid")),
    _later("a good frame, byte by byte", partial(dripped, sized(GOOD), 0.01), SERVED),
    _later(
        "half a frame, and half of the connection closed",
        lambda: [sized(GOOD)[:9], Mark.END],
        closed(CloseCode.GOING_AWAY),
    ),
    _later("half a frame, and a reset", lambda: [sized(GOOD)[:9], Mark.RESET], CUT),
    _later("a goodbye with a code of its own", sized(b'{"close":4500}'), Answer("error", "frame_invalid")),
    _later("frames behind a goodbye", sized(b'{"close":1000}') + sized(GOOD) * 100, closed(CloseCode.NORMAL)),
    _later("3,000 bad frames at once", lambda: _flood(sized(b"{")), closed(CloseCode.TOO_FAST)),
    _later("3,000 good frames at once", lambda: _flood(sized(GOOD)), closed(CloseCode.TOO_FAST)),
    _later("nothing but lengths of zero", _signs, closed(CloseCode.IDLE)),
)
