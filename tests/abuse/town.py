"""The edge, the ways to it, and clients that mean well."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from tests.abuse.answers import CUT, SERVED, Answer, Part, Row, Way
from tests.abuse.bytes_of import GOOD, hello, request, upgrade
from tests.abuse.wire import (
    LengthTongue,
    LineTongue,
    Tongue,
    WebSocketTongue,
    Wire,
    listen,
    lives,
    reply,
    request_answer,
)

PATIENCE = 15.0
"""Seconds until an answer is none."""

_CROWD, _TOGETHER = 60, 20
_CROWD_ADDRESS = "127.0.0.3"


class Town:
    """Knows where everything listens.

    Args:
        addresses: of the program's endpoints, in its order.
    """

    def __init__(self, addresses: Iterable[str]) -> None:
        ports = [urlsplit(address).port or 0 for address in addresses]
        self.websocket, self.tcp, self.lines, self.http, self.tls, self.wss = ports
        self._names = (f"c-{number}" for number in itertools.count())

    async def answer(self, row: Row, way: Way) -> Answer:
        """Send a row's bytes, and hear what becomes of them."""
        expected = row.answers[way]
        go = _WAYS[way]
        try:
            async with asyncio.timeout(PATIENCE):
                return await go(self, row.parts(way), expected)
        except TimeoutError:
            return Answer("nothing", f"within {PATIENCE:g} s")

    # --- who means well --------------------------------------------------------

    async def serve(self, way: Way) -> None:
        """A new client comes by the same endpoint, is heard, and is answered."""
        async with asyncio.timeout(PATIENCE):
            if way in (Way.HTTP, Way.POST, Way.TOKEN_POLL):
                await self._serve_http()
            elif way in (Way.LINES, Way.LINES_FIRST, Way.LINE_FRAME):
                await self._ask(self.lines, LineTongue(), b'{"client":"%b"}\n' % self.name().encode())
            elif way in (Way.TCP, Way.TCP_FIRST, Way.TCP_FRAME, Way.TCP_SILENT, Way.TOKEN_HELLO, Way.TLS):
                await self._ask(self.tcp, LengthTongue(), hello(client=self.name()))
            else:
                await self.ask("echo", 1)

    async def ask(self, logic: str, data: Any) -> Any:
        """What a logic sends to a client that says this to it."""
        return await self._ask(self.websocket, WebSocketTongue(), upgrade(), logic=logic, data=data)

    async def _ask(self, port: int, tongue: Tongue, first: bytes, *, logic: str = "echo", data: Any = 1) -> Any:
        wire = await Wire.open(port)
        try:
            await wire.send([first])
            if isinstance(tongue, WebSocketTongue):
                assert (await reply(wire))[0] == 101
            await wire.send([tongue.packed(json.dumps({"to_logic": logic, "data": data}).encode())])
            while True:
                said = await tongue.frame(wire)
                assert not isinstance(said, Answer), said
                if said is not None and said["type"] != "welcome":
                    assert said["type"] == "message", said
                    return said["data"]
        finally:
            wire.cut()

    async def _serve_http(self) -> None:
        wire = await Wire.open(self.http)
        try:
            place = await self._place(wire)
            session, length = b"Gobroke-Session: " + place.encode(), b"Content-Length: %d" % len(GOOD)
            await wire.send([request(b"POST", b"/client/send", session, length, body=GOOD)])
            assert (await reply(wire))[0] == 202
            await wire.send([request(b"GET", b"/client/poll", session)])
            status, _, body = await reply(wire)
            assert (status, [one["data"] for one in json.loads(body)["frames"]]) == (200, [1]), body
        finally:
            wire.cut()

    async def _new_place(self) -> str:
        """That of a new client."""
        wire = await Wire.open(self.http)
        try:
            return await self._place(wire)
        finally:
            wire.cut()

    async def _place(self, wire: Wire) -> str:
        await wire.send([request(b"GET", b"/client/poll?client=" + self.name().encode())])
        status, _, body = await reply(wire)
        assert status == 200, body
        return str(json.loads(body)["next"])

    def name(self) -> str:
        """One that nobody has."""
        return next(self._names)

    # --- ways ------------------------------------------------------------------

    async def _exchange(
        self,
        port: int,
        parts: Iterable[Part],
        expected: Answer,
        *,
        tongue: Tongue,
        first: bytes = b"",
        by_http: bool = False,
    ) -> Answer:
        """After ``first``, which lets a client in, send all and hear the answer at the same time."""
        wire = await Wire.open(port)
        to_the_end = expected.kind in ("close", "cut")
        sending: asyncio.Task[None] | None = None
        try:
            if first:
                await wire.send([first])
                if by_http:
                    assert (await reply(wire))[0] == 101
            sending = asyncio.create_task(wire.send(parts, self._new_place))
            hear = request_answer if by_http and not first else listen
            answer = await hear(wire, tongue, to_the_end=to_the_end)
            if answer.kind == "error":
                await sending
                await lives(wire, tongue)
            return answer
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            wire.cut()

    async def upgrade(self, parts: Iterable[Part], expected: Answer) -> Answer:
        return await self._exchange(self.websocket, parts, expected, tongue=WebSocketTongue(), by_http=True)

    async def by_websocket(self, parts: Iterable[Part], expected: Answer) -> Answer:
        tongue = WebSocketTongue()
        return await self._exchange(self.websocket, parts, expected, tongue=tongue, first=upgrade(), by_http=True)

    async def silently(self, parts: Iterable[Part], expected: Answer) -> Answer:
        tongue = WebSocketTongue(answers=False)
        return await self._exchange(self.websocket, parts, expected, tongue=tongue, first=upgrade(), by_http=True)

    async def as_frame(self, parts: Iterable[Part], expected: Answer) -> Answer:
        packed = [WebSocketTongue().packed(part) for part in parts if isinstance(part, bytes)]
        return await self.by_websocket(packed, expected)

    async def at_tcp(self, parts: Iterable[Part], expected: Answer) -> Answer:
        return await self._exchange(self.tcp, parts, expected, tongue=LengthTongue())

    async def by_tcp(self, parts: Iterable[Part], expected: Answer) -> Answer:
        return await self._exchange(self.tcp, parts, expected, tongue=LengthTongue(), first=hello(client=self.name()))

    async def silently_by_tcp(self, parts: Iterable[Part], expected: Answer) -> Answer:
        tongue = LengthTongue(answers=False)
        return await self._exchange(self.tcp, parts, expected, tongue=tongue, first=hello(client=self.name()))

    async def as_tcp_frame(self, parts: Iterable[Part], expected: Answer) -> Answer:
        packed = [LengthTongue().packed(part) for part in parts if isinstance(part, bytes)]
        return await self.by_tcp(packed, expected)

    async def at_lines(self, parts: Iterable[Part], expected: Answer) -> Answer:
        return await self._exchange(self.lines, parts, expected, tongue=LineTongue())

    async def by_lines(self, parts: Iterable[Part], expected: Answer) -> Answer:
        first = b'{"client":"%b"}\n' % self.name().encode()
        return await self._exchange(self.lines, parts, expected, tongue=LineTongue(), first=first)

    async def as_line(self, parts: Iterable[Part], expected: Answer) -> Answer:
        return await self.by_lines([_one(parts) + b"\n"], expected)

    async def at_http(self, parts: Iterable[Part], expected: Answer) -> Answer:
        return await self._exchange(self.http, parts, expected, tongue=WebSocketTongue(), by_http=True)

    async def by_post(self, parts: Iterable[Part], expected: Answer) -> Answer:
        body = b"".join(part for part in parts if isinstance(part, bytes))
        head = request(b"POST", b"/client/send", b"Gobroke-Session: {place}", b"Content-Length: %d" % len(body))
        return await self.at_http([head, body], expected)

    async def at_tls(self, parts: Iterable[Part], expected: Answer) -> Answer:
        return await _hear_nothing(self.tls, parts)

    async def at_wss(self, parts: Iterable[Part], expected: Answer) -> Answer:
        return await _hear_nothing(self.wss, parts)

    async def with_token(self, parts: Iterable[Part], expected: Answer) -> Answer:
        return await self.upgrade([upgrade(more=b"Authorization: Bearer %b\r\n" % _one(parts))], expected)

    async def with_token_in_hello(self, parts: Iterable[Part], expected: Answer) -> Answer:
        return await self.at_tcp([hello(token=_one(parts).decode())], expected)

    async def with_token_and_poll(self, parts: Iterable[Part], expected: Answer) -> Answer:
        return await self.at_http([request(b"GET", b"/client/poll", b"Authorization: Bearer " + _one(parts))], expected)

    async def by_a_crowd(self, parts: Iterable[Part], expected: Answer) -> Answer:
        """More of them than one address may have: the answer is that to the last of those that were not let in."""
        sent = list(parts)
        crowd: list[Wire] = []

        async def come() -> Answer | None:
            crowd.append(wire := await Wire.open(self.websocket, _CROWD_ADDRESS))
            await wire.send(sent)
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                status, _, _ = await reply(wire)
                return Answer("http", status) if status != 101 else None
            return CUT

        try:
            answers: list[Answer | None] = []
            for _ in range(_CROWD // _TOGETHER):
                answers += await asyncio.gather(*(come() for _ in range(_TOGETHER)))
        finally:
            for wire in crowd:
                wire.cut()
        return next((answer for answer in reversed(answers) if answer is not None), SERVED)


async def _hear_nothing(port: int, parts: Iterable[Part]) -> Answer:
    """What speaks TLS has nothing to say in clear text but an alert, which is not looked at."""
    wire = await Wire.open(port)
    try:
        await wire.send(parts)
        with suppress(ConnectionError):
            await wire.reader.read()
        return CUT
    finally:
        wire.cut()


def _one(parts: Iterable[Part]) -> bytes:
    return b"".join(part for part in parts if isinstance(part, bytes))


_WAYS: dict[Way, Callable[[Town, Iterable[Part], Answer], Awaitable[Answer]]] = {
    Way.UPGRADE: Town.upgrade,
    Way.WEBSOCKET: Town.by_websocket,
    Way.SILENT: Town.silently,
    Way.FRAME: Town.as_frame,
    Way.TCP_FIRST: Town.at_tcp,
    Way.TCP: Town.by_tcp,
    Way.TCP_SILENT: Town.silently_by_tcp,
    Way.TCP_FRAME: Town.as_tcp_frame,
    Way.LINES_FIRST: Town.at_lines,
    Way.LINES: Town.by_lines,
    Way.LINE_FRAME: Town.as_line,
    Way.HTTP: Town.at_http,
    Way.POST: Town.by_post,
    Way.TLS: Town.at_tls,
    Way.WSS: Town.at_wss,
    Way.TOKEN: Town.with_token,
    Way.TOKEN_HELLO: Town.with_token_in_hello,
    Way.TOKEN_POLL: Town.with_token_and_poll,
    Way.CROWD: Town.by_a_crowd,
}
