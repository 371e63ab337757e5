"""The seed's in-memory endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from endpoints import StubEndpoint
from gobroke_dist.client import Client
from gobroke_dist.errors import ClientAlreadyExists, ClientDoesNotExist, LogicDoesNotExist, NotRunning
from gobroke_dist.message import Message
from gobroke_dist.session import CloseCode
from tests.endpoints.fake import FakeGateway


@pytest.fixture
async def gateway() -> FakeGateway:
    """A node whose clients hold four messages."""
    return FakeGateway(channel_size=4)


@pytest.fixture
async def stub(gateway: FakeGateway) -> AsyncIterator[StubEndpoint]:
    """The endpoint, started."""
    endpoint = StubEndpoint()
    await endpoint.start(gateway)
    yield endpoint
    await endpoint.stop()


async def test_a2_a_simulated_client_connects_sends_and_receives(stub: StubEndpoint, gateway: FakeGateway) -> None:
    alice = await stub.simulate_client_connection(Client(uuid="alice"))
    bob = await stub.simulate_client_connection()
    sent = await stub.simulate_client_message(alice, [bob, "eve"], b"hello", to_logic="chat", uuid="m1")
    assert gateway.received == [sent]
    assert [client.uuid for client in sent.to_client] == [bob.uuid, "eve"]
    assert (sent.from_client, sent.to_logic, sent.uuid) == (alice, ("chat",), "m1")
    gateway.hub.deliver(sent, [bob.uuid])
    got = await stub.next_message(bob)
    assert (got.message_raw, got.uuid, got.from_client, got.to_client) == (b"hello", "m1", alice, (bob,))
    assert stub.received(bob) == [got]
    assert stub.received(alice) == []


async def test_next_message_waits_and_gives_up(stub: StubEndpoint, gateway: FakeGateway) -> None:
    alice = await stub.simulate_client_connection()
    with pytest.raises(TimeoutError):
        await stub.next_message(alice, timeout=0.01)
    waiting = asyncio.create_task(stub.next_message(alice))
    await asyncio.sleep(0)
    gateway.hub.deliver_to_all(Message(message_raw=b"1"))
    assert (await waiting).message_raw == b"1"


async def test_r6_errors_are_kept_apart_from_messages(stub: StubEndpoint) -> None:
    alice = await stub.simulate_client_connection()
    await stub.simulate_client_message(alice, [], b"x", to_logic="nobody")
    assert [type(error) for error in stub.errors(alice)] == [LogicDoesNotExist]
    assert stub.received(alice) == []


async def test_e4_a_client_that_reads_nothing_is_slow(stub: StubEndpoint, gateway: FakeGateway) -> None:
    lazy = await stub.simulate_client_connection()
    for _ in range(9):
        gateway.hub.deliver_to_all(Message(message_raw=b"x"))
    assert stub.close_code(lazy) is CloseCode.SLOW_CONSUMER
    assert stub.disconnected == [lazy]


async def test_a_client_that_reads_is_not_slow(stub: StubEndpoint, gateway: FakeGateway) -> None:
    alice = await stub.simulate_client_connection()
    for n in range(50):
        gateway.hub.deliver_to_all(Message(message_raw=b"%d" % n))
        if n % 3 == 2:
            for _ in range(3):
                await stub.next_message(alice)
    assert stub.disconnected == []
    assert [message.message_raw for message in stub.received(alice)] == [b"46", b"47", b"48", b"49"]


async def test_a_removed_client_is_disconnected_and_cannot_send(stub: StubEndpoint, gateway: FakeGateway) -> None:
    alice = await stub.simulate_client_connection()
    session = gateway.hub.get(alice.uuid)
    assert session is not None
    session.close(CloseCode.REMOVED)
    await stub.close(session)
    assert stub.disconnected == [alice]
    assert gateway.disconnected == [session]
    with pytest.raises(ClientDoesNotExist):
        await stub.simulate_client_message(alice, [], b"x")


async def test_a_client_may_leave_and_come_back(stub: StubEndpoint, gateway: FakeGateway) -> None:
    alice = await stub.simulate_client_connection()
    with pytest.raises(ClientAlreadyExists):
        await stub.simulate_client_connection(Client(uuid=alice.uuid))
    await stub.simulate_client_message(alice, [], b"1", to_logic="x")
    await stub.simulate_client_disconnection(alice)
    assert (stub.disconnected, len(gateway.hub)) == ([], 0)
    await stub.simulate_client_connection(alice)
    assert alice.uuid in gateway.hub


async def test_stopping_disconnects_everybody(gateway: FakeGateway) -> None:
    stub = StubEndpoint()
    with pytest.raises(NotRunning):
        await stub.simulate_client_connection()
    await stub.start(gateway)
    clients = [await stub.simulate_client_connection() for _ in range(3)]
    await stub.stop()
    assert stub.disconnected == clients
    assert {session.close_code for session in gateway.disconnected} == {CloseCode.GOING_AWAY}
    with pytest.raises(ClientDoesNotExist):
        await stub.simulate_client_message(Client(), [], b"")
