"""What comes over HTTP, from who has a session or says so."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

from gobroke_dist.session import CloseCode
from tests.abuse.answers import CUT, Answer, Mark, Part, Row, Sent, Way, closed, http
from tests.abuse.bytes_of import GOOD, dripped, post, request

LENGTH = b"Content-Length: %d" % len(GOOD)
CHUNKED = b"Transfer-Encoding: chunked"
BOMB = gzip.compress(b" " * 10_000_000)
BOMB_LENGTH = b"Content-Length: %d" % len(BOMB)


def _row(what: str, sent: Sent, answer: Answer) -> Row:
    return Row(what, sent, {Way.HTTP: answer})


def _endless_chunks() -> Iterator[Part]:
    yield post(CHUNKED)
    while True:
        yield b"2710\r\n" + b"x" * 10_000 + b"\r\n"


def _endless_extension() -> Iterator[Part]:
    yield post(CHUNKED) + b"1;"
    for _ in range(100):
        yield b"x" * 10_000


def _trailers() -> Iterator[Part]:
    yield post(CHUNKED) + b"0\r\n"
    for _ in range(100):
        yield b"X: " + b"y" * 8000 + b"\r\n"


def _slow_body() -> Iterator[Part]:
    yield post(LENGTH)
    yield from dripped(GOOD, 0.1)


def _talk() -> Iterator[Part]:
    yield request(b"GET", b"/client/events")
    yield 1.0
    yield request(b"GET", b"/client/events")


BODIES = (
    _row("a body slower than it may be", _slow_body, http(408, "too_slow")),
    _row("a length without a body", post(LENGTH), http(408, "too_slow")),
    _row("half a body, and half of the connection closed", lambda: [post(LENGTH, body=GOOD[:9]), Mark.END], CUT),
    _row("half a body, and a reset", lambda: [post(LENGTH, body=GOOD[:9]), Mark.RESET], CUT),
    _row("a length of one byte too many", post(b"Content-Length: 65537", body=b" " * 65_537), http(413, "too_big")),
    _row("a length of 10^18", post(b"Content-Length: 1000000000000000000"), http(413, "too_big")),
    _row("no length at all", post(), http(400, "frame_invalid")),
    _row("chunks without end", _endless_chunks, http(413, "too_big")),
    _row("a chunk without a size", post(CHUNKED, body=b"\r\n\r\n"), http(400)),
    _row("a chunk with a bad size", post(CHUNKED, body=b"xyz\r\n{}\r\n0\r\n\r\n"), http(400)),
    _row(
        "a bad chunk after a good one",
        lambda: [post(CHUNKED, body=b"2\r\n{}\r\n"), 0.2, b"garbage\r\n"],
        http(408, "too_slow"),
    ),
    _row("a chunk with a size below zero", post(CHUNKED, body=b"-1\r\n{}\r\n0\r\n\r\n"), http(400)),
    _row("a chunk of 2^64 bytes", post(CHUNKED, body=b"10000000000000000\r\n"), http(400)),
    _row("a chunk that is longer than it says", post(CHUNKED, body=b"2\r\n{}garbage\r\n0\r\n\r\n"), http(400)),
    _row("a chunk's extension without end", _endless_extension, http(408, "too_slow")),
    _row("trailers without end", _trailers, http(408, "too_slow")),
    _row(
        "10 MB in 10 kB, packed by gzip",
        post(b"Content-Encoding: gzip", BOMB_LENGTH, body=BOMB),
        http(415, "unsupported_encoding"),
    ),
    _row(
        "the same under another name",
        post(b"Content-Encoding: GZIP", BOMB_LENGTH, body=BOMB),
        http(415, "unsupported_encoding"),
    ),
    _row(
        "the same behind a header that says that it is not packed",
        post(b"Content-Encoding: identity", b"Content-Encoding: gzip", BOMB_LENGTH, body=BOMB),
        http(415, "unsupported_encoding"),
    ),
    _row(
        "deflate that is none", post(b"Content-Encoding: deflate", LENGTH, body=GOOD), http(415, "unsupported_encoding")
    ),
    _row(
        "a coding that nobody knows",
        post(b"Content-Encoding: \xff", LENGTH, body=GOOD),
        http(415, "unsupported_encoding"),
    ),
    _row("Expect: 100-continue, and no body", post(LENGTH, b"Expect: 100-continue"), http(408, "too_slow")),
    _row("Expect: something else", post(b"Expect: x", LENGTH, body=GOOD), http(202)),
    _row("a POST without a session", request(b"POST", b"/client/send", LENGTH, body=GOOD), http(401, "refused")),
    _row(
        "a POST with a session of its own making",
        request(b"POST", b"/client/send", b"Gobroke-Session: ann/x.y/0", LENGTH, body=GOOD),
        http(409, "client_does_not_exist"),
    ),
    _row(
        "a POST with a session that is no ASCII",
        request(b"POST", b"/client/send", b"Gobroke-Session: \xc3\xa9/x.y/0", LENGTH, body=GOOD),
        http(400, "refused"),
    ),
    _row(
        "a POST for a client with CR and LF",
        request(b"POST", b"/client/send", b"Gobroke-Session: a%0d%0aX:y/x.y/0", LENGTH, body=GOOD),
        http(409, "client_does_not_exist"),
    ),
    _row(
        "a POST for a client with NUL",
        request(b"POST", b"/client/send", b"Gobroke-Session: a%00b/x.y/0", LENGTH, body=GOOD),
        http(409, "client_does_not_exist"),
    ),
    _row(
        "a POST for a client of bytes that are no UTF-8",
        request(b"POST", b"/client/send", b"Gobroke-Session: %ff%fe/x.y/0", LENGTH, body=GOOD),
        http(409, "client_does_not_exist"),
    ),
    _row(
        "a POST to a path behind it",
        request(b"POST", b"/client/send/../send", LENGTH, body=GOOD),
        http(404, "not_found"),
    ),
    _row("a GET with a body", request(b"GET", b"/client/poll?wait=0", LENGTH, body=GOOD), http(200)),
    _row("words on a stream of events", _talk, closed(CloseCode.PROTOCOL_ERROR)),
    _row(
        "a stream with a body that comes later",
        lambda: [request(b"GET", b"/client/events", LENGTH), 1.0, GOOD],
        closed(CloseCode.PROTOCOL_ERROR),
    ),
    _row("a stream, and a reset at once", lambda: [request(b"GET", b"/client/events"), Mark.RESET], CUT),
    _row("a poll, and a reset at once", lambda: [request(b"GET", b"/client/poll"), Mark.RESET], CUT),
)
