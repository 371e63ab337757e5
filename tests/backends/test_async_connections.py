"""Connections on an event loop, where they differ from what redis-py makes of them."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.settings import Settings
from gobroke_dist.testing.faults import Proxy


def test_c8_a_connection_that_ended_between_two_commands_is_an_outage_on_uvloop_as_well(redis_url: str) -> None:
    """uvloop raises ``RuntimeError`` then, which redis-py lets pass, and nobody takes for what it is."""
    uvloop = pytest.importorskip("uvloop")

    async def spoken_to_late() -> None:
        async with Proxy(redis_url) as proxy:
            client = connect(Settings(redis_url=proxy.url))
            connection = client.connection_pool.make_connection()
            await connection.connect()
            connection._writer.transport.abort()
            await asyncio.sleep(0.01)
            with pytest.raises(RedisConnectionError, match="has ended"):
                await connection.send_command("PING")
            await connection.send_command("PING")  # it connects again
            assert await connection.read_response() == b"PONG"
            await connection.disconnect()
            await client.aclose()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(spoken_to_late())
