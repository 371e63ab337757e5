"""What every endpoint does alike, whatever it speaks (contract E1): over real nodes, a real Redis and real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

import endpoints.link as link_module
from endpoints import TCPEndpoint, WebSocketEndpoint
from gobroke_dist import (
    Authenticator,
    Broke,
    ClientDoesNotExist,
    CloseCode,
    ConnectRequest,
    Endpoint,
    Identity,
    LogicBase,
    Message,
    Settings,
    Unauthorised,
)
from gobroke_dist.node import Node
from gobroke_dist.roles import edge
from gobroke_dist.session import Session
from gobroke_dist.testing.faults import Proxy
from gobroke_dist.testing.faults.toll import Direction
from tests.endpoints.ways import UDPWay, Visitor, Way, ways
from tests.eventually import eventually


class Echo(LogicBase):
    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))


class House:
    """One edge with one kind of endpoint, or several; and clients of it."""

    def __init__(self, broke: Broke, node: Node, stack: AsyncExitStack, ways: dict[Endpoint, Way]) -> None:
        self.broke = broke
        self.node = node
        self._stack = stack
        self._ways = ways

    async def visitor(self, client: str | None = None, at: int = 0, **hello: Any) -> tuple[Visitor, dict[str, Any]]:
        """A client that was let in, and its welcome."""
        made = await self.stranger(client, at, **hello)
        welcome = await made.receive()
        assert welcome["type"] == "welcome", welcome
        return made, welcome

    async def stranger(self, client: str | None = None, at: int = 0, **hello: Any) -> Visitor:
        """One that has only said hello, to the endpoint of this number."""
        endpoint = self.broke.endpoints[at]
        named = hello if client is None else {"client": client, **hello}
        return await self._ways[endpoint].connect(endpoint, self._stack, **named)

    def way_of(self, at: int) -> Way:
        """That of the endpoint of this number."""
        return self._ways[self.broke.endpoints[at]]

    def session(self, uuid: str) -> Session:
        session = self.node.runtime.hub.get(uuid)
        assert session is not None, f"{uuid} is not here"
        return session

    async def gone(self, uuid: str, within: float = 5) -> None:
        await eventually(lambda: uuid not in self.node.runtime.hub, within)

    async def send(self, to: str, data: Any) -> None:
        await self.broke.send_message(Message(to_client=to, message_raw=json.dumps(data)))


class Street:
    """Starts edges."""

    def __init__(self, settings: Settings, way: Way, stack: AsyncExitStack) -> None:
        self.settings = settings
        self.way = way
        self._stack = stack

    async def house(self, *more: Way, authenticator: Authenticator | None = None, **changes: Any) -> House:
        """An edge with an endpoint of this way, and of those given besides."""
        ways = {way.endpoint(): way for way in (self.way, *more)}
        broke = Broke(
            list(ways),
            authenticator=authenticator,
            settings=self.settings.model_copy(update={**self.way.settings, **changes}),
        )
        broke.add_logic(Echo())
        node = await self._stack.enter_async_context(edge(broke))
        broke._operations = node.runtime.operations
        stack = await self._stack.enter_async_context(AsyncExitStack())
        return House(broke, node, stack, ways)


@pytest.fixture
def settings(redis_url: str, prefix: str) -> Settings:
    return Settings(
        redis_url=redis_url, prefix=prefix, drain_timeout=5, node_lease=1.5, recovery_window=20, max_messages=0
    )


@pytest.fixture(scope="session")
def all_ways(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Way]:
    return ways(tmp_path_factory.mktemp("identity"))


BYTES = ("websocket", "websocket-tls", "tcp", "tcp-lines", "tcp-tls", "udp", "sse", "sse-tls", "poll")


@pytest.fixture(params=BYTES)
async def street(request: pytest.FixtureRequest, settings: Settings, all_ways: dict[str, Way]) -> AsyncIterator[Street]:
    """Of each endpoint whose clients send bytes."""
    async with AsyncExitStack() as stack:
        yield Street(settings, all_ways[request.param], stack)


@pytest.fixture(params=[*BYTES, "stub"])
async def any_street(
    request: pytest.FixtureRequest, settings: Settings, all_ways: dict[str, Way]
) -> AsyncIterator[Street]:
    """Of each endpoint."""
    async with AsyncExitStack() as stack:
        yield Street(settings, all_ways[request.param], stack)


# --- coming in, and being heard ----------------------------------------------


async def test_e1_a_client_is_welcomed_with_its_name_and_known_by_what_it_says_of_itself(any_street: Street) -> None:
    house = await any_street.house()
    _, welcome = await house.visitor("ann", room="blue")
    plain = {"type": "welcome", "client": "ann", "node": house.node.runtime.node}
    session = {name: welcome.pop(name) for name in ("session", "offset", "recovered") if name in welcome}
    assert welcome == plain
    assert bool(session) is any_street.way.always_recovers
    assert (await house.broke.get_client("ann")).metadata == {"room": "blue"}


async def test_e1_a_logic_hears_a_client_and_answers_it(any_street: Street) -> None:
    house = await any_street.house()
    ann, _ = await house.visitor("ann")
    await ann.send({"to_logic": "echo", "data": {"n": [1, "é", None]}})
    assert await ann.data() == {"n": [1, "é", None]}


async def test_e1_clients_reach_each_other(any_street: Street) -> None:
    house = await any_street.house()
    (ann, _), (ben, _) = await house.visitor("ann"), await house.visitor("ben")
    await ann.send({"to_client": ["ben", "ann"], "data": "hello"})
    assert [await ben.data(), await ann.data()] == ["hello", "hello"]


async def test_r5_frames_keep_their_order_both_ways(any_street: Street) -> None:
    house = await any_street.house()
    (ann, _), (ben, _) = await house.visitor("ann"), await house.visitor("ben")
    for n in range(300):
        await ann.send({"to_client": "ben", "data": n})
    assert [await ben.data() for _ in range(300)] == list(range(300))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 900_000])
async def test_e1_frames_of_every_length_pass_both_ways(street: Street, size: int) -> None:
    if isinstance(street.way, UDPWay) and size > 60_000:
        pytest.skip("a frame over UDP is one datagram, which has at most 65,507 bytes")
    house = await street.house()
    ann, _ = await house.visitor("ann")
    await ann.send({"to_logic": "echo", "data": "x" * size})
    assert await ann.data() == "x" * size


async def test_e1_a_payload_with_line_ends_arrives_as_the_same_json(street: Street) -> None:
    house = await street.house()
    ann, _ = await house.visitor("ann")
    await house.broke.send_message(Message(to_client="ann", message_raw=b'{\n "a": "x\\ny",\r\n\n "b": [1,\n2]}'))
    assert await ann.data() == {"a": "x\ny", "b": [1, 2]}


async def test_e2_a_client_shows_its_token_and_is_who_that_says(street: Street) -> None:
    """Not who it says it is; and without a token that is good it is nobody."""

    async def who(request: ConnectRequest) -> Identity:
        if request.token != "secret":
            raise Unauthorised("that token is not known here")
        return Identity(uuid="ann", claims={"from": request.address})

    house = await street.house(authenticator=who)
    ann, welcome = await house.visitor(token="secret", room="blue")
    assert welcome["client"] == "ann"
    assert (await house.broke.get_client("ann")).metadata == {"room": "blue", "from": "127.0.0.1"}
    for wrong in ({"client": "ben", "token": "secret"}, {"token": "wrong"}, {}):
        stranger = await house.stranger(**wrong)
        assert await stranger.closed() == CloseCode.UNAUTHORISED
    await ann.send({"to_logic": "echo", "data": 1})
    assert await ann.data() == 1


# --- what is wrong -----------------------------------------------------------


async def test_r6_an_error_comes_back_and_the_connection_lives(any_street: Street) -> None:
    house = await any_street.house()
    ann, _ = await house.visitor("ann")
    await ann.send({"to_logic": "nobody", "data": 1, "uuid": "m1"})
    error = await ann.receive()
    assert (error["type"], error["code"]) == ("error", "logic_does_not_exist")
    await ann.send({"to_logic": "echo", "data": 2})
    assert await ann.data() == 2


@pytest.mark.parametrize("bad", [b"[" * 50_000, b"x", b'{"to_logic":"echo","data":NaN}', b'{"data":1}', b"{}"])
async def test_e8_a_bad_frame_gets_an_error_and_the_connection_lives(street: Street, bad: bytes) -> None:
    house = await street.house()
    ann, _ = await house.visitor("ann")
    await ann.send(bad)
    error = await ann.receive()
    assert (error["type"], error["code"]) == ("error", "frame_invalid")
    await ann.send({"to_logic": "echo", "data": 2})
    assert await ann.data() == 2


async def test_e3_e5_a_frame_that_is_too_large_ends_the_connection_with_its_code(street: Street) -> None:
    house = await street.house(max_frame=1000)
    (ann, _), (ben, _) = await house.visitor("ann"), await house.visitor("ben")
    fits = {"to_logic": "echo", "data": "x" * (1000 - len(json.dumps({"to_logic": "echo", "data": ""})))}
    await ann.send(fits)
    assert await ann.data() == fits["data"]
    await ann.send(b"x" * 1001)
    await _refused(house, ann, CloseCode.TOO_BIG, "too_big")
    await ben.send({"to_logic": "echo", "data": 1})
    assert await ben.data() == 1


async def test_e5_a_frame_that_is_no_text_ends_the_connection_with_its_code(street: Street) -> None:
    house = await street.house()
    ann, _ = await house.visitor("ann")
    await ann.send(b'{"to_logic":"echo","data":"\xff"}')
    await _refused(house, ann, CloseCode.INVALID_TEXT, "frame_invalid")


async def _refused(house: House, ann: Visitor, closed: CloseCode, error: str) -> None:
    """Her frame could not even be read: her connection ends, or, if her request is answered, she is served on."""
    if house.way_of(0).answers_frames:
        assert (await ann.receive())["code"] == error
        await ann.send({"to_logic": "echo", "data": 2})
        assert await ann.data() == 2
    else:
        assert await ann.closed() == closed
        await house.gone("ann")


# --- once in the cluster -----------------------------------------------------


async def test_c2_e5_the_second_connection_of_a_client_is_refused_with_its_code(any_street: Street) -> None:
    house = await any_street.house()
    ann, _ = await house.visitor("ann")
    again = await house.stranger("ann")
    assert await again.closed() == CloseCode.ALREADY_CONNECTED
    await house.send("ann", 1)
    assert await ann.data() == 1


async def test_c2_e5_or_it_takes_the_place_of_the_first_which_is_told(street: Street) -> None:
    house = await street.house(duplicate_clients="replace")
    ann, _ = await house.visitor("ann")
    again, _ = await house.visitor("ann")
    assert await ann.closed() == CloseCode.REPLACED
    await house.send("ann", 1)
    assert await again.data() == 1


# --- being sent away ---------------------------------------------------------


async def test_c5_e5_a_removed_client_gets_what_is_queued_and_then_its_code(any_street: Street) -> None:
    house = await any_street.house()
    ann, _ = await house.visitor("ann")
    await house.send("ann", "last words")
    removing = house.broke.remove_client("ann")
    assert await ann.data() == "last words"
    assert await ann.closed() == CloseCode.REMOVED
    await asyncio.wait_for(removing, 5)
    await house.gone("ann")


async def test_e5_e7_a_node_that_stops_tells_every_client(any_street: Street) -> None:
    house = await any_street.house()
    visitors = [(await house.visitor(f"client-{n}"))[0] for n in range(20)]
    stopping = asyncio.create_task(house.node.stop())
    codes = await asyncio.gather(*(visitor.closed() for visitor in visitors))
    await asyncio.wait_for(stopping, 5)
    assert set(codes) == {CloseCode.GOING_AWAY}
    assert len(house.node.runtime.hub) == 0


async def test_e5_e7_a_client_that_is_sent_away_is_told_when_to_come_back(street: Street) -> None:
    house = await street.house(retry_spread=3)
    ann, _ = await house.visitor("ann")
    stopping = asyncio.create_task(house.node.stop())
    last = await ann.receive()
    assert (last["type"], last["code"]) == ("closed", CloseCode.GOING_AWAY)
    assert 0 <= last["retry_after"] <= 3000
    assert await ann.closed() == CloseCode.GOING_AWAY
    await asyncio.wait_for(stopping, 5)


# --- who reads too slowly, or is not there any more ----------------------------


async def test_e4_e5_a_slow_client_is_closed_with_its_code_and_costs_nobody_else_anything(
    any_street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(any_street.way, UDPWay):
        pytest.skip("UDP does not tell that nobody reads: what is not read is lost, and waits nowhere")
    monkeypatch.setattr(link_module, "CLOSE_TIMEOUT", 0.5)
    house = await any_street.house(outbox_bytes=100_000, channel_size=10)
    (slow, _), (ann, _) = await house.visitor("slow"), await house.visitor("ann")
    slow.stop_reading()
    session = house.session("slow")
    payload = "x" * 50_000
    for _ in range(1000):
        await house.broke.send_message(Message(to_all=True, message_raw=json.dumps(payload)))
        assert (await ann.receive(within=1))["data"] == payload
        if session.close_code is not None:
            break
    assert session.close_code is CloseCode.SLOW_CONSUMER
    assert session.pending == 0
    await house.gone("slow", within=2)
    await ann.send({"to_logic": "echo", "data": 1})
    assert await ann.data() == 1


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_e4_a_slow_client_may_lose_frames_and_gets_them_by_coming_back(street: Street, policy: str) -> None:
    """It is told where and how many; those before the gap are whole, and its offset then brings the dropped ones."""
    if isinstance(street.way, UDPWay):
        pytest.skip("UDP does not tell that nobody reads: what is not read is lost, and waits nowhere")
    house = await street.house(outbox_bytes=1 << 20, channel_size=10, slow_consumers=policy)
    slow, welcome = await house.visitor("slow", recover=True)
    ann, _ = await house.visitor("ann")
    slow.stop_reading()
    dropped = house.node.runtime.metrics.drops
    sent = 0
    while dropped[policy.replace("drop", "dropped")] < 5:
        await house.send("slow", [sent, "x" * 50_000])
        sent += 1
        await ann.send({"to_logic": "echo", "data": sent})
        assert await ann.data() == sent
    assert house.session("slow").pending <= 11
    slow.read_again()
    numbers, frame, offset = [], await slow.receive(), welcome["offset"]
    while frame["type"] == "message":
        numbers.append(frame["data"][0])
        offset, frame = frame["offset"], await slow.receive()
    assert numbers == list(range(len(numbers)))
    assert frame == {"type": "gap", "dropped": dropped[policy.replace("drop", "dropped")]}
    slow.drop()
    await house.gone("slow")
    back, again = await house.visitor("slow", session=welcome["session"], offset=offset)
    assert again["recovered"] is True
    assert [(await back.data())[0] for _ in range(len(numbers), sent)] == list(range(len(numbers), sent))


async def test_e6_a_dead_peer_is_found_within_ping_and_timeout(street: Street) -> None:
    _need_pings(street)
    house = await street.house(ping_interval=0.3, ping_timeout=0.3)
    (dead, _), (ann, _) = await house.visitor("dead"), await house.visitor("ann")
    reading = asyncio.create_task(ann.receive(within=5))
    dead.stop_reading()
    session = house.session("dead")
    await eventually(lambda: session.close_code is not None, within=0.3 + 0.3 + 0.9)
    assert session.close_code is CloseCode.PING_TIMEOUT
    await house.gone("dead")
    await asyncio.sleep(0.7)  # more than both together, in which only signs of life go to and fro
    await house.send("ann", 1)
    assert (await reading)["data"] == 1


@pytest.mark.parametrize("directions", [("requests",), ("replies",), ()])
async def test_e6_a_half_open_connection_is_found_within_ping_and_timeout(
    street: Street, directions: tuple[Direction, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing arrives any more of what the client sends, or of what it is sent, or neither; no end of stream either."""
    if isinstance(street.way, UDPWay):
        pytest.skip("the proxy is one of streams; what it does here, a lost datagram does")
    _need_pings(street)
    house = await street.house(ping_interval=0.3, ping_timeout=0.3)
    (endpoint,) = house.broke.endpoints
    async with Proxy(endpoint.addresses[0]) as proxy:
        monkeypatch.setattr(endpoint, "_addresses", (proxy.url,))
        dead, _ = await house.visitor("dead")
        reading = asyncio.create_task(dead.closed(within=10))
        session = house.session("dead")
        proxy.silence(*directions)
        await eventually(lambda: session.close_code is not None, within=0.3 + 0.3 + 0.9)
        assert session.close_code is CloseCode.PING_TIMEOUT
        await house.gone("dead", within=2)
        dead.drop()
        await asyncio.gather(reading, return_exceptions=True)


def _need_pings(street: Street) -> None:
    if not street.way.answers_pings:
        pytest.skip("over a stream the client's kernel answers in its place, here as well: see test_http")


# --- going, and coming back --------------------------------------------------


async def test_c7_who_lost_its_connection_gets_what_was_sent_meanwhile_on_any_node(street: Street) -> None:
    one, two = await street.house(), await street.house()
    ann, welcome = await one.visitor("ann", recover=True)
    assert welcome["recovered"] is False
    await one.send("ann", 1)
    frame = await ann.receive()
    assert frame["data"] == 1
    ann.drop()
    await one.gone("ann")
    await one.send("ann", 2)
    await two.send("ann", 3)
    ann, welcome = await two.visitor("ann", session=welcome["session"], offset=frame["offset"])
    assert (welcome["recovered"], welcome["node"]) == (True, two.node.runtime.node)
    assert [await ann.data(), await ann.data()] == [2, 3]
    await one.send("ann", 4)
    assert await ann.data() == 4


async def test_c7_who_shows_a_wrong_token_is_told_plainly_and_gets_nothing_of_it(street: Street) -> None:
    house = await street.house()
    ann, welcome = await house.visitor("ann", recover=True)
    ann.drop()
    await house.gone("ann")
    await house.send("ann", 1)
    ann, again = await house.visitor("ann", session="not.it", offset=welcome["offset"])
    assert again["recovered"] is False
    assert again["session"] != welcome["session"]
    await house.send("ann", 2)
    assert await ann.data() == 2


async def test_c7_who_has_said_goodbye_is_not_waited_for(street: Street) -> None:
    house = await street.house()
    ann, _ = await house.visitor("ann", recover=True)
    await ann.leave()
    await house.gone("ann")
    await eventually(lambda: _is_nobody(house, "ann"))


async def _is_nobody(house: House, uuid: str) -> bool:
    try:
        await house.send(uuid, 1)
    except ClientDoesNotExist:
        return True
    return False


# --- several at once ---------------------------------------------------------


async def test_e1_one_application_has_several_endpoints_and_clients_meet(
    settings: Settings, all_ways: dict[str, Way]
) -> None:
    """A client is the same wherever it comes in, and once among all of them."""
    more = ("tcp", "tcp-lines", "udp", "stub", "sse", "poll")
    async with AsyncExitStack() as stack:
        street = Street(settings, all_ways["websocket"], stack)
        house = await street.house(*(all_ways[name] for name in more))
        assert [type(endpoint) for endpoint in house.broke.endpoints[:2]] == [WebSocketEndpoint, TCPEndpoint]
        assert len({address.split(":")[0] for address in house.node.addresses}) == 5
        people = {f"at-{at}": (await house.visitor(f"at-{at}", at))[0] for at in range(7)}
        for name, visitor in people.items():
            await visitor.send({"to_client": list(people), "data": f"from {name}"})
            assert {await one.data() for one in people.values()} == {f"from {name}"}
        again = await house.stranger("at-0", 1)
        assert await again.closed() == CloseCode.ALREADY_CONNECTED


@pytest.mark.parametrize("other", ["tcp", "sse", "poll"])
async def test_c7_who_comes_by_websocket_comes_back_by_another(
    settings: Settings, all_ways: dict[str, Way], other: str
) -> None:
    """A session is the client's, not its socket's."""
    async with AsyncExitStack() as stack:
        house = await Street(settings, all_ways["websocket"], stack).house(all_ways[other])
        ann, welcome = await house.visitor("ann", 0, recover=True)
        ann.drop()
        await house.gone("ann")
        await house.send("ann", 1)
        ann, welcome = await house.visitor("ann", 1, session=welcome["session"], offset=welcome["offset"])
        assert welcome["recovered"] is True
        assert await ann.data() == 1
