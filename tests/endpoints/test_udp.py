"""A UDP endpoint over real sockets: what the conformance suite does not cover."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import re
import socket
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest

import endpoints.link as link_module
import endpoints.udp_guests as guests_module
from endpoints import UDPEndpoint
from endpoints.datagram import OVERHEAD
from endpoints.hello import MAX_HELLO
from endpoints.udp_connection import READ_AHEAD
from endpoints.udp_server import UDPServer
from gobroke_dist import Broke, LogicBase, Message, Settings
from gobroke_dist.errors import CouldNotCreateServer, RedisUnavailable
from gobroke_dist.roles import edge
from gobroke_dist.session import CloseCode, Session
from gobroke_dist.wire.frame import RawProtocol
from tests.endpoints.fake import FakeGateway, on_a_fake_node
from tests.endpoints.udp_client import ACCEPT, CHALLENGE, CLOSE, CONNECT, COOKIE, FRAME, HELLO, PROOF, UDPClient
from tests.eventually import eventually

HELLO_OF_ANN = {"client": "ann"}


class Probe:
    """A socket that knows all that answers a datagram: on one host, datagrams between two sockets keep their order."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((host, 0))
        self.socket.connect(("127.0.0.1", port))

    async def ask(self, *sent: bytes) -> list[bytes]:
        """All that these are answered by."""
        loop = asyncio.get_running_loop()
        for data in sent:
            await loop.sock_sendall(self.socket, data) if data else self.socket.send(b"")
        last = hello()
        await loop.sock_sendall(self.socket, last)
        answers = []
        async with asyncio.timeout(5):
            while (came := await loop.sock_recv(self.socket, 65_536))[:20] != start_of(COOKIE) + last[4:20]:
                answers.append(came)
        return answers


class Edge:
    """An endpoint that runs, and ways to reach it."""

    def __init__(self, gateway: FakeGateway, endpoint: UDPEndpoint, stack: AsyncExitStack) -> None:
        self.gateway = gateway
        self.endpoint = endpoint
        self.stack = stack

    @property
    def address(self) -> str:
        return self.endpoint.addresses[0]

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    @property
    def server(self) -> UDPServer:
        return cast(UDPServer, self.endpoint._server)

    @property
    def remembered(self) -> int:
        """How many it knows anything of."""
        guests = self.server._guests
        return len(guests._used) + len(guests._here) + len(guests._ended) + self.gateway.door._sockets

    def probe(self, host: str = "127.0.0.1") -> Probe:
        probe = Probe(self.port, host)
        self.stack.callback(probe.socket.close)
        return probe

    async def at(self, client: str = "ann", address: str | None = None) -> UDPClient:
        """A client that has said nothing yet."""
        made = await UDPClient.at(address or self.address, {"client": client})
        self.stack.callback(made.part)
        return made

    async def connect(self, client: str = "ann", address: str | None = None) -> tuple[UDPClient, Session]:
        """A client that was welcomed, and its session."""
        made = await UDPClient.open(address or self.address, {"client": client})
        self.stack.callback(made.part)
        welcome = await made.receive()
        assert welcome is not None
        assert welcome["type"] == "welcome"
        session = self.gateway.hub.get(client)
        assert isinstance(session, Session)
        return made, session

    def send(self, data: Any, *clients: str) -> None:
        self.gateway.hub.deliver(Message(message_raw=str(data)), list(clients or ["ann"]))

    def dropped(self, reason: str) -> int:
        return self.gateway.metrics.drops[reason]


Start = Callable[..., Awaitable[Edge]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start an endpoint on a fake node; it is stopped after the test."""
    async with AsyncExitStack() as stack:

        async def make(settings: dict[str, Any] | None = None, **options: Any) -> Edge:
            endpoint = UDPEndpoint(port=0, **options)
            gateway = await on_a_fake_node(endpoint, stack, settings)
            return Edge(gateway, endpoint, stack)

        yield make


def start_of(kind: int) -> bytes:
    return b"GB\x01" + bytes((kind,))


def hello(nonce: bytes = b"") -> bytes:
    return (start_of(HELLO) + (nonce or os.urandom(16))).ljust(64)


def connect(cookie: bytes, said: bytes = b'{"client":"ann"}', nonce: bytes = bytes(16)) -> bytes:
    return (start_of(CONNECT) + nonce + cookie + said).ljust(64)


def sealed(kind: int, identity: bytes = bytes(8), number: int = 1, body: bytes = b"") -> bytes:
    """With a tag that is not right."""
    return start_of(kind) + identity + number.to_bytes(8, "big") + body + bytes(16)


def call(n: int) -> dict[str, Any]:
    return {"to_logic": "x", "data": n}


# --- coming in ---------------------------------------------------------------


async def test_e1_a_client_is_let_in_by_four_datagrams_and_leaves_with_two(start: Start) -> None:
    edge = await start()
    client, _ = await edge.connect()
    assert [data[3] for data in client.datagrams] == [COOKIE, ACCEPT, FRAME]
    assert edge.gateway.door.inside == 1
    client.leave()
    assert await client.closed() == CloseCode.NORMAL
    await eventually(lambda: [one.close_code for one in edge.gateway.disconnected] == [CloseCode.NORMAL])
    await eventually(lambda: edge.gateway.door.inside == 0)


HOSTILE = [
    b"",
    b"x",
    b"GB",
    start_of(HELLO),
    hello()[:63],
    hello(),
    hello().ljust(1200),
    hello().ljust(65_000),
    connect(bytes(16))[:63],
    connect(bytes(16)),
    connect(os.urandom(16)),
    connect(os.urandom(16), b"{" * 60_000),
    b"GB\x00" + hello()[3:],
    b"GB\x02" + hello()[3:],
    b"gb\x01" + hello()[3:],
    b"\x00" * 64,
    b"\xff" * 64,
    os.urandom(1200),
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".ljust(64),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".ljust(64),  # TLS
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x00\x00\xff\x00\x01".ljust(64),  # DNS
    *(start_of(kind).ljust(64, b"\0") for kind in range(256) if kind not in (HELLO, CONNECT)),
    *(sealed(kind) for kind in range(10)),
    *(sealed(kind, os.urandom(8), 2**64 - 1, b"x" * 1000) for kind in (ACCEPT, FRAME, CHALLENGE, PROOF, CLOSE)),
    sealed(FRAME)[:35],
]


async def test_e1_e8_nobody_gets_more_bytes_than_it_sent_before_its_address_is_proven(start: Start) -> None:
    """Whatever it sends, and nothing is remembered of it. That is so each time: the table may hold any bytes."""
    edge = await start()
    probe = edge.probe()
    for data in HOSTILE:
        answers = await probe.ask(data)
        assert sum(map(len, answers)) <= len(data), data[:80]
        assert edge.remembered == 0, data[:80]
    assert edge.gateway.disconnected == []
    assert edge.dropped("datagram_unreadable") > 200
    assert edge.dropped("datagram_unknown") > 5
    await edge.connect()


async def test_e1_a_cookie_lets_nobody_in_from_another_port_or_address(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who names another's address as its own does not see the cookie; its own cookie is worth nothing there."""
    monkeypatch.setattr(link_module, "CLOSE_TIMEOUT", 0.1)  # a probe says no goodbye
    edge = await start()
    one, other_port, other_host = edge.probe(), edge.probe(), edge.probe("127.0.0.2")
    (answer,) = await one.ask(hello(bytes(16)))
    mine = connect(answer[20:])
    for spoofed in (other_port, other_host):
        (answer,) = await spoofed.ask(mine)
        assert answer[3] == COOKIE
        assert len(answer) < len(mine)
    (answer,) = await one.ask(connect(mine[20:36], nonce=b"1" * 16))
    assert answer[3] == COOKIE
    assert edge.remembered == 0
    answers = await one.ask(mine)
    assert answers[0][3] == ACCEPT
    await edge.endpoint.stop()


async def test_e1_a_cookie_is_good_for_its_time_alone(start: Start) -> None:
    edge = await start({"handshake_timeout": 0.1})
    probe = edge.probe()
    (answer,) = await probe.ask(hello(bytes(16)))
    old = connect(answer[20:])
    await asyncio.sleep(0.25)  # twice the lifetime, and a little
    (answer,) = await probe.ask(old)
    assert answer[3] == COOKIE
    assert edge.remembered == 0


async def test_e1_e3_a_thousand_half_done_handshakes_cost_no_memory(start: Start) -> None:
    """From a hundred ports, and five thousand datagrams of connections that do not exist besides."""
    edge = await start()
    probes = [edge.probe() for _ in range(100)]
    cookies = set()
    for probe in probes:  # once, so that all that is made once is there
        await probe.ask(hello())
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.take_snapshot()
        for probe in probes:
            answers = await probe.ask(*(hello() for _ in range(10)), *(sealed(FRAME, os.urandom(8)) for _ in range(50)))
            cookies.update(answer[20:] for answer in answers)
        gc.collect()
        after = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    assert len(cookies) == 1000
    assert edge.remembered == 0
    mine = [tracemalloc.Filter(True, "*/endpoints/*"), tracemalloc.Filter(False, "*/tests/*")]
    kept = sum(one.size_diff for one in after.filter_traces(mine).compare_to(before.filter_traces(mine), "filename"))
    assert kept < 16_384, f"{kept} bytes"
    assert edge.dropped("datagram_unknown") == 5000
    await edge.connect()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"", CloseCode.PROTOCOL_ERROR),
        (b"[]", CloseCode.PROTOCOL_ERROR),
        (b"\xff", CloseCode.PROTOCOL_ERROR),
        (b"[" * 10_000, CloseCode.PROTOCOL_ERROR),
        (b'{"client":"a b"}', CloseCode.PROTOCOL_ERROR),
        (b'{"client":"ann","client":"ben"}', CloseCode.PROTOCOL_ERROR),
        (b'{"client":"ann"}'.ljust(MAX_HELLO + 1), CloseCode.PROTOCOL_ERROR),
    ],
)
async def test_e8_a_hello_that_cannot_be_read_has_its_code_and_leaves_nothing(
    start: Start, said: bytes, code: CloseCode
) -> None:
    edge = await start()
    client = await edge.at()
    client.hello = said
    client.greet()
    assert await client.closed() == code
    assert edge.remembered == 0


async def test_e3_who_is_one_too_many_is_told_so_and_leaves_no_trace(start: Start) -> None:
    edge = await start({"max_connections": 1})
    client, _ = await edge.connect()
    other = await edge.at("ben")
    other.greet()
    assert await other.closed() == CloseCode.TOO_MANY
    assert other.retry_ms > 0
    assert edge.dropped("node_full") == 1
    client.leave()
    await client.closed()
    await eventually(lambda: edge.gateway.door.inside == 0)
    await edge.connect("ben")


async def test_e3_who_would_need_a_cookie_beyond_those_that_can_be_remembered_comes_later(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cookie that was forgotten would let in twice."""
    monkeypatch.setattr(guests_module, "MAX_USED", 2)
    edge = await start({"handshake_timeout": 0.5})
    for name in ("ann", "ben"):
        client, _ = await edge.connect(name)
        client.leave()
        await client.closed()
    late = await edge.at("cid")
    late.greet()
    assert await late.closed() == CloseCode.TOO_MANY
    assert 0 < late.retry_ms <= 1000
    assert edge.dropped("cookies_full") == 1
    await asyncio.sleep(late.retry_ms / 1000)
    await edge.connect("cid")
    assert len(edge.server._guests._used) <= 2


@pytest.mark.parametrize(
    ("error", "code"),
    [(RedisUnavailable("no answer"), CloseCode.UNAVAILABLE), (ValueError("a bug"), CloseCode.INTERNAL_ERROR)],
)
async def test_e5_a_connection_that_cannot_be_registered_says_why(
    start: Start, error: Exception, code: CloseCode
) -> None:
    edge = await start()
    edge.gateway.refuse = error
    client = await edge.at()
    client.greet()
    assert await client.closed() == code
    await eventually(lambda: len(edge.gateway.disconnected) == 1)


async def test_e1_who_has_lost_its_welcome_gets_it_again_for_the_same_greeting(start: Start) -> None:
    """Although it has sent something since, and one connection is all that comes of it."""
    edge = await start()
    client = await edge.at()
    client.greet()
    await eventually(lambda: client.connection)
    await eventually(lambda: client.welcomed)
    welcome = client.datagrams[-1]
    client.send(call(1))
    await eventually(lambda: edge.gateway.payloads == [b"1"])
    edge.send(2)
    await eventually(lambda: client.latest == 2)
    client.greet()
    await eventually(lambda: client.datagrams.count(welcome) == 2)
    assert len(edge.gateway.hub) == 1
    assert len(edge.server._guests._here) == 1


async def test_e1_a_cookie_lets_in_once(start: Start) -> None:
    """Who repeats it after the end hears of the end again; what it costs is small, and no connection is kept."""
    edge = await start()
    client = (await edge.connect())[0]
    link = weakref.ref(next(iter(edge.server._guests.connections)))
    client.leave()
    await client.closed()
    await eventually(lambda: edge.gateway.disconnected)
    edge.gateway.disconnected.clear()
    probe_from = len(client.datagrams)
    for n in range(1, 4):
        client.greet()
        await eventually(lambda n=n: len(client.datagrams) == probe_from + 2 * n)
    assert [data[3] for data in client.datagrams[probe_from:]] == [ACCEPT, CLOSE] * 3
    assert edge.gateway.disconnected == []
    assert len(edge.gateway.hub) == 0

    def forgotten() -> bool:
        gc.collect()
        return link() is None

    await eventually(forgotten)


async def test_e1_clients_come_over_ipv6_as_well(start: Start) -> None:
    try:
        edge = await start(host="::1")
    except CouldNotCreateServer:
        pytest.skip("this host has no IPv6")
    client = UDPClient(HELLO_OF_ANN)
    await client.move(edge.address, "::1")
    edge.stack.callback(client.part)
    client.greet()
    assert ((await client.receive()) or {})["client"] == "ann"
    client.send(call(1))
    await eventually(lambda: edge.gateway.payloads == [b"1"])


def test_e1_a_port_that_is_taken_is_said_at_the_start() -> None:
    async def second(port: int) -> None:
        with pytest.raises(CouldNotCreateServer, match=f"{port}.*another process"):
            await UDPEndpoint(port=port).start(FakeGateway())

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        asyncio.run(second(taken.getsockname()[1]))


@pytest.mark.parametrize("size", [0, 575, 65_508])
def test_e1_a_datagram_that_cannot_be_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"not {size}"):
        UDPEndpoint(max_datagram=size)


async def test_e2_where_tls_is_set_a_warning_says_that_this_is_in_clear_text(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await start()
        assert "clear text" not in caplog.text
        edge = await start({"tls_certificate": "c.pem", "tls_key": "k.pem"})
    assert f"{edge.address} is in clear text" in caplog.text


async def test_e1_the_client_of_the_documentation_does_all_that_a_client_must(start: Start) -> None:
    """It comes in, speaks, hears, shows that it lives, proves its new address, leaves, and hears why it can't stay."""
    page = Path(__file__).parents[2] / "docs/how-to/connect-over-udp.md"
    (program,) = (
        block for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S) if "hmac" in block
    )
    names: dict[str, Any] = {}
    exec(program, names)
    edge = await start({"ping_interval": 0.1, "ping_timeout": 2.0})

    def scene() -> Any:
        client = names["Connection"]("127.0.0.1", edge.port, {"client": "ann"})
        assert client.welcome["client"] == "ann"
        client.send(call(1))
        client.send({"to_logic": "nobody", "data": 2})
        assert client.receive(5)["code"] == "logic_does_not_exist"
        again = names["Connection"]("127.0.0.1", edge.port, {"client": "ann"})
        assert (again.welcome, again.closed) == (None, CloseCode.ALREADY_CONNECTED)
        assert client.receive(0.5) is None  # signs of life
        client.socket, old = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), client.socket
        client.socket.connect(("127.0.0.1", edge.port))
        client.send(call(3))
        assert client.receive(0.1) is None  # the challenge
        client.send({"to_logic": "nobody", "data": 4})
        assert client.receive(5)["code"] == "logic_does_not_exist"
        client.leave()
        for used in (again.socket, client.socket, old):
            used.close()
        return client

    client = await asyncio.to_thread(scene)
    assert client.closed == CloseCode.NORMAL
    assert edge.gateway.payloads == [b"1", b"2", b"3", b"4"]
    await eventually(lambda: edge.gateway.door.inside == 0)
    assert {one.close_code for one in edge.gateway.disconnected} == {CloseCode.ALREADY_CONNECTED, CloseCode.NORMAL}


# --- what is believed --------------------------------------------------------


async def test_e1_r7_what_comes_twice_or_late_counts_once(start: Start) -> None:
    edge = await start()
    client, _ = await edge.connect()
    datagrams = [client.pack(FRAME, f'{{"to_logic":"x","data":{n}}}'.encode()) for n in range(4)]
    elsewhere = edge.probe("127.0.0.2")
    for n in (0, 0, 2, 1, 2, 0):
        client.transport.sendto(datagrams[n])
    await eventually(lambda: edge.gateway.payloads == [b"0", b"2"])
    assert await elsewhere.ask(*datagrams[:3]) == []
    client.transport.sendto(datagrams[3])
    await eventually(lambda: edge.gateway.payloads == [b"0", b"2", b"3"])
    assert edge.dropped("datagram_old") == 4 + 3


async def test_e1_e8_a_datagram_with_one_bit_changed_is_nothing(start: Start) -> None:
    """Wherever the bit is; and the connection goes on where it is."""
    edge = await start()
    client, session = await edge.connect()
    probe = edge.probe()
    good = client.pack(FRAME, b'{"to_logic":"x","data":1}', number=10)
    for at in range(len(good) * 8):
        forged = bytearray(good)
        forged[at // 8] ^= 1 << at % 8
        answers = await probe.ask(bytes(forged))
        assert sum(map(len, answers)) <= len(forged)
    for kind in (FRAME, PROOF, CLOSE):
        assert await probe.ask(sealed(kind, client.connection, 2**64 - 1)) == []
    assert edge.gateway.received == []
    assert session.close_code is None
    assert edge.dropped("datagram_forged") > 200
    client.transport.sendto(good)
    client.number = 10
    await eventually(lambda: edge.gateway.payloads == [b"1"])


async def test_e1_what_the_node_has_sent_does_not_count_when_it_comes_back(start: Start) -> None:
    edge = await start()
    client, session = await edge.connect()
    for n in range(5):
        edge.send(n)
    await eventually(lambda: client.latest == 6)
    assert await edge.probe().ask(*client.datagrams) == []
    for data in client.datagrams:
        client.transport.sendto(data)
    client.send(call(1))
    await eventually(lambda: edge.gateway.payloads == [b"1"])
    assert session.close_code is None


# --- another address ---------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.3"])
async def test_e1_a_client_whose_address_changes_goes_on_there(start: Start, host: str) -> None:
    """As behind a NAT that gives it another port, or a telephone that leaves the house."""
    edge = await start()
    client, session = await edge.connect()
    await client.move(edge.address, host)
    client.send(call(1))
    await eventually(lambda: edge.gateway.payloads == [b"1"])
    await eventually(lambda: client.datagrams[-1][3] == CHALLENGE)
    assert len(client.datagrams[-1]) == OVERHEAD
    here = client.transport.get_extra_info("sockname")
    await eventually(lambda: next(iter(edge.server._guests.connections))._path.address == here)
    edge.send(2)
    assert ((await client.receive()) or {})["data"] == 2
    assert session.close_code is None


async def test_e1_who_has_a_datagram_of_a_client_does_not_get_what_is_for_it(start: Start) -> None:
    """It is newer than all before, so it counts; but an answer to the challenge must come from where that went."""
    edge = await start()
    client, _ = await edge.connect()
    thief = edge.probe("127.0.0.4")
    stolen = client.pack(FRAME, b'{"to_logic":"x","data":1}')
    (challenge,) = await thief.ask(stolen)
    assert challenge[3] == CHALLENGE
    assert len(challenge) <= len(stolen)
    client.transport.sendto(client.pack(PROOF, challenge[12:20]))  # from the old address: proves nothing
    guessed = client.pack(PROOF, bytes(8))
    assert await thief.ask(sealed(PROOF, client.connection, 2**63, challenge[12:20]), guessed) == []
    edge.send(2)
    assert ((await client.receive()) or {})["data"] == 2
    assert await thief.ask() == []


async def test_e1_a_challenge_is_no_larger_than_the_smallest_that_asks_for_it(start: Start) -> None:
    edge = await start()
    client, _ = await edge.connect()
    sign = client.pack(FRAME)
    (challenge,) = await edge.probe("127.0.0.5").ask(sign)
    assert len(challenge) <= len(sign) == OVERHEAD


# --- frames ------------------------------------------------------------------


async def test_e1_raw_frames_may_hold_anything(start: Start) -> None:
    edge = await start(protocol=RawProtocol("echo"))
    client = await edge.at()
    client.greet()
    await eventually(lambda: client.connection)
    client.send(b"\xff\n\0" * 100)
    await eventually(lambda: edge.gateway.payloads == [b"\xff\n\0" * 100])
    edge.gateway.hub.deliver(Message(message_raw=b"\xfe\n"), ["ann"])
    assert await client.frames.get() == b"\xfe\n"


async def test_e1_e8_a_message_that_fits_into_no_datagram_is_an_error_frame(start: Start) -> None:
    edge = await start()
    client, _ = await edge.connect()
    for size in (2000, 3):
        edge.gateway.hub.deliver(Message(message_raw='"' + "x" * size + '"'), ["ann"])
    error = await client.receive()
    assert error is not None
    assert (error["type"], error["code"]) == ("error", "frame_too_large")
    assert ((await client.receive()) or {})["data"] == "xxx"
    assert edge.dropped("frame_too_large") == 1
    assert max(map(len, client.datagrams)) <= 1200


async def test_e3_e5_a_datagram_that_is_too_large_ends_the_connection_behind_what_came_before_it(start: Start) -> None:
    edge = await start()
    client, _ = await edge.connect()
    client.send(call(1))
    client.send(b"x" * (1200 - OVERHEAD + 1))
    assert await client.closed() == CloseCode.TOO_BIG
    assert edge.gateway.payloads == [b"1"]


async def test_w14_e3_what_a_client_sends_faster_than_it_is_processed_is_lost_and_bounded(start: Start) -> None:
    edge = await start()
    client, _ = await edge.connect()
    (link,) = edge.server._guests.connections
    edge.gateway.hold.clear()
    for n in range(200):
        client.send({"to_logic": "x", "data": n, "metadata": {"x": "x" * 1000}})
        await asyncio.sleep(0)
    await eventually(lambda: edge.dropped("inbox_full") + len(link._inbox) + edge.gateway.waiting == 200)
    assert edge.dropped("inbox_full") > 100
    assert sum(map(len, link._inbox)) <= link._inbox_bytes <= READ_AHEAD
    edge.gateway.hold.set()
    kept = 200 - edge.dropped("inbox_full")
    await eventually(lambda: edge.gateway.payloads == [str(n).encode() for n in range(kept)])
    assert (link._inbox_bytes, len(link._inbox)) == (0, 0)


async def test_r4_what_is_for_all_reaches_all(start: Start) -> None:
    edge = await start()
    clients = [client for client, _ in await asyncio.gather(*(edge.connect(f"client-{n}") for n in range(50)))]
    for n in range(3):
        edge.send(n, *(f"client-{n}" for n in range(50)))
    for client in clients:
        assert [((await client.receive()) or {})["data"] for _ in range(3)] == [0, 1, 2]


# --- a network that loses, repeats and reorders ------------------------------


class Relay(asyncio.DatagramProtocol):
    """Between one client and an edge: of ten datagrams it loses two, repeats two, and holds two back behind others."""

    def __init__(self, edge: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.fair = False
        self.lost = 0
        self._edge = ("127.0.0.1", edge)
        self._client: tuple[str, int] | None = None
        self._held: list[tuple[bytes, tuple[str, int]]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr != self._edge:
            self._client = addr
        to = self._client if addr == self._edge else self._edge
        assert to is not None
        fate = 9 if self.fair else self.chance.randrange(10)
        if fate < 2:
            self.lost += 1
        elif fate < 4:
            self._held.append((data, to))
        else:
            for _ in range(1 + (fate < 6)):
                self.transport.sendto(data, to)
            if self._held and (self.fair or self.chance.randrange(2)):
                self.transport.sendto(*self._held.pop(0))


@pytest.mark.parametrize("seed", range(5))
async def test_e1_r5_over_a_bad_network_what_arrives_is_in_order_once_and_the_connection_lives(
    start: Start, seed: int
) -> None:
    edge = await start({"ping_interval": 0.2, "ping_timeout": 2.0})
    loop = asyncio.get_running_loop()
    _, relay = await loop.create_datagram_endpoint(lambda: Relay(edge.port, seed), local_addr=("127.0.0.1", 0))
    edge.stack.callback(relay.transport.close)
    client, session = await edge.connect(address=f"udp://127.0.0.1:{relay.transport.get_extra_info('sockname')[1]}")
    for n in range(200):
        client.send(call(n))
        edge.send(n)
        await asyncio.sleep(0.002)
    relay.fair = True
    client.send(call(200))
    edge.send(200)
    await eventually(lambda: edge.gateway.payloads[-1:] == [b"200"])
    heard = []
    while not heard or heard[-1] != 200:
        heard.append(((await client.receive()) or {})["data"])
    sent = [int(payload) for payload in edge.gateway.payloads]
    for numbers in (heard, sent):
        assert numbers == sorted(set(numbers))
        assert 60 < len(numbers) < 200
    assert relay.lost > 50
    assert session.close_code is None
    relay.fair = False
    session.close(CloseCode.REMOVED)
    assert await client.closed() == CloseCode.REMOVED
    relay.fair = True
    await eventually(lambda: edge.gateway.disconnected)


# --- the end -----------------------------------------------------------------


async def test_e5_a_goodbye_whose_answer_was_lost_is_answered_again(start: Start) -> None:
    """From what is kept of a connection that has ended; and a few times only."""
    edge = await start()
    client, session = await edge.connect()
    client.deaf = True
    client.leave()
    await eventually(lambda: edge.gateway.disconnected == [session])
    client.deaf = False
    client.leave()
    assert await client.closed() == CloseCode.NORMAL
    before = len(client.datagrams)
    for _ in range(20):
        client.leave()
    probe = edge.probe()
    await probe.ask()
    await eventually(lambda: len(client.datagrams) > before)
    assert len(client.datagrams) - before < 5
    assert await probe.ask(sealed(CLOSE, client.connection, 2**64 - 1)) == []


async def test_e5_e7_a_goodbye_is_said_until_it_is_answered(start: Start) -> None:
    edge = await start()
    client, session = await edge.connect()
    client.deaf = True
    stopping = asyncio.create_task(edge.endpoint.stop())
    await eventually(lambda: next(iter(edge.server._guests.connections))._last_words)
    client.deaf = False
    assert await client.closed() == CloseCode.GOING_AWAY
    await asyncio.wait_for(stopping, 2)
    assert edge.gateway.disconnected == [session]


async def test_e7_who_comes_while_the_node_stops_is_told_so_or_hears_nothing(start: Start) -> None:
    """One that was let in in the same moment is told; a stranger hears nothing, and asks another node."""
    edge = await start()
    client = await edge.at()
    client.transport.sendto(client.greeting())
    await eventually(lambda: client.connection)
    late = await edge.at("ben")
    before = asyncio.create_task(edge.endpoint.stop())
    late.greet()
    assert await client.closed() == CloseCode.GOING_AWAY
    await asyncio.wait_for(before, 2)
    assert late.datagrams == []
    assert len(edge.gateway.hub) == 0


async def test_e7_a_client_that_was_let_in_in_the_same_turn_of_the_loop_is_told(start: Start) -> None:
    edge = await start()
    client = await edge.at()
    at = client.transport.get_extra_info("sockname")
    client.cookie = edge.server._cookies.bake(f"{at[0]} {at[1]}", client.nonce, asyncio.get_running_loop().time())
    stopping = asyncio.create_task(edge.endpoint.stop())
    edge.server.datagram_received(client.greeting(), at)
    assert await client.closed(within=2) == CloseCode.GOING_AWAY
    await asyncio.wait_for(stopping, 2)


async def test_e7_a_client_that_says_nothing_holds_a_stop_up_for_a_bounded_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "CLOSE_TIMEOUT", 0.3)
    edge = await start()
    client, session = await edge.connect()
    client.deaf = True
    await asyncio.wait_for(edge.endpoint.stop(), 2)
    assert edge.gateway.disconnected == [session]
    assert edge.gateway.door.inside == 0


async def test_e6_a_client_that_a_bad_line_costs_a_sign_of_life_is_asked_again(start: Start) -> None:
    edge = await start({"ping_interval": 0.1, "ping_timeout": 1.0})
    client, session = await edge.connect()
    client.deaf = True
    (link,) = edge.server._guests.connections
    heard = link._heard
    await eventually(lambda: client.missed)  # the first one
    client.deaf = False
    await eventually(lambda: link._heard > heard, within=1)
    assert session.close_code is None


async def test_a_socket_that_breaks_ends_its_connections(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    edge = await start()
    _, session = await edge.connect()
    edge.server.connection_lost(OSError("gone"))
    await eventually(lambda: edge.gateway.disconnected == [session])
    assert "the socket for datagrams broke: gone" in caplog.text


# --- the loop that edges run on ----------------------------------------------


def test_e1_all_this_is_so_on_uvloop_as_well() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def scene() -> None:
        async with AsyncExitStack() as stack:
            endpoint = UDPEndpoint(port=0)
            gateway = await on_a_fake_node(endpoint, stack, None)
            edge = Edge(gateway, endpoint, stack)
            client, _ = await edge.connect()
            client.send(call(1))
            await eventually(lambda: gateway.payloads == [b"1"])
            edge.send(2)
            assert ((await client.receive()) or {})["data"] == 2
            probe = edge.probe()
            for data in HOSTILE[:20]:
                if data:
                    assert sum(map(len, await probe.ask(data))) <= len(data)
            await client.move(edge.address)
            client.send(call(2))
            await eventually(lambda: client.datagrams[-1][3] == CHALLENGE)
            stopping = asyncio.create_task(endpoint.stop())
            assert await client.closed() == CloseCode.GOING_AWAY
            await asyncio.wait_for(stopping, 2)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())


# --- nodes -------------------------------------------------------------------


class Echo(LogicBase):
    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))


@pytest.fixture
def settings(redis_url: str, prefix: str) -> Settings:
    return Settings(redis_url=redis_url, prefix=prefix, drain_timeout=5, node_lease=1.5, max_messages=0)


async def test_e1_r4_clients_of_two_nodes_meet_and_one_is_connected_once(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        addresses = []
        for _ in range(2):
            broke = Broke([UDPEndpoint(port=0)], settings=settings)
            broke.add_logic(Echo())
            node = await stack.enter_async_context(edge(broke))
            addresses.append(node.addresses[0])
        clients = []
        for name, address in zip(("ann", "ben"), addresses, strict=True):
            client = await UDPClient.open(address, {"client": name})
            stack.callback(client.part)
            assert ((await client.receive()) or {})["client"] == name
            clients.append(client)
        ann, ben = clients
        ann.send({"to_client": "ben", "data": "from ann"})
        assert ((await ben.receive()) or {})["data"] == "from ann"
        ben.send({"to_client": ["ann", "ben"], "data": "from ben"})
        for client in clients:
            assert ((await client.receive()) or {})["data"] == "from ben"
        again = await UDPClient.open(addresses[1], {"client": "ann"})
        stack.callback(again.part)
        assert await again.closed() == CloseCode.ALREADY_CONNECTED


async def test_e3_e6_a_client_that_sends_signs_of_life_alone_is_closed_when_it_is_idle(settings: Settings) -> None:
    changes = {"idle_timeout": 1.0, "ping_interval": 0.2, "ping_timeout": 1.0}
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(
            edge(Broke([UDPEndpoint(port=0)], settings=settings.model_copy(update=changes)))
        )
        client = await UDPClient.open(node.addresses[0], {"client": "ann"})
        stack.callback(client.part)
        assert await client.closed(within=3) == CloseCode.IDLE
        await eventually(lambda: "ann" not in node.runtime.hub)
