"""A WebSocket endpoint over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

import endpoints.link as link_module
from endpoints.websocket import WebSocketEndpoint
from gobroke_dist.errors import CouldNotCreateServer, RedisUnavailable
from gobroke_dist.message import Message
from gobroke_dist.session import CloseCode, Session, SessionState
from gobroke_dist.wire.frame import RawProtocol
from tests.endpoints.fake import FakeGateway, on_a_fake_node
from tests.endpoints.test_guard import FINAL, TEXT, frame
from tests.eventually import eventually

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Edge:
    """An endpoint that runs, and ways to reach it."""

    def __init__(self, gateway: FakeGateway, endpoint: WebSocketEndpoint, http: ClientSession) -> None:
        self.gateway = gateway
        self.endpoint = endpoint
        self.http = http

    @property
    def url(self) -> str:
        return self.endpoint.addresses[0]

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].split("/")[0])

    async def session(self, uuid: str) -> Session:
        session = await eventually(lambda: self.gateway.hub.get(uuid))
        assert session is not None
        return session

    async def connect(self, query: str = "", **options: Any) -> ClientWebSocketResponse:
        made: ClientWebSocketResponse = await self.http.ws_connect(self.url + query, **options)
        if not isinstance(self.endpoint.protocol, RawProtocol):
            assert (await made.receive_json(timeout=5))["type"] == "welcome"
        return made

    async def raw(self, path: str = "/ws") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(UPGRADE.format(path=path).encode())
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        return reader, writer

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.http.get(url, headers=headers) as answer:
            return answer.status, await answer.text()


Start = Callable[..., Awaitable[Edge]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start an endpoint on a fake node; it is stopped after the test."""
    async with AsyncExitStack() as stack:

        async def make(settings: dict[str, Any] | None = None, **options: Any) -> Edge:
            endpoint = WebSocketEndpoint(port=0, **options)
            gateway = await on_a_fake_node(endpoint, stack, settings)
            http = await stack.enter_async_context(ClientSession())
            return Edge(gateway, endpoint, http)

        yield make


async def closed_with(client: ClientWebSocketResponse, within: float = 5) -> int | None:
    """The close code that a client gets, past any frames before it."""
    while (await client.receive(timeout=within)).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR):
        pass
    return client.close_code


async def close_frame(reader: asyncio.StreamReader, within: float = 5) -> int:
    """The close code at the end of a stream of short frames."""
    async with asyncio.timeout(within):
        while True:
            opcode, size = await reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await reader.readexactly(2), "big")
            payload = await reader.readexactly(size)
            if opcode & 0xF == 0x8:
                return int.from_bytes(payload[:2], "big")


# --- what it is for ----------------------------------------------------------


async def test_a_client_is_welcomed_heard_and_answered(start: Start) -> None:
    edge = await start()
    client = await edge.http.ws_connect(edge.url + "?client=alice&room=kitchen")
    assert await client.receive_json() == {"type": "welcome", "client": "alice", "node": "n1"}
    await client.send_str('{"to_logic":"chat","data":{"n":1}}')
    await eventually(lambda: edge.gateway.payloads == [b'{"n":1}'])
    sender = edge.gateway.received[0].from_client
    assert sender is not None
    assert (sender.uuid, sender.metadata) == ("alice", {"room": "kitchen"})
    edge.gateway.hub.deliver(Message(message_raw=b'{"n":2}', from_logic="chat"), ["alice"])
    assert (await client.receive_json())["data"] == {"n": 2}
    await client.close()
    assert client.close_code == CloseCode.NORMAL
    await eventually(lambda: [session.close_code for session in edge.gateway.disconnected] == [CloseCode.NORMAL])


async def test_r5_frames_arrive_in_order_both_ways(start: Start) -> None:
    edge = await start()
    client = await edge.connect("?client=alice")
    for n in range(500):
        await client.send_str(f'{{"to_logic":"x","data":{n}}}')
    await eventually(lambda: edge.gateway.payloads == [b"%d" % n for n in range(500)])
    for n in range(500):
        edge.gateway.hub.deliver(Message(message_raw=b"%d" % n), ["alice"])
    assert [(await client.receive_json())["data"] for _ in range(500)] == list(range(500))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 900_000])
async def test_frames_of_every_length_pass_both_ways(start: Start, size: int) -> None:
    edge = await start(protocol=RawProtocol("echo"))
    client = await edge.connect("?client=alice", max_msg_size=0)
    await client.send_bytes(b"\xff" * size)
    await eventually(lambda: edge.gateway.payloads == [b"\xff" * size])
    edge.gateway.hub.deliver(Message(message_raw=b"\xfe" * size), ["alice"])
    assert await client.receive_bytes() == b"\xfe" * size


async def test_what_came_before_the_connection_broke_is_processed(start: Start) -> None:
    edge = await start()
    _reader, writer = await edge.raw("/ws?client=alice")
    session = await edge.session("alice")
    edge.gateway.hold.clear()
    writer.write(b"".join(frame(FINAL | TEXT, b'{"to_logic":"x","data":%d}' % n) for n in range(5)))
    writer.close()
    await eventually(lambda: session.state is SessionState.CLOSED)
    assert edge.gateway.received == []
    edge.gateway.hold.set()
    await eventually(lambda: edge.gateway.disconnected)
    assert edge.gateway.payloads == [b"0", b"1", b"2", b"3", b"4"]


async def test_e8_who_is_gone_before_its_handshake_is_answered_is_no_error(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """As whole crowds are when an edge was frozen: what they sent is there, and so is the news that they have left."""
    edge = await start()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", edge.port)) as made:  # nothing here lets the edge run meanwhile
            made.sendall(UPGRADE.format(path="/ws?client=ann").encode())
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    async with edge.http.get(edge.url.replace("ws:", "http:").replace("/ws", "/healthz")) as answer:
        assert answer.status == 200
    await eventually(lambda: len(edge.gateway.hub) == 0)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_what_takes_too_long_to_process_is_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "FINISH_TIMEOUT", 0.1)
    edge = await start()
    _reader, writer = await edge.raw()
    edge.gateway.hold.clear()
    writer.write(frame(FINAL | TEXT, b'{"to_logic":"x","data":1}'))
    writer.close()
    await eventually(lambda: edge.gateway.disconnected, within=2)
    assert edge.gateway.received == []


async def test_r6_an_error_comes_back_with_the_messages_uuid(start: Start) -> None:
    edge = await start()
    client = await edge.connect()
    await client.send_str('{"to_logic":"nobody","data":1,"uuid":"m1"}')
    error = await client.receive_json()
    assert (error["type"], error["code"], error["uuid"]) == ("error", "logic_does_not_exist", "m1")


async def test_one_broadcast_reaches_a_hundred_clients(start: Start) -> None:
    edge = await start()
    clients = [await edge.connect() for _ in range(100)]
    edge.gateway.hub.deliver_to_all(Message(message_raw=b'"hi"'))
    assert {(await client.receive_json())["data"] for client in clients} == {"hi"}


# --- around it ---------------------------------------------------------------


async def test_a2_health_and_readiness(start: Start) -> None:
    edge = await start()
    assert (await edge.get("/healthz"))[0] == 200
    assert (await edge.get("/readyz"))[0] == 200
    edge.gateway.ready = False
    assert (await edge.get("/healthz"))[0] == 200
    assert (await edge.get("/readyz"))[0] == 503
    async with edge.http.post(f"http://127.0.0.1:{edge.port}/healthz") as answer:
        assert answer.status == 405


async def test_pages_are_served_and_nothing_beside_them(start: Start, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    (pages / "sub").mkdir(parents=True)
    (pages / "index.html").write_text("start")
    (pages / "sub" / "index.html").write_text("below")
    (pages / "app.js").write_text("script")
    (pages / ".env").write_text("hidden")
    (tmp_path / "secret").write_text("secret")
    (pages / "link").symlink_to(tmp_path / "secret")
    edge = await start(pages=pages)
    assert [await edge.get(path) for path in ("/", "/sub/", "/app.js")] == [
        (200, "start"),
        (200, "below"),
        (200, "script"),
    ]
    for path in ("/nothing", "/.env", "/link", "/%2e%2e/secret", "/..%2fsecret", "/sub/..%5c..%5csecret", "/app.js/x"):
        assert (await edge.get(path))[0] == 404, path
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(b"GET /../secret HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 404 " in await reader.readline()
    writer.close()


async def test_without_pages_there_are_none(start: Start) -> None:
    assert (await (await start()).get("/"))[0] == 404


async def test_a_port_in_use_says_which_and_what_to_do(start: Start) -> None:
    edge = await start()
    with pytest.raises(CouldNotCreateServer, match=rf"127\.0\.0\.1:{edge.port}: another process.*GOBROKE_PORT"):
        await WebSocketEndpoint(port=edge.port).start(FakeGateway())
    with pytest.raises(CouldNotCreateServer, match="GOBROKE_HOST"):
        await WebSocketEndpoint(host="203.0.113.7").start(FakeGateway())


async def test_settings_replace_host_and_port() -> None:
    endpoint = WebSocketEndpoint(host="203.0.113.7", port=1)
    await endpoint.start(FakeGateway(host="127.0.0.1", port=0))
    assert endpoint.addresses[0].startswith("ws://127.0.0.1:")
    await endpoint.stop()


def test_importing_the_endpoints_does_not_import_aiohttp() -> None:
    code = "import sys, endpoints; endpoints.WebSocketEndpoint(); sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- who may not connect -----------------------------------------------------


async def test_e8_a_foreign_origin_is_refused_and_its_own_is_not(start: Start) -> None:
    edge = await start()
    with pytest.raises(WSServerHandshakeError) as caught:
        await edge.connect(origin="https://evil.example")
    assert caught.value.status == 403
    await edge.connect(origin=f"http://127.0.0.1:{edge.port}")


@pytest.mark.parametrize("query", ["?client=", "?client=a%20b", "?client=" + "x" * 129, "?client=a&client=b"])
async def test_e8_a_bad_uuid_is_refused_before_the_upgrade(start: Start, query: str) -> None:
    edge = await start()
    with pytest.raises(WSServerHandshakeError) as caught:
        await edge.connect(query)
    assert caught.value.status == 400


async def test_e8_a_plain_get_is_told_to_upgrade(start: Start) -> None:
    edge = await start()
    assert (await edge.get("/ws"))[0] == 426
    bad_key = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"}
    assert (await edge.get("/ws", **bad_key))[0] == 400


async def test_e3_e8_a_half_sent_handshake_is_cut(start: Start) -> None:
    edge = await start({"handshake_timeout": 0.2})
    for sent in (b"", b"GET /ws HT", UPGRADE.format(path="/ws").encode()[:-4]):
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    await eventually(lambda: edge.gateway.metrics.drops["handshake_timeout"] == 3)
    await edge.connect()


async def test_e5_the_second_connection_of_a_uuid_is_refused(start: Start) -> None:
    edge = await start()
    first = await edge.connect("?client=alice")
    second = await edge.http.ws_connect(edge.url + "?client=alice")
    assert await closed_with(second) == CloseCode.ALREADY_CONNECTED
    edge.gateway.hub.deliver(Message(message_raw=b"1"), ["alice"])
    assert (await first.receive_json())["data"] == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [(RedisUnavailable("no answer"), CloseCode.UNAVAILABLE), (ValueError("a bug"), CloseCode.INTERNAL_ERROR)],
)
async def test_e5_a_connection_that_cannot_be_registered_says_why(
    start: Start, error: Exception, code: CloseCode
) -> None:
    edge = await start()
    edge.gateway.refuse = error
    client = await edge.http.ws_connect(edge.url)
    assert await closed_with(client) == code
    await eventually(lambda: len(edge.gateway.disconnected) == 1)


# --- hostile frames ----------------------------------------------------------


async def test_e8_an_oversized_frame_is_closed_with_1009(start: Start) -> None:
    edge = await start({"max_frame": 1000})
    client = await edge.connect()
    await client.send_str('{"to_logic":"x","data":"' + "x" * 975 + '"}')
    await client.send_str("x" * 200_000)
    assert await closed_with(client) == CloseCode.TOO_BIG
    assert edge.gateway.received == []


async def test_the_largest_frame_passes(start: Start) -> None:
    edge = await start({"max_frame": 1000})
    client = await edge.connect()
    await client.send_str('{"to_logic":"x","data":"' + "x" * 974 + '"}')
    await eventually(lambda: edge.gateway.received)


async def test_e8_fragments_that_grow_too_large_are_closed_with_1009(start: Start) -> None:
    edge = await start({"max_frame": 1000})
    reader, writer = await edge.raw()
    writer.write(frame(TEXT, b"x" * 100) + frame(0, b"x" * 100) * 10)
    assert await close_frame(reader) == CloseCode.TOO_BIG
    writer.close()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(FINAL | TEXT, b"\xff\xfe"), CloseCode.INVALID_TEXT),
        (frame(FINAL | TEXT, b"{}", masked=False), CloseCode.PROTOCOL_ERROR),
        (frame(FINAL | 0x2, b"{}"), CloseCode.UNSUPPORTED_DATA),
        (frame(FINAL | 0x3, b"{}"), CloseCode.PROTOCOL_ERROR),
        (frame(FINAL | 0x40 | TEXT, b"{}"), CloseCode.PROTOCOL_ERROR),
        (frame(FINAL, b"{}"), CloseCode.PROTOCOL_ERROR),
        (frame(0x9, b"{}"), CloseCode.PROTOCOL_ERROR),
        (frame(FINAL | 0x9, b"x" * 126), CloseCode.PROTOCOL_ERROR),
        (frame(TEXT) + frame(0) * 5000, CloseCode.TOO_BIG),
        (frame(FINAL | 0x8, b"\x03\xee"), CloseCode.PROTOCOL_ERROR),  # 1006
        (frame(FINAL | 0x8, b"\x13\x88"), CloseCode.PROTOCOL_ERROR),  # 5000
        (frame(FINAL | 0x8, b"\x03"), CloseCode.PROTOCOL_ERROR),
        (frame(FINAL | 0x8, b"\x03\xe8\xff"), CloseCode.INVALID_TEXT),
        (frame(FINAL | 0x8, b"\x0b\xb8"), 3000),
        (frame(FINAL | 0x8), CloseCode.NORMAL),
    ],
)
async def test_e8_each_bad_frame_has_its_close_code(start: Start, sent: bytes, code: int) -> None:
    edge = await start()
    reader, writer = await edge.raw()
    writer.write(sent)
    assert await close_frame(reader) == code
    writer.close()
    await eventually(lambda: edge.gateway.disconnected)


async def test_e8_deep_json_gets_an_error_frame_and_the_connection_lives(start: Start) -> None:
    edge = await start()
    client = await edge.connect()
    for bad in ("[" * 100_000, "", '{"to_logic":"x","data":NaN}', '{"data":1}'):
        await client.send_str(bad)
        assert (await client.receive_json())["code"] == "frame_invalid"
    await client.send_str('{"to_logic":"x","data":1}')
    await eventually(lambda: edge.gateway.payloads == [b"1"])


async def test_e8_frames_after_a_close_are_ignored(start: Start) -> None:
    edge = await start()
    reader, writer = await edge.raw()
    good = frame(FINAL | TEXT, b'{"to_logic":"x","data":1}')
    writer.write(good + frame(FINAL | 0x8, b"\x03\xe8") + good)
    assert await close_frame(reader) == CloseCode.NORMAL
    assert await reader.read() == b""
    writer.close()
    await eventually(lambda: edge.gateway.disconnected)
    assert edge.gateway.payloads == [b"1"]


async def test_e8_frames_that_came_with_the_handshake_are_guarded_as_well(start: Start) -> None:
    edge = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(UPGRADE.format(path="/ws").encode() + frame(FINAL | TEXT, b"{}", masked=False))
    await reader.readuntil(b"\r\n\r\n")
    assert await close_frame(reader) == CloseCode.PROTOCOL_ERROR
    writer.close()


async def test_r8_a_frame_that_fails_inside_closes_its_own_connection_only(start: Start) -> None:
    edge = await start()
    one, other = await edge.connect(), await edge.connect()
    edge.gateway.fail = ValueError("a bug")
    await one.send_str("{}")
    assert await closed_with(one) == CloseCode.INTERNAL_ERROR
    edge.gateway.fail = None
    await other.send_str('{"to_logic":"x","data":1}')
    await eventually(lambda: edge.gateway.payloads == [b"1"])


# --- slow and dead peers -----------------------------------------------------


async def deaf(edge: Edge) -> socket.socket:
    """A client that never reads."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", edge.port))
    await loop.sock_sendall(sock, UPGRADE.format(path="/ws?client=deaf").encode())
    return sock


async def test_e4_a_client_that_never_reads_costs_only_itself(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "CLOSE_TIMEOUT", 0.3)
    edge = await start({"outbox_bytes": 100_000})
    others = [await edge.connect(compress=0, max_msg_size=0) for _ in range(100)]
    sock = await deaf(edge)
    session = await edge.session("deaf")
    payload = json.dumps("x" * 50_000).encode()
    rounds = 0
    while session.close_code is None:
        edge.gateway.hub.deliver_to_all(Message(message_raw=payload))
        rounds += 1
        for other in others:
            assert len((await other.receive(timeout=1)).data) > 50_000
        assert rounds < 200, "the slow client was never noticed"
    assert session.close_code is CloseCode.SLOW_CONSUMER
    assert session.pending == 0
    await eventually(lambda: session in edge.gateway.disconnected, within=2)
    assert len(edge.gateway.hub) == 100
    sock.close()


async def test_e6_a_silent_peer_is_closed_with_its_code(start: Start) -> None:
    edge = await start({"ping_interval": 0.1, "ping_timeout": 0.2})
    reader, writer = await edge.raw()
    assert await close_frame(reader, within=2) == CloseCode.PING_TIMEOUT
    await eventually(lambda: edge.gateway.disconnected)
    writer.close()


async def test_e6_a_peer_that_answers_pings_stays(start: Start) -> None:
    edge = await start({"ping_interval": 0.05, "ping_timeout": 0.05})
    client = await edge.connect("?client=alice")
    reading = asyncio.create_task(client.receive())
    await asyncio.sleep(0.4)  # several rounds of pings
    edge.gateway.hub.deliver(Message(message_raw=b"1"), ["alice"])
    assert json.loads((await reading).data)["data"] == 1


async def test_e6_back_pressure_is_not_taken_for_silence(start: Start) -> None:
    edge = await start({"ping_interval": 0.05, "ping_timeout": 0.05})
    _reader, writer = await edge.raw("/ws?client=alice")
    session = await edge.session("alice")
    edge.gateway.hold.clear()
    writer.write(frame(FINAL | TEXT, b'{"to_logic":"x","data":1}'))
    await asyncio.sleep(0.4)  # longer than ping_interval and ping_timeout together
    assert session.state is SessionState.OPEN
    edge.gateway.hold.set()
    await eventually(lambda: edge.gateway.payloads == [b"1"])
    writer.close()


async def test_a_cancelled_handler_unregisters_its_client(start: Start) -> None:
    edge = await start()
    await edge.connect("?client=alice")
    (handler,) = (task for task in asyncio.all_tasks() if "_handle_request" in repr(task.get_coro()))
    handler.cancel()
    await eventually(lambda: [session.client.uuid for session in edge.gateway.disconnected] == ["alice"])


async def test_a_ping_is_answered_with_its_payload(start: Start) -> None:
    edge = await start()
    client = await edge.connect(autoping=False)
    await client.ping(b"are you there")
    answer = await client.receive(timeout=5)
    assert (answer.type, answer.data) == (WSMsgType.PONG, b"are you there")


# --- the end -----------------------------------------------------------------


async def test_e5_a_removed_client_gets_what_is_queued_and_then_its_code(start: Start) -> None:
    edge = await start()
    client = await edge.connect("?client=alice")
    session = await edge.session("alice")
    edge.gateway.hub.deliver(Message(message_raw=b'"last words"'), ["alice"])
    session.close(CloseCode.REMOVED, "because " + "é" * 100)
    closing = asyncio.create_task(edge.endpoint.close(session))
    assert (await client.receive_json())["data"] == "last words"
    assert await closed_with(client) == CloseCode.REMOVED
    await asyncio.wait_for(closing, 5)


async def test_a_peer_that_ignores_the_close_is_cut(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "CLOSE_TIMEOUT", 0.2)
    edge = await start()
    _reader, writer = await edge.raw("/ws?client=alice")
    session = await edge.session("alice")
    session.close(CloseCode.REMOVED)
    await asyncio.wait_for(edge.endpoint.close(session), 2)
    await eventually(lambda: edge.gateway.disconnected == [session])
    writer.close()


async def test_e5_stopping_closes_everybody_with_1001(start: Start) -> None:
    edge = await start()
    clients = [await edge.connect() for _ in range(20)]
    stopping = asyncio.create_task(edge.endpoint.stop())
    assert {await closed_with(client) for client in clients} == {CloseCode.GOING_AWAY}
    await asyncio.wait_for(stopping, 5)
    assert len(edge.gateway.disconnected) == 20
    with pytest.raises(OSError, match="onnect"):
        await asyncio.open_connection("127.0.0.1", edge.port)
    await edge.endpoint.stop()
