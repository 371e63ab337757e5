"""What queues hold when nothing waits and nothing runs: nothing."""

from __future__ import annotations

import asyncio
import time

import redis

from gobroke_dist.keys import QueueKeys
from gobroke_dist.settings import Settings

QUEUES = ("audit", "async_audit", "effects")


async def residue(client: redis.Redis, settings: Settings, *, within: float) -> dict[str, int]:
    """What is left, by key, when it has been nothing or ``within`` seconds have passed."""
    deadline = time.monotonic() + within
    while True:
        left = _look(client, settings)
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(0.2)


def _look(client: redis.Redis, settings: Settings) -> dict[str, int]:
    left: dict[str, int] = {}
    for name in QUEUES:
        queue = QueueKeys(settings.prefix, name)
        for key in (queue.messages, queue.delayed_messages, queue.heads, queue.keys, queue.fences, queue.deliveries):
            left[key] = int(client.hlen(key))
        left[queue.ready] = int(client.llen(queue.ready))
        left[queue.later] = int(client.zcard(queue.later))
        left[queue.dead] = int(client.zcard(queue.dead))
    for pattern in (f"{settings.prefix}:queue:*:lane:*", f"{settings.prefix}:dramatiq:__acks__.*"):
        left[pattern] = sum(1 for _ in client.scan_iter(pattern, count=1000))
    return {key: count for key, count in left.items() if count}
