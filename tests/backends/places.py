"""Where a contract suite runs: in memory, on fakeredis, on a real Redis."""

from __future__ import annotations

import asyncio
from typing import Protocol

import fakeredis
import fakeredis.aioredis
import redis.asyncio

from gobroke_dist.backends.memory.bus import MemoryBus
from gobroke_dist.backends.memory.cluster import MemoryCluster
from gobroke_dist.backends.memory.groups import MemoryGroups
from gobroke_dist.backends.memory.registry import MemoryRegistry
from gobroke_dist.backends.redis.bus import RedisBus
from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.backends.redis.groups import RedisGroups
from gobroke_dist.backends.redis.registry import RedisRegistry
from gobroke_dist.bus import Bus
from gobroke_dist.clock import SystemClock
from gobroke_dist.groups import Groups
from gobroke_dist.keys import ClusterKeys
from gobroke_dist.metrics import Metrics
from gobroke_dist.registry import Registry
from gobroke_dist.settings import Settings

LEASE = 30.0
_EXPIRE = "redis.call('ZREM', KEYS[1], ''); return redis.call('ZADD', KEYS[1], 'XX', 1, ARGV[1])"


class HandClock(SystemClock):
    """A clock whose hands a test turns."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


class Place(Protocol):
    """Registries, groups and buses of one cluster, and the power to end a lease."""

    def registry(self) -> Registry: ...
    def groups(self) -> Groups: ...
    def bus(self) -> Bus: ...
    async def expire(self, node: str) -> None: ...
    async def pass_by(self, seconds: float) -> None: ...
    async def close(self) -> None: ...


class MemoryPlace:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.cluster = MemoryCluster(self.clock)

    def registry(self) -> Registry:
        return MemoryRegistry(self.cluster, LEASE)

    def groups(self) -> Groups:
        return MemoryGroups(self.cluster, MemoryBus(self.cluster))

    def bus(self) -> Bus:
        return MemoryBus(self.cluster)

    async def expire(self, node: str) -> None:
        self.cluster.leases[node].end = self.clock.monotonic()

    async def pass_by(self, seconds: float) -> None:
        self.clock.seconds += seconds

    async def close(self) -> None:
        return None


class RedisPlace:
    """The adapters on Redis, each with clients of its own, as in different processes."""

    def __init__(self, settings: Settings, server: fakeredis.FakeServer | None = None) -> None:
        self.settings = settings
        self.keys = ClusterKeys(settings.prefix)
        self.metrics = Metrics()
        self._server = server
        self._clients: list[redis.asyncio.Redis] = []
        self.redis = self.client()

    def client(self, *, blocking: bool = False, beside: redis.asyncio.Redis | None = None) -> redis.asyncio.Redis:
        if self._server is not None:
            made: redis.asyncio.Redis = fakeredis.aioredis.FakeRedis(server=self._server)
        else:
            made = connect(self.settings, blocking=blocking, beside=beside)
        self._clients.append(made)
        return made

    def registry(self) -> RedisRegistry:
        return RedisRegistry(self.client(), self.keys, LEASE)

    def groups(self) -> RedisGroups:
        return RedisGroups(self.client(), self.keys, self.settings)

    def bus(self) -> RedisBus:
        return RedisBus(self.client(), self.client(blocking=True), self.keys, self.settings, self.metrics)

    async def expire(self, node: str) -> None:
        # A script's first write may remove even at the memory limit, and then the second may add.
        await self.redis.eval(_EXPIRE, 1, self.keys.members, node)

    async def pass_by(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()
