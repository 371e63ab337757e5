"""What every bus does, whatever carries it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gobroke_dist.bus import Arrival, Bus, Reply
from gobroke_dist.client import Client
from gobroke_dist.registry import Member
from tests.backends.places import Place
from tests.eventually import eventually


class Node:
    """A bus, and what has arrived there."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.got: list[bytes] = []
        self.arrivals: list[Arrival] = []
        self.replies: list[Reply] = []
        self.answers = True
        self._tasks: set[asyncio.Task[None]] = set()

    def receive(self, arrival: Arrival) -> None:
        data, reply = arrival.data, arrival.reply
        self.got.append(data)
        self.arrivals.append(arrival)
        if data == b"raise":
            raise RuntimeError("a receiver that raises")
        if reply is not None:
            self.replies.append(reply)
            if self.answers:
                self._tasks.add(asyncio.create_task(self._answer(reply, data)))

    async def _answer(self, reply: Reply, data: bytes) -> None:
        await reply(b"answer to " + data)


@pytest.fixture
async def nodes(place: Place) -> AsyncIterator[list[Node]]:
    made = [Node(place.bus()) for _ in range(3)]
    for number, node in enumerate(made):
        await node.bus.open(f"n{number}", node.receive)
    yield made
    for node in made:
        await node.bus.close()


async def test_r4_a_publish_reaches_its_node_alone(nodes: list[Node]) -> None:
    assert await nodes[0].bus.publish("n1", b"one") is True
    assert await nodes[0].bus.publish("n0", b"self") is True
    await eventually(lambda: nodes[1].got == [b"one"] and nodes[0].got == [b"self"])
    assert await nodes[0].bus.broadcast(b"end") == 3
    await eventually(lambda: all(node.got[-1:] == [b"end"] for node in nodes))
    assert nodes[2].got == [b"end"]


async def test_r4_a_publish_to_nobody_says_so(nodes: list[Node]) -> None:
    assert await nodes[0].bus.publish("nowhere", b"one") is False


async def test_r4_what_is_sent_to_clients_is_one_datum_for_each_node_that_has_some(
    nodes: list[Node], place: Place
) -> None:
    """Who is nowhere is named; a datum says whether all of its clients were on its node."""
    registries = [place.registry() for _ in range(2)]
    for number, registry in enumerate(registries):
        await registry.join(Member(node=f"n{number + 1}", role="edge"))
    for uuid, number in (("ann", 1), ("bob", 1), ("cid", 2)):
        await registries[number - 1].register(Client(uuid=uuid, node=f"n{number}", session=uuid))
    assert await nodes[0].bus.send(b"both", ["ann", "bob"]) == ()
    assert await nodes[0].bus.send(b"all", ["ann", "nobody", "cid", "\u00e9"]) == ("nobody", "\u00e9")
    assert await nodes[0].bus.send(b"none", []) == ()
    await eventually(lambda: nodes[1].got == [b"both", b"all"] and nodes[2].got == [b"all"])
    assert [arrival.complete for arrival in (*nodes[1].arrivals, *nodes[2].arrivals)] == [False, True, True]
    await registries[0].leave()
    assert await nodes[0].bus.send(b"late", ["ann", "cid"]) == ("ann",)


async def test_r5_who_sends_without_waiting_does_not_overtake_itself_when_the_client_moves(
    nodes: list[Node], place: Place
) -> None:
    """Whatever it is sent while it moves to and fro is published in the order sent, where it is."""
    registries = [place.registry() for _ in range(2)]
    for number, registry in enumerate(registries):
        await registry.join(Member(node=f"n{number + 1}", role="edge"))
    older = Client(uuid="ann", node="n1", session="s0")
    await registries[0].register(older)
    sent: list[bytes] = []
    for number in range(1, 9):
        for _ in range(100):
            sent.append(b"%d" % len(sent))
            nodes[0].bus.send(sent[-1], ["ann"])
        newer = Client(uuid="ann", node=f"n{number % 2 + 1}", session=f"s{number}")
        assert await registries[number % 2].replace(older, newer, b"news")
        older = newer
    await nodes[0].bus.send(b"end", ["ann"])
    await eventually(lambda: len(nodes[1].got) + len(nodes[2].got) == len(sent) + 1 + 8)
    arrivals = sorted((*nodes[1].arrivals, *nodes[2].arrivals), key=lambda arrival: arrival.number)
    assert [arrival.data for arrival in arrivals if arrival.data != b"news"] == [*sent, b"end"]
    assert len(nodes[2].got) > 8  # or it never was there


async def test_r5_what_one_node_sends_arrives_in_order(nodes: list[Node]) -> None:
    sent = [b"%d" % i for i in range(3000)]
    for datum in sent[:-1]:
        nodes[0].bus.publish("n1", datum)  # takes its place here; nobody awaits it
    await nodes[0].bus.publish("n1", sent[-1])
    await eventually(lambda: nodes[1].got == sent)


async def test_r5_broadcasts_and_publishes_keep_their_order(nodes: list[Node]) -> None:
    for i in range(200):
        send = nodes[0].bus.broadcast if i % 2 else lambda datum: nodes[0].bus.publish("n1", datum)
        send(b"%d" % i)
    await eventually(lambda: nodes[1].got == [b"%d" % i for i in range(200)])


async def test_c11_a_request_is_answered(nodes: list[Node], place: Place) -> None:
    without_open = place.bus()
    assert await without_open.request("n1", b"\x00\xff", timeout=5) == b"answer to \x00\xff"
    asked = [nodes[0].bus.request("n1", b"%d" % i, timeout=5) for i in range(50)]
    assert await asyncio.gather(*asked) == [b"answer to %d" % i for i in range(50)]


async def test_c11_a_request_to_nobody_fails_at_once(nodes: list[Node]) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError, match="nobody"):
            await nodes[0].bus.request("nowhere", b"?", timeout=60)


async def test_c11_an_answer_that_comes_too_late_is_no_error(nodes: list[Node]) -> None:
    nodes[1].answers = False
    with pytest.raises(TimeoutError):
        await nodes[0].bus.request("n1", b"?", timeout=0.05)
    await nodes[1].replies[0](b"late")
    await nodes[1].replies[0](b"twice")
    nodes[1].answers = True
    assert await nodes[0].bus.request("n1", b"!", timeout=5) == b"answer to !"


async def test_r8_a_receiver_that_raises_loses_no_other_message(
    nodes: list[Node], caplog: pytest.LogCaptureFixture
) -> None:
    for datum in (b"1", b"raise", b"2"):
        nodes[0].bus.publish("n1", datum)
    await eventually(lambda: nodes[1].got == [b"1", b"raise", b"2"])
    assert "raised" in caplog.text


async def test_close_flushes_and_then_receives_nothing(nodes: list[Node]) -> None:
    sent = [asyncio.ensure_future(nodes[0].bus.publish("n1", b"%d" % i)) for i in range(100)]
    await nodes[0].bus.close()
    assert all(one.done() for one in sent)
    await eventually(lambda: len(nodes[1].got) == 100)
    await nodes[1].bus.publish("n0", b"after")
    await nodes[1].bus.broadcast(b"end")
    await eventually(lambda: nodes[1].got[-1] == b"end" and nodes[2].got == [b"end"])
    assert nodes[0].got == []
