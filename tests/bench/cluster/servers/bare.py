"""What Redis itself takes: one process publishes with redis-py, another is subscribed. ``python -m … REDIS_URL``."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import redis.asyncio

from tests.bench.cluster.answering import answer
from tests.bench.cluster.load.heard import Heard
from tests.bench.cluster.load.pacing import paced
from tests.bench.cluster.load.stamps import TEXT, read
from tests.bench.contestants.roles import run

_CHANNEL = "bench"


class Hop:
    """One of the two processes.

    Args:
        url: of Redis.
    """

    def __init__(self, url: str) -> None:
        self._redis = redis.asyncio.Redis.from_url(url, socket_timeout=None)
        self._heard = Heard()
        self._sends: asyncio.Queue[int] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def listen(self) -> dict[str, Any]:
        """Subscribe."""
        pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
        await pubsub.subscribe(_CHANNEL)
        self._tasks.append(asyncio.create_task(self._listen(pubsub)))
        return {}

    async def speak(self) -> dict[str, Any]:
        """Be ready to publish."""
        self._tasks.append(asyncio.create_task(self._publish()))
        return {}

    async def pace(self, rate: int, seconds: float) -> dict[str, Any]:
        """Publish evenly."""
        return {"sent": await paced(lambda _: self._sends.put_nowait(time.monotonic_ns()), rate, seconds)}

    async def heard(self, ages: bool = False) -> dict[str, Any]:
        """What came."""
        return self._heard.told(ages=ages)

    async def forget(self) -> dict[str, Any]:
        """Forget what came."""
        self._heard.forget()
        return {}

    async def _publish(self) -> None:
        while True:
            sent = await self._sends.get()
            await self._redis.publish(_CHANNEL, TEXT.replace("0" * 20, f"{sent:020d}"))

    async def _listen(self, pubsub: Any) -> None:
        async for message in pubsub.listen():
            sent = read(message["data"])
            if sent is not None:
                self._heard.note(sent)


async def main(url: str) -> None:
    """Do what the benchmark says."""
    hop = Hop(url)
    await answer(listen=hop.listen, speak=hop.speak, pace=hop.pace, heard=hop.heard, forget=hop.forget)


if __name__ == "__main__":
    run(main(sys.argv[1]))
