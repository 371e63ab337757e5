"""The three kinds of logic, in both colours, on real Redis."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from pydantic import BaseModel

from gobroke_dist import (
    Client,
    ClientDoesNotExist,
    LogicBase,
    LogicDoesNotExist,
    LogicType,
    Message,
)
from tests.cluster.conftest import Cluster, Edge
from tests.eventually import eventually


class AsyncTour(LogicBase):
    """Uses every call that a logic has."""

    async def run_logic(self, message: Message) -> None:
        assert message.from_client is not None
        sender = await self.get_client(message.from_client.uuid)
        everybody = await self.get_all_clients()
        await self.remove_client("guest")
        try:
            await self.get_client("nobody")
        except ClientDoesNotExist as error:
            missing = error.uuid
        await self.send_message(_findings(message, sender, everybody, missing))


class PlainTour(LogicBase):
    """The same without async."""

    def run_logic(self, message: Message) -> None:
        assert message.from_client is not None
        sender = self.get_client(message.from_client.uuid)
        everybody = self.get_all_clients()
        self.remove_client("guest")
        try:
            self.get_client("nobody")
        except ClientDoesNotExist as error:
            missing = error.uuid
        self.send_message(_findings(message, sender, everybody, missing))


def _findings(message: Message, sender: Client, everybody: list[Client], missing: str) -> Message:
    names = ",".join(sorted(client.uuid for client in everybody))
    text = f"{sender.uuid}({sender.get_metadata('name')}) of {names}; no {missing}"
    return Message(to_client=message.from_client, message_raw=text)


@pytest.mark.parametrize("kind", [LogicType.DISPATCHED, LogicType.WORKER])
@pytest.mark.parametrize("tour", [AsyncTour, PlainTour])
async def test_a3_a4_one_attribute_moves_a_logic_and_its_code_stays(
    cluster: Cluster, kind: LogicType, tour: type[LogicBase]
) -> None:
    """Every call works the same, async or not, on the edge and in a worker, across two edges."""
    one = await cluster.edge(tour("tour", kind))
    two = await cluster.edge(tour("tour", kind))
    await cluster.worker(tour("tour", kind))
    ann = await one.stub.simulate_client_connection(Client(uuid="ann", metadata={"name": "Ann"}))
    guest = await two.stub.simulate_client_connection(Client(uuid="guest"))
    await one.stub.simulate_client_message(ann, [], b"", to_logic="tour")
    answer = await one.stub.next_message(ann, timeout=10)
    assert answer.message_raw == b"ann(Ann) of ann,guest; no nobody"
    assert answer.from_logic == "tour"
    await eventually(lambda: guest in two.stub.disconnected, within=5)


class Blocking(LogicBase):
    """A plain def that blocks its thread until it is let go."""

    def __init__(self, go: threading.Event) -> None:
        super().__init__("blocking")
        self._go = go

    def run_logic(self, message: Message) -> None:
        assert self._go.wait(10)
        self.send_message(Message(to_client=message.from_client, message_raw=b"done"))


class Echo(LogicBase):
    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))


async def test_a4_a_blocking_handler_does_not_block_the_edge(cluster: Cluster) -> None:
    """While a plain def handler blocks, the same client's other messages are answered."""
    go = threading.Event()
    edge = await cluster.edge(Blocking(go), Echo())
    ann = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_message(ann, [], b"", to_logic="blocking")
    await edge.stub.simulate_client_message(ann, [], b"echo", to_logic="echo")
    assert (await edge.stub.next_message(ann, timeout=5)).message_raw == b"echo"
    go.set()
    assert (await edge.stub.next_message(ann, timeout=5)).message_raw == b"done"


class Move(BaseModel):
    x: int


class Board(LogicBase):
    payload = Move

    async def run_logic(self, message: Message) -> None:
        assert isinstance(message.payload, Move)
        await self.send_message(Message(to_client=message.from_client, message_raw=str(message.payload.x + 1)))


@pytest.mark.parametrize("kind", [LogicType.DISPATCHED, LogicType.WORKER])
async def test_a5_a_logic_gets_the_validated_object_or_the_client_the_field(cluster: Cluster, kind: LogicType) -> None:
    """A payload that does not fit never leaves the edge; the error names the field."""
    edge = await cluster.edge(Board("board", kind))
    await cluster.worker(Board("board", kind))
    ann = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_message(ann, [], b'{"x": "left"}', to_logic="board", uuid="bad")
    [error] = edge.stub.errors(ann)
    assert (error.code, getattr(error, "field", None)) == ("payload_invalid", "x")
    await edge.stub.simulate_client_message(ann, [], b'{"x": 41}', to_logic="board")
    assert (await edge.stub.next_message(ann, timeout=10)).message_raw == b"42"


class Gauge(LogicBase):
    """Counts how many of it run at once."""

    concurrency = 3

    def __init__(self) -> None:
        super().__init__("gauge")
        self.running = self.most = self.done = 0
        self.go = asyncio.Event()

    async def run_logic(self, message: Message) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        await self.go.wait()
        self.running -= 1
        self.done += 1


async def test_d1_the_limit_of_a_dispatched_logic_holds_senders_back_and_loses_nothing(cluster: Cluster) -> None:
    """With three running, a client's fourth message waits at the edge; all are processed in the end."""
    gauge = Gauge()
    edge = await cluster.edge(gauge, Echo())
    ann = await edge.stub.simulate_client_connection()
    ben = await edge.stub.simulate_client_connection()

    async def send_all() -> None:
        for _ in range(10):
            await edge.stub.simulate_client_message(ann, [], b"", to_logic="gauge")

    sending = asyncio.create_task(send_all())
    await eventually(lambda: gauge.running == 3, within=5)
    await edge.stub.simulate_client_message(ben, [], b"still here", to_logic="echo")
    assert (await edge.stub.next_message(ben, timeout=5)).message_raw == b"still here"
    assert (gauge.running, gauge.done) == (3, 0)
    gauge.go.set()
    await asyncio.wait_for(sending, 5)
    await eventually(lambda: gauge.done == 10, within=5)
    assert gauge.most == 3


class Recursive(LogicBase):
    """With room for one, sends to itself."""

    concurrency = 1

    async def run_logic(self, message: Message) -> None:
        left = int(message.message_raw)
        target: dict[str, Any] = {"to_logic": self.name} if left else {"to_client": "ann"}
        await self.send_message(Message(message_raw=str(left - 1), **target))


async def test_d1_a_logic_that_sends_to_itself_does_not_wait_for_itself(cluster: Cluster) -> None:
    """The limit is back-pressure on clients; among logics it can't dead-lock."""
    edge = await cluster.edge(Recursive("recursive"))
    ann = await edge.stub.simulate_client_connection(Client(uuid="ann"))
    await edge.stub.simulate_client_message(ann, [], b"5", to_logic="recursive")
    assert (await edge.stub.next_message(ann, timeout=5)).message_raw == b"-1"


async def test_d2_dispatched_logic_adds_no_round_trip_to_redis(cluster: Cluster) -> None:
    """A hundred echoes to a local client send Redis nothing at all."""
    edge = await cluster.edge(Echo())
    ann = await edge.stub.simulate_client_connection()
    commands = _count_commands(edge)
    for number in range(100):
        await edge.stub.simulate_client_message(ann, [], str(number).encode(), to_logic="echo")
        await edge.stub.next_message(ann, timeout=5)
    # The lease and the last-message times are renewed by the clock, whatever the number of messages.
    assert [name for name in commands if name not in ("renew", "update")] == []


def _count_commands(edge: Edge) -> list[str]:
    """Notes each call that could go to Redis from now on."""
    noted: list[str] = []
    runtime = edge.node.runtime
    for port, names in (
        (runtime.registry, ("renew", "update", "locate", "pages", "register", "unregister", "count", "members")),
        (runtime.bus, ("send", "publish", "broadcast", "request")),
        (runtime.producer, ("enqueue",)),
    ):
        for name in names:
            _note(port, name, noted)
    return noted


def _note(port: Any, name: str, noted: list[str]) -> None:
    original = getattr(port, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        noted.append(name)
        return original(*args, **kwargs)

    setattr(port, name, call)


class Producer(LogicBase):
    """A WORKER that sends to a DISPATCHED logic, and fails the first time, after sending."""

    logic_type = LogicType.WORKER
    min_backoff = 0.05

    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_logic="witness", message_raw=str(message.delivery.attempt)))
        await asyncio.sleep(0.2)  # time enough for the witness to run too early, if it could
        if message.delivery.attempt == 1:
            raise RuntimeError("the first attempt fails")
        self.finished = time.monotonic()


class Witness(LogicBase):
    """Notes who ran it, and when."""

    def __init__(self) -> None:
        super().__init__("witness")
        self.seen: list[tuple[bytes, float]] = []

    async def run_logic(self, message: Message) -> None:
        self.seen.append((message.message_raw, time.monotonic()))


async def test_d3_a_dispatched_logic_that_a_worker_addresses_runs_there_after_the_commit(cluster: Cluster) -> None:
    """The attempt that failed sent nothing; the one that succeeded ran the witness in the worker, after itself."""
    on_edge, in_worker, producer = Witness(), Witness(), Producer("producer")
    edge = await cluster.edge(Producer("producer"), on_edge)
    await cluster.worker(producer, in_worker)
    ann = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_message(ann, [], b"", to_logic="producer")
    await eventually(lambda: in_worker.seen != [], within=10)
    assert [raw for raw, _ in in_worker.seen] == [b"2"]
    assert in_worker.seen[0][1] >= producer.finished
    assert on_edge.seen == []


class Speaker(LogicBase):
    """A DISPATCHED logic that makes calls of its own."""

    def run_logic(self, message: Message) -> None:
        names = ",".join(sorted(client.uuid for client in self.get_all_clients()))
        self.send_message(Message(to_client="ann", message_raw=f"{message.from_logic}: {names}"))


class Asking(LogicBase):
    """A WORKER that has another logic speak for it."""

    logic_type = LogicType.WORKER

    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_logic="speaker"))


async def test_a3_d3_a_dispatched_logic_in_a_worker_makes_the_same_calls(cluster: Cluster) -> None:
    """The process has no edge; the calls work as they do on one."""
    edge = await cluster.edge(Asking("asking"), Speaker("speaker"))
    await cluster.worker(Asking("asking"), Speaker("speaker"))
    ann = await edge.stub.simulate_client_connection(Client(uuid="ann"))
    await edge.stub.simulate_client_message(ann, [], b"", to_logic="asking")
    assert (await edge.stub.next_message(ann, timeout=10)).message_raw == b"asking: ann"


class Failing(LogicBase):
    async def run_logic(self, message: Message) -> None:
        raise ValueError("a defect in a logic")


async def test_r8_seed_defect_a_logic_that_raises_is_reported_and_stops_nothing(cluster: Cluster) -> None:
    """The application's callback gets name, message, exception and stack; the next message is served."""
    told: list[tuple[str, Message | None, BaseException, str]] = []
    broke = cluster.broke([Failing(), Echo()])
    broke._on_logic_error = lambda *report: told.append(report)
    edge = await cluster.edge(broke=broke)
    ann = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_message(ann, [], b"", to_logic="failing", uuid="m1")
    await edge.stub.simulate_client_message(ann, [], b"still here", to_logic="echo")
    assert (await edge.stub.next_message(ann, timeout=5)).message_raw == b"still here"
    await eventually(lambda: told != [], within=5)
    [(name, message, error, stack)] = told
    assert (name, message and message.uuid, str(error)) == ("failing", "m1", "a defect in a logic")
    assert "run_logic" in stack


class Careless(LogicBase):
    """Forgets to await."""

    logic_type = LogicType.WORKER

    async def run_logic(self, message: Message) -> None:
        self.send_message(Message(to_client=message.from_client, message_raw=b"1"))
        self.send_message(Message(to_client=message.from_client, message_raw=b"2"))


async def test_a_forgotten_await_loses_nothing(cluster: Cluster) -> None:
    """A handler's run is not over before the calls that it began are done."""
    edge = await cluster.edge(Careless())
    await cluster.worker(Careless())
    ann = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_message(ann, [], b"", to_logic="careless")
    assert [(await edge.stub.next_message(ann, timeout=10)).message_raw for _ in range(2)] == [b"1", b"2"]


class Chain(LogicBase):
    """A WORKER that hands on to the next WORKER."""

    logic_type = LogicType.WORKER

    def run_logic(self, message: Message) -> None:
        left = int(message.message_raw)
        if left:
            self.send_message(Message(to_logic=self.name, message_raw=str(left - 1)))
        else:
            self.send_message(Message(to_client="ann", message_raw=b"end"))


async def test_w7_a_worker_may_send_to_workers_and_clients_in_one_commit(cluster: Cluster) -> None:
    """A chain of ten messages runs through the queue and ends at the client."""
    edge = await cluster.edge(Chain("chain"))
    await cluster.worker(Chain("chain"))
    ann = await edge.stub.simulate_client_connection(Client(uuid="ann"))
    await edge.stub.simulate_client_message(ann, [], b"10", to_logic="chain")
    assert (await edge.stub.next_message(ann, timeout=10)).message_raw == b"end"


class Wrong(LogicBase):
    """Sends to a logic that is not there, and tells what it got for it."""

    logic_type = LogicType.WORKER

    async def run_logic(self, message: Message) -> None:
        try:
            await self.send_message(Message(to_logic="ghost"))
        except LogicDoesNotExist as error:
            await self.send_message(Message(to_client=message.from_client, message_raw=error.logic))


async def test_r6_a_logic_hears_of_an_unknown_logic_by_exception(cluster: Cluster) -> None:
    """In a worker as on an edge, the error comes from the call."""
    edge = await cluster.edge(Wrong("wrong"))
    await cluster.worker(Wrong("wrong"))
    ann = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_message(ann, [], b"", to_logic="wrong")
    assert (await edge.stub.next_message(ann, timeout=10)).message_raw == b"ghost"


class Slow(LogicBase):
    """A WORKER that takes its time."""

    logic_type = LogicType.WORKER

    def __init__(self, go: threading.Event) -> None:
        super().__init__("slow")
        self._go = go

    def run_logic(self, message: Message) -> None:
        assert self._go.wait(20)
        self.send_message(Message(to_client=message.from_client, message_raw=b"at last"))


async def test_w14_seed_defect_a_slow_worker_holds_up_neither_its_node_nor_its_senders(cluster: Cluster) -> None:
    """While a WORKER is busy, its messages wait in Redis: the sender goes on sending, and others are served."""
    go = threading.Event()
    edge = await cluster.edge(Slow(go), Echo())
    await cluster.worker(Slow(go))
    ann = await edge.stub.simulate_client_connection()
    for _ in range(50):
        await asyncio.wait_for(edge.stub.simulate_client_message(ann, [], b"", to_logic="slow"), 5)
    await edge.stub.simulate_client_message(ann, [], b"still here", to_logic="echo")
    assert (await edge.stub.next_message(ann, timeout=5)).message_raw == b"still here"
    go.set()
    for _ in range(50):
        assert (await edge.stub.next_message(ann, timeout=10)).message_raw == b"at last"
