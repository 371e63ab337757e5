"""What clients say of themselves: uuids, sessions, metadata."""

from __future__ import annotations

import json

from gobroke_dist.session import CloseCode
from tests.abuse.answers import Row, Way, closed, http
from tests.abuse.bytes_of import hello, request, sized, upgrade


def _said(what: str, query: bytes, **facts: object) -> Row:
    """In the query of an address, and in a hello."""
    polled = request(b"GET", b"/client/poll?" + query)
    answers = {Way.UPGRADE: http(400), Way.HTTP: http(400, "refused"), Way.TCP_FIRST: closed(CloseCode.PROTOCOL_ERROR)}
    sent = {Way.UPGRADE: upgrade(b"/ws?" + query), Way.HTTP: polled, Way.TCP_FIRST: hello(**facts)}
    return Row(what, sent, answers)


NAMES = (
    _said("an empty uuid", b"client=", client=""),
    _said("a uuid with a space", b"client=a%20b", client="a b"),
    _said("a uuid with CR and LF", b"client=a%0d%0aX-Injected:%20y", client="a\r\nX-Injected: y"),
    _said("a uuid with NUL", b"client=a%00b", client="a\0b"),
    _said("a uuid of 129 characters", b"client=" + b"x" * 129, client="x" * 129),
    _said("a uuid of 6,000 characters", b"client=" + b"x" * 6000, client="x" * 6000),
    _said("a uuid beyond ASCII", b"client=%C3%A9", client="é"),
    _said("a uuid of bytes that are no UTF-8", b"client=%ff%fe", client="\ufffd"),
    _said("a uuid with a line end behind it", b"client=ann%0a", client="ann\n"),
    _said("33 facts", b"&".join(b"f%d=x" % n for n in range(33)), **{f"f{n}": "x" for n in range(33)}),
    _said("facts of 5,000 characters", b"f=" + b"x" * 5000, f="x" * 5000),
    _said("a session with CR and LF", b"client=a&session=a%0d%0ab&offset=1", client="a", session="a\r\nb", offset=1),
    _said("a session that is a path", b"client=a&session=../x&offset=1", client="a", session="../x", offset=1),
    _said("an offset below zero", b"client=a&session=s&offset=-1", client="a", session="s", offset=-1),
    _said("an offset of 40 digits", b"client=a&session=s&offset=" + b"9" * 40, client="a", session="s", offset=10**39),
    _said(
        "an offset in digits of another script",
        b"client=a&session=s&offset=%D9%A1",
        client="a",
        session="s",
        offset="\u0661",
    ),
    _said("a session of nobody", b"session=s&offset=1", session="s", offset=1),
    Row(
        "a uuid that is given twice",
        {
            Way.UPGRADE: upgrade(b"/ws?client=a&client=b"),
            Way.HTTP: request(b"GET", b"/client/poll?client=a&client=b"),
            Way.TCP_FIRST: sized(b'{"client":"a","client":"b"}'),
        },
        {Way.UPGRADE: http(400), Way.HTTP: http(400, "refused"), Way.TCP_FIRST: closed(CloseCode.PROTOCOL_ERROR)},
    ),
    *(
        Row(f"a hello {what}", sized(sent), {Way.TCP_FIRST: closed(CloseCode.PROTOCOL_ERROR)})
        for what, sent in (
            ("that is no JSON", b"hello"),
            ("that is a list", b"[]"),
            ("that is a string", b'"ann"'),
            ("that is no UTF-8", b'{"client":"\xff"}'),
            ("with a number for a name", b'{"client":1.5}'),
            ("with an object for a name", b'{"client":{"$ne":null}}'),
            ("with null for a name", b'{"client":null}'),
            ("with half of a surrogate pair", b'{"f":"\\ud800"}'),
            ("that is nested 7,000 deep", b'{"a":' + b"[" * 7000 + b"]" * 7000 + b"}"),
            ("with an integer of 5,000 digits", b'{"f":' + b"9" * 5000 + b"}"),
            ("with NaN", b'{"f":NaN}'),
            ("with more behind it", b"{}{}"),
            ("with 2,000 facts", json.dumps({f"f{n}": 1 for n in range(1200)}, separators=(",", ":")).encode()),
        )
    ),
    Row("a place that is none", request(b"GET", b"/client/poll?after=nonsense"), {Way.HTTP: http(400, "refused")}),
    Row(
        "a place with too many parts", request(b"GET", b"/client/poll?after=a/b/1/2"), {Way.HTTP: http(400, "refused")}
    ),
    Row(
        "a place of 10 kB",
        request(b"GET", b"/client/poll?after=" + b"a" * 6000 + b"/b/1"),
        {Way.HTTP: http(400, "refused")},
    ),
    Row(
        "a place whose client has NUL",
        request(b"GET", b"/client/poll?after=a%2500b/b/1"),
        {Way.HTTP: http(400, "refused")},
    ),
    Row(
        "two places in headers",
        request(b"GET", b"/client/poll", b"Gobroke-Session: {place}", b"Gobroke-Session: a/b/1"),
        {Way.HTTP: http(400, "refused")},
    ),
    Row("a wait that is no number", request(b"GET", b"/client/poll?wait=1e9"), {Way.HTTP: http(400, "refused")}),
    Row("a wait below zero", request(b"GET", b"/client/poll?wait=-1"), {Way.HTTP: http(400, "refused")}),
    Row("a wait of 40 digits", request(b"GET", b"/client/poll?wait=" + b"9" * 40), {Way.HTTP: http(400, "refused")}),
    Row(
        "a wait in digits of another script",
        request(b"GET", b"/client/poll?wait=%D9%A1"),
        {Way.HTTP: http(400, "refused")},
    ),
)
