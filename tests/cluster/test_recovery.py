"""Clients that lose their connection, or their node, and come back to any node over real WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from endpoints import WebSocketEndpoint
from gobroke_dist import Broke, Client, ClientDoesNotExist, LogicBase, LogicType, Message, RedisUnavailable, Settings
from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.keys import ClusterKeys
from gobroke_dist.node import Node
from gobroke_dist.roles import edge, worker
from gobroke_dist.session import CloseCode
from gobroke_dist.testing.faults import Proxy
from tests.cluster.test_processes import APP, process
from tests.eventually import eventually


@dataclass
class Place:
    """One edge, and the application that it runs."""

    broke: Broke
    node: Node

    @property
    def address(self) -> str:
        return self.node.addresses[0]


@dataclass
class Visitor:
    """A client that remembers where it was, and drops what it has seen."""

    http: ClientSession
    uuid: str
    socket: ClientWebSocketResponse | None = None
    token: str = ""
    offset: int = 0
    recovered: bool | None = None
    got: list[Any] = field(default_factory=list)
    repeated: int = 0
    close_code: int | None = None
    retry_after: int | None = None
    _reading: asyncio.Task[None] | None = None

    async def connect(self, address: str) -> dict[str, Any]:
        query = f"&session={self.token}&offset={self.offset}" if self.token else "&recover=1"
        self.socket = await self.http.ws_connect(f"{address}?client={self.uuid}{query}")
        welcome: dict[str, Any] = await self.socket.receive_json(timeout=5)
        assert welcome["type"] == "welcome", welcome
        self.token, self.recovered = welcome["session"], welcome["recovered"]
        self.offset = max(self.offset, welcome["offset"]) if self.recovered else welcome["offset"]
        self._reading = asyncio.create_task(self._read(self.socket))
        return welcome

    async def _read(self, socket: ClientWebSocketResponse) -> None:
        async for one in socket:
            if one.type is WSMsgType.TEXT:
                frame = json.loads(one.data)
                if frame["type"] != "message":
                    self.retry_after = frame.get("retry_after")
                    continue
                self.repeated += frame["offset"] <= self.offset
                if frame["offset"] > self.offset:
                    self.offset = frame["offset"]
                    self.got.append(frame["data"])
        self.close_code = socket.close_code

    async def ended(self) -> None:
        assert self._reading is not None
        await self._reading

    async def lose_connection(self) -> None:
        """Without a goodbye."""
        assert self.socket is not None
        abort(self.socket)
        await self.ended()

    async def knock(self, address: str) -> ClientWebSocketResponse:
        """Try to come back, without waiting for a welcome."""
        return await self.http.ws_connect(f"{address}?client={self.uuid}&session={self.token}&offset={self.offset}")


def abort(socket: ClientWebSocketResponse) -> None:
    assert socket._response.connection is not None
    transport = socket._response.connection.transport
    assert transport is not None
    transport.abort()


class Many(LogicBase):
    """A WORKER that sends a client each number that it is given."""

    logic_type = LogicType.WORKER

    async def run_logic(self, message: Message) -> None:
        body = message.json()
        await self.send_message_quickly(Message(to_client=body["to"], message_raw=json.dumps(body["n"])))


class House:
    """Edges of one cluster, and visitors."""

    def __init__(self, settings: Settings, stack: AsyncExitStack, http: ClientSession) -> None:
        self.settings = settings
        self.keys = ClusterKeys(settings.prefix)
        self._stack = stack
        self._http = http

    async def edge(self, **changes: Any) -> Place:
        broke = Broke(WebSocketEndpoint(port=0), settings=self.settings.model_copy(update=changes))
        broke.add_logic(Many())
        node = await self._stack.enter_async_context(edge(broke))
        broke._operations = node.runtime.operations
        return Place(broke, node)

    async def worker(self) -> None:
        broke = Broke(WebSocketEndpoint(port=0), settings=self.settings)
        broke.add_logic(Many())
        await self._stack.enter_async_context(worker(broke))

    def visitor(self, uuid: str = "ann") -> Visitor:
        return Visitor(self._http, uuid)


@pytest.fixture
def settings(redis_url: str, prefix: str) -> Settings:
    return Settings(redis_url=redis_url, prefix=prefix, threads=4, drain_timeout=5, node_lease=1.5, recovery_window=20)


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack, ClientSession() as http:
        yield House(settings, stack, http)


async def send(place: Place, number: int, uuid: str = "ann") -> None:
    await place.broke.send_message(Message(to_client=uuid, message_raw=json.dumps(number)))


async def send_all(place: Place, number: int) -> None:
    await place.broke.send_message(Message(to_all=True, message_raw=json.dumps(number)))


async def test_c7_what_was_sent_while_a_client_was_away_comes_when_it_is_back_on_another_node(house: House) -> None:
    one, two, three = await house.edge(), await house.edge(), await house.edge()
    ann = house.visitor()
    welcome = await ann.connect(one.address)
    assert welcome["recovered"] is False
    await send(one, 1)
    await send(two, 2)
    await send_all(three, 3)
    await eventually(lambda: ann.got == [1, 2, 3])
    await ann.lose_connection()
    await send(one, 4)
    await send(two, 5)
    await send_all(one, 6)
    await send_all(three, 7)
    welcome = await ann.connect(two.address)
    assert (welcome["recovered"], welcome["node"]) == (True, two.node.runtime.node)
    await eventually(lambda: ann.got == [1, 2, 3, 4, 5, 6, 7])
    await send(one, 8)
    await send(two, 9)
    await eventually(lambda: ann.got == list(range(1, 10)))
    assert ann.repeated == 0


async def test_c7_it_comes_back_to_the_same_node(house: House) -> None:
    one = await house.edge()
    ann = house.visitor()
    await ann.connect(one.address)
    await ann.lose_connection()
    await eventually(lambda: len(one.node.runtime.hub) == 0)
    await send(one, 1)
    assert (await ann.connect(one.address))["recovered"] is True
    await eventually(lambda: ann.got == [1])


async def test_c7_who_comes_back_before_its_old_connection_is_known_to_be_lost_replaces_it(house: House) -> None:
    one, two = await house.edge(), await house.edge()
    for place in (one, two):
        ann = house.visitor(f"ann-{place.node.runtime.node}")
        await ann.connect(one.address)
        old = ann.socket, ann._reading
        await send(one, 1, ann.uuid)
        await eventually(lambda ann=ann: ann.got == [1])
        assert (await ann.connect(place.address))["recovered"] is True
        assert old[1] is not None
        await asyncio.wait_for(old[1], 5)
        assert old[0] is not None
        assert old[0].close_code == 4503
        await send(two, 2, ann.uuid)
        await eventually(lambda ann=ann: ann.got == [1, 2])
    clients = {client.uuid for client in await one.broke.get_all_clients()}
    assert len(clients) == 2


async def test_c7_who_tries_once_more_while_its_last_attempt_waits_for_redis_is_let_back(
    house: House, redis_url: str
) -> None:
    """It has lost patience; that the edge waits on its behalf still is no reason to tell it not to come back."""
    async with Proxy(redis_url) as proxy:
        one = await house.edge(redis_url=proxy.url, redis_timeout=3, node_lease=10)
        ann = house.visitor()
        await ann.connect(one.address)
        await ann.lose_connection()
        await eventually(lambda: len(one.node.runtime.hub) == 0)
        proxy.silence()
        await ann.knock(one.address)
        await eventually(lambda: "ann" in one.node.runtime.hub)
        again = asyncio.create_task(ann.connect(one.address))
        await asyncio.sleep(0.2)
        proxy.heal()
        assert (await again)["recovered"] is True
        await send(one, 1)
        await eventually(lambda: ann.got == [1])


@pytest.mark.parametrize("failures", [0, 3])
async def test_c7_an_attempt_that_its_client_has_given_up_does_not_keep_it_from_coming_back(
    house: House, redis_url: str, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """A slow edge lets it back after it has come back to another: it hears of that with a code that says: again.

    Also when Redis does not take that news at first. Until it has come, what is sent to the client passes it by.
    """
    async with Proxy(redis_url) as proxy:
        slow, quick = await house.edge(redis_url=proxy.url, redis_timeout=5, node_lease=10), await house.edge()
        ann = house.visitor()
        await ann.connect(quick.address)
        await ann.lose_connection()
        await eventually(lambda: len(quick.node.runtime.hub) == 0)
        proxy.faults.latency = 0.5
        tell, told = slow.node.runtime.bus.publish, []

        async def publish(node: str, data: bytes) -> bool:
            told.append(node)
            if len(told) <= failures:
                raise RedisUnavailable("not now")
            return await tell(node, data)

        monkeypatch.setattr(slow.node.runtime.bus, "publish", publish)
        given_up = await ann.knock(slow.address)
        await eventually(lambda: "ann" in slow.node.runtime.hub)
        abort(given_up)
        assert (await ann.connect(quick.address))["recovered"] is True
        await asyncio.wait_for(ann.ended(), 5)
        assert ann.close_code == CloseCode.UNAVAILABLE
        proxy.faults.latency = 0.0
        await send(quick, 1)
        assert (await ann.connect(quick.address))["recovered"] is True
        await eventually(lambda: ann.got == [1])


async def test_c7_a_token_that_is_not_the_clients_lets_nobody_in(house: House) -> None:
    one = await house.edge()
    ann, eve = house.visitor(), house.visitor()
    await ann.connect(one.address)
    eve.token = ann.token[:5] + "x" + ann.token[6:]
    with pytest.raises(TypeError):  # it is closed before any welcome
        await eve.connect(one.address)
    assert eve.socket is not None
    assert eve.socket.close_code == 4501
    await ann.lose_connection()
    await eventually(lambda: len(one.node.runtime.hub) == 0)
    await send(one, 1)
    assert (await eve.connect(one.address))["recovered"] is False  # nobody is here under this name: it is a new one
    with pytest.raises(TypeError):
        await ann.connect(one.address)
    assert eve.got == []


async def test_c7_who_says_goodbye_is_not_waited_for(house: House) -> None:
    one = await house.edge()
    ann = house.visitor()
    await ann.connect(one.address)
    assert ann.socket is not None
    await ann.socket.close()
    await eventually(lambda: len(one.node.runtime.hub) == 0)
    with pytest.raises(Exception, match="ann"):
        await send(one, 1)
    assert (await ann.connect(one.address))["recovered"] is False


async def test_c5_c7_who_is_removed_while_it_is_away_does_not_come_back(house: House) -> None:
    """Its groups go with it, and nothing of what it was sent is given to who connects under its name."""
    one, two = await house.edge(), await house.edge()
    ann = house.visitor()
    await ann.connect(one.address)
    await one.broke.join_group("ann", "room")
    await ann.lose_connection()
    await eventually(lambda: len(one.node.runtime.hub) == 0)
    await send(two, 1)
    await two.broke.remove_client("ann")
    with pytest.raises(ClientDoesNotExist):
        await two.broke.remove_client("ann")
    with pytest.raises(ClientDoesNotExist):
        await send(one, 2)
    assert (await ann.connect(two.address))["recovered"] is False
    await say(one, "room", 3)
    await send(one, 4)
    await eventually(lambda: ann.got == [4])


async def test_c7_who_comes_too_late_is_told_so(house: House) -> None:
    one = await house.edge(recovery_window=0.3)
    ann = house.visitor()
    await ann.connect(one.address)
    await ann.lose_connection()
    await eventually(lambda: len(one.node.runtime.hub) == 0)
    await send(one, 1)
    await asyncio.sleep(0.4)
    assert (await ann.connect(one.address))["recovered"] is False
    await send(one, 2)
    await eventually(lambda: ann.got == [2])
    await ann.lose_connection()

    redis = connect(house.settings)

    async def forgotten() -> bool:
        counts = [await redis.hlen(house.keys.away), await redis.zcard(house.keys.away_until)]
        return [*counts, await redis.hlen(house.keys.secrets)] == [0, 0, 0]

    await eventually(forgotten, within=15)
    await redis.aclose()


async def test_c7_never_a_part_when_the_log_has_not_kept_all(house: House) -> None:
    one = await house.edge(log_length=100)
    ann = house.visitor()
    await ann.connect(one.address)
    await ann.lose_connection()
    await eventually(lambda: len(one.node.runtime.hub) == 0)
    for number in range(600):
        await send(one, number)
    assert (await ann.connect(one.address))["recovered"] is False
    await send(one, 7)
    await eventually(lambda: ann.got == [7])


async def test_c7_more_than_an_outbox_holds_comes_when_a_client_is_back(house: House) -> None:
    one, two = await house.edge(channel_size=50), await house.edge(channel_size=50)
    ann = house.visitor()
    await ann.connect(one.address)
    await ann.lose_connection()
    await eventually(lambda: len(one.node.runtime.hub) == 0)
    for number in range(1000):
        await send(two, number)
    assert (await ann.connect(two.address))["recovered"] is True
    for number in range(1000, 1040):
        await send(one, number)
    await eventually(lambda: ann.got == list(range(1040)), within=5)


async def say(place: Place, group: str, number: int) -> None:
    await place.broke.send_message(Message(to_group=group, message_raw=json.dumps(number)))


async def test_c7_c6_what_its_groups_were_sent_while_a_client_was_away_comes_when_it_is_back(house: House) -> None:
    """What a group was sent before it joined, or after it left, does not; nor what it sent itself."""
    one, two, three = await house.edge(), await house.edge(), await house.edge()
    ann, ben = house.visitor(), house.visitor("ben")
    await ann.connect(one.address)
    await ben.connect(three.address)
    for uuid in ("ann", "ben"):
        await two.broke.join_group(uuid, "red")
    await say(one, "red", 1)
    await say(two, "red", 2)
    await eventually(lambda: ann.got == ben.got == [1, 2])
    await ann.lose_connection()
    await say(two, "red", 3)
    await say(one, "blue", 100)
    await three.broke.join_group("ann", "blue")
    await say(one, "blue", 4)
    await three.broke.leave_group("ann", "red")
    await say(two, "red", 101)
    await send_all(three, 5)
    await two.broke.send_message(
        Message(to_group="blue", to_client="ben", from_client=Client(uuid="ann"), message_raw=b"102")
    )
    await two.broke.send_message(Message(to_group=["red", "blue"], to_client="ann", message_raw=b"6"))
    assert [client.uuid for client in await one.broke.get_group("blue")] == []
    assert (await ann.connect(two.address))["recovered"] is True
    await say(three, "blue", 7)
    await say(two, "blue", 8)
    await say(two, "red", 103)
    await send(one, 9)
    await eventually(lambda: ann.got == list(range(1, 10)))
    await eventually(lambda: ben.got == [1, 2, 3, 101, 5, 102, 6, 103])
    assert (ann.repeated, ben.repeated) == (0, 0)
    assert [client.node for client in await one.broke.get_group("blue")] == [two.node.runtime.node]


async def test_c6_a_worker_puts_a_client_into_a_group_that_has_come_back_since_it_asked(house: House) -> None:
    """The message names the connection that asked; the client has another one by now, or none at the moment."""
    one, two = await house.edge(), await house.edge()
    ann = house.visitor()
    await ann.connect(one.address)
    asked = await two.broke.get_client("ann")
    await ann.lose_connection()
    await two.broke.join_group(asked, "red")
    assert (await ann.connect(two.address))["recovered"] is True
    await one.broke.join_group(asked, "blue")
    await say(one, "red", 1)
    await say(two, "blue", 2)
    await eventually(lambda: ann.got == [1, 2])
    await two.broke.leave_group(asked, "red")
    await say(two, "red", 3)
    await say(two, "blue", 4)
    await eventually(lambda: ann.got == [1, 2, 4])


@pytest.mark.parametrize("seed", range(3))
async def test_c7_c6_through_one_lost_connection_after_the_other_its_groups_lose_and_repeat_nothing(
    house: House, seed: int
) -> None:
    """Two members, on any nodes, and two edges that speak to the group."""
    dice = random.Random(seed)
    places = [await house.edge() for _ in range(3)]
    visitors = [house.visitor(uuid) for uuid in ("ann", "ben")]
    for visitor in visitors:
        await visitor.connect(dice.choice(places).address)
        await places[0].broke.join_group(visitor.uuid, "room")

    async def speak(place: Place, first: int) -> None:
        for number in range(first, first + 200):
            await say(place, "room", number)
            await asyncio.sleep(0.002)

    speaking = asyncio.gather(speak(places[0], 0), speak(places[1], 1000))
    while not speaking.done():
        await asyncio.sleep(dice.uniform(0.005, 0.1))
        visitor = dice.choice(visitors)
        await visitor.lose_connection()
        await asyncio.sleep(dice.choice([0, 0, 0.05]))
        assert (await visitor.connect(dice.choice(places).address))["recovered"] is True
    await speaking
    for visitor in visitors:
        await eventually(lambda visitor=visitor: len(visitor.got) >= 400, within=5)
        assert [number for number in visitor.got if number < 1000] == list(range(200))
        assert [number for number in visitor.got if number >= 1000] == list(range(1000, 1200))
        assert visitor.repeated == 0


async def test_c10_a_redis_that_was_emptied_is_told_to_a_client_that_comes_back(house: House) -> None:
    one = await house.edge()
    ann = house.visitor()
    await ann.connect(one.address)
    await send(one, 1)
    await eventually(lambda: ann.got == [1])
    redis = connect(house.settings)
    for key in await redis.keys(f"{house.settings.prefix}:*"):
        await redis.delete(key)
    await redis.aclose()

    await asyncio.wait_for(ann.ended(), 5)
    assert ann.close_code == 4003
    assert (await ann.connect(one.address))["recovered"] is False
    await send(one, 2)
    await eventually(lambda: ann.got == [1, 2])
    await ann.lose_connection()
    await send(one, 3)
    assert (await ann.connect(one.address))["recovered"] is True
    await eventually(lambda: ann.got == [1, 2, 3])


@pytest.mark.parametrize("seed", range(4))
async def test_c7_through_one_lost_connection_after_the_other_nothing_is_lost_or_repeated(
    house: House, seed: int
) -> None:
    dice = random.Random(seed)
    places = [await house.edge() for _ in range(3)]
    await house.worker()
    ann = house.visitor()
    await ann.connect(dice.choice(places).address)

    async def speak() -> None:
        for number in range(400):
            if number % 10 == 9:
                await send_all(places[0], number)
            else:
                await send(places[0], number)
            await asyncio.sleep(0.002)

    speaking = asyncio.create_task(speak())
    back = 0
    while not speaking.done():
        await asyncio.sleep(dice.uniform(0.005, 0.1))
        await ann.lose_connection()
        await asyncio.sleep(dice.choice([0, 0, 0.05]))
        assert (await ann.connect(dice.choice(places).address))["recovered"] is True
        back += 1
    speaking.result()
    await eventually(lambda: len(ann.got) >= 400, within=5)
    assert ann.got == list(range(400))
    assert back > 5


async def test_c7_what_workers_send_to_a_client_that_is_away_waits_for_it(house: House) -> None:
    one, two = await house.edge(), await house.edge()
    await house.worker()
    ann = house.visitor()
    await ann.connect(one.address)
    await ann.lose_connection()
    for number in range(50):
        message = Message(to_logic="many", message_raw=json.dumps({"to": "ann", "n": number}))
        await two.broke.send_message(message)
    await asyncio.sleep(0.3)
    assert (await ann.connect(two.address))["recovered"] is True
    await eventually(lambda: ann.got == list(range(50)), within=10)


async def test_c7_a_client_whose_node_was_killed_comes_back_to_another_and_misses_nothing(
    house: House, redis_url: str, prefix: str
) -> None:
    one = await house.edge()
    ann = house.visitor()
    environment = {"GOBROKE_REDIS_URL": redis_url, "GOBROKE_PREFIX": prefix, "GOBROKE_NODE_LEASE": "1.5"}
    with _killable(environment) as (kill, address):
        await ann.connect(address)
        sent = 0
        for _ in range(100):
            await send(one, sent)
            sent += 1
        kill()
        for _ in range(150):  # beyond its lease
            await send(one, sent)
            sent += 1
            await asyncio.sleep(0.02)
    assert ann._reading is not None
    await ann._reading
    assert (await ann.connect(one.address))["recovered"] is True
    await eventually(lambda: ann.got == list(range(sent)), within=5)
    assert ann.repeated == 0


def _killable(environment: dict[str, str]) -> Any:
    @contextlib.contextmanager
    def running() -> Any:
        with (
            contextlib.suppress(AssertionError),
            process("gobroke_dist.cli", "edge", APP, says=r"ws://\S+", **environment) as (started, said),
        ):
            address = re.search(r"ws://[^\s,]+", said)
            assert address is not None
            yield (lambda: started.send_signal(signal.SIGKILL)), address[0]

    return running()


class Crowd:
    """Clients that are sent numbers by one edge, and stay connected to those of some addresses.

    Attributes:
        addresses: of the edges that they may connect to; the oldest first.
    """

    def __init__(self, place: Place, visitors: list[Visitor]) -> None:
        self.addresses: list[str] = []
        self._place = place
        self._visitors = visitors
        self._done = asyncio.Event()

    async def stay(self) -> None:
        """Be connected, each of them, until they are let go; they come back when they were told to."""
        await asyncio.gather(*(self._stay(visitor, number) for number, visitor in enumerate(self._visitors)))

    async def _stay(self, visitor: Visitor, number: int) -> None:
        await visitor.connect(self.addresses[number % len(self.addresses)])
        await visitor.ended()
        while not self._done.is_set():
            assert (visitor.close_code, visitor.retry_after is None) == (CloseCode.GOING_AWAY, False)
            await asyncio.sleep((visitor.retry_after or 0) / 1000)
            assert (await visitor.connect(self.addresses[0]))["recovered"] is True
            await visitor.ended()

    async def hear(self) -> int:
        """Be sent numbers until they are let go. Returns how many."""
        number = 0
        while not self._done.is_set():
            for visitor in self._visitors:
                await send(self._place, number, visitor.uuid)
            number += 1
            await asyncio.sleep(0.01)
        return number

    def let_go(self) -> None:
        self._done.set()


async def test_e7_c7_a_rolling_restart_of_all_edges_under_load_loses_nothing(
    house: House, redis_url: str, prefix: str
) -> None:
    """Three edge processes are ended and started anew in turn, while their clients are sent numbers."""
    visitors = [house.visitor(f"client-{n}") for n in range(6)]
    crowd = Crowd(await house.edge(), visitors)
    environment = {"GOBROKE_REDIS_URL": redis_url, "GOBROKE_PREFIX": prefix, "GOBROKE_RETRY_SPREAD": "0.5"}
    edges = [_edge(environment) for _ in range(6)]
    for running in edges[:3]:
        crowd.addresses.append((await asyncio.to_thread(running.__enter__))[1])
    staying = asyncio.create_task(crowd.stay())
    await eventually(lambda: all(visitor.token for visitor in visitors))
    hearing = asyncio.create_task(crowd.hear())
    for old, new in zip(edges[:3], edges[3:], strict=True):
        del crowd.addresses[0]
        await asyncio.to_thread(old.__exit__, None, None, None)  # asserts that it ends with exit code 0
        crowd.addresses.append((await asyncio.to_thread(new.__enter__))[1])
    crowd.let_go()
    sent = await hearing
    await eventually(lambda: all(len(visitor.got) >= sent for visitor in visitors), within=10)
    for running in edges[3:]:
        await asyncio.to_thread(running.__exit__, None, None, None)
    await staying
    assert [(visitor.got, visitor.repeated) for visitor in visitors] == [(list(range(sent)), 0)] * 6


async def test_e7_a_second_sigterm_ends_an_edge_at_once(house: House, redis_url: str, prefix: str) -> None:
    """While it waits for a client that does not answer its goodbye."""
    environment = {"GOBROKE_REDIS_URL": redis_url, "GOBROKE_PREFIX": prefix}
    with (
        contextlib.suppress(AssertionError),  # it does not end as it should otherwise
        process("gobroke_dist.cli", "edge", APP, says=r"ws://\S+", **environment) as (started, said),
    ):
        address = re.search(r"ws://[^\s,]+", said)
        assert address is not None
        async with ClientSession() as http, http.ws_connect(f"{address[0]}?client=ann", autoclose=False) as socket:
            await socket.receive_json(timeout=5)
            started.send_signal(signal.SIGTERM)
            while (await socket.receive(timeout=5)).type is not WSMsgType.CLOSE:
                pass
            assert started.poll() is None
            started.send_signal(signal.SIGTERM)
            await asyncio.to_thread(started.wait, 2)
    assert started.returncode == 128 + signal.SIGTERM


@contextlib.contextmanager
def _edge(environment: dict[str, str]) -> Iterator[tuple[Any, str]]:
    with process("gobroke_dist.cli", "edge", APP, says=r"ws://\S+", **environment) as (started, said):
        address = re.search(r"ws://[^\s,]+", said)
        assert address is not None
        yield started, address[0]
