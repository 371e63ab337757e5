"""Clients on several edges: who gets what, once, in order; and what the seed did wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gobroke_dist import (
    Client,
    ClientAlreadyExists,
    ClientDoesNotExist,
    LogicBase,
    LogicType,
    Message,
    Settings,
)
from gobroke_dist.backends.redis.connection import connect
from tests.cluster.conftest import Cluster
from tests.eventually import eventually


class Counting(LogicBase):
    """Counts its runs."""

    def __init__(self, kind: LogicType = LogicType.DISPATCHED) -> None:
        super().__init__("counting", kind)
        self.runs = 0

    async def run_logic(self, message: Message) -> None:
        self.runs += 1


@pytest.mark.parametrize("kind", [LogicType.DISPATCHED, LogicType.WORKER])
async def test_r3_seed_defect_a_logic_runs_once_however_many_nodes_get_the_message(
    cluster: Cluster, kind: LogicType
) -> None:
    """With recipients on three nodes and one logic, the logic runs once and each recipient gets one message."""
    logics = [Counting(kind) for _ in range(4)]
    edges = [await cluster.edge(logic) for logic in logics[:3]]
    await cluster.worker(logics[3])
    clients = [await edge.stub.simulate_client_connection() for edge in edges]
    await edges[0].stub.simulate_client_message(clients[0], clients, b"hi", to_logic="counting")
    for edge, client in zip(edges, clients, strict=True):
        assert (await edge.stub.next_message(client, timeout=5)).message_raw == b"hi"
    await eventually(lambda: sum(logic.runs for logic in logics) == 1, within=10)
    await asyncio.sleep(0.3)  # a second run would have time to show
    assert sum(logic.runs for logic in logics) == 1
    assert [len(edge.stub.received(client)) for edge, client in zip(edges, clients, strict=True)] == [1, 1, 1]


async def test_r5_seed_defect_messages_from_one_sender_arrive_in_the_order_sent(cluster: Cluster) -> None:
    """Five hundred messages from node to node arrive in order, and so do a local client's."""
    one, two = await cluster.edge(), await cluster.edge()
    ann = await one.stub.simulate_client_connection(Client(uuid="ann"))
    ben = await two.stub.simulate_client_connection(Client(uuid="ben"))
    near = await one.stub.simulate_client_connection(Client(uuid="near"))
    sent = [str(number).encode() for number in range(500)]
    for raw in sent:
        await one.stub.simulate_client_message(ann, [ben, near], raw)
    await eventually(lambda: len(two.stub.received(ben)) == len(sent), within=10)
    assert [message.message_raw for message in two.stub.received(ben)] == sent
    assert [message.message_raw for message in one.stub.received(near)] == sent


async def test_r4_seed_defect_a_message_for_one_node_reaches_that_node_alone(cluster: Cluster) -> None:
    """A third node hears nothing of a message between two others."""
    one, two, three = await cluster.edge(), await cluster.edge(), await cluster.edge()
    ann = await one.stub.simulate_client_connection()
    bens = [await two.stub.simulate_client_connection() for _ in range(5)]
    async with listening(cluster.settings) as heard:
        await one.stub.simulate_client_message(ann, bens, b"for ben")
        assert (await two.stub.next_message(bens[0], timeout=5)).message_raw == b"for ben"
        await one.broke.send_message(Message(to_all=True, message_raw=b"all"))
        await eventually(lambda: len(heard) == 2, within=5)
    keys = one.node.runtime.keys
    assert heard == [keys.channel(two.node.runtime.node).name, keys.everyone.name]
    assert three.node.runtime.metrics.counts["delivered"] == 0


@asynccontextmanager
async def listening(settings: Settings) -> AsyncIterator[list[str]]:
    """The channels on which the application publishes, as they are used."""
    heard: list[str] = []
    client = connect(settings, blocking=True)
    pubsub = client.pubsub()
    await pubsub.psubscribe(f"{settings.prefix}:*")
    await pubsub.get_message(timeout=5)

    async def listen() -> None:
        async for message in pubsub.listen():
            heard.append(message["channel"].decode())

    task = asyncio.create_task(listen())
    yield heard
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await pubsub.aclose()
    await client.aclose()


async def test_r4_a_broadcast_reaches_every_client_once_and_spares_its_sender(cluster: Cluster) -> None:
    """to_all goes to all nodes, this one included."""
    one, two = await cluster.edge(), await cluster.edge()
    ann = await one.stub.simulate_client_connection()
    others = [(edge, await edge.stub.simulate_client_connection()) for edge in (one, two, two)]
    await one.broke.send_message(Message(to_all=True, from_client=ann, message_raw=b"all"))
    for edge, client in others:
        assert (await edge.stub.next_message(client, timeout=5)).message_raw == b"all"
    assert one.stub.received(ann) == []


async def test_r5_a_message_does_not_overtake_a_broadcast(cluster: Cluster) -> None:
    """What a logic sends to one client after a broadcast comes after it, on this node as on another."""
    one, two = await cluster.edge(), await cluster.edge()
    clients = [(edge, await edge.stub.simulate_client_connection()) for edge in (one, two)]
    for number in range(20):
        await one.broke.send_message(Message(to_all=True, message_raw=f"all {number}"))
        await one.broke.send_message(Message(to_client=[client for _, client in clients], message_raw=f"one {number}"))
    expected = [f"{kind} {number}".encode() for number in range(20) for kind in ("all", "one")]
    for edge, client in clients:
        await eventually(lambda edge=edge, client=client: len(edge.stub.received(client)) == 40, within=5)
        assert [message.message_raw for message in edge.stub.received(client)] == expected


async def test_r2_seed_defect_quick_messages_are_sent_once(cluster: Cluster) -> None:
    """send_message_quickly delivers once, past every logic, through the send middleware once."""
    logic, seen = Counting(), []
    one, two = await cluster.edge(logic), await cluster.edge()
    one.broke.attach_send_middleware(lambda message: (seen.append(message.uuid), message)[1])
    ann = await one.stub.simulate_client_connection()
    ben = await two.stub.simulate_client_connection()
    await one.broke.send_message_quickly(
        Message(from_client=ann, to_client=ben, to_logic="counting", message_raw=b"quick")
    )
    assert (await two.stub.next_message(ben, timeout=5)).message_raw == b"quick"
    await one.broke.send_message(Message(to_client=ben, message_raw=b"after"))
    assert (await two.stub.next_message(ben, timeout=5)).message_raw == b"after"
    assert (logic.runs, len(seen)) == (0, 2)


async def test_r1_receive_middleware_sees_what_clients_send_and_can_stop_it(cluster: Cluster) -> None:
    """A rejected message reaches nobody; the client is told the reason, and it is counted."""

    def no_shouting(message: Message) -> Message:
        if message.message_raw.isupper():
            message.reject("shouting")
        return message

    edge = await cluster.edge()
    edge.broke.attach_receive_middleware(no_shouting)
    ann = await edge.stub.simulate_client_connection()
    ben = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_message(ann, [ben], b"HELLO")
    await edge.stub.simulate_client_message(ann, [ben], b"hello")
    assert (await edge.stub.next_message(ben, timeout=5)).message_raw == b"hello"
    [error] = edge.stub.errors(ann)
    assert (error.code, "shouting" in str(error)) == ("rejected", True)
    assert edge.node.runtime.metrics.drops["shouting"] == 1


@pytest.mark.parametrize(
    ("to", "to_logic", "code"),
    [
        ([Client(uuid="nobody")], (), "client_does_not_exist"),
        ([], "ghost", "logic_does_not_exist"),
    ],
)
async def test_r6_a_client_hears_of_what_it_addressed_wrongly(
    cluster: Cluster, to: list[Client], to_logic: str, code: str
) -> None:
    """An unknown client or logic is an error to the client that named it."""
    edge = await cluster.edge()
    ann = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_message(ann, to, b"x", to_logic=to_logic)
    assert [error.code for error in edge.stub.errors(ann)] == [code]
    assert edge.node.runtime.metrics.drops[code] == 1


async def test_c1_a_client_is_visible_on_every_node_at_once_with_its_metadata(cluster: Cluster) -> None:
    """The moment that connecting returns, another node finds and lists the client; the seed had no metadata there."""
    one, two = await cluster.edge(), await cluster.edge()
    await one.stub.simulate_client_connection(Client(uuid="ann", metadata={"name": "Ann"}))
    found = await two.broke.get_client("ann")
    assert (found.node, found.metadata) == (one.node.runtime.node, {"name": "Ann"})
    assert [client.uuid for client in await two.broke.get_all_clients()] == ["ann"]
    assert await two.broke.get_all_clients(local_only=True) == []
    with pytest.raises(ClientDoesNotExist):
        await two.broke.get_client("ann", local_only=True)


async def test_c1_last_message_times_and_metadata_reach_the_other_nodes(cluster: Cluster) -> None:
    """What a client's node learns of it is seen elsewhere within the next write-behind."""
    one, two = await cluster.edge(), await cluster.edge()
    ann = await one.stub.simulate_client_connection(Client(uuid="ann"))
    before = (await two.broke.get_client("ann")).last_message
    await asyncio.sleep(0.01)
    await one.stub.simulate_client_message(ann, [ann], b"x")
    await one.node._write_behind()
    ann.add_metadata("mood", "good")  # without a message: a handler may come to it long after

    async def seen() -> bool:
        client = await two.broke.get_client("ann")
        return bool(client.last_message > before and client.metadata == {"mood": "good"})

    await eventually(seen, within=5)


async def test_c2_a_uuid_is_connected_once_in_the_cluster(cluster: Cluster) -> None:
    """A second connection is refused on the same node and on another one, until the first is gone."""
    one, two = await cluster.edge(), await cluster.edge()
    ann = await one.stub.simulate_client_connection(Client(uuid="ann"))
    for edge in (one, two):
        with pytest.raises(ClientAlreadyExists, match="'ann'"):
            await edge.stub.simulate_client_connection(Client(uuid="ann"))
    await one.broke.remove_client(ann)
    await two.stub.simulate_client_connection(Client(uuid="ann"))
    assert (await one.broke.get_client("ann")).node == two.node.runtime.node


async def test_c5_seed_defect_removing_a_client_of_another_node_closes_its_connection(cluster: Cluster) -> None:
    """When remove_client returns, the connection on the other node is closed and nobody finds the client."""
    one, two = await cluster.edge(), await cluster.edge()
    ben = await two.stub.simulate_client_connection(Client(uuid="ben"))
    await one.broke.remove_client("ben")
    assert ben in two.stub.disconnected
    with pytest.raises(ClientDoesNotExist):
        await one.broke.get_client("ben")
    with pytest.raises(ClientDoesNotExist):
        await one.broke.remove_client("ben")


async def test_c4_seed_defect_listing_shows_each_client_once_and_none_that_left(cluster: Cluster) -> None:
    """A hundred clients over two nodes are listed once each; who leaves is not remembered."""
    one, two = await cluster.edge(), await cluster.edge()
    clients = [await (one, two)[n % 2].stub.simulate_client_connection(Client(uuid=f"c{n:03}")) for n in range(100)]
    listed = await one.broke.get_all_clients()
    assert sorted(client.uuid for client in listed) == [client.uuid for client in clients]
    assert await one.node.runtime.registry.count() == 100
    for number, client in enumerate(clients[:50]):
        await (one, two)[number % 2].broke.remove_client(client)
    assert len(await two.broke.get_all_clients()) == 50
    assert await two.node.runtime.registry.count() == 50


async def test_r7_a_message_follows_a_client_that_moved_once(cluster: Cluster) -> None:
    """A reply to where a client was reaches it where it is; to one that left, it ends there, counted."""
    one, two, three = await cluster.edge(), await cluster.edge(), await cluster.edge()
    old = await one.stub.simulate_client_connection(Client(uuid="ann"))
    snapshot = Client(uuid="ann", node=old.node, session=old.session)
    await one.broke.remove_client("ann")
    moved = await two.stub.simulate_client_connection(Client(uuid="ann"))
    await three.broke.send_message(Message(to_client=snapshot, message_raw=b"found you"))
    assert (await two.stub.next_message(moved, timeout=5)).message_raw == b"found you"
    await two.broke.remove_client("ann")
    await three.broke.send_message(Message(to_client=snapshot, message_raw=b"too late"))
    assert three.node.runtime.metrics.drops["client_gone"] == 1


async def test_c3_seed_defect_a_registration_outlives_its_lease_while_its_node_lives(cluster: Cluster) -> None:
    """A client that is connected for many leases stays registered; when its node ends it is gone at once."""
    short = cluster.settings.model_copy(update={"node_lease": 0.6})
    one = await cluster.edge(broke=cluster.broke(settings=short))
    two = await cluster.edge(broke=cluster.broke(settings=short))
    await one.stub.simulate_client_connection(Client(uuid="ann"))
    await asyncio.sleep(2)
    assert (await two.broke.get_client("ann")).uuid == "ann"
    await one.node.stop()
    with pytest.raises(ClientDoesNotExist):
        await two.broke.get_client("ann")
