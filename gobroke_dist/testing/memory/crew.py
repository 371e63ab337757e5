"""The processes of a cluster, by role: started, killed, frozen, and ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

from gobroke_dist.errors import NotRunning
from gobroke_dist.logic import Operations
from gobroke_dist.scheduler import Scheduler, cluster_schedules
from gobroke_dist.testing.memory.edge import MemoryNode
from gobroke_dist.testing.memory.process import Process, Shared
from gobroke_dist.testing.memory.producer import ClusterTime, MemoryProducer, MemoryRecord
from gobroke_dist.testing.memory.way import Way
from gobroke_dist.testing.memory.worker import MemoryWorker


class Crew:
    """Args:
    shared: the cluster.

    Attributes:
        edges: those that were started, dead or alive.
        workers: those that live.
        crashing: by logic, how many of its next runs end with their process.
    """

    def __init__(self, shared: Shared) -> None:
        self.edges: list[MemoryNode] = []
        self.workers: list[MemoryWorker] = []
        self.crashing: Counter[str] = Counter()
        self._shared = shared
        self._dead: list[MemoryWorker] = []
        self._schedulers: list[asyncio.Task[None]] = []
        self._starting: set[asyncio.Task[None]] = set()

    @property
    def outside(self) -> Operations:
        """The calls of the first edge that lives and is not frozen. Raises ``NotRunning``: there is none."""
        for edge in self.edges:
            if edge.process.way.alive and edge.process.way.awake.is_open:
                return edge.runtime.operations
        raise NotRunning("a call from outside of all nodes")

    async def start_edge(self) -> None:
        """One more edge."""
        edge = MemoryNode(Process(self._shared, "edge"))
        self.edges.append(edge)
        await edge.process.start(edge.start())

    async def start_worker(self) -> None:
        """One more worker."""
        worker = MemoryWorker(Process(self._shared, "worker"), self.crashing, self.kill_worker)
        await worker.start()
        self.workers.append(worker)

    async def start_scheduler(self) -> None:
        """One more scheduler, for the schedules that there are now."""
        way, shared = Way(self._shared.redis), self._shared
        producer = MemoryProducer(shared.queues, way, shared.clock)
        schedules = cluster_schedules(shared.application.logics)
        record, clock = MemoryRecord(shared.queues, way), ClusterTime(way, shared.clock)
        scheduler = Scheduler(schedules, producer, record, clock)
        self._schedulers.append(asyncio.create_task(scheduler.run(await scheduler.start())))

    def running(self, logic: str | None) -> MemoryWorker:
        """The worker that runs a message of this logic, or, with None, any. Raises ``LookupError``: there is none."""
        for worker in self.workers:
            if worker.runs(logic):
                return worker
        raise LookupError(f"no worker runs a message of {logic or 'any logic'} now")

    def kill_worker(self, worker: MemoryWorker) -> None:
        """SIGKILL. Others get its messages when its lease is over; a new worker takes its place at once."""
        self.workers.remove(worker)
        self._dead.append(worker)
        worker.process.kill()
        worker.cut_off()
        lease = self._shared.settings.worker_lease
        asyncio.get_running_loop().call_later(lease, self._shared.queues.recover, worker.process.name)
        starting = asyncio.create_task(self._replace_worker())
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)

    async def _replace_worker(self) -> None:
        await self._shared.redis.passed()
        await self.start_worker()

    def kill_scheduler(self, index: int) -> None:
        """SIGKILL."""
        self._schedulers[index].cancel()

    async def kill_edge(self, edge: MemoryNode) -> None:
        """SIGKILL."""
        edge.kill()
        await edge.runtime.dispatcher.drain(0)

    def redis_is_up(self) -> None:
        """Redis answers again."""
        self._shared.redis.open()
        self._shared.queues.ring()

    async def stop(self) -> None:
        """End all of them, whatever was done to them."""
        self._shared.redis.open()
        for task in (*self._schedulers, *self._starting):
            task.cancel()
        await asyncio.gather(*self._schedulers, *self._starting, return_exceptions=True)
        for worker in (*self.workers, *self._dead):
            await worker.stop()
        for edge in self.edges:
            edge.process.way.awake.open()
            with contextlib.suppress(asyncio.CancelledError):
                await edge.process.start(edge.stop())
