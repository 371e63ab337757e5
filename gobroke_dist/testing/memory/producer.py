"""The way of one process into the queues, and what a scheduler needs of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from gobroke_dist.clock import Clock
from gobroke_dist.outlet import Task
from gobroke_dist.testing.memory.letters import firing, written
from gobroke_dist.testing.memory.queues import Queues
from gobroke_dist.testing.memory.way import Way
from gobroke_dist.ticker import RemoteClock


class MemoryProducer:
    """Args:
    queues: the cluster's.
    way: of this process.
    clock: the cluster's.
    """

    def __init__(self, queues: Queues, way: Way, clock: Clock) -> None:
        self._queues = queues
        self._way = way
        self._clock = clock

    def start(self) -> None:
        return None

    def enqueue(self, task: Task) -> asyncio.Future[None]:
        """Take a task; its place in the order is that of this call. Raises ``TypeError`` for what is no JSON."""
        letter, refusal = written(task), self._way.refusal()
        if refusal is None:
            return self._queues.offer(letter)
        refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        refused.set_exception(refusal)
        return refused

    async def fire(self, logic: str, nominal_ms: int, scheduler: str = "") -> bool:
        await self._way.check()
        return self._queues.fire(firing(logic, nominal_ms, scheduler), nominal_ms)

    async def redis_now_ms(self) -> int:
        await self._way.check()
        return int(self._clock.now().timestamp() * 1000)

    async def close(self) -> None:
        return None


class MemoryRecord:
    """What was fired last."""

    def __init__(self, queues: Queues, way: Way) -> None:
        self._queues = queues
        self._way = way

    async def since(self, nominal_ms: Mapping[str, int]) -> dict[str, int]:
        await self._way.check()
        return self._queues.fired(nominal_ms)


class ClusterTime(RemoteClock):
    """The cluster's clock, in place of Redis' own: exact, so that a schedule fires at its very instant.

    Args:
        way: of this process.
        clock: the cluster's.
    """

    def __init__(self, way: Way, clock: Clock) -> None:
        self._way = way
        self._hands = clock

    async def measure(self) -> None:
        await self._way.check()

    def now(self) -> datetime:
        return self._hands.now()
