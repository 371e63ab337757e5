"""A custom endpoint of three methods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import endpoints.channel as channel_module
from endpoints.channel import ChannelEndpoint, Incoming, Outgoing
from gobroke_dist.client import Client
from gobroke_dist.errors import ClientAlreadyExists, ClientDoesNotExist, LogicDoesNotExist, NotRunning
from gobroke_dist.message import Message
from gobroke_dist.session import CloseCode
from tests.endpoints.fake import FakeGateway
from tests.eventually import eventually


class Letters(ChannelEndpoint):
    """What the documentation's custom endpoint would be: it keeps what it sends, and sends what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.errors: list[str] = []
        self.gone: list[str] = []
        self.post: asyncio.Queue[Message] = asyncio.Queue(100)
        self.sending = asyncio.Event()
        self.sending.set()
        self.fail_on = b"never"

    async def sender(self, outgoing: Outgoing) -> None:
        async for message in outgoing:
            await self.sending.wait()
            if message.message_raw == self.fail_on:
                raise ValueError("a bug")
            if "error" in message.metadata:
                self.errors.append(message.metadata["error"])
            else:
                (client,) = message.to_client
                self.sent.append((client.uuid, message.message_raw))

    async def receiver(self, incoming: Incoming) -> None:
        while True:
            await incoming.put(await self.post.get())

    async def disconnect(self, client: Client) -> None:
        self.gone.append(client.uuid)


@pytest.fixture
async def gateway() -> FakeGateway:
    """A node whose clients may have ten messages waiting."""
    return FakeGateway(channel_size=10)


@pytest.fixture
async def letters(gateway: FakeGateway) -> AsyncIterator[Letters]:
    """The endpoint, started."""
    endpoint = Letters()
    await endpoint.start(gateway)
    yield endpoint
    await endpoint.stop()


async def test_a2_messages_pass_both_ways(letters: Letters, gateway: FakeGateway) -> None:
    alice = Client(uuid="alice")
    await letters.register(alice)
    await letters.post.put(Message(from_client=alice, to_logic="chat", message_raw=b"hello"))
    await eventually(lambda: gateway.payloads == [b"hello"])
    gateway.hub.deliver(Message(message_raw=b"hi"), ["alice"])
    await eventually(lambda: letters.sent == [("alice", b"hi")])


async def test_each_recipient_of_a_broadcast_gets_a_message_of_its_own(letters: Letters, gateway: FakeGateway) -> None:
    for n in range(5):
        await letters.register(Client(uuid=f"c{n}"))
    gateway.hub.deliver_to_all(Message(message_raw=b"1"))
    gateway.hub.deliver_to_all(Message(message_raw=b"2"))
    await eventually(lambda: len(letters.sent) == 10)
    for n in range(5):
        assert [raw for uuid, raw in letters.sent if uuid == f"c{n}"] == [b"1", b"2"]


async def test_r6_an_error_is_a_message_that_says_so(letters: Letters, gateway: FakeGateway) -> None:
    alice = Client(uuid="alice")
    await letters.register(alice)
    await letters.post.put(Message(from_client=alice, to_logic="nobody", message_raw=b"x"))
    await eventually(lambda: letters.errors == [LogicDoesNotExist.code])


async def test_e4_a_client_that_is_not_sent_to_in_time_is_disconnected_alone(
    letters: Letters, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "CLOSE_TIMEOUT", 0.1)
    await letters.register(Client(uuid="busy"))
    await letters.register(Client(uuid="idle"))
    letters.sending.clear()
    for _ in range(12):
        gateway.hub.deliver(Message(message_raw=b"x"), ["busy"])
    await eventually(lambda: letters.gone == ["busy"])
    assert [session.close_code for session in gateway.disconnected] == [CloseCode.SLOW_CONSUMER]
    letters.sending.set()
    gateway.hub.deliver(Message(message_raw=b"1"), ["idle"])
    await eventually(lambda: ("idle", b"1") in letters.sent)


async def test_a_removed_client_is_sent_what_waits_and_then_disconnected(
    letters: Letters, gateway: FakeGateway
) -> None:
    await letters.register(Client(uuid="alice"))
    session = gateway.hub.get("alice")
    assert session is not None
    letters.sending.clear()
    for n in range(3):
        gateway.hub.deliver(Message(message_raw=b"%d" % n), ["alice"])
    session.close(CloseCode.REMOVED)
    closing = asyncio.create_task(letters.close(session))
    await asyncio.sleep(0.05)  # nothing is to happen
    assert letters.gone == []
    letters.sending.set()
    await asyncio.wait_for(closing, 2)
    assert letters.sent == [("alice", b"0"), ("alice", b"1"), ("alice", b"2")]
    assert letters.gone == ["alice"]
    assert gateway.disconnected == [session]


async def test_who_leaves_by_itself_is_not_disconnected_again(letters: Letters, gateway: FakeGateway) -> None:
    alice = Client(uuid="alice")
    await letters.register(alice)
    await letters.unregister(alice)
    await letters.unregister(alice)
    assert len(gateway.disconnected) == 1
    assert "alice" not in gateway.hub
    await letters.register(alice)
    assert letters.gone == []


async def test_c2_a_uuid_registers_once(letters: Letters) -> None:
    await letters.register(Client(uuid="alice"))
    with pytest.raises(ClientAlreadyExists):
        await letters.register(Client(uuid="alice"))


async def test_c2_what_an_older_connection_does_is_not_done_to_its_successor(
    letters: Letters, gateway: FakeGateway
) -> None:
    """The node has let a second connection of alice in; the first one leaves, and only the first."""
    older, newer = Client(uuid="alice"), Client(uuid="alice")
    await letters.register(older)
    [session] = gateway.hub
    gateway.hub.step_aside(session)
    await letters.register(newer)
    await letters.unregister(older)
    assert gateway.disconnected == []
    with pytest.raises(ClientDoesNotExist):
        await Incoming(letters._find, gateway).put(Message(from_client=older))
    session.close(CloseCode.REPLACED)
    await eventually(lambda: gateway.disconnected == [session])
    await letters.unregister(newer)
    assert len(gateway.hub) == 0


async def test_a_client_that_the_node_refuses_is_not_kept(letters: Letters, gateway: FakeGateway) -> None:
    gateway.refuse = ClientAlreadyExists("alice", "n2")
    with pytest.raises(ClientAlreadyExists):
        await letters.register(Client(uuid="alice"))
    gateway.refuse = None
    await letters.register(Client(uuid="alice"))


@pytest.mark.parametrize("sender", [None, Client(uuid="stranger")])
async def test_a_message_needs_a_registered_sender(
    letters: Letters, gateway: FakeGateway, sender: Client | None
) -> None:
    with pytest.raises(ClientDoesNotExist):
        await Incoming(letters._find, gateway).put(Message(from_client=sender))


async def test_r8_a_sender_that_raises_is_started_again(
    letters: Letters, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "RESTART_DELAY", 0.01)
    letters.fail_on = b"bad"
    await letters.register(Client(uuid="alice"))
    for raw in (b"1", b"bad", b"2"):
        gateway.hub.deliver(Message(message_raw=raw), ["alice"])
    await eventually(lambda: letters.sent == [("alice", b"1"), ("alice", b"2")])


async def test_stopping_disconnects_everybody(gateway: FakeGateway) -> None:
    endpoint = Letters()
    with pytest.raises(NotRunning):
        await endpoint.register(Client())
    await endpoint.start(gateway)
    for n in range(3):
        await endpoint.register(Client(uuid=f"c{n}"))
    await asyncio.wait_for(endpoint.stop(), 2)
    assert sorted(endpoint.gone) == ["c0", "c1", "c2"]
    assert {session.close_code for session in gateway.disconnected} == {CloseCode.GOING_AWAY}
