"""A whole cluster in a test's own event loop, without Redis, sockets or waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

from gobroke_dist.broke import Broke
from gobroke_dist.client import Client
from gobroke_dist.logic import LogicBase
from gobroke_dist.message import Message
from gobroke_dist.metrics import Metrics
from gobroke_dist.settings import Settings
from gobroke_dist.testing.client import MemoryClient
from gobroke_dist.testing.clock import START, FakeClock, StoppedLoop
from gobroke_dist.testing.memory.crew import Crew
from gobroke_dist.testing.memory.letters import DeadLetter
from gobroke_dist.testing.memory.operations import OperationsHere
from gobroke_dist.testing.memory.process import Shared
from gobroke_dist.testing.stage import staged

T = TypeVar("T")
_LONGEST_END = 300.0


class Cluster:
    """Edges, workers and schedulers of one application, in memory. ::

        async with Cluster(broke, nodes=2) as cluster:
            ann = await cluster.connect("ann", node=0)
            await ann.send({"to_logic": "echo", "data": "hello"})
            await ann.expect(data="hello")

    While the block runs, time stands still on the event loop, for the test's own timers as well: it passes only in
    ``advance``, or where a ``within`` allows it. The logic objects are those of the application, in every process.

    Args:
        what: an application, or logics to make one of. Its own endpoints are not started.
        nodes: how many edges.
        workers: how many worker processes.
        schedulers: how many.
        settings: instead of the application's own.
        start: what the clock shows at first.
        patience: seconds of real time that threads, or what never comes to rest, may take before the test fails.
    """

    def __init__(
        self,
        *what: Broke | LogicBase,
        nodes: int = 2,
        workers: int = 1,
        schedulers: int = 1,
        settings: Settings | None = None,
        start: datetime = START,
        patience: float = 10.0,
    ) -> None:
        self.broke = staged(what)
        self._settings = settings or self.broke.settings
        self._numbers = nodes, workers, schedulers
        self._time = start, patience

    async def __aenter__(self) -> Cluster:
        self._loop = StoppedLoop(*self._time)
        self._shared = Shared(self.broke.application, self._settings, self._loop.clock)
        self._crew = Crew(self._shared)
        async with AsyncExitStack() as stack:
            self._loop.stop_time()
            stack.callback(self._loop.restore)
            calls = OperationsHere(self._loop, lambda: self._crew.outside)
            stack.callback(self._serve, None)
            stack.push_async_callback(self._stop)
            nodes, workers, schedulers = self._numbers
            for _ in range(nodes):
                await self._crew.start_edge()
            for _ in range(workers):
                await self._crew.start_worker()
            for _ in range(schedulers):
                await self._crew.start_scheduler()
            self._serve(calls)
            await self.settle()
            self._ending = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        hidden = (AssertionError,) if error is not None else ()  # what the test raises comes first
        with suppress(*hidden):
            await self._ending.aclose()

    async def _stop(self) -> None:
        """What runs has its time to finish, as at any shutdown, by the cluster's clock."""
        stopping = asyncio.create_task(self._crew.stop())
        await self._loop.advance_until(stopping.done, _LONGEST_END)
        await stopping

    def _serve(self, calls: OperationsHere | None) -> None:
        self.broke._operations = calls
        for logic in self.broke.logics.values():
            logic._operations = calls

    # --- time --------------------------------------------------------------------

    @property
    def clock(self) -> FakeClock:
        """What everything here goes by. Give ``cluster.clock.now`` to logic that asks what time it is."""
        return self._loop.clock

    async def settle(self) -> None:
        """Return when nothing more happens without time moving. Raises ``AssertionError``: it never comes to rest."""
        await self._loop.settle()

    async def advance(self, seconds: float) -> None:
        """Let time pass, without taking any: what is due meanwhile happens, each at its own instant."""
        await self._loop.advance(seconds)

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        """The answer of something that may need time to pass, so many seconds at most:
        ``await cluster.within(5, broke.remove_client("ann"))``.

        Raises:
            AssertionError: there is none by then.
        """
        doing = asyncio.ensure_future(work)
        await self._loop.settle(doing.done)
        if not doing.done() and not await self._loop.advance_until(doing.done, seconds):
            doing.cancel()
            raise AssertionError(f"no answer within {seconds:g} s; is something frozen, full, or down?")
        return await doing

    # --- clients, and the application's calls ------------------------------------

    async def connect(
        self, uuid: str | None = None, *, node: int = 0, metadata: dict[str, Any] | None = None
    ) -> MemoryClient:
        """Connect a client to an edge.

        Raises:
            ClientAlreadyExists: it is connected already.
            RedisUnavailable: while Redis is down.
            ConnectionError: the edge has been killed.
            AssertionError: the edge is frozen.
        """
        edge = self._crew.edges[node]
        if not edge.process.way.alive:
            raise ConnectionError(f"node {node} has been killed")
        line = edge.endpoint.line(uuid, metadata or {})
        client = MemoryClient(line, self._loop)
        await self.within(0, edge.process.start(line.connect()))
        await self.settle()
        return client

    async def send_message(self, message: Message, *, within: float = 0.0) -> None:
        """Send as the application itself does, by way of the first edge that works. Raises as ``Broke.send_message``.

        Args:
            message: to clients, logics or all.
            within: seconds that may pass until it is accepted; a full queue needs some.
        """
        await self.within(within, self.broke.send_message(message))

    async def clients(self) -> list[Client]:
        """Everybody who is connected, as the first edge that works sees it."""
        found: list[Client] = await self.within(0, self.broke.get_all_clients())
        return found

    def metrics(self, node: int = 0) -> Metrics:
        """What an edge has counted."""
        return self._crew.edges[node].runtime.metrics

    # --- queues and dead letters -------------------------------------------------

    def waiting(self, logic: str) -> int:
        """How many messages of a logic wait or run."""
        return len(self._shared.queues.of(logic))

    def dead(self, logic: str) -> list[DeadLetter]:
        """The dead letters of a logic, oldest first."""
        return list(self._shared.queues.of(logic).dead.values())

    def requeue(self, logic: str, uuid: str) -> None:
        """Make a dead letter a message again, with all of its attempts: at its old place if its key waits for it.

        Raises:
            KeyError: there is no such dead letter.
        """
        self._shared.queues.requeue(logic, uuid)

    def discard(self, logic: str, uuid: str) -> None:
        """Delete a dead letter; a key that waits for it goes on. Raises ``KeyError``: there is no such one."""
        self._shared.queues.discard(logic, uuid)

    def resume(self, logic: str) -> None:
        """Let a logic go on that a message has halted (``on_poison="halt_logic"``)."""
        self._shared.queues.resume(logic)

    # --- faults ------------------------------------------------------------------

    async def start_node(self) -> int:
        """Start one more edge. Returns its number."""
        await self._crew.start_edge()
        return len(self._crew.edges) - 1

    async def start_worker(self) -> None:
        """Start one more worker."""
        await self._crew.start_worker()

    async def kill(self, node: int) -> None:
        """SIGKILL to an edge: its connections break, and its clients are gone for the others when its lease ends
        (``Settings.node_lease``).
        """
        await self._crew.kill_edge(self._crew.edges[node])

    def freeze(self, node: int) -> None:
        """SIGSTOP to an edge: it reads nothing, from clients or from others, and does not renew its lease. Handlers
        that run on it already go on until they need Redis.
        """
        self._crew.edges[node].process.way.awake.shut()

    def thaw(self, node: int) -> None:
        """SIGCONT: it reads what has come meanwhile. Where its lease had ended, it registers its clients again, and
        sends away those that have moved.
        """
        self._crew.edges[node].process.thaw()

    async def kill_worker(self, logic: str | None = None) -> None:
        """SIGKILL to the worker that runs a message of this logic, in the middle of it; None: to the first that runs
        any. When its lease ends (``Settings.worker_lease``), another gets what it held: ``delivery.recovered``, and one
        more attempt. A new worker takes its place at once.

        An ``async def`` handler is cancelled where it is. A plain ``def`` one can't be: it runs on, for nobody.

        Raises:
            LookupError: no worker runs such a message.
        """
        self._crew.kill_worker(self._crew.running(logic))
        await self.settle()

    def crash(self, logic: str, times: int = 1) -> None:
        """The next runs of a logic end with their process: after the handler's last line, before the message is
        acknowledged, where it hurts most. What follows is as for ``kill_worker``.
        """
        self._crew.crashing[logic] += times

    def lose_lease(self, logic: str | None = None) -> None:
        """The worker that ``kill_worker`` would kill is taken for dead while its handlers run on: what it held goes to
        whoever is free, itself included, and what it makes of the old deliveries is refused (contract W8).

        Raises:
            LookupError: as ``kill_worker``.
        """
        self._shared.queues.recover(self._crew.running(logic).process.name)

    def kill_scheduler(self, index: int = 0) -> None:
        """SIGKILL to a scheduler. The others go on; nothing fires twice."""
        self._crew.kill_scheduler(index)

    def redis_down(self) -> None:
        """Every call to Redis fails with ``RedisUnavailable``, at once. Connections stay; workers keep what they have
        finished until they can say so; leases run on.
        """
        self._shared.redis.shut()

    def redis_up(self) -> None:
        """Redis answers again, with all that it had."""
        self._crew.redis_is_up()
