"""Groups against a model: whatever happens in whatever order, who is in them is what the model says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import fakeredis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gobroke_dist.client import Client
from gobroke_dist.errors import ClientAlreadyExists
from gobroke_dist.groups import Groups, Outcome
from gobroke_dist.registry import Member, Registry
from gobroke_dist.settings import Settings
from tests.backends.places import MemoryPlace, Place, RedisPlace
from tests.backends.test_groups_contract import seen

NODES, CLIENTS, GROUPS = ("n1", "n2", "n3"), ("a", "ab", "a\0b"), ("g", "gg")

_node, _client, _group = st.sampled_from(NODES), st.sampled_from(CLIENTS), st.sampled_from(GROUPS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("connect"), _node, _client),
        st.tuples(st.just("disconnect"), _client),
        st.tuples(st.just("keep"), _client),
        st.tuples(st.just("lose"), _client),
        st.tuples(st.just("return_to"), _node, _client),
        st.tuples(st.just("join"), _client, _group),
        st.tuples(st.just("leave"), _client, _group),
        st.tuples(st.just("die"), _node),
        st.tuples(st.just("sweep"), _node),
        st.tuples(st.just("come_back"), _node),
    ),
    max_size=40,
)


@dataclass
class World:
    """A cluster, and what should be so: sessions by uuid, each with its groups; who of them may come back, and who is
    away; and which nodes live.
    """

    place: Place
    registries: dict[str, Registry] = field(default_factory=dict)
    sessions: dict[str, tuple[Client, set[str]]] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    away: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    connections: int = 0
    told: dict[str, set[str]] = field(default_factory=dict)
    done: int = 0

    async def begin(self) -> Groups:
        for name in NODES:
            self.registries[name] = self.place.registry()
            await self.registries[name].join(Member(name, "edge"))
        self.groups = self.place.groups()
        await self.groups.changes("n1", 0, 0)
        return self.groups

    async def connect(self, node: str, uuid: str) -> None:
        if node in self.dead:
            return
        self.connections += 1
        client = Client(uuid, node=node, session=f"s{self.connections}")
        known = self.sessions.get(uuid)
        try:
            await self.registries[node].register(client)
        except ClientAlreadyExists:
            assert known is not None
            assert known[0].node not in self.dead
            assert uuid not in self.away
        else:
            assert known is None or known[0].node in self.dead or uuid in self.away
            self.sessions[uuid] = (client, set())
            self.kept.discard(uuid)
            self.away.discard(uuid)

    async def disconnect(self, uuid: str) -> None:
        if uuid in self.away:
            return
        client, _ = self.sessions.pop(uuid, (None, None))
        if client is not None:
            self.kept.discard(uuid)
            await self.registries[client.node].unregister(client)

    async def keep(self, uuid: str) -> None:
        """It may come back from now on."""
        client, _ = self.sessions.get(uuid, (None, None))
        if client is not None and client.node not in self.dead and uuid not in self.away:
            assert await self.registries[client.node].keep(client, b"secret of " + uuid.encode())
            self.kept.add(uuid)

    async def lose(self, uuid: str) -> None:
        """Its connection is lost, and its node knows that."""
        if uuid not in self.kept:
            await self.disconnect(uuid)
        elif uuid not in self.away and self.sessions[uuid][0].node not in self.dead:
            client, _ = self.sessions[uuid]
            await self.registries[client.node].suspend(client)
            self.away.add(uuid)

    async def return_to(self, node: str, uuid: str) -> None:
        """It comes back, to any node, whether its last connection is known to be lost or not."""
        if node in self.dead:
            return
        self.connections += 1
        client = Client(uuid, node=node, session=f"s{self.connections}")
        back = await self.registries[node].come_back(client, b"secret of " + uuid.encode())
        assert (back is not None) == (uuid in self.kept)
        if back is not None:
            assert back.groups == self.sessions[uuid][1]
            self.sessions[uuid] = (client, self.sessions[uuid][1])
            self.away.discard(uuid)

    async def join(self, uuid: str, group: str) -> None:
        client, groups = self.sessions.get(uuid, (Client(uuid, node="n1", session="never"), set[str]()))
        joined = await self.groups.join(client, group, b"") is not Outcome.NOWHERE
        assert joined == (uuid in self.sessions and (client.node not in self.dead or uuid in self.kept))
        if joined:
            groups.add(group)

    async def leave(self, uuid: str, group: str) -> None:
        client, groups = self.sessions.get(uuid, (Client(uuid, node="n1", session="never"), set[str]()))
        if await self.groups.leave(client, group, b"") is not Outcome.NOWHERE:
            groups.discard(group)

    async def die(self, node: str) -> None:
        if node not in self.dead:
            self.dead.add(node)
            await self.place.expire(node)

    async def sweep(self, node: str) -> None:
        if node not in self.dead:
            for _ in NODES:
                await self.registries[node].renew()

    async def come_back(self, node: str) -> None:
        """As a node does it that was only frozen: it registers again whom it has, with their groups."""
        if node not in self.dead:
            return
        await self.registries[node].renew()
        self.dead.discard(node)
        for client, groups in self.sessions.values():
            if client.node == node and client.uuid not in self.away:
                await self.registries[node].register(client, sorted(groups))

    async def listen(self) -> None:
        """Who hears of each change knows who is in which group, and is told of nothing that it knows already."""
        for change in await self.groups.changes("n1", self.done, 0):
            there = self.told.setdefault(change.group, set())
            assert (change.uuid in there) != change.joined
            (there.add if change.joined else there.discard)(change.uuid)
            self.done = change.number

    async def check(self) -> None:
        for group in GROUPS:
            there = {uuid: client.node for uuid, (client, groups) in self.sessions.items() if group in groups}
            living = {uuid for uuid, node in there.items() if node not in self.dead and uuid not in self.away}
            assert await seen(self.groups, group) == (sorted(living), len(living))


async def played(place: Place, steps: list[tuple[str, ...]]) -> None:
    try:
        world = World(place)
        await world.begin()
        for name, *words in steps:
            await getattr(world, name)(*words)
            await world.check()
            await world.listen()
        for name in NODES:
            await world.come_back(name)
        for name in NODES:
            await world.sweep(name)
        await world.listen()
        for group in GROUPS:
            assert sorted(world.told.get(group, ())) == (await seen(world.groups, group))[0]
    finally:
        await place.close()


@pytest.fixture(params=["memory", "fakeredis", "redis"])
def make_place(request: pytest.FixtureRequest) -> Callable[[], Place]:
    """Makes a new place for each example."""
    if request.param == "memory":
        return MemoryPlace
    if request.param == "fakeredis":
        return lambda: RedisPlace(Settings(prefix="t"), fakeredis.FakeServer())
    url = request.getfixturevalue("redis_url")
    return lambda: RedisPlace(Settings(prefix=f"t{uuid4().hex[:12]}", redis_url=url))


@given(steps=STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_c6_groups_are_what_joins_leaves_and_deaths_make_of_them(
    make_place: Callable[[], Place], steps: list[tuple[str, ...]]
) -> None:
    """Members, their number and their nodes are exact after every step."""
    asyncio.run(played(make_place(), steps))
