"""Commands in one line: order, trips, and what becomes of those who wait."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.backends.redis.line import Line
from gobroke_dist.embedded import EmbeddedRedis
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.settings import Settings
from tests.backends.places import RedisPlace
from tests.eventually import eventually


@pytest.fixture
def server() -> Iterator[EmbeddedRedis]:
    """A server that no other test uses, so that it can be stopped."""
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        made = EmbeddedRedis(Path(folder))
        made.start()
        yield made
        assert made.pid is not None
        os.kill(made.pid, signal.SIGCONT)
        made.stop()


async def test_c8_a_frozen_redis_is_waited_for_once_and_not_by_each_batch(server: EmbeddedRedis) -> None:
    client = connect(Settings(redis_url=server.url, redis_timeout=0.3))
    line = Line(client, name="the line", limit=10_000, repeat=False)
    await line.call("PING", read=bool)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    before = time.monotonic()
    outcomes = await asyncio.gather(*(line.call("PING", read=bool) for _ in range(5000)), return_exceptions=True)
    assert {type(one) for one in outcomes} == {RedisUnavailable}
    assert time.monotonic() - before < 5 * 0.3
    os.kill(server.pid, signal.SIGCONT)
    assert await eventually(lambda: line.call("PING", read=bool))
    await client.aclose()


async def test_c8_a_subscription_survives_a_redis_that_was_frozen(server: EmbeddedRedis, prefix: str) -> None:
    place = RedisPlace(Settings(prefix=prefix, redis_url=server.url, redis_timeout=0.2))
    bus = place.bus()
    got: list[bytes] = []
    await bus.open("n1", lambda data, _: got.append(data))
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    await eventually(lambda: not bus.listening)
    os.kill(server.pid, signal.SIGCONT)

    async def arrives() -> bool:
        try:
            await bus.publish("n1", b"x")
        except RedisUnavailable:
            return False
        return b"x" in got

    await eventually(arrives)
    assert bus.listening
    await bus.close()
    await place.close()


async def test_a_loop_that_ends_leaves_nobody_waiting(server: EmbeddedRedis) -> None:
    client = connect(Settings(redis_url=server.url, redis_timeout=30))
    line = Line(client, name="the line", limit=10_000, repeat=False)
    await line.call("PING", read=bool)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    calls = [line.call("PING", read=bool) for _ in range(3)]
    await asyncio.sleep(0)
    calls.append(line.call("PING", read=bool))
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(one) for one in outcomes} == {asyncio.CancelledError}
    await client.aclose()
