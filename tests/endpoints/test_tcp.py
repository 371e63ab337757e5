"""A TCP endpoint over real sockets: what the conformance suite does not cover."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import endpoints.link as link_module
from endpoints import LengthPrefix, Lines, TCPEndpoint
from endpoints.hello import MAX_HELLO
from endpoints.tcp_stream import READ_AHEAD
from gobroke_dist.errors import CouldNotCreateServer, RedisUnavailable
from gobroke_dist.message import Message
from gobroke_dist.session import CloseCode, Session, SessionState
from gobroke_dist.wire.frame import RawProtocol
from tests.endpoints.fake import FakeGateway, on_a_fake_node
from tests.endpoints.tcp_client import Framing, TCPClient
from tests.endpoints.ways import Identity
from tests.eventually import eventually

HELLO = {"client": "ann"}


class Edge:
    """An endpoint that runs, and ways to reach it."""

    def __init__(self, gateway: FakeGateway, endpoint: TCPEndpoint, stack: AsyncExitStack) -> None:
        self.gateway = gateway
        self.endpoint = endpoint
        self._stack = stack

    @property
    def port(self) -> int:
        return int(self.endpoint.addresses[0].rsplit(":", 1)[1])

    async def open(self) -> TCPClient:
        """A connection on which nothing was said yet."""
        framing: Framing = "lines" if isinstance(self.endpoint.framing, Lines) else "length"
        client = await TCPClient.open(self.endpoint.addresses[0], framing)
        self._stack.callback(client.abort)
        return client

    async def connect(self) -> tuple[TCPClient, Session]:
        """Ann, and her session."""
        client = await self.open()
        client.send(HELLO)
        if not isinstance(self.endpoint.protocol, RawProtocol):
            assert (await client.receive() or {})["type"] == "welcome"
        session = await eventually(lambda: self.gateway.hub.get("ann"))
        assert isinstance(session, Session)
        return client, session


Start = Callable[..., Awaitable[Edge]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start an endpoint on a fake node; it is stopped after the test."""
    async with AsyncExitStack() as stack:

        async def make(settings: dict[str, Any] | None = None, **options: Any) -> Edge:
            endpoint = TCPEndpoint(port=0, **options)
            gateway = await on_a_fake_node(endpoint, stack, settings)
            return Edge(gateway, endpoint, stack)

        yield make


# --- coming in ---------------------------------------------------------------


async def test_e1_everything_may_come_in_one_write_and_end_with_it(start: Start) -> None:
    """As from a program that pipes its frames in; what answers them still reaches it."""
    edge = await start(framing=Lines())
    client = await edge.open()
    client.writer.write(b'{"client":"ann"}\r\n{"to_logic":"x","data":1}\r\n{"to_logic":"nobody","data":2}\r\n')
    client.writer.write_eof()
    assert [(await client.receive() or {})["type"] for _ in range(3)] == ["welcome", "error", "closed"]
    assert await client.receive() is None
    assert edge.gateway.payloads == [b"1", b"2"]
    await eventually(lambda: [one.close_code for one in edge.gateway.disconnected] == [CloseCode.GOING_AWAY])


async def test_e1_frames_that_arrive_byte_by_byte_are_the_same_frames(start: Start) -> None:
    edge = await start()
    client = await edge.open()
    frames = (b'{"client":"ann"}', b'{"to_logic":"x","data":1}', b"", b'{"to_logic":"x","data":2}')
    for byte in b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames):
        client.writer.write(bytes((byte,)))
        await asyncio.sleep(0)
    await eventually(lambda: edge.gateway.payloads == [b"1", b"2"])


async def test_e1_raw_frames_may_hold_anything(start: Start) -> None:
    edge = await start(protocol=RawProtocol("echo"))
    client, session = await edge.connect()
    client.send(b"\xff\n\0" * 100)
    await eventually(lambda: edge.gateway.payloads == [b"\xff\n\0" * 100])
    edge.gateway.hub.deliver(Message(message_raw=b"\xfe\n"), ["ann"])
    assert await client.read() == b"\xfe\n"
    session.close(CloseCode.REMOVED)
    assert await client.read() is None  # raw frames have no words for it


def test_e1_lines_cannot_carry_raw_frames() -> None:
    with pytest.raises(ValueError, match=r"'raw'.*LengthPrefix"):
        TCPEndpoint(framing=Lines(), protocol=RawProtocol("echo"))


@pytest.mark.parametrize(
    ("framing", "sent", "code"),
    [
        (LengthPrefix(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", CloseCode.TOO_BIG),
        (LengthPrefix(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", CloseCode.TOO_BIG),  # TLS
        (LengthPrefix(), (MAX_HELLO + 1).to_bytes(4, "big"), CloseCode.TOO_BIG),
        (LengthPrefix(), b"\0\0\0\2[]", CloseCode.PROTOCOL_ERROR),
        (LengthPrefix(), b'\0\0\0\x10{"client":"a b"}', CloseCode.PROTOCOL_ERROR),
        (Lines(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", CloseCode.PROTOCOL_ERROR),
        (Lines(), b"x" * (MAX_HELLO + 2), CloseCode.TOO_BIG),
        (Lines(), b"\xff\n", CloseCode.PROTOCOL_ERROR),
        (Lines(), b'{"to_logic":["x"],"data":1}\n', CloseCode.PROTOCOL_ERROR),
    ],
)
async def test_e8_a_stranger_who_does_not_say_hello_is_told_so(
    start: Start, framing: LengthPrefix | Lines, sent: bytes, code: CloseCode
) -> None:
    """Each has its code, although more of it may be unread; and nobody was ever registered."""
    edge = await start(framing=framing)
    client = await edge.open()
    client.writer.write(sent + b"more" * 1000)
    assert await client.closed() == code
    await eventually(lambda: edge.gateway.disconnected)
    assert len(edge.gateway.hub) == 0


@pytest.mark.parametrize("sent", [b"", b"\0\0\0", b"\0\0\0\0", b'\0\0\0\x10{"client"'])
async def test_e3_who_says_no_hello_in_time_is_cut_and_counted(start: Start, sent: bytes) -> None:
    edge = await start({"handshake_timeout": 0.2})
    client = await edge.open()
    client.writer.write(sent)
    assert await client.closed(within=2) is None
    await eventually(lambda: edge.gateway.metrics.drops["handshake_timeout"] == 1)


async def test_e3_who_is_one_too_many_is_told_so_and_leaves_no_trace(start: Start) -> None:
    edge = await start({"max_connections": 1})
    client, _ = await edge.connect()
    other = await edge.open()
    other.send({})
    assert await other.closed() == CloseCode.TOO_MANY
    assert edge.gateway.metrics.drops["node_full"] == 1
    client.send({"close": 1000})
    await client.closed()
    await eventually(lambda: edge.gateway.door.inside == 0)
    await edge.connect()


async def test_who_only_looks_whether_the_port_is_open_makes_no_session(start: Start) -> None:
    """As a load balancer does, every second."""
    edge = await start()
    for _ in range(3):
        client = await edge.open()
        client.writer.close()
        assert await client.read() is None
    await eventually(lambda: not edge.endpoint._server._serving)  # type: ignore[union-attr]
    assert edge.gateway.disconnected == []


@pytest.mark.parametrize(
    ("error", "code"),
    [(RedisUnavailable("no answer"), CloseCode.UNAVAILABLE), (ValueError("a bug"), CloseCode.INTERNAL_ERROR)],
)
async def test_e5_a_connection_that_cannot_be_registered_says_why(
    start: Start, error: Exception, code: CloseCode
) -> None:
    edge = await start()
    edge.gateway.refuse = error
    client = await edge.open()
    client.send(HELLO)
    assert await client.closed() == code
    await eventually(lambda: len(edge.gateway.disconnected) == 1)


# --- being heard -------------------------------------------------------------


async def test_what_came_before_the_connection_broke_is_processed(start: Start) -> None:
    edge = await start()
    client, session = await edge.connect()
    edge.gateway.hold.clear()
    for n in range(5):
        client.send({"to_logic": "x", "data": n})
    await client.writer.drain()
    linger = struct.pack("ii", 1, 0)  # its end is a reset
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    await eventually(lambda: edge.gateway.waiting)
    client.writer.close()
    await eventually(lambda: session.state is SessionState.CLOSED)
    assert edge.gateway.received == []
    edge.gateway.hold.set()
    await eventually(lambda: edge.gateway.disconnected)
    assert edge.gateway.payloads == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("abort", [True, False])
async def test_what_takes_too_long_to_process_is_given_up(
    start: Start, monkeypatch: pytest.MonkeyPatch, *, abort: bool
) -> None:
    monkeypatch.setattr(link_module, "FINISH_TIMEOUT", 0.1)
    edge = await start()
    client, _ = await edge.connect()
    edge.gateway.hold.clear()
    client.send({"to_logic": "x", "data": 1})
    await eventually(lambda: edge.gateway.waiting)
    client.abort() if abort else client.writer.write_eof()
    await eventually(lambda: edge.gateway.disconnected, within=2)
    assert edge.gateway.received == []


async def test_e3_a_node_that_is_busy_reads_no_further(start: Start) -> None:
    """What a client sends faster than it is processed waits with the client, beyond a bounded rest; nothing is lost."""
    edge = await start()
    client, _ = await edge.connect()
    edge.gateway.hold.clear()
    frame = {"to_logic": "x", "data": "x" * 10_000}
    sent = 0
    while sent < 5000:  # until the sockets' own buffers are full, too
        client.send(frame)
        sent += 1
        try:
            await asyncio.wait_for(client.writer.drain(), 0.3)
        except TimeoutError:
            break
    assert sent < 5000
    (stream,) = edge.endpoint._server._serving.values()  # type: ignore[union-attr]
    assert stream.reader.waiting <= READ_AHEAD + 256 * 1024  # what one read may bring
    edge.gateway.hold.set()
    await eventually(lambda: len(edge.gateway.received) == sent, within=10)


async def test_r8_a_frame_that_fails_inside_closes_its_own_connection_only(start: Start) -> None:
    edge = await start()
    client, _ = await edge.connect()
    other = await edge.open()
    other.send({})
    await other.receive()
    edge.gateway.fail = ValueError("a bug")
    client.send({})
    assert await client.closed() == CloseCode.INTERNAL_ERROR
    edge.gateway.fail = None
    other.send({"to_logic": "x", "data": 1})
    await eventually(lambda: edge.gateway.payloads == [b"1"])


async def test_e8_a_client_that_floods_with_empty_frames_does_not_stop_the_loop(start: Start) -> None:
    edge = await start(framing=Lines())
    client, _ = await edge.connect()
    client.writer.write(b"\n" * 500_000 + b'{"to_logic":"x","data":1}\n')
    turns = 0
    while not edge.gateway.received:
        await asyncio.sleep(0)
        turns += 1
    assert turns > 500_000 / 100


async def test_e8_a_peer_that_is_gone_before_the_goodbye_is_no_error(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has reset the connection, and the loop does not know that yet when the session is closed."""
    edge = await start(framing=Lines())
    client, session = await edge.connect()

    def not_connected(_: object) -> None:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr("asyncio.selector_events._SelectorSocketTransport.write_eof", not_connected)
    session.close(CloseCode.REMOVED)
    assert (await client.receive() or {})["type"] == "closed"
    client.abort()
    await eventually(lambda: edge.gateway.disconnected)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


# --- signs of life -----------------------------------------------------------


async def test_e6_each_side_hears_the_other_at_least_once_in_an_interval(start: Start) -> None:
    """A client that says enough is asked nothing by a node that says enough; else there are empty frames."""
    edge = await start({"ping_interval": 0.2, "ping_timeout": 0.2})
    client, session = await edge.connect()
    for n in range(10):  # for longer than both together, it talks and gets no answer
        client.send({"to_logic": "x", "data": n})
        try:
            async with asyncio.timeout(0.06):
                while await client.read() == b"":
                    client.pings += 1
                    client.send(b"")
        except TimeoutError:
            pass
    assert client.pings >= 2
    assert session.state is SessionState.OPEN


async def test_e6_back_pressure_is_not_taken_for_silence(start: Start) -> None:
    edge = await start({"ping_interval": 0.05, "ping_timeout": 0.05})
    client, session = await edge.connect()
    edge.gateway.hold.clear()
    client.send({"to_logic": "x", "data": 1})
    await asyncio.sleep(0.4)  # longer than ping_interval and ping_timeout together
    assert session.state is SessionState.OPEN
    edge.gateway.hold.set()
    await eventually(lambda: edge.gateway.payloads == [b"1"])


# --- the end -----------------------------------------------------------------


@pytest.mark.parametrize(("said", "code"), [(1000, CloseCode.NORMAL), (1001, CloseCode.GOING_AWAY)])
async def test_e5_a_client_says_goodbye_and_is_answered(start: Start, said: int, code: CloseCode) -> None:
    edge = await start()
    client, session = await edge.connect()
    edge.gateway.hub.deliver(Message(message_raw=b"1"), ["ann"])
    client.send({"close": said})
    client.send({"to_logic": "x", "data": "too late"})
    assert (await client.receive() or {})["data"] == 1
    assert await client.closed() == code
    await eventually(lambda: edge.gateway.disconnected == [session])
    assert (session.close_code, edge.gateway.received) == (code, [])


@pytest.mark.parametrize("frame", [{"close": 4500}, {"close": "1000"}, {"close": 1000, "x": 1}])
async def test_e8_what_is_no_goodbye_is_a_bad_frame(start: Start, frame: dict[str, Any]) -> None:
    edge = await start()
    client, _ = await edge.connect()
    client.send(frame)
    assert (await client.receive() or {})["code"] == "frame_invalid"


async def test_e5_the_goodbye_arrives_although_the_client_never_stops_sending(start: Start) -> None:
    """A socket that is closed while something on it is unread would be reset, and take the last frame with it."""
    edge = await start()
    client, session = await edge.connect()
    for n in range(2000):
        client.send({"to_logic": "x", "data": n})
    await client.writer.drain()
    edge.gateway.hold.clear()
    session.close(CloseCode.REMOVED)
    for n in range(2000):
        client.send({"to_logic": "x", "data": n})
    edge.gateway.hold.set()
    assert await client.closed() == CloseCode.REMOVED


async def test_a_peer_that_ignores_the_close_is_cut(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "CLOSE_TIMEOUT", 0.2)
    edge = await start()
    _client, session = await edge.connect()
    session.close(CloseCode.REMOVED)
    await asyncio.wait_for(edge.endpoint.close(session), 2)
    await eventually(lambda: edge.gateway.disconnected == [session])


async def test_e5_stopping_tells_those_as_well_who_have_not_said_hello(start: Start) -> None:
    edge = await start()
    client = await edge.open()
    await eventually(lambda: edge.endpoint._server._serving)  # type: ignore[union-attr]
    stopping = asyncio.create_task(edge.endpoint.stop())
    assert await client.closed() == CloseCode.GOING_AWAY
    await asyncio.wait_for(stopping, 5)
    with pytest.raises(OSError, match="onnect"):
        await asyncio.open_connection("127.0.0.1", edge.port)
    await edge.endpoint.stop()


# --- where it listens ----------------------------------------------------------


async def test_a_port_in_use_says_which_and_what_to_do(start: Start) -> None:
    edge = await start()
    with pytest.raises(CouldNotCreateServer, match=rf"127\.0\.0\.1:{edge.port}: another process.*GOBROKE_PORT"):
        await TCPEndpoint(port=edge.port).start(FakeGateway())


async def test_settings_replace_host_and_port() -> None:
    endpoint = TCPEndpoint(host="203.0.113.7", port=1)
    await endpoint.start(FakeGateway(host="127.0.0.1", port=0))
    assert endpoint.addresses[0].startswith("tcp://127.0.0.1:")
    await endpoint.stop()


async def test_e1_over_tls_nothing_is_in_the_clear(tmp_path: Path) -> None:
    endpoint = TCPEndpoint(port=0)
    await endpoint.start(FakeGateway(**Identity(tmp_path).settings))
    assert endpoint.addresses[0].startswith("tls://")
    plain = await TCPClient.open(endpoint.addresses[0].replace("tls:", "tcp:"))
    plain.send(HELLO)
    assert await plain.closed() is None
    with pytest.raises(ssl.SSLCertVerificationError):  # only who knows the authority believes it
        await TCPClient.open(endpoint.addresses[0], tls=ssl.create_default_context())
    await endpoint.stop()
