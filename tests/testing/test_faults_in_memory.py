"""Faults in the in-memory cluster: each means what the contract says of it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gobroke_dist import (
    Client,
    ClientAlreadyExists,
    ClientCouldNotBeDisconnected,
    CloseCode,
    LogicBase,
    LogicType,
    Message,
    RedisUnavailable,
)
from gobroke_dist.testing import Cluster
from tests.testing.logics import AsyncWorker, Echo, PlainWorker, Worker

COLOURS = pytest.mark.parametrize("colour", [AsyncWorker, PlainWorker])


class Slow(Worker):
    """Takes ten seconds, with what it sends before and after."""

    async def run_logic(self, message: Message) -> None:
        await self.send_message(self.note(message))
        await asyncio.sleep(10)
        await self.send_message(Message(to_client="ben", message_raw=b'"after"'))


async def test_o8_w7_w9_a_worker_killed_in_the_middle_is_taken_over() -> None:
    """When its lease ends, and not before; the run that was cut off has sent nothing, and counts as an attempt."""
    slow = Slow()
    async with Cluster(slow, workers=2) as cluster:
        ann, ben = await cluster.connect("ann"), await cluster.connect("ben", node=1)
        for number in (1, 2):
            await ann.send({"to_logic": "worker", "data": number})
        await cluster.advance(5)
        await cluster.kill_worker("worker")
        await ann.expect_nothing(within=9.9)
        assert slow.ran == [(1, 1)]
        await cluster.advance(0.1)
        assert slow.ran == [(1, 1), (1, 2)]
        assert [message.delivery.recovered for message in slow.seen] == [False, True]
        assert slow.seen[1].delivery.fence > slow.seen[0].delivery.fence
        await cluster.advance(20)
        assert [frame["data"] for frame in ann.received] == [1, 2]
        assert [frame["data"] for frame in ben.received] == ["after", "after"]


@COLOURS
async def test_o8_w7_a_crash_after_the_last_line_sends_nothing_twice(colour: type[Worker]) -> None:
    """The handler had done everything; its message runs again, and its effects are visible once."""
    worker = colour()
    async with Cluster(worker) as cluster:
        ann = await cluster.connect("ann")
        cluster.crash("worker")
        for number in (1, 2):
            await ann.send({"to_logic": "worker", "data": number})
        await ann.expect_nothing(within=9)
        await ann.expect(within=1, data=1)
        await ann.expect(data=2)
        assert worker.ran == [(1, 1), (1, 2), (2, 1)]
        assert [message.delivery.recovered for message in worker.seen] == [False, True, False]
        await ann.expect_nothing(within=60)


async def test_o8_w10_a_message_that_kills_its_process_is_given_up() -> None:
    """After as many deliveries as it may have attempts; the next one runs."""
    worker = AsyncWorker(max_attempts=3)
    async with Cluster(worker) as cluster:
        ann = await cluster.connect("ann")
        cluster.crash("worker", times=3)
        await ann.send({"to_logic": "worker", "data": 1})
        await cluster.settle()
        await ann.send({"to_logic": "worker", "data": 2})
        await ann.expect(within=30, data=2)
        [dead] = cluster.dead("worker")
        assert (dead.reason, dead.attempts) == ("crashed", 3)
        assert worker.ran == [(1, 1), (1, 2), (1, 3), (2, 1)]


async def test_o8_w8_a_superseded_worker_sends_nothing() -> None:
    """Its handler runs to its end; what it says then is refused and counted. The second delivery's effects are seen."""
    slow = Slow()
    async with Cluster(slow, workers=2) as cluster:
        ann, ben = await cluster.connect("ann"), await cluster.connect("ben")
        await ann.send({"to_logic": "worker", "data": 1})
        await cluster.advance(5)
        cluster.lose_lease()
        await ann.expect_nothing(within=9.9)
        assert [frame["data"] for frame in ben.received] == []
        await cluster.advance(60)
        assert slow.ran == [(1, 1), (1, 2)]
        assert (len(ann.received), len(ben.received)) == (1, 1)
        counts = [worker.process.runtime.metrics.counts["settlements_refused"] for worker in cluster._crew.workers]
        assert sum(counts) == 1


async def test_o8_c3_a_killed_nodes_clients_go_with_its_lease() -> None:
    """Their connections break at once; for the others they are gone when the lease ends, and may come again."""
    async with Cluster() as cluster:
        ann, ben = await cluster.connect("ann", node=0), await cluster.connect("ben", node=1)
        await cluster.kill(0)
        assert (ann.closed, ann.close_code) == (True, None)
        assert {client.uuid for client in await cluster.clients()} == {"ann", "ben"}
        with pytest.raises(ClientAlreadyExists):
            await cluster.connect("ann", node=1)
        await cluster.advance(5)
        assert {client.uuid for client in await cluster.clients()} == {"ben"}
        again = await cluster.connect("ann", node=await cluster.start_node())
        await ben.send({"to_client": "ann", "data": "welcome back"})
        await again.expect(data="welcome back")


async def test_o8_a_killed_node_takes_its_running_logic_with_it() -> None:
    """DISPATCHED logic is at most once."""

    class Later(LogicBase):
        async def run_logic(self, message: Message) -> None:
            await asyncio.sleep(1)
            await self.send_message(Message(to_client="ben", message_raw=b"1"))

    async with Cluster(Later("later")) as cluster:
        ann, ben = await cluster.connect("ann", node=0), await cluster.connect("ben", node=1)
        await ann.send({"to_logic": "later", "data": 1})
        await cluster.settle()
        await cluster.kill(0)
        await ben.expect_nothing(within=60)


async def test_o8_c3_a_frozen_node_that_comes_back_registers_its_own_again() -> None:
    """Nothing that it was sent is lost as long as nobody has moved; who has moved is sent away there."""
    async with Cluster(Echo(), nodes=2) as cluster:
        ann, ben = await cluster.connect("ann", node=0), await cluster.connect("ben", node=0)
        cem = await cluster.connect("cem", node=1)
        cluster.freeze(0)
        await cem.send({"to_client": "ann", "data": "while frozen"})
        await ann.send({"to_logic": "echo", "data": "sent while frozen"})
        await ann.expect_nothing(within=4)
        await cluster.advance(2)
        assert {client.uuid for client in await cluster.clients()} == {"cem"}
        moved = await cluster.connect("ben", node=1)
        cluster.thaw(0)
        assert {(await ann.receive(within=2))["data"] for _ in range(2)} == {"while frozen", "sent while frozen"}
        await cluster.advance(3)
        assert (ben.closed, ben.close_code) == (True, CloseCode.REPLACED)
        assert not moved.closed
        assert {client.uuid for client in await cluster.clients()} == {"ann", "ben", "cem"}


async def test_o8_c5_a_frozen_node_does_not_confirm() -> None:
    """A call that needs it fails after its timeout, by the cluster's clock; a plain handler's thread is no obstacle."""

    class Remover(LogicBase):
        def __init__(self) -> None:
            super().__init__("remover")
            self.errors: list[Exception] = []

        def run_logic(self, message: Message) -> None:
            try:
                self.remove_client("ben")
            except ClientCouldNotBeDisconnected as error:
                self.errors.append(error)

    remover = Remover()
    async with Cluster(remover) as cluster:
        ann = await cluster.connect("ann", node=0)
        await cluster.connect("ben", node=1)
        cluster.freeze(1)
        await ann.send({"to_logic": "remover", "data": 1})
        await cluster.advance(4)
        assert remover.errors == []
        await cluster.advance(1)
        assert len(remover.errors) == 1


async def test_o8_what_waits_for_a_frozen_node_is_told_or_given_time() -> None:
    """In place of a test that hangs."""
    async with Cluster() as cluster:
        await cluster.connect("ben", node=1)
        cluster.freeze(1)
        with pytest.raises(AssertionError, match="frozen"):
            await cluster.connect("ann", node=1)
        with pytest.raises(AssertionError, match="within 4 s"):
            await cluster.within(4, cluster.broke.remove_client("ben"))
        with pytest.raises(ClientCouldNotBeDisconnected):
            await cluster.within(5, cluster.broke.remove_client("ben"))
        await cluster.kill(0)
        with pytest.raises(ConnectionError):
            await cluster.connect("ann", node=0)
        cluster.thaw(1)
        await cluster.connect("ann", node=1)


async def test_o8_c8_while_redis_is_down_connections_stay_and_new_work_is_refused() -> None:
    """With an error that says so; afterwards everything goes on by itself, and nothing accepted is lost."""
    worker = AsyncWorker(fails={1: 1})
    async with Cluster(worker, Echo()) as cluster:
        ann, ben = await cluster.connect("ann", node=0), await cluster.connect("ben", node=1)
        await ann.send({"to_logic": "worker", "data": 1})
        await cluster.settle()
        cluster.redis_down()
        await ann.send({"to_logic": "worker", "data": 2, "uuid": "m2"})
        await ann.expect(type="error", code="redis_unavailable", uuid="m2")
        await ann.send({"to_client": "ben", "data": 1, "uuid": "m3"})
        await ann.expect(type="error", code="redis_unavailable", uuid="m3")
        await ann.send({"to_logic": "echo", "data": "still here"})
        await ann.expect(data="still here")
        with pytest.raises(RedisUnavailable):
            await cluster.connect("cem")
        for message in (Message(to_all=True), Message(to_client=Client(uuid="ben", node=ben.node))):
            with pytest.raises(RedisUnavailable):
                await cluster.send_message(message)
        await ann.expect(text="")
        await ann.expect_nothing(within=30)
        assert worker.ran == [(1, 1)]
        assert not ann.closed
        assert not ben.closed
        cluster.redis_up()
        await ann.expect(data=1)
        await cluster.advance(5)
        await ann.send({"to_logic": "worker", "data": 2, "uuid": "m2"})
        await ann.send({"to_client": "ben", "data": 3})
        await ann.expect(data=2)
        await ben.expect(data=3)
        assert {client.uuid for client in await cluster.clients()} == {"ann", "ben"}


class Steady(Worker):
    """Takes ten seconds, and asks Redis nothing meanwhile."""

    async def run_logic(self, message: Message) -> None:
        await self.send_message(self.note(message))
        await asyncio.sleep(10)


async def test_o8_c8_what_a_worker_has_finished_is_acknowledged_when_redis_is_back() -> None:
    """It does not run again."""
    steady = Steady()
    async with Cluster(steady) as cluster:
        ann = await cluster.connect("ann")
        await ann.send({"to_logic": "worker", "data": 1})
        await cluster.advance(5)
        cluster.redis_down()
        await ann.expect_nothing(within=30)
        cluster.redis_up()
        await ann.expect(data=1)
        await cluster.advance(60)
        assert steady.ran == [(1, 1)]


async def test_o8_who_kills_a_worker_that_runs_nothing_is_told() -> None:
    """The test did not do what it was to do."""
    async with Cluster(AsyncWorker()) as cluster:
        with pytest.raises(LookupError, match="worker"):
            await cluster.kill_worker("worker")


class Endless(LogicBase):
    """Sends to itself, for ever."""

    logic_type = LogicType.WORKER

    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_logic="endless"))


async def test_o8_what_never_comes_to_rest_is_told() -> None:
    """In place of a test that hangs."""
    async with Cluster(Endless("endless"), patience=0.2) as cluster:
        await cluster.send_message(Message(to_logic="endless"))
        with pytest.raises(AssertionError, match="never comes to rest"):
            await cluster.settle()


class Stuck(LogicBase):
    """Waits on its thread for something that is not the cluster's."""

    def __init__(self) -> None:
        super().__init__("stuck")
        self.go_on = threading.Event()

    def run_logic(self, message: Message) -> None:
        self.go_on.wait(20)


async def test_o8_a_thread_that_is_busy_for_too_long_is_told() -> None:
    """The cluster waits for threads in real time, and not for ever."""
    stuck = Stuck()
    async with Cluster(stuck, patience=0.2) as cluster:
        await cluster.send_message(Message(to_logic="stuck"))
        with pytest.raises(AssertionError, match="plain def handler is busy"):
            await cluster.settle()
        stuck.go_on.set()
