"""A client that connects again takes its own place, in the cluster and on one node (contract C2)."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from endpoints import WebSocketEndpoint
from gobroke_dist import Broke, Client, ClientAlreadyExists, CloseCode, Message, RedisUnavailable, Session
from gobroke_dist.roles import edge as edge_role
from tests.cluster.conftest import Cluster, Edge
from tests.eventually import eventually


@pytest.fixture
def replacing(cluster: Cluster) -> Cluster:
    """A cluster in which a second connection of a client replaces the first."""
    cluster.settings = cluster.settings.model_copy(update={"duplicate_clients": "replace"})
    return cluster


def session_on(edge: Edge, uuid: str = "ann") -> Session:
    session = edge.node.runtime.hub.get(uuid)
    assert session is not None
    return session


async def test_c2_replace_closes_the_older_connection_on_another_node(replacing: Cluster) -> None:
    """The older one is told not to come back; everyone finds the newer one, and what is sent goes there."""
    one, two, three = [await replacing.edge() for _ in range(3)]
    old = await one.stub.simulate_client_connection(Client(uuid="ann"))
    snapshot = Client(uuid="ann", node=old.node, session=old.session)
    new = await two.stub.simulate_client_connection(Client(uuid="ann"))
    await three.broke.send_message(Message(to_client=snapshot, message_raw=b"to where she was"))
    await three.broke.send_message(Message(to_client="ann", message_raw=b"to where she is"))
    got = {(await two.stub.next_message(new, timeout=5)).message_raw for _ in range(2)}
    assert got == {b"to where she was", b"to where she is"}
    await eventually(lambda: one.stub.disconnected == [old], within=5)
    assert one.stub.close_code(old) is CloseCode.REPLACED
    assert one.stub.received(old) == []
    for edge in (one, two, three):
        assert (await edge.broke.get_client("ann")).node == two.node.runtime.node
        assert len(await edge.broke.get_all_clients()) == 1


async def test_c2_replace_closes_the_older_connection_on_the_same_node(replacing: Cluster) -> None:
    edge = await replacing.edge()
    old = await edge.stub.simulate_client_connection(Client(uuid="ann"))
    older = session_on(edge)
    new = await edge.stub.simulate_client_connection(Client(uuid="ann"))
    await edge.broke.send_message(Message(to_client="ann", message_raw=b"hello"))
    assert (await edge.stub.next_message(new, timeout=5)).message_raw == b"hello"
    await eventually(lambda: edge.stub.disconnected == [old], within=5)
    assert older.close_code is CloseCode.REPLACED
    assert session_on(edge).client is new
    await edge.broke.remove_client("ann")
    assert len(edge.node.runtime.hub) == 0


async def test_c2_of_a_storm_of_connections_on_two_nodes_exactly_one_stays(replacing: Cluster) -> None:
    """Twenty at once; whoever the registry knows is connected, can be reached, and is the only one."""
    edges = [await replacing.edge(), await replacing.edge()]
    clients = [Client(uuid="ann") for _ in range(20)]
    await asyncio.gather(
        *(edges[number % 2].stub.simulate_client_connection(client) for number, client in enumerate(clients))
    )
    await eventually(lambda: sum(len(edge.stub.disconnected) for edge in edges) == 19, within=10)
    [alive] = [session for edge in edges for session in edge.node.runtime.hub]
    assert not alive.ending
    known = (await edges[0].node.runtime.registry.locate(["ann"]))["ann"]
    assert (known.node, known.session) == (alive.client.node, alive.id)
    [edge] = [edge for edge in edges if edge.node.runtime.node == known.node]
    await edges[0].broke.send_message(Message(to_client="ann", message_raw=b"hello"))
    await eventually(lambda: alive.pending > 0 or b"hello" in _received(edge), within=5)
    assert await edges[0].node.runtime.registry.count() == 1


def _received(edge: Edge) -> list[bytes]:
    return [message.message_raw for message in edge.stub.received(Client(uuid="ann"))]


async def test_c2_c3_a_node_without_a_lease_does_not_get_a_replaced_client_back(replacing: Cluster) -> None:
    """It did not hear that its client has moved; when it registers its own again, that one is closed."""
    one, two = await replacing.edge(), await replacing.edge()
    old = await one.stub.simulate_client_connection(Client(uuid="ann"))
    older = session_on(one)
    one.node._admission.replaced = lambda session_id: None  # type: ignore[method-assign]  # as if it were frozen
    new = await two.stub.simulate_client_connection(Client(uuid="ann"))
    await one.node._register_all()
    await eventually(lambda: one.stub.disconnected == [old], within=5)
    assert older.close_code is CloseCode.REPLACED
    assert (await one.broke.get_client("ann")).session == new.session


async def test_c2_a_connection_that_could_not_register_leaves_the_older_one_in_place(
    replacing: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = await replacing.edge()
    old = await edge.stub.simulate_client_connection(Client(uuid="ann"))

    async def down(client: Client) -> None:
        raise RedisUnavailable("it is down")

    with monkeypatch.context() as patched:
        patched.setattr(edge.node.runtime.registry, "register", down)
        with pytest.raises(RedisUnavailable):
            await edge.stub.simulate_client_connection(Client(uuid="ann"))
    await edge.broke.send_message(Message(to_client="ann", message_raw=b"still here"))
    assert (await edge.stub.next_message(old, timeout=5)).message_raw == b"still here"


async def test_c2_a_registration_whose_answer_was_lost_does_not_block_its_client(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection was refused, though Redis had registered it; soon the client may connect, to any node."""
    one, two = await cluster.edge(), await cluster.edge()
    register = one.node.runtime.registry.register

    async def answer_is_lost(client: Client) -> None:
        await register(client)
        raise RedisUnavailable("the answer was lost")

    monkeypatch.setattr(one.node.runtime.registry, "register", answer_is_lost)
    with pytest.raises(RedisUnavailable):
        await one.stub.simulate_client_connection(Client(uuid="ann"))
    with pytest.raises(ClientAlreadyExists):
        await two.stub.simulate_client_connection(Client(uuid="ann"))

    async def nobody() -> bool:
        return await two.node.runtime.registry.count() == 0

    await eventually(nobody, within=5)
    await two.stub.simulate_client_connection(Client(uuid="ann"))


async def test_c2_of_two_connections_with_a_lost_answer_between_them_neither_is_a_ghost(
    replacing: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older one was replaced by one that was refused: both are closed, and the client may connect again."""
    one, two = await replacing.edge(), await replacing.edge()
    old = await one.stub.simulate_client_connection(Client(uuid="ann"))
    replace = two.node.runtime.registry.replace

    async def answer_is_lost(older: Client, client: Client, news: bytes) -> bool:
        assert await replace(older, client, news)
        raise RedisUnavailable("the answer was lost")

    with monkeypatch.context() as patched:
        patched.setattr(two.node.runtime.registry, "replace", answer_is_lost)
        with pytest.raises(RedisUnavailable):
            await two.stub.simulate_client_connection(Client(uuid="ann"))
    await eventually(lambda: one.stub.disconnected == [old], within=5)

    async def nobody() -> bool:
        return await one.node.runtime.registry.count() == 0

    await eventually(nobody, within=5)
    await one.stub.simulate_client_connection(Client(uuid="ann"))


async def test_c2_over_a_websocket_the_older_connection_gets_the_published_code(replacing: Cluster) -> None:
    """4503, which says not to come back, on the node that holds it; the newer one is welcome and is served."""
    brokes = [Broke(WebSocketEndpoint(port=0), settings=replacing.settings) for _ in range(2)]
    async with edge_role(brokes[0]) as one, edge_role(brokes[1]) as two, aiohttp.ClientSession() as session:
        for first, second in ((one, two), (one, one)):
            older = await session.ws_connect(f"{first.addresses[0]}?client=ann")
            newer = await session.ws_connect(f"{second.addresses[0]}?client=ann")
            for socket in (older, newer):
                assert (await socket.receive_json(timeout=5))["type"] == "welcome"
            assert (await older.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
            assert older.close_code == CloseCode.REPLACED == 4503
            await newer.send_str('{"to_client": "ann", "data": "still here"}')
            assert (await newer.receive_json(timeout=5))["data"] == "still here"
            await newer.close()

            async def gone() -> bool:
                return await one.runtime.registry.count() == 0

            await eventually(gone, within=5)


async def test_c2_reject_is_the_default_and_leaves_the_older_connection_alone(cluster: Cluster) -> None:
    one, two = await cluster.edge(), await cluster.edge()
    ann = await one.stub.simulate_client_connection(Client(uuid="ann"))
    for edge in (one, two):
        with pytest.raises(ClientAlreadyExists):
            await edge.stub.simulate_client_connection(Client(uuid="ann"))
    await two.broke.send_message(Message(to_client="ann", message_raw=b"hello"))
    assert (await one.stub.next_message(ann, timeout=5)).message_raw == b"hello"
