"""Each limit over real sockets, and a client that is served right after (contract E3)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from endpoints import WebSocketEndpoint
from gobroke_dist import Broke, CloseCode, CouldNotCreateServer, LogicBase, Message, Settings
from gobroke_dist.access.limits import LIMITS
from gobroke_dist.node import Node
from gobroke_dist.ops.limits import API_LIMITS
from gobroke_dist.roles import edge as edge_role
from tests.eventually import eventually


class Echo(LogicBase):
    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))


class Place:
    """An edge with a WebSocket endpoint, and ways to reach it."""

    def __init__(self, broke: Broke, node: Node, http: aiohttp.ClientSession) -> None:
        self.broke = broke
        self.node = node
        self.http = http
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []

    @property
    def url(self) -> str:
        return self.node.addresses[0]

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].split("/")[0])

    def counted(self, where: str) -> int:
        kind, name = where.split(".")
        return int(getattr(self.node.runtime.metrics, kind)[name])

    async def welcome(self, query: str = "", **options: Any) -> aiohttp.ClientWebSocketResponse:
        socket = await self.http.ws_connect(self.url + query, **options)
        self._sockets.append(socket)
        assert (await socket.receive_json(timeout=5))["type"] == "welcome"
        return socket

    async def close(self) -> None:
        """All clients leave."""
        for socket in self._sockets:
            await socket.close()

    async def refused(self, **options: Any) -> aiohttp.WSServerHandshakeError:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await self.http.ws_connect(self.url, **options)
        assert int((caught.value.headers or {})["Retry-After"]) >= 0
        return caught.value

    async def serves(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.send_json({"to_logic": "echo", "data": "hello"})
        assert (await socket.receive_json(timeout=5))["data"] == "hello"


async def closed_with(socket: aiohttp.ClientWebSocketResponse, within: float = 5) -> int | None:
    while (await socket.receive(timeout=within)).type is not aiohttp.WSMsgType.CLOSE:
        pass
    return socket.close_code


Start = Callable[..., Awaitable[Place]]


@pytest.fixture
async def start(redis_url: str, prefix: str) -> AsyncIterator[Start]:
    """Start an edge with these settings."""
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Place:
            made = Settings(redis_url=redis_url, prefix=prefix, drain_timeout=5, **settings)
            broke = Broke(WebSocketEndpoint(port=0), settings=made)
            broke.add_logic(Echo())
            node = await stack.enter_async_context(edge_role(broke))
            place = Place(broke, node, await stack.enter_async_context(aiohttp.ClientSession()))
            stack.push_async_callback(place.close)
            return place

        yield make


async def test_e3_a_full_node_says_so_and_stays_healthy(start: Start) -> None:
    place = await start(max_connections=2)
    first, second = await place.welcome(), await place.welcome()
    assert (await place.refused()).status == 503
    assert place.counted("drops.node_full") == 1
    async with place.http.get(f"http://127.0.0.1:{place.port}/readyz") as health:
        assert health.status == 200
    await first.close()
    await eventually(lambda: place.node.door.inside == 1)
    await place.serves(await place.welcome())
    await place.serves(second)


async def test_e3_a_full_address_says_so_and_others_behind_the_same_proxy_come_in(start: Start) -> None:
    place = await start(max_connections_per_address=2, trusted_proxies="127.0.0.0/8")
    here = {"headers": {"X-Forwarded-For": "192.0.2.1, 203.0.113.7"}}
    sockets = [await place.welcome(**here) for _ in range(2)]
    assert (await place.refused(**here)).status == 429
    assert (await place.refused(headers={"X-Forwarded-For": "198.51.100.9, 203.0.113.7"})).status == 429
    assert place.counted("drops.address_full") == 2
    await place.serves(await place.welcome(headers={"X-Forwarded-For": "203.0.113.8"}))
    await sockets[0].close()
    await eventually(lambda: place.node.door.by_site["203.0.113.7"] == 1)
    await place.serves(await place.welcome(**here))


async def test_e3_nobody_else_is_believed_about_where_a_client_comes_from(start: Start) -> None:
    place = await start(max_connections_per_address=1)
    socket = await place.welcome()
    assert (await place.refused(headers={"X-Forwarded-For": "203.0.113.8"})).status == 429
    await place.serves(socket)


async def test_e3_who_connects_too_fast_is_let_in_a_little_later(start: Start) -> None:
    place = await start(max_connects=5, connect_burst=3)
    sockets = [await place.welcome() for _ in range(3)]
    refusal = await place.refused()
    assert (refusal.status, (refusal.headers or {})["Retry-After"]) == (503, "1")
    assert place.counted("drops.connecting_too_fast") == 1

    async def in_again() -> aiohttp.ClientWebSocketResponse | None:
        try:
            return await place.welcome()
        except aiohttp.WSServerHandshakeError:
            return None

    await place.serves(await eventually(in_again))
    for socket in sockets:
        await place.serves(socket)


async def test_e3_sockets_that_say_nothing_are_cut_in_time_and_bounded_until_then(start: Start) -> None:
    place = await start(handshake_timeout=0.5, max_connections_per_address=3)
    silent = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(3)]
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    assert await _ends(reader)
    assert place.counted("drops.address_full") == 1
    assert place.counted("drops.handshake_timeout") == 0
    for half, _ in silent:
        assert await _ends(half)
    assert place.counted("drops.handshake_timeout") == 3
    await place.serves(await place.welcome())
    for opened in (writer, *(other for _, other in silent)):
        opened.close()


async def _ends(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), 5) == b""
    except ConnectionResetError:
        return True


async def test_e3_a_drop_at_a_time_is_no_handshake(start: Start) -> None:
    """Each byte comes in time, and the whole does not."""
    place = await start(handshake_timeout=0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    ended = asyncio.create_task(_ends(reader))
    for byte in b"GET /ws HTTP/1.1\r\n" + b"X: 1\r\n" * 100:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.01)
        if ended.done():
            break
    assert await ended
    assert place.counted("drops.handshake_timeout") == 1
    writer.close()
    await place.serves(await place.welcome())


async def test_e3_a_message_too_fast_is_refused_by_name_and_the_next_in_time_is_taken(start: Start) -> None:
    place = await start(max_messages=20, message_burst=5)
    socket = await place.welcome()
    for number in range(8):
        await socket.send_json({"to_logic": "echo", "data": number, "uuid": f"m{number}"})
    answers = [await socket.receive_json(timeout=5) for _ in range(8)]
    refused = [answer for answer in answers if answer["type"] == "error"]
    echoed = [answer["data"] for answer in answers if answer["type"] == "message"]
    assert {answer["code"] for answer in refused} == {"rate_limited"}
    assert sorted([*(f"m{n}" for n in echoed), *(answer["uuid"] for answer in refused)]) == [f"m{n}" for n in range(8)]
    assert 1 <= len(refused) <= 3
    assert place.counted("drops.rate_limited") == len(refused)

    async def taken() -> bool:
        await asyncio.sleep(0.1)  # twice the time that a message needs
        await socket.send_json({"to_logic": "echo", "data": "again"})
        return (await socket.receive_json(timeout=5))["type"] == "message"

    await eventually(taken)


@pytest.mark.parametrize(
    "frame", ['{"to_logic":"echo","data":1}', "no json", '{"token":"a.b.c"}', '{"reply":"x","data":1}']
)
async def test_e3_who_goes_on_too_fast_is_closed_and_nobody_else_notices(start: Start, frame: str) -> None:
    """Whatever its frames are."""
    place = await start(max_messages=20, message_burst=10)
    flooding, other = await place.welcome(), await place.welcome()
    for _ in range(200):
        if not flooding.closed:
            await flooding.send_str(frame)
    assert await closed_with(flooding) == CloseCode.TOO_FAST
    await eventually(lambda: place.counted("counts.closed_too_fast") == 1)
    assert 11 <= place.counted("drops.rate_limited") <= 14
    await place.serves(other)
    await place.serves(await place.welcome())


async def test_e3_a_message_that_is_too_large_closes_its_sender(start: Start) -> None:
    place = await start(max_frame=1000)
    socket = await place.welcome()
    await socket.send_str("x" * 1001)
    assert await closed_with(socket) == CloseCode.TOO_BIG
    await eventually(lambda: place.counted("counts.closed_too_big") == 1)
    await place.serves(await place.welcome())


async def test_e3_compression_is_not_agreed_to_so_nothing_grows_when_it_is_unpacked(start: Start) -> None:
    place = await start(max_frame=1000)
    socket = await place.welcome(compress=15)
    assert not socket.compress
    await place.serves(socket)


async def test_e3_who_is_idle_is_closed_and_who_only_listens_is_not_idle(start: Start) -> None:
    place = await start(idle_timeout=0.6)
    idle, listening = await place.welcome("?client=idle"), await place.welcome("?client=listening")
    closing = asyncio.create_task(closed_with(idle))
    sender = place.node.runtime.operations
    for _ in range(8):
        await sender.send_message(Message(to_client="listening", message_raw=b"1"))
        assert (await listening.receive_json(timeout=5))["data"] == 1
        await asyncio.sleep(0.15)  # time that passes is what the limit is about
    assert await asyncio.wait_for(closing, 1) == CloseCode.IDLE
    await eventually(lambda: place.counted("counts.closed_idle") == 1)
    await place.serves(listening)


# --- TLS ---------------------------------------------------------------------


async def test_e2_tls_with_a_certificate(start: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    place = await start(tls_certificate=certificate, tls_key=key)
    assert place.url.startswith("wss://")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    socket = await place.welcome(ssl=trusting)
    await place.serves(socket)
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await place.http.ws_connect(place.url)
    with pytest.raises(aiohttp.ClientError):
        await place.http.ws_connect(place.url.replace("wss:", "ws:"))
    old = ssl.create_default_context()
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    await place.serves(await place.welcome(ssl=old))
    await place.serves(socket)


@pytest.mark.parametrize("given", ["certificate", "key", "nonsense"])
async def test_e2_tls_that_cannot_work_is_said_at_the_start(start: Start, tmp_path: Path, given: str) -> None:
    path = tmp_path / "some.pem"
    path.write_text("nonsense")
    files = {"certificate": {"tls_certificate": path}, "key": {"tls_key": path}}
    with pytest.raises(CouldNotCreateServer, match="TLS"):
        await start(**files.get(given, {"tls_certificate": path, "tls_key": path}))


# --- the table ---------------------------------------------------------------


def test_e3_e5_the_table_names_settings_that_are_on() -> None:
    """Every limit has a metric, a consequence, and a default that limits."""
    for limit in (*LIMITS, *API_LIMITS):
        assert limit.code or limit.http or limit.error or limit.answer == "the socket is cut"
        assert limit.metric.startswith(("drops.", "counts.closed_"))
        for name in limit.settings:
            default = Settings.model_fields[name].default
            assert default == "disconnect" if name == "slow_consumers" else default > 0
