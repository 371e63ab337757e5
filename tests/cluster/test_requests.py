"""Who asks gets an answer, a reason why there is none, or the end of its time: across nodes and workers (C11)."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import aiohttp
import pytest

from endpoints import StubEndpoint, WebSocketEndpoint
from gobroke_dist import (
    Broke,
    BrokeError,
    Client,
    ClientDoesNotExist,
    Draining,
    LogicBase,
    LogicDoesNotExist,
    LogicType,
    Message,
    QueueFull,
    RequestFailed,
    RequestInvalid,
    RequestTimedOut,
    Tick,
)
from gobroke_dist.roles import edge as edge_role
from tests.cluster.conftest import Cluster
from tests.eventually import eventually

KINDS = [LogicType.DISPATCHED, LogicType.WORKER]


class AsyncDoubler(LogicBase):
    async def run_logic(self, message: Message) -> None:
        await self.reply(message, message.json() * 2)


class PlainDoubler(LogicBase):
    def run_logic(self, message: Message) -> None:
        self.reply(message, message.json() * 2)


class AsyncAsker(LogicBase):
    async def run_logic(self, message: Message) -> None:
        answer = await self.request(Message(to_logic="doubler", message_raw=message.message_raw), timeout=10)
        await self.send_message(Message(to_client=message.from_client, message_raw=_told(answer)))


class PlainAsker(LogicBase):
    def run_logic(self, message: Message) -> None:
        answer = self.request(Message(to_logic="doubler", message_raw=message.message_raw), timeout=10)
        self.send_message(Message(to_client=message.from_client, message_raw=_told(answer)))


def _told(answer: Message) -> str:
    return f"{answer.from_logic} says {answer.json()}"


@pytest.mark.parametrize("asks", KINDS)
@pytest.mark.parametrize("answers", KINDS)
@pytest.mark.parametrize(("asker", "doubler"), [(AsyncAsker, PlainDoubler), (PlainAsker, AsyncDoubler)])
async def test_c11_a_logic_of_any_kind_asks_a_logic_of_any_kind(
    cluster: Cluster, asks: LogicType, answers: LogicType, asker: type[LogicBase], doubler: type[LogicBase]
) -> None:
    """The same code, ``def`` or ``async def``, on an edge and in a worker."""
    edge = await cluster.edge(asker("asker", asks), doubler("doubler", answers))
    await cluster.worker(asker("asker", asks), doubler("doubler", answers))
    ann = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_message(ann, [], b"21", to_logic="asker")
    assert (await edge.stub.next_message(ann, timeout=15)).message_raw == b"doubler says 42"
    assert len(edge.node.runtime.requests) == 0


async def test_c11_a_client_of_another_node_is_asked_and_answers_once(cluster: Cluster) -> None:
    """The answer names who gave it, and has the request's uuid; another answer to the same request is refused."""
    one, two = await cluster.edge(), await cluster.edge()
    ben = await two.stub.simulate_client_connection(Client(uuid="ben"))
    asking = asyncio.ensure_future(one.broke.request(Message(to_client="ben", message_raw=b"how old?", uuid="q1")))
    asked = await two.stub.next_message(ben)
    assert asked.reply_to is not None
    await two.stub.simulate_client_reply(ben, asked.reply_to.id, b"7")
    answer: Message = await asking
    assert (answer.json(), answer.uuid, answer.from_client) == (7, "q1", ben)
    await two.stub.simulate_client_reply(ben, asked.reply_to.id, b"8")
    assert [error.code for error in two.stub.errors(ben)] == ["request_invalid"]


async def test_c11_only_the_client_that_was_asked_can_answer(cluster: Cluster) -> None:
    """A stranger who has got hold of the id is refused, and the answer of the one who was asked still counts."""
    one, two = await cluster.edge(), await cluster.edge()
    ben = await two.stub.simulate_client_connection(Client(uuid="ben"))
    eve = await two.stub.simulate_client_connection(Client(uuid="eve"))
    asking = asyncio.ensure_future(one.broke.request(Message(to_client=ben, message_raw=b"?")))
    asked = await two.stub.next_message(ben)
    assert asked.reply_to is not None
    await two.stub.simulate_client_reply(eve, asked.reply_to.id, b'"eve"')
    assert [error.code for error in two.stub.errors(eve)] == ["request_invalid"]
    await two.stub.simulate_client_reply(ben, asked.reply_to.id, b'"ben"')
    assert (await asking).json() == "ben"


@pytest.mark.parametrize("kind", KINDS)
async def test_c11_a_client_asks_a_logic(cluster: Cluster, kind: LogicType) -> None:
    """The answer comes with the uuid of the message that asked."""
    edge = await cluster.edge(AsyncDoubler("doubler", kind))
    await cluster.worker(AsyncDoubler("doubler", kind))
    ann = await edge.stub.simulate_client_connection()
    request = await edge.stub.simulate_client_request(ann, "doubler", b"4", timeout=10)
    answer = await edge.stub.next_message(ann, timeout=15)
    assert (answer.json(), answer.uuid) == (8, request.uuid)
    await eventually(lambda: len(edge.node.runtime.requests) == 0)


class Mute(LogicBase):
    """Keeps what it gets, for a test to answer."""

    def __init__(self) -> None:
        super().__init__("mute")
        self.got: list[Message] = []

    async def run_logic(self, message: Message) -> None:
        self.got.append(message)


async def test_c11_an_answer_that_is_late_is_counted_and_dropped(cluster: Cluster) -> None:
    """Who asked has an error by then, logic or client, and nothing is left of its request."""
    mute = Mute()
    edge = await cluster.edge(mute)
    ann = await edge.stub.simulate_client_connection()
    with pytest.raises(RequestTimedOut, match=r"within 0\.1 s"):
        await edge.broke.request(Message(to_logic="mute"), timeout=0.1)
    await edge.stub.simulate_client_request(ann, "mute", b"1", timeout=0.1)
    await eventually(lambda: [error.code for error in edge.stub.errors(ann)] == ["request_timed_out"])
    assert len(edge.node.runtime.requests) == 0
    for message in mute.got:
        await mute.reply(message, "at last")
    assert edge.node.runtime.metrics.counts["late_replies"] == 2
    assert edge.stub.received(ann) == []


async def test_c11_a_request_of_a_client_that_leaves_is_forgotten(cluster: Cluster) -> None:
    edge = await cluster.edge(Mute())
    ann = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_request(ann, "mute", b"1", timeout=60)
    assert len(edge.node.runtime.requests) == 1
    await edge.stub.simulate_client_disconnection(ann)
    assert len(edge.node.runtime.requests) == 0


class Failing(LogicBase):
    """Answers, and fails; from the third attempt on it succeeds, if it is allowed so many."""

    min_backoff = 0.01

    async def run_logic(self, message: Message) -> None:
        await self.reply(message, message.delivery.attempt)
        if message.delivery.attempt < 3:
            raise ValueError("a secret")


class Giving(Failing):
    max_attempts = 2


class Raising(LogicBase):
    async def run_logic(self, message: Message) -> None:
        raise ValueError("a secret")


async def test_c11_w7_the_answer_of_a_worker_is_part_of_its_commit(cluster: Cluster) -> None:
    """The runs that failed after they had answered have not answered; the last one has."""
    edge = await cluster.edge(Failing("failing", LogicType.WORKER))
    await cluster.worker(Failing("failing", LogicType.WORKER))
    assert (await edge.broke.request(Message(to_logic="failing"), timeout=15)).json() == 3
    assert edge.node.runtime.metrics.counts["late_replies"] == 0


@pytest.mark.parametrize(
    ("kind", "logic", "reason"),
    [(LogicType.DISPATCHED, Raising, "logic_error"), (LogicType.WORKER, Giving, "attempts")],
)
async def test_c11_who_asks_is_told_that_there_will_be_no_answer(
    cluster: Cluster, kind: LogicType, logic: type[LogicBase], reason: str
) -> None:
    """At once, with a word and nothing of what was raised."""
    edge = await cluster.edge(logic("failing", kind))
    await cluster.worker(logic("failing", kind))
    with pytest.raises(RequestFailed) as caught:
        await edge.broke.request(Message(to_logic="failing"), timeout=30)
    assert caught.value.reason == reason
    assert "secret" not in str(caught.value)
    ann = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_request(ann, "failing", b"1", timeout=30)
    await eventually(lambda: [error.code for error in edge.stub.errors(ann)] == ["request_failed"], within=15)


INVALID = [
    (Message(), RequestInvalid),
    (Message(to_logic=["mute", "mute"]), RequestInvalid),
    (Message(to_logic="mute", to_client="ann"), RequestInvalid),
    (Message(to_all=True), RequestInvalid),
    (Message(to_logic="ghost"), LogicDoesNotExist),
    (Message(to_client=Client(uuid="ghost", node="gone", session="s")), ClientDoesNotExist),
]


@pytest.mark.parametrize(("message", "error"), INVALID, ids=range(len(INVALID)))
async def test_c11_a_request_has_one_recipient_that_exists(
    cluster: Cluster, message: Message, error: type[BrokeError]
) -> None:
    edge = await cluster.edge(Mute())
    with pytest.raises(error):
        await edge.broke.request(message, timeout=30)
    assert len(edge.node.runtime.requests) == 0


async def test_c11_open_requests_are_bounded(cluster: Cluster) -> None:
    """Of the process, and of each client."""
    small = cluster.settings.model_copy(update={"pending_limit": 101})
    edge = await cluster.edge(broke=cluster.broke([Mute()], settings=small))
    ann = await edge.stub.simulate_client_connection()
    for _ in range(101):
        await edge.stub.simulate_client_request(ann, "mute", b"1", timeout=30)
    [error] = edge.stub.errors(ann)
    assert isinstance(error, QueueFull)
    assert error.limit == 100
    waiting = asyncio.ensure_future(edge.broke.request(Message(to_logic="mute"), timeout=30))
    await eventually(lambda: len(edge.node.runtime.requests) == 101)
    with pytest.raises(QueueFull, match="the table of open requests holds its limit of 101"):
        await edge.broke.request(Message(to_logic="mute"), timeout=30)
    await edge.node.stop()
    with pytest.raises(Draining):
        await waiting


class Forwarder(LogicBase):
    async def run_logic(self, message: Message) -> None:
        message.to_logic, message.to_client = (), (Client(uuid="ben"),)
        await self.send_message(message)


async def test_c11_a_request_that_a_logic_sends_on_is_no_request_any_more(cluster: Cluster) -> None:
    """Who gets it was not asked, and can't answer; the logic itself still can."""
    edge = await cluster.edge(Forwarder("forwarder"))
    ben = await edge.stub.simulate_client_connection(Client(uuid="ben"))
    with pytest.raises(RequestTimedOut):
        await edge.broke.request(Message(to_logic="forwarder", message_raw=b"1"), timeout=0.2)
    assert (await edge.stub.next_message(ben)).reply_to is None


async def test_c11_a_message_that_is_no_request_cannot_be_answered(cluster: Cluster) -> None:
    """Nor can a request twice."""
    mute = Mute()
    edge = await cluster.edge(mute)
    await edge.broke.send_message(Message(to_logic="mute"))
    asking = asyncio.ensure_future(edge.broke.request(Message(to_logic="mute")))
    await eventually(lambda: len(mute.got) == 2)
    with pytest.raises(RequestInvalid, match="no request"):
        await mute.reply(mute.got[0], 1)
    await mute.reply(mute.got[1], b"\xff")
    with pytest.raises(RequestInvalid, match="answered already"):
        await mute.reply(mute.got[1], 2)
    assert (await asking).message_raw == b"\xff"


class Selfish(LogicBase):
    """Asks itself, while it is processed one after another."""

    logic_type = LogicType.WORKER

    async def run_logic(self, message: Message) -> None:
        try:
            await self.request(Message(to_logic="selfish"), timeout=0.3)
        except RequestTimedOut as error:
            await self.send_message(Message(to_client="ann", message_raw=error.code))


async def test_c11_two_that_wait_for_each_other_wait_for_the_end_of_the_time_only(cluster: Cluster) -> None:
    edge = await cluster.edge(Selfish("selfish"))
    await cluster.worker(Selfish("selfish"))
    ann = await edge.stub.simulate_client_connection(Client(uuid="ann"))
    await edge.stub.simulate_client_message(ann, [], b"", to_logic="selfish")
    assert (await edge.stub.next_message(ann, timeout=10)).message_raw == b"request_timed_out"


async def test_c11_an_answer_to_a_node_that_is_gone_costs_nothing(cluster: Cluster) -> None:
    """The logic that answers succeeds, and answers the next one who asks."""
    mute = Mute()
    one, two = await cluster.edge(), await cluster.edge(mute)
    asking = asyncio.ensure_future(two.broke.request(Message(to_logic="mute"), timeout=30))
    await eventually(lambda: mute.got != [])
    [message] = mute.got
    assert message.reply_to is not None
    message.reply_to = message.reply_to._replace(node="edge-that-was-killed")
    await mute.reply(message, 1)
    assert not asking.done()
    asking.cancel()
    await eventually(lambda: len(two.node.runtime.requests) == 0)
    assert len(one.node.runtime.requests) == 0


async def test_c11_a_client_that_was_asked_and_has_moved_answers_from_where_it_is(cluster: Cluster) -> None:
    """The request follows it, and so does its right to answer."""
    one, two, three = [await cluster.edge() for _ in range(3)]
    await one.stub.simulate_client_connection(Client(uuid="ann"))
    await one.broke.remove_client("ann")
    ann = await two.stub.simulate_client_connection(Client(uuid="ann"))
    stale = [{"ann": Client(uuid="ann", node=one.node.runtime.node, session="an older one")}] * 2
    registry = three.node.runtime.registry
    really = registry.locate

    async def locate(uuids: Any, *, away: bool = False) -> dict[str, Client]:
        return stale.pop() if stale else await really(uuids, away=away)

    registry.locate = locate  # type: ignore[method-assign]
    asking = asyncio.ensure_future(three.broke.request(Message(to_client="ann")))
    asked = await two.stub.next_message(ann)
    assert asked.reply_to is not None
    await two.stub.simulate_client_reply(ann, asked.reply_to.id, b"true")
    assert (await asking).json() is True
    await two.broke.remove_client("ann")
    with pytest.raises(ClientDoesNotExist):
        await three.broke.request(Message(to_client="ann"))


async def test_c11_r1_receive_middleware_sees_answers(cluster: Cluster) -> None:
    """One that it rejects is the client's error; the client may answer better."""
    one = await cluster.edge()
    one.broke.attach_receive_middleware(lambda message: None if b"rude" in message.message_raw else message)
    ann = await one.stub.simulate_client_connection(Client(uuid="ann"))
    asking = asyncio.ensure_future(one.broke.request(Message(to_client="ann")))
    asked = await one.stub.next_message(ann)
    assert asked.reply_to is not None
    for answer in (b'"rude"', b'"kind"'):
        await one.stub.simulate_client_reply(ann, asked.reply_to.id, answer)
    assert [error.code for error in one.stub.errors(ann)] == ["rejected"]
    assert (await asking).json() == "kind"


class Wondering(LogicBase):
    """PASSIVE logic that asks."""

    logic_type = LogicType.PASSIVE
    every = 0.2

    async def run_tick(self, tick: Tick) -> None:
        answer = await self.request(Message(to_logic="doubler", message_raw=b"21"), timeout=5)
        await self.send_message(Message(to_all=True, message_raw=answer.message_raw))


@pytest.mark.parametrize("scope", ["node", "cluster"])
@pytest.mark.parametrize("answers", KINDS)
async def test_c11_passive_logic_and_other_threads_ask_as_well(
    cluster: Cluster, answers: LogicType, scope: Literal["node", "cluster"]
) -> None:
    """With every role in one process; on a thread the call blocks, and returns the answer itself."""
    wondering = Wondering()
    wondering.scope = scope
    broke = cluster.broke([wondering, PlainDoubler("doubler", answers)])
    stub = broke.get_endpoint()
    assert isinstance(stub, StubEndpoint)
    async with broke.running():
        ann = await stub.simulate_client_connection()
        assert (await stub.next_message(ann, timeout=10)).message_raw == b"42"
        answer = await asyncio.to_thread(broke.request, Message(to_logic="doubler", message_raw=b"4"), 10.0)
        assert answer.json() == 8


class Curious(LogicBase):
    """Asks the client back before it answers."""

    async def run_logic(self, message: Message) -> None:
        assert message.from_client is not None
        name = await self.request(Message(to_client=message.from_client, message_raw=b'"who are you?"'))
        await self.reply(message, f"hello {name.json()}")


async def test_c11_frames_of_requests_and_answers(cluster: Cluster) -> None:
    """Over a WebSocket: the client asks, is asked back, answers, and gets its answer."""
    broke = Broke(WebSocketEndpoint(port=0), settings=cluster.settings)
    broke.add_logic(Curious())
    async with (
        edge_role(broke) as node,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{node.addresses[0]}?client=ann") as socket,
    ):
        assert (await socket.receive_json(timeout=5))["type"] == "welcome"
        await socket.send_str(json.dumps({"to_logic": "curious", "data": None, "uuid": "q1", "ask": 5}))
        asked = await socket.receive_json(timeout=5)
        assert (asked["type"], asked["data"]) == ("message", "who are you?")
        await socket.send_str(json.dumps({"reply": asked["reply_to"], "data": "Ann"}))
        assert await socket.receive_json(timeout=5) == {"type": "reply", "uuid": "q1", "data": "hello Ann"}
        await socket.send_str(json.dumps({"reply": asked["reply_to"], "data": "Ann", "uuid": "again"}))
        error = await socket.receive_json(timeout=5)
        assert (error["type"], error["code"], error["uuid"]) == ("error", "request_invalid", "again")
