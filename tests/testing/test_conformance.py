"""The same application on the in-memory cluster and on the real thing: clients see the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import redis.asyncio
from pydantic import BaseModel

from endpoints import StubEndpoint, WebSocketEndpoint
from gobroke_dist import Broke, Endpoint, LogicBase, LogicDoesNotExist, LogicType, Message, Settings
from gobroke_dist.keys import QueueKeys
from gobroke_dist.roles import edge, worker
from gobroke_dist.testing import Cluster, MemoryClient
from tests.eventually import eventually
from tests.examples.websocket_client import WebSocketClient, connected

Frames = list[dict[str, Any]]


class Echo(LogicBase):
    """DISPATCHED."""

    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))


class Shout(LogicBase):
    """DISPATCHED, on a thread, to everybody."""

    def run_logic(self, message: Message) -> None:
        self.send_message(Message(to_all=True, message_raw=message.message_raw, metadata={"loud": True}))


class Ledger(LogicBase):
    """A WORKER whose run fails as often as the message says, after it has sent."""

    logic_type = LogicType.WORKER
    min_backoff = 0.02
    max_backoff = 0.05
    max_attempts = 3

    async def run_logic(self, message: Message) -> None:
        order = message.json()
        answer = {"n": order["n"], "attempt": message.delivery.attempt}
        await self.send_message(Message(to_client=[message.from_client, "ben"], message_raw=json.dumps(answer)))
        await self.send_message(Message(to_logic="plain", message_raw=json.dumps(answer)))
        if message.delivery.attempt <= order.get("fails", 0):
            raise ValueError(f"{order['n']} fails")


class Move(BaseModel):
    x: int


class Typed(LogicBase):
    """A WORKER with a payload model, which sends to a DISPATCHED logic and to one that is not there."""

    logic_type = LogicType.WORKER
    payload = Move

    def run_logic(self, message: Message) -> None:
        self.send_message(Message(to_logic="shout", message_raw=str(message.payload.x)))
        try:
            self.send_message(Message(to_logic="ghost"))
        except LogicDoesNotExist as error:
            self.send_message(Message(to_client=message.from_client, message_raw=error.logic))


class Plain(LogicBase):
    """A WORKER on a thread, which tells everybody."""

    logic_type = LogicType.WORKER

    def run_logic(self, message: Message) -> None:
        self.send_message(Message(to_all=True, message_raw=message.message_raw))


def application(endpoint: Endpoint, settings: Settings) -> Broke:
    """Each real process has logic objects of its own."""
    broke = Broke(endpoint, settings=settings)
    for logic in (Echo(), Shout(), Ledger(), Plain(), Typed()):
        broke.add_logic(logic)
    return broke


class Player(Protocol):
    """One client, wherever it is connected."""

    async def send(self, frame: dict[str, Any]) -> None: ...
    async def frames(self, count: int) -> Frames:
        """All that came after the welcome, once that is ``count`` frames and no more come."""
        ...


class InMemory:
    def __init__(self, client: MemoryClient, cluster: Cluster) -> None:
        self._client, self._cluster = client, cluster

    async def send(self, frame: dict[str, Any]) -> None:
        await self._client.send(frame)

    async def frames(self, count: int) -> Frames:
        await self._cluster.advance(1)
        return self._client.frames[1:]


class Real:
    def __init__(self, client: WebSocketClient) -> None:
        self._client = client

    async def send(self, frame: dict[str, Any]) -> None:
        await self._client.socket.send_json(frame)

    async def frames(self, count: int) -> Frames:
        await eventually(lambda: len(self._client.frames) >= count, within=15)
        return list(self._client.frames)


Dead = Callable[[], Awaitable[list[tuple[str, str, int]]]]


@asynccontextmanager
async def in_memory(settings: Settings) -> AsyncIterator[tuple[Player, Player, Dead]]:
    async with Cluster(application(StubEndpoint(), settings), nodes=2) as cluster:
        ann, ben = [InMemory(await cluster.connect(uuid, node=n), cluster) for n, uuid in enumerate(("ann", "ben"))]

        async def dead() -> list[tuple[str, str, int]]:
            return [(letter.reason, letter.error, letter.attempts) for letter in cluster.dead("ledger")]

        yield ann, ben, dead


@asynccontextmanager
async def for_real(settings: Settings) -> AsyncIterator[tuple[Player, Player, Dead]]:
    """Two edges with WebSockets and a worker, on Redis."""
    async with AsyncExitStack() as stack:
        players = []
        for uuid in ("ann", "ben"):
            node = await stack.enter_async_context(edge(application(WebSocketEndpoint(port=0), settings)))
            client = await stack.enter_async_context(connected(node.addresses[0], client=uuid))
            players.append(Real(client))
        await stack.enter_async_context(worker(application(StubEndpoint(), settings)))
        commands = await stack.enter_async_context(redis.asyncio.Redis.from_url(settings.redis_address))

        async def dead() -> list[tuple[str, str, int]]:
            letters = await commands.hvals(QueueKeys(settings.prefix, "ledger").dead_messages)
            found = [json.loads(letter)["options"] for letter in letters]
            return [(one["dead_reason"], one["error"], one["attempts"]) for one in found]

        yield players[0], players[1], dead


async def scenario(ann: Player, ben: Player, dead: Dead) -> dict[str, Any]:
    """What clients saw, step by step; and the dead letters at the end."""
    saw: dict[str, Any] = {}
    counts = {"ann": 0, "ben": 0}

    async def step(name: str, *, ann_gets: int, ben_gets: int) -> None:
        for who, player, gets in (("ann", ann, ann_gets), ("ben", ben, ben_gets)):
            frames = await player.frames(counts[who] + gets)
            saw[f"{name}, {who}"] = [comparable(frame) for frame in frames[counts[who] :]]
            counts[who] = len(frames)

    await ann.send({"to_logic": "echo", "data": {"a": [1, None]}, "uuid": "e1"})
    await step("a DISPATCHED reply", ann_gets=1, ben_gets=0)
    await ann.send({"to_client": "nobody", "data": 1, "uuid": "u1"})
    await ann.send({"to_logic": "ghost", "data": 1, "uuid": "u2"})
    await ann.send({"to_logic": "echo", "dato": 1})
    await step("errors", ann_gets=3, ben_gets=0)
    await ben.send({"to_client": ["ann", "ben"], "data": "hello", "uuid": "h1", "metadata": {"m": 1}})
    await step("client to clients", ann_gets=1, ben_gets=1)
    await ann.send({"to_logic": "shout", "data": "all"})
    await step("a broadcast", ann_gets=1, ben_gets=1)
    for n in range(5):
        await ann.send({"to_logic": "ledger", "data": {"n": n, "fails": 2 if n == 1 else 0}})
    await step("order with retries", ann_gets=10, ben_gets=10)
    await ann.send({"to_logic": "ledger", "data": {"n": 10, "fails": 99}})
    await ann.send({"to_logic": "ledger", "data": {"n": 11}, "uuid": "once"})
    await ann.send({"to_logic": "ledger", "data": {"n": 11}, "uuid": "once"})
    await ann.send({"to_logic": "ledger", "data": {"n": 12}})
    await step("after a dead letter, each uuid once", ann_gets=4, ben_gets=4)
    await ann.send({"to_logic": "typed", "data": {"x": "no number"}, "uuid": "t1"})
    await ann.send({"to_logic": "typed", "data": {"x": 7}})
    await step("payloads; a WORKER to a DISPATCHED logic", ann_gets=3, ben_gets=1)
    saw["dead"] = await dead()
    return saw


def comparable(frame: dict[str, Any]) -> dict[str, Any]:
    """Without what is new in every run: the uuid of what a logic sent."""
    return frame if frame["type"] == "error" else {name: frame[name] for name in frame if name != "uuid"}


def by_sender(frames: Frames) -> dict[str | None, Frames]:
    """Two WORKER logics are not in one order: each is compared by itself."""
    senders = {frame.get("from_logic") for frame in frames}
    return {sender: [one for one in frames if one.get("from_logic") == sender] for sender in senders}


def test_o8_clients_see_the_same_in_memory_as_for_real(redis_url: str, prefix: str) -> None:
    """Order with retries, effects of failed runs, errors, replies, broadcasts, dead letters, duplicates."""
    settings = Settings(redis_url=redis_url, prefix=prefix, threads=2, worker_lease=5, drain_timeout=5)

    async def run(place: Callable[[Settings], Any]) -> dict[str, Any]:
        async with place(settings) as (ann, ben, dead):
            return await scenario(ann, ben, dead)

    memory, real = asyncio.run(run(in_memory)), asyncio.run(run(for_real))
    assert memory.keys() == real.keys()
    assert memory.pop("dead") == real.pop("dead") == [("attempts", "ValueError: 10 fails", 3)]
    for step, frames in memory.items():
        assert by_sender(frames) == by_sender(real[step]), step
    ledger = [frame["data"] for frame in memory["order with retries, ben"] if frame["from_logic"] == "ledger"]
    assert ledger == [{"n": n, "attempt": 3 if n == 1 else 1} for n in range(5)]
