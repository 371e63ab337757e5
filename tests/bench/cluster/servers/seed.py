"""A replica of how the Go seed lists clients: KEYS, then two GETs for each, one after another.

``python -m … REDIS_URL``. It is in Python, on redis-py; Go would wait less for each answer, and as often.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import redis.asyncio

from tests.bench.cluster.answering import answer
from tests.bench.cluster.servers.people import people
from tests.bench.contestants.roles import run

_CLIENT, _LAST = "gobroke:client:", "gobroke:last-message:"


class Seed:
    """Both processes: one fills, the other lists.

    Args:
        url: of Redis.
    """

    def __init__(self, url: str) -> None:
        self._redis = redis.asyncio.Redis.from_url(url)

    async def fill(self, clients: int) -> dict[str, Any]:
        """Two keys for each client."""
        now = str(int(time.time() * 1000))
        async with self._redis.pipeline(transaction=False) as pipe:
            for uuid, metadata in people(clients):
                pipe.set(f"{_CLIENT}{uuid}", json.dumps({"uuid": uuid, "metadata": metadata}))
                pipe.set(f"{_LAST}{uuid}", now)
            await pipe.execute()
        return {}

    async def join(self) -> dict[str, Any]:
        """Be connected."""
        await self._redis.ping()
        return {}

    async def list(self) -> dict[str, Any]:
        """List everybody. Returns how many there are, and how long it took."""
        started = time.perf_counter()
        everybody = [await self._client(key) for key in await self._redis.keys(f"{_CLIENT}*")]
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "count": sum("room" in metadata for metadata, _ in everybody)}

    async def _client(self, key: bytes | str) -> tuple[dict[str, Any], int]:
        stored = json.loads(await self._redis.get(key) or b"{}")
        last = await self._redis.get(f"{_LAST}{stored['uuid']}")
        return stored["metadata"], int(last or 0)


async def main(url: str) -> None:
    """Do what the benchmark says."""
    seed = Seed(url)
    await answer(fill=seed.fill, join=seed.join, list=seed.list)


if __name__ == "__main__":
    run(main(sys.argv[1]))
