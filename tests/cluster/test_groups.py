"""Groups over several edges and a worker: who is in them, who gets what, once, in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gobroke_dist import Client, ClientAlreadyExists, ClientDoesNotExist, GroupInvalid, LogicBase, LogicType, Message
from tests.cluster.conftest import Cluster, Edge
from tests.cluster.test_processes import APP, ROOT
from tests.cluster.test_routing_over_nodes import listening
from tests.eventually import eventually, eventually_sync

SHORT = {"node_lease": 0.6}


def texts(edge: Edge, client: Client) -> list[str]:
    """What a client got."""
    return [message.message_raw.decode() for message in edge.stub.received(client)]


async def members(edge: Edge, group: str) -> list[str]:
    """Who is in a group, as an edge says."""
    return sorted(client.uuid for client in await edge.broke.get_group(group))


async def freeze(edge: Edge) -> None:
    """Stop an edge's background work, so that its lease runs out."""
    background = tuple(edge.node.runtime._background)
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)


def thaw(edge: Edge) -> None:
    """Let it go on."""
    edge.node.runtime.keep(edge.node._register_all)
    edge.node.runtime.every(0.2, edge.node._write_behind)


async def test_c6_a_message_to_a_group_is_one_publish_per_node_with_members(cluster: Cluster) -> None:
    """Of three nodes two have members; the third hears nothing, and each member gets the message once."""
    one, two, three = await cluster.edge(), await cluster.edge(), await cluster.edge()
    clients = [(edge, await edge.stub.simulate_client_connection()) for edge in (one, two, two, two)]
    outsider = await three.stub.simulate_client_connection()
    for _, client in clients:
        await three.broke.join_group(client, "room")
    async with listening(cluster.settings) as heard:
        await three.broke.send_message(Message(to_group="room", message_raw=b"hi"))
        for edge, client in clients:
            assert (await edge.stub.next_message(client)).message_raw == b"hi"
        await one.broke.send_message(Message(to_group="room", message_raw=b"from a node with a member"))
        for edge, client in clients:
            assert (await edge.stub.next_message(client)).message_raw == b"from a node with a member"
    first, second = (edge.node.runtime.keys.channel(edge.node.runtime.node).name for edge in (one, two))
    assert sorted(heard) == sorted([first, second] * 2)
    assert (texts(three, outsider), [len(texts(edge, client)) for edge, client in clients]) == ([], [2] * 4)


class Doorman(LogicBase):
    """Does what a client asks of it, with the group named in the payload."""

    async def run_logic(self, message: Message) -> None:
        assert message.from_client is not None
        word, group = message.message_raw.decode().split()
        if word == "join":
            await self.join_group(message.from_client, group)
            count = await self.count_group(group)
            await self.send_message(Message(to_group=group, message_raw=f"{message.from_client.uuid} is {count}"))
        else:
            await self.leave_group(message.from_client, group)
            names = sorted(client.uuid for client in await self.get_group(group))
            await self.send_message(Message(to_group=group, message_raw=f"left: {','.join(names)}"))


class PlainDoorman(LogicBase):
    """The same without async."""

    def run_logic(self, message: Message) -> None:
        assert message.from_client is not None
        word, group = message.message_raw.decode().split()
        if word == "join":
            self.join_group(message.from_client, group)
            count = self.count_group(group)
            self.send_message(Message(to_group=group, message_raw=f"{message.from_client.uuid} is {count}"))
        else:
            self.leave_group(message.from_client, group)
            names = sorted(client.uuid for client in self.get_group(group))
            self.send_message(Message(to_group=group, message_raw=f"left: {','.join(names)}"))


@pytest.mark.parametrize("kind", [LogicType.DISPATCHED, LogicType.WORKER])
@pytest.mark.parametrize("doorman", [Doorman, PlainDoorman])
async def test_c6_a3_logic_joins_and_leaves_for_clients_wherever_it_runs(
    cluster: Cluster, kind: LogicType, doorman: type[LogicBase]
) -> None:
    """On an edge and in a worker, async or not: what it sends after joining reaches who has joined."""
    one = await cluster.edge(doorman("door", kind))
    two = await cluster.edge(doorman("door", kind))
    await cluster.worker(doorman("door", kind))
    ann = await one.stub.simulate_client_connection(Client(uuid="ann"))
    ben = await two.stub.simulate_client_connection(Client(uuid="ben"))
    await one.stub.simulate_client_message(ann, [], "join room", to_logic="door")
    await eventually(lambda: texts(one, ann) == ["ann is 1"], within=10)
    await two.stub.simulate_client_message(ben, [], "join room", to_logic="door")
    await eventually(lambda: texts(one, ann) == ["ann is 1", "ben is 2"], within=10)
    await eventually(lambda: texts(two, ben) == ["ben is 2"], within=10)
    await one.stub.simulate_client_message(ann, [], "leave room", to_logic="door")
    await eventually(lambda: texts(two, ben) == ["ben is 2", "left: ben"], within=10)
    assert texts(one, ann) == ["ann is 1", "ben is 2"]


async def test_c6_r7_who_is_reached_in_several_ways_gets_a_message_once(cluster: Cluster) -> None:
    """Two groups that overlap, and one of their members named as well, on this node and on another."""
    one, two = await cluster.edge(), await cluster.edge()
    near = await one.stub.simulate_client_connection(Client(uuid="near"))
    far = await two.stub.simulate_client_connection(Client(uuid="far"))
    only_named = await two.stub.simulate_client_connection(Client(uuid="only-named"))
    for client in (near, far):
        for group in ("red", "blue"):
            await one.broke.join_group(client.uuid, group)
    await one.broke.send_message(
        Message(to_group=["red", "blue", "red"], to_client=[near, far, only_named], message_raw=b"once")
    )
    await one.broke.send_message(Message(to_client=[near, far, only_named], message_raw=b"end"))
    for edge, client in ((one, near), (two, far), (two, only_named)):
        await eventually(lambda edge=edge, client=client: texts(edge, client)[-1:] == ["end"], within=5)
        assert texts(edge, client) == ["once", "end"]


async def test_c6_r7_who_is_named_where_it_was_and_a_member_where_it_is_gets_a_message_once(cluster: Cluster) -> None:
    """What follows a client to its new node finds that it got the message there already."""
    one, two, three = await cluster.edge(), await cluster.edge(), await cluster.edge()
    old = await one.stub.simulate_client_connection(Client(uuid="ann"))
    snapshot = Client(uuid="ann", node=old.node, session=old.session)
    await one.broke.remove_client("ann")
    ann = await two.stub.simulate_client_connection(Client(uuid="ann"))
    await three.broke.join_group("ann", "room")
    await three.broke.send_message(Message(to_group="room", to_client=snapshot, message_raw=b"once"))
    await eventually(lambda: texts(two, ann) == ["once"], within=5)
    await asyncio.sleep(0.3)  # a second one would have time to show
    assert texts(two, ann) == ["once"]


async def test_c6_the_sender_is_left_out_unless_it_asks_not_to_be(cluster: Cluster) -> None:
    """As with to_all; a client that is named gets it whatever else."""
    one, two = await cluster.edge(), await cluster.edge()
    ann = await one.stub.simulate_client_connection(Client(uuid="ann"))
    ben = await two.stub.simulate_client_connection(Client(uuid="ben"))
    for client in (ann, ben):
        await one.broke.join_group(client, "room")
    for edge in (one, two):  # the sender is here, and there
        await edge.broke.send_message(Message(to_group="room", from_client=ann, message_raw=b"others"))
        await edge.broke.send_message(
            Message(to_group="room", from_client=ann, exclude_sender=False, message_raw=b"all")
        )
        await edge.broke.send_message(Message(to_group="room", to_client=ann, from_client=ann, message_raw=b"named"))
    await eventually(lambda: texts(two, ben) == ["others", "all", "named"] * 2, within=5)
    await eventually(lambda: texts(one, ann) == ["all", "named"] * 2, within=5)


async def test_c6_r5_a_sender_that_joins_a_client_and_then_writes_to_the_group_reaches_it(cluster: Cluster) -> None:
    """From the client's own node, from another, and between single messages: always in the order of the calls."""
    one, two = await cluster.edge(), await cluster.edge()
    near = await one.stub.simulate_client_connection(Client(uuid="near"))
    far = await two.stub.simulate_client_connection(Client(uuid="far"))
    expected = []
    for number in range(50):
        for client in (near, far):
            await one.broke.join_group(client, "room")
        await one.broke.send_message(Message(to_group="room", message_raw=f"in {number}"))
        await one.broke.send_message(Message(to_client=[near, far], message_raw=f"between {number}"))
        for client in (near, far):
            await one.broke.leave_group(client, "room")
        await one.broke.send_message(Message(to_group="room", message_raw=f"out {number}"))
        expected += [f"in {number}", f"between {number}"]
    for edge, client in ((one, near), (two, far)):
        await eventually(lambda edge=edge, client=client: len(texts(edge, client)) >= len(expected), within=5)
        assert texts(edge, client) == expected


async def test_c6_who_disconnects_or_is_removed_leaves_at_once(cluster: Cluster) -> None:
    """Nobody finds it in a group any more, and when it is back it is in none."""
    one, two = await cluster.edge(), await cluster.edge()
    ann = await one.stub.simulate_client_connection(Client(uuid="ann"))
    ben = await two.stub.simulate_client_connection(Client(uuid="ben"))
    for client in (ann, ben):
        await two.broke.join_group(client, "room")
    await one.stub.simulate_client_disconnection(ann)
    assert (await members(two, "room"), await one.broke.count_group("room")) == (["ben"], 1)
    await one.broke.remove_client("ben")
    assert (await members(one, "room"), await two.broke.count_group("room")) == ([], 0)
    with pytest.raises(ClientDoesNotExist, match="'ann'"):
        await two.broke.join_group(ann, "room")  # that connection is over
    await two.broke.leave_group(ann, "room")  # which is so already
    again = await two.stub.simulate_client_connection(Client(uuid="ann"))
    await one.broke.send_message(Message(to_group="room", message_raw=b"nobody"))
    await one.broke.send_message(Message(to_client="ann", message_raw=b"end"))
    await eventually(lambda: texts(two, again) == ["end"], within=5)
    assert not one.node.runtime.hub.membership
    assert not two.node.runtime.hub.membership


async def test_c6_c3_a_node_that_was_frozen_brings_its_members_back(cluster: Cluster) -> None:
    """While it is away they are in no group; what they left before is not joined again."""
    settings = cluster.settings.model_copy(update=SHORT)
    one = await cluster.edge(broke=cluster.broke(settings=settings))
    two = await cluster.edge(broke=cluster.broke(settings=settings))
    ann = await one.stub.simulate_client_connection(Client(uuid="ann"))
    for group in ("red", "blue"):
        await two.broke.join_group("ann", group)
    await freeze(one)
    await two.broke.leave_group("ann", "red")

    assert await members(two, "blue") == ["ann"]

    async def swept() -> bool:
        return await two.node.runtime.registry.count() == 0

    await eventually(swept, within=5)
    assert (await members(two, "blue"), await two.broke.count_group("blue")) == ([], 0)
    thaw(one)

    async def back() -> bool:
        return await members(two, "blue") == ["ann"]

    await eventually(back, within=5)
    assert await members(two, "red") == []
    await two.broke.send_message(Message(to_group=["red", "blue"], message_raw=b"welcome back"))
    await eventually(lambda: texts(one, ann) == ["welcome back"], within=5)


async def test_c6_c2_a_client_that_moved_while_its_node_was_frozen_is_in_no_group(cluster: Cluster) -> None:
    """Its old node comes back and can't bring it back: the client is the new node's, and has joined nothing."""
    settings = cluster.settings.model_copy(update=SHORT)
    one = await cluster.edge(broke=cluster.broke(settings=settings))
    two = await cluster.edge(broke=cluster.broke(settings=settings))
    old = await one.stub.simulate_client_connection(Client(uuid="ann"))
    ben = await one.stub.simulate_client_connection(Client(uuid="ben"))
    for client in (old, ben):
        await two.broke.join_group(client, "room")
    await freeze(one)

    async def connected() -> Client | None:
        with contextlib.suppress(ClientAlreadyExists):
            return await two.stub.simulate_client_connection(Client(uuid="ann"))
        return None

    ann = await eventually(connected, within=5)
    thaw(one)

    async def back() -> bool:
        return await members(two, "room") == ["ben"]

    await eventually(back, within=5)
    await eventually(lambda: old in one.stub.disconnected, within=5)
    await two.broke.send_message(Message(to_group="room", message_raw=b"hi"))
    await eventually(lambda: texts(one, ben) == ["hi"], within=5)
    assert (await members(one, "room"), texts(two, ann)) == (["ben"], [])


async def test_c6_c3_members_on_a_killed_node_are_gone_within_its_lease(
    cluster: Cluster, redis_url: str, prefix: str
) -> None:
    """A real process with a client in a group, killed: within the lease nobody is in it."""
    edge = await cluster.edge()
    environment = {"GOBROKE_REDIS_URL": redis_url, "GOBROKE_PREFIX": prefix, "GOBROKE_NODE_LEASE": "1.5"}
    with victim(**environment) as (process, address):
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{address}?client=ann") as socket:
            await socket.receive_json(timeout=5)
            await socket.send_json({"to_logic": "enter", "data": "room"})
            assert (await socket.receive_json(timeout=5))["text"] == "entered"
            assert (await members(edge, "room"), await edge.broke.count_group("room")) == (["ann"], 1)
            process.kill()

            async def gone() -> bool:
                return (await members(edge, "room"), await edge.broke.count_group("room")) == ([], 0)

            await eventually(gone, within=4)


@contextlib.contextmanager
def victim(**environment: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """An edge in a process of its own, and its address. It is killed, if the block has not done so."""
    with tempfile.NamedTemporaryFile("w+") as output:
        command = [sys.executable, "-m", "gobroke_dist.cli", "edge", APP]
        started = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=output)
        try:
            said = eventually_sync(lambda: re.search(r"ws://[^\s,]+", Path(output.name).read_text()), within=30)
            assert said is not None
            yield started, said[0]
        finally:
            started.kill()
            started.wait(30)


async def test_c6_frames_name_groups_only_where_that_is_allowed(cluster: Cluster) -> None:
    """By default a client can't send to groups; where it can, only to those that it is in."""
    for allowed, codes in ((False, ["group_not_allowed"] * 2), (True, ["group_not_allowed"])):
        settings = cluster.settings.model_copy(update={"client_groups": allowed})
        edge = await cluster.edge(broke=cluster.broke(settings=settings))
        ann = await edge.stub.simulate_client_connection()
        ben = await edge.stub.simulate_client_connection()
        for client in (ann, ben):
            await edge.broke.join_group(client, f"mine {allowed}")
        session = edge.node.runtime.hub.get(ann.uuid)
        assert session is not None
        for group in ("other", f"mine {allowed}"):
            await edge.node.receive_message(session, Message(to_group=group, message_raw=group))
        assert [error.code for error in edge.stub.errors(ann)] == codes
        assert texts(edge, ben) == (["mine True"] if allowed else [])


async def test_c6_a_bad_name_is_an_error_of_every_call(cluster: Cluster) -> None:
    """The text says what is wrong with it."""
    edge = await cluster.edge()
    ann = await edge.stub.simulate_client_connection()
    calls: list[Any] = [
        lambda: edge.broke.join_group(ann, ""),
        lambda: edge.broke.leave_group(ann, ""),
        lambda: edge.broke.get_group(""),
        lambda: edge.broke.count_group(""),
        lambda: edge.broke.send_message(Message(to_group=[""])),
    ]
    for call in calls:
        with pytest.raises(GroupInvalid, match="256 bytes"):
            await call()


class Announcing(LogicBase):
    """Fails once after it has sent to a group."""

    logic_type = LogicType.WORKER
    min_backoff = 0.01

    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_group="room", message_raw=f"attempt {message.delivery.attempt}"))
        if message.delivery.attempt == 1:
            raise ValueError("after sending")


@pytest.mark.filterwarnings("ignore")
async def test_c6_w7_what_a_worker_sends_to_a_group_goes_out_when_its_message_is_done(cluster: Cluster) -> None:
    """A run that fails sends nothing."""
    edge = await cluster.edge(Announcing())
    await cluster.worker(Announcing())
    ann = await edge.stub.simulate_client_connection(Client(uuid="ann"))
    await edge.broke.join_group(ann, "room")
    await edge.broke.send_message(Message(to_logic="announcing"))
    await eventually(lambda: texts(edge, ann) == ["attempt 2"], within=10)


async def test_c6_every_node_knows_its_members_whatever_happened_at_once(cluster: Cluster) -> None:
    """Two nodes join and leave the same clients in any order: each client's node agrees with Redis in the end."""
    one, two = await cluster.edge(), await cluster.edge()
    clients = [await edge.stub.simulate_client_connection() for edge in (one, two) for _ in range(4)]
    chance = random.Random(6)

    async def act(edge: Edge) -> None:
        client, group = chance.choice(clients), chance.choice(["red", "blue", "green"])
        call = edge.broke.join_group if chance.random() < 0.6 else edge.broke.leave_group
        await call(client, group)

    for _ in range(20):
        await asyncio.gather(*(act(edge) for edge in (one, two) for _ in range(10)))
    for group in ("red", "blue", "green"):
        there = await one.broke.get_group(group)
        for edge in (one, two):
            hub, own = edge.node.runtime.hub, {c.uuid for c in there if c.node == edge.node.runtime.node}
            await eventually(lambda hub=hub, group=group, own=own: hub.members_of([group]) == own)
