"""What stands between a process and Redis in a test: whether either of them answers."""

from __future__ import annotations

import asyncio

from gobroke_dist.errors import RedisUnavailable


class Gate:
    """Open or shut; who waits for it goes on when it opens."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    def shut(self) -> None:
        """Who comes now waits."""
        self._open.clear()

    def open(self) -> None:
        """Let those go on who wait."""
        self._open.set()

    async def passed(self) -> None:
        """Wait until it is open."""
        await self._open.wait()


class Way:
    """One process's way to Redis.

    Args:
        redis: shut while Redis is down.

    Attributes:
        awake: shut while the process is frozen.
        alive: whether the process has not been killed.
    """

    def __init__(self, redis: Gate) -> None:
        self.redis = redis
        self.awake = Gate()
        self.alive = True

    def refusal(self) -> RedisUnavailable | None:
        """Why a call can't be made now."""
        if not self.alive:
            return RedisUnavailable("this process was killed")
        return None if self.redis.is_open else RedisUnavailable("the test has taken it down")

    async def check(self) -> None:
        """Wait while the process is frozen; then raise what a call raises now."""
        await self.awake.passed()
        refusal = self.refusal()
        if refusal is not None:
            raise refusal

    async def clear(self) -> None:
        """Wait until Redis answers."""
        await self.awake.passed()
        await self.redis.passed()
