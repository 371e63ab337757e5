"""One process of an in-memory cluster: the runtime of production, on memory instead of Redis."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, TypeVar

from gobroke_dist.backends.memory.bus import MemoryBus
from gobroke_dist.backends.memory.cluster import MemoryCluster
from gobroke_dist.backends.memory.groups import MemoryGroups
from gobroke_dist.backends.memory.registry import MemoryRegistry
from gobroke_dist.backing import Backing
from gobroke_dist.metrics import Metrics
from gobroke_dist.runtime import Application, Runtime
from gobroke_dist.settings import Settings
from gobroke_dist.testing.clock import FakeClock
from gobroke_dist.testing.memory.operations import HERE
from gobroke_dist.testing.memory.ports import CutBus, CutGroups, CutRegistry
from gobroke_dist.testing.memory.producer import MemoryProducer
from gobroke_dist.testing.memory.queues import Queues
from gobroke_dist.testing.memory.way import Gate, Way

T = TypeVar("T")


class Shared:
    """What all processes of a cluster have in common.

    Args:
        application: what they run.
        settings: how.
        clock: the cluster's.

    Attributes:
        redis: shut while Redis is down.
        members: who lives, who is connected where, who listens.
    """

    def __init__(self, application: Application, settings: Settings, clock: FakeClock) -> None:
        self.application = application
        self.settings = settings
        self.clock = clock
        self.redis = Gate()
        self.members = MemoryCluster(clock)
        self.queues = Queues(application.logics, settings, clock)


class Process:
    """Args:
    shared: the cluster.
    role: ``edge`` or ``worker``.
    """

    def __init__(self, shared: Shared, role: str) -> None:
        self.shared = shared
        self.way = Way(shared.redis)
        self.runtime = Runtime(shared.application, shared.settings, role, self._backing)
        self._context = contextvars.copy_context()
        self._context.run(HERE.set, self.runtime.operations)

    @property
    def name(self) -> str:
        """Its id."""
        return self.runtime.node

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something as a part of this process."""
        return asyncio.get_running_loop().create_task(work, context=self._context.copy())

    def kill(self) -> None:
        """SIGKILL: from now on it says and hears nothing. Others see it until its lease is over."""
        self.way.alive = False
        self.way.awake.open()
        self.shared.members.receivers.pop(self.name, None)

    def thaw(self) -> None:
        """It goes on, with all that has arrived meanwhile."""
        self.way.awake.open()
        self._bus.hand_over()

    def _backing(self, settings: Settings, lease: float, metrics: Metrics) -> Backing:
        members, bus = self.shared.members, MemoryBus(self.shared.members)
        self._bus = CutBus(bus, self.way)
        return Backing(
            registry=CutRegistry(MemoryRegistry(members, lease, window=settings.recovery_window), self.way),
            groups=CutGroups(MemoryGroups(members, bus), self.way),
            bus=self._bus,
            producer=MemoryProducer(self.shared.queues, self.way, self.shared.clock),
            check=self.way.check,
            close=_nothing,
        )


async def _nothing() -> None:
    return None
