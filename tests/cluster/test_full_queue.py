"""A full queue, as a client sees it."""

from __future__ import annotations

import asyncio

from gobroke_dist import LogicBase, LogicType, Message, Settings
from tests.cluster.conftest import Cluster
from tests.eventually import eventually


class Small(LogicBase):
    logic_type = LogicType.WORKER
    max_waiting = 2

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bytes] = []

    def run_logic(self, message: Message) -> None:
        self.seen.append(message.message_raw)


class Strict(Small):
    name = "small"
    on_full = "refuse"


async def test_w14_with_refuse_the_client_gets_queue_full_and_may_send_the_same_message_again(
    cluster: Cluster,
) -> None:
    """The frame says which queue and which limit; what was accepted is processed."""
    edge = await cluster.edge(Strict())
    ann = await edge.stub.simulate_client_connection()
    for n in range(3):
        await edge.stub.simulate_client_message(ann, (), str(n), to_logic="small", uuid=f"m{n}")
    [error] = edge.stub.errors(ann)
    assert error.code == "queue_full"
    assert "'small' holds its limit of 2" in str(error)
    logic = Strict()
    await cluster.worker(logic)
    await eventually(lambda: len(logic.seen) == 2)
    await edge.stub.simulate_client_message(ann, (), "2", to_logic="small", uuid="m2")
    await eventually(lambda: logic.seen == [b"0", b"1", b"2"])


async def test_w14_with_wait_the_edge_reads_no_further_until_there_is_room(cluster: Cluster) -> None:
    """The client's frame is taken when a worker has made room; nobody is told of anything."""
    edge = await cluster.edge(Small())
    ann, bob = await edge.stub.simulate_client_connection(), await edge.stub.simulate_client_connection()
    for n in range(2):
        await edge.stub.simulate_client_message(ann, (), str(n), to_logic="small")
    reading = asyncio.create_task(edge.stub.simulate_client_message(ann, (), "2", to_logic="small"))
    await edge.stub.simulate_client_message(ann, [bob], "hello")
    assert (await edge.stub.next_message(bob)).message_raw == b"hello"
    assert not reading.done()
    logic = Small()
    await cluster.worker(logic)
    await asyncio.wait_for(reading, 5)
    await eventually(lambda: logic.seen == [b"0", b"1", b"2"])
    assert edge.stub.errors(ann) == []


async def test_w14_waiting_is_bounded_and_ends_in_queue_full(cluster: Cluster, settings: Settings) -> None:
    """``full_timeout`` later the client is told, and may send again."""
    broke = cluster.broke([Small()], settings=settings.model_copy(update={"full_timeout": 0.2}))
    edge = await cluster.edge(broke=broke)
    ann = await edge.stub.simulate_client_connection()
    for n in range(3):
        await edge.stub.simulate_client_message(ann, (), str(n), to_logic="small")
    assert [error.code for error in edge.stub.errors(ann)] == ["queue_full"]
