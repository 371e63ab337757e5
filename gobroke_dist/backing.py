"""What one process of the cluster stands on: who is where, the way to the others, the way into the queues."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from gobroke_dist.backends.redis.bus import RedisBus
from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.backends.redis.errors import translated
from gobroke_dist.backends.redis.groups import RedisGroups
from gobroke_dist.backends.redis.registry import RedisRegistry
from gobroke_dist.bus import Bus
from gobroke_dist.groups import Groups
from gobroke_dist.immediate import TaskProducer
from gobroke_dist.keys import ClusterKeys
from gobroke_dist.metrics import Metrics
from gobroke_dist.registry import Registry
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.producer import AsyncProducer


class Producer(TaskProducer, Protocol):
    """The way into the queues, with a beginning and an end."""

    def start(self) -> None:
        """Begin; call it on the event loop that will enqueue."""
        ...

    async def fire(self, logic: str, nominal_ms: int, scheduler: str = "") -> bool:
        """Claim a nominal time of a PASSIVE logic and enqueue its run; False: it was claimed before."""
        ...

    async def redis_now_ms(self) -> int:
        """The clock that schedules go by, in Unix milliseconds."""
        ...

    async def close(self) -> None:
        """Flush what was taken, and stop."""
        ...


@dataclass(frozen=True, slots=True)
class Backing:
    """Attributes:
    registry, groups, bus, producer: this process's own.
    check: raises what the way there raises.
    close: ends the connections; called last.
    """

    registry: Registry
    groups: Groups
    bus: Bus
    producer: Producer
    check: Callable[[], Awaitable[object]]
    close: Callable[[], Awaitable[None]]


MakeBacking = Callable[[Settings, float, Metrics], Backing]
"""Gets the settings, the seconds of this process's lease, and its metrics."""


def on_redis(broker: OrderedBroker) -> MakeBacking:
    """The backing of production. Its calls raise ``RedisUnavailable``.

    Args:
        broker: where tasks are handed over.
    """

    def make(settings: Settings, lease: float, metrics: Metrics) -> Backing:
        keys = ClusterKeys(settings.prefix)
        commands = connect(settings)
        listener = connect(settings, blocking=True, beside=commands)
        registry = RedisRegistry(commands, keys, lease, kept=settings.kept)
        groups = RedisGroups(commands, keys, settings)

        async def check() -> None:
            with translated():
                await commands.ping()

        async def close() -> None:
            for one in (registry, groups):
                await one.close()
            await commands.aclose()
            await listener.aclose()

        return Backing(
            registry=registry,
            groups=groups,
            bus=RedisBus(commands, listener, keys, settings, metrics),
            producer=AsyncProducer(broker, commands, settings, metrics),
            check=check,
            close=close,
        )

    return make
