"""The in-memory cluster: nodes, clients, and what they send each other."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest

from endpoints import StubEndpoint
from examples import broadcaster
from gobroke_dist import (
    Broke,
    ClientAlreadyExists,
    ClientDoesNotExist,
    CloseCode,
    LogicBase,
    Message,
    NotRunning,
    Settings,
)
from gobroke_dist.testing import Cluster
from tests.testing.logics import AsyncWorker, Echo, Move, PlainEcho


@pytest.mark.parametrize("echo", [Echo, PlainEcho])
async def test_o8_a_dispatched_logic_answers_in_either_colour(echo: type[LogicBase]) -> None:
    """The frame goes through the JSON protocol, both ways."""
    async with Cluster(echo("echo")) as cluster:
        ann = await cluster.connect("ann")
        assert ann.frames == [{"type": "welcome", "client": "ann", "node": ann.node}]
        await ann.send({"to_logic": "echo", "data": {"n": 1}, "uuid": "m1"})
        frame = await ann.expect(type="message", data={"n": 1}, from_logic="echo")
        assert ann.received == [frame]
        await ann.expect_nothing()


async def test_o8_clients_of_all_nodes_reach_each_other_in_the_order_sent() -> None:
    """A message to a client, one to everybody, and one from the application."""
    async with Cluster(nodes=3) as cluster:
        ann, ben, cem = [await cluster.connect(uuid, node=node) for node, uuid in enumerate(("ann", "ben", "cem"))]
        assert len({one.node for one in (ann, ben, cem)}) == 3
        for number in range(20):
            await ann.send({"to_client": ["ben", "cem"], "data": number})
        for one in (ben, cem):
            assert [(await one.receive())["data"] for _ in range(20)] == list(range(20))
        await cluster.send_message(Message(to_all=True, message_raw=b'"all"'))
        for one in (ann, ben, cem):
            await one.expect(data="all")


async def test_o8_an_application_runs_as_it_is() -> None:
    """Its middleware runs, its calls work from the test, and afterwards it is as before."""
    broke = Broke(StubEndpoint())
    broke.add_logic(Echo())
    broke.attach_receive_middleware(lambda message: None if message.message_raw == b'"no"' else message)
    async with Cluster(broke) as cluster:
        ann = await cluster.connect("ann", metadata={"name": "Ann"})
        await ann.send({"to_logic": "echo", "data": "no", "uuid": "m1"})
        await ann.expect(type="error", code="rejected", uuid="m1")
        assert (await broke.get_client("ann")).get_metadata("name") == "Ann"
        broke.add_logic(PlainEcho("late"))
        await ann.send({"to_logic": "late", "data": 1})
        await ann.expect(data=1)
    with pytest.raises(NotRunning):
        broke.get_all_clients()


async def test_o8_what_is_wrong_with_a_frame_comes_back_as_an_error() -> None:
    """Bad frames, unknown recipients and payloads that do not fit are answered as in production."""
    echo = Echo()
    echo.payload = Move
    async with Cluster(echo) as cluster:
        ann = await cluster.connect("ann")
        await ann.send("{")
        await ann.send({"to_logic": "ghost", "data": 1, "uuid": "m1"})
        await ann.send({"to_client": "nobody", "data": 1, "uuid": "m2"})
        await ann.send({"to_logic": "echo", "data": {"x": "y"}, "uuid": "m3"})
        await ann.expect(type="error", code="frame_invalid")
        await ann.expect(type="error", code="logic_does_not_exist", uuid="m1")
        await ann.expect(type="error", code="client_does_not_exist", uuid="m2")
        await ann.expect(type="error", code="payload_invalid", uuid="m3", field="x")
        assert len(ann.errors) == 4
        assert cluster.metrics().drops["logic_does_not_exist"] == 1


async def test_o8_a_message_object_may_be_sent_in_place_of_a_frame() -> None:
    """For what the protocol can't say, such as bytes that are no JSON."""
    async with Cluster(Echo()) as cluster:
        ann = await cluster.connect("ann")
        await ann.send(Message(to_logic="echo", message_raw=b"\xff"))
        await ann.expect(base64="/w==")


async def test_o8_a_uuid_is_connected_once_in_the_cluster() -> None:
    """Also from another node; when the first has left, it may come again."""
    async with Cluster() as cluster:
        ann = await cluster.connect("ann")
        with pytest.raises(ClientAlreadyExists):
            await cluster.connect("ann", node=1)
        await ann.send({"to_client": "ann", "data": "last words"})
        await ann.close()
        assert (ann.closed, ann.close_code, len(ann.received)) == (True, None, 1)
        with pytest.raises(ConnectionError):
            await ann.send({})
        await cluster.connect("ann", node=1)
        assert [client.uuid for client in await cluster.clients()] == ["ann"]


class Remover(LogicBase):
    """Sends a client away, and tells."""

    def run_logic(self, message: Message) -> None:
        try:
            self.remove_client(message.json())
            answer = "gone"
        except ClientDoesNotExist:
            answer = "unknown"
        self.send_message(Message(to_client=message.from_client, message_raw=answer))


async def test_o8_a_client_of_another_node_is_really_closed() -> None:
    """The logic runs on node 0, the client is on node 1."""
    async with Cluster(Remover("remover")) as cluster:
        ann, ben = await cluster.connect("ann", node=0), await cluster.connect("ben", node=1)
        for expected in ("gone", "unknown"):
            await ann.send({"to_logic": "remover", "data": "ben"})
            await ann.expect(text=expected)
        assert (ben.closed, ben.close_code) == (True, CloseCode.REMOVED)


class Here(LogicBase):
    """Says which clients are on the node that runs it."""

    async def run_logic(self, message: Message) -> None:
        here = [client.uuid for client in await self.get_all_clients(local_only=True)]
        await self.send_message(Message(to_client=message.from_client, message_raw=" ".join(here)))


async def test_o8_one_logic_object_runs_as_a_part_of_each_node() -> None:
    """Its calls are those of the process that it runs in."""
    async with Cluster(Here("here"), nodes=2) as cluster:
        for node, uuid in enumerate(("ann", "ben")):
            one = await cluster.connect(uuid, node=node)
            await one.send({"to_logic": "here", "data": None})
            await one.expect(text=uuid)


class Sleeper(LogicBase):
    """Takes an hour."""

    async def run_logic(self, message: Message) -> None:
        await asyncio.sleep(3600)
        await self.send_message(Message(to_client=message.from_client, message_raw=b'"slept"'))


async def test_o8_time_passes_only_when_it_is_told_to() -> None:
    """An hour takes no time; a handler's own sleep goes by the cluster's clock; the end waits for no timer."""
    began = time.monotonic()
    async with Cluster(Sleeper("sleeper")) as cluster:
        ann = await cluster.connect("ann")
        await ann.send({"to_logic": "sleeper", "data": None})
        await ann.expect_nothing(within=3599)
        await ann.expect(within=1, data="slept")
        assert cluster.clock.now() == datetime(2025, 1, 1, 1, tzinfo=UTC)
        await ann.send({"to_logic": "sleeper", "data": None})
        await cluster.settle()
    assert time.monotonic() - began < 10


async def test_o8_a_test_that_waits_for_nothing_is_told_so() -> None:
    """With what to do about it."""
    async with Cluster() as cluster:
        ann = await cluster.connect("ann")
        with pytest.raises(AssertionError, match=r"nothing came to 'ann'.*within="):
            await ann.receive()
        await ann.send({"to_client": "ann", "data": 1})
        with pytest.raises(AssertionError, match="was to get"):
            await ann.expect(data=2)


async def test_o8_last_messages_go_by_the_clusters_clock() -> None:
    """So a logic that looks for idle clients can be tested."""
    async with Cluster(Echo()) as cluster:
        ann = await cluster.connect("ann")
        await cluster.advance(60)
        await ann.send({"to_logic": "echo", "data": 1})
        await cluster.advance(2)
        [client] = await cluster.clients()
        assert (cluster.clock.now() - client.last_message).total_seconds() == 2
        pages = cluster._crew.edges[1].runtime.registry.pages()
        [seen_elsewhere] = [one async for page in pages for one in page]
        assert (cluster.clock.now() - seen_elsewhere.last_message).total_seconds() == 2


async def test_o8_one_cluster_after_another_and_then_time_passes_again() -> None:
    """The same logic objects may be used again; the loop is as it was."""
    echo, loop = Echo(), asyncio.get_running_loop()
    for _ in range(2):
        async with Cluster(echo) as cluster:
            ann = await cluster.connect("ann")
            await ann.send({"to_logic": "echo", "data": 1})
            await ann.expect(data=1)
            assert loop.time() == cluster.clock.monotonic()
    before = loop.time()
    await asyncio.sleep(0.01)
    assert loop.time() > before
    assert echo._operations is None


async def test_o8_what_the_test_raises_is_what_it_raises() -> None:
    """The end of the block hides nothing, whatever was going on, and leaves nothing behind."""

    async def fail() -> None:
        async with Cluster(Sleeper("sleeper"), nodes=2, workers=2) as cluster:
            ann = await cluster.connect("ann")
            await cluster.connect("ben", node=1)
            await ann.send({"to_logic": "sleeper", "data": None})
            await cluster.settle()
            cluster.freeze(1)
            cluster.redis_down()
            raise ZeroDivisionError

    before = asyncio.all_tasks()
    with pytest.raises(ZeroDivisionError):
        await fail()
    assert asyncio.all_tasks() == before


def test_o8_a_loop_whose_time_cannot_be_stopped_is_told() -> None:
    """uvloop keeps its own."""
    uvloop = pytest.importorskip("uvloop")

    async def enter() -> None:
        async with Cluster():
            pass

    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        pytest.raises(RuntimeError, match="asyncio's own"),
    ):
        runner.run(enter())


async def test_o8_an_application_and_more_logics_are_refused() -> None:
    """It has its own."""
    with pytest.raises(TypeError):
        Cluster(Broke(StubEndpoint()), Echo())


async def test_o8_the_seeds_broadcaster_as_it_stands() -> None:
    """An example, unchanged, in both of its variants."""
    async with Cluster(broadcaster.broke) as cluster:
        clients = [await cluster.connect(uuid, node=node) for node, uuid in enumerate(("ann", "ben"))]
        for logic in ("broadcaster", "sequential"):
            await clients[0].send({"to_logic": logic, "data": logic})
            for client in clients:
                await client.expect(data=logic, from_logic=logic)


async def test_o8_e4_a_client_that_stops_reading_costs_only_itself() -> None:
    """Its outbox on the edge is bounded: it is sent away when that overflows; one that reads on in time gets it all."""
    async with Cluster(settings=Settings(channel_size=5)) as cluster:
        ann, ben, cem = [await cluster.connect(uuid) for uuid in ("ann", "ben", "cem")]
        for one in (ann, ben):
            one.stop_reading()
        for number in range(5):
            await cem.send({"to_client": ["ann", "ben", "cem"], "data": number})
        await cluster.settle()
        assert ann.received == ben.received == []
        ann.read_on()
        await cem.send({"to_client": ["ann", "ben", "cem"], "data": 5})
        for one in (ann, cem):
            assert [(await one.receive())["data"] for _ in range(6)] == [0, 1, 2, 3, 4, 5]
        assert (ben.closed, ben.close_code, ben.received) == (True, CloseCode.SLOW_CONSUMER, [])
        assert not ann.closed


async def test_o8_a_removed_logic_is_unknown_at_once() -> None:
    """What waits for it waits; the cluster goes on."""
    worker = AsyncWorker(fails={1: 1})
    async with Cluster(worker, Echo(), workers=2) as cluster:
        ann = await cluster.connect("ann")
        cluster.crash("worker")
        for number in (1, 2):
            await ann.send({"to_logic": "worker", "data": number})
        await cluster.settle()
        cluster.broke.remove_logic("worker")
        await ann.send({"to_logic": "worker", "data": 3})
        await ann.expect(type="error", code="logic_does_not_exist")
        await ann.expect_nothing(within=60)
        await ann.send({"to_logic": "echo", "data": 4})
        await ann.expect(data=4)
        assert cluster.waiting("worker") == 2


async def test_o8_a_closing_edge_tells_its_clients() -> None:
    """At the end of the block, as in production."""
    async with Cluster() as cluster:
        ann = await cluster.connect("ann")
    assert ann.close_code is CloseCode.GOING_AWAY
