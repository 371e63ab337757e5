"""WORKER logic in the in-memory cluster, by the contract's section W."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from gobroke_dist import LogicBase, LogicType, Message, QueueFull, Settings
from gobroke_dist.testing import Cluster, MemoryClient
from tests.testing.logics import AsyncWorker, Echo, Move, PlainWorker, Worker

COLOURS = pytest.mark.parametrize("colour", [AsyncWorker, PlainWorker])


async def tell(client: MemoryClient, *data: Any, logic: str = "worker") -> None:
    """Send each of these to a logic."""
    for one in data:
        await client.send({"to_logic": logic, "data": one})


@COLOURS
async def test_o8_w2_w4_a_retry_keeps_its_place(colour: type[Worker]) -> None:
    """What comes after the one that fails waits for it, with a back-off that doubles and is bounded."""
    worker = colour(fails={1: 4}, max_attempts=5)
    async with Cluster(worker, workers=2) as cluster:
        ann = await cluster.connect("ann")
        await tell(ann, 0, 1, 2, 3)
        await cluster.settle()
        assert worker.ran == [(0, 1), (1, 1)]
        await cluster.advance(0.2 + 0.4 + 0.8)
        assert worker.ran[1:] == [(1, 1), (1, 2), (1, 3), (1, 4)]
        await ann.expect(data=0)
        await ann.expect_nothing(within=0.99)
        for number in (1, 2, 3):
            await ann.expect(within=0.1, data=number)
        await ann.expect_nothing(within=60)
        assert cluster.waiting("worker") == 0


async def test_o8_w2_only_the_key_waits() -> None:
    """Other keys go on while one fails."""
    worker = AsyncWorker(fails={"a1": 1}, order_by=lambda message: message.json()[0])
    async with Cluster(worker) as cluster:
        ann = await cluster.connect("ann")
        await tell(ann, "a1", "a2", "b1", "b2")
        await cluster.settle()
        assert [frame["data"] for frame in ann.received] == ["b1", "b2"]
        await cluster.advance(0.2)
        assert [frame["data"] for frame in ann.received] == ["b1", "b2", "a1", "a2"]


class Overlapping(LogicBase):
    """Notes how many run at once."""

    logic_type = LogicType.WORKER
    order_by = None

    def __init__(self, **attributes: Any) -> None:
        super().__init__("overlapping")
        self.now = self.most = 0
        for attribute, value in attributes.items():
            setattr(self, attribute, value)

    async def run_logic(self, message: Message) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(1)
        self.now -= 1


@pytest.mark.parametrize(
    ("order_by", "concurrency", "most"), [(None, 3, 6), ("logic", 3, 1), ("client", 3, 2), (None, 64, 10)]
)
async def test_o8_w2_as_many_run_at_once_as_order_and_concurrency_allow(
    order_by: Any, concurrency: int, most: int
) -> None:
    """Two workers, two clients, five messages of each."""
    logic = Overlapping(order_by=order_by, concurrency=concurrency)
    async with Cluster(logic, workers=2) as cluster:
        for one in [await cluster.connect("ann"), await cluster.connect("ben", node=1)]:
            await tell(one, *range(5), logic="overlapping")
        await cluster.advance(20)
        assert (logic.most, logic.now, cluster.waiting("overlapping")) == (most, 0, 0)


class Relaying(LogicBase):
    """Sends to a client, everybody, a WORKER and a DISPATCHED logic; then it fails, twice."""

    logic_type = LogicType.WORKER
    max_attempts = 3

    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_client="ben", message_raw=b'"one"'))
        await self.send_message(Message(to_all=True, message_raw=b'"all"'))
        await self.send_message(Message(to_logic="worker", message_raw=b'"task"', uuid="fixed"))
        await self.send_message(Message(to_logic="witness", message_raw=str(message.delivery.attempt)))
        await asyncio.sleep(1)
        if message.delivery.attempt < 3:
            raise ValueError("not yet")


class Witness(LogicBase):
    """Notes what it gets."""

    def __init__(self) -> None:
        super().__init__("witness")
        self.got: list[bytes] = []

    async def run_logic(self, message: Message) -> None:
        self.got.append(message.message_raw)


async def test_o8_w7_what_a_handler_sends_is_visible_when_it_succeeds_and_once() -> None:
    """Two failed runs send nothing; the third sends all of it, at its end."""
    worker, witness = AsyncWorker(), Witness()
    async with Cluster(Relaying("relaying"), worker, witness) as cluster:
        ann, ben = await cluster.connect("ann"), await cluster.connect("ben", node=1)
        await tell(ann, 0, logic="relaying")
        await ben.expect_nothing(within=1 + 0.2 + 1 + 0.4 + 0.99)
        assert (worker.ran, witness.got) == ([], [])
        assert [(await ben.receive(within=0.1))["data"] for _ in range(2)] == ["one", "all"]
        await cluster.advance(60)
        assert (len(ben.received), worker.ran, witness.got) == (2, [("task", 1)], [b"3"])


class Careless(LogicBase):
    """Sends what is no JSON to a WORKER."""

    logic_type = LogicType.WORKER
    max_attempts = 1

    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_client="ann", message_raw=b'"never"'))
        await self.send_message(Message(to_logic="worker", message_raw=b"1", metadata={"no": object()}))


async def test_o8_what_is_no_json_fails_as_in_production() -> None:
    """The handler's run has failed, and nothing that it sent is visible."""
    async with Cluster(Careless("careless"), AsyncWorker()) as cluster:
        ann = await cluster.connect("ann")
        await tell(ann, 0, logic="careless")
        await ann.expect_nothing(within=1)
        [dead] = cluster.dead("careless")
        assert dead.error.startswith("TypeError")


async def test_o8_w12_a_uuid_is_accepted_once_per_window() -> None:
    """Also from another node, and when it is done; after the window it is a new message."""
    worker = AsyncWorker()
    async with Cluster(worker, settings=Settings(dedup_window=300)) as cluster:
        for one in [await cluster.connect("ann"), await cluster.connect("ben", node=1)]:
            for _ in range(2):
                await one.send({"to_logic": "worker", "data": 1, "uuid": "same"})
                await cluster.advance(100)
        assert worker.ran == [(1, 1), (1, 1)]
        await cluster.advance(200)
        await one.send({"to_logic": "worker", "data": 1, "uuid": "same"})
        await cluster.settle()
        assert len(worker.ran) == 3
        assert one.errors == []


@COLOURS
async def test_o8_w11_what_fails_for_good_is_a_dead_letter_with_its_reason(colour: type[Worker]) -> None:
    """The next message runs; requeued, the dead one has all of its attempts again."""
    worker = colour(fails={1: 99}, max_attempts=2)
    async with Cluster(worker) as cluster:
        ann = await cluster.connect("ann")
        await ann.send({"to_logic": "worker", "data": 1, "uuid": "m1", "metadata": {"a": 1}})
        await tell(ann, 2)
        await ann.expect(within=0.2, data=2)
        [dead] = cluster.dead("worker")
        assert (dead.uuid, dead.reason, dead.attempts, dead.key) == ("m1", "attempts", 2, "")
        assert dead.error == "ValueError: 1 fails"
        assert dead.message is not None
        assert (dead.message.json(), dead.message.metadata, dead.message.from_client.uuid) == (1, {"a": 1}, "ann")
        worker.fails.clear()
        cluster.requeue("worker", "m1")
        await ann.expect(data=1)
        assert cluster.dead("worker") == []


async def test_o8_w10_a_payload_that_no_longer_fits_is_dead_at_once() -> None:
    """It was accepted by an older version of the application."""
    worker = AsyncWorker(order_by=None)
    async with Cluster(worker, workers=0) as cluster:
        ann = await cluster.connect("ann")
        await tell(ann, 1)
        await cluster.settle()
        worker.payload = Move
        await cluster.start_worker()
        await cluster.settle()
        [dead] = cluster.dead("worker")
        assert (dead.reason, dead.attempts, worker.ran) == ("invalid", 1, [])


async def test_o8_w10_a_halted_key_waits_for_an_operator() -> None:
    """Other keys go on; requeued, the message runs at its original place."""
    worker = AsyncWorker(
        fails={"a1": 99}, max_attempts=1, on_poison="halt_key", order_by=lambda message: message.json()[0]
    )
    async with Cluster(worker) as cluster:
        ann = await cluster.connect("ann")
        await tell(ann, "a1", "a2", "b1")
        await ann.expect(data="b1")
        await ann.expect_nothing(within=60)
        [dead] = cluster.dead("worker")
        await tell(ann, "a3")
        worker.fails.clear()
        cluster.requeue("worker", dead.uuid)
        for expected in ("a1", "a2", "a3"):
            await ann.expect(data=expected)


async def test_o8_w10_a_discarded_letter_lets_its_key_go_on() -> None:
    """Without it."""
    worker = AsyncWorker(fails={1: 99}, max_attempts=1, on_poison="halt_key")
    async with Cluster(worker) as cluster:
        ann = await cluster.connect("ann")
        await tell(ann, 1, 2)
        await ann.expect_nothing(within=60)
        cluster.discard("worker", cluster.dead("worker")[0].uuid)
        await ann.expect(data=2)
        assert cluster.dead("worker") == []


async def test_o8_w10_a_halted_logic_waits_for_an_operator() -> None:
    """All of its keys do; when it goes on, the key of the dead letter waits for what becomes of that."""
    worker = AsyncWorker(
        fails={"a1": 99}, max_attempts=1, on_poison="halt_logic", order_by=lambda message: message.json()[0]
    )
    async with Cluster(worker) as cluster:
        ann = await cluster.connect("ann")
        await tell(ann, "a1")
        await cluster.settle()
        await tell(ann, "a2", "b1")
        await ann.expect_nothing(within=60)
        cluster.resume("worker")
        await ann.expect(data="b1")
        cluster.discard("worker", cluster.dead("worker")[0].uuid)
        await ann.expect(data="a2")


async def test_o8_w14_a_full_queue_refuses() -> None:
    """At once, with an error that the client can retry on, and nothing is lost of what was accepted."""
    worker = AsyncWorker(max_waiting=2, on_full="refuse")
    async with Cluster(worker, workers=0) as cluster:
        ann = await cluster.connect("ann")
        await tell(ann, 1, 2, 3)
        await ann.expect(type="error", code="queue_full")
        with pytest.raises(QueueFull, match="2 messages"):
            await cluster.send_message(Message(to_logic="worker", message_raw=b"4"))
        await cluster.start_worker()
        assert [(await ann.receive())["data"] for _ in range(2)] == [1, 2]


async def test_o8_w14_a_full_queue_holds_the_client_up() -> None:
    """Its next frame is not read until there is room, or until the timeout; others are served."""
    worker = AsyncWorker(max_waiting=1, on_full="wait")
    async with Cluster(worker, Echo(), workers=0, settings=Settings(full_timeout=5)) as cluster:
        ann, ben = await cluster.connect("ann"), await cluster.connect("ben")
        await tell(ann, 1, 2)
        await tell(ann, "after", logic="echo")
        await tell(ben, "meanwhile", logic="echo")
        await ben.expect(data="meanwhile")
        await ann.expect_nothing(within=4.9)
        await ann.expect(within=0.1, type="error", code="queue_full")
        await ann.expect(data="after")
        with pytest.raises(AssertionError, match="full"):
            await cluster.send_message(Message(to_logic="worker", message_raw=b"0"))
        with pytest.raises(QueueFull):
            await cluster.send_message(Message(to_logic="worker", message_raw=b"0"), within=5)
        await tell(ann, 3)
        await cluster.advance(1)
        await cluster.start_worker()
        assert [(await ann.receive())["data"] for _ in range(2)] == [1, 3]


async def test_o8_the_handler_is_told_of_its_delivery() -> None:
    """attempt, fence, seq and age, by the cluster's clock."""
    worker = AsyncWorker(fails={1: 1})
    async with Cluster(worker) as cluster:
        ann = await cluster.connect("ann")
        await tell(ann, 1, 2)
        await cluster.advance(0.2)
        first, again, second = [message.delivery for message in worker.seen]
        assert (first.attempt, again.attempt, second.attempt) == (1, 2, 1)
        assert first.fence < again.fence < second.fence
        assert (first.seq, again.seq) == (first.seq, first.seq) < (second.seq, second.seq)
        assert (first.age, round(again.age, 6), round(second.age, 6)) == (0, 0.2, 0.2)
        assert not any(one.recovered for one in (first, again, second))
        assert worker.seen[0].from_client.node == ann.node


class Endless(LogicBase):
    """Takes longer than it may."""

    logic_type = LogicType.WORKER
    time_limit = 5.0
    max_attempts = 1

    async def run_logic(self, message: Message) -> None:
        await asyncio.sleep(3600)


async def test_o8_a_run_that_takes_too_long_has_failed() -> None:
    """By the cluster's clock."""
    async with Cluster(Endless("endless")) as cluster:
        ann = await cluster.connect("ann")
        await tell(ann, 1, logic="endless")
        await cluster.advance(4.9)
        assert cluster.dead("endless") == []
        await cluster.advance(0.1)
        assert [dead.reason for dead in cluster.dead("endless")] == ["attempts"]


class Asking(LogicBase):
    """A plain ``def`` that asks the cluster, from its thread."""

    logic_type = LogicType.WORKER

    def __init__(self) -> None:
        super().__init__("asking")
        self.threads: set[str] = set()

    def run_logic(self, message: Message) -> None:
        self.threads.add(threading.current_thread().name)
        names = sorted(client.uuid for client in self.get_all_clients())
        self.send_message(Message(to_client=message.from_client, message_raw=" ".join(names)))


async def test_o8_a_plain_handler_runs_on_a_thread_and_is_waited_for() -> None:
    """Its calls work, and ``receive`` waits for it without a pause."""
    asking = Asking()
    async with Cluster(asking) as cluster:
        ann = await cluster.connect("ann")
        await cluster.connect("ben", node=1)
        await tell(ann, 1, logic="asking")
        await ann.expect(text="ann ben")
        assert threading.current_thread().name not in asking.threads
