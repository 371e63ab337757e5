"""Requests that are no handshake, or a bad one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gobroke_dist.session import CloseCode
from tests.abuse.answers import CUT, SERVED, Answer, Mark, Part, Row, Way, closed, http
from tests.abuse.bytes_of import ASKS, GOOD, KEY, VERSION, dripped, request, text, upgrade

TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(189))
BOTH = (Way.UPGRADE, Way.HTTP)


def _row(what: str, sent: bytes, answer: Answer) -> Row:
    return Row(what, sent, {Way.UPGRADE: answer})


def _both(what: str, sent: bytes, answer: Answer) -> Row:
    """What no HTTP server of ours may understand."""
    return Row(what, sent, dict.fromkeys(BOTH, answer))


def _slow_headers() -> Iterator[Part]:
    yield upgrade()[:-2]
    for number in range(1000):
        yield b"X-%d: y\r\n" % number
        yield 0.1


SLOW = (
    Row("nothing at all", b"", {Way.UPGRADE: CUT, Way.HTTP: CUT, Way.TCP_FIRST: CUT, Way.LINES_FIRST: CUT}),
    Row("half a request line", b"GET /ws HT", dict.fromkeys(BOTH, CUT)),
    Row("a request without its last line end", upgrade()[:-2], dict.fromkeys(BOTH, CUT)),
    Row("a request byte by byte", partial(dripped, upgrade(), 0.1), dict.fromkeys(BOTH, CUT)),
    Row("headers without end, one at a time", _slow_headers, dict.fromkeys(BOTH, CUT)),
    Row("half a request, and half of the connection closed", lambda: [b"GET /ws", Mark.END], dict.fromkeys(BOTH, CUT)),
    Row("half a request, and a reset", lambda: [b"GET /ws HTTP/1.1\r\nHost", Mark.RESET], dict.fromkeys(BOTH, CUT)),
    Row("an upgrade, and a reset at once", lambda: [upgrade(), Mark.RESET], {Way.UPGRADE: CUT}),
    Row("half of a TLS handshake", TLS_HELLO[:60], {Way.TLS: CUT, Way.WSS: CUT}),
    Row("no TLS handshake at all", b"", {Way.TLS: CUT, Way.WSS: CUT}),
    Row(
        "clear text where TLS is spoken",
        request(b"GET", b"/ws"),
        {Way.TLS: CUT, Way.WSS: CUT},
    ),
)

UPGRADES = (
    _row("two keys", upgrade(more=KEY), http(400)),
    _row("no key", b"GET /ws HTTP/1.1\r\n" + ASKS + VERSION + b"\r\n", http(400)),
    _row("an empty key", b"GET /ws HTTP/1.1\r\n" + ASKS + VERSION + b"Sec-WebSocket-Key:\r\n\r\n", http(400)),
    _row(
        "a key of 4 bytes", b"GET /ws HTTP/1.1\r\n" + ASKS + VERSION + b"Sec-WebSocket-Key: AAAAAA==\r\n\r\n", http(400)
    ),
    _row(
        "a key that is no base64",
        b"GET /ws HTTP/1.1\r\n" + ASKS + VERSION + b"Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n\r\n",
        http(400),
    ),
    _row("no version", b"GET /ws HTTP/1.1\r\n" + ASKS + KEY + b"\r\n", http(426)),
    _row("version 8", b"GET /ws HTTP/1.1\r\n" + ASKS + KEY + b"Sec-WebSocket-Version: 8\r\n\r\n", http(426)),
    _row("version 1e1", b"GET /ws HTTP/1.1\r\n" + ASKS + KEY + b"Sec-WebSocket-Version: 1e1\r\n\r\n", http(426)),
    _row("two versions", upgrade(more=VERSION), http(400)),
    _row("an upgrade by HTTP/1.0", upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"), http(400)),
    _row("an upgrade by HTTP/2.0", upgrade().replace(b"HTTP/1.1", b"HTTP/2.0"), http(400)),
    _row("an upgrade by POST", upgrade().replace(b"GET", b"POST"), http(400)),
    _row("an upgrade to something else", upgrade().replace(b"websocket", b"h2c"), http(426)),
    _row("two upgrades at once", upgrade(more=b"Upgrade: h2c\r\n"), http(400)),
    _row("no Connection header", upgrade().replace(b"Connection: Upgrade\r\n", b""), http(426)),
    _row("Connection: keep-alive", upgrade().replace(b"Connection: Upgrade", b"Connection: keep-alive"), http(426)),
    _row("no Host", upgrade().replace(b"Host: x\r\n", b""), http(400)),
    _row("two Hosts", upgrade(more=b"Host: y\r\n"), http(400)),
    _row("a foreign Origin", upgrade(more=b"Origin: https://evil.example\r\n"), http(403)),
    _row("Origin: null", upgrade(more=b"Origin: null\r\n"), http(403)),
    _row("an Origin that begins with ours", upgrade(more=b"Origin: http://x.evil.example\r\n"), http(403)),
    _row("an Origin with our name as its user", upgrade(more=b"Origin: http://x@evil.example\r\n"), http(403)),
    _row("an Origin that is no URL", upgrade(more=b"Origin: http://[\r\n"), http(403)),
    _row("two Origins", upgrade(more=b"Origin: http://x\r\nOrigin: https://evil.example\r\n"), http(400)),
    _row("an Origin of bytes beyond ASCII", upgrade(more=b"Origin: http://\xc3\xa9\xff\r\n"), http(403)),
    Row(
        "a foreign Origin",
        request(b"GET", b"/client/poll", b"Origin: https://evil.example"),
        {Way.HTTP: http(403, "refused")},
    ),
    Row(
        "a foreign Origin on a POST",
        request(
            b"POST",
            b"/client/send",
            b"Origin: https://evil.example",
            b"Gobroke-Session: {place}",
            b"Content-Length: 2",
            body=b"{}",
        ),
        {Way.HTTP: http(403, "refused")},
    ),
    _row(
        "permessage-deflate asked for, and a frame that is compressed",
        upgrade(
            more=b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n", then=b"\xc1\x80\0\0\0\0"
        ),
        closed(CloseCode.PROTOCOL_ERROR),
    ),
    _row(
        "permessage-deflate asked for with nonsense",
        upgrade(
            more=b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99999\r\n", then=text(GOOD)
        ),
        SERVED,
    ),
    _row(
        "a thousand extensions asked for",
        upgrade(
            more=b"Sec-WebSocket-Extensions: " + b", ".join(b"x-%d" % n for n in range(900)) + b"\r\n", then=text(GOOD)
        ),
        SERVED,
    ),
    _row(
        "subprotocols that nobody speaks",
        upgrade(more=b"Sec-WebSocket-Protocol: a, b, \xff\r\n", then=text(GOOD)),
        SERVED,
    ),
    _row(
        "a request in the place of the first frame",
        upgrade(then=request(b"GET", b"/ws")),
        closed(CloseCode.PROTOCOL_ERROR),
    ),
    _row("a frame behind an upgrade that is refused", upgrade(more=VERSION, then=text(GOOD)), http(400)),
)

REQUESTS = (
    _both("a TLS handshake in clear text", TLS_HELLO, http(400)),
    _both("bytes of no meaning", bytes(range(128, 256)) + b"\r\n\r\n", http(400)),
    _both("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", http(400)),
    _both("HTTP/9.9", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", http(400)),
    Row(
        "a request of HTTP/0.9",
        b"GET /nothing\r\n\r\n",
        {Way.UPGRADE: http(404), Way.HTTP: http(404, "not_found")},
    ),
    _both("a request line of 100 kB", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", http(400)),
    _both("a header of 100 kB", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", http(400)),
    _both("a header's name of 100 kB", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a" * 100_000 + b": 1\r\n\r\n", http(400)),
    _both(
        "a thousand headers",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(1000)) + b"\r\n",
        http(400),
    ),
    _both("a header without a colon", b"GET / HTTP/1.1\r\nHost x\r\n\r\n", http(400)),
    _both("a header with an empty name", b"GET / HTTP/1.1\r\n: x\r\n\r\n", http(400)),
    _both("white space before the colon", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", http(400)),
    _both("a header that is folded", b"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n", http(400)),
    _both("NUL in a header", b"GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n", http(400)),
    _both("a lone CR in a header", b"GET / HTTP/1.1\r\nHost: x\rX-Injected: y\r\n\r\n", http(400)),
    _both("NUL in the path", b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", http(400)),
    _both(
        "two lengths that differ",
        request(b"POST", b"/x", b"Content-Length: 2", b"Content-Length: 3", body=b"{}"),
        http(400),
    ),
    _both(
        "a length, and chunks",
        request(
            b"POST",
            b"/x",
            b"Content-Length: 4",
            b"Transfer-Encoding: chunked",
            body=b"0\r\n\r\nGET /y HTTP/1.1\r\n\r\n",
        ),
        http(400),
    ),
    _both("a negative length", request(b"POST", b"/x", b"Content-Length: -1"), http(400)),
    _both("a length with a sign", request(b"POST", b"/x", b"Content-Length: +2", body=b"{}"), http(400)),
    _both("a length of 40 digits", request(b"POST", b"/x", b"Content-Length: " + b"9" * 40), http(400)),
    _both("a length that is no number", request(b"POST", b"/x", b"Content-Length: 0x10"), http(400)),
    _both(
        "a transfer coding that is none",
        request(b"POST", b"/x", b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
        http(400),
    ),
    _both(
        "chunked, twice over",
        request(b"POST", b"/x", b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
        http(400),
    ),
    Row(
        "a good request, and garbage behind it in the same packet",
        request(b"GET", b"/healthz") + b"\xff\xfe garbage\r\n\r\n",
        dict.fromkeys(BOTH, http(400)),
    ),
    Row(
        "a body that nobody asked for, and a reset in it",
        lambda: [request(b"POST", b"/nothing", b"Content-Length: 1000", body=b"x"), 0.1, Mark.RESET],
        {Way.UPGRADE: http(405), Way.HTTP: http(404, "not_found")},
    ),
    Row(
        "chunks that nobody asked for, and garbage among them",
        lambda: [request(b"POST", b"/nothing", b"Transfer-Encoding: chunked", body=b"1\r\nx\r\n"), 0.1, b"garbage\r\n"],
        {Way.UPGRADE: http(405), Way.HTTP: http(404, "not_found")},
    ),
    Row(
        "a body that says it is deflated, and is not",
        request(b"POST", b"/nothing", b"Content-Encoding: deflate", b"Content-Length: 2", body=b"{}"),
        {Way.UPGRADE: http(405), Way.HTTP: http(404, "not_found")},
    ),
    Row("a thousand requests at once", request(b"GET", b"/healthz") * 1000, dict.fromkeys(BOTH, http(200))),
    Row(
        "CONNECT to somewhere else",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        {Way.UPGRADE: http(405), Way.HTTP: http(404, "not_found")},
    ),
    Row(
        "a request for another server",
        b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\n\r\n",
        {Way.UPGRADE: http(404), Way.HTTP: http(404, "not_found")},
    ),
    Row(
        "a path that leads out",
        request(b"GET", b"/../../secret"),
        {Way.UPGRADE: http(404), Way.HTTP: http(404, "not_found")},
    ),
    Row(
        "a path that leads out, in percent signs",
        request(b"GET", b"/%2e%2e/%2e%2e/secret"),
        {Way.UPGRADE: http(404), Way.HTTP: http(404, "not_found")},
    ),
    Row(
        "a path with NUL, in percent signs",
        request(b"GET", b"/index.html%00.png"),
        {Way.UPGRADE: http(404), Way.HTTP: http(404, "not_found")},
    ),
    Row(
        "a path with bad percent signs",
        request(b"GET", b"/%zz%ff%"),
        {Way.UPGRADE: http(404), Way.HTTP: http(404, "not_found")},
    ),
    Row(
        "a path of 7 kB",
        request(b"GET", b"/" + b"a/" * 3500),
        {Way.UPGRADE: http(404), Way.HTTP: http(404, "not_found")},
    ),
    Row("a method that nobody knows", request(b"BREW", b"/client/poll"), dict.fromkeys(BOTH, http(400))),
    Row(
        "DELETE",
        request(b"DELETE", b"/client/poll"),
        {Way.UPGRADE: http(405), Way.HTTP: http(405, "method_not_allowed")},
    ),
    Row(
        "ranges without end",
        request(b"GET", b"/index.html", b"Range: bytes=" + b",".join([b"0-"] * 500)),
        {Way.UPGRADE: http(416)},
    ),
)
